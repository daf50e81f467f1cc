"""A judge's folder: weights, tokenizer, chat template, image processor, protocol and card."""

import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatialreward.errors import InvalidInputError
from spatialreward.judges.names import check_names
from spatialreward.judges.qwen_vl.adapter import apply_adapter, check_adapter
from spatialreward.judges.qwen_vl.folder import CARD_FILE, GENERATION_FILE, CheckpointFolder
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.judges.qwen_vl.weights import read_object, some
from spatialreward.progress import hide_loading_bars
from spatialreward.protocol.prompts import Protocol

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel


_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
"""PyTorch's names of the storage types of weights."""


def save(
    folder: Path,
    model: "PreTrainedModel",
    processor: Processor,
    card: Mapping[str, object],
    protocol: Protocol | None = None,
    *,
    weights: "Mapping[str, torch.Tensor] | None" = None,
) -> None:
    """Write a checkpoint; without a protocol, the user of the checkpoint names one.

    ``weights`` replace the model's own, which ZeRO-3 partitions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = None
    if weights is not None:
        # DeepSpeed gathers a tied weight as a separate tensor.
        own = {
            name: one for name, one in weights.items() if name not in model.all_tied_weights_keys
        }
    hide_loading_bars()
    model.save_pretrained(folder, state_dict=own)
    processor.save(folder)
    write_card(folder, card)
    if protocol is not None:
        protocol.write(folder)


def write_card(folder: Path, card: Mapping[str, object]) -> None:
    """Write the card that records how a folder's content was made."""
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")


def load(
    folder: Path,
    square_side: int | None,
    *,
    adapter: Path | None = None,
) -> tuple["PreTrainedModel", Processor]:
    """Load model and processor of a checkpoint that judges, onto the GPU if there is one.

    Args:
        folder: the checkpoint.
        square_side: side of the pictures, as in the protocol.
        adapter: folder of a LoRA to merge into the weights.

    Raises:
        InvalidInputError: the folder holds no checkpoint, a damaged one, or weights that differ
            from its ``config.json``; or the adapter is for another model.
    """
    import torch

    if adapter is not None:
        check_adapter(adapter, str(folder))
    cuda = torch.cuda.is_available()
    found = CheckpointFolder.read(folder, adapter=adapter)
    model, processor = _load_both(found, torch.bfloat16 if cuda else torch.float32, square_side)
    if adapter is not None:
        model = apply_adapter(model, folder, adapter)
    model.to("cuda" if cuda else "cpu")
    return model, processor


def load_for_training(folder: Path, dtype: "torch.dtype") -> tuple["PreTrainedModel", Processor]:
    """Load model and processor of a checkpoint, for the Trainer to place on its device.

    Raises:
        InvalidInputError: as ``load`` does.
    """
    return _load_both(CheckpointFolder.read(folder), dtype, None)


def load_found(
    folder: CheckpointFolder, dtype: "torch.dtype"
) -> tuple["PreTrainedModel", Processor]:
    """Load model and processor of an inspected folder.

    Raises:
        InvalidInputError: as ``load`` does.
    """
    return _load_both(folder, dtype, None)


def load_merged(folder: Path, adapter: Path) -> tuple["PreTrainedModel", Processor]:
    """Load a checkpoint with a LoRA merged in, in the precision of its weights.

    Raises:
        InvalidInputError: as ``load`` does.
    """
    import torch

    check_adapter(adapter, str(folder))
    found = CheckpointFolder.read(folder, adapter=adapter)
    stored = next(iter(found.tensors.values())).dtype
    model, processor = _load_both(found, torch.float32, None)
    merged = apply_adapter(model, folder, adapter)
    return merged.to(getattr(torch, _DTYPES[stored])), processor


def _load_both(
    found: CheckpointFolder, dtype: "torch.dtype", square_side: int | None
) -> tuple["PreTrainedModel", Processor]:
    from spatialreward.judges.qwen_vl.faster import make_faster

    model = _load_model(found, dtype)
    processor = Processor.load(found.path, square_side)
    _check_tokens(found, model, processor)
    make_faster(model)
    return model, processor


def _load_model(folder: CheckpointFolder, dtype: "torch.dtype") -> "PreTrainedModel":
    """Load exactly the weights of a folder.

    Passes tensors to transformers instead of the folder, because it would also load an adapter in
    that folder.
    """
    from safetensors import safe_open
    from transformers import GenerationConfig

    model_class = _class_of(folder.model_type)
    config = config_of(folder)
    check_names(folder.path, model_class, config, folder.tensors)
    with ExitStack() as stack:
        tensors = {}
        for path, names in folder.files.items():
            file = stack.enter_context(safe_open(path, framework="pt"))
            tensors.update({name: _read(file, name) for name in names})
        hide_loading_bars()
        model, report = model_class.from_pretrained(
            None, config=config, state_dict=tensors, dtype=dtype, output_loading_info=True
        )
    _forget_unused_names(model, folder)
    if report["missing_keys"]:
        raise InvalidInputError(f"{folder.path}: {some(report['missing_keys'])} missing")
    path = folder.path / GENERATION_FILE
    if path.is_file():
        settings = read_object(path)
        try:
            model.generation_config = GenerationConfig.from_dict(settings)
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidInputError(f"{path}: {' '.join(str(error).split())}") from error
    return model


def _forget_unused_names(model: "PreTrainedModel", folder: CheckpointFolder) -> None:
    """Drop the names of older releases that this folder does not have.

    Saving reverses the renaming. Under ZeRO-3, transformers 5.23 reverses all of it, and so writes
    obsolete names.
    """
    conversions = getattr(model, "_weight_conversions", None)
    if conversions:
        model._weight_conversions = [
            one
            for one in conversions
            if any(
                re.search(pattern, name)
                for pattern in one.source_patterns
                for name in folder.tensors
            )
        ]


def _read(file: Any, name: str) -> Any:
    """A tensor that is read once its place in the model is known.

    Under ZeRO-3 only the first process reads, immediately; the others have shapes.
    """
    import torch
    from transformers.integrations import is_deepspeed_zero3_enabled

    if not is_deepspeed_zero3_enabled():
        return file.get_slice(name)
    if torch.distributed.get_rank() == 0:
        return file.get_tensor(name)
    return torch.empty(file.get_slice(name).get_shape(), device="meta")


def _class_of(model_type: str) -> "type[PreTrainedModel]":
    import transformers

    match model_type:
        case "qwen3_vl":
            return transformers.Qwen3VLForConditionalGeneration
        case "qwen3_vl_moe":
            return transformers.Qwen3VLMoeForConditionalGeneration
        case "qwen2_5_vl":
            return transformers.Qwen2_5_VLForConditionalGeneration
    raise AssertionError(f"{model_type} is none of MODEL_TYPES")


def config_of(folder: CheckpointFolder) -> "PretrainedConfig":
    """A checkpoint's ``config.json``, completed with its architecture's defaults.

    Raises:
        InvalidInputError: a value in it is invalid.
    """
    from huggingface_hub.errors import StrictDataclassError

    try:
        return _class_of(folder.model_type).config_class.from_dict(dict(folder.config))
    except (StrictDataclassError, ValueError, TypeError, KeyError, AttributeError) as error:
        problem = " ".join(str(error).split())
        raise InvalidInputError(f"{folder.path / 'config.json'}: {problem}") from error


def _check_tokens(folder: CheckpointFolder, model: "PreTrainedModel", processor: Processor) -> None:
    """Check that tokenizer and weights belong together, as far as visible."""
    table = model.get_input_embeddings().weight
    # Under ZeRO-3 a weight is empty between uses, but knows its shape.
    num_rows = getattr(table, "ds_shape", table.shape)[0]
    num_tokens = len(processor.tokenizer)
    if num_tokens > num_rows:
        raise InvalidInputError(
            f"{folder.path}: the tokenizer has {num_tokens:,} tokens, the model {num_rows:,}"
        )
    expected, got = folder.config.get("image_token_id"), processor.image_token
    if expected is not None and expected != got:
        raise InvalidInputError(
            f"{folder.path}: a picture's token is {got} in the tokenizer, {expected} in config.json"
        )
