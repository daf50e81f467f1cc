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

    Of several processes each calls this with the same arguments; the first one reports and writes.

    Args:
        config: how much, and how.
        policy: to start from; what it is now is also the reference that it is kept near to. Of its
            weights those are trained that require a gradient.
        out: folder of the new checkpoint: the average of the weights, if one is kept, and of the
            step that the watch thinks best, if there is one.
        reward: of edits; one without a judgement is left out of its group. All rewards are those of
            one version of each judge, also after a kill.
        prompts: source pictures and instructions, as many a step as ``config`` says.
        report: gets the metrics of each step.
        resume_file: where the state is kept now and then, to go on after a kill, and when a step
            fails; processes share it.
        watch: looks at the policy now and then; of several processes only the first needs it,
            unless the base is divided among them (``rl.watch.watching``).
        processes: this process among those that train together.
        lineage: what the editor follows from, by name, for its card.

    Returns:
        Mean reward of each step.

    Raises:
        InvalidInputError: the editor has no weights to train, or a task is none for it.
        RewardError: the judge failed on too many edits of a step, or is away.
        JudgeChangedError: another judge answers than the one that the training began with.
        ServingError: a served judge could not be asked.
        NotFiniteError: latents, a loss or a gradient are not numbers.
        RatioError: the update does not see the probabilities that edits were drawn with.
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
