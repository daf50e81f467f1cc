"""Common parts of diffusers editors for RL: a LoRA on a frozen transformer.

The base keeps its weights and their precision; the adapter's are float32. The KL reference of RL
is the same base with the adapter off, so it takes no memory. A checkpoint holds only the LoRA, in
the format of stock diffusers pipelines, and a card that names the base.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from spatialreward.editors.config import LoraConfig
from spatialreward.editors.lora_files import (
    LORA_FILE,
    METADATA_KEY,
    PREFIX,
    check_stated_base,
    read_lora_file,
)
from spatialreward.errors import InvalidInputError
from spatialreward.folder_manifest import digest_folder
from spatialreward.judges.qwen_vl.weights import read_object
from spatialreward.records import Record
from spatialreward.validation import first_problem

if TYPE_CHECKING:
    from diffusers import ModelMixin
    from PIL import Image

    from spatialreward.editors.interface import Condition, FlowEditor
    from spatialreward.edits import EditTask

CARD_FILE = "card.json"
_ADAPTER = "default"


class LoraBase(Record):
    """The weights that a LoRA was trained on."""

    name: str
    """Their origin: a folder, or ``hub:OWNER/NAME@COMMIT``."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of the transformer's folder."""


class LoraCard(Record):
    """Metadata of a LoRA, under ``adapter`` in its card."""

    transformer: str
    """Class of the adapted model."""
    base: LoraBase
    lora: LoraConfig
    """Including its targets."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The card in a LoRA's folder.

        Raises:
            InvalidInputError: it is missing or incomplete.
        """
        path = folder / CARD_FILE
        if not path.is_file():
            raise InvalidInputError(f"{folder}: no {CARD_FILE}, which names the LoRA's base")
        stated = read_object(path).get("adapter")
        try:
            return cls.model_validate(stated)
        except ValidationError as error:
            problem = first_problem(error, cls, stated)
            raise InvalidInputError(f"{path}: adapter: {problem}") from error


def add_lora(
    transformer: "ModelMixin", config: LoraConfig, targets: Sequence[str], seed: int = 0
) -> None:
    """Freeze a transformer and add a LoRA with trainable float32 weights.

    Args:
        transformer: with diffusers' ``PeftAdapterMixin``.
        config: of the LoRA.
        targets: layers to adapt if ``config`` names none.
        seed: for the first matrices.

    Raises:
        InvalidInputError: no layer of the transformer has a target's name.
    """
    from peft import LoraConfig as PeftConfig

    wanted = targets if config.targets is None else config.targets
    linear = [name for name, one in transformer.named_modules() if isinstance(one, nn.Linear)]
    for target in wanted:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            raise InvalidInputError(
                f"LoRA: {type(transformer).__name__} has no linear layer {target!r}"
            )
    transformer.requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        transformer.add_adapter(
            PeftConfig(
                r=config.rank,
                lora_alpha=config.alpha,
                lora_dropout=config.dropout,
                target_modules=list(wanted),
                init_lora_weights="gaussian",
            ),
            _ADAPTER,
        )
    for weight in transformer.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


@contextlib.contextmanager
def adapter_off(transformer: nn.Module) -> Iterator[None]:
    """Run the base alone; no effect without an adapter.

    Restores the adapter's state afterwards, also after an exception.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [
        one
        for one in transformer.modules()
        if isinstance(one, BaseTunerLayer) and not one.disable_adapters
    ]
    # peft freezes an adapter when disabling it, and unfreezes all of it when enabling it.
    weights = [weight for layer in layers for weight in layer.parameters()]
    trained = [weight.requires_grad for weight in weights]
    try:
        for layer in layers:
            layer.enable_adapters(enabled=False)
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(enabled=True)
        for weight, is_trained in zip(weights, trained, strict=True):
            weight.requires_grad_(is_trained)


def lora_tensors(transformer: "ModelMixin") -> dict[str, Tensor]:
    """The LoRA's weights by their names in diffusers' pipelines; empty without one."""
    from peft import get_peft_model_state_dict

    if not getattr(transformer, "peft_config", None):
        return {}
    tensors = get_peft_model_state_dict(transformer, adapter_name=_ADAPTER)
    return {f"{PREFIX}{name}": tensor for name, tensor in tensors.items()}


def load_lora(transformer: "ModelMixin", folder: Path, base: LoraBase) -> None:
    """Load a saved LoRA onto a transformer completely, or raise.

    A LoRA without a card, from diffusers or peft, is accepted if all of it fits; the log says that
    its base is unknown.

    Args:
        transformer: without an adapter.
        folder: in the format of ``AdaptedEditor.save``, or see ``lora_files``.
        base: the transformer's weights.

    Raises:
        InvalidInputError: the LoRA is for another base, has other names or shapes of tensors, or
            is damaged; names the first tensor.
    """
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    file = read_lora_file(folder)
    if (folder / CARD_FILE).is_file():
        lora = _lora_of_card(folder, base)
    else:
        check_stated_base(file, base.name)
        lora = LoraConfig(rank=file.rank, alpha=file.alpha, targets=file.targets)
    try:
        add_lora(transformer, lora, ())
    except InvalidInputError as error:
        raise InvalidInputError(f"{file.path}: {error}") from error
    expected = {
        f"{file.prefix}{name.removeprefix(PREFIX)}": tuple(one.shape)
        for name, one in lora_tensors(transformer).items()
    }
    if problem := _first_difference(file.shapes, expected):
        transformer.unload_lora()
        raise InvalidInputError(f"{file.path}: {problem}")
    tensors = {name.removeprefix(file.prefix): one for name, one in load_file(file.path).items()}
    set_peft_model_state_dict(transformer, tensors, _ADAPTER)


def _lora_of_card(folder: Path, base: LoraBase) -> LoraConfig:
    card = LoraCard.read(folder)
    if card.base.sha256 != base.sha256:
        raise InvalidInputError(
            f"{folder}: this LoRA is for {card.base.name} ({card.base.sha256[:12]}), not for "
            f"{base.name} ({base.sha256[:12]})"
        )
    return card.lora


def _first_difference(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]
) -> str | None:
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            return f"lacks {name} {list(expected[name])}"
        if name not in expected:
            return f"holds {name}, for which the base has no place"
        if found[name] != expected[name]:
            return f"{name}: expected shape {list(expected[name])}, got {list(found[name])}"
    return None


class AdaptedEditor:
    """The weights part of a ``FlowEditor``; an editor adds the flow itself."""

    TARGETS: ClassVar[tuple[str, ...]]
    """Layers that published RL of this editor adapts, by name suffix."""
    CONFIG: ClassVar[type[Record]]
    """The editor's settings."""
    config: Record
    """Class of ``config``."""

    def __init__(self, transformer: "ModelMixin", folder: Path, name: str = "") -> None:
        """Freeze a transformer.

        Args:
            transformer: the model that RL may adapt.
            folder: of the editor, with the transformer's own in ``transformer``.
            name: of the editor, for a LoRA's card; empty: the folder.
        """
        self.transformer = transformer.requires_grad_(False).eval()
        # Recorded now, because FSDP later replaces the class.
        self._transformer_class = type(transformer).__name__
        self._folder = folder
        self._name = name or str(folder.absolute())

    @cached_property
    def base(self) -> LoraBase:
        """The base of this editor's LoRA; reads all of the transformer's files."""
        return LoraBase(name=self._name, sha256=digest_folder(self._folder / "transformer"))

    @property
    def device(self) -> torch.device:
        """Device of the transformer."""
        return next(self.transformer.parameters()).device

    @property
    def settings(self) -> Mapping[str, object]:
        """The whole configuration."""
        return self.config.model_dump(mode="json")

    def trainable(self) -> "ModelMixin":
        """The transformer; without a LoRA none of its weights are trainable."""
        return self.transformer

    def reference(self) -> "Reference":
        """This editor without its LoRA."""
        return Reference(self)

    def add_lora(self, config: LoraConfig, *, seed: int = 0, checkpointing: bool = False) -> None:
        """Add a new LoRA, which leaves predictions unchanged.

        Args:
            config: of the LoRA.
            seed: for its weights.
            checkpointing: recompute activations in the backward pass to save memory.

        Raises:
            InvalidInputError: as ``adapters.add_lora``, or the editor has a LoRA already.
        """
        if lora_tensors(self.transformer):
            raise InvalidInputError("LoRA: the editor has one already")
        add_lora(self.transformer, config, self.TARGETS, seed)
        if checkpointing:
            self.transformer.enable_gradient_checkpointing()

    def load_lora(self, folder: Path) -> None:
        """Load a saved LoRA.

        Raises:
            InvalidInputError: as ``adapters.load_lora``, or the editor has a LoRA already.
        """
        if lora_tensors(self.transformer):
            raise InvalidInputError(f"{folder}: the editor has a LoRA already")
        load_lora(self.transformer, folder, self.base)

    def save(self, folder: Path, card: Mapping[str, object]) -> None:
        """Write the LoRA, in float32, and its card.

        Raises:
            InvalidInputError: the editor has no LoRA.
        """
        from safetensors.torch import save_file

        tensors = lora_tensors(self.transformer)
        if not tensors:
            raise InvalidInputError(f"{folder}: the editor has no LoRA that could be saved")
        settings = self.transformer.peft_config[_ADAPTER]
        lora = LoraConfig(
            rank=settings.r,
            alpha=settings.lora_alpha,
            targets=tuple(sorted(settings.target_modules)),
            dropout=settings.lora_dropout,
        )
        stated = {
            "r": lora.rank,
            "lora_alpha": lora.alpha,
            "lora_dropout": lora.dropout,
            "target_modules": lora.targets,
        }
        header = {
            "format": "pt",
            METADATA_KEY: json.dumps({f"{PREFIX}{key}": one for key, one in stated.items()}),
        }
        about = LoraCard(transformer=self._transformer_class, base=self.base, lora=lora)
        folder.mkdir(parents=True, exist_ok=True)
        contents = {name: one.detach().float().cpu().contiguous() for name, one in tensors.items()}
        save_file(contents, folder / LORA_FILE, metadata=header)
        whole = dict(card) | {"adapter": about.model_dump(mode="json")}
        (folder / CARD_FILE).write_text(json.dumps(whole, indent=2) + "\n")


class Reference:
    """An editor without its LoRA: a view that shares its weights in memory."""

    def __init__(self, editor: "FlowEditor") -> None:
        """View an editor whose ``trainable`` may have a LoRA."""
        self._editor = editor

    @property
    def device(self) -> torch.device:
        """The editor's."""
        return self._editor.device

    @property
    def settings(self) -> Mapping[str, object]:
        """The editor's."""
        return self._editor.settings

    def encode(self, tasks: "Sequence[EditTask]") -> "Condition":
        """As the editor."""
        return self._editor.encode(tasks)

    def noise(self, condition: "Condition", generator: torch.Generator) -> Tensor:
        """As the editor."""
        return self._editor.noise(condition, generator)

    def times(self, num_steps: int, condition: "Condition") -> list[float]:
        """As the editor."""
        return self._editor.times(num_steps, condition)

    def velocity(
        self, latents: Tensor, times_B: Tensor, condition: "Condition", guided: bool = True
    ) -> Tensor:
        """The base's prediction; restores the LoRA afterwards."""
        with adapter_off(self._editor.trainable()):
            return self._editor.velocity(latents, times_B, condition, guided)

    def decode(self, latents: Tensor, condition: "Condition") -> "list[Image.Image]":
        """As the editor."""
        return self._editor.decode(latents, condition)

    def trainable(self) -> "ModelMixin":
        """The editor's transformer, shared."""
        return self._editor.trainable()

    def reference(self) -> "FlowEditor":
        """Itself."""
        return self

    def save(self, folder: Path, card: Mapping[str, object]) -> None:
        """Refuse: a reference is its base, which is saved already.

        Raises:
            InvalidInputError: always.
        """
        raise InvalidInputError(f"{folder}: a reference has no weights of its own to save")
