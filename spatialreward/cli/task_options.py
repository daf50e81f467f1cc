"""How a command that edits is asked: one picture and an instruction, a file of such, a data set."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from spatialreward.edits import EditTask

Sources = Annotated[
    list[Path] | None,
    typer.Option(
        "--source",
        metavar="PICTURE",
        help="The picture to edit; further ones are references, such as a thing to put into it.",
    ),
]
Instruction = Annotated[str | None, typer.Option(metavar="TEXT", help="What is to be edited.")]
TasksFile = Annotated[
    Path | None,
    typer.Option(
        "--tasks",
        metavar="FILE.jsonl",
        help="Edit many: id, source and instruction a line, pictures relative to the file.",
    ),
]
TasksOfData = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DATASET",
        help="Edit many: source pictures and instructions of a folder, "
        "s3://BUCKET/PREFIX#sha256=HEX or hub:OWNER/NAME@REVISION.",
    ),
]


class Asked(NamedTuple):
    """What is to be edited."""

    tasks: "Iterable[EditTask]"
    total: int
    told: dict[str, Any]
    """What the tasks are, so that a command goes on with the same ones only."""


def asked_tasks(
    sources: list[Path] | None, instruction: str | None, tasks: Path | None, data: str | None
) -> Asked:
    """The tasks that the options name.

    Raises:
        InvalidInputError: none are named, or in two ways; or they cannot be read.
        StorageError, HubError: the data set is not handed over.
    """
    one = {"--source": sources, "--instruction": instruction}
    given = [name for name, value in (one | {"--tasks": tasks, "--data": data}).items() if value]
    if given == ["--tasks"]:
        return _of_file(tasks)
    if given == ["--data"]:
        return _of_data(data)
    if given == ["--source", "--instruction"]:
        return _single(sources, instruction)
    got = ", ".join(given) or "none"
    raise InvalidInputError(
        f"expected --source and --instruction, or --tasks, or --data, got {got}"
    )


def _single(sources: list[Path], instruction: str) -> Asked:
    from spatialreward.edits import EditTask
    from spatialreward.folder_manifest import digest_file

    task = EditTask(list(sources), instruction)
    told = {"sources": [digest_file(one) for one in sources], "instruction": task.instruction}
    return Asked([task], 1, told)


def _of_file(path: Path) -> Asked:
    from spatialreward.data.task_file import TaskFile

    file = TaskFile(path)
    return Asked(file, len(file), {"tasks": file.digest})


def _of_data(text: str) -> Asked:
    from spatialreward.data.dataset import DatasetRef
    from spatialreward.data.tasks import task_of

    reference = DatasetRef.parse(text)
    data = reference.open()
    if not len(data):
        raise InvalidInputError(f"--data {text}: holds no edits")
    told = {"data": str(reference) if reference.has_checksum else data.digest}
    return Asked(map(task_of, data), len(data), told)
