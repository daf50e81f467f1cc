"""The judge that is served: one that is given, or a tiny one trained here for a few minutes."""

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
    """A judge that answers as a trained one does; made once, then taken from ``folder``.

    It is trained for less than half as long as the pipeline's: how well it judges does not matter
    here, that its answers can be read and have their usual length does.
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
    """The loss of this training is nobody's business."""
