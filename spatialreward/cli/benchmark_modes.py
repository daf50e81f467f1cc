"""``spatialreward benchmark modes``: a joint judge's scalar head beside its written answers."""

import itertools
from typing import Annotated

import typer

from spatialreward.cli.data_options import LabelledEdits
from spatialreward.cli.judge_options import AdapterFolder, ProtocolName


def modes(
    data: LabelledEdits,
    judge: Annotated[
        str,
        typer.Option(
            metavar="JUDGE",
            help="A judge of kind joint: a folder, hub:OWNER/NAME@REVISION, models:/NAME@ALIAS or "
            "models:/NAME/VERSION.",
        ),
    ],
    adapter: AdapterFolder = None,
    protocol: ProtocolName = None,
    num_edits: Annotated[int, typer.Option(min=2, help="Edits to judge.")] = 192,
    rounds: Annotated[
        int, typer.Option(min=1, help="Timed rounds, behind one that warms up; medians are shown.")
    ] = 3,
) -> None:
    """Judge the same edits with written answers and with the scalar head: speed and agreement.

    Kendall's tau between the two says how far the head orders edits as the answers do; tau with the
    labels says which of them is nearer the truth. The head's target is ten times as many edits a
    second. Figures go to build/figures/modes.json.

    Example: spatialreward benchmark modes --data edits --judge judge
    """
    from spatialreward.benchmarks.modes import mode_figures, time_modes
    from spatialreward.data.dataset import DatasetRef
    from spatialreward.data.tasks import edit_to_judge
    from spatialreward.figures import figures_console, figures_table, write_figures
    from spatialreward.judges.load import load_judge
    from spatialreward.records import JudgeMode

    labelled = [
        edit
        for edit in itertools.islice(DatasetRef.parse(data).open(), num_edits)
        if edit.sources and edit.edited
    ]
    edits = [edit_to_judge(edit) for edit in labelled]
    with (
        load_judge(judge, adapter=adapter, protocol=protocol, mode="reason") as written,
        load_judge(judge, adapter=adapter, protocol=protocol, mode="scalar") as head,
    ):
        judges = {JudgeMode.REASON: written, JudgeMode.SCALAR: head}
        timed = time_modes(judges, edits, rounds)
        asked = {"judge": str(written.identity), "data": data, "num_edits": len(edits)}
    figures = mode_figures(timed, [edit.label for edit in labelled])
    path = write_figures("modes", figures, seeds={}, more=asked | {"rounds": rounds})
    title = f"scalar head beside written answers, {len(edits)} edits, median of {rounds} rounds"
    figures_console().print(figures_table(title, figures, baseline="written"))
    typer.echo(f"written to {path}")
