"""What the steps of a pipeline are started with: one frozen, closed record a step, free of torch.

A step gets its record as JSON, in its container's arguments. Profiles, which say the settings of
all steps in one file, are the pipelines' business.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, PositiveInt, ValidationError, field_validator

from spatialreward.artifacts import ArtifactRef
from spatialreward.benchmarks.config import EditorEvaluationConfig, EditorGate, JudgeGate
from spatialreward.editors.config import AdaptationConfig
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
_COMMIT = re.compile(r"[0-9a-f]{40}")


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
    revision: str = ""
    """The commit, 40 hexadecimal letters."""

    @property
    def reference(self) -> str:
        """``hub:OWNER/NAME@REVISION``."""
        return f"hub:{self.repository}@{self.revision}"

    def check_pinned(self) -> None:
        """Make sure that the revision is a commit.

        Raises:
            ValueError: there is none, or it is a branch or a tag, which may be another one
                tomorrow; says how to look the commit up.
        """
        if not _COMMIT.fullmatch(self.revision):
            got = f", got {self.revision!r}" if self.revision else ""
            raise ValueError(
                f"revision: expected a commit of {self.repository}, 40 letters{got}; "
                f"`git ls-remote https://huggingface.co/{self.repository} HEAD` prints the newest"
            )


JudgeBase = Annotated[
    ShippedBase | GroundingBase | FolderBase | HubBase, Field(discriminator="kind")
]


class TinyEditorConfig(Record):
    """The editor that is trained here, from noise."""

    kind: Literal["tiny"] = "tiny"
    pretraining: EditorPretrainingConfig = EditorPretrainingConfig()


class ArtifactBase(Record):
    """Start from a folder in the object store."""

    kind: Literal["artifact"] = "artifact"
    reference: str
    """``s3://BUCKET/PREFIX#sha256=HEX``."""

    @field_validator("reference")
    @classmethod
    def _is_an_artifact(cls, reference: str) -> str:
        try:
            return str(ArtifactRef.parse(reference))
        except InvalidInputError as error:
            raise ValueError(str(error)) from error


class PublishedEditor(AdaptationConfig):
    """An editor with published weights, of which RL trains a low-rank part.

    Which one it is, is told by its ``model_index.json``.
    """

    kind: Literal["published"] = "published"
    base: Annotated[HubBase | FolderBase | ArtifactBase, Field(discriminator="kind")]
    """In diffusers' layout. Weights of the hub need a commit: a branch may hold others tomorrow."""

    @field_validator("base")
    @classmethod
    def _is_pinned(
        cls, base: HubBase | FolderBase | ArtifactBase
    ) -> HubBase | FolderBase | ArtifactBase:
        if isinstance(base, HubBase):
            base.check_pinned()
        return base

    @property
    def name(self) -> str:
        """Where its weights are from."""
        if isinstance(self.base, FolderBase):
            return str(self.base.folder.absolute())
        return self.base.reference

    @property
    def adaptation(self) -> AdaptationConfig:
        """How it is opened and adapted, wherever it is from."""
        return AdaptationConfig.model_validate(self.model_dump(exclude={"kind", "base"}))


Editor = Annotated[TinyEditorConfig | PublishedEditor, Field(discriminator="kind")]


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

    editor: TinyEditorConfig


class EditorImportStep(Record):
    """Take an editor with published weights to start RL from."""

    editor: PublishedEditor


class EditDrawingStep(Record):
    """Draw edits with the editor that RL starts from, for the judge's data."""

    drawing: DrawingConfig
    world: DataConfig
    """Where source pictures and instructions are drawn from, and what reads the edits back."""


class EditorRlStep(Record):
    """Fine-tune an editor against the served judge."""

    rl: RlConfig
    world: DataConfig
    """Where source pictures and instructions are drawn from, unless a data set of them is named."""
    adaptation: AdaptationConfig = AdaptationConfig()
    """Of an editor with published weights; of the tiny one all weights are trained."""
    base_name: str = ""
    """What the card of a LoRA calls the editor that it belongs to; empty: by where it is."""


class EditorEvaluationStep(Record):
    """Compare an editor before and after RL."""

    evaluation: EditorEvaluationConfig
    world: DataConfig
    """Where source pictures and instructions are drawn from, unless a data set of them is named."""
    adaptation: AdaptationConfig = AdaptationConfig()
    """How editors with published weights are opened."""


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
