"""``spatialreward best-of``: draw several edits, have them judged, take the best."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

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

if TYPE_CHECKING:
    from spatialreward.rl.best_of import Chosen
    from spatialreward.visuals import SheetRow

_ROWS_ON_A_SHEET = 24
_BEST_SHEET = "best.png"
_BEST_LINES = "best.jsonl"


def best_of(
    editor: Annotated[str, typer.Option(metavar="EDITOR", help=f"Draw with: {EDITORS}.")],
    judge: Annotated[str, typer.Option(metavar="JUDGE", help=f"Rank with: {JUDGES}.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="New folder, or one of a killed run to go on.")
    ],
    source: Sources = None,
    instruction: Instruction = None,
    tasks: TasksFile = None,
    data: TasksOfData = None,
    num_edits: Annotated[
        int | None,
        typer.Option("-n", "--num-edits", min=1, show_default="16", help="Edits of each task."),
    ] = None,
    adapter: AdapterFolder = None,
    protocol: ProtocolName = None,
    passes: Passes = 1,
    mode: Mode = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Settings: num_edits, num_at_once, seed and the tables denoising and editor.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, changes_of("a setting", "denoising.num_denoising_steps=30")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Draw several edits of a picture, have a judge rank them, and take the best; trains nothing.

    DIR gets the edits as 01.png, 02.png and so on, best first, judgements.jsonl with a line an
    edit, and sheet.png to look at. With --tasks or --data each task has a folder of its own, and
    best.jsonl and best.png hold the best edit of each. A killed run goes on with the same command.

    Exit status: 0 ranked, 1 unusable input, 2 a task of which no edit has a judgement.

    Example: spatialreward best-of --editor editor --judge pixels --source a.png
    --instruction "make the circle red" -n 8 --out chosen
    """
    from spatialreward.ops.overrides import Table, settings_over
    from spatialreward.rl.choosing_config import BestOfConfig
    from spatialreward.rl.run_folder import RunFolder

    changes = [*(overrides or ()), *([f"num_edits={num_edits}"] if num_edits else ())]
    settings = settings_over(BestOfConfig(), [Table.read(config)] if config else [], changes)
    folder = RunFolder.checked(out, "ranking")
    asked = asked_tasks(source, instruction, tasks, data)
    start = editor_folder(editor, "--editor")
    from spatialreward.editors.load import open_editor
    from spatialreward.folder_manifest import digest_folder
    from spatialreward.judges.load import load_judge
    from spatialreward.ops.config import flatten
    from spatialreward.rl.best_of import best_of as rank

    drawing = open_editor(start, settings.editor)
    how = {"adapter": adapter, "protocol": protocol, "passes": passes, "mode": mode}
    with load_judge(judge, **how) as judging:
        told = {"editor": digest_folder(start), "judge": str(judging.identity), **asked.told}
        folder.hold_to(told | flatten(settings.model_dump(mode="json")))
        if judging.notice:
            typer.echo(f"note: {judging.notice}", err=True)
        results = [
            _remember(one, number < _ROWS_ON_A_SHEET)
            for number, one in enumerate(
                rank(drawing, judging, asked.tasks, asked.total, settings, out)
            )
        ]
    pictures = _write_best(results, out) if asked.total > 1 else [out / "sheet.png"]
    if json_output:
        chosen = [str(one.picture.relative_to(out)) for one in results]
        typer.echo(json.dumps(_figures(results) | {"pictures": chosen}))
    else:
        _print(results, settings.num_edits, pictures)
    if unjudged := sum(not one.rewards for one in results):
        typer.echo(f"no judgement of any edit for {unjudged} of {len(results)} tasks", err=True)
        raise typer.Exit(NO_JUDGEMENT)


class _Result(NamedTuple):
    """What is left of one task when its pictures are on disk."""

    task: str
    picture: Path
    rewards: tuple[float, ...]
    num_failed: int
    row: "SheetRow | None"


def _remember(chosen: "Chosen", with_row: bool) -> _Result:
    from spatialreward.visuals import SheetRow

    task, best = chosen.task, chosen.best
    row = SheetRow(task.sources[0], best.picture, task.instruction, best.judgement)
    return _Result(
        task.id, chosen.best_picture, chosen.rewards, chosen.num_failed, row if with_row else None
    )


def _write_best(results: Sequence[_Result], out: Path) -> list[Path]:
    from spatialreward.visuals import sample_sheet

    lines = (
        {
            "task": one.task,
            "picture": str(one.picture.relative_to(out)),
            "reward": max(one.rewards, default=None),
            "mean_reward": _mean(one.rewards),
            "num_failed": one.num_failed,
        }
        for one in results
    )
    (out / _BEST_LINES).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    sample_sheet([one.row for one in results if one.row is not None]).save(out / _BEST_SHEET)
    return [out / _BEST_SHEET]


def _figures(results: Sequence[_Result]) -> dict[str, Any]:
    judged = [one.rewards for one in results if one.rewards]
    return {
        "num_tasks": len(results),
        "reward_of_best": _mean([max(one) for one in judged]),
        "reward_of_all": _mean([_mean(one) for one in judged]),
        "reward_of_first": _mean([one[0] for one in judged]),
        "num_failed": sum(one.num_failed for one in results),
    }


def _print(results: Sequence[_Result], num_edits: int, pictures: Sequence[Path]) -> None:
    figures = _figures(results)
    if figures["reward_of_best"] is not None:
        told = "reward" if len(results) == 1 else f"{len(results)} tasks, mean reward"
        typer.echo(
            f"best of {num_edits}: {told} {figures['reward_of_best']:.3f}; of all "
            f"{figures['reward_of_all']:.3f}, of the first drawn {figures['reward_of_first']:.3f}"
        )
    if figures["num_failed"]:
        typer.echo(f"without a judgement: {figures['num_failed']} edits")
    best = [results[0].picture] if len(results) == 1 else []
    typer.echo(f"to look at: {', '.join(map(str, [*best, *pictures]))}")


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
