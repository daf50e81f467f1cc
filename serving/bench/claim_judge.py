"""``python -m serving.bench.claim_judge``: a judge with regions against its four alternatives."""

from pathlib import Path
from typing import Annotated

import typer

from spatialreward.cli.command import SingleCommand, configure_logging
from spatialreward.cli.setting_options import changes_of

app = typer.Typer(pretty_exceptions_enable=False)


@app.command(cls=SingleCommand)
def main(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Keeps everything; the same command goes on in it.")
    ] = Path("build/claim-judge"),
    base: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="What all judges start from: a checkpoint of `spatialreward train base`, which "
            "only describes. Default: it is made first, which takes an hour.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, changes_of("a setting", "training.num_samples=6000 or seeds=[11,12]")
    ] = None,
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Train judges of five kinds from one base on the same edits, and measure each; <= 3 hours.

    The kinds: regions, reasoning and scores; no regions; scores alone; a scalar head alone; and
    regions while training, a scalar head while judging. Each of three seeds. Prints means over
    seeds with 95 % intervals, and the lead of the first kind over the best of the others; writes
    claim-judge.json, and claim.png.
    """
    configure_logging(verbose=verbose)
    from spatialreward.figures import figures_console, figures_table, write_figures
    from spatialreward.ops.overrides import settings_over
    from spatialreward.world.claim.comparing import claim_figures, tabulate
    from spatialreward.world.claim.config import ClaimConfig
    from spatialreward.world.claim.picture import draw_claim
    from spatialreward.world.claim.running import ClaimFolder

    config = settings_over(ClaimConfig(), [], overrides or [])
    table = tabulate(ClaimFolder(out, config, base).run())
    ours, *_ = config.kinds
    figures = claim_figures(table, ours)
    path = write_figures(
        "claim-judge",
        figures,
        seeds={f"training_{place}": seed for place, seed in enumerate(config.seeds)},
        more={"settings": config.model_dump(mode="json"), "by_seed": table},
    )
    draw_claim(table, config.kinds).save(out / "claim.png")
    title = f"judges of {len(config.kinds)} kinds, {len(config.seeds)} seeds each"
    figures_console().print(figures_table(title, figures))
    typer.echo(f"written to {path}; to look at: {out / 'claim.png'}")


if __name__ == "__main__":
    app()
