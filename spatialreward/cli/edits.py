"""The edits a user asks about: two pictures and an instruction, one edit or a file of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field, ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.reading import parse_json, read_text
from spatialreward.records import Coordinate, Record
from spatialreward.validation import first_problem

if TYPE_CHECKING:
    from spatialreward.edits import Edit


class EditRequest(Record):
    """One edit on disk."""

    # Files of edits carry more than a judge needs, such as origin and license.
    model_config = ConfigDict(extra="ignore")

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$")]
    """Name of the edit, usable as a file name."""
    source: Path
    edited: Path
    instruction: str
    truth: str | None = None
    """How the generated world made the edit, as its data sets say it; for the judge ``oracle``."""
    regions: tuple[tuple[Coordinate, Coordinate, Coordinate, Coordinate], ...] | None = None
    """Where the edit is known to be, boxes of 0..1000 of the edited picture; only measured on."""

    def load(self) -> "Edit":
        """Read the pictures and check the instruction.

        Raises:
            InvalidInputError: one of the three cannot be judged.
        """
        from spatialreward.edits import Edit

        return Edit(self.source, self.edited, self.instruction, id=self.id, truth=self.truth)


def read_requests(path: Path) -> list[EditRequest]:
    """Read a JSONL file of edits; pictures are looked for relative to the file.

    Raises:
        InvalidInputError: the file or one of its lines cannot be read, or two edits share an id.
    """
    try:
        lines = read_text(path).split("\n")
    except InvalidInputError as error:
        raise InvalidInputError(f"edits {path}: {error}") from error
    requests: dict[str, EditRequest] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        request = _parse(line, f"edits {path}, line {number}")
        if request.id in requests:
            raise InvalidInputError(f"edits {path}, line {number}: id {request.id!r} appears twice")
        requests[request.id] = request.model_copy(
            update={
                "source": path.parent / request.source,
                "edited": path.parent / request.edited,
            }
        )
    if not requests:
        raise InvalidInputError(f"edits {path}: holds no edits")
    return list(requests.values())


def _parse(line: str, where: str) -> EditRequest:
    given = None
    try:
        given = parse_json(line)
        return EditRequest.model_validate(given)
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error}") from error
    except ValidationError as error:
        problem = first_problem(error, EditRequest, given)
        raise InvalidInputError(f"{where}: {problem}") from error
