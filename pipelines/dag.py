"""The pipeline, written once: it is compiled for a cluster, and the same file is run here.

Every task is a component's function with its settings as JSON; what tasks hand each other are
references of artifacts in the object store, figures as JSON, and names of registered models.
"""

from pathlib import Path
from typing import NamedTuple

from kfp import compiler, dsl

from components.data_building.component import build_shard, merge_shards
from components.editor_evaluation.component import compare_editors, register_editor
from components.reward_deployment.component import deploy_judge, register_judge
from components.reward_evaluation.component import evaluate_judge
from components.reward_training.component import train_judge
from components.rl_finetuning.component import finetune_editor, pretrain_editor
from pipelines.profile import Profile, StepName
from spatialreward.config import (
    EditorEvaluationStep,
    EditorPretrainingStep,
    EditorRegistrationStep,
    EditorRlStep,
    JudgeEvaluationStep,
    JudgeRegistrationStep,
    JudgeTrainingStep,
)

GPU = "nvidia.com/gpu"


class Answers(NamedTuple):
    """What the pipeline hands back."""

    judge_figures: str
    judge_model: str
    editor_figures: str
    editor_model: str


def build_pipeline(profile: Profile, name: str) -> dsl.base_component.BaseComponent:
    """The graph of all steps with a profile's settings."""
    judge, world = profile.judge, profile.data
    registration = JudgeRegistrationStep(gate=judge.gate)
    training = JudgeTrainingStep(base=judge.base, training=judge.training, world=world)
    evaluation = JudgeEvaluationStep(world=world)
    pretraining = EditorPretrainingStep(editor=profile.editor)
    rl = EditorRlStep(rl=profile.rl, world=world)
    comparison = EditorEvaluationStep(evaluation=profile.editor_evaluation, world=world)

    def ask(task: dsl.PipelineTask, step: StepName) -> dsl.PipelineTask:
        return _with_resources(task, profile, step)

    @dsl.pipeline(name=f"spatialreward-{name}", description="Data, judge, service, editor.")
    def spatialreward(parent_run_id: str = "") -> Answers:
        run = {"parent_run_id": parent_run_id}
        data = world.model_dump_json()
        with dsl.ParallelFor(list(range(world.num_shards)), name="shards") as shard:
            built = ask(build_shard(config=data, split="train", shard=shard, **run), "build_shard")
        train = ask(merge_shards(shards=dsl.Collected(built.output), **run), "merge_shards")
        heldout = ask(
            build_shard(config=data, split="heldout", shard=0, **run), "build_shard"
        ).set_display_name("build-heldout")
        trained = ask(
            train_judge(config=training.model_dump_json(), data=train.output, **run),
            "train_judge",
        )
        measured = ask(
            evaluate_judge(
                config=evaluation.model_dump_json(),
                judge=trained.output,
                heldout=heldout.output,
                **run,
            ),
            "evaluate_judge",
        )
        registered = ask(
            register_judge(
                config=registration.model_dump_json(),
                judge=trained.output,
                figures=measured.output,
                **run,
            ),
            "register_judge",
        )
        # Whoever is the champion is served; the gate has just made it this judge.
        champion = f"models:/{registration.name}@champion"
        served = ask(deploy_judge(model=champion, **run), "deploy_judge").after(registered)
        before = ask(
            pretrain_editor(config=pretraining.model_dump_json(), data=train.output, **run),
            "pretrain_editor",
        )
        after = ask(
            finetune_editor(
                config=rl.model_dump_json(), editor=before.output, served=served.output, **run
            ),
            "finetune_editor",
        )
        compared = ask(
            compare_editors(
                config=comparison.model_dump_json(),
                before=before.output,
                after=after.output,
                served=served.output,
                **run,
            ),
            "compare_editors",
        )
        published = ask(
            register_editor(
                config=EditorRegistrationStep().model_dump_json(),
                editor=after.output,
                figures=compared.output,
                **run,
            ),
            "register_editor",
        )
        # The platform must not skip what has effects outside of it.
        for task in (registered, served, published):
            task.set_caching_options(False)
        return Answers(measured.output, registered.output, compared.output, published.output)

    return spatialreward


def compile_pipeline(profile: Profile, name: str, out: Path) -> None:
    """Write the pipeline as YAML."""
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(build_pipeline(profile, name), str(out))


def _with_resources(task: dsl.PipelineTask, profile: Profile, step: StepName) -> dsl.PipelineTask:
    wanted = profile.resources.get(step)
    if wanted is None:
        return task
    if wanted.cpus:
        task.set_cpu_request(str(wanted.cpus)).set_cpu_limit(str(wanted.cpus))
    if wanted.memory_gib:
        size = f"{wanted.memory_gib}Gi"
        task.set_memory_request(size).set_memory_limit(size)
    if wanted.gpus:
        task.set_accelerator_type(GPU).set_accelerator_limit(wanted.gpus)
    return task
