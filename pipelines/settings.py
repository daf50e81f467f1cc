"""A profile's settings: one frozen, closed record, whose parts come in variants.

``kind`` selects a variant with its own defaults, so a large judge inherits nothing from the one
that trains on two cores.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, PositiveFloat, field_validator, model_validator

from pipelines.resources import Resources
from spatialreward.benchmarks.config import EditorEvaluationConfig, EditorGate, JudgeGate
from spatialreward.data.corpus.config import CorpusConfig
from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import (
    ArtifactBase,
    Editor,
    FolderBase,
    GroundingBase,
    HubBase,
    JudgeBase,
    PublishedEditor,
    ShippedBase,
    TinyEditorConfig,
)
from spatialreward.records import AnswerForm, Record
from spatialreward.rl.config import RlConfig
from spatialreward.training.config import JudgeTrainingConfig, LoraTuning, OptimiserConfig
from spatialreward.training.grpo_config import GrpoConfig
from spatialreward.world.config import DataConfig
from spatialreward.world.tiny_config import DrawingConfig

WorldStep = Literal["build_shard", "merge_shards", "pretrain_editor", "draw_edits"]
CorpusStep = Literal[
    "prepare_edits", "select_edits", "annotate_edits", "pack_edits", "gather_edits"
]
JudgeStep = Literal["train_judge", "tune_judge", "evaluate_judge", "register_judge"]
EditorStep = Literal[
    "import_editor", "deploy_judge", "finetune_editor", "compare_editors", "register_editor"
]
OnNodes = Literal["train_judge", "finetune_editor"]
"""Steps that can run on several nodes, as a TrainJob."""
StepName = Literal[WorldStep, CorpusStep, "import_data", JudgeStep, EditorStep]


class WorldData(DataConfig):
    """Edits of the generated world."""

    kind: Literal["world"] = "world"


class CorpusData(Record):
    """Edits of a real data set, with a teacher's labels."""

    kind: Literal["corpus"] = "corpus"
    corpus: CorpusConfig


class TinyJudge(Record):
    """A judge of 3M parameters that knows only the generated world."""

    kind: Literal["tiny"] = "tiny"
    base: Annotated[ShippedBase | GroundingBase | FolderBase, Field(discriminator="kind")] = (
        ShippedBase()
    )
    training: JudgeTrainingConfig = JudgeTrainingConfig()
    grpo: GrpoConfig | None = None
    """Further trains the judge on rewards for its own answers; None: off."""
    gate: JudgeGate = JudgeGate()


class QwenJudge(Record):
    """Qwen3-VL; SFT trains a LoRA on its language model.

    The defaults are the published settings of SpatialReward's SFT.
    """

    kind: Literal["qwen3-vl"] = "qwen3-vl"
    base: Annotated[HubBase | FolderBase, Field(discriminator="kind")] = HubBase(
        repository="Qwen/Qwen3-VL-8B-Instruct"
    )
    """Weights from the hub need a commit: a branch may change."""
    training: JudgeTrainingConfig = JudgeTrainingConfig(
        num_samples=2_600_000,
        perceptual_share=0.5,
        protocol="full",
        tuning=LoraTuning(),
        trains_vision=False,
        samples_at_a_time=8,
        gradient_checkpointing=True,
        workers=4,
        save_every=1_040,
        optimiser=OptimiserConfig(
            learning_rate=1e-4,
            precision="bfloat16",
            weight_decay=0,
            warmup_steps=1_040,
            batch_size=256,
        ),
    )
    grpo: GrpoConfig | None = None
    """Further trains the judge on rewards for its own answers, with the paper's settings by
    default; None: off."""
    gate: JudgeGate = JudgeGate(min_pairwise_accuracy=0.6, min_mean_iou=0.5)
    """Lower than for the world: labels of real edits come from a teacher, not from the truth."""

    @field_validator("base")
    @classmethod
    def _is_pinned(cls, base: JudgeBase) -> JudgeBase:
        if isinstance(base, HubBase):
            base.check_pinned()
        return base


VARIANTS: Mapping[tuple[str, str], type[Record]] = {
    (place, kind.model_fields["kind"].default): kind
    for place, kinds in {
        "data": (WorldData, CorpusData),
        "judge": (TinyJudge, QwenJudge),
        "judge.base": (ShippedBase, GroundingBase, FolderBase, HubBase),
        "editor": (TinyEditorConfig, PublishedEditor),
        "editor.base": (FolderBase, HubBase, ArtifactBase),
    }.items()
    for kind in kinds
} | {("judge.grpo", ""): GrpoConfig}
"""Records that a table may be, by the table's place and its ``kind``; a missing one usually has no
kind."""


class Goals(Record):
    """Goals of a local run, beside its gates; None: shown without a goal."""

    max_total_s: PositiveFloat | None = None
    """Of everything, including setup."""
    max_peak_gb: PositiveFloat | None = None
    """Peak memory of all processes together."""
    min_within_group_agreement: float | None = Field(None, ge=-1, le=1)
    """Kendall's tau of judge and oracle within groups of edits that the editor drew."""


class Profile(Record):
    """All settings of a pipeline run."""

    data: Annotated[WorldData | CorpusData, Field(discriminator="kind")] = WorldData()
    judge: Annotated[TinyJudge | QwenJudge, Field(discriminator="kind")] = TinyJudge()
    editor: Editor = TinyEditorConfig()
    drawing: DrawingConfig = DrawingConfig()
    """Edits from the pretrained editor, if ``judge.training.drawn_share`` is above 0."""
    rl: RlConfig = RlConfig()
    editor_evaluation: EditorEvaluationConfig = EditorEvaluationConfig()
    editor_gate: EditorGate = EditorGate()
    goals: Goals = Goals()
    resources: dict[StepName, Resources] = {}  # noqa: RUF012 - pydantic copies it

    @field_validator("resources")
    @classmethod
    def _trainings_have_nodes(
        cls, resources: dict[StepName, Resources]
    ) -> dict[StepName, Resources]:
        for step, wanted in resources.items():
            if wanted.num_nodes > 1 and step not in get_args(OnNodes):
                allowed = " and ".join(get_args(OnNodes))
                raise ValueError(f"{step}.num_nodes: only {allowed} run on several nodes")
        return resources

    @model_validator(mode="after")
    def _judge_can_be_tuned(self) -> Self:
        grpo, training = self.judge.grpo, self.judge.training
        if grpo is None:
            return self
        if training.answer is AnswerForm.NONE:
            raise ValueError(
                f"judge.grpo: a judge of kind {training.kind} writes no answers to be rewarded"
            )
        try:
            grpo.check_rewards()
        except InvalidInputError as error:
            raise ValueError(f"judge.grpo.{error}") from error
        if isinstance(training.tuning, LoraTuning) and not training.tuning.merge:
            raise ValueError(
                "judge.grpo: starts from a whole judge, expected judge.training.tuning.merge = true"
            )
        return self

    @model_validator(mode="after")
    def _judge_can_pass_its_gate(self) -> Self:
        least, training = self.judge.gate.min_mean_iou, self.judge.training
        if least and not training.answer.has_regions:
            raise ValueError(
                f"judge.gate.min_mean_iou: a judge of kind {training.kind} predicts no regions and "
                f"would never pass, expected 0, got {least:g}"
            )
        return self

    @property
    def world(self) -> DataConfig:
        """The generated world that steps draw from; its defaults for real data."""
        if isinstance(self.data, WorldData):
            return DataConfig.model_validate(self.data.model_dump(exclude={"kind"}))
        return DataConfig()

    @property
    def draws_edits(self) -> bool:
        """Whether the judge learns from edits that an editor drew."""
        return self.judge.training.drawn_share > 0

    @property
    def published(self) -> PublishedEditor | None:
        """The editor, if its weights are published; None: it is pretrained here."""
        return self.editor if isinstance(self.editor, PublishedEditor) else None

    def seeds(self) -> dict[str, int]:
        """Every seed, by its key."""
        return dict(_seeds(self.model_dump()))


def _seeds(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, int]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _seeds(value, f"{prefix}{name}.")
        elif name == "seed":
            yield f"{prefix}{name}", value
