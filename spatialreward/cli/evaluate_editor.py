"""``spatialreward evaluate-editor``: editors on public benchmarks, side by side."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.data_options import make_out
from spatialreward.cli.editor_options import EDITORS, editor_folder
from spatialreward.cli.figure_options import (
    TrackingServer,
    comparison_table,
    metrics_table,
    price_of,
    use_tracking_server,
)
from spatialreward.cli.judge_options import JUDGES, AdapterFolder, Mode, Passes, ProtocolName
from spatialreward.cli.setting_options import changes_of
from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from spatialreward.benchmarks.editors.evaluation import Entrant
    from spatialreward.benchmarks.editors.results import EditorBenchmarkReport

_RESULTS = "results:"


class Language(StrEnum):
    """Languages of GEdit-Bench's instructions."""

    EN = "en"
    CN = "cn"


def evaluate_editor(
    editor: Annotated[
        list[str],
        typer.Option(
            metavar="EDITOR",
            help=f"Editor to measure: {EDITORS}, or {_RESULTS}DIR, pictures that are there in the "
            "benchmark's layout. The first is the base, with which the others are compared.",
        ),
    ],
    judge: Annotated[
        str,
        typer.Option("--judge", "--model", metavar="JUDGE", help=f"Judge that grades: {JUDGES}."),
    ],
    benchmark: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PLACE",
            help="What to measure on: gedit=DIR (a folder as published, or "
            "hub:OWNER/NAME@REVISION), imgedit=DIR or imgedit-uge=DIR (the metadata with its "
            "pictures beside it).",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder for report.json, report.md, plots, each editor's pictures and grades; "
            "the folder of a killed run goes on.",
        ),
    ],
    language: Annotated[
        list[Language] | None,
        typer.Option(
            metavar="en|cn",
            show_default="both",
            help="Language of GEdit-Bench's instructions; may be repeated.",
        ),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Ask a judge behind an address by ImgEdit-Bench's own grader prompts: "
            "imgedit=prompts.json, imgedit-uge=UGE_bench.py.",
        ),
    ] = None,
    adapter: AdapterFolder = None,
    protocol: ProtocolName = None,
    passes: Passes = 1,
    mode: Mode = None,
    resize_to_source: Annotated[
        bool | None,
        typer.Option(
            help="Bring edited pictures to the size of their source before they are graded.",
            show_default="as the benchmark does: for gedit yes, for imgedit no",
        ),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(
            metavar="IN,OUT",
            help="Price of a million tokens read and of a million written, in any currency, for a "
            "judge behind an address, such as 2.5,10.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings: num_retries and the table sampling."),
    ] = None,
    overrides: Annotated[
        list[str] | None, changes_of("a setting", "sampling.num_denoising_steps=28")
    ] = None,
    mlflow: TrackingServer = None,
) -> None:
    """Have editors carry out the tasks of public benchmarks, and grade what they make of them.

    Each figure stands there twice: by the published arithmetic, and by ours, in which missing
    edits and unreadable grades count. All editors start from the same noise, and each is compared
    with the first one task by task. Pictures and grades are written as they come, so the same
    command goes on with a run that was killed.

    In the generated world, whose oracle knows the truth: rl compare.

    Example: spatialreward evaluate-editor --editor editor --editor tuned --judge pixels
    --benchmark gedit=GEdit-Bench --out build/gedit
    """
    from spatialreward.benchmarks.contestants import How
    from spatialreward.benchmarks.editors.config import EditorBenchmarkSettings
    from spatialreward.benchmarks.editors.evaluation import Grading
    from spatialreward.benchmarks.editors.gedit import LANGUAGES
    from spatialreward.benchmarks.editors.load import NamedEditorBenchmark, read_rubric
    from spatialreward.ops.editor_benchmarks import EditorPlan, run_editor_evaluation
    from spatialreward.ops.overrides import Table, settings_over

    tables = [Table.read(config)] if config else []
    grading = Grading(
        judge=judge,
        how=How(adapter, protocol, passes, mode),
        rubrics=dict(map(read_rubric, prompts or ())),
        resize_to_source=resize_to_source,
        price=None if price is None else price_of(price, f"--price {price}: expected IN,OUT"),
    )
    plan = EditorPlan(
        entrants=list(map(_entrant, editor)),
        benchmarks=[NamedEditorBenchmark.parse(one) for one in benchmark],
        grading=grading,
        out=out,
        settings=settings_over(EditorBenchmarkSettings(), tables, overrides or []),
        languages=[one.value for one in language] if language else LANGUAGES,
    )
    use_tracking_server(mlflow)
    make_out(out)
    report = run_editor_evaluation(plan, lambda told: typer.echo(f"note: {told}", err=True))
    for one in report.benchmarks:
        _print(one)
    for one in report.missing:
        where = " on ".join(filter(None, (one.editor, one.benchmark)))
        typer.echo(f"missing: {where}: {one.reason}", err=True)
    typer.echo(f"written to {out / 'report.json'} and {out / 'report.md'}")
    if report.missing:
        raise typer.Exit(1)


def _entrant(editor: str) -> "Entrant":
    from spatialreward.benchmarks.editors.evaluation import Entrant

    if not editor.startswith(_RESULTS):
        return Entrant(editor, editor_folder(editor, "--editor"))
    folder = Path(editor.removeprefix(_RESULTS))
    if not folder.is_dir():
        raise InvalidInputError(f"--editor {editor}: there is no such folder")
    return Entrant(editor, folder, is_results=True)


def _print(report: "EditorBenchmarkReport") -> None:
    from spatialreward.benchmarks.editors.page import (
        drawing_in_words,
        lacking_in_words,
        named,
        sampler_in_words,
    )
    from spatialreward.benchmarks.page import cost_in_words
    from spatialreward.figures import figures_console

    console = figures_console()
    typer.echo(f"\n{report.title}: {report.num_tasks:,} tasks, graded by {report.grader}")
    typer.echo(f"reference rules: {report.reference_rules}")
    for result in report.editors:
        typer.echo(f"\n{named(result)}: {lacking_in_words(result)}")
        typer.echo(f"sampler: {sampler_in_words(result.sampler)}")
        typer.echo(f"drawing: {drawing_in_words(result.sampler)}")
        typer.echo(f"cost of grading: {cost_in_words(result.cost)}")
        console.print(metrics_table(result.metrics))
        if result.missing:
            task, reason = result.missing[0]
            typer.echo(f"missing: {len(result.missing):,}, the first: {task}: {reason}", err=True)
    for comparison in report.comparisons:
        typer.echo(f"\n{comparison.second} minus {comparison.first}, ours")
        console.print(comparison_table(comparison))
    if report.left_out:
        where, reason = report.left_out[0]
        typer.echo(f"left out: {len(report.left_out):,}, the first: {where}: {reason}", err=True)
