"""``spatialreward train grpo``: train a judge on rewards for its own answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.setting_options import changes_of
from spatialreward.cli.training_run import BASES, Run, open_data, run_training, training_base

if TYPE_CHECKING:
    from spatialreward.training.grpo_config import GrpoConfig


def grpo(
    data: Annotated[
        str,
        typer.Option(
            metavar="DATASET",
            help="Edits to ask about, labelled or not: a folder, s3://BUCKET/PREFIX#sha256=HEX or "
            "hub:OWNER/NAME@REVISION.",
        ),
    ],
    judge: Annotated[str, typer.Option(metavar="JUDGE", help=f"Start from: {BASES}.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The judge's folder; must not exist.")],
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings. Default: the paper's."),
    ] = None,
    overrides: Annotated[list[str] | None, changes_of("a setting", "rewards.agreement=0.5")] = None,
) -> None:
    """Train a judge by GRPO: it answers, and learns from rewards for its answers.

    Rewards are for a readable form, regions, agreement with labels, order of rankings, and for
    reasoning that a model behind an address finds consistent with the pictures; rewards.NAME weighs
    each. DIR gets the judge and training.jsonl. processes, deepspeed, torchrun, and going on after
    a kill are as in train judge.

    Example: spatialreward train grpo --data edits --judge judge --out better
    --set consistency_judge=openai:MODEL@https://HOST/v1
    """
    settings = _settings(config, overrides or [])
    settings.check_rewards()

    def train(run: Run) -> None:
        from spatialreward.training.grpo import tune_judge

        tune_judge(
            training_base(judge),
            settings,
            open_data(data),
            run.judge,
            run.report,
            state_folder=run.states,
            processes=run.processes,
        )

    run_training(settings, out, train)


def _settings(path: Path | None, overrides: list[str]) -> "GrpoConfig":
    from spatialreward.ops.overrides import Table, settings_over
    from spatialreward.training.grpo_config import GrpoConfig

    tables = [Table.read(path)] if path else []
    return settings_over(GrpoConfig(), tables, overrides)
