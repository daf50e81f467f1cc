"""Compares a folder's tensors with those of its architecture, before any weight is read.

transformers only warns and fills missing tensors with random numbers. Here that is an error,
because a judge with one random tensor scores differently after each start.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl.weights import Tensors, some

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_COMPUTED = re.compile(r"rotary_emb\.inv_freq$|(^|\.)position_ids$")
"""Tensors that older releases stored and newer ones compute."""

Shape = tuple[int, ...]


class _Found(NamedTuple):
    """A tensor of the folder."""

    name: str
    shape: Shape
    is_converted: bool
    """Whether the file may have its last two dimensions swapped."""


def check_names(
    path: Path, model_class: "type[PreTrainedModel]", config: "PretrainedConfig", tensors: Tensors
) -> None:
    """Check that a folder's tensors match a model.

    Raises:
        InvalidInputError: some are missing, unexpected, or of another shape; names them.
    """
    model = _without_memory(path, model_class, config)
    expected = {name: tuple(one.shape) for name, one in model.state_dict().items()}
    found = dict(_renamed(model, expected, tensors))
    tied = {name for name, source in model.all_tied_weights_keys.items() if source in found}
    problems = []
    if missing := set(expected) - set(found) - tied:
        problems.append(f"{len(missing):,} of {len(expected):,} tensors missing: {some(missing)}")
    if unexpected := {found[name].name for name in set(found) - set(expected)}:
        problems.append(f"{len(unexpected):,} tensors not the model's: {some(unexpected)}")
    for name in set(found) & set(expected):
        if not _fits(found[name], expected[name]):
            problems.append(
                f"{found[name].name}: expected {list(expected[name])}, "
                f"got {list(found[name].shape)}"
            )
            break
    if problems:
        raise InvalidInputError(f"{path}: {'; '.join(problems)}")


def _without_memory(
    path: Path, model_class: "type[PreTrainedModel]", config: "PretrainedConfig"
) -> "PreTrainedModel":
    import torch
    from transformers.modeling_utils import set_zero3_state

    try:
        # Under ZeRO-3, constructing a model would partition it among processes.
        with set_zero3_state(), torch.device("meta"):
            return model_class(config)
    except (ValueError, TypeError, KeyError, RuntimeError, ArithmeticError) as error:
        problem = " ".join(str(error).split())
        raise InvalidInputError(
            f"{path / 'config.json'}: no model can be built: {problem}"
        ) from error


def _renamed(
    model: "PreTrainedModel", expected: Mapping[str, Shape], tensors: Tensors
) -> Iterator[tuple[str, _Found]]:
    """The folder's tensors by the model's names, as transformers maps them."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        WeightConverter,
        WeightRenaming,
        rename_source_key,
    )

    mapping = get_model_conversion_mapping(model)
    renamings = [one for one in mapping if isinstance(one, WeightRenaming)]
    converters = [one for one in mapping if isinstance(one, WeightConverter)]
    for name, header in tensors.items():
        renamed, converted = rename_source_key(
            name, renamings, converters, model.base_model_prefix, expected
        )
        if renamed not in expected and name in expected:
            renamed, converted = name, None
        if renamed in expected or not _COMPUTED.search(name):
            yield renamed, _Found(name, header.shape, converted is not None)


def _fits(found: _Found, expected: Shape) -> bool:
    """Compare shapes; experts are stored transposed on the hub."""
    turned = (*expected[:-2], *reversed(expected[-2:]))
    return found.shape == expected or (found.is_converted and found.shape == turned)
