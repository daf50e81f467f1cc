"""``python -m serving.bench.parity``: our reference figures against the published arithmetic.

Judges with random answers, including ties, failures and gaps, judge small versions of the
benchmarks' layouts. Their figures under reference rules are compared with ``published_arithmetic``,
which works on the result files of the published scripts and shares no code with ours. The same is
done for random graders of editors.
"""

import csv
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from spatialreward.cli.command import CommandGroup, configure_logging

if TYPE_CHECKING:
    import numpy as np

    from spatialreward.benchmarks.editors.interface import Grade
    from spatialreward.benchmarks.editors.rubric import Rubric
    from spatialreward.benchmarks.interface import Benchmark, Judgements, Metric
    from spatialreward.figures import Figure
    from spatialreward.records import Judgement

SEED = 3
_FIXTURES = Path("../shared/data/benchmarks")
_OFFICIAL_OF_FIXTURE = 0.6
"""By MMRB2's rule its answers in the fixture are right in 6 of 10 trials."""

app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)


class Pair(NamedTuple):
    """The same figure from both."""

    name: str
    ours: float | None
    published: float | None

    @property
    def difference(self) -> float:
        """Absolute; infinite if only one of them has the figure."""
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
        InvalidInputError: a fixture is missing.
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
    """Groups without pictures, which no rule needs; half of the pairs are ties."""
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
    """Pairs without pictures, which no rule needs."""
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


def _gedit(fixtures: Path, num_graders: int) -> Iterator[Pair]:
    """The fixture's tables, then tables of random graders; ours get the scores scaled to 25."""
    import numpy as np

    from serving.bench.published_arithmetic import gedit_figures
    from spatialreward.benchmarks.editors.gedit import GeditBench

    bench = GeditBench.read(fixtures / "gedit_bench" / "arrow")
    written = list(_gedit_tables(fixtures / "gedit_bench" / "results"))
    generator = np.random.default_rng(SEED)
    for number in range(num_graders + 1):
        tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
        grades: dict[str, Grade] = {}
        failing = generator.choice([0.0, 0.1, 0.5])
        for task in bench.published.tasks:
            path = f"fullset/{task.id}.png"
            if number == 0:
                [row] = [one for one in written if one["edited_image"] == path]
                four = [int(row[name]) for name in _GEDIT_SCORES for _ in range(2)]
            else:
                four = generator.integers(0, 11, size=4).tolist()
                if generator.random() < failing:
                    continue
            lower = dict(zip(_GEDIT_SCORES, (min(four[:2]), min(four[2:])), strict=True))
            tables[task.task_type].append(
                {
                    "instruction_language": task.labels["language"],
                    "intersection_exist": task.labels["intersection"] == "yes",
                    **lower,
                }
            )
            grades[task.id] = _grade([2.5 * score for score in four])
        yield from _pairs(bench.score(grades), gedit_figures(tables))


def _gedit_tables(folder: Path) -> Iterator[dict[str, str]]:
    for path in sorted(folder.glob("*/gpt4o/eval_results_new/*.csv")):
        with path.open(newline="", encoding="utf-8") as rows:
            yield from csv.DictReader(rows)


def _imgedit(fixtures: Path, num_graders: int) -> Iterator[Pair]:
    """The answers of the fixture, then answers of random graders, some of them nearly empty."""
    import numpy as np

    from serving.bench.published_arithmetic import imgedit_figures
    from spatialreward.benchmarks.editors.imgedit import ImgEditBench
    from spatialreward.benchmarks.editors.rubric import Rubric

    folder = fixtures / "imgedit_bench"
    bench = ImgEditBench.read(folder)
    rubric = Rubric.read(folder / "prompts.json", bench.suite)
    metadata = json.loads((folder / "basic_edit.json").read_text(encoding="utf-8"))
    written = json.loads((folder / "edited_images" / "result.json").read_text(encoding="utf-8"))
    generator = np.random.default_rng(SEED)
    for number in range(num_graders + 1):
        results = written if number == 0 else {key: _random_answer(generator) for key in metadata}
        grades = {key: _grade_of_answer(rubric, answer) for key, answer in results.items()}
        yield from _pairs(bench.score(grades), imgedit_figures(results, metadata))


def _random_answer(generator: "np.random.Generator") -> str:
    lines = ["Brief reasoning: of a random grader."]
    for name in "abc":
        form = generator.choice(_ANSWER_FORMS, p=_FORM_SHARES)
        lines.append(form.format(name=name, score=generator.integers(1, 6)))
    return "\n".join(lines)


def _grade_of_answer(rubric: "Rubric", answer: str) -> "Grade":
    from spatialreward.benchmarks.editors.interface import Grade
    from spatialreward.errors import JudgementError
    from spatialreward.records import Judgement

    try:
        return Grade(criteria=rubric.read_answer(answer), answers=((answer,),))
    except JudgementError as error:
        failed = Judgement.failed(str(error), error.failure)
        return Grade(judgement=failed, criteria=(), answers=((answer,),))


def _grade(four: list[float]) -> "Grade":
    from spatialreward.benchmarks.editors.interface import Grade

    return Grade(judgement=_judgement(four))


_GEDIT_SCORES = ("sementics_score", "quality_score")
_ANSWER_FORMS = ("{name}: {score}", "{name}: {score}/5", "{name}: {score}.5", "{name}:{score}", "")
_FORM_SHARES = (0.8, 0.05, 0.05, 0.05, 0.05)
_ORDERS = tuple(order for size in (2, 2, 2, 3, 4) for order in itertools.permutations(range(size)))
_COMPARED: dict[str, Callable[[Path, int], Iterator[Pair]]] = {
    "mer_bench": _mer_bench,
    "editreward_bench": _editreward_bench,
    "mmrb2": _mmrb2,
    "tiger_editreward_bench": _tiger,
    "vcreward_bench": _vcreward_bench,
    "gedit_bench": _gedit,
    "imgedit_bench": _imgedit,
}


def _compared(
    bench: "Benchmark", judgements: "Judgements", published: Mapping[str, float]
) -> Iterator[Pair]:
    yield from _pairs(bench.score(judgements), published)


def _pairs(metrics: "list[Metric]", published: Mapping[str, float]) -> Iterator[Pair]:
    ours = {one.name: one.reference for one in metrics}
    for name in ours.keys() | published.keys():
        yield Pair(name, ours.get(name), published.get(name))


def _random_judges(bench: "Benchmark", number: int) -> Iterator[dict[str, "Judgement"]]:
    """Judges with few different scores, to have ties, that fail and omit edits."""
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
    from spatialreward.records import Judgement

    if generator.random() < failing:
        return Judgement.failed("at random", Failure.NOT_JSON)
    return _judgement(generator.integers(25 - spread, 26, size=4).tolist())


def _judgement(four: list[float]) -> "Judgement":
    from spatialreward.protocol.aggregation import Aggregation
    from spatialreward.records import SCORES_OF, Judgement, JudgementStatus, Scores

    names = itertools.chain(*SCORES_OF.values())
    scores = Scores(**dict(zip(names, four, strict=True)))
    reward = Aggregation().reward(scores)
    return Judgement(status=JudgementStatus.OK, scores=scores, reward=reward)


if __name__ == "__main__":
    app()
