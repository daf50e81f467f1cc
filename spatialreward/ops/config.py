"""What the steps of a pipeline are started with: one frozen, closed record a step, free of torch.

A step gets its record as JSON, in its container's arguments. Profiles, which say the settings of
all steps in one file, are the pipelines' business.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError

from spatialreward.benchmarks.config import EditorEvaluationConfig, EditorGate, JudgeGate
from spatialreward.errors import InvalidInputError
from spatialreward.reading import read_toml_file
from spatialreward.records import Record
from spatialreward.rl.config import RlConfig
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.training.grpo_config import GrpoConfig
from spatialreward.validation import first_problem
from spatialreward.world.config import DataConfig, Split
from spatialreward.world.tiny_config import DrawingConfig, EditorPretrainingConfig, GroundingConfig

Settings = TypeVar("Settings", bound=Record)


class NoSettings(Record):
    """Of a step that has none."""


class ShippedBase(Record):
    """Start from the tiny judge that comes with the library."""

    kind: Literal["shipped"] = "shipped"


class GroundingBase(Record):
    """Start from random weights, through a grounding stage."""

    kind: Literal["grounding"] = "grounding"
    grounding: GroundingConfig = GroundingConfig()


class FolderBase(Record):
    """Start from a checkpoint on disk."""

    kind: Literal["folder"] = "folder"
    folder: Path


class HubBase(Record):
    """Start from public weights."""

    kind: Literal["hub"] = "hub"
    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    """Owner and name, such as ``Qwen/Qwen3-VL-8B-Instruct``."""
    revision: str = "main"


JudgeBase = Annotated[
    ShippedBase | GroundingBase | FolderBase | HubBase, Field(discriminator="kind")
]


class TinyEditorConfig(Record):
    """The editor that is trained here, from noise."""

    kind: Literal["tiny"] = "tiny"
    pretraining: EditorPretrainingConfig = EditorPretrainingConfig()


class OmniGen2Config(Record):
    """The paper's editor, of which RL trains a low-rank part."""

    kind: Literal["omnigen2"] = "omnigen2"
    repository: str = Field("OmniGen2/OmniGen2", pattern=r"^[\w.-]+/[\w.-]+$")
    picture_side: int = Field(512, ge=64, multiple_of=16)
    """In pixels."""
    lora_rank: PositiveInt = 32
    lora_alpha: PositiveFloat = 64
    text_guidance: float = Field(4.0, ge=1)
    image_guidance: float = Field(2.0, ge=1)
    guidance_until: float = Field(0.6, ge=0, le=1)
    """Flow time, 0 at noise and 1 at data, up to which guidance is applied."""


Editor = Annotated[TinyEditorConfig | OmniGen2Config, Field(discriminator="kind")]


class ShardStep(Record):
    """Build one shard of a split."""

    world: DataConfig
    split: Split
    shard: int = Field(ge=0)


class JudgeTrainingStep(Record):
    """Train a judge."""

    base: JudgeBase
    training: JudgeTrainingConfig
    world: DataConfig
    """Where a grounding stage, if there is one, draws its scenes from."""


class JudgeTuningStep(Record):
    """Train a judge on rewards for its own answers."""

    grpo: GrpoConfig


class JudgeRegistrationStep(Record):
    """Register a judge and let it pass, or not."""

    name: str = "spatial-reward"
    """Of the registered model."""
    gate: JudgeGate = JudgeGate()
    earlier: bool = False
    """An earlier checkpoint of a training: one that falls short stays a candidate and fails
    nothing, and one that was champion before is not promoted again."""


class JudgeEvaluationStep(Record):
    """Measure a judge, and baselines beside it."""

    world: DataConfig
    """Whose words the untrained judge's tokenizer is fitted to."""
    untrained_seed: int | None = None
    """Of the untrained judge's random weights; None: there is none beside it."""
    shipped_base: bool = False
    """Measure the base that comes with the library beside it: what training has added to that."""
    num_sheet_rows: PositiveInt = 12
    """Edits on the sample sheet."""
    alone: bool = False
    """Measure the judge alone: no baselines beside it, no sample sheet."""


class EditorPretrainingStep(Record):
    """Make the editor that RL starts from."""

    editor: Editor


class EditDrawingStep(Record):
    """Draw edits with the editor that RL starts from, for the judge's data."""

    drawing: DrawingConfig
    world: DataConfig
    """Where source pictures and instructions are drawn from, and what reads the edits back."""


class EditorRlStep(Record):
    """Fine-tune an editor against the served judge."""

    rl: RlConfig
    world: DataConfig
    """Where source pictures and instructions are drawn from, unless ``rl`` names a data set."""


class EditorEvaluationStep(Record):
    """Compare an editor before and after RL."""

    evaluation: EditorEvaluationConfig
    world: DataConfig


class EditorRegistrationStep(Record):
    """Register an editor and let it pass, or not."""

    name: str = "spatial-editor"
    """Of the registered model."""
    gate: EditorGate = EditorGate()


def read_settings(kind: type[Settings], text: str, where: str) -> Settings:
    """Read a record from the JSON that a step was started with.

    Raises:
        InvalidInputError: it is no such record; names ``where`` and the key.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        problem = first_problem(error, kind, _parsed(text))
        raise InvalidInputError(f"{where}: {problem}") from error


def read_toml(kind: type[Settings], path: Path) -> Settings:
    """Read a record from a TOML file.

    Raises:
        InvalidInputError: there is no such file, or it is no such record; names file and key.
    """
    given = read_toml_file(path)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise InvalidInputError(f"{path}: {first_problem(error, kind, given)}") from error


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, with dotted names; lists become JSON."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value) if isinstance(value, list) else value
    return flat


def _parsed(text: str) -> Any:
    """What a JSON text holds; None if it is none, which the error says already."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
