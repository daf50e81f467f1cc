"""Inspects a model's folder before anything is built; free of torch.

Expects the layout of the Hugging Face hub: ``config.json``, weights in safetensors, tokenizer, chat
template, image processor. Reports a fault in one line. ``checkpoint`` later compares the weights
with the architecture.
"""

from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from spatialreward.errors import InvalidInputError
from spatialreward.judges.qwen_vl.weights import Tensors, read_object, read_weights, refuse_pointer
from spatialreward.reading import read_text

CONFIG_FILE = "config.json"
CARD_FILE = "card.json"
GENERATION_FILE = "generation_config.json"
ADAPTER_CONFIG_FILE = "adapter_config.json"
ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"
HEAD_FILE = "scalar_head.safetensors"
MODEL_TYPES = ("qwen3_vl", "qwen3_vl_moe", "qwen2_5_vl")
"""Architectures of judges, as ``config.json`` names them."""

_PREPROCESSOR_FILE = "preprocessor_config.json"
_PROCESSOR_FILE = "processor_config.json"
_TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
_TEMPLATE_FILE = "chat_template.jinja"
_OLD_TEMPLATE_FILE = "chat_template.json"


@dataclass(frozen=True)
class CheckpointFolder:
    """A folder with everything that a judge needs, undamaged."""

    path: Path
    config: Mapping[str, Any]
    files: Mapping[Path, Tensors]
    """Files of weights, with the tensors in each."""
    card: Mapping[str, Any]
    """The checkpoint's card, which records how it was made; empty without one."""

    @classmethod
    def read(cls, path: Path, *, adapter: Path | None = None) -> Self:
        """Inspect a folder.

        Args:
            path: the folder.
            adapter: folder of the adapter that the user passed, if any.

        Raises:
            InvalidInputError: it holds no model, one of another architecture, quantised,
                incomplete or damaged, or an adapter that the user did not pass.
        """
        config = _read_config(path)
        _refuse_unasked_adapter(path, adapter)
        files = read_weights(path)
        _check_tokenizer(path)
        _check_image_processor(path)
        _check_generation(path)
        _refuse_byte_order_marks(path)
        return cls(path, config, files, read_card(path))

    def require_judge(self) -> None:
        """Check that the checkpoint was trained to judge, as far as its card shows.

        Raises:
            InvalidInputError: it was not, as with the grounded base.
        """
        if self.card.get("judges") is False:
            raise InvalidInputError(f"{self.path}: this checkpoint was not trained to judge")

    @property
    def model_type(self) -> str:
        """The architecture: one of ``MODEL_TYPES``."""
        return self.config["model_type"]

    @property
    def tensors(self) -> Tensors:
        """All tensors by name."""
        return {name: one for tensors in self.files.values() for name, one in tensors.items()}


def read_card(folder: Path) -> dict[str, Any]:
    """A checkpoint's card; empty without one.

    Raises:
        InvalidInputError: the card is not a JSON object.
    """
    path = folder / CARD_FILE
    return read_object(path) if path.is_file() else {}


def head_home(folder: Path, adapter: Path | None = None) -> Path | None:
    """Folder of the scalar head: the adapter if it has one, else the checkpoint; None: neither."""
    homes = [one for one in (adapter, folder) if one is not None]
    return next((one for one in homes if (one / HEAD_FILE).is_file()), None)


def own_chat_template(folder: Path) -> str | None:
    """The chat template of a folder, from any of its places; None if there is none.

    Raises:
        InvalidInputError: its file is damaged.
    """
    path = folder / _TEMPLATE_FILE
    if path.is_file():
        refuse_pointer(path)
        try:
            return read_text(path)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error
    for name in (_TOKENIZER_CONFIG_FILE, _OLD_TEMPLATE_FILE):
        path = folder / name
        if path.is_file() and (found := _default_template(read_object(path))):
            return found
    return None


def _default_template(settings: Mapping[str, Any]) -> str | None:
    """Older files have a list of templates; the one named ``default`` counts."""
    found = settings.get("chat_template")
    if isinstance(found, list):
        templates = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = templates.get("default")
    return found if isinstance(found, str) and found else None


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise InvalidInputError(f"{folder}: {_instead_of_config(folder)}")
    config = read_object(path)
    found = config.get("model_type")
    if found not in MODEL_TYPES:
        accepted = ", ".join(MODEL_TYPES)
        raise InvalidInputError(f"{path}: model_type: expected one of {accepted}, got {found!r}")
    quantisation = config.get("quantization_config")
    if quantisation:
        method = quantisation.get("quant_method") if isinstance(quantisation, dict) else None
        raise InvalidInputError(
            f"{path}: quantization_config: quantised weights ({method or 'of unknown kind'}) "
            "cannot be judged with here; expected 16 or 32 bits"
        )
    return config


def _instead_of_config(folder: Path) -> str:
    path = folder / ADAPTER_CONFIG_FILE
    if not path.is_file():
        return f"no model here, expected a {CONFIG_FILE}"
    base = read_object(path).get("base_model_name_or_path") or "a model it does not name"
    return f"holds an adapter for {base}, no model: name that model, and pass --adapter {folder}"


def _refuse_unasked_adapter(folder: Path, adapter: Path | None) -> None:
    for name in (ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE):
        if not (folder / name).is_file():
            continue
        if adapter is None or adapter.resolve() != folder.resolve():
            raise InvalidInputError(
                f"{folder}: an adapter lies beside the weights ({name}): pass --adapter {folder}, "
                "merge it with `spatialreward train merge-adapter`, or move it away to judge "
                "without it"
            )


def _check_tokenizer(folder: Path) -> None:
    names = ("tokenizer.json", "vocab.json")
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise InvalidInputError(f"{folder}: no tokenizer here, expected a {names[0]}")
    for path in found:
        read_object(path)
    if (folder / _TOKENIZER_CONFIG_FILE).is_file():
        read_object(folder / _TOKENIZER_CONFIG_FILE)


def _check_image_processor(folder: Path) -> None:
    if (folder / _PREPROCESSOR_FILE).is_file():
        read_object(folder / _PREPROCESSOR_FILE)
        return
    path = folder / _PROCESSOR_FILE
    if not (path.is_file() and "image_processor" in read_object(path)):
        raise InvalidInputError(
            f"{folder}: no {_PREPROCESSOR_FILE}, which says how pictures are prepared; "
            "copy it from the model that this one was trained from"
        )


def _check_generation(folder: Path) -> None:
    if (folder / GENERATION_FILE).is_file():
        read_object(folder / GENERATION_FILE)


def _refuse_byte_order_marks(folder: Path) -> None:
    """Name a file that transformers, which reads it again, could not parse."""
    for name in (CONFIG_FILE, "tokenizer.json", _TOKENIZER_CONFIG_FILE, _PREPROCESSOR_FILE):
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                if file.read(len(BOM_UTF8)) == BOM_UTF8:
                    raise InvalidInputError(
                        f"{path}: begins with a byte order mark, which transformers does not read; "
                        "save it as UTF-8 without one"
                    )
