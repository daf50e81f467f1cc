"""GRPO of a judge: it answers the protocol's questions, and learns from rewards.

TRL's ``GRPOTrainer`` runs the steps. Either transformers generates answers in the training
processes, or a separate vLLM server; vLLM within these processes needs another transformers.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import set_seed

from spatialreward.data.dataset import Dataset
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.judges.qwen_vl.folder import head_home
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.progress import ReportMetrics
from spatialreward.protocol.choice import protocol_of
from spatialreward.protocol.prompts import Protocol
from spatialreward.training.arguments import common_arguments, samples_at_a_time
from spatialreward.training.base import Base, kind_in_words, load_base
from spatialreward.training.consistency import ConsistencyJudge
from spatialreward.training.grpo_config import GrpoConfig
from spatialreward.training.grpo_prompts import GrpoPrompts
from spatialreward.training.grpo_trainer import GrpoTrainer, Judged
from spatialreward.training.kl_bound import KlBound
from spatialreward.training.processes import ALONE, Processes
from spatialreward.training.reporting import Progress
from spatialreward.training.sft import GENERATED_WORLD_NOTICE
from spatialreward.training.states import States
from spatialreward.training.trl_processor import trl_processor
from spatialreward.training.tuning import prepare
from spatialreward.training.writing import JudgeWriter

if TYPE_CHECKING:
    from transformers import TrainerCallback
    from trl import GRPOConfig

logger = logging.getLogger(__name__)

_IMAGE_TOKEN = "<|image_pad|>"


def tune_judge(
    base: Base,
    config: GrpoConfig,
    data: Dataset,
    out: Path,
    report: ReportMetrics,
    *,
    state_folder: Path,
    processes: Processes = ALONE,
) -> None:
    """Train a judge on rewards, and write it with its protocol and card.

    Every process calls this with the same arguments; the first one writes.

    Args:
        base: the initial judge, whose own protocol counts.
        config: length, rewards and other settings.
        data: edits, labelled or not, and rankings if the settings need them.
        out: folder of the new checkpoint, or of the adapter if ``tuning.merge`` is false.
        report: receives the training metrics.
        state_folder: for periodic states, to resume after a kill, and to roll back when the judge
            diverges from the initial one; shared by all processes.
        processes: this process among all of them.

    Raises:
        InvalidInputError: the base is not a judge or too small for its protocol; a reward lacks its
            input; a batch does not divide evenly; or the last state is another training's.
        MaskedError: no answer of several steps has a reward.
        DivergenceError: the judge diverged before the first state.
        ServerAway: the consistency judge's server is unreachable.
    """
    config.check_rewards()
    samples_at_a_time(config, processes.world_size)
    protocol = protocol_of(base.folder, config.protocol)
    config.check_protocol(protocol)
    if head_home(base.folder) is not None:
        logger.info(
            "GRPO: %s has a scalar head, which is dropped because it fits only the old weights",
            base.origin or base.folder,
        )
    identity = _identity(base, config, data, protocol, processes)
    states = States(state_folder, identity)
    # Only the first process marks a state as complete.
    states.last = processes.from_first(states.last)
    bound = KlBound(config.max_kl)
    with known_warnings():
        trainer, processor, prompts = made_trainer(
            base, config, data, protocol, report, state_folder, [states, bound], processes
        )
        bound.trainer = trainer
        logger.info("GRPO: %d steps, from %s", config.num_steps, base.origin or base.folder)
        last = states.last
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        card = _card(base, config, data, protocol, prompts, processes)
        if bound.stopped_at is not None:
            card |= {
                "stopped_after_step": bound.go_back(state_folder),
                "stopped_because": f"kl {bound.kl:.3g} in step {bound.stopped_at}",
            }
        trainer.model.eval()
        writer = JudgeWriter(base, config.tuning, protocol, processor, processes)
        writer.write(trainer, out, card | {"training_minutes": round(states.seconds / 60, 1)})


def made_trainer(
    base: Base,
    config: GrpoConfig,
    data: Dataset,
    protocol: Protocol,
    report: ReportMetrics,
    state_folder: Path,
    callbacks: Sequence["TrainerCallback"],
    processes: Processes,
) -> tuple[GrpoTrainer, Processor, GrpoPrompts]:
    """The trainer before its first step, with the judge's processor and prompts."""
    # Before the model: DeepSpeed partitions it while loading.
    arguments = _arguments(config, protocol, state_folder, processes.world_size)
    model, processor = load_base(base, config, protocol)
    # TRL loads the judge again from here, to measure the divergence from it.
    model.config._name_or_path = str(base.folder)
    prompts = GrpoPrompts(data, config, protocol, processor)
    # A LoRA starts from random numbers.
    set_seed(config.seed)
    trainer = GrpoTrainer(
        prepare(model, config, str(base.folder)),
        arguments,
        prompts,
        trl_processor(processor),
        Judged(config, protocol, _consistency_judge(config, protocol)),
        report=report,
        callbacks=[*callbacks, *([Progress("GRPO")] if processes.is_first else [])],
    )
    return trainer, processor, prompts


def _arguments(
    config: GrpoConfig, protocol: Protocol, state_folder: Path, world_size: int
) -> "GRPOConfig":
    from trl import GRPOConfig

    sampling = config.sampling
    drawing: dict[str, Any] = {}
    if config.vllm_server is not None:
        drawing = {
            "use_vllm": True,
            "vllm_mode": "server",
            "vllm_server_base_url": config.vllm_server,
            # Otherwise it may generate one without a picture; transformers suppresses it.
            "generation_kwargs": {"bad_words": [_IMAGE_TOKEN]},
        }
    return GRPOConfig(
        **common_arguments(config, config.num_steps, state_folder, world_size),
        **drawing,
        logging_steps=config.report_every,
        save_steps=config.save_every,
        shuffle_dataset=False,
        num_generations=config.num_generations,
        max_completion_length=min(sampling.max_new_tokens, protocol.max_answer_tokens),
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        repetition_penalty=sampling.repetition_penalty,
        beta=config.kl_weight,
        loss_type="grpo",
        reward_weights=list(config.rewards.used.values()),
        # Otherwise answers would be sampled from other weights than those in training.
        disable_dropout=True,
        log_multimodal=False,
    )


def _consistency_judge(config: GrpoConfig, protocol: Protocol) -> ConsistencyJudge | None:
    if not config.rewards.consistency:
        return None
    assert config.consistency_judge is not None
    return ConsistencyJudge(OpenAiConfig.parse(config.consistency_judge), protocol)


def _card(
    base: Base,
    config: GrpoConfig,
    data: Dataset,
    protocol: Protocol,
    prompts: GrpoPrompts,
    processes: Processes,
) -> dict[str, Any]:
    is_made = data.count("truth") == len(data)
    return {
        "kind": kind_in_words(protocol.answer),
        **({"notice": GENERATED_WORLD_NOTICE} if is_made else {}),
        "trained_from": base.origin or str(base.folder),
        "trained_by": "GRPO",
        "num_training_edits": prompts.num_edits,
        "num_training_rankings": prompts.num_rankings,
        "training": config.model_dump(),
        "training_processes": processes.world_size,
    }


def _identity(
    base: Base, config: GrpoConfig, data: Dataset, protocol: Protocol, processes: Processes
) -> dict[str, Any]:
    """Identity of a state; omits settings that change no weight."""
    left_out = {"workers", "processes", "report_every", "max_kl", "max_masked_steps"}
    settings: dict[str, Any] = {}
    for name, value in config.model_dump(mode="json", exclude=left_out).items():
        if isinstance(value, dict):
            settings |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            settings[name] = value
    return {
        **settings,
        "base": base.origin or str(base.folder),
        "data": data.digest,
        "protocol": protocol.reference,
        "processes": processes.world_size,
    }


@contextmanager
def known_warnings() -> Iterator[None]:
    """Suppress warnings of TRL 1.16 and peft 0.21 about names in transformers 5.23."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`(is_)?gradient_checkpointing", FutureWarning)
        yield
