"""``python -m serving.bench.gpu``: cost of judges and editors at real sizes, on one GPU.

Models have random weights in the shapes of the public ones, pictures are of 512 x 512 pixels, as in
the published judge's training and the published RL of its editor. Random weights never end an
answer, so each has the maximum length: judgements a second are those of answers of that many
tokens.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from serving.bench.random_judge import Shape, Tower, random_judge
from serving.bench.training import texts_of, world
from spatialreward.cli.command import SingleCommand, configure_logging
from spatialreward.errors import SpatialRewardError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedModel

    from spatialreward.data.dataset import Dataset
    from spatialreward.edits import Edit
    from spatialreward.figures import Figure
    from spatialreward.judges.engines.engine import Judge
    from spatialreward.judges.qwen_vl.processor import Processor

SEED = 23
SIDE = 512
_PIXELS = (65_536, SIDE * SIDE)
_ROUNDS = 3
_GRPO_STEPS = 4

SHAPES: Mapping[str, Shape] = {
    "tiny": Shape(
        language=Tower(width=128, mlp_width=256, layers=2, heads=4),
        vision=Tower(width=64, mlp_width=128, layers=2, heads=2),
        vocabulary=1_024,
        patch_px=16,
        pixels=_PIXELS,
    ),
    "2B": Shape(
        language=Tower(width=2_048, mlp_width=6_144, layers=28, heads=16),
        vision=Tower(width=1_024, mlp_width=4_096, layers=24, heads=16),
        vocabulary=151_936,
        patch_px=16,
        pixels=_PIXELS,
        deepstack=(5, 11, 17),
    ),
    "8B": Shape(
        language=Tower(width=4_096, mlp_width=12_288, layers=36, heads=32),
        vision=Tower(width=1_152, mlp_width=4_304, layers=27, heads=16),
        vocabulary=151_936,
        patch_px=16,
        pixels=_PIXELS,
        key_heads=8,
        tied=False,
        deepstack=(8, 16, 24),
    ),
}
"""In the shapes of Qwen3-VL-2B and 8B; ``tiny`` is for trying this without a GPU."""


class Part(StrEnum):
    """Kind of measurement."""

    SFT = "sft"
    GRPO = "grpo"
    JUDGING = "judging"
    EDITOR = "editor"


app = typer.Typer(pretty_exceptions_enable=False)


class NoGpuError(SpatialRewardError, RuntimeError):
    """There is no GPU to measure on."""


@app.command(cls=SingleCommand)
def main(
    shapes: Annotated[
        list[str] | None,
        typer.Option("--shape", help="2B, 8B, or tiny, which needs no GPU; may be repeated."),
    ] = None,
    parts: Annotated[
        list[Part] | None,
        typer.Option("--part", help="Measurement to run; may be repeated. Default: all."),
    ] = None,
    editor: Annotated[
        str, typer.Option(help="omnigen2, or tiny, which needs no GPU; judged by the first shape.")
    ] = "omnigen2",
    batch_size: Annotated[
        int, typer.Option(min=1, help="Samples that a training has in memory at a time.")
    ] = 4,
    num_edits: Annotated[
        int, typer.Option(min=2, help="Edits that are judged at once, half of them of one source.")
    ] = 32,
    answer_tokens: Annotated[int, typer.Option(min=8, help="Of each answer of a judge.")] = 256,
    num_steps: Annotated[int, typer.Option(min=4, help="Steps of a judge's training.")] = 8,
    verbose: Annotated[bool, typer.Option(help="Log every detail to standard error.")] = False,
) -> None:
    """Measure SFT, GRPO and judging of 2B and 8B judges, and RL of an editor; write gpu.json."""
    configure_logging(verbose=verbose)
    from serving.bench.gpu_editor import EDITORS, measure_editor
    from spatialreward.figures import figures_console, figures_table, write_figures

    names, wanted = shapes or ["2B", "8B"], parts or list(Part)
    for known, given in ((SHAPES, names), (EDITORS, [editor])):
        for name in given:
            if name not in known:
                raise typer.BadParameter(f"expected {', '.join(known)}, got {name}")
    check_gpu([*names, *([editor] if Part.EDITOR in wanted else [])])
    figures: list[Figure] = []
    with TemporaryDirectory() as folder:
        data = world(Path(folder), SIDE, max(num_edits, batch_size * num_steps))
        for name in names:
            if Part.SFT in wanted:
                figures += measure_training(name, data, batch_size, num_steps)
            if Part.GRPO in wanted:
                figures.append(measure_grpo(name, data, answer_tokens))
            if Part.JUDGING in wanted:
                figures += measure_judging(name, data, num_edits, answer_tokens)
        if Part.EDITOR in wanted:
            with random_judging(names[0], data, num_edits, answer_tokens) as judging:
                figures += measure_editor(editor, judging, data)
    path = write_figures(
        "gpu", figures, seeds={"weights": SEED}, more={"device": _device_name(), "side": SIDE}
    )
    figures_console().print(figures_table(f"judges and editors on {_device_name()}", figures))
    typer.echo(f"written to {path}")


def check_gpu(names: list[str]) -> None:
    """Check that there is a suitable device.

    Raises:
        NoGpuError: there is no GPU, and a judge or an editor is not the tiny one.
    """
    import torch

    large = [name for name in names if name != "tiny"]
    if large and not torch.cuda.is_available():
        raise NoGpuError(
            f"no GPU is visible, so nothing of {', '.join(large)} is measured; expected a CUDA "
            "device, or --shape tiny --editor tiny to try the command"
        )


def measure_training(name: str, data: "Dataset", batch_size: int, num_steps: int) -> "list[Figure]":
    """Speed, share of the peak and memory of SFT with a LoRA, as for the published judge."""
    from spatialreward.figures import Figure

    metrics = _train(name, data, batch_size, num_steps)
    units = {"samples_per_s": "1/s", "tokens_per_s": "1/s", "peak_gib": "GiB", "mfu": ""}
    return [
        Figure(name=f"sft/{name}/{figure}", value=metrics[metric], unit=unit)
        for figure, unit in units.items()
        for metric in (f"speed/{figure}", f"memory/{figure}")
        if metric in metrics
    ]


def measure_grpo(name: str, data: "Dataset", answer_tokens: int) -> "Figure":
    """Seconds of a GRPO step with a LoRA: four prompts, four answers each, generated and learnt."""
    from spatialreward.figures import Figure
    from spatialreward.judges.qwen_vl import checkpoint
    from spatialreward.protocol.prompts import FULL
    from spatialreward.training.base import Base
    from spatialreward.training.config import LoraTuning, OptimiserConfig
    from spatialreward.training.grpo import known_warnings, made_trainer
    from spatialreward.training.grpo_config import GrpoConfig, RewardWeights, SamplingConfig
    from spatialreward.training.processes import ALONE

    config = GrpoConfig(
        num_steps=_GRPO_STEPS,
        protocol="full",
        tuning=LoraTuning(),
        trains_vision=False,
        gradient_checkpointing=True,
        samples_at_a_time=4,
        sampling=SamplingConfig(max_new_tokens=answer_tokens),
        rewards=RewardWeights(consistency=0),
        optimiser=OptimiserConfig(
            learning_rate=5e-7, precision="fastest", warmup_steps=1, batch_size=16
        ),
    )
    seconds: list[float] = []

    def report(metrics: dict[str, float], step: int) -> None:
        seconds.append(metrics["seconds/step"])

    with TemporaryDirectory() as folder, known_warnings():
        base, states = Path(folder) / "base", Path(folder) / "states"
        checkpoint.save(base, *_model(name, data), {"kind": "random weights"})
        trainer, _, _ = made_trainer(Base(base), config, data, FULL, report, states, [], ALONE)
        trainer.train()
    # The first step compiles for the others.
    value = statistics.median(seconds[1:])
    return Figure(name=f"grpo/{name}/seconds_a_step", value=value, unit="s")


def measure_judging(
    name: str, data: "Dataset", num_edits: int, answer_tokens: int
) -> "list[Figure]":
    """Judgements a second, both streams, with a source for each edit or one for all."""
    from spatialreward.figures import Figure

    figures = []
    with random_judging(name, data, num_edits, answer_tokens) as judging:
        for sharing, edits in _asked(data, num_edits).items():
            seconds = _median_seconds(lambda edits=edits: judging.judge(edits))
            figures.append(
                Figure(
                    name=f"judging/{name}/{sharing}/judgements_per_s",
                    value=num_edits / seconds,
                    unit="1/s",
                )
            )
    return figures


@contextmanager
def random_judging(
    name: str, data: "Dataset", batch_size: int, answer_tokens: int
) -> "Iterator[Judge]":
    """A judge for a ``with`` block; its answers are unreadable."""
    from spatialreward.judges.engines.engine import Judge
    from spatialreward.protocol.prompts import FULL

    protocol = FULL.model_copy(update={"max_answer_tokens": answer_tokens})
    model, processor = _model(name, data)
    with Judge.of_model(
        model.eval(), processor, protocol, guided=False, batch_size=batch_size
    ) as judging:
        yield judging


def _train(name: str, data: "Dataset", batch_size: int, num_steps: int) -> dict[str, float]:
    """The training's last metrics, from the second half of the steps."""
    from transformers import set_seed

    from serving.bench.beside_trl import planned_of
    from spatialreward.protocol.prompts import FULL
    from spatialreward.training.arguments import training_arguments
    from spatialreward.training.collating import Collator
    from spatialreward.training.config import JudgeTrainingConfig, LoraTuning, OptimiserConfig
    from spatialreward.training.fitting import fit
    from spatialreward.training.tuning import prepare

    config = JudgeTrainingConfig(
        num_samples=num_steps * batch_size,
        protocol="full",
        tuning=LoraTuning(),
        trains_vision=False,
        gradient_checkpointing=True,
        report_every=num_steps // 2,
        optimiser=OptimiserConfig(
            learning_rate=1e-4, precision="fastest", warmup_steps=2, batch_size=batch_size
        ),
    )
    model, processor = _model(name, data)
    last: dict[str, float] = {}

    def report(metrics: dict[str, float], step: int) -> None:
        last.update(metrics)

    set_seed(config.seed)
    with TemporaryDirectory() as folder:
        arguments = training_arguments(config, config.num_steps, Path(folder), 1)
        arguments.save_strategy = "no"
        fit(
            prepare(model, config, name),
            arguments,
            planned_of(data, FULL, processor.following(FULL), config),
            Collator(processor.following(FULL)),
            matrices="adamw",
            report=report,
            description=f"training {name}",
        )
    return last


def _model(name: str, data: "Dataset") -> "tuple[PreTrainedModel, Processor]":
    """Built on its device in 16 bits: 8 billion weights in 32 do not fit beside others."""
    import torch

    from spatialreward.protocol.prompts import FULL

    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        return random_judge(SHAPES[name], texts_of(data, FULL), seed=SEED, dtype=torch.bfloat16)


def _asked(data: "Dataset", num_edits: int) -> "dict[str, list[Edit]]":
    """The original edits, and all of them with the first one's source and instruction."""
    import dataclasses

    from spatialreward.data.tasks import edit_to_judge

    edits = [edit_to_judge(edit) for edit in islice(data, num_edits)]
    first = edits[0]
    shared = [
        dataclasses.replace(edit, source=first.source, instruction=first.instruction)
        for edit in edits
    ]
    return {"own_sources": edits, "one_source": shared}


def _median_seconds(work: Callable[[], object]) -> float:
    """Median of three runs after a warm-up; results return to the CPU."""
    work()
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _device_name() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "the processor"


if __name__ == "__main__":
    app()
