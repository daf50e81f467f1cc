"""Lists the weights in a folder from the headers of its safetensors files; free of torch.

Reads no weights, so inspecting a folder of 16 GB takes milliseconds.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spatialreward.errors import InvalidInputError
from spatialreward.reading import parse_json, read_text

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
_LARGEST_HEADER = 100_000_000
"""Bytes; the safetensors format's limit."""
_UNQUANTISED = {"F16", "BF16", "F32", "F64"}
_OTHER_FORMATS = ("*.bin", "*.gguf", "*.pt", "*.pth", "*.ckpt")
_SHARDS = "*-of-*.safetensors"

_SPOILT_NAMES = (
    ("module.", "they come from a model wrapped for training in parallel; save the wrapped model"),
    ("_orig_mod.", "they come from a compiled model; save the model that was compiled"),
    ("_fsdp_wrapped_module.", "they come from a model wrapped by FSDP; save the wrapped model"),
    ("base_model.model.", "they come from a model with an adapter; merge the adapter, then save"),
)
"""Prefixes of names that no model has, and their origin."""
_BASE_LAYER = ".base_layer."


class TensorHeader(NamedTuple):
    """A safetensors file's entry for one tensor."""

    dtype: str
    """As the format writes it: ``F32``, ``BF16``, ``F8_E4M3``."""
    shape: tuple[int, ...]


Tensors = Mapping[str, TensorHeader]


def read_weights(folder: Path) -> dict[Path, Tensors]:
    """The tensors of a model by file: one file, or the shards of an index.

    Raises:
        InvalidInputError: they are missing, a file is missing or damaged, or the weights are
            partial or quantised.
    """
    whole, index = folder / WEIGHTS_FILE, folder / INDEX_FILE
    if whole.is_file():
        files = {whole: read_tensors(whole)}
    elif index.is_file():
        files = _read_shards(index)
    else:
        raise InvalidInputError(f"{folder}: {_instead_of_weights(folder)}")
    for path, tensors in files.items():
        _check_tensors(path, tensors)
    return files


def read_tensors(path: Path) -> dict[str, TensorHeader]:
    """The tensors of one safetensors file.

    Raises:
        InvalidInputError: it is not such a file, or its length differs from its header.
    """
    refuse_pointer(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if length <= min(size, _LARGEST_HEADER) else b""
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}") from error
    if not header:
        raise InvalidInputError(f"{path}: is no safetensors file, or cut off ({size:,} bytes)")
    tensors, num_bytes = _parse_header(path, header)
    expected = 8 + length + num_bytes
    if size != expected:
        is_cut = "is cut off: " if size < expected else ""
        raise InvalidInputError(f"{path}: {is_cut}expected {expected:,} bytes, got {size:,}")
    return tensors


def refuse_pointer(path: Path) -> None:
    """Check that a file is not a Git LFS pointer.

    Raises:
        InvalidInputError: it is, or is unreadable.
    """
    try:
        with path.open("rb") as file:
            is_pointer = file.read(len(_LFS_POINTER)) == _LFS_POINTER
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror}") from error
    if is_pointer:
        raise InvalidInputError(
            f"{path}: is a Git LFS pointer, not the file itself; run `git lfs pull` in the folder"
        )


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model's folder.

    Raises:
        InvalidInputError: there is none; names the file.
    """
    refuse_pointer(path)
    try:
        value = parse_json(read_text(path))
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInputError(f"{path}: expected a JSON object, got a {type(value).__name__}")
    return value


def some(names: list[str] | set[str]) -> str:
    """A few names in words: the first three, and the number of the rest."""
    first = sorted(names)
    shown = ", ".join(first[:3])
    return shown if len(first) <= 3 else f"{shown} and {len(first) - 3:,} more"


def _parse_header(path: Path, header: bytes) -> tuple[dict[str, TensorHeader], int]:
    """Tensors by name, and their total size in bytes."""
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        tensors = {
            name: TensorHeader(entry["dtype"], tuple(entry["shape"]))
            for name, entry in entries.items()
        }
        num_bytes = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (ValueError, RecursionError, AttributeError, KeyError, IndexError, TypeError) as error:
        raise InvalidInputError(f"{path}: is no safetensors file: its header is damaged") from error
    return tensors, num_bytes


def _read_shards(index: Path) -> dict[Path, Tensors]:
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise InvalidInputError(f"{index}: weight_map: expected the tensors' files by name")
    names: dict[str, list[str]] = {}
    for tensor, file in places.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise InvalidInputError(f"{index}: {tensor}: expected the name of a file, got {file!r}")
        names.setdefault(file, []).append(tensor)
    missing = [file for file in names if not (index.parent / file).is_file()]
    if missing:
        num_lost = sum(len(names[file]) for file in missing)
        raise InvalidInputError(
            f"{index.parent}: {some(missing)} missing, of {len(names)} files of weights; "
            f"{num_lost:,} of {len(places):,} tensors are in them"
        )
    files: dict[Path, Tensors] = {}
    for file, tensors in names.items():
        found = read_tensors(index.parent / file)
        if lost := set(tensors) - set(found):
            raise InvalidInputError(f"{index.parent / file}: lacks {some(lost)}, see {index.name}")
        files[index.parent / file] = found
    return files


def _instead_of_weights(folder: Path) -> str:
    if shards := sorted(path.name for path in folder.glob(_SHARDS)):
        return f"{INDEX_FILE} missing, which says what is in {some(shards)}"
    others = sorted(path.name for pattern in _OTHER_FORMATS for path in folder.glob(pattern))
    hint = f"; {some(others)} must be converted" if others else ""
    return f"no weights here, expected {WEIGHTS_FILE} or {INDEX_FILE}{hint}"


def _check_tensors(path: Path, tensors: Tensors) -> None:
    for problem in _problems(tensors):
        raise InvalidInputError(f"{path}: {problem}")


def _problems(tensors: Tensors) -> Iterator[str]:
    empty = [name for name, one in tensors.items() if not math.prod(one.shape)]
    if empty:
        yield (
            f"{len(empty):,} of {len(tensors):,} tensors are empty, such as {min(empty)}: saved "
            "under ZeRO-3 without stage3_gather_16bit_weights_on_model_save; save again with it"
        )
    quantised = {name: one.dtype for name, one in tensors.items() if one.dtype not in _UNQUANTISED}
    if quantised:
        name = min(quantised)
        yield (
            f"{name} is {quantised[name]}: quantised weights cannot be judged with here; "
            "expected 16 or 32 bits"
        )
    for beginning, advice in _SPOILT_NAMES:
        if tensors and all(name.startswith(beginning) for name in tensors):
            yield f"all names begin with {beginning!r}: {advice}"
    unmerged = [name for name in tensors if _BASE_LAYER in name]
    if unmerged:
        yield (
            f"{min(unmerged)}: the weights of a model with an adapter that was not merged; "
            "merge the adapter, then save"
        )
