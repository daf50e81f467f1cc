"""``spatialreward benchmark attention``: where does a judge look while it writes?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.data_options import LabelledEdits, make_out
from spatialreward.cli.judge_options import ProtocolName

if TYPE_CHECKING:
    from spatialreward.benchmarks.attention import Attention


def attention(
    data: LabelledEdits,
    judge: Annotated[
        str,
        typer.Option(
            metavar="JUDGE",
            help="A Qwen-VL checkpoint: a folder, hub:OWNER/NAME@REVISION, models:/NAME@ALIAS or "
            "models:/NAME/VERSION.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for attention.json and attention.png.")
    ],
    protocol: ProtocolName = None,
    num_edits: Annotated[int, typer.Option(min=1, help="Edits to run over.")] = 32,
) -> None:
    """Measure how much attention goes to source, edited picture, its regions, and text, by layer.

    The checkpoint reads the known answers of labelled edits, so two judges are measured on the same
    words. attention/source_share is the one number: of the attention that goes to pictures while
    scores are written, the share of the source. 0.5 is even; near 0 the source is neglected.

    Example: spatialreward benchmark attention --data edits --judge judge --out attention
    """
    from spatialreward.benchmarks.attention import attention_figures, measure_attention
    from spatialreward.data.dataset import DatasetRef
    from spatialreward.figures import figures_console, figures_table, write_figures
    from spatialreward.judges.load import fetch

    edits = DatasetRef.parse(data).open()
    make_out(out)
    measured = measure_attention(fetch(judge).folder, edits, num_edits, protocol)
    figures = attention_figures(measured)
    by_layer = {part: shares.tolist() for part, shares in measured.shares.items()}
    path = write_figures(
        "attention",
        figures,
        seeds={},
        more={"judge": judge, "data": data, "num_edits": measured.num_edits, "by_layer": by_layer},
        folder=out,
    )
    _draw(measured, out / "attention.png")
    title = f"attention over {measured.num_edits} known answers, mean of layers"
    figures_console().print(figures_table(title, figures, baseline="even"))
    typer.echo(f"written to {path}; by layer in {out / 'attention.png'}")


def _draw(measured: "Attention", path: Path) -> None:
    from spatialreward.benchmarks.attention import PLACES
    from spatialreward.visuals.charts import reward_curve

    curves = {place: measured.of("scores", place).tolist() for place in PLACES}
    title = "Attention while scores are written"
    reward_curve(curves, title, x_label="layer", y_label="share of attention").save(path)
