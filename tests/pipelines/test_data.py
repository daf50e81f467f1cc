"""The data pipeline: its graph, and a whole run of it on a real store and a real MLflow."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines
from pipelines.full import compile_pipeline
from pipelines.parts import Part
from pipelines.profile import load_profile
from pipelines.run import RunOptions, run_here
from pipelines.settings import CorpusData
from spatialreward.data.dataset import DatasetRef
from spatialreward.errors import InvalidInputError
from spatialreward.stack import Service, StackConfig, down, environment, up
from tests.data.corpus.made import settings, write_edits
from tests.data.teacher.teacher_server import TeacherServer
from tests.pipelines.compiled import Compiled

ROOT = Path(pipelines.__file__).parents[1]
TEACHER = {"base_url": "http://127.0.0.1:1/v1", "model": "scripted-vl"}


def edges(corpus, folder):
    path = folder / "data.yaml"
    profile = load_profile("tiny").model_copy(update={"data": CorpusData(corpus=corpus)})
    compile_pipeline(profile, "mine", Part.DATA, path)
    return Compiled.read(path).edges()


def test_without_a_teacher_nobody_is_asked(tmp_path):
    assert edges(settings(), tmp_path) == {
        ("for-loop-2", "select-edits"),
        ("select-edits", "for-loop-3"),
        ("for-loop-3", "gather-edits"),
    }


def test_a_teacher_is_asked_between_two_selections(tmp_path):
    assert edges(settings(teacher=TEACHER), tmp_path) == {
        ("for-loop-2", "select-edits"),
        ("select-edits", "for-loop-3"),
        ("for-loop-3", "select-edits-2"),
        ("select-edits-2", "for-loop-4"),
        ("for-loop-4", "gather-edits"),
    }


@pytest.fixture
def stack(tmp_path):
    config = StackConfig(state_dir=tmp_path / "stack", without=frozenset({Service.TRITON}))
    yield config
    down(config.state_dir)
    shutil.rmtree(config.state_dir, ignore_errors=True)


@pytest.mark.slow
def test_a_data_set_is_built_annotated_and_read_from_the_store(tmp_path, stack, monkeypatch):
    source = write_edits(tmp_path / "data", 6)
    with TeacherServer().running() as server:
        config = tmp_path / "edits.toml"
        config.write_text(
            'name = "small"\nnum_shards = 2\nmax_reject_share = 0.9\n[source]\nkind = "jsonl"\n'
            f'folder = "{source["folder"]}"\n'
            'columns = {sources = ["source"], edited = "edited", instruction = "instruction",'
            ' id = ["id"]}\n'
            f'[teacher]\nbase_url = "{server.url}"\nmodel = "scripted-vl"\n'
            'verify = false\napi_key_variable = "TEACHER_KEY"\n'
        )
        command = [sys.executable, "-m", "pipelines", "run", "--pipeline", "data"]
        command += ["--corpus", str(config)]
        variables = os.environ | {
            "PYTHONPATH": str(ROOT),
            "SPATIALREWARD_WORK_DIR": str(tmp_path / "work"),
            "TEACHER_KEY": "sk-test",
        }
        done = []
        for _ in range(2):
            done.append(
                subprocess.run(
                    [*command, "--state-dir", str(stack.state_dir)],
                    cwd=tmp_path,
                    env=variables,
                    capture_output=True,
                    text=True,
                    timeout=400,
                    check=False,
                )
            )
            assert done[-1].returncode == 0, done[-1].stderr
        asked = len(server.asked)
    assert asked == 6, "the second run found everything done"
    option, reference = done[0].stdout.strip().splitlines()[-1].split(" ")
    assert option == "--data"
    assert done[1].stdout.strip().endswith(reference)
    assert not (stack.state_dir / "triton").exists()
    with monkeypatch.context() as patch:
        for name, value in environment(up(stack)).items():
            patch.setenv(name, value)
        patch.setenv("SPATIALREWARD_CACHE", str(tmp_path / "cache"))
        read = list(DatasetRef.parse(reference).open())
    left_out = json.loads((tmp_path / "build/figures/pipeline-data.json").read_text())
    assert {figure["name"] for figure in left_out["figures"]} == {"time/total_s", "memory/peak_gb"}
    assert 0 < len(read) <= 6
    assert all(edit.label is not None for edit in read)


def test_a_teacher_without_its_key_is_an_error_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.delenv("VL_KEY", raising=False)
    stack = StackConfig(state_dir=tmp_path / "stack")
    corpus = settings(teacher=TEACHER | {"api_key_variable": "VL_KEY"})
    profile = load_profile("tiny").model_copy(update={"data": CorpusData(corpus=corpus)})
    with pytest.raises(InvalidInputError, match="environment variable VL_KEY holds no key"):
        run_here(profile, "mine", RunOptions(stack), Part.DATA)
    assert not stack.state_dir.exists()
