"""What each process of ``test_processes`` does: trains a judge, and the first one says how it went.

``python -m tests.training.sft_worker BASE DATA OUT SETTINGS``, started by torchrun.
"""

import json
import sys
from pathlib import Path

from spatialreward.data.dataset import Dataset
from spatialreward.training.base import Base
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.processes import joined
from spatialreward.training.sft import train_judge


def main(base: str, data: str, out: str, settings: str) -> None:
    """Train, and write what was reported."""
    config = JudgeTrainingConfig.model_validate_json(settings)
    reports = []
    with joined(config) as processes:
        train_judge(
            Base(Path(base)),
            config,
            Dataset(Path(data)),
            Path(out),
            lambda metrics, step: reports.append((step, metrics)),
            state_folder=Path(out + ".states"),
            processes=processes,
        )
        Path(f"{out}.{processes.rank}.json").write_text(json.dumps(reports))


if __name__ == "__main__":
    main(*sys.argv[1:])
