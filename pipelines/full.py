"""The whole pipeline, composed of its parts, and each part as a separate pipeline.

Tasks are components' functions with their settings as JSON. They exchange references of artifacts
in the object store, figures as JSON, and names of registered models; docs/pipeline.md explains why
these are not KFP artifacts.
"""

from pathlib import Path
from typing import Any, NamedTuple

from kfp import dsl

from pipelines.compiling import Form, write_pipeline
from pipelines.data import answers_of, data_steps, imported, last_data_step, num_data_steps
from pipelines.editor import LAST_EDITOR_STEP, EditorAnswers, editor_steps, num_editor_steps
from pipelines.enclosing import Enclosing
from pipelines.images import BY_TAG, Images
from pipelines.judge import LAST_JUDGE_STEP, JudgeAnswers, judge_steps, num_judge_steps
from pipelines.parts import Part, inputs_of, run_name, task_data_of
from pipelines.placement import Placement
from pipelines.settings import OnNodes, Profile

Component = dsl.base_component.BaseComponent
_NUM_ENCLOSING = 2


class FullAnswers(NamedTuple):
    """Outputs of the whole pipeline."""

    judge_figures: str
    judge_model: str
    editor_figures: str
    editor_model: str


def num_steps(profile: Profile, part: Part) -> int:
    """Number of tasks in a run, for its progress."""
    return (
        _NUM_ENCLOSING
        + len(_imports(profile, part))
        + part.makes_data * num_data_steps(profile)
        + part.makes_judge * num_judge_steps(profile)
        + part.makes_editor * num_editor_steps(profile)
    )


def build_pipeline(profile: Profile, name: str, part: Part, placement: Placement) -> Component:
    """The graph of a pipeline, between opening and closing its run.

    Every pipeline has the same parameters; ``inputs_of`` lists the required ones.

    Raises:
        InvalidInputError: an image is missing from the lock.
    """
    last = {Part.DATA: last_data_step(profile), Part.JUDGE: LAST_JUDGE_STEP}
    enclosing = Enclosing(
        name=run_name(name, part),
        profile=name,
        settings=profile.model_dump_json(),
        last_step=last.get(part, LAST_EDITOR_STEP),
        placement=placement,
        has_train_jobs=_has_train_jobs(part, placement),
    )
    steps, answers = _steps(profile, name, part, placement), _answers_of(profile, part)
    called = f"spatialreward-{name}" if part is Part.FULL else f"spatialreward-{name}-{part}"

    @dsl.pipeline(name=called, description="Data, judge, service, editor, or a part of that.")
    def spatialreward(
        data: str = "",
        heldout: str = "",
        drawn: str = "",
        editor: str = "",
        parent_run_id: str = "",
    ) -> answers:
        opened = enclosing.begin(parent_run_id)
        work = steps(
            data=data, heldout=heldout, drawn=drawn, editor=editor, parent_run_id=parent_run_id
        ).after(opened)
        enclosing.end(work, parent_run_id)
        return answers(**work.outputs)

    return spatialreward


def compile_pipeline(
    profile: Profile,
    name: str,
    part: Part,
    out: Path,
    images: Images = BY_TAG,
    form: Form = Form.PIPELINE,
) -> None:
    """Write a pipeline as YAML.

    Raises:
        InvalidInputError: an image is missing from the lock.
    """
    placement = Placement(name, profile.resources, images)
    write_pipeline(build_pipeline(profile, name, part, placement), out, form)


def _has_train_jobs(part: Part, placement: Placement) -> bool:
    trained: dict[OnNodes, bool] = {
        "train_judge": part.makes_judge,
        "finetune_editor": part.makes_editor,
    }
    steps = (step for step, is_made in trained.items() if is_made)
    return any(placement.resources(step).num_nodes > 1 for step in steps)


def _answers_of(profile: Profile, part: Part) -> Any:
    match part:
        case Part.DATA:
            return answers_of(profile)
        case Part.JUDGE:
            return JudgeAnswers
        case Part.EDITOR:
            return EditorAnswers
        case Part.FULL:
            return FullAnswers


def _imports(profile: Profile, part: Part) -> set[str]:
    """Given data sets, which are imported into the store before use."""
    return {*inputs_of(profile, part)} - {"editor"}


def _steps(profile: Profile, name: str, part: Part, placement: Placement) -> Component:
    """The parts, each a pipeline inside of this one, with external inputs as parameters."""
    make_data = data_steps(profile, placement) if part.makes_data else None
    make_judge = judge_steps(profile, placement) if part.makes_judge else None
    make_editor = editor_steps(profile, placement) if part.makes_editor else None
    imports, answers = _imports(profile, part), _answers_of(profile, part)
    task_data = task_data_of(profile)

    @dsl.pipeline(name=f"steps-{name}", description="The work.")
    def steps(data: str, heldout: str, drawn: str, editor: str, parent_run_id: str) -> answers:
        given = {"data": data, "heldout": heldout, "drawn": drawn, "editor": editor}
        run = {"parent_run_id": parent_run_id}
        found: dict[str, Any] = {
            what: imported(one, placement, parent_run_id, name=f"import-{what}")
            if what in imports
            else one
            for what, one in given.items()
        }
        judge, outputs = None, {}
        if make_data:
            outputs = make_data(**run).outputs
            found |= outputs
        if make_judge:
            known = {what: found[what] for what in ("data", "heldout")}
            drawn = found["drawn"] if profile.draws_edits else ""
            judge = make_judge(**known, drawn=drawn, **run)
            outputs = judge.outputs
        if make_editor:
            tasks = {what: found[what] if what in task_data else "" for what in ("data", "heldout")}
            better = make_editor(editor=found["editor"], **tasks, **run)
            if judge:
                better.after(judge)
                outputs = {**outputs, **better.outputs}
            else:
                outputs = better.outputs
        return answers(**outputs)

    return steps
