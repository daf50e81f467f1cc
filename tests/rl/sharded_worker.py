"""What each process of ``test_sharding`` does: trains a LoRA, stops after a step, and goes on.

``python -m tests.rl.sharded_worker EDITOR OUT SETTINGS``, started by torchrun.
"""

import json
import sys
from pathlib import Path

from spatialreward.editors.config import LoraConfig
from spatialreward.editors.load import load_editor
from spatialreward.rl.config import RlConfig
from spatialreward.rl.training import finetune_editor
from spatialreward.rl.watch import watching
from spatialreward.training.processes import ALONE, joined
from tests.rl.judging import BrightnessJudge, prompts, rewarded


def train(editor, out, config, processes=ALONE, resume_file=None, report=lambda found, step: None):
    policy = load_editor(editor)
    policy.add_lora(LoraConfig(rank=2, alpha=8), checkpointing=True)
    watched = prompts(1).batch(99)
    with (
        rewarded(BrightnessJudge()) as reward,
        watching(config, watched, reward, processes=processes) as watch,
    ):
        finetune_editor(
            config,
            policy,
            out,
            reward,
            prompts(config.num_prompts),
            report,
            resume_file=resume_file,
            watch=watch,
            processes=processes,
        )
    return policy


def main(editor: str, out: str, settings: str) -> None:
    """Train, and write what was reported."""
    config = RlConfig.model_validate_json(settings)
    state = Path(f"{out}.state.pt")
    with joined(config) as processes:
        first = config.model_copy(update={"num_steps": 1, "save_every": 1})
        train(Path(editor), Path(f"{out}.first"), first, processes, state)
        reports = []
        policy = train(
            Path(editor),
            Path(out),
            config,
            processes,
            state,
            lambda metrics, step: reports.append((step, metrics)),
        )
        # What this process holds of the base, in numbers.
        held = sum(
            (one.to_local() if hasattr(one, "to_local") else one).numel()
            for one in policy.trainable().parameters()
            if not one.requires_grad
        )
        Path(f"{out}.{processes.rank}.json").write_text(
            json.dumps({"reports": reports, "held": held})
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
