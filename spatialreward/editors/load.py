"""Loads an editor's checkpoint of any supported model."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from spatialreward.editors.config import AdaptationConfig, OpeningConfig
from spatialreward.editors.interface import FlowEditor
from spatialreward.editors.lora_files import LORA_FILE, lora_path
from spatialreward.errors import InvalidInputError
from spatialreward.hub import EDITOR, ON_HUB, fetch_from_hub
from spatialreward.judges.qwen_vl.weights import read_object
from spatialreward.validation import first_problem

if TYPE_CHECKING:
    import torch

    from spatialreward.editors.adapters import AdaptedEditor
    from spatialreward.records import Record

PIPELINES: Mapping[str, str] = MappingProxyType(
    {
        "OmniGen2Pipeline": "spatialreward.editors.omnigen2.editor:OmniGen2Editor",
        "FluxKontextPipeline": "spatialreward.editors.flux_kontext:KontextEditor",
        "Flux2KleinPipeline": "spatialreward.editors.flux2_klein:KleinEditor",
        "QwenImageEditPipeline": "spatialreward.editors.qwen_image_edit:QwenEditor",
        "QwenImageEditPlusPipeline": "spatialreward.editors.qwen_image_edit:QwenEditor",
    }
)
"""Module of the editor for each pipeline, by the name in ``model_index.json``."""
_INDEX_FILE = "model_index.json"
_TINY_FILE = "editor.json"


def load_editor(
    editor: Path | str,
    *,
    base: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    device: "torch.device | str" = "cpu",
    name: str = "",
) -> FlowEditor:
    """Load an editor's checkpoint.

    Args:
        editor: a folder in diffusers' layout, one with a LoRA from RL, diffusers or peft, or the
            tiny editor's; or ``hub:OWNER/NAME@REVISION``.
        base: of a LoRA; default: the folder in its card, so a LoRA without a card needs it.
        settings: by the names in the editor's configuration; the tiny editor has none.
        precision: of the weights, except a LoRA's and OmniGen2's VAE; the tiny editor's is
            float32.
        device: of the weights; the tiny editor stays on the CPU.
        name: for the card of a LoRA on it; empty: its location.

    Raises:
        InvalidInputError: it is missing, differs in kind from its components or settings, or a
            component is missing or damaged; names it.
        HubError: the hub is unreachable, or refuses.
    """
    folder, on_hub = _fetched(editor)
    if lora_path(folder) is not None:
        place = _base_of(folder) if base is None else base
        whole = load_editor(place, settings=settings, precision=precision, device=device, name=name)
        return _with_lora(whole, folder, place)
    if base is not None:
        raise InvalidInputError(f"{folder}: holds no LoRA, so it has no base; got {base}")
    if (folder / _INDEX_FILE).is_file():
        import torch

        kind = kind_of(folder)
        config, dtype = _settings_of(kind, settings), getattr(torch, precision)
        return kind.load(folder, config, dtype=dtype, device=device, name=name or on_hub)
    if not (folder / _TINY_FILE).is_file():
        raise InvalidInputError(
            f"{folder}: no editor here, expected {_INDEX_FILE}, {LORA_FILE} or {_TINY_FILE}"
            f"{_below(folder)}"
        )
    if settings:
        raise InvalidInputError(f"{folder}: the tiny editor has no settings, got {min(settings)}")
    from spatialreward.world.tiny_editor import TinyEditor

    return TinyEditor.load(folder)


def open_editor(
    folder: Path, config: OpeningConfig, *, base: Path | None = None, name: str = ""
) -> FlowEditor:
    """Load an editor's checkpoint by its settings, onto a GPU if there is one.

    Args:
        folder: an editor's, or one with a LoRA.
        config: how to load it; the tiny editor has no such settings.
        base: of a LoRA; default: the folder in its card.
        name: as for ``load_editor``.

    Raises:
        InvalidInputError: as ``load_editor``.
    """
    if (folder / _TINY_FILE).is_file():
        return load_editor(folder)
    return load_editor(
        folder,
        base=None if lora_path(folder) is None else base,
        settings=config.settings,
        precision=config.precision,
        device=_usual_device(),
        name=name,
    )


def open_policy(
    folder: Path, config: AdaptationConfig, *, seed: int = 0, name: str = ""
) -> FlowEditor:
    """Load an editor for RL with trainable weights: a new LoRA for a published one.

    Args:
        folder: as for ``open_editor``.
        config: how to load and adapt it.
        seed: for the LoRA's weights.
        name: as for ``load_editor``.

    Raises:
        InvalidInputError: as ``load_editor``, the folder holds a LoRA, or no layer has a name
            of the layers to adapt.
    """
    from spatialreward.editors.adapters import AdaptedEditor

    if lora_path(folder) is not None:
        raise InvalidInputError(
            f"{folder}: holds a LoRA, and RL trains a fresh one: start from its base"
        )
    editor = open_editor(folder, config, name=name)
    if isinstance(editor, AdaptedEditor):
        editor.add_lora(config.lora, seed=seed, checkpointing=config.gradient_checkpointing)
    return editor


def _below(folder: Path) -> str:
    """Names the editor in a folder of this folder, such as that of a training; empty: none."""
    for file in (_INDEX_FILE, LORA_FILE, _TINY_FILE):
        if found := sorted(folder.glob(f"*/{file}")):
            return f"; there is one in {found[0].parent}"
    return ""


def _usual_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _fetched(editor: Path | str) -> tuple[Path, str]:
    """The folder, and the editor's name for a LoRA's card; empty: the folder."""
    if not str(editor).startswith(ON_HUB):
        return Path(editor), ""
    folder = fetch_from_hub(str(editor), EDITOR)
    # The hub's cache names a snapshot's folder after its commit.
    return folder, f"{str(editor).partition('@')[0]}@{folder.name}"


def _base_of(folder: Path) -> Path:
    from spatialreward.editors.adapters import CARD_FILE, LoraCard

    if not (folder / CARD_FILE).is_file():
        raise InvalidInputError(
            f"{folder}: no {CARD_FILE}, which names the LoRA's base; name the base"
        )
    base = LoraCard.read(folder).base.name
    if base.startswith(ON_HUB) or not Path(base).is_dir():
        raise InvalidInputError(f"{folder}: its base is {base}, which is not here; name the base")
    return Path(base)


def _with_lora(whole: FlowEditor, folder: Path, base: Path | str) -> FlowEditor:
    from spatialreward.editors.adapters import AdaptedEditor

    if not isinstance(whole, AdaptedEditor):
        raise InvalidInputError(f"{base}: this editor takes no LoRA, got {folder}")
    whole.load_lora(folder)
    return whole


def kind_of(folder: Path) -> "type[AdaptedEditor]":
    """The class of the editor in a folder in diffusers' layout.

    Raises:
        InvalidInputError: its pipeline is not supported.
    """
    path = folder / _INDEX_FILE
    pipeline = read_object(path).get("_class_name")
    if pipeline not in PIPELINES:
        expected = ", ".join(PIPELINES)
        raise InvalidInputError(f"{path}: _class_name: expected one of {expected}, got {pipeline}")
    module, _, name = PIPELINES[pipeline].partition(":")
    return getattr(import_module(module), name)


def _settings_of(kind: "type[AdaptedEditor]", settings: Mapping[str, Any] | None) -> "Record":
    try:
        return kind.CONFIG.model_validate(dict(settings or {}))
    except ValidationError as error:
        problem = first_problem(error, kind.CONFIG, settings)
        raise InvalidInputError(f"settings of {kind.__name__}: {problem}") from error
