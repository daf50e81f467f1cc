"""What commands that measure have in common: tables of figures, prices, where to log."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from rich.table import Table

    from spatialreward.benchmarks.results import Comparison, MetricRow, PairedRow, Price

_ADDRESS = "MLFLOW_TRACKING_URI"

TrackingServer = Annotated[
    str | None,
    typer.Option(metavar="URI", help=f"Log the report there. Default: {_ADDRESS}, if set."),
]


def use_tracking_server(address: str | None) -> None:
    """Log to a server if one is named."""
    if address is not None:
        os.environ[_ADDRESS] = address


def price_of(amounts: str, expected: str) -> "Price":
    """Read ``IN,OUT``, what a million tokens cost.

    Raises:
        InvalidInputError: that is no price; the message begins with ``expected``.
    """
    from spatialreward.benchmarks.results import Price

    try:
        prompt, completion = map(float, amounts.split(","))
    except ValueError:
        raise InvalidInputError(f"{expected}, what a million tokens cost, such as 2.5,10") from None
    return Price(prompt, completion)


def _is_whole(row: "MetricRow | PairedRow") -> bool:
    """Whether a figure is of all rows; those of parts are in the report."""
    return "/" not in row.name


def metrics_table(metrics: "Sequence[MetricRow]") -> "Table":
    """Figures of all rows under both rules."""
    from rich.table import Table
    from rich.text import Text

    from spatialreward.benchmarks.page import shown, shown_interval

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for heading in ("reference rules", "ours", "95 % interval", "rows"):
        table.add_column(heading, justify="right")
    for row in filter(_is_whole, metrics):
        num_rows = "" if row.num_rows is None else f"{row.num_rows:,}"
        ours = Text(shown(row.ours), "bold")
        table.add_row(row.name, shown(row.reference), ours, shown_interval(row.interval), num_rows)
    return table


def comparison_table(comparison: "Comparison") -> "Table":
    """Differences of figures of all rows, with the paired test."""
    from rich.table import Table
    from rich.text import Text

    from spatialreward.benchmarks.page import shown, shown_interval

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for heading in ("difference", "95 % interval", "p", "prompts"):
        table.add_column(heading, justify="right")
    for row in filter(_is_whole, comparison.rows):
        cells = (shown_interval(row.interval), f"{row.p_value:.4f}", f"{row.num_prompts:,}")
        table.add_row(row.name, Text(shown(row.difference), "bold"), *cells)
    return table
