"""check.sh with an engine that notes how it is called, and the program that runs inside."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from manifests.images.catalogue import IMAGES, ROOT
from spatialreward.ops import config
from spatialreward.stack.triton import restricted_by
from spatialreward.world.config import DataConfig

FOLDER = ROOT / "manifests" / "images"
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
# An answer, a label, the usage, or the state of a container, whichever is asked for.
ENGINE = """
words = [word for word in arguments if not word.startswith("-")]
if words[0] == "run" and "serving" in arguments[-2]:
    print("Usage: tritonserver"); sys.exit(1)
at = next((n for n, word in enumerate(arguments) if word.startswith("spatialreward/")), -2)
print("usage or noise\\nanswer of " + arguments[at + 1] if words[0] == "run" else "true")
"""


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Words of each container that a whole check runs, the image's tag first."""
    folder = tmp_path_factory.mktemp("check")
    log = folder / "calls"
    note = f"open({str(log)!r}, 'a').write(json.dumps(arguments) + '\\n')"
    stack = "print(\"export S3_ENDPOINT_URL='http://s3'\") if 'env' in arguments else None"
    for name, code in {
        "docker": f"{note}\n{ENGINE}",
        "spatialreward": stack,
        "curl": "",
        "python": "print(5000, 8000, 8001, 8002)",
    }.items():
        program = folder / name
        program.write_text(f"#!{sys.executable} -IS\nimport json, sys\narguments = sys.argv[1:]\n")
        program.write_text(program.read_text() + code + "\n")
        program.chmod(0o755)
    answer = subprocess.run(
        [FOLDER / "check.sh"],
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in log.read_text().splitlines()]


def containers(calls):
    """Options, name of the image and words of each container."""
    for call in calls:
        if call[0] == "run":
            at = next(n for n, word in enumerate(call) if word.startswith("spatialreward/"))
            yield call[1:at], call[at].partition("/")[2].partition(":")[0], call[at + 1 :]


@pytest.fixture(scope="module")
def steps(calls):
    """Image, command and inputs of each step, in order."""
    return [
        (image, words[0], dict(word.removeprefix("--").split("=", 1) for word in words[1:]))
        for _, image, words in containers(calls)
        if words[0] in {*SETTINGS, "merge-shards", "deploy-judge"}
    ]


def test_every_image_is_checked_and_every_component_runs(calls, steps):
    pushed = {image.name for image in IMAGES if image.pushed}
    assert {image for _, image, words in containers(calls) if words == ["--help"]} == pushed
    assert {image for image, *_ in steps} == pushed - {"mlflow", "serving"}
    for _, image, words in containers(calls):
        if words[0] == "-c" and image not in {"mlflow", "serving"}:
            package = f"components.{image.replace('-', '_')}"
            assert words[3:] == [f"{package}.component", f"{package}.steps"]
            assert all(importlib.util.find_spec(module) for module in words[3:])


def test_a_container_is_as_restricted_as_in_a_cluster(calls):
    for options, _, _ in containers(calls):
        assert {"--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"} < set(options)
        assert not any("--user" in option or "--privileged" in option for option in options)


def test_steps_are_called_as_their_containers_take_it(steps):
    for image, command, inputs in steps:
        entry = importlib.import_module(f"components.{image.replace('-', '_')}.__main__")
        parameters = typer.main.get_command(entry.app).commands[command].params
        given = {name.replace("-", "_") for name in inputs}
        assert given <= {parameter.name for parameter in parameters}
        assert {parameter.name for parameter in parameters if parameter.required} <= given
        if "config" in inputs:
            SETTINGS[command].model_validate_json(inputs["config"])


def test_an_answer_is_the_input_of_the_next_step(steps):
    given = {command: inputs for _, command, inputs in steps}
    assert json.loads(given["merge-shards"]["shards"]) == ["answer of build-shard"]
    assert given["train-judge"]["data"] == "answer of merge-shards"
    assert given["train-judge"]["drawn"] == "answer of draw-edits"
    assert given["draw-edits"]["editor"] == "answer of pretrain-editor"
    assert given["finetune-editor"]["served"] == "answer of deploy-judge"
    assert given["register-editor"]["editor"] == "answer of finetune-editor"


def test_only_the_deployment_and_triton_share_the_models_and_the_key(calls):
    mounting = {image for options, image, _ in containers(calls) if "--volume" in str(options)}
    assert mounting == {"serving", "reward-deployment"}
    (triton,) = [
        words for _, image, words in containers(calls) if "--model-repository" in str(words)
    ]
    (key,) = {re.search("key=(.*)", word)[1] for word in triton if "restricted" in word}
    assert set(restricted_by(key)) <= set(triton)
    deploy = next(options for options, _, words in containers(calls) if words[0] == "deploy-judge")
    assert {f"--env=TRITON_REPOSITORY_KEY={key}", "--env=S3_ENDPOINT_URL"} < set(deploy)


def test_containers_and_the_volume_are_removed(calls):
    assert [call[:2] for call in calls[-2:]] == [["rm", "--force"], ["volume", "rm"]]


@pytest.mark.parametrize(("engine", "said"), [("buildah", "got 'buildah'"), ("", "got ''")])
def test_an_image_is_run_by_docker_or_podman(tmp_path, engine, said):
    answer = subprocess.run(
        ["/bin/sh", FOLDER / "check.sh"],
        env={"PATH": "/usr/bin:/bin" if engine else str(tmp_path), "CONTAINER_ENGINE": engine},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert f"needs docker or podman, {said}" in answer.stderr


def test_the_probe_finds_what_is_wrong_where_it_runs(tmp_path):
    """Here, where nothing is pinned and the user is another."""
    (tmp_path / "constraints.txt").write_text("pytest==0.0.1\n")
    answer = subprocess.run(
        [sys.executable, FOLDER / "probe.py", tmp_path / "constraints.txt", "json"],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "unpinned pytest==" in answer.stderr
    assert f"user {os.getuid()}:" in answer.stderr
    assert Path(answer.stderr.split(":")[0]).name == "json"
