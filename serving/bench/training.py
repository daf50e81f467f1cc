"""``python -m serving.bench.training``: SFT against TRL's, ZeRO-3's, vision, and memorisation.

Comparisons run in this process, in turn, so that other load cancels.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from spatialreward.cli.command import SingleCommand, configure_logging

if TYPE_CHECKING:
    from serving.bench.beside_trl import Beside
    from serving.bench.random_judge import Shape
    from spatialreward.data.dataset import Dataset
    from spatialreward.figures import Figure
    from spatialreward.protocol.prompts import Protocol
    from spatialreward.training.config import JudgeTrainingConfig

SEED = 6
_FOLDER = Path("build/bench-training")
_RATIO_TINY = 1.5
_RATIO_LORA = 1.2
_SAME_LOSS = 0.02
_ZERO3_DIFFERENCE = 1e-3
_EXACT_SHARE = 0.95

app = typer.Typer(pretty_exceptions_enable=False)


class Effort(NamedTuple):
    """Size of the measurement."""

    steps: int = 9
    """Of the tiny judge per round; the large one takes half as many."""
    rounds: int = 3
    batch_size: int = 24
    large_batch_size: int = 4
    zero3_steps: int = 20
    overfit_edits: int = 64
    overfit_steps: int = 500


@app.command(cls=SingleCommand)
def main(
    steps: Annotated[
        int, typer.Option(min=6, help="Steps of the tiny judge a round; the large one takes half.")
    ] = Effort().steps,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds beside TRL.")] = Effort().rounds,
    overfit_steps: Annotated[
        int, typer.Option(min=1, help="Steps for memorising 64 edits.")
    ] = Effort().overfit_steps,
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Measure and write training.json; about ten minutes on two idle cores."""
    configure_logging(verbose=verbose)
    from spatialreward.figures import figures_console, figures_table, write_figures

    shutil.rmtree(_FOLDER, ignore_errors=True)
    effort = Effort(steps=steps, rounds=rounds, overfit_steps=overfit_steps)
    figures, more = measure(_FOLDER, effort)
    path = write_figures("training", figures, seeds={"world": SEED}, more=more)
    figures_console().print(figures_table("training a judge", figures, baseline="TRL"))
    typer.echo(f"written to {path}")


def measure(folder: Path, effort: Effort) -> "tuple[list[Figure], dict[str, object]]":
    """All figures, and those of the single rounds.

    Args:
        folder: new, for intermediate files.
        effort: size of the measurement.
    """
    from serving.bench import vision
    from serving.bench.overfit import overfit
    from serving.bench.zero3 import largest_loss_difference
    from spatialreward.figures import Figure
    from spatialreward.world.shipped import SHIPPED_BASE

    tiny, large = beside_trl_tiny(folder / "tiny", effort), beside_trl_lora(folder / "lora", effort)
    difference = largest_loss_difference(
        SHIPPED_BASE, folder / "tiny", zero3_config(effort), folder / "zero3"
    )
    learnt = overfit(folder / "overfit", effort.overfit_edits, effort.overfit_steps)
    apart = max(tiny.loss_difference, large.loss_difference)
    figures = [
        *_throughput("tiny", tiny, _RATIO_TINY),
        *_throughput("lora", large, _RATIO_LORA),
        Figure.at_most("loss/difference_after_same_samples", apart, _SAME_LOSS),
        Figure.at_most("zero3/largest_loss_difference", difference, _ZERO3_DIFFERENCE),
        Figure.at_least("overfit/exact_share", learnt.exact_share, _EXACT_SHARE),
        Figure(name="overfit/last_loss", value=learnt.loss),
        *vision.measure(),
    ]
    ratios = {"ratios_to_trl": {"tiny": tiny.ratios, "lora": large.ratios}}
    return figures, ratios


def _throughput(name: str, beside: "Beside", target: float) -> "Iterable[Figure]":
    from statistics import median

    from spatialreward.figures import Figure

    yield Figure.at_least(
        f"throughput/ratio_to_trl_{name}",
        median(beside.ratios),
        target,
        baseline=1.0,
        spread=(min(beside.ratios), max(beside.ratios)),
    )
    yield Figure(
        name=f"throughput/ratio_to_trl_{name}_by_cpu_time",
        value=median(beside.cpu_ratios),
        baseline=1.0,
        spread=(min(beside.cpu_ratios), max(beside.cpu_ratios)),
    )
    yield Figure(
        name=f"throughput/samples_per_s_{name}",
        value=median(beside.ours),
        unit="1/s",
        baseline=median(beside.trl),
        spread=(min(beside.ours), max(beside.ours)),
    )


def beside_trl_tiny(folder: Path, effort: Effort) -> "Beside":
    """All weights of the tiny judge, on the generated world at 64 px."""
    from serving.bench.beside_trl import beside_trl
    from spatialreward.protocol.prompts import TINY
    from spatialreward.training.config import JudgeTrainingConfig, OptimiserConfig
    from spatialreward.world.shipped import SHIPPED_BASE

    config = JudgeTrainingConfig(
        num_samples=effort.steps * effort.batch_size,
        report_every=max(1, effort.steps // 3),
        optimiser=OptimiserConfig(
            precision="fastest", warmup_steps=2, batch_size=effort.batch_size
        ),
    )
    data = world(folder, 64, config.num_samples)
    return beside_trl(SHIPPED_BASE, data, TINY, config, effort.rounds)


def beside_trl_lora(
    folder: Path, effort: Effort, shape: "Shape | None" = None, side: int = 512
) -> "Beside":
    """A LoRA on a judge of about 50 million random weights, on the generated world.

    Args:
        folder: new.
        effort: size of the measurement.
        shape: of another model, for tests.
        side: of the square pictures, in pixels.
    """
    from serving.bench.beside_trl import beside_trl
    from serving.bench.random_judge import write_random_judge
    from spatialreward.training.config import JudgeTrainingConfig, LoraTuning, OptimiserConfig

    num_steps, batch = effort.steps // 2, effort.large_batch_size
    config = JudgeTrainingConfig(
        num_samples=num_steps * batch,
        report_every=max(1, num_steps // 3),
        tuning=LoraTuning(),
        trains_vision=False,
        optimiser=OptimiserConfig(
            learning_rate=1e-4, precision="fastest", warmup_steps=2, batch_size=batch
        ),
    )
    data = world(folder / "data", side, config.num_samples)
    protocol = _large_protocol(side)
    num_weights = write_random_judge(
        folder / "base", shape or _large_shape(side), texts_of(data, protocol), seed=SEED
    )
    typer.echo(f"the large judge has {num_weights / 1e6:.1f} million weights")
    return beside_trl(folder / "base", data, protocol, config, effort.rounds)


def _large_shape(side: int) -> "Shape":
    """Its embedding is a tenth of the weights, as in the public model of 4 billion."""
    from serving.bench.random_judge import Shape, Tower

    return Shape(
        language=Tower(width=512, mlp_width=1_536, layers=8, heads=8),
        vision=Tower(width=384, mlp_width=1_536, layers=8, heads=6),
        vocabulary=10_000,
        patch_px=16,
        pixels=(side * side, side * side),
    )


def _large_protocol(side: int) -> "Protocol":
    from spatialreward.protocol.prompts import FULL, TINY

    # The tiny protocol's answers can be reproduced in TRL by one replacement.
    return FULL.model_copy(update={"square_side": side, "chat_template": TINY.chat_template})


def texts_of(data: "Dataset", protocol: "Protocol") -> list[str]:
    """Training texts of a tokenizer: answers and prompts."""
    from spatialreward.data.views import sft_conversations
    from spatialreward.training.conversations import answer_of

    edits = data.edits(pictures=False)
    answers = [answer_of(one) for edit in edits for one in sft_conversations(edit, protocol)]
    # Repeat them, so that the prompts consist of whole words, as in a large vocabulary.
    return [*answers, *[protocol.semantic, protocol.perceptual] * 8]


def zero3_config(effort: Effort) -> "JudgeTrainingConfig":
    """The tiny judge in 32 bits, without DeepSpeed."""
    from spatialreward.training.config import JudgeTrainingConfig, OptimiserConfig

    batch = 4
    return JudgeTrainingConfig(
        num_samples=effort.zero3_steps * batch,
        report_every=1,
        optimiser=OptimiserConfig(learning_rate=8e-4, warmup_steps=2, batch_size=batch),
    )


def world(folder: Path, side: int, num_edits: int) -> "Dataset":
    """Edits of the generated world, packed in a new folder."""
    from spatialreward.data.dataset import Dataset
    from spatialreward.world.building import build_shard
    from spatialreward.world.config import DataConfig

    build_shard(
        DataConfig(seed=SEED, picture_size=side, num_train=num_edits, num_shards=1),
        "train",
        0,
        folder,
    )
    return Dataset(folder)


if __name__ == "__main__":
    app()
