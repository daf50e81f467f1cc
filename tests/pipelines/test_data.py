"""The data pipeline: its graph, and a whole run of it on a real store and a real MLflow."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines
from pipelines.data_dag import compile_data_pipeline, num_steps
from pipelines.data_run import run_data_here
from spatialreward.artifacts import ArtifactRef
from spatialreward.data.dataset import DatasetRef
from spatialreward.data.packing.manifest import read_manifest
from spatialreward.errors import InvalidInputError
from spatialreward.stack import Service, StackConfig, down, environment, up
from spatialreward.storage import ObjectStore
from tests.data.corpus.made import settings, write_edits
from tests.data.teacher.teacher_server import TeacherServer
from tests.pipelines.compiled import Compiled

ROOT = Path(pipelines.__file__).parents[1]
TEACHER = {"base_url": "http://127.0.0.1:1/v1", "model": "scripted-vl"}


def edges(config, folder):
    path = folder / "data.yaml"
    compile_data_pipeline(config, path)
    compiled = Compiled.read(path)
    closing = compiled.outer["close-run"]["inputs"]["parameters"]
    last = closing["last_step"]["runtimeValue"]["constant"]
    assert set(compiled.steps) - {before for before, _ in compiled.edges()} == {last}
    return compiled.edges()


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


def test_the_steps_are_counted():
    assert num_steps(settings(num_shards=3)) == 3 + 1 + 3 + 1
    assert num_steps(settings(num_shards=3, teacher=TEACHER)) == 3 + 1 + 3 + 1 + 3 + 1


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
        command = [sys.executable, "-m", "pipelines", "data", "run", str(config)]
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
    location = done[0].stdout.strip().splitlines()[-1].rpartition(" ")[2]
    assert done[1].stdout.strip().endswith(location)
    with monkeypatch.context() as patch:
        for name, value in environment(up(stack)).items():
            patch.setenv(name, value)
        content = ObjectStore.from_environment().get_content(f"{location}/artifact.json")
        ref = ArtifactRef(uri=location, sha256=hashlib.sha256(content).hexdigest())
        data = DatasetRef.parse(str(ref)).open(tmp_path / "cache")
    read = list(data)
    manifest = read_manifest(data.shards[0].path.parent)
    assert len(read) == manifest.num_edits > 0
    assert manifest.num_edits + sum(manifest.left_out.values()) == 6
    assert all(edit.label is not None for edit in read)


def test_a_teacher_without_its_key_is_an_error_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.delenv("VL_KEY", raising=False)
    stack = StackConfig(state_dir=tmp_path / "stack", without=frozenset({Service.TRITON}))
    config = settings(teacher=TEACHER | {"api_key_variable": "VL_KEY"})
    with pytest.raises(InvalidInputError, match="environment variable VL_KEY holds no key"):
        run_data_here(config, stack, anew=False)
    assert not stack.state_dir.exists()
