"""Merges a LoRA adapter into a judge's weights completely, or refuses it."""

import logging
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from spatialreward.errors import InvalidInputError
from spatialreward.hub import ON_HUB
from spatialreward.judges.qwen_vl.folder import ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE
from spatialreward.judges.qwen_vl.weights import read_object, read_tensors, some

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

_KIND = "LORA"
_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")
_SIZE_MISMATCH = re.compile(r"size mismatch for (\S+): .*?(\[[\d, ]+\]).*?(\[[\d, ]+\])", re.DOTALL)


def check_adapter(adapter: Path, base: str) -> None:
    """Check that a folder holds a LoRA for this base, as far as names show.

    Args:
        adapter: the adapter's folder.
        base: the model as the user named it: a folder, or ``hub:OWNER/NAME@REVISION``.

    Raises:
        InvalidInputError: it is missing, damaged or not a LoRA, or it names another base.
    """
    path = adapter / ADAPTER_CONFIG_FILE
    if not path.is_file():
        raise InvalidInputError(f"{adapter}: no adapter here, expected an {ADAPTER_CONFIG_FILE}")
    settings = read_object(path)
    if settings.get("peft_type") != _KIND:
        found = settings.get("peft_type")
        raise InvalidInputError(f"{path}: peft_type: expected {_KIND!r}, got {found!r}")
    weights = adapter / ADAPTER_WEIGHTS_FILE
    if not weights.is_file():
        raise InvalidInputError(f"{adapter}: no {ADAPTER_WEIGHTS_FILE} beside {path.name}")
    if empty := [name for name, one in read_tensors(weights).items() if 0 in one.shape]:
        raise InvalidInputError(f"{weights}: empty tensors, as ZeRO-3 leaves them: {some(empty)}")
    named = str(settings.get("base_model_name_or_path"))
    if _is_another(named, base):
        raise InvalidInputError(
            f"{path}: base_model_name_or_path: the adapter is for {named}, not for {base}"
        )


def apply_adapter(model: "PreTrainedModel", base: Path, adapter: Path) -> "PreTrainedModel":
    """A model with a LoRA merged into its weights.

    Args:
        model: the base; modified in place.
        base: its folder, for messages.
        adapter: the LoRA's folder, see ``check_adapter``.

    Raises:
        InvalidInputError: it does not fit this model; the message names the mismatches.
    """
    from peft import LoraConfig, get_peft_model

    try:
        config = LoraConfig.from_pretrained(str(adapter))
    except (ValueError, TypeError, KeyError) as error:
        path = adapter / ADAPTER_CONFIG_FILE
        raise InvalidInputError(f"{path}: {_in_words(error)}") from error
    try:
        # Compared above; peft would warn about every name except that of this process's model.
        config.base_model_name_or_path = None
        with warnings.catch_warnings():
            # peft 0.21 uses an old name of transformers 5.23.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            wrapped = get_peft_model(model, config)
        result = wrapped.load_adapter(str(adapter), "default", torch_device=str(model.device))
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise InvalidInputError(f"{adapter}: does not fit {base}: {_in_words(error)}") from error
    for names, what in (
        (result.missing_keys, "the adapter lacks"),
        (result.unexpected_keys, "the base has no place for"),
    ):
        if names:
            raise InvalidInputError(f"{adapter}: does not fit {base}: {what} {some(set(names))}")
    logger.info("adapter %s is merged into %s", adapter, base)
    return wrapped.merge_and_unload(safe_merge=True)


def _is_another(named: str, base: str) -> bool:
    """Whether both are hub ids and differ; a folder may hold any model."""
    if not base.startswith(ON_HUB) or not _HUB_ID.fullmatch(named):
        return False
    return named.lower() != base.removeprefix(ON_HUB).partition("@")[0].lower()


def _in_words(error: Exception) -> str:
    if found := _SIZE_MISMATCH.search(str(error)):
        name, of_adapter, of_base = found.groups()
        return f"{name} is {of_adapter} in the adapter, {of_base} in the base"
    return " ".join(str(error).split())
