"""The pipeline, written once: it is compiled for a cluster, and the same file is run here.

Every task is a component's function with its settings as JSON; what tasks hand each other are
references of artifacts in the object store, figures as JSON, and names of registered models.

The steps are a pipeline of their own inside of one that opens the run in MLflow before them and
closes it after them, however they end. ``dsl.ExitHandler`` compiles to the same, but what is inside
of it cannot be the outer pipeline's output.
"""

from pathlib import Path
from typing import Literal, NamedTuple

from kfp import dsl
from kfp.dsl import pipeline_channel

from components.data_building.component import build_shard, merge_shards
from components.editor_evaluation.component import compare_editors, register_editor
from components.reward_deployment.component import (
    close_run,
    deploy_judge,
    open_run,
    register_judge,
)
from components.reward_evaluation.component import evaluate_judge
from components.reward_training.component import train_judge, train_judge_on_nodes
from components.rl_finetuning.component import draw_edits, finetune_editor, pretrain_editor
from pipelines.compiling import Form, write_pipeline
from pipelines.images import BY_TAG, Images
from pipelines.placement import Placement
from pipelines.profile import Profile
from pipelines.training_nodes import launcher_resources, nodes_of
from spatialreward.ops.config import (
    EditDrawingStep,
    EditorEvaluationStep,
    EditorPretrainingStep,
    EditorRegistrationStep,
    EditorRlStep,
    FolderBase,
    JudgeEvaluationStep,
    JudgeRegistrationStep,
    JudgeTrainingStep,
)

_LAST_STEP = "register-editor"
"""Every other one comes before it."""


class Answers(NamedTuple):
    """What the pipeline hands back."""

    judge_figures: str
    judge_model: str
    editor_figures: str
    editor_model: str


def build_pipeline(
    profile: Profile, name: str, placement: Placement
) -> dsl.base_component.BaseComponent:
    """The graph of all steps with a profile's settings, between the opening and closing of its run.

    Raises:
        InvalidInputError: an image is not in the lock.
    """
    steps = _steps(profile, name, placement)
    has_train_jobs = placement.resources("train_judge").num_nodes > 1

    @dsl.pipeline(name=f"spatialreward-{name}", description="Data, judge, service, editor.")
    def spatialreward(parent_run_id: str = "") -> Answers:
        opened = open_run(
            name=f"pipeline {name}",
            profile=name,
            settings=profile.model_dump_json(),
            parent_run_id=parent_run_id,
        )
        work = steps(parent_run_id=parent_run_id).after(opened)
        closed = close_run(
            has_train_jobs=has_train_jobs, last_step=_LAST_STEP, parent_run_id=parent_run_id
        )
        closed.after(work).ignore_upstream_failure()
        for task, step in ((opened, "open_run"), (closed, "close_run")):
            placement.place(task, step, pure=False)
        return Answers(*(work.outputs[output] for output in Answers._fields))

    return spatialreward


def compile_pipeline(
    profile: Profile, name: str, out: Path, images: Images = BY_TAG, form: Form = Form.PIPELINE
) -> None:
    """Write the pipeline as YAML.

    Raises:
        InvalidInputError: an image is not in the lock.
    """
    placement = Placement(name, profile.resources, images)
    write_pipeline(build_pipeline(profile, name, placement), out, form)


def _steps(profile: Profile, name: str, placement: Placement) -> dsl.base_component.BaseComponent:
    judge, world = profile.judge, profile.data
    registration = JudgeRegistrationStep(gate=judge.gate)
    editor_registration = EditorRegistrationStep(gate=profile.editor_gate)
    is_earlier_kept = judge.training.earlier_step > 0
    training = JudgeTrainingStep(base=judge.base, training=judge.training, world=world)
    evaluation = JudgeEvaluationStep(world=world)
    pretraining = EditorPretrainingStep(editor=profile.editor)
    drawing = EditDrawingStep(drawing=profile.drawing, world=world)
    rl = EditorRlStep(rl=profile.rl, world=world)
    comparison = EditorEvaluationStep(evaluation=profile.editor_evaluation, world=world)
    place = placement.place
    # What lies in a folder is no part of a step's arguments.
    own_pictures, own_base = bool(world.photos), isinstance(judge.base, FolderBase)

    def draw(editor: dsl.PipelineTask, parent_run_id: object) -> pipeline_channel.PipelineChannel:
        task = draw_edits(
            config=drawing.model_dump_json(), editor=editor.output, parent_run_id=parent_run_id
        )
        return place(task, "draw_edits", pure=not own_pictures).output

    def train(
        data: pipeline_channel.PipelineChannel, editor: dsl.PipelineTask, parent_run_id: object
    ) -> dsl.PipelineTask:
        drawn = draw(editor, parent_run_id) if judge.training.drawn_share else ""
        settings = {"config": training.model_dump_json(), "data": data, "drawn": drawn}
        wanted = placement.resources("train_judge")
        if wanted.num_nodes == 1:
            task = train_judge(**settings, parent_run_id=parent_run_id)
            return place(task, "train_judge", pure=not own_base)
        nodes = nodes_of(placement, "train_judge", train_judge_on_nodes)
        task = train_judge_on_nodes(
            **settings, nodes=nodes.model_dump_json(), parent_run_id=parent_run_id
        )
        task.set_display_name("train-judge")
        resources = launcher_resources(wanted)
        return place(task, "train_judge", pure=not own_base, resources=resources)

    def examine(
        which: Literal["judge", "earlier"],
        trained: dsl.PipelineTask,
        heldout: dsl.PipelineTask,
        parent_run_id: object,
    ) -> tuple[dsl.PipelineTask, dsl.PipelineTask]:
        """The evaluation and registration of one of the judges that the training has made."""
        is_earlier = which == "earlier"
        checkpoint, run = trained.outputs[which], {"parent_run_id": parent_run_id}
        measuring = evaluation.model_copy(update={"alone": is_earlier})
        registering = registration.model_copy(update={"earlier": is_earlier})
        measured = evaluate_judge(
            config=measuring.model_dump_json(), judge=checkpoint, heldout=heldout.output, **run
        )
        registered = register_judge(
            config=registering.model_dump_json(),
            judge=checkpoint,
            evaluation=measured.output,
            **run,
        )
        if is_earlier:
            measured.set_display_name("evaluate-earlier-judge")
            registered.set_display_name("register-earlier-judge")
        place(measured, "evaluate_judge")
        place(registered, "register_judge", pure=False)
        return measured, registered

    @dsl.pipeline(name=f"steps-{name}", description="The work.")
    def steps(parent_run_id: str) -> Answers:
        run = {"parent_run_id": parent_run_id}
        data = world.model_dump_json()
        numbers, parallel = list(range(world.num_shards)), placement.parallel("build_shard")
        with dsl.ParallelFor(numbers, name="shards", parallelism=parallel) as shard:
            built = place(
                build_shard(config=data, split="train", shard=shard, **run),
                "build_shard",
                pure=not own_pictures,
                in_loop=True,
            )
        merged = place(merge_shards(shards=dsl.Collected(built.output), **run), "merge_shards")
        heldout = place(
            build_shard(config=data, split="heldout", shard=0, **run),
            "build_shard",
            pure=not own_pictures,
        ).set_display_name("build-heldout")
        before = place(
            pretrain_editor(config=pretraining.model_dump_json(), data=merged.output, **run),
            "pretrain_editor",
        )
        trained = train(merged.output, before, parent_run_id)
        measured, registered = examine("judge", trained, heldout, parent_run_id)
        if is_earlier_kept:
            _, registered_earlier = examine("earlier", trained, heldout, parent_run_id)
            registered.after(registered_earlier)
        # Whoever is the champion is served; the gate has just made it this judge.
        champion = f"models:/{registration.name}@champion"
        served = place(deploy_judge(model=champion, **run), "deploy_judge", pure=False)
        served.after(registered)
        after = place(
            finetune_editor(
                config=rl.model_dump_json(), editor=before.output, served=served.output, **run
            ),
            "finetune_editor",
        )
        compared = place(
            compare_editors(
                config=comparison.model_dump_json(),
                before=before.output,
                after=after.output,
                served=served.output,
                **run,
            ),
            "compare_editors",
        )
        published = place(
            register_editor(
                config=editor_registration.model_dump_json(),
                editor=after.output,
                evaluation=compared.output,
                **run,
            ),
            "register_editor",
            pure=False,
        )
        return Answers(measured.output, registered.output, compared.output, published.output)

    return steps
