"""``spatialreward data``: build, look at and check training data."""

import os
from pathlib import Path
from typing import Annotated

import typer

from spatialreward.cli.verdict import check_pictures
from spatialreward.errors import InvalidInputError

app = typer.Typer(
    no_args_is_help=True,
    help="Training data: from any edit data set to annotated, filtered, packed shards.",
)
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a packed data set.")]


@app.command()
def build(
    config: Annotated[
        Path, typer.Argument(metavar="TOML", help="What to build; docs/data.md has examples.")
    ],
    out: Annotated[
        Path, typer.Option(help="New folder, or one of an unfinished build to go on with.")
    ],
    workers: Annotated[
        int, typer.Option(min=1, help="Shards to work on side by side. Default: the cores.")
    ] = os.cpu_count() or 1,
) -> None:
    """Build a packed data set on this machine.

    A build that was stopped or killed goes on with the same command, and pays no teacher twice.
    Rows that cannot be used stand in OUT/*.rejects.jsonl with their reasons.

    Example: spatialreward data build edits.toml --out data/edits
    """
    from spatialreward.data.corpus.config import CorpusConfig
    from spatialreward.data.corpus.running import build_corpus
    from spatialreward.ops.config import read_toml

    manifest = build_corpus(read_toml(CorpusConfig, config), out, workers=workers)
    _show(manifest.counts, manifest.left_out)
    typer.echo(f"{manifest.num_edits:,} edits are in {out}; {out / 'README.md'} is their card")


@app.command()
def regions(
    source: Annotated[Path, typer.Argument(help="Picture before the edit.")],
    edited: Annotated[Path, typer.Argument(help="Picture after it.")],
    picture: Annotated[
        Path | None, typer.Option(help="PNG to write: both pictures, the mask and the regions.")
    ] = None,
) -> None:
    """Say where two pictures differ, from their pixels alone, as JSON.

    Boxes are in 0..1000 of the edited picture's width and height.

    Example: spatialreward data regions before.jpg after.jpg --picture regions.png
    """
    from spatialreward.data.regions.proposal import changed_mask, propose
    from spatialreward.images import load_image

    if picture is not None:
        check_pictures([picture], [source, edited], "--picture")
    before, after = load_image(source), load_image(edited)
    prior = propose(before, after)
    typer.echo(prior.model_dump_json(indent=2))
    if picture is not None:
        from spatialreward.data.regions.drawing import draw_prior

        draw_prior(before, after, prior, changed_mask(before, after)).save(picture)


@app.command()
def verify(folder: Folder) -> None:
    """Check that every shard is the file that the manifest says, by size and SHA-256.

    Example: spatialreward data verify data/edits
    """
    from spatialreward.data.packing.manifest import verify as verify_all

    manifest = verify_all(folder)
    typer.echo(f"{len(manifest.shards):,} shards with {manifest.num_edits:,} edits are unharmed")


@app.command()
def index(
    config: Annotated[
        Path, typer.Argument(metavar="TOML", help="The benchmark: `name` and `source`.")
    ],
    out: Annotated[Path, typer.Option(help="JSON file to write, for a build's `benchmarks`.")],
) -> None:
    """Make an index of an evaluation benchmark, whose overlap a build then leaves out.

    The TOML has `name` and, as in a build, `source`; a build names the index in `benchmarks`.

    Example: spatialreward data index gedit.toml --out gedit.json
    """
    if not out.parent.is_dir():
        raise InvalidInputError(f"--out {out}: there is no directory {out.parent}")
    from spatialreward.data.corpus.benchmarks import BenchmarkConfig, index_benchmark
    from spatialreward.ops.config import read_toml

    index = index_benchmark(read_toml(BenchmarkConfig, config))
    index.write(out)
    typer.echo(f"{len(index.items):,} items of the benchmark are in {out}")


@app.command()
def presets() -> None:
    """List the published data sets whose columns are known.

    A build reads one with its name as `columns`.

    Example: columns = "magicbrush"
    """
    from spatialreward.data.sources.presets import PRESETS

    for name, preset in PRESETS.items():
        typer.echo(f'columns = "{name}"\n  {preset.hub_id}: {preset.form}')
        if len(preset.columns) > 1:
            typer.echo(f"  {len(preset.columns)} edits a row")
        if preset.assumed:
            typer.echo(f"  assumed, look at its first edits: {preset.assumed}")


def _show(counts: dict[str, int], left_out: dict[str, int]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("edits", "", box=None)
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    for reason, count in sorted(left_out.items(), key=lambda item: -item[1]):
        table.add_row(f"left out: {reason}", f"{count:,}")
    Console().print(table)
