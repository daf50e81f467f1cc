"""ZeRO-3 on two processes against one process without DeepSpeed: the loss of every step.

``python -m serving.bench.zero3 BASE DATA OUT SETTINGS`` is one of the processes; torchrun starts
them.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from spatialreward.data.dataset import Dataset
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.processes import joined, run_together

_PROCESSES = 2


def largest_loss_difference(
    base: Path, data: Path, config: JudgeTrainingConfig, out: Path
) -> float:
    """Run the same training twice, and compare the losses step by step.

    Args:
        base: a checkpoint.
        data: folder of edits with labels.
        config: training settings, without DeepSpeed; reports every step.
        out: new folder, for both judges.

    Raises:
        ProcessesError: one of the processes failed.
    """
    out.mkdir(parents=True)
    alone = _losses(base, data, config, out / "alone")
    divided = config.model_copy(update={"deepspeed": "zero3"})
    arguments = [str(base), str(data), str(out / "zero3"), divided.model_dump_json()]
    run_together(_PROCESSES, "serving.bench.zero3", arguments)
    together = json.loads(_losses_file(out / "zero3").read_text())
    pairs = list(zip(alone, together, strict=True))
    assert len(pairs) == config.num_steps
    return max(abs(one - other) for one, other in pairs)


def _losses(base: Path, data: Path, config: JudgeTrainingConfig, out: Path) -> list[float]:
    """Of each step, in the first process; empty in the others."""
    from spatialreward.training.base import Base
    from spatialreward.training.sft import train_judge

    losses: list[float] = []
    with joined(config) as processes:
        train_judge(
            Base(base),
            config,
            Dataset(data),
            out,
            lambda metrics, step: losses.append(metrics["loss/all"]),
            processes=processes,
        )
    return losses


def _losses_file(out: Path) -> Path:
    return out.with_suffix(".losses.json")


def main(
    base: Annotated[Path, typer.Argument(help="A checkpoint.")],
    data: Annotated[Path, typer.Argument(help="Folder of edits with labels.")],
    out: Annotated[Path, typer.Argument(help="The judge's folder.")],
    settings: Annotated[str, typer.Argument(help="How to train, as JSON.")],
) -> None:
    """Train as one of several processes; the first one saves the losses."""
    config = JudgeTrainingConfig.model_validate_json(settings)
    if losses := _losses(base, data, config, out):
        _losses_file(out).write_text(json.dumps(losses))


if __name__ == "__main__":
    typer.run(main)
