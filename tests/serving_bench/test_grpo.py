import json

import numpy as np
import pytest

from serving.bench.consistency_server import ConsistencyServer
from serving.bench.grpo import Effort, Tuned, _figures, measure, world
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.protocol.parsing import PerceptualAnswer
from spatialreward.protocol.prompts import TINY
from spatialreward.records import Streams
from spatialreward.training.consistency import ConsistencyJudge, Reasoned

NAMES = ("form", "iou", "agreement", "consistency")


def test_the_rule_compares_a_reasoning_with_the_label(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    edits = list(world(tmp_path / "data", "train", 3))

    def about(edit, reasoning):
        answer = PerceptualAnswer(reasoning=reasoning, score=(1, 2))
        return Reasoned((edit.edited_image(),), Streams.PERCEPTUAL, "", answer)

    asked = [about(edits[0], edits[0].label.pq_reasoning), about(edits[1], "none of it")]
    with ConsistencyServer(edits, failing=0, seed=1).running() as server:
        judge = ConsistencyJudge(OpenAiConfig.parse(server.judge), TINY)
        assert judge.judge(asked) == [1.0, 0.0]
    with ConsistencyServer(edits, failing=1, seed=1).running() as server:
        judge = ConsistencyJudge(OpenAiConfig.parse(server.judge), TINY)
        assert judge.judge(asked * 4) == [None] * 8


def test_figures_compare_the_last_steps_with_the_first_ones():
    def tuned(end, quality):
        lines = [
            {f"reward/{name}": value for name in NAMES}
            | {"kl": 0.1, "masked_share": 0.3, "seconds/step": 2.0}
            for value in [0.5] * 15 + [end] * 15
        ]
        return Tuned(lines, np.array(quality))

    before = np.array([0.2, 0.4])
    figures = {
        one.name: one
        for one in _figures([tuned(0.75, [0.6, 0.8])], [tuned(0.75, [0.7, 0.7])], before)
    }
    assert figures["reward/iou"].value == 0.75
    assert figures["reward/iou"].baseline == 0.5
    assert figures["reward/iou"].reached
    assert figures["kl/largest"].reached
    assert figures["held_out/quality"].value == pytest.approx(0.7)
    assert figures["held_out/quality"].baseline == pytest.approx(0.3)
    assert figures["held_out/difference_of_failing"].value == pytest.approx(0)
    # Two standard errors of +0.1 and -0.1.
    assert figures["held_out/difference_of_failing"].target == pytest.approx(0.2)
    fallen = {one.name: one for one in _figures([tuned(0.4, before)], [tuned(1, before)], before)}
    assert not fallen["reward/form"].reached


def test_both_runs_are_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    effort = Effort(steps=2, batch_size=8, num_edits=8, num_held_out=6, noise=0.05)
    figures, more = measure(tmp_path / "bench", effort)
    assert {f"reward/{name}" for name in NAMES} <= {one.name for one in figures}
    assert all(len(lines) == 2 for runs in more.values() for lines in runs)
    assert "kl" in json.dumps(more)
