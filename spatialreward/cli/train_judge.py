"""``spatialreward train judge``: fine-tune a checkpoint on labelled edits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.data_options import LabelledEdits
from spatialreward.cli.setting_options import changes_of
from spatialreward.cli.training_run import BASES, Run, open_data, run_training, training_base

if TYPE_CHECKING:
    from spatialreward.training.config import JudgeTrainingConfig


def judge(
    data: LabelledEdits,
    base: Annotated[str, typer.Option(metavar="JUDGE", help=f"Start from: {BASES}.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The judge's folder; must not exist.")],
    drawn: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET", help="Edits that an editor drew; drawn_share says how many."
        ),
    ] = None,
    rankings: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Rankings, as `data build` packs preferences; for kind=discriminative and "
            "kind=joint. Those of --data count by themselves.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Settings, as the table judge.training of a pipeline's profile has them. "
            "Default: those of the tiny judge.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, changes_of("a setting", "optimiser.learning_rate=1e-4")
    ] = None,
) -> None:
    """Fine-tune a checkpoint into a judge: regions, reasoning and scores of labelled edits.

    DIR gets weights, tokenizer, protocol and card, and training.jsonl with losses and speed. With
    tuning.kind=lora low-rank matrices are trained and merged; with processes=N or deepspeed=zero2
    or zero3 this command starts N processes of this machine. On several machines, start it with
    torchrun. States are kept in DIR.training: after a kill the same command goes on. Rivals that
    write less are trained with kind=no_regions and kind=scores. With kind=discriminative the judge
    writes nothing, and a scalar head learns which edit of one task is better; with kind=joint it
    learns both, and `--mode` of other commands says which is used.

    Example: spatialreward train judge --data edits --base hub:Qwen/Qwen3-VL-2B-Instruct@main
    --set protocol=full --set tuning.kind=lora --set trains_vision=false --out judge
    """
    settings = _settings(config, overrides or [])

    def train(run: Run) -> None:
        from spatialreward.training.sft import train_judge

        train_judge(
            training_base(base),
            settings,
            open_data(data),
            run.judge,
            run.report,
            drawn=None if drawn is None else open_data(drawn),
            earlier_out=out.with_name(f"{out.name}-earlier"),
            state_folder=run.states,
            processes=run.processes,
            rankings=None if rankings is None else open_data(rankings),
        )

    run_training(settings, out, train)


def _settings(path: Path | None, overrides: list[str]) -> "JudgeTrainingConfig":
    from spatialreward.ops.overrides import Table, settings_over
    from spatialreward.training.config import JudgeTrainingConfig

    tables = [Table.read(path)] if path else []
    return settings_over(JudgeTrainingConfig(), tables, overrides)
