"""``spatialreward benchmark``: what is measured of one judge beside its answers' order."""

import typer

from spatialreward.cli.benchmark_attention import attention
from spatialreward.cli.benchmark_modes import modes
from spatialreward.cli.benchmark_trust import trust

app = typer.Typer(
    no_args_is_help=True,
    help="Attack a judge, and see where it looks. On benchmarks of edits: evaluate.",
)

app.command()(trust)
app.command()(attention)
app.command()(modes)
