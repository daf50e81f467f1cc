"""Arguments for transformers' Trainer and DeepSpeed, from the settings of a training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatialreward.errors import InvalidInputError
from spatialreward.training.config import JudgeTrainingConfig, TrainingConfig
from spatialreward.training.muon import has_bfloat16

if TYPE_CHECKING:
    from transformers import TrainingArguments


def training_arguments(
    config: JudgeTrainingConfig, num_steps: int, folder: Path, world_size: int
) -> "TrainingArguments":
    """The Trainer's arguments.

    Args:
        config: the training's settings.
        num_steps: its length.
        folder: for the Trainer's states.
        world_size: number of processes.

    Raises:
        InvalidInputError: a batch does not divide evenly, or the machine has no bfloat16.
    """
    from transformers import TrainingArguments

    return TrainingArguments(
        **common_arguments(config, num_steps, folder, world_size),
        logging_steps=config.report_every,
        save_steps=config.save_every,
        # training_order has fixed the order already.
        train_sampling_strategy="sequential",
    )


def common_arguments(
    config: TrainingConfig, num_steps: int, folder: Path, world_size: int
) -> dict[str, Any]:
    """Arguments common to all trainings; as ``training_arguments``."""
    optimiser = config.optimiser
    each = samples_at_a_time(config, world_size)
    cuda = _has_gpu()
    return {
        "output_dir": str(folder),
        "max_steps": num_steps,
        "per_device_train_batch_size": each,
        "gradient_accumulation_steps": optimiser.batch_size // (each * world_size),
        "optim": "adamw_torch",
        "learning_rate": optimiser.learning_rate,
        "weight_decay": optimiser.weight_decay,
        "adam_beta2": 0.95,
        "max_grad_norm": optimiser.max_gradient_norm,
        "warmup_steps": optimiser.warmup_steps,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "bf16": reduces_precision(config),
        "activation_checkpointing": config.gradient_checkpointing,
        "activation_checkpointing_kwargs": {"use_reentrant": False},
        # Every conversation has a picture, so every weight takes part in every step.
        "ddp_find_unused_parameters": False,
        "deepspeed": deepspeed_settings(config) if config.deepspeed else None,
        "use_cpu": not cuda,
        "seed": config.seed,
        "dataloader_num_workers": config.workers,
        "dataloader_pin_memory": cuda,
        "remove_unused_columns": False,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        # The last one may be incomplete after a kill.
        "save_total_limit": 2,
        "report_to": [],
        "disable_tqdm": True,
    }


def samples_at_a_time(config: TrainingConfig, world_size: int) -> int:
    """Samples of a batch in one process's memory at once.

    Raises:
        InvalidInputError: a batch does not divide evenly.
    """
    batch, asked = config.optimiser.batch_size, config.samples_at_a_time
    if batch % world_size:
        raise InvalidInputError(
            f"batch_size {batch}: cannot be divided evenly among {world_size} processes"
        )
    each = batch // world_size
    if asked is not None and each % asked:
        raise InvalidInputError(
            f"samples_at_a_time {asked}: expected a divisor of {each}, a process's part of "
            f"batch_size {batch}"
        )
    return asked or each


def reduces_precision(config: TrainingConfig) -> bool:
    """Whether matrix products use bfloat16; the optimiser's weights keep 32 bits.

    Raises:
        InvalidInputError: the settings request it, and the GPU does not support it.
    """
    wanted = config.optimiser.precision
    has = has_bfloat16("cuda" if _has_gpu() else "cpu")
    if wanted == "bfloat16" and _has_gpu() and not has:
        raise InvalidInputError("precision bfloat16: this GPU has none, expected float32")
    return wanted == "bfloat16" or (wanted == "fastest" and has)


def deepspeed_settings(config: TrainingConfig) -> dict[str, Any]:
    """DeepSpeed's configuration; optimiser and schedule stay the Trainer's, on resuming too.

    Without ``stage3_gather_16bit_weights_on_model_save`` the saved model would be empty, and with
    the usual threshold every process would hold a whole tiny model.
    """
    settings: dict[str, Any] = {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": "auto"},
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {
            "stage": 3 if config.deepspeed == "zero3" else 2,
            "contiguous_gradients": True,
            "overlap_comm": False,
        },
    }
    if config.deepspeed == "zero3":
        settings["zero_optimization"] |= {
            "stage3_gather_16bit_weights_on_model_save": True,
            "stage3_param_persistence_threshold": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "reduce_bucket_size": "auto",
        }
    return settings


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
