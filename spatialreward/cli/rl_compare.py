"""``spatialreward rl compare``: is one editor better than another?"""

import json
import math
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.data_options import make_out
from spatialreward.cli.editor_options import EDITORS, editor_folder
from spatialreward.cli.judge_options import JUDGES, AdapterFolder, Mode, ProtocolName
from spatialreward.cli.setting_options import changes_of
from spatialreward.errors import InvalidInputError

if TYPE_CHECKING:
    from spatialreward.world.editor_evaluation import EditorFigures


def compare(
    before: Annotated[
        str, typer.Option(metavar="EDITOR", help=f"The editor to compare with: {EDITORS}.")
    ],
    after: Annotated[str, typer.Option(metavar="EDITOR", help="The other editor, named alike.")],
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="JUDGE", help=f"Show this judge's opinion beside the oracle's: {JUDGES}."
        ),
    ] = None,
    adapter: AdapterFolder = None,
    protocol: ProtocolName = None,
    mode: Mode = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw a sheet of edits of each editor to this folder."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Settings in the tables evaluation, world and adaptation.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, changes_of("a setting", "evaluation.num_instructions=64")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Have two editors carry out the same held-out instructions, and compare them.

    Those are the generated world's, or of the data set or file that evaluation.prompts names. Both
    start from the same noise. The world's oracle, which knows the truth, scores them, elsewhere the
    judge. The mean difference has an interval of 95 %: a gain that begins above 0 is no chance. A
    judge whose opinion rises while the oracle's does not is being gamed. Of a LoRA --before is the
    base.

    The pipeline's step compare-editors does the same. On public benchmarks: evaluate-editor.

    Example: spatialreward rl compare --before editor --after tuned/editor --out sheets
    """
    from spatialreward.benchmarks.config import EditorEvaluationConfig
    from spatialreward.ops.config import EditorEvaluationStep
    from spatialreward.ops.overrides import Table, settings_over
    from spatialreward.world.config import DataConfig

    usual = EditorEvaluationStep(evaluation=EditorEvaluationConfig(), world=DataConfig())
    settings = settings_over(usual, [Table.read(config)] if config else [], overrides or [])
    if judge is None and (adapter or protocol or mode):
        raise InvalidInputError(
            "--adapter, --protocol and --mode are about a judge: give --judge, too"
        )
    if out is not None:
        make_out(out)
    folders = editor_folder(before, "--before"), editor_folder(after, "--after")
    from spatialreward.judges.load import load_judge
    from spatialreward.visuals import sample_sheet
    from spatialreward.world.editor_evaluation import compare_editors

    how = {"adapter": adapter, "protocol": protocol, "mode": mode}
    opened = load_judge(judge, **how) if judge else nullcontext()
    with opened as judging:
        compared = compare_editors(
            *folders, settings.world, settings.evaluation, judging, settings.adaptation
        )
    if out is not None:
        for name, rows in (("before", compared.rows_before), ("after", compared.rows_after)):
            sample_sheet(rows).save(out / f"{name}.png")
    _print(compared.figures, json_output)


def _print(figures: "EditorFigures", json_output: bool) -> None:
    # JSON knows no NaN: what no judge was asked for is left out.
    known = {name: value for name, value in figures._asdict().items() if math.isfinite(value)}
    if json_output:
        typer.echo(json.dumps(known))
        return
    for name, value in known.items():
        typer.echo(
            f"{name:22} {value:+.4f}" if name.startswith("gain") else f"{name:22} {value:.4f}"
        )
