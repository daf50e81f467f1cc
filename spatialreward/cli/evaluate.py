"""``spatialreward evaluate``: measure any judge on edits whose labels are known."""

import functools
import json
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from spatialreward.cli.judge_options import JUDGES, AdapterFolder, Mode, Passes, ProtocolName
from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from spatialreward.artifacts import DocumentRef
    from spatialreward.benchmarks.judge import JudgeFigures
    from spatialreward.data.dataset import DatasetRef

_REGISTERED = "models:/"


class _Measured(NamedTuple):
    figures: "JudgeFigures"
    edits: "DatasetRef"
    report: "DocumentRef | None"


def evaluate(
    model: Annotated[str, typer.Option(metavar="JUDGE", help=f"Measure: {JUDGES}.")],
    heldout: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Edits with labels: a folder, s3://BUCKET/PREFIX#sha256=HEX or "
            "hub:OWNER/NAME@REVISION. Default, for a registered model: those on which the champion "
            "was measured.",
        ),
    ] = None,
    adapter: AdapterFolder = None,
    protocol: ProtocolName = None,
    passes: Passes = 1,
    mode: Mode = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure a judge on held-out edits: order of rewards, regions, failures by reason.

    Of a registered model on edits with a checksum a report is stored, too, and the version's tag
    `evaluation` points there: promote and deploy take only versions whose report is about their
    files. The pipeline does this before it registers a judge; do it for a version that was
    registered by hand, or that is to be measured on other edits.

    Example: spatialreward evaluate --model models:/spatial-reward/3
    """
    from spatialreward.data.dataset import DatasetRef

    edits = None if heldout is None else DatasetRef.parse(heldout)
    several = None if passes == 1 else passes
    changed = {"adapter": adapter, "protocol": protocol, "passes": several, "mode": mode}
    if _has_report(model, edits, **changed):
        from spatialreward.ops.registered import evaluate_version

        version = evaluate_version(model, edits)
        measured = _Measured(version.figures, version.edits, version.report)
    else:
        how = {"adapter": adapter, "protocol": protocol, "passes": passes, "mode": mode}
        measured = _without_report(model, edits, how)
    if json_output:
        typer.echo(_as_json(model, measured))
    else:
        _print(model, measured)


def _has_report(model: str, edits: "DatasetRef | None", **options: object) -> bool:
    """Whether a version is measured as it is registered, on edits that a report can name."""
    if not model.startswith(_REGISTERED):
        return False
    changed = [name for name, value in options.items() if value is not None]
    if changed:
        why = f"--{changed[0]} makes another judge of {model} than is registered"
    elif edits is not None and not edits.has_checksum:
        why = f"{edits} has no checksum to name the edits by"
    else:
        return True
    typer.echo(f"note: no report is stored: {why}", err=True)
    return False


def _without_report(model: str, edits: "DatasetRef | None", how: dict[str, Any]) -> _Measured:
    from spatialreward.benchmarks.judge import measure_judge
    from spatialreward.judges.load import load_judge

    if edits is None:
        raise InvalidInputError(
            f"--heldout missing: expected the edits to measure {model} on, a folder or "
            "s3://...#sha256=..."
        )
    opening = functools.partial(load_judge, model, **how)
    return _Measured(measure_judge(opening, edits.open()), edits, None)


def _as_json(model: str, measured: _Measured) -> str:
    told = {
        "judge": model,
        "edits": str(measured.edits),
        "figures": measured.figures.measured(),
        "report": None if measured.report is None else str(measured.report),
    }
    return json.dumps(told)


def _print(model: str, measured: _Measured) -> None:
    from rich.table import Table
    from rich.text import Text

    from spatialreward.figures import figures_console

    table = Table(show_edge=False, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right")
    for name, value in measured.figures.measured().items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
        table.add_row(name, Text(shown, "bold"))
    typer.echo(f"{model} on {measured.edits}")
    figures_console().print(table)
    if measured.report is not None:
        typer.echo(f"report: {measured.report}")
