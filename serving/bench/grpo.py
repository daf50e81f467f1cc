"""``python -m serving.bench.grpo``: do rewards rise, and are answers without a reward harmless?

The tiny judge that ships with the library gets noise on its weights, as room for learning. A server
imitates the consistency judge by a rule, once without failures and once failing on 30 % of the
questions; each run starts from the same judge with the same settings and order.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import typer

from spatialreward.cli.command import SingleCommand, configure_logging

if TYPE_CHECKING:
    from spatialreward.data.dataset import Dataset
    from spatialreward.figures import Figure
    from spatialreward.training.grpo_config import GrpoConfig

SEED = 6
_FOLDER = Path("build/bench-grpo")
_FAILING = 0.3
_EDGE = 15
"""Number of first and last steps whose means are compared."""
_REWARDS = ("form", "iou", "agreement", "consistency")

app = typer.Typer(pretty_exceptions_enable=False)


class Effort(NamedTuple):
    """Size of the measurement."""

    steps: int = 60
    batch_size: int = 32
    num_edits: int = 96
    num_held_out: int = 200
    noise: float = 0.2
    """Standard deviation of the noise on a weight matrix, relative to its own."""
    learning_rate: float = 1e-4
    seeds: tuple[int, ...] = (11,)


class Tuned(NamedTuple):
    """Result of one run."""

    lines: list[Mapping[str, float]]
    """Metrics by step."""
    quality: np.ndarray
    """For each held-out edit: mean of region IoU and agreement of the reward with the label's."""

    def mean(self, name: str, steps: slice) -> float:
        """Mean of a metric over some steps."""
        return float(np.mean([line[name] for line in self.lines[steps]]))


@app.command(cls=SingleCommand)
def main(
    steps: Annotated[int, typer.Option(min=2, help="Steps of each run.")] = Effort().steps,
    seeds: Annotated[int, typer.Option(min=1, help="Pairs of runs, each of another seed.")] = 1,
    noise: Annotated[float, typer.Option(min=0, help="On the weights to start from.")] = (
        Effort().noise
    ),
    learning_rate: Annotated[float, typer.Option(min=0, help="Of both runs.")] = (
        Effort().learning_rate
    ),
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Measure and write grpo.json; some ten minutes a seed on two idle cores."""
    configure_logging(verbose=verbose)
    from spatialreward.figures import figures_console, figures_table, write_figures

    shutil.rmtree(_FOLDER, ignore_errors=True)
    chosen = tuple(range(11, 11 + seeds))
    effort = Effort(steps=steps, noise=noise, learning_rate=learning_rate, seeds=chosen)
    figures, more = measure(_FOLDER, effort)
    seeds_used = {"world": SEED} | {f"run_{one}": one for one in chosen}
    path = write_figures("grpo", figures, seeds=seeds_used, more=more)
    figures_console().print(figures_table("GRPO of a judge", figures, baseline="at the start"))
    typer.echo(f"written to {path}")


def measure(folder: Path, effort: Effort) -> "tuple[list[Figure], dict[str, object]]":
    """All figures, and the metrics of the single runs.

    Args:
        folder: new, for intermediate files.
        effort: size of the measurement.
    """
    data = world(folder / "data", "train", effort.num_edits)
    held_out = world(folder / "held-out", "heldout", effort.num_held_out)
    write_noisy_judge(folder / "base", effort.noise)
    before = quality(folder / "base", held_out)
    runs: dict[float, list[Tuned]] = {0.0: [], _FAILING: []}
    for seed in effort.seeds:
        for failing, tuned in runs.items():
            place = folder / f"run-{seed}-{failing:g}"
            tuned.append(run(folder / "base", place, data, held_out, failing, seed, effort))
    more = {
        f"steps_failing_{failing:g}": [one.lines for one in tuned]
        for failing, tuned in runs.items()
    }
    return list(_figures(runs[0.0], runs[_FAILING], before)), more


def run(
    base: Path,
    folder: Path,
    data: "Dataset",
    held_out: "Dataset",
    failing: float,
    seed: int,
    effort: Effort,
) -> Tuned:
    """Tune a judge with a server that fails on a share of the questions, and evaluate it."""
    from serving.bench.consistency_server import ConsistencyServer
    from spatialreward.metrics_file import MetricsFile
    from spatialreward.training.base import Base
    from spatialreward.training.grpo import tune_judge

    folder.mkdir(parents=True)
    metrics = MetricsFile(folder / "training.jsonl")
    with ConsistencyServer(data, failing, seed).running() as server:
        tune_judge(
            Base(base, "the shipped base with noise"),
            config(effort, seed, server.judge),
            data,
            folder / "judge",
            metrics.report,
            state_folder=folder / "states",
        )
    return Tuned(metrics.lines(), quality(folder / "judge", held_out))


def config(effort: Effort, seed: int, judge: str) -> "GrpoConfig":
    """The paper's settings except for size, and for a learning rate that suits a tiny judge."""
    from spatialreward.training.config import OptimiserConfig
    from spatialreward.training.grpo_config import GrpoConfig, RewardWeights

    return GrpoConfig(
        seed=seed,
        num_steps=effort.steps,
        rewards=RewardWeights(iou=2.0, agreement=1.0),
        consistency_judge=judge,
        perceptual_share=0.25,
        save_every=20,
        optimiser=OptimiserConfig(
            learning_rate=effort.learning_rate,
            precision="fastest",
            warmup_steps=5,
            batch_size=effort.batch_size,
        ),
    )


def quality(judge: Path, held_out: "Dataset") -> np.ndarray:
    """Quality of a judge, loaded as in serving, by held-out edit, 0..1; 0 without a judgement."""
    from spatialreward.benchmarks.labelled import LabelledEdits
    from spatialreward.benchmarks.run import judge_benchmark
    from spatialreward.data.regions.overlap import matched_iou
    from spatialreward.judges.load import load_judge

    known = LabelledEdits.of(held_out)
    with load_judge(judge) as judging:
        run = judge_benchmark(known, judging, judge.with_name("judged"))
    pairs = zip(known.truths.values(), known.in_order(run.judgements), strict=True)
    return np.array(
        [
            0.0
            if said.reward is None or true.reward is None
            else (matched_iou(true.regions, said.regions) + 1 - abs(said.reward - true.reward)) / 2
            for true, said in pairs
        ]
    )


def _figures(runs: Sequence[Tuned], failing: Sequence[Tuned], before: np.ndarray) -> "list[Figure]":
    from spatialreward.figures import Figure

    first, last = slice(None, _EDGE), slice(-_EDGE, None)
    figures = []
    for name in _REWARDS:
        starts = [one.mean(f"reward/{name}", first) for one in runs]
        ends = [one.mean(f"reward/{name}", last) for one in runs]
        figures.append(
            Figure.above(
                f"reward/{name}",
                float(np.median(ends)),
                float(np.median(starts)),
                baseline=float(np.median(starts)),
                spread=(min(ends), max(ends)),
            )
        )
    from spatialreward.training.grpo_config import GrpoConfig

    largest = max(line["kl"] for one in (*runs, *failing) for line in one.lines)
    difference = np.mean([one.quality for one in failing], 0) - np.mean(
        [one.quality for one in runs], 0
    )
    noise = 2 * float(difference.std(ddof=1) / np.sqrt(len(difference)))
    masked = [one.mean("masked_share", slice(None)) for one in failing]
    figures += [
        Figure.at_most("kl/largest", largest, GrpoConfig().max_kl),
        Figure.above(
            "held_out/quality",
            float(np.mean([one.quality for one in runs])),
            float(before.mean()),
            baseline=float(before.mean()),
        ),
        Figure(
            name="held_out/quality_failing_30",
            value=float(np.mean([one.quality for one in failing])),
            baseline=float(before.mean()),
        ),
        Figure.at_most(
            "held_out/difference_of_failing", abs(float(difference.mean())), noise, baseline=0.0
        ),
        Figure(name="masked_share/failing_30", value=float(np.mean(masked)), baseline=0.0),
        Figure(
            name="seconds/step",
            value=float(np.median([one.mean("seconds/step", slice(None)) for one in runs])),
            unit="s",
        ),
    ]
    return figures


def write_noisy_judge(folder: Path, noise: float) -> None:
    """The shipped judge with noise on its matrices."""
    import torch

    from spatialreward.judges.qwen_vl import checkpoint
    from spatialreward.protocol.prompts import Protocol
    from spatialreward.world.shipped import SHIPPED_BASE

    model, processor = checkpoint.load_for_training(SHIPPED_BASE, torch.float32)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                drawn = torch.randn(weight.shape, generator=generator)
                weight.add_(drawn * weight.std() * noise)
    checkpoint.save(folder, model, processor, {}, Protocol.read(SHIPPED_BASE))


def world(folder: Path, split: str, count: int) -> "Dataset":
    """Edits of the generated world, packed in a new folder."""
    from spatialreward.data.dataset import Dataset
    from spatialreward.world.building import build_shard
    from spatialreward.world.config import DataConfig

    sizes = {f"num_{split}": count}
    build_shard(DataConfig(seed=SEED, num_shards=1, **sizes), split, 0, folder)
    return Dataset(folder)


if __name__ == "__main__":
    app()
