"""The pipeline that serves the champion and fine-tunes an editor with its rewards."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import pipeline_channel

from components.editor_evaluation.component import compare_editors, register_editor
from components.reward_deployment.component import deploy_judge
from components.rl_finetuning.component import (
    finetune_editor,
    finetune_editor_on_nodes,
    import_editor,
)
from pipelines.compiling import answer_of
from pipelines.placement import Placement
from pipelines.settings import Profile
from pipelines.training_nodes import launcher_resources, nodes_of
from spatialreward.ops.config import (
    EditorEvaluationStep,
    EditorImportStep,
    EditorRegistrationStep,
    EditorRlStep,
    FolderBase,
    JudgeRegistrationStep,
    PublishedEditor,
)

LAST_EDITOR_STEP = "register-editor"


class EditorAnswers(NamedTuple):
    """Outputs of the pipeline."""

    editor_figures: str
    editor_model: str


def num_editor_steps(profile: Profile) -> int:
    """Number of tasks in a run, for its progress."""
    return 4 + (profile.published is not None)


def editor_steps(profile: Profile, placement: Placement) -> dsl.base_component.BaseComponent:
    """The graph from an editor to a better one.

    Serves and uses the current champion; after a judge's pipeline it is the one that has just
    passed its gate. An editor with published weights comes from the profile's location, another one
    is an input. Data sets with tasks are inputs if the settings name none; empty ones mean the
    generated world.
    """
    champion = f"models:/{JudgeRegistrationStep().name}@champion"
    published = profile.published
    adapted = {"adaptation": published.adaptation} if published else {}
    name = published.name if published else ""
    rl = EditorRlStep(rl=profile.rl, world=profile.world, base_name=name, **adapted)
    comparison = EditorEvaluationStep(
        evaluation=profile.editor_evaluation, world=profile.world, **adapted
    )
    registration = EditorRegistrationStep(gate=profile.editor_gate).model_dump_json()
    place = placement.place

    @dsl.pipeline(name="editor", description="An editor, from RL to its gate.")
    def editor(editor: str, data: str, heldout: str, parent_run_id: str) -> EditorAnswers:
        run = {"parent_run_id": parent_run_id}
        before = _imported(published, placement, run) if published else editor
        served = place(deploy_judge(model=champion, **run), "deploy_judge", pure=False)
        inputs = {
            "config": rl.model_dump_json(),
            "editor": before,
            "served": served.output,
            "data": "" if profile.rl.prompts else data,
            "heldout": "" if profile.rl.watch.prompts else heldout,
        }
        after = _finetuned(placement, inputs | run)
        compared = compare_editors(
            config=comparison.model_dump_json(),
            before=before,
            after=answer_of(after),
            served=served.output,
            heldout="" if profile.editor_evaluation.prompts else heldout,
            **run,
        )
        place(compared, "compare_editors")
        better = register_editor(
            config=registration, editor=answer_of(after), evaluation=answer_of(compared), **run
        )
        place(better, "register_editor", pure=False)
        return EditorAnswers(answer_of(compared), better.output)

    return editor


def _finetuned(placement: Placement, inputs: dict[str, object]) -> dsl.PipelineTask:
    wanted = placement.resources("finetune_editor")
    if wanted.num_nodes == 1:
        return placement.place(finetune_editor(**inputs), "finetune_editor")
    nodes = nodes_of(placement, "finetune_editor", finetune_editor_on_nodes)
    task = finetune_editor_on_nodes(nodes=nodes.model_dump_json(), **inputs)
    task.set_display_name("finetune-editor")
    return placement.place(task, "finetune_editor", resources=launcher_resources(wanted))


def _imported(
    editor: PublishedEditor, placement: Placement, run: dict[str, object]
) -> pipeline_channel.PipelineChannel:
    """An editor with published weights, as an artifact of the store."""
    task = import_editor(config=EditorImportStep(editor=editor).model_dump_json(), **run)
    # The content of a folder is not part of a step's arguments.
    pure = not isinstance(editor.base, FolderBase)
    return answer_of(placement.place(task, "import_editor", pure=pure))
