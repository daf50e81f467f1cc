"""What each process of ``test_grpo_processes`` does: tunes a judge, and says what was reported.

``python -m tests.training.grpo_worker DATA OUT SETTINGS``, started by torchrun.
"""

import json
import sys
from pathlib import Path

from spatialreward.data.dataset import Dataset
from spatialreward.training.base import Base
from spatialreward.training.grpo_config import GrpoConfig
from spatialreward.training.processes import joined
from spatialreward.world.shipped import SHIPPED_BASE


def main(data: str, out: str, settings: str) -> None:
    """Tune, and write what was reported."""
    config = GrpoConfig.model_validate_json(settings)
    reports = []
    with joined(config) as processes:
        from spatialreward.training.grpo import tune_judge

        tune_judge(
            Base(SHIPPED_BASE),
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
