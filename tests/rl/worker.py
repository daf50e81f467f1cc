"""What each process of ``test_processes`` does: trains an editor, and says what was reported.

``python -m tests.rl.worker EDITOR OUT SETTINGS [FAILING RANK]``, started by torchrun or alone.
"""

import json
import sys
from pathlib import Path

from spatialreward.rl.config import RlConfig
from spatialreward.rl.training import finetune_editor
from spatialreward.training.processes import joined
from spatialreward.world.tiny_editor import TinyEditor
from tests.rl.judging import BrightnessJudge, prompts, rewarded


def main(editor: str, out: str, settings: str, failing: str = "none") -> None:
    """Train, and write what was reported."""
    config = RlConfig.model_validate_json(settings)
    reports = []
    with joined() as processes:
        judge = BrightnessJudge(fails_every=1 if failing == str(processes.rank) else None)
        with rewarded(judge, config.max_failed_share) as reward:
            finetune_editor(
                config,
                TinyEditor.load(Path(editor)),
                Path(out),
                reward,
                prompts(config.num_prompts),
                lambda metrics, step: reports.append((step, metrics)),
                resume_file=Path(f"{out}.state.pt"),
                processes=processes,
            )
        Path(f"{out}.{processes.rank}.json").write_text(json.dumps(reports))


if __name__ == "__main__":
    main(*sys.argv[1:])
