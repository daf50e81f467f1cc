"""Which edits share a request, and the files of the pictures they send."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

from PIL import Image

from spatialreward.edits import Edit
from spatialreward.images import encode_png

Answer = TypeVar("Answer")


def split(edits: Sequence[Edit], most: int) -> list[list[int]]:
    """Distribute edits over requests of ``most`` at most; a request is a list of positions.

    Edits of the same sources (the same picture objects) and instruction stay together unless they
    are more than ``most``, since a server reads what they share only once. All edits of a request
    have the same number of sources.
    """
    requests: list[list[int]] = []
    for siblings in _by_number_of_sources(edits):
        current: list[int] = []
        for group in siblings:
            for part in (group[start : start + most] for start in range(0, len(group), most)):
                if len(current) + len(part) > most:
                    requests.append(current)
                    current = []
                current.extend(part)
        requests.append(current)
    return requests


def in_order(
    requests: Sequence[Sequence[int]], answers: Sequence[Sequence[Answer]]
) -> list[Answer]:
    """The answers to the requests of ``split``, in the order of the edits."""
    by_position = {
        position: answer
        for positions, answered in zip(requests, answers, strict=True)
        for position, answer in zip(positions, answered, strict=True)
    }
    return [by_position[position] for position in range(len(by_position))]


def _by_number_of_sources(edits: Sequence[Edit]) -> Iterator[list[list[int]]]:
    """For each number of sources, the positions of its edits, those of one prompt in one list."""
    groups: defaultdict[tuple[tuple[int, ...], str], list[int]] = defaultdict(list)
    for position, edit in enumerate(edits):
        pictures = tuple(id(picture) for picture in edit.sources)
        groups[pictures, edit.instruction].append(position)
    numbers: defaultdict[int, list[list[int]]] = defaultdict(list)
    for (pictures, _), positions in groups.items():
        numbers[len(pictures)].append(positions)
    yield from numbers.values()


class PictureFiles:
    """PNG files of the pictures of one call; safe to use from several threads.

    Each picture is encoded when it is first asked for and forgotten when it was asked for as often
    as the edits name it, so a long list of edits never lies in memory as files all at once.
    """

    def __init__(self, edits: Sequence[Edit]) -> None:
        """Count how often each picture will be asked for."""
        pictures = (picture for edit in edits for picture in (*edit.sources, edit.edited))
        self._uses_left = Counter(id(picture) for picture in pictures)
        self._files: dict[int, Future[bytes]] = {}
        self._lock = threading.Lock()

    def png(self, picture: Image.Image) -> bytes:
        """The picture as a PNG file; a second thread waits for the first one's encoding."""
        key = id(picture)
        with self._lock:
            is_first = key not in self._files
            file = self._files.setdefault(key, Future())
            self._uses_left[key] -= 1
            if not self._uses_left[key]:
                del self._files[key]
        if is_first:
            try:
                file.set_result(encode_png(picture, compress_level=1))
            except Exception as error:
                file.set_exception(error)
        return file.result()
