"""``python -m serving.bench.parity``: our reference figures beside the published arithmetic.

Judges that answer at random, with ties, failures and gaps, judge the benchmarks' layouts in small.
Their figures under reference rules are held against ``published_arithmetic``, which works on the
result files of the published scripts and shares no code with ours.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from spatialreward.cli.command import CommandGroup, configure_logging

if TYPE_CHECKING:
    import numpy as np

    from spatialreward.benchmarks.interface import Benchmark, Judgements
    from spatialreward.figures import Figure
    from spatialreward.records import Judgement

SEED = 3
_FIXTURES = Path("../shared/data/benchmarks")
_OFFICIAL_OF_FIXTURE = 0.6
"""By MMRB2's rule its answers in the fixture are right in 6 of 10 trials."""

app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)


class Pair(NamedTuple):
    """The same figure by both."""

    name: str
    ours: float | None
    published: float | None

    @property
    def difference(self) -> float:
        """Absolute; infinite where only one of them has the figure."""
        if self.ours is None or self.published is None:
            return 0.0 if self.ours is self.published else float("inf")
        return abs(self.ours - self.published)


@app.callback(invoke_without_command=True)
def main(
    fixtures: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the published layouts in small.")
    ] = _FIXTURES,
    judges: Annotated[int, typer.Option(min=1, help="Random judges a layout.")] = 50,
) -> None:
    """Compare, print a table and write build/figures/parity.json; some seconds."""
    configure_logging()
    from spatialreward.figures import figures_console, figures_table, write_figures

    figures = measure(fixtures, judges)
    figures_console().print(figures_table("reference rules", figures))
    typer.echo(f"written to {write_figures('parity', figures, seeds={'judges': SEED})}")
    if not all(one.reached for one in figures if one.reached is not None):
        raise typer.Exit(1)


def measure(fixtures: Path, num_judges: int) -> "list[Figure]":
    """The largest difference by benchmark and over all of them.

    Raises:
        InvalidInputError: a fixture is not there.
    """
    from spatialreward.figures import Figure

    by_benchmark = {name: list(pairs(fixtures, num_judges)) for name, pairs in _COMPARED.items()}
    compared = [pair for found in by_benchmark.values() for pair in found]
    return [
        Figure.at_most("parity/largest_difference", _largest(compared), 0.0),
        *(
            Figure.at_most(f"parity/largest_difference_{name}", _largest(found), 0.0)
            for name, found in by_benchmark.items()
        ),
        Figure(name="parity/figures_compared", value=len(compared)),
    ]


def _largest(pairs: list[Pair]) -> float:
    return max(pair.difference for pair in pairs)


def _mer_bench(fixtures: Path, num_judges: int) -> Iterator[Pair]:
    from serving.bench.published_arithmetic import mer_figures, mer_results
    from spatialreward.benchmarks.mer_bench import MerBench

    folder = fixtures / "mer_bench"
    for bench in (MerBench.read(folder), MerBench.read(folder / "legacy_json")):
        for judgements in _random_judges(bench, num_judges):
            yield from _compared(bench, judgements, mer_figures(mer_results(bench, judgements)))


def _editreward_bench(fixtures: Path, num_judges: int) -> Iterator[Pair]:
    from serving.bench.published_arithmetic import editreward_figures, editreward_results
    from spatialreward.benchmarks.editreward_bench import EditRewardBench

    folder = fixtures / "editreward_bench"
    for bench in (EditRewardBench.read(folder / "arrow"), EditRewardBench.read(folder / "jsonl")):
        for judgements in _random_judges(bench, num_judges):
            figures = editreward_figures(bench, editreward_results(bench, judgements))
            yield from _compared(bench, judgements, figures)


def _mmrb2(fixtures: Path, num_judges: int) -> Iterator[Pair]:
    from serving.bench.published_arithmetic import mmrb2_figures, mmrb2_results
    from spatialreward.benchmarks.mmrb2 import Mmrb2, official_accuracy

    folder = fixtures / "mmrb2"
    for bench in (Mmrb2.read(folder / "hub"), Mmrb2.read(folder / "built")):
        for judgements in _random_judges(bench, num_judges):
            figures = mmrb2_figures(bench, mmrb2_results(bench, judgements))
            yield from _compared(bench, judgements, figures)
    built = folder / "built"
    pairs = json.loads((built / "edit.json").read_text(encoding="utf-8"))["pairs"]
    answers = json.loads((built / "judgements.json").read_text(encoding="utf-8"))
    official = official_accuracy({one["id"]: one["chosen"] for one in pairs}, answers)
    yield Pair("accuracy_official", official, _OFFICIAL_OF_FIXTURE)


def _tiger(fixtures: Path, num_judges: int) -> Iterator[Pair]:
    """Groups without pictures, which no rule looks at; half of the pairs are ties."""
    from serving.bench.published_arithmetic import tiger_figures, tiger_results
    from spatialreward.benchmarks.interface import Candidate, Item, Published
    from spatialreward.benchmarks.published import FilePicture
    from spatialreward.benchmarks.tiger_bench import TigerBench

    picture, items = FilePicture(fixtures, "none"), []
    for number, order in enumerate(_ORDERS):
        size, is_tie = len(order), len(order) == 2 and number % 2 == 0
        candidates = tuple(Candidate(f"{number}/{n}", "ABCD"[n], picture) for n in range(size))
        labels = {"dataset": f"{size}pair", "is_tie": "yes" if is_tie else "no"}
        place = tuple(range(size)) if is_tie else order
        items.append(Item(str(number), str(number), "", (), candidates, place, labels))
    for some in (items, items[:1]):
        bench = TigerBench(Published(tuple(some), ()))
        for judgements in _random_judges(bench, num_judges):
            yield from _compared(bench, judgements, tiger_figures(tiger_results(bench, judgements)))


def _vcreward_bench(fixtures: Path, num_judges: int) -> Iterator[Pair]:
    """Pairs without pictures, which no rule looks at."""
    from serving.bench.published_arithmetic import vcreward_figures
    from spatialreward.benchmarks.interface import Candidate, Item, Published
    from spatialreward.benchmarks.published import FilePicture
    from spatialreward.benchmarks.vcreward_bench import VcRewardBench

    picture, items = FilePicture(fixtures, "none"), []
    for number in range(24):
        candidates = tuple(Candidate(f"{number}/{side}", side, picture) for side in "AB")
        order, labels = ((0, 1), (1, 0))[number % 2], {"task": f"task_{number % 3}"}
        items.append(Item(str(number), str(number), "", (), candidates, order, labels))
    bench = VcRewardBench(Published(tuple(items), ()))
    for judgements in _random_judges(bench, num_judges):
        yield from _compared(bench, judgements, vcreward_figures(bench, judgements))


_ORDERS = tuple(order for size in (2, 2, 2, 3, 4) for order in itertools.permutations(range(size)))
_COMPARED: dict[str, Callable[[Path, int], Iterator[Pair]]] = {
    "mer_bench": _mer_bench,
    "editreward_bench": _editreward_bench,
    "mmrb2": _mmrb2,
    "tiger_editreward_bench": _tiger,
    "vcreward_bench": _vcreward_bench,
}


def _compared(
    bench: "Benchmark", judgements: "Judgements", published: Mapping[str, float]
) -> Iterator[Pair]:
    ours = {one.name: one.reference for one in bench.score(judgements)}
    for name in ours.keys() | published.keys():
        yield Pair(name, ours.get(name), published.get(name))


def _random_judges(bench: "Benchmark", number: int) -> Iterator[dict[str, "Judgement"]]:
    """Judges of few different scores, so that there are ties, which fail and leave out edits."""
    import numpy as np

    generator = np.random.default_rng(SEED)
    keys = {one.key for item in bench.published.items for one in item.candidates}
    for _ in range(number):
        spread, failing = generator.integers(1, 26), generator.choice([0.0, 0.1, 0.5])
        missing = generator.choice([0.0, 0.0, 0.2])
        yield {
            key: _random_judgement(generator, spread, failing)
            for key in sorted(keys)
            if generator.random() >= missing
        }


def _random_judgement(generator: "np.random.Generator", spread: int, failing: float) -> "Judgement":
    from spatialreward.errors import Failure
    from spatialreward.protocol.aggregation import Aggregation
    from spatialreward.records import Judgement, JudgementStatus, Scores

    if generator.random() < failing:
        return Judgement.failed("at random", Failure.NOT_JSON)
    names = ("editing_success", "over_editing", "naturalness", "artifact_freedom")
    drawn = generator.integers(25 - spread, 26, size=4).tolist()
    scores = Scores(**dict(zip(names, drawn, strict=True)))
    reward = Aggregation().reward(scores)
    return Judgement(status=JudgementStatus.OK, scores=scores, reward=reward)


if __name__ == "__main__":
    app()
