"""``spatialreward rl``: fine-tune an editor with a judge's rewards."""

import contextlib
import logging
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatialreward.cli.editor_options import EDITORS, editor_folder
from spatialreward.cli.judge_options import JUDGES, AdapterFolder, Mode, Passes, ProtocolName
from spatialreward.cli.rl_compare import compare
from spatialreward.cli.rl_plan import has_plan, plan, told_of
from spatialreward.cli.rl_settings import rl_settings
from spatialreward.cli.setting_options import changes_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from spatialreward.judges.interface import Judging
    from spatialreward.ops.config import EditorRlStep
    from spatialreward.progress import ReportMetrics
    from spatialreward.rl.prompts import PromptSource
    from spatialreward.rl.rewards import Rewards
    from spatialreward.rl.run_folder import RunFolder
    from spatialreward.rl.types import Watch
    from spatialreward.training.processes import Processes

logger = logging.getLogger(__name__)
_ROWS_ON_A_SHEET = 12
_STEPS_OF_A_MEAN = 5

app = typer.Typer(
    no_args_is_help=True,
    help="Fine-tune an editor with a judge's rewards, and see whether it is better.",
)


@app.command()
def train(
    editor: Annotated[
        str,
        typer.Option(metavar="EDITOR", help=f"Start from: {EDITORS}."),
    ],
    judge: Annotated[str, typer.Option(metavar="JUDGE", help=f"Reward with: {JUDGES}.")],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="New folder, or one of an unfinished training to go on."),
    ],
    adapter: AdapterFolder = None,
    protocol: ProtocolName = None,
    passes: Passes = 1,
    mode: Mode = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Edits whose source pictures and instructions are asked for: a folder, "
            "s3://BUCKET/PREFIX#sha256=HEX, hub:OWNER/NAME@REVISION, or a file TASKS.jsonl with "
            "id, source and instruction a line. Default: tasks of the generated world.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Settings in the tables rl and world, as a pipeline's profile has them, and in "
            "adaptation those of its table editor of kind published.",
        ),
    ] = None,
    overrides: Annotated[list[str] | None, changes_of("a setting", "rl.num_steps=3")] = None,
) -> None:
    """Fine-tune an editor: draw groups of edits, have them judged, make better ones more likely.

    Of an editor with published weights a LoRA is trained, of the tiny one all weights.

    DIR gets the editor and its card in editor/, a line of metrics a step in metrics.jsonl, the
    curve of rewards, and edits of unseen tasks before and after, with the judge's opinion. Every
    few steps held-out prompts are looked at, with sheets in watch/: the editor that is kept is the
    best of these looks by a judge that is not trained on, and gaming the trained one ends it. The
    state is kept every few steps: after a kill the same command goes on, with the same judge only.

    The pipeline's step finetune-editor does the same with the served judge.

    Example: spatialreward rl train --editor editor --judge oracle --set rl.num_steps=20 --out tuned
    """
    from spatialreward.rl.run_folder import RunFolder
    from spatialreward.training.processes import joined, needs_start, run_together

    settings = rl_settings(config, overrides or [], data)
    folder = RunFolder.checked(out)
    start = editor_folder(editor, "--editor")
    if needs_start(settings.rl):
        run_together(settings.rl.processes, "spatialreward.cli", sys.argv[1:])
        typer.echo(f"the editor and its card are in {folder.editor}")
        return
    from spatialreward.editors.load import open_policy
    from spatialreward.judges.load import load_judge
    from spatialreward.rl.training import finetune_editor
    from spatialreward.world.prompts import open_prompts

    how = {"adapter": adapter, "protocol": protocol, "passes": passes, "mode": mode}
    prompts = open_prompts(settings.rl, settings.world)
    # Before anything is put on a GPU: it says which one is this process's.
    with joined(settings.rl) as processes, load_judge(judge, **how) as judging:
        policy = open_policy(
            start, settings.adaptation, seed=settings.rl.seed, name=settings.base_name
        )
        # A judge that cannot be opened leaves no folder that holds to its settings.
        with _opened(settings, folder, judging, processes) as (reward, watch):
            if processes.is_first:
                folder.hold_to(_what_it_follows_from(settings, start, judging))
            if processes.from_first(folder.is_finished):
                if processes.is_first:
                    typer.echo(
                        f"{folder.editor} is finished; for another training use a new folder"
                    )
                return
            if processes.is_first:
                if judging.notice:
                    typer.echo(f"note: {judging.notice}", err=True)
                if has_plan(start):
                    typer.echo(told_of(settings, start), err=True)
            rewards = finetune_editor(
                settings.rl,
                policy,
                folder.unfinished_editor,
                reward,
                prompts,
                _reporting(folder, settings.rl.num_steps),
                resume_file=folder.resume_file,
                watch=watch,
                processes=processes,
                lineage=_lineage(settings, start),
            )
        if not processes.is_first:
            return
        pictures = _draw(settings, start, folder, judging, prompts, rewards)
    folder.finish(folder.unfinished_editor)
    typer.echo(_summary(rewards))
    typer.echo(f"the editor and its card are in {folder.editor}, metrics in {folder.metrics.path}")
    typer.echo(f"to look at: {', '.join(map(str, pictures))}")


app.command()(compare)
app.command()(plan)


def _what_it_follows_from(
    settings: "EditorRlStep", editor: Path, judging: "Judging"
) -> dict[str, Any]:
    from spatialreward.folder_manifest import digest_folder
    from spatialreward.ops.config import flatten
    from spatialreward.rl.prompts import digest_of

    told = {"editor": digest_folder(editor), "judge": str(judging.identity)}
    for name, prompts in (("data", settings.rl.prompts), ("watched", settings.rl.watch.prompts)):
        digest = digest_of(prompts) if prompts else None
        if digest is not None:
            # What lies in a folder may change while its path stays.
            told[name] = digest
    return told | flatten(settings.model_dump(mode="json"))


@contextlib.contextmanager
def _opened(
    settings: "EditorRlStep", folder: "RunFolder", judging: "Judging", processes: "Processes"
) -> Iterator[tuple["Rewards", "Watch | None"]]:
    """The rewards and the watch, with all of their judges."""
    from spatialreward.rl.rewards import Rewards
    from spatialreward.rl.watch import watching
    from spatialreward.world.prompts import open_watched

    def show(sheet: "Image", name: str) -> None:
        path = folder.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)

    rl, watched = settings.rl, open_watched(settings.rl, settings.world)
    with (
        Rewards(rl.rewards, rl, judging) as reward,
        watching(rl, watched, reward, judging, show, processes) as watch,
    ):
        yield reward, watch


def _reporting(folder: "RunFolder", num_steps: int) -> "ReportMetrics":
    def report(metrics: dict[str, float], step: int) -> None:
        folder.metrics.report(metrics, step)
        logger.info("step %d/%d: %s", step, num_steps, _line(metrics))

    return report


def _lineage(settings: "EditorRlStep", start: Path) -> dict[str, str]:
    """What the editor follows from beside its judges, for its card."""
    named = {"prompts": settings.rl.prompts, "watched": settings.rl.watch.prompts}
    known = {name: prompts for name, prompts in named.items() if prompts}
    return {"base": settings.base_name or str(start.absolute()), **known}


def _draw(
    settings: "EditorRlStep",
    start: Path,
    folder: "RunFolder",
    judging: "Judging",
    prompts: "PromptSource",
    rewards: list[float],
) -> list[Path]:
    """Edits before and after the training, and the rewards.

    They are of tasks that the training did not come to, where prompts are not used up by it.
    """
    from itertools import chain, count, islice

    from spatialreward.editors.load import open_editor
    from spatialreward.rl.showing import rows_of
    from spatialreward.visuals import sample_sheet
    from spatialreward.visuals.charts import reward_curve

    further = chain.from_iterable(map(prompts.batch, count(settings.rl.num_steps)))
    some = islice(further, _ROWS_ON_A_SHEET)
    # Few prompts begin again on the sheet: each is on it once.
    tasks = list({task.id or number: task for number, task in enumerate(some)}.values())
    drawn = []
    for name, checkpoint in (("before", start), ("after", folder.unfinished_editor)):
        editor = open_editor(checkpoint, settings.adaptation, base=start)
        rows = rows_of(editor, tasks, settings.rl.sampling, judging, settings.rl.seed)
        drawn.append(folder.path / f"{name}.png")
        sample_sheet(rows).save(drawn[-1])
    if any(map(math.isfinite, rewards)):
        drawn.append(folder.path / "rewards.png")
        reward_curve({"reward": rewards}, "Mean reward of each step").save(drawn[-1])
    return drawn


def _line(metrics: dict[str, float]) -> str:
    watched = {
        name: f"{metrics[key]:.3f}"
        for name, key in (
            ("held-out judge", "watch/held_out_reward"),
            ("oracle", "watch/oracle_reward"),
        )
        if key in metrics
    }
    return ", ".join(f"{name} {value}" for name, value in (_of_step(metrics) | watched).items())


def _of_step(metrics: dict[str, float]) -> dict[str, str]:
    """What a step tells; of a look ahead of the first one nothing."""
    if "reward/mean" not in metrics:
        return {}
    return {
        "reward": f"{metrics['reward/mean']:.3f}",
        "within groups": f"{metrics['reward/std_within_group']:.3f}",
        "failed": f"{metrics['reward/failed_share']:.0%}",
        "kl": f"{metrics.get('policy/kl', math.nan):.2g}",
        "took": f"{metrics['time/step_s']:.1f} s",
    }


def _summary(rewards: list[float]) -> str:
    first, last = rewards[:_STEPS_OF_A_MEAN], rewards[-_STEPS_OF_A_MEAN:]
    means = [
        sum(known) / len(known) if (known := [one for one in part if math.isfinite(one)]) else None
        for part in (first, last)
    ]
    before, after = ("none" if mean is None else f"{mean:.3f}" for mean in means)
    return (
        f"mean reward of the first {len(first)} of {len(rewards)} steps {before}, "
        f"of the last {after}"
    )
