"""SFT with the project's ``fit`` and with TRL's ``SFTTrainer``, in short alternating rounds.

Both get the same checkpoint, conversations in the same order, batch size, AdamW and learning rate.
TRL keeps its defaults, including gradient checkpointing and transformers' own vision part, except
for four:

- ``max_length`` None, because the default of 1,024 tokens would truncate answers;
- no shuffling, to train on the same samples;
- ``bf16`` off if the processor has no instructions for it, where it would be emulated;
- a processor without a video part, which needs torchvision; and a chat template with nothing after
  the answer's end, so that both learn the same tokens.
"""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from spatialreward.data.dataset import Dataset
from spatialreward.data.views import sft_features
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.progress import track
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import Streams
from spatialreward.training.arguments import reduces_precision, training_arguments
from spatialreward.training.collating import Collator
from spatialreward.training.config import JudgeTrainingConfig, LoraTuning
from spatialreward.training.conversations import Limits, PackedConversations, Planned
from spatialreward.training.fitting import fit
from spatialreward.training.order import Part, training_order
from spatialreward.training.tuning import LORA_TARGETS, prepare

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig
    from transformers import ProcessorMixin, TrainingArguments


class Mark(NamedTuple):
    """Metrics from a trainer after some of its steps."""

    step: int
    at_s: float
    at_cpu_s: float
    """Of all threads of this process."""
    loss: float
    """Mean since the previous mark."""


class Beside(NamedTuple):
    """Results of the rounds; one number per round."""

    ours: list[float]
    """Samples a second."""
    trl: list[float]
    cpu_ratios: list[float]
    """TRL's relative processor time: hardly affected by other load."""
    loss_difference: float
    """Largest relative difference of the mean losses of the last steps."""

    @property
    def ratios(self) -> list[float]:
        """Speed-up over TRL by round: other load cancels."""
        return [ours / trl for ours, trl in zip(self.ours, self.trl, strict=True)]


def beside_trl(
    base: Path, data: Dataset, protocol: Protocol, config: JudgeTrainingConfig, rounds: int
) -> Beside:
    """Train with both in turn, from the same weights in each round.

    The time up to the first report is warm-up, and does not count.

    Args:
        base: a checkpoint.
        data: edits with labels.
        protocol: gives prompts and answers.
        config: training settings; its reports are the marks for taking time, so it needs at least
            two of them.
        rounds: number of rounds of each.
    """
    processor = Processor.load(base, None).following(protocol)
    planned = planned_of(data, protocol, processor, config)
    ways: Mapping[str, Callable[[Path], list[Mark]]] = {
        "ours": lambda folder: _ours(base, planned, processor, config, folder),
        "trl": lambda folder: _trl(base, planned, processor, protocol, config, folder),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    differences, cpu_ratios = [], []
    for number in track(range(rounds), total=rounds, description=f"rounds beside TRL: {base}"):
        marks = {}
        # Alternate which one goes first.
        for name in sorted(ways, reverse=bool(number % 2)):
            with TemporaryDirectory() as folder, warnings.catch_warnings():
                marks[name] = ways[name](Path(folder))
            speeds[name].append(_samples_per_s(marks[name], config))
        cpu_ratios.append(_cpu_s(marks["trl"]) / _cpu_s(marks["ours"]))
        ours, theirs = marks["ours"][-1], marks["trl"][-1]
        assert ours.step == theirs.step
        differences.append(abs(ours.loss - theirs.loss) / theirs.loss)
    return Beside(speeds["ours"], speeds["trl"], cpu_ratios, max(differences))


def planned_of(
    data: Dataset, protocol: Protocol, processor: Processor, config: JudgeTrainingConfig
) -> Planned:
    """The conversations of a training with these settings, in its order."""
    limits = Limits(answer=protocol.max_answer_tokens, whole=config.max_tokens)
    streams = {
        Streams.SEMANTIC: 1 - config.perceptual_share,
        Streams.PERCEPTUAL: config.perceptual_share,
    }
    packed = PackedConversations(data, protocol, processor, limits, list(streams))
    batch = config.optimiser.batch_size
    order = training_order(
        [Part(packed.of(stream), share) for stream, share in streams.items()],
        packed.lengths,
        num_samples=config.num_steps * batch,
        batch_size=batch,
        samples_at_a_time=batch,
        seed=config.seed,
    )
    return Planned(packed, order)


def _samples_per_s(marks: Sequence[Mark], config: JudgeTrainingConfig) -> float:
    first, last = marks[0], marks[-1]
    return (last.step - first.step) * config.optimiser.batch_size / (last.at_s - first.at_s)


def _cpu_s(marks: Sequence[Mark]) -> float:
    return marks[-1].at_cpu_s - marks[0].at_cpu_s


def _dtype(config: JudgeTrainingConfig) -> "torch.dtype":
    """Of the loaded weights, as in ``train_judge``."""
    import torch

    halved = config.tuning.kind == "lora" and reduces_precision(config)
    return torch.bfloat16 if halved else torch.float32


def _arguments(config: JudgeTrainingConfig, folder: Path) -> "TrainingArguments":
    arguments = training_arguments(config, config.num_steps, folder, 1)
    arguments.save_strategy = "no"
    return arguments


def _ours(
    base: Path, planned: Planned, processor: Processor, config: JudgeTrainingConfig, folder: Path
) -> list[Mark]:
    from transformers import set_seed

    marks: list[Mark] = []

    def report(metrics: Mapping[str, float], step: int) -> None:
        marks.append(Mark(step, time.perf_counter(), time.process_time(), metrics["loss/all"]))

    model, _ = checkpoint.load_for_training(base, _dtype(config))
    arguments = _arguments(config, folder)
    set_seed(config.seed)
    fit(
        prepare(model, config, str(base)),
        arguments,
        planned,
        Collator(processor),
        matrices="adamw",
        report=report,
        description="ours",
    )
    return marks


def _trl(
    base: Path,
    planned: Planned,
    processor: Processor,
    protocol: Protocol,
    config: JudgeTrainingConfig,
    folder: Path,
) -> list[Mark]:
    from datasets import Dataset as Rows
    from transformers import (
        PrinterCallback,
        Qwen3VLForConditionalGeneration,
        TrainerCallback,
    )
    from trl import SFTConfig, SFTTrainer

    marks: list[Mark] = []

    class Marks(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **rest) -> None:
            if logs and "loss" in logs:
                marks.append(
                    Mark(state.global_step, time.perf_counter(), time.process_time(), logs["loss"])
                )

    # TRL 1.16 and peft 0.21 use old names of transformers 5.23.
    warnings.filterwarnings("ignore", "`(is_)?gradient_checkpointing", FutureWarning)
    rows = [planned[number].row() for number in range(len(planned))]
    ours = _arguments(config, folder)
    arguments = SFTConfig(
        output_dir=str(folder),
        max_length=None,
        train_sampling_strategy="sequential",
        bf16=reduces_precision(config),
        dataloader_pin_memory=ours.dataloader_pin_memory,
        use_cpu=ours.use_cpu,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        # Settings that affect the loss, and not the speed.
        **{name: getattr(ours, name) for name in _SAME},
    )
    trainer = SFTTrainer(
        Qwen3VLForConditionalGeneration.from_pretrained(base, dtype=_dtype(config)),
        arguments,
        train_dataset=Rows.from_list(rows, features=sft_features()),
        processing_class=_trl_processor(processor, protocol),
        peft_config=_lora(config.tuning) if config.tuning.kind == "lora" else None,
        callbacks=[Marks()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return marks


_SAME = (
    *("max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "seed"),
    *("learning_rate", "weight_decay", "adam_beta2", "max_grad_norm", "warmup_steps"),
    *("lr_scheduler_type", "lr_scheduler_kwargs", "logging_steps"),
)


def _lora(tuning: LoraTuning) -> "LoraConfig":
    from peft import LoraConfig

    return LoraConfig(
        r=tuning.rank,
        lora_alpha=tuning.alpha,
        lora_dropout=tuning.dropout,
        target_modules=LORA_TARGETS,
        task_type="CAUSAL_LM",
    )


def _trl_processor(processor: Processor, protocol: Protocol) -> "ProcessorMixin":
    """In TRL's form; the pictures already have the protocol's size."""
    from spatialreward.training.trl_processor import trl_processor

    template = protocol.chat_template
    assert template is not None
    # Without a role after the generation prompt, the answer has none either.
    template = template.replace(
        "{{ message.role }}", "{{ message.role if message.role == 'user' else '' }}"
    )
    return trl_processor(processor, template)
