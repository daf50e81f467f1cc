"""The judge to serve: a given one, or a tiny one trained here in a few minutes."""

import logging
import shutil
from pathlib import Path

from spatialreward.data.dataset import Dataset
from spatialreward.training.base import Base
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.sft import train_judge
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.shipped import SHIPPED_BASE

logger = logging.getLogger(__name__)

_NUM_SAMPLES = 12_000


def bench_judge(folder: Path, *, num_samples: int = _NUM_SAMPLES) -> Path:
    """A judge with realistic answers; trained once, then reused from ``folder``.

    Its training is less than half as long as the pipeline's: here only readable answers of the
    usual length matter, not their quality.
    """
    checkpoint = folder / "judge"
    if (checkpoint / "protocol.json").is_file():
        return checkpoint
    logger.info("no judge given: training one (about 5 minutes on two cores, kept in %s)", folder)
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    build_shard(DataConfig(num_train=num_samples, num_shards=1), "train", 0, data)
    unfinished = folder / "judge.partial"
    shutil.rmtree(unfinished, ignore_errors=True)
    train_judge(
        Base(SHIPPED_BASE),
        JudgeTrainingConfig(num_samples=num_samples),
        Dataset(data),
        unfinished,
        _no_report,
        state_folder=folder / "judge-training",
    )
    unfinished.rename(checkpoint)
    return checkpoint


def _no_report(metrics: object, step: int) -> None:
    """Ignore the training's loss."""
