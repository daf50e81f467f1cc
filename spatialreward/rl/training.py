"""Fine-tunes an editor against judges and writes its checkpoint."""

import datetime
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from spatialreward.editors.interface import FlowEditor
from spatialreward.progress import ReportMetrics
from spatialreward.rl.config import RlConfig
from spatialreward.rl.loop import Trainer
from spatialreward.rl.model_card import write_model_card
from spatialreward.rl.prompts import PromptSource
from spatialreward.rl.types import Reward, Watch
from spatialreward.training.processes import ALONE, Processes

NOTHING_TOLD: Mapping[str, str] = MappingProxyType({})


def finetune_editor(
    config: RlConfig,
    policy: FlowEditor,
    out: Path,
    reward: Reward,
    prompts: PromptSource,
    report: ReportMetrics,
    *,
    resume_file: Path | None = None,
    watch: Watch | None = None,
    processes: Processes = ALONE,
    lineage: Mapping[str, str] = NOTHING_TOLD,
) -> list[float]:
    """Train an editor against judges and write its checkpoint.

    Every process calls this with the same arguments; the first one reports and writes.

    Args:
        config: length and other settings.
        policy: the initial editor, which is also the KL reference. Trains its weights that require
            a gradient.
        out: folder of the new checkpoint: the averaged weights if there is an average, at the
            watch's best step if there is a watch.
        reward: of edits; groups omit edits without a judgement. All rewards come from one version
            of each judge, also after a kill.
        prompts: source pictures and instructions, in the number per step that ``config`` says.
        report: receives the metrics of each step.
        resume_file: for the periodic state, to resume after a kill, also written when a step fails;
            shared by all processes.
        watch: looks at the policy periodically; only the first process needs it, unless the base is
            sharded (``rl.watch.watching``).
        processes: this process among all of them.
        lineage: the editor's inputs by name, for its card.

    Returns:
        Mean reward of each step.

    Raises:
        InvalidInputError: the editor has no weights to train, or does not support a task.
        RewardError: the judge failed on too many edits of a step, or is unavailable.
        JudgeChangedError: the judge differs from the one at the start.
        ServingError: a served judge is unreachable.
        NotFiniteError: latents, a loss or a gradient are NaN or infinite.
        RatioError: the update's probabilities differ from those at sampling.
    """
    trainer = Trainer(
        config,
        policy,
        reward,
        prompts,
        resume_file=resume_file,
        watch=watch,
        processes=processes,
    )
    trainer.run(report)
    card = {
        "kind": f"flow-matching editor, fine-tuned by {config.algorithm.kind} on judges' rewards",
        **({"lineage": dict(lineage)} if lineage else {}),
        **reward.card,
        **trainer.outcome.card,
        "training": config.model_dump(mode="json"),
        "training_processes": processes.world_size,
        "made": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    if processes.is_first:
        with trainer.finished():
            policy.save(out, card)
        write_model_card(out, card, trainer.history, policy.device)
    processes.wait()
    rewards = trainer.history.values("reward/mean")
    steps = trainer.history.values("step")
    return [one for one, step in zip(rewards, steps, strict=True) if step > 0 or math.isfinite(one)]
