"""Profiles: what a pipeline is run with, as a sparse TOML over typed defaults.

A profile says only what is different. Everything that can be wrong with it is said in one line that
names the file and the key, before anything starts.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError, field_validator

from pipelines.resources import Resources
from spatialreward.benchmarks.config import EditorEvaluationConfig, EditorGate, JudgeGate
from spatialreward.errors import InvalidInputError
from spatialreward.ops.config import (
    Editor,
    FolderBase,
    GroundingBase,
    HubBase,
    JudgeBase,
    OmniGen2Config,
    ShippedBase,
    TinyEditorConfig,
)
from spatialreward.reading import read_toml_file
from spatialreward.records import Record
from spatialreward.rl.config import FlowGrpoConfig
from spatialreward.training.config import JudgeTrainingConfig
from spatialreward.validation import Problem, first_problem
from spatialreward.world.config import DataConfig
from spatialreward.world.tiny_config import DrawingConfig

FOLDER = Path(__file__).parent / "profiles"
PipelineStep = Literal[
    "build_shard",
    "merge_shards",
    "train_judge",
    "evaluate_judge",
    "register_judge",
    "deploy_judge",
    "pretrain_editor",
    "draw_edits",
    "finetune_editor",
    "compare_editors",
    "register_editor",
]
DataStep = Literal["prepare_edits", "select_edits", "annotate_edits", "pack_edits", "gather_edits"]
"""Of the pipeline that builds training data."""
StepName = Literal[PipelineStep, DataStep]
_VARIANTS: dict[str, type[Record]] = {
    kind.model_fields["kind"].default: kind
    for kind in (
        ShippedBase,
        GroundingBase,
        FolderBase,
        HubBase,
        TinyEditorConfig,
        OmniGen2Config,
    )
}


class JudgeProfile(Record):
    """The judge: what it starts from, how it is trained, what it must reach."""

    base: JudgeBase = ShippedBase()
    training: JudgeTrainingConfig = JudgeTrainingConfig()
    gate: JudgeGate = JudgeGate()


class Profile(Record):
    """All settings of a pipeline run."""

    data: DataConfig = DataConfig()
    judge: JudgeProfile = JudgeProfile()
    editor: Editor = TinyEditorConfig()
    drawing: DrawingConfig = DrawingConfig()
    """Edits that the pretrained editor draws, where ``judge.training.drawn_share`` is above 0."""
    rl: FlowGrpoConfig = FlowGrpoConfig()
    editor_evaluation: EditorEvaluationConfig = EditorEvaluationConfig()
    editor_gate: EditorGate = EditorGate()
    resources: dict[StepName, Resources] = {}  # noqa: RUF012 - pydantic copies it

    @field_validator("resources")
    @classmethod
    def _one_step_has_nodes(cls, resources: dict[StepName, Resources]) -> dict[StepName, Resources]:
        for step, wanted in resources.items():
            if wanted.num_nodes > 1 and step != "train_judge":
                raise ValueError(f"{step}.num_nodes: only train_judge runs on several nodes")
        return resources

    def seeds(self) -> dict[str, int]:
        """Every seed, by its key."""
        return dict(_seeds(self.model_dump()))


def load_profile(name: str, overrides: Sequence[str] = ()) -> Profile:
    """Read a profile and what is to be different from it.

    Args:
        name: a profile that comes with the pipeline, or a TOML file.
        overrides: ``KEY=VALUE``, such as ``rl.num_steps=3``; a later one wins.

    Raises:
        InvalidInputError: the file or a key is unknown, or a value is not allowed; names both.
    """
    path = _find(name)
    given = read_toml_file(path)
    where = dict.fromkeys(_keys(given), str(path))
    for override in overrides:
        change = _parse_override(override)
        given = _merged(given, change, lambda _kind: {})
        where |= dict.fromkeys(_keys(change), f"--set {override}")
    settings = _merged(Profile().model_dump(mode="json"), given, _defaults_of)
    try:
        return Profile.model_validate(settings)
    except ValidationError as error:
        problem = first_problem(error, Profile, settings)
        raise InvalidInputError(_explain(problem, where, str(path))) from error


def names() -> list[str]:
    """The profiles that come with the pipeline."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def _find(name: str) -> Path:
    if name in names():
        return FOLDER / f"{name}.toml"
    path = Path(name)
    if not path.is_file():
        known = ", ".join(names())
        raise InvalidInputError(f"profile {name}: expected one of {known}, or a TOML file")
    return path


def _parse_override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidInputError(f"--set {text}: expected KEY=VALUE, such as rl.num_steps=3")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        # Words need no quotes on a command line.
        parsed = value
    change: dict[str, Any] = {}
    table = change
    *parents, last = key.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
    table[last] = parsed
    return change


def _merged(
    below: Mapping[str, Any], above: Mapping[str, Any], of_kind: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    """One table over another, table by table; where ``kind`` differs, over that of the new kind."""
    kind = above.get("kind")
    if isinstance(kind, str) and kind != below.get("kind", kind):
        below = of_kind(kind)
    result = dict(below)
    for name, value in above.items():
        covered = result.get(name)
        nested = isinstance(value, Mapping) and isinstance(covered, Mapping)
        result[name] = _merged(covered, value, of_kind) if nested else value
    return result


def _defaults_of(kind: str) -> dict[str, Any]:
    variant = _VARIANTS.get(kind)
    if variant is None or any(field.is_required() for field in variant.model_fields.values()):
        return {}
    return variant().model_dump(mode="json")


def _explain(problem: Problem, where: Mapping[str, str], default: str) -> str:
    """One line about what is wrong, with the file or the override that says so."""
    place = next((where[key] for key in _with_parents(problem.key) if key in where), default)
    return f"{place}: {problem}"


def _with_parents(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def _keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{name}.")


def _seeds(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, int]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _seeds(value, f"{prefix}{name}.")
        elif name == "seed":
            yield f"{prefix}{name}", value
