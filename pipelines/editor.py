"""The pipeline that has the champion served and fine-tunes an editor with its rewards."""

from typing import NamedTuple

from kfp import dsl

from components.editor_evaluation.component import compare_editors, register_editor
from components.reward_deployment.component import deploy_judge
from components.rl_finetuning.component import finetune_editor
from pipelines.compiling import answer_of
from pipelines.placement import Placement
from pipelines.settings import Profile
from spatialreward.ops.config import (
    EditorEvaluationStep,
    EditorRegistrationStep,
    EditorRlStep,
    JudgeRegistrationStep,
)

LAST_EDITOR_STEP = "register-editor"
NUM_EDITOR_STEPS = 4


class EditorAnswers(NamedTuple):
    """What the pipeline hands on."""

    editor_figures: str
    editor_model: str


def editor_steps(profile: Profile, placement: Placement) -> dsl.base_component.BaseComponent:
    """The graph from an editor to a better one.

    The champion is served and asked, whichever judge that is; after a judge's pipeline it is the
    one that has just passed its gate.
    """
    champion = f"models:/{JudgeRegistrationStep().name}@champion"
    rl = EditorRlStep(rl=profile.rl, world=profile.world).model_dump_json()
    comparison = EditorEvaluationStep(evaluation=profile.editor_evaluation, world=profile.world)
    registration = EditorRegistrationStep(gate=profile.editor_gate).model_dump_json()
    place = placement.place

    @dsl.pipeline(name="editor", description="An editor, from RL to its gate.")
    def editor(editor: str, parent_run_id: str) -> EditorAnswers:
        run = {"parent_run_id": parent_run_id}
        served = place(deploy_judge(model=champion, **run), "deploy_judge", pure=False)
        after = finetune_editor(config=rl, editor=editor, served=served.output, **run)
        place(after, "finetune_editor")
        compared = compare_editors(
            config=comparison.model_dump_json(),
            before=editor,
            after=answer_of(after),
            served=served.output,
            **run,
        )
        place(compared, "compare_editors")
        published = register_editor(
            config=registration, editor=answer_of(after), evaluation=answer_of(compared), **run
        )
        place(published, "register_editor", pure=False)
        return EditorAnswers(answer_of(compared), published.output)

    return editor
