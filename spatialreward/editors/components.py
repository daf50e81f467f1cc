"""Loads the components of an editor's folder in diffusers' layout completely, or raises."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, ModelMixin
from torch import nn

from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl.weights import read_object
from spatialreward.progress import hide_loading_bars

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

INDEX_FILE = "model_index.json"
_CONFIG_FILE = "config.json"
_SHOWN = 3
_UNSUPPORTED = ("invert_sigmas", "stochastic_sampling")
"""Scheduler settings whose steps are not the ODE's from sigma 1 to 0."""

Model = TypeVar("Model", bound=nn.Module)
Tokenizer = TypeVar("Tokenizer", bound="PreTrainedTokenizerBase")


def read_index(folder: Path, pipelines: Sequence[str]) -> Mapping[str, Any]:
    """A folder's pipeline index.

    Args:
        folder: in diffusers' layout.
        pipelines: the accepted pipeline classes of diffusers.

    Raises:
        InvalidInputError: it is missing, or names another pipeline.
    """
    path = folder / INDEX_FILE
    if not path.is_file():
        raise InvalidInputError(f"{folder}: no editor here, expected {INDEX_FILE}")
    index = read_object(path)
    if (found := index.get("_class_name")) not in pipelines:
        raise InvalidInputError(
            f"{path}: expected an editor for {' or '.join(pipelines)}, got one for {found}"
        )
    return index


def load_model(kind: type[Model], folder: Path, dtype: torch.dtype) -> Model:
    """Load a diffusers or transformers model with every one of its tensors.

    Args:
        kind: its class.
        folder: with its config and its weights as safetensors.
        dtype: of the loaded weights.

    Raises:
        InvalidInputError: the folder is for another class, or tensors are missing, of another shape
            or, for a model of diffusers, unexpected; names the first ones.
    """
    stated = read_object(folder / _CONFIG_FILE)
    is_of_diffusers = issubclass(kind, ModelMixin)
    found = [stated.get("_class_name")] if is_of_diffusers else stated.get("architectures")
    if found and kind.__name__ not in found:
        raise InvalidInputError(
            f"{folder}: expected a {kind.__name__}, got a {' or '.join(map(str, found))}"
        )
    hide_loading_bars()
    try:
        with _warnings_off("diffusers", "transformers"):
            model, info = kind.from_pretrained(
                folder,
                dtype=dtype,
                output_loading_info=True,
                local_files_only=True,
                use_safetensors=True,
            )
    except (OSError, ValueError, RuntimeError, TypeError, ArithmeticError) as error:
        # The last two: values of the config from which no model can be built.
        raise InvalidInputError(f"{folder}: {' '.join(str(error).split())}") from error
    _refuse(folder, "lacks", info["missing_keys"])
    if is_of_diffusers:
        _refuse(folder, f"holds what a {kind.__name__} has no place for:", info["unexpected_keys"])
    return model.requires_grad_(False).eval()


@contextlib.contextmanager
def _warnings_off(*libraries: str) -> Iterator[None]:
    """Silence the libraries' warnings, such as missing tensors, which raise one error here."""
    loggers = [logging.getLogger(name) for name in libraries]
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _refuse(folder: Path, problem: str, tensors: Sequence[str]) -> None:
    if tensors:
        first, more = sorted(tensors)[:_SHOWN], len(tensors) - _SHOWN
        others = f" and {more:,} more" if more > 0 else ""
        raise InvalidInputError(f"{folder}: {problem} {', '.join(first)}{others}")


def load_tokenizer(kind: type[Tokenizer], folder: Path) -> Tokenizer:
    """Load a tokenizer of transformers.

    Raises:
        InvalidInputError: there is none.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"{folder}: expected a tokenizer")
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        # The tokenizers library raises this bare type.
        problem = " ".join(str(error).split())
        raise InvalidInputError(f"{folder}: tokenizer: {problem}") from error


def load_scheduler(folder: Path) -> FlowMatchEulerDiscreteScheduler:
    """Load the scheduler that defines a pipeline's time grid.

    Raises:
        InvalidInputError: it is missing, or its steps are not the ODE's from noise to data.
    """
    path = folder / "scheduler_config.json"
    stated = read_object(path)
    if (found := stated.get("_class_name")) != FlowMatchEulerDiscreteScheduler.__name__:
        raise InvalidInputError(
            f"{path}: expected a {FlowMatchEulerDiscreteScheduler.__name__}, got a {found}"
        )
    for setting in _UNSUPPORTED:
        if stated.get(setting):
            raise InvalidInputError(f"{path}: {setting} is not supported")
    return FlowMatchEulerDiscreteScheduler.from_config(stated)
