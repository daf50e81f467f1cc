"""Reads pictures' bytes from a row, or from the files it names, without decoding."""

import errno
import stat
from pathlib import Path
from typing import Any

from spatialreward.data.sources.interface import Reason, RowError
from spatialreward.errors import InvalidInputError
from spatialreward.images import MAX_FILE_BYTES

# Faults of a name in a row. Other errors are the storage's, and end the run.
_FAULTS_OF_A_NAME = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "there is no such file",
    errno.ENAMETOOLONG: "no file can have so long a name",
    errno.EACCES: "may not be read",
}


class PictureFolder:
    """Reads pictures by path from one folder, and from nowhere else."""

    def __init__(self, root: Path) -> None:
        """Read from ``root`` and its subfolders.

        Raises:
            InvalidInputError: there is no such folder.
        """
        if not root.is_dir():
            raise InvalidInputError(f"{root}: is no folder")
        self._root = root.resolve()

    def read(self, name: str) -> bytes:
        """The bytes of the picture file ``name``, a path relative to the folder.

        Raises:
            RowError: it leads out of the folder, directly or through a link, or there is no regular
                file of at most ``MAX_FILE_BYTES`` bytes.
        """
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root):
                raise RowError(Reason.PATH_OUTSIDE, f"{name}: leads out of {self._root}")
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise RowError(Reason.MISSING_PICTURE, f"{name}: is no regular file")
            _check_size(name, status.st_size)
            return path.read_bytes()
        except OSError as error:
            if error.errno not in _FAULTS_OF_A_NAME:
                raise
            detail = f"{name}: {_FAULTS_OF_A_NAME[error.errno]}"
            raise RowError(Reason.MISSING_PICTURE, detail) from error
        except (RuntimeError, ValueError) as error:
            # A circular link; a null character or half a surrogate pair in the name.
            raise RowError(Reason.MISSING_PICTURE, f"{name}: {error}") from error


def holds_nothing(value: Any) -> bool:
    """Whether a column's value means a missing picture, instead of a broken one."""
    match value:
        case None | [] | ():
            return True
        case {"bytes": None, **rest}:
            return not rest.get("path")
    return False


def pictures_of(value: Any, column: str, folder: PictureFolder | None) -> tuple[bytes, ...]:
    """The pictures in a column's value, in order.

    Args:
        value: bytes, a path, the ``{"bytes", "path"}`` of Hugging Face data sets, or a list of
            these.
        column: its name, for errors.
        folder: root of paths; None if pictures must be in the row.

    Raises:
        RowError: one of them is missing.
    """
    match value:
        case list() | tuple():
            return tuple(one for item in value for one in pictures_of(item, column, folder))
        case {"bytes": bytes(data)} | bytes(data):
            _check_size(f"column {column}", len(data))
            return (data,)
        case {"path": str(name)} | str(name) if folder is not None and name:
            return (folder.read(name),)
        case str(name) | {"path": str(name)} if name:
            raise RowError(
                Reason.MISSING_PICTURE, f"column {column}: only a path, {name}, and no picture"
            )
        case None | {"bytes": None}:
            raise RowError(Reason.MISSING_PICTURE, f"column {column}: is empty")
    raise RowError(
        Reason.MISSING_PICTURE,
        f"column {column}: expected a picture or its path, got {type(value).__name__}",
    )


def _check_size(name: str, num_bytes: int) -> None:
    if num_bytes == 0:
        raise RowError(Reason.MISSING_PICTURE, f"{name}: is empty (0 bytes)")
    if num_bytes > MAX_FILE_BYTES:
        raise RowError(
            Reason.MISSING_PICTURE,
            f"{name}: {num_bytes:,} bytes, more than the {MAX_FILE_BYTES:,} bytes allowed",
        )
