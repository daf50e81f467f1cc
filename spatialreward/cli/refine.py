"""``spatialreward refine``: edit, judge, and mend what the judge found fault with."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatialreward.cli.editor_options import EDITORS, editor_folder
from spatialreward.cli.judge import NO_JUDGEMENT
from spatialreward.cli.judge_options import JUDGES, AdapterFolder, Mode, Passes, ProtocolName
from spatialreward.cli.setting_options import changes_of
from spatialreward.cli.task_options import (
    Instruction,
    Sources,
    TasksFile,
    TasksOfData,
    asked_tasks,
)
from spatialreward.cli.verdict import printable

if TYPE_CHECKING:
    from spatialreward.rl.refine import Refined


def refine(
    editor: Annotated[str, typer.Option(metavar="EDITOR", help=f"Edit with: {EDITORS}.")],
    judge: Annotated[
        str, typer.Option(metavar="JUDGE", help=f"A judge that writes reasoning: {JUDGES}.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="New folder, or one of a killed run to go on.")
    ],
    source: Sources = None,
    instruction: Instruction = None,
    tasks: TasksFile = None,
    data: TasksOfData = None,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, show_default="4", help="Further rounds at most, after the first edit."),
    ] = None,
    adapter: AdapterFolder = None,
    protocol: ProtocolName = None,
    passes: Passes = 1,
    mode: Mode = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml", help="Settings: max_rounds, template, seed, denoising and others."
        ),
    ] = None,
    overrides: Annotated[list[str] | None, changes_of("a setting", "edits_per_round=4")] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON a task.")
    ] = False,
) -> None:
    """Edit a picture, and put what the judge writes about the edit into the instruction.

    Each round draws from the source picture again, and the judge judges it by the instruction that
    you gave. It ends when a round no longer improves the reward. DIR gets best.png, the best edit
    of each round as round-0.png and so on, judgements.jsonl, and sheet.png with all rounds; with
    --tasks or --data in a folder a task. A killed run goes on with the same command.

    Exit status: 0 refined, 1 unusable input, 2 a task of which no edit has a judgement.

    Example: spatialreward refine --editor editor --judge judge --source a.png
    --instruction "make the circle red" --out refined
    """
    from spatialreward.ops.overrides import Table, settings_over
    from spatialreward.rl.choosing_config import RefineConfig
    from spatialreward.rl.run_folder import RunFolder

    changes = [*(overrides or ()), *([f"max_rounds={rounds}"] if rounds else ())]
    settings = settings_over(RefineConfig(), [Table.read(config)] if config else [], changes)
    folder = RunFolder.checked(out, "refinement")
    asked = asked_tasks(source, instruction, tasks, data)
    start = editor_folder(editor, "--editor")
    from spatialreward.editors.load import open_editor
    from spatialreward.folder_manifest import digest_folder
    from spatialreward.judges.load import load_judge
    from spatialreward.ops.config import flatten
    from spatialreward.progress import track
    from spatialreward.rl.best_of import folder_name
    from spatialreward.rl.refine import refine as mend

    drawing = open_editor(start, settings.editor)
    how = {"adapter": adapter, "protocol": protocol, "passes": passes, "mode": mode}
    unjudged = 0
    with load_judge(judge, **how) as judging:
        told = {"editor": digest_folder(start), "judge": str(judging.identity), **asked.told}
        folder.hold_to(told | flatten(settings.model_dump(mode="json")))
        if judging.notice:
            typer.echo(f"note: {judging.notice}", err=True)
        for number, task in enumerate(track(asked.tasks, total=asked.total, description="refine")):
            place = out if asked.total == 1 else out / folder_name(number, task)
            refined = mend(drawing, judging, task, settings, place)
            unjudged += refined.best.judgement.reward is None
            if json_output:
                typer.echo(json.dumps(_line(refined, out)))
            else:
                _print(refined, asked.total > 1)
    if unjudged:
        typer.echo(f"no judgement of any edit for {unjudged} of {asked.total} tasks", err=True)
        raise typer.Exit(NO_JUDGEMENT)


def _line(refined: "Refined", out: Path) -> dict[str, Any]:
    return {
        "task": refined.task.id,
        "picture": str((refined.folder / "best.png").relative_to(out)),
        "rewards": _rewards(refined),
        "instruction_of_best": refined.best.instruction,
        "stopped": refined.stopped,
    }


def _print(refined: "Refined", is_one_of_many: bool) -> None:
    rewards = ", ".join("none" if one is None else f"{one:.3f}" for one in _rewards(refined))
    name = f"{printable(refined.task.id or refined.folder.name)}: " if is_one_of_many else ""
    typer.echo(f"{name}rewards by round: {rewards} ({refined.stopped})")
    if is_one_of_many:
        return
    for number, one in enumerate(refined.rounds[1:], start=1):
        typer.echo(f"round {number} was asked: {printable(' '.join(one.instruction.split()))}")
    typer.echo(f"to look at: {refined.folder / 'best.png'}, {refined.folder / 'sheet.png'}")


def _rewards(refined: "Refined") -> Sequence[float | None]:
    return [one.judgement.reward for one in refined.rounds]
