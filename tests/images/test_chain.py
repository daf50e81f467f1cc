import importlib

import typer

from manifests.images.catalogue import IMAGES
from manifests.images.chain import run_steps
from spatialreward.ops import config
from spatialreward.world.config import DataConfig

SETTINGS = {
    "build-shard": DataConfig,
    "train-judge": config.JudgeTrainingStep,
    "evaluate-judge": config.JudgeEvaluationStep,
    "register-judge": config.JudgeRegistrationStep,
    "draw-edits": config.EditDrawingStep,
    "pretrain-editor": config.EditorPretrainingStep,
    "finetune-editor": config.EditorRlStep,
    "compare-editors": config.EditorEvaluationStep,
    "register-editor": config.EditorRegistrationStep,
}


def called_steps():
    calls = []

    def step(image, command, config=None, **inputs):
        calls.append((image, command, config, inputs))
        return f"answer of {command}"

    run_steps(step)
    return calls


def test_every_component_is_run():
    components = {image.name for image in IMAGES if image.base in {"base", "torch"}} - {"torch"}
    assert {image for image, *_ in called_steps()} == components


def test_steps_are_called_as_their_containers_take_it():
    for image, command, settings, inputs in called_steps():
        entry = importlib.import_module(f"components.{image.replace('-', '_')}.__main__")
        parameters = typer.main.get_command(entry.app).commands[command].params
        given = set(inputs) | ({"config"} if settings is not None else set())
        assert given <= {parameter.name for parameter in parameters}
        assert {parameter.name for parameter in parameters if parameter.required} <= given


def test_settings_are_those_of_the_steps():
    for _, command, settings, _ in called_steps():
        if settings is not None:
            SETTINGS[command].model_validate(settings)


def test_what_a_step_answers_is_what_the_next_one_is_given():
    given = {command: inputs for _, command, _, inputs in called_steps()}
    assert given["train-judge"]["data"] == "answer of merge-shards"
    assert given["train-judge"]["drawn"] == "answer of draw-edits"
    assert given["draw-edits"]["editor"] == "answer of pretrain-editor"
    assert given["finetune-editor"]["served"] == "answer of deploy-judge"
    assert given["register-editor"]["editor"] == "answer of finetune-editor"
