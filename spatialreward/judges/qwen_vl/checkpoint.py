"""A judge's folder: weights, tokenizer, chat template, image processor, protocol and card."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.errors import InvalidInputError
from spatialreward.judges.names import check_names
from spatialreward.judges.qwen_vl.adapter import apply_adapter, check_adapter
from spatialreward.judges.qwen_vl.folder import CARD_FILE, GENERATION_FILE, CheckpointFolder
from spatialreward.judges.qwen_vl.processor import Processor
from spatialreward.judges.qwen_vl.weights import read_object, some
from spatialreward.protocol.prompts import Protocol

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel


def save(
    folder: Path,
    model: "PreTrainedModel",
    processor: Processor,
    card: Mapping[str, object],
    protocol: Protocol | None = None,
) -> None:
    """Write a checkpoint; one without a protocol is judged with the one that its user names."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save(folder)
    (folder / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n")
    if protocol is not None:
        protocol.write(folder)


def load(
    folder: Path,
    square_side: int | None,
    *,
    adapter: Path | None = None,
    for_training: bool = False,
) -> tuple["PreTrainedModel", Processor]:
    """Model and processor of a checkpoint, on the GPU if there is one.

    Args:
        folder: the checkpoint.
        square_side: of the pictures, as in the protocol.
        adapter: folder of a LoRA that is merged into the weights.
        for_training: weights have 32 bits on a GPU too, where one judges in bfloat16.

    Raises:
        InvalidInputError: the folder holds no checkpoint, one that is damaged, or other weights
            than its ``config.json`` says; or the adapter is for another model.
    """
    import torch

    if adapter is not None:
        check_adapter(adapter, str(folder))
    cuda = torch.cuda.is_available()
    found = CheckpointFolder.read(folder, adapter=adapter)
    model = _load_model(found, torch.bfloat16 if cuda and not for_training else torch.float32)
    processor = Processor.load(folder, square_side)
    _check_tokens(found, model, processor)
    if adapter is not None:
        model = apply_adapter(model, folder, adapter)
    model.to("cuda" if cuda else "cpu")
    return model, processor


def _load_model(folder: CheckpointFolder, dtype: "torch.dtype") -> "PreTrainedModel":
    """Read the weights, all of them and no others.

    Transformers is given the tensors, not the folder: of a folder with an adapter in it, it would
    load that too.
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
            tensors.update({name: file.get_slice(name) for name in names})
        model, report = model_class.from_pretrained(
            None, config=config, state_dict=tensors, dtype=dtype, output_loading_info=True
        )
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
    """A checkpoint's ``config.json``, with its architecture's defaults for what it leaves out.

    Raises:
        InvalidInputError: a value in it cannot be used.
    """
    from huggingface_hub.errors import StrictDataclassError

    try:
        return _class_of(folder.model_type).config_class.from_dict(dict(folder.config))
    except (StrictDataclassError, ValueError, TypeError, KeyError, AttributeError) as error:
        problem = " ".join(str(error).split())
        raise InvalidInputError(f"{folder.path / 'config.json'}: {problem}") from error


def _check_tokens(folder: CheckpointFolder, model: "PreTrainedModel", processor: Processor) -> None:
    """Make sure that tokenizer and weights belong together, as far as that can be seen."""
    num_rows = model.get_input_embeddings().weight.shape[0]
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
