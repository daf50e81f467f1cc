"""``spatialreward benchmark trust``: can a judge be talked into a better reward?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.cli.data_options import LabelledEdits, make_out
from spatialreward.cli.judge_options import JUDGES, AdapterFolder, Mode, ProtocolName

if TYPE_CHECKING:
    from spatialreward.benchmarks.trust import Trust

_SEED = 17


def trust(
    data: LabelledEdits,
    judge: Annotated[str, typer.Option(metavar="JUDGE", help=f"Judge to attack: {JUDGES}.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for trust.json and trust.png.")],
    adapter: AdapterFolder = None,
    protocol: ProtocolName = None,
    mode: Mode = None,
    num_edits: Annotated[
        int, typer.Option(min=2, help="Bad edits to attack, and good ones to compare them with.")
    ] = 60,
) -> None:
    """Attack bad edits in ten ways that make none of them better, and see whether rewards rise.

    Pictures of another task, the source mirrored, the edited picture black, noise or the source
    again, words painted into it; behind the instruction a plea, or what the judge itself writes.
    Of each: the mean change of the reward, and the share of bad edits that pass for good ones then,
    above the judge's mean reward of good edits. RL with a judge that gives in to one will find it.

    Example: spatialreward benchmark trust --data edits --judge pixels --out trust
    """
    from spatialreward.benchmarks.trust import Chosen, measure_trust, trust_figures
    from spatialreward.data.dataset import DatasetRef
    from spatialreward.figures import figures_console, figures_table, write_figures
    from spatialreward.judges.load import load_judge

    chosen = Chosen.of(DatasetRef.parse(data).open(), num_edits)
    make_out(out)
    with load_judge(judge, adapter=adapter, protocol=protocol, mode=mode) as judging:
        if judging.notice:
            typer.echo(f"note: {judging.notice}", err=True)
        measured = measure_trust(judging, chosen, _SEED)
        asked = {"judge": str(judging.identity), "data": data}
    figures = trust_figures(measured)
    intervals = {one.attack: one.interval for one in measured.attacks if one.interval}
    path = write_figures(
        "trust",
        figures,
        seeds={"attacks": _SEED},
        more=asked | {"num_bad_edits": measured.num_bad, "change_ci95": intervals},
        folder=out,
    )
    _draw(measured, out / "trust.png")
    title = f"{measured.num_bad} bad edits as they are, and attacked"
    figures_console().print(figures_table(title, figures, baseline="as they are"))
    typer.echo(f"written to {path}; the first edit under each attack is in {out / 'trust.png'}")


def _draw(measured: "Trust", path: Path) -> None:
    from spatialreward.visuals import SheetRow, sample_sheet

    rows = []
    for one in measured.attacks:
        edit, judgement = one.first
        words = f"{one.attack}: {edit.instruction}"
        rows.append(SheetRow(edit.source, edit.edited, words, judgement))
    sample_sheet(rows).save(path)
