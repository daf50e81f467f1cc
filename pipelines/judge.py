"""The pipeline that trains a judge, measures it, and checks it against its gate."""

from typing import Literal, NamedTuple

from kfp import dsl
from kfp.dsl import pipeline_channel

from components.reward_deployment.component import register_judge
from components.reward_evaluation.component import evaluate_judge
from components.reward_training.component import train_judge, train_judge_on_nodes, tune_judge
from pipelines.compiling import answer_of
from pipelines.placement import Placement, give_teacher_key
from pipelines.settings import Profile, TinyJudge
from pipelines.training_nodes import launcher_resources, nodes_of
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.ops.config import (
    FolderBase,
    JudgeEvaluationStep,
    JudgeRegistrationStep,
    JudgeTrainingStep,
    JudgeTuningStep,
    ShippedBase,
)
from spatialreward.training.grpo_config import GrpoConfig

LAST_JUDGE_STEP = "register-judge"
_UNTRAINED_SEED = 5


class JudgeAnswers(NamedTuple):
    """Outputs of the pipeline."""

    judge_figures: str
    judge_model: str


class _Given(NamedTuple):
    """The trained judges, their evaluation data, and the run."""

    judges: dict[str, pipeline_channel.PipelineChannel]
    """By their names in ``_examine``."""
    heldout: pipeline_channel.PipelineChannel
    run: dict[str, object]


def num_judge_steps(profile: Profile) -> int:
    """Number of tasks in a run, for its progress."""
    judge = profile.judge
    return 3 + 2 * (judge.training.earlier_step > 0) + (judge.grpo is not None)


def judge_steps(profile: Profile, placement: Placement) -> dsl.base_component.BaseComponent:
    """The graph from data sets to a registered judge.

    Raises:
        InvalidInputError: an image is missing from the lock.
    """
    is_earlier_kept = profile.judge.training.earlier_step > 0

    @dsl.pipeline(name="judge", description="A judge, from training to its gate.")
    def judge(data: str, heldout: str, drawn: str, parent_run_id: str) -> JudgeAnswers:
        run = {"parent_run_id": parent_run_id}
        trained = _train(profile, placement, {"data": data, "drawn": drawn, **run})
        judges = {which: trained.outputs[which] for which in ("judge", "earlier")}
        if profile.judge.grpo is not None:
            judges["judge"] = _tune(
                profile.judge.grpo, placement, {"judge": judges["judge"], "data": data, **run}
            )
        given = _Given(judges, heldout, run)
        measured, registered = _examine("judge", profile, placement, given)
        if is_earlier_kept:
            _, registered_earlier = _examine("earlier", profile, placement, given)
            registered.after(registered_earlier)
        return JudgeAnswers(answer_of(measured), registered.output)

    return judge


def _train(profile: Profile, placement: Placement, inputs: dict[str, object]) -> dsl.PipelineTask:
    judge = profile.judge
    training = JudgeTrainingStep(base=judge.base, training=judge.training, world=profile.world)
    # The content of a folder is not part of a step's arguments.
    pure = not isinstance(judge.base, FolderBase)
    config, wanted = training.model_dump_json(), placement.resources("train_judge")
    if wanted.num_nodes == 1:
        return placement.place(train_judge(config=config, **inputs), "train_judge", pure=pure)
    nodes = nodes_of(placement, "train_judge", train_judge_on_nodes)
    task = train_judge_on_nodes(config=config, nodes=nodes.model_dump_json(), **inputs)
    task.set_display_name("train-judge")
    return placement.place(task, "train_judge", pure=pure, resources=launcher_resources(wanted))


def _tune(
    config: GrpoConfig, placement: Placement, inputs: dict[str, object]
) -> pipeline_channel.PipelineChannel:
    # Not pure: a model behind an address may change without its arguments changing.
    pure = not config.rewards.consistency
    task = tune_judge(config=JudgeTuningStep(grpo=config).model_dump_json(), **inputs)
    placement.place(task, "tune_judge", pure=pure)
    if config.consistency_judge is not None:
        variable = OpenAiConfig.parse(config.consistency_judge).key_variable
        if variable:
            give_teacher_key(task, variable)
    return answer_of(task)


def _examine(
    which: Literal["judge", "earlier"], profile: Profile, placement: Placement, given: _Given
) -> tuple[dsl.PipelineTask, dsl.PipelineTask]:
    """Evaluation and registration of one of the trained judges."""
    is_earlier, checkpoint = which == "earlier", given.judges[which]
    is_shipped = isinstance(profile.judge.base, ShippedBase)
    # Random weights of the tiny judge are no baseline for another one's pictures.
    is_untrained = isinstance(profile.judge, TinyJudge) and not is_shipped
    measuring = JudgeEvaluationStep(
        world=profile.world,
        untrained_seed=_UNTRAINED_SEED if is_untrained else None,
        shipped_base=is_shipped,
        alone=is_earlier,
    )
    registering = JudgeRegistrationStep(gate=profile.judge.gate, earlier=is_earlier)
    measured = evaluate_judge(
        config=measuring.model_dump_json(), judge=checkpoint, heldout=given.heldout, **given.run
    )
    registered = register_judge(
        config=registering.model_dump_json(),
        judge=checkpoint,
        evaluation=answer_of(measured),
        **given.run,
    )
    if is_earlier:
        measured.set_display_name("evaluate-earlier-judge")
        registered.set_display_name("register-earlier-judge")
    placement.place(measured, "evaluate_judge")
    placement.place(registered, "register_judge", pure=False)
    return measured, registered
