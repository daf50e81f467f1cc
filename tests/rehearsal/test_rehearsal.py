"""The rehearsal in small: every wire of the large profiles, with a few edits and steps."""

import time
from pathlib import Path

import pytest

import pipelines
from spatialreward.stack import StackConfig, down
from tests.rehearsal.running import Size, rehearse

ROOT = Path(pipelines.__file__).parents[1]
SMALL = Size(num_edits=8, num_heldout=8, num_shards=1, num_steps=60, num_samples=16)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_the_classes_of_the_paper_go_through_the_whole_pipeline(tmp_path, monkeypatch):
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("SPATIALREWARD_CACHE", str(tmp_path / "cache"))
    python = ROOT / ".venv-triton" / "bin" / "python"
    stack = StackConfig(state_dir=tmp_path / "stack", triton_python=python)
    try:
        figures = rehearse(tmp_path / "rehearsal", stack, SMALL, None, time.time())
    finally:
        down(stack.state_dir)
    found = {figure.name: figure for figure in figures}
    missed = [name for name, figure in found.items() if figure.reached is False]
    assert set(missed) <= {"time/total_s"}, "which is that of a busy machine"
    assert found["rehearsal/steps_done"].value == found["rehearsal/steps_done"].target == 16
    assert found["rehearsal/served_is_trained"].value == 1
