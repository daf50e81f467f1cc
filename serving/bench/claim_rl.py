"""``python -m serving.bench.claim_rl``: one editor trained with each of several rewards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.command import SingleCommand, configure_logging
from spatialreward.cli.setting_options import changes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spatialreward.figures import Figure
    from spatialreward.training.config import JudgeKind
    from spatialreward.world.rl_claim.config import RlClaimConfig

app = typer.Typer(pretty_exceptions_enable=False)


@app.command(cls=SingleCommand)
def main(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Keeps everything; the same command goes on in it.")
    ] = Path("build/claim-rl"),
    judges: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of `make claim-judge`, begun with the same settings: its editor and the "
            "judges of its first seed are used, and those that are missing are made in it.",
        ),
    ] = Path("build/claim-judge"),
    base: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="What missing judges start from, as of `make claim-judge`. Default: it is made "
            "first, which takes an hour.",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings with each reward. Default: 3.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each training. Default: 50.")] = None,
    overrides: Annotated[
        list[str] | None, changes_of("a setting", "rl.group_size=12 or learning_rates=[2e-4]")
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Train one tiny editor with each of eight rewards at equal budgets; <= 3 hours on two cores.

    The rewards: a judge with regions, its advantages per region or of the whole picture; no
    regions; scores alone; a scalar head alone; a scalar head beside regions; changed pixels; and
    the world's oracle, which is the ceiling. Prints each one's gain of the oracle's reward on
    held-out prompts with 95 % intervals, differences, and shares of the ceiling's gain; writes
    claim-rl.json, claim-rl.md with the watch's findings on reward hacking, and claim-rl.png.
    """
    configure_logging(verbose=verbose)
    from spatialreward.figures import figures_console, figures_table
    from spatialreward.world.claim.running import ClaimFolder
    from spatialreward.world.rl_claim.config import RlClaimConfig
    from spatialreward.world.shipped import SHIPPED_BASE

    config = _settings(RlClaimConfig(), overrides or [], seeds, steps)
    trained = ClaimFolder(judges, config.judges, base)
    figures = measure(
        out,
        config,
        trained.editor(),
        [
            {kind: trained.judge(kind, seed) for kind in config.judge_kinds}
            for seed in config.judge_seeds
        ],
        SHIPPED_BASE,
    )
    title = f"an editor trained with {len(config.rewards)} rewards, {len(config.seeds)} seeds each"
    figures_console().print(figures_table(title, figures))
    written = ", ".join(str(out / f"claim-rl.{suffix}") for suffix in ("json", "md", "png"))
    typer.echo(f"written to {written}")


def measure(
    out: Path,
    config: "RlClaimConfig",
    editor: Path,
    judges: "Sequence[Mapping[JudgeKind, Path]]",
    held_out: Path,
) -> "list[Figure]":
    """Run the missing trainings, and write the results.

    Args:
        out: folder for all files.
        config: the comparison.
        editor: initial editor of all trainings.
        judges: for each seed, checkpoints by the judges' kinds.
        held_out: checkpoint of the judge that watches all trainings but rewards none.
    """
    from spatialreward.figures import write_figures
    from spatialreward.world.rl_claim.comparing import claim_figures, tabulate
    from spatialreward.world.rl_claim.picture import draw_gains
    from spatialreward.world.rl_claim.report import by_training, markdown, watched
    from spatialreward.world.rl_claim.running import RlClaimFolder

    claim = RlClaimFolder(out, config, editor, judges, held_out).run()
    table = tabulate(claim.trainings)
    figures = claim_figures(table)
    write_figures(
        "claim-rl",
        figures,
        seeds={f"training_{place}": seed for place, seed in enumerate(config.seeds)},
        more={
            "settings": config.model_dump(mode="json"),
            "learning_rate": claim.learning_rate,
            "watched": watched(table),
            "trainings": by_training(table),
        },
        folder=out,
    )
    (out / "claim-rl.md").write_text(markdown(config, claim, table, figures), encoding="utf-8")
    draw_gains(table).save(out / "claim-rl.png")
    return figures


def _settings(
    usual: "RlClaimConfig", overrides: list[str], seeds: int | None, steps: int | None
) -> "RlClaimConfig":
    from spatialreward.ops.overrides import settings_over

    first = usual.seeds[0]
    given = [] if seeds is None else [f"seeds={list(range(first, first + seeds))}"]
    given += [] if steps is None else [f"rl.num_steps={steps}"]
    return settings_over(usual, [], [*given, *overrides])


if __name__ == "__main__":
    app()
