"""How a judgement is shown: as JSON for programs, as tables for people, as a picture."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatialreward.cli.edits import EditRequest
from spatialreward.errors import InvalidInputError
from spatialreward.records import Judgement

if TYPE_CHECKING:
    from rich.console import RenderableType

    from spatialreward.edits import Edit

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def to_json(request: EditRequest, judgement: Judgement, notice: str, *, with_id: bool) -> bytes:
    """One line of UTF-8 JSON: the edit, every field of its judgement, and the model's notice."""
    record: dict[str, Any] = {"id": request.id} if with_id else {}
    record |= {
        "source": str(request.source),
        "edited": str(request.edited),
        "instruction": request.instruction,
        **judgement.model_dump(mode="json"),
        "notice": notice,
    }
    # Half a surrogate pair in a file name becomes the escape that JSON has for it.
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace")


def print_verdict(judgement: Judgement, size: tuple[int, int]) -> None:
    """Print an ok judgement of an edited picture of ``size`` (width, height) as tables."""
    from rich.console import Console
    from rich.text import Text

    from spatialreward.visuals.overlay import readable

    console = Console(highlight=False)
    console.print(_score_table(judgement))
    console.print(_region_table(judgement, size))
    for title, reasoning in (
        ("Semantic consistency", judgement.sc_reasoning),
        ("Perceptual quality", judgement.pq_reasoning),
    ):
        if reasoning:
            console.print(Text.assemble((f"{title}: ", "bold"), printable(readable(reasoning))))


def printable(text: str) -> str:
    """A judge's words without control characters, which a terminal would obey."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def check_pictures(paths: Sequence[Path], inputs: Sequence[Path], name: str = "overlay") -> None:
    """Find out whether pictures can be written, before time is spent on what they show.

    Args:
        paths: of the pictures.
        inputs: files that none of them may replace.
        name: what an error calls a picture.

    Raises:
        InvalidInputError: one cannot, or would replace one of ``inputs``.
    """
    judged = {path.resolve() for path in inputs}
    for path in paths:
        if path.suffix.lower() != ".png":
            raise InvalidInputError(f"{name} {path}: expected a name that ends in .png")
        if path.is_dir():
            raise InvalidInputError(f"{name} {path}: is a directory")
        if not path.parent.is_dir():
            raise InvalidInputError(f"{name} {path}: there is no directory {path.parent}")
        if path.resolve() in judged:
            raise InvalidInputError(f"{name} {path}: would replace a picture that is looked at")
    for folder in {path.parent for path in paths}:
        try:
            # Permission bits do not tell about read-only or special file systems; trying does.
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise InvalidInputError(
                f"{name}: cannot write to the directory {folder}: {error.strerror}"
            ) from error


def write_overlay(path: Path, edit: "Edit", judgement: Judgement, notice: str) -> None:
    """Draw an edit and its judgement, and put the picture in place as a whole, never half-written.

    Raises:
        InvalidInputError: the file cannot be written.
    """
    from spatialreward.images import encode_png
    from spatialreward.visuals import draw_overlay

    drawn = draw_overlay(
        edit.source,
        edit.edited,
        judgement,
        references=edit.references,
        instruction=edit.instruction,
        notice=notice,
    )
    data = encode_png(drawn)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".overlay-") as folder:
            draft = Path(folder) / "overlay.png"
            draft.write_bytes(data)
            draft.replace(path)
    except OSError as error:
        raise InvalidInputError(f"overlay {path}: {error.strerror or error}") from error


def _score_table(judgement: Judgement) -> "RenderableType":
    from rich.table import Table

    from spatialreward.visuals.overlay import SCORE_NAMES

    table = Table(show_edge=False, pad_edge=False, show_header=True)
    table.add_column("Score")
    table.add_column("of 25", justify="right")
    for field, score in judgement.scores.given().items():
        table.add_row(SCORE_NAMES[field], f"{score:.1f}")
    table.add_section()
    table.add_row("Reward (0 to 1)", f"{judgement.reward:.3f}", style="bold")
    return table


def _region_table(judgement: Judgement, size: tuple[int, int]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    from spatialreward.visuals.regions import pixel_box, why_no_regions

    if not judgement.regions:
        return Text(f"{why_no_regions(judgement)}.")
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("Region", justify="right")
    table.add_column("What")
    table.add_column("Box (0 to 1000)")
    table.add_column("Box in pixels")
    for region in judgement.regions:
        boxes = (region.bbox_2d, pixel_box(region, size))
        table.add_row(
            str(region.id),
            Text(printable(region.label)),
            *(", ".join(map(str, box)) for box in boxes),
        )
    return table
