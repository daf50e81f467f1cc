"""One string, one benchmark of editors: its name, and its location after an ``=``."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from spatialreward.benchmarks.editors.gedit import LANGUAGES, GeditBench
from spatialreward.benchmarks.editors.imgedit import BASIC, UGE, ImgEditBench
from spatialreward.benchmarks.editors.interface import EditorBenchmark
from spatialreward.benchmarks.editors.rubric import Rubric
from spatialreward.errors import InvalidInputError
from spatialreward.hub import BENCHMARK, ON_HUB, fetch_from_hub

SUITES = {suite.name: suite for suite in (BASIC, UGE)}
NAMES = (GeditBench.name, *SUITES)


class NamedEditorBenchmark(NamedTuple):
    """A benchmark's name and location, before reading."""

    name: str
    place: str
    """A folder, or for GEdit-Bench ``hub:OWNER/NAME@REVISION``."""

    @classmethod
    def parse(cls, text: str) -> "NamedEditorBenchmark":
        """Parse ``NAME=PLACE``.

        Raises:
            InvalidInputError: there is no such benchmark, or no place.
        """
        name, _, place = text.partition("=")
        if name not in NAMES:
            raise InvalidInputError(f"benchmark {name!r}: expected one of {', '.join(NAMES)}")
        if not place:
            raise InvalidInputError(f"benchmark {name}: expected {name}=FOLDER")
        if name in SUITES and place.startswith(ON_HUB):
            raise InvalidInputError(
                f"benchmark {name}: expected {name}=FOLDER, the metadata with the unpacked "
                f"Benchmark.tar beside it: on the hub the pictures are in an archive, got {place}"
            )
        return cls(name, place)

    def open(self, languages: Collection[str] = LANGUAGES) -> EditorBenchmark:
        """Fetch it if necessary, and read it.

        Args:
            languages: of GEdit-Bench, ``en`` and ``cn``.

        Raises:
            InvalidInputError: it is missing, or no row is usable.
            HubError: it cannot be downloaded.
        """
        on_hub = self.place.startswith(ON_HUB)
        folder = fetch_from_hub(self.place, BENCHMARK) if on_hub else Path(self.place)
        if self.name in SUITES:
            return ImgEditBench.read(folder, SUITES[self.name])
        return GeditBench.read(folder, languages)


def read_rubric(text: str) -> tuple[str, Rubric]:
    """Read ``NAME=FILE``: a suite of ImgEdit-Bench, and its grader prompts.

    Raises:
        InvalidInputError: there is no such suite, or the file lacks its prompts.
    """
    name, _, path = text.partition("=")
    if name not in SUITES or not path:
        expected = " or ".join(f"{one}=FILE" for one in SUITES)
        raise InvalidInputError(f"grader prompts {text!r}: expected {expected}")
    return name, Rubric.read(Path(path), SUITES[name])
