import functools
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.data.loading.packed_edits import edit, pack
from tests.data.loading.trainer import start

ROOT = Path(__file__).parents[3]
NUM_EDITS = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "edits"
    pack(folder, [70, 50, 30], rows_a_group=8)
    return folder


def training(folder, checkpoint, stop_at=0):
    arguments = [str(folder), str(checkpoint), str(stop_at)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.data.loading.trainer", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_after(process, step):
    """Kill a training with ``kill -9`` right after a step; its workers see to themselves."""
    with process:
        lines = iter(functools.partial(process.stdout.readline), "")
        assert f"step {step}\n" in lines
        workers = psutil.Process(process.pid).children()
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


def finish(folder, checkpoint):
    """Let a training go on to the end of its epoch; returns what was learnt, in order."""
    with training(folder, checkpoint) as process:
        process.communicate(timeout=300)
    assert process.returncode == 0
    return json.loads(checkpoint.read_text())["learnt"]


def test_after_a_kill_both_runs_together_learn_what_one_would_have(folder, tmp_path):
    checkpoint = tmp_path / "checkpoint.json"
    kill_after(training(folder, checkpoint, stop_at=20), 20)
    before = json.loads(checkpoint.read_text())["learnt"]
    assert len(before) == 3 * 20
    learnt = finish(folder, checkpoint)
    assert sorted(learnt) == sorted(edit(number).id for number in range(NUM_EDITS))
    _, uninterrupted = start(str(folder), None)
    whole = [sample.item for samples in uninterrupted for sample in samples]
    assert before == whole[: len(before)]
    assert learnt == whole


def test_a_training_that_is_killed_at_any_moment_goes_on_exactly(folder, tmp_path):
    checkpoint = tmp_path / "checkpoint.json"
    # Killed while it goes on, between any two instructions of the next few steps.
    for step in (3, 5):
        kill_after(training(folder, checkpoint, stop_at=step + 8), step)
    learnt = finish(folder, checkpoint)
    assert sorted(learnt) == sorted(edit(number).id for number in range(NUM_EDITS))
