import itertools
import json

import numpy as np
import pytest
import torch

from spatialreward.editors.config import SamplingConfig
from spatialreward.errors import Failure
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import Judgement, JudgementStatus, Scores
from spatialreward.rl.config import FlowGrpoConfig
from spatialreward.rl.rewards import JudgeChangedError, RewardError
from spatialreward.rl.training import finetune_editor, minibatches
from spatialreward.world.config import DataConfig
from spatialreward.world.prompts import WorldPrompts
from spatialreward.world.tiny_editor import TinyEditor

CONFIG = FlowGrpoConfig(
    num_steps=12,
    num_prompts=2,
    group_size=6,
    sampling=SamplingConfig(num_denoising_steps=4, stochastic_share=1.0),
    learning_rate=1e-2,
    kl_weight=0.0,
)
PROMPTS = WorldPrompts(DataConfig(seed=21), CONFIG.num_prompts)


class BrightnessJudge:
    """The brighter the edited picture, the better; it fails on every ``fails_every``-th edit."""

    notice = "brightness only"

    def __init__(self, fails_every: int | None = None, judged_by: str = "brightness"):
        self._numbers = itertools.count(1)
        self._judged_by = judged_by
        self._fails_every = fails_every

    def judge(self, edits):
        return [self._judge(edit, next(self._numbers)) for edit in edits]

    def _judge(self, edit, number):
        if self._fails_every and number % self._fails_every == 0:
            return Judgement.failed("cannot see", Failure.NOT_JSON)
        score = float(np.asarray(edit.edited).mean()) / 255 * 25
        scores = Scores(
            editing_success=score, over_editing=score, naturalness=score, artifact_freedom=score
        )
        return Judgement(
            status=JudgementStatus.OK,
            scores=scores,
            reward=Aggregation().reward(scores),
            judged_by=self._judged_by,
        )


@pytest.fixture
def brightening_editor(editor_folder, tmp_path):
    """An editor of which one latent channel, and nothing else, is a patch's brightness.

    What is drawn in such latents decides the reward alone, so that a dozen small steps raise it by
    far more than another draw or another rounding would.
    """
    editor = TinyEditor.load(editor_folder)
    with torch.no_grad():
        for weight in editor.codec.decoder.parameters():
            weight.zero_()
        first, _, second, _, last = editor.codec.decoder
        first.weight[0, 0] = second.weight[0, 0] = 1
        first.bias[0] = 4  # where the GELUs between them change nothing
        last.weight[:, 0] = 0.25
        last.bias -= 1
    editor.save(tmp_path / "brightening", {"kind": "test editor"})
    return tmp_path / "brightening"


def test_the_editor_learns_what_is_rewarded(brightening_editor, tmp_path):
    metrics = []
    curve = finetune_editor(
        CONFIG,
        brightening_editor,
        tmp_path / "out",
        BrightnessJudge(fails_every=5),
        PROMPTS,
        lambda told, step: metrics.append((step, told)),
    )
    assert [step for step, _ in metrics] == list(range(1, 13))
    assert curve == [told["reward/mean"] for _, told in metrics]
    assert metrics[0][1]["reward/failed_share"] == pytest.approx(2 / 12)
    assert curve[-1] > curve[0] + 0.1
    trained, before = (TinyEditor.load(one) for one in (tmp_path / "out", brightening_editor))
    weights = zip(trained.network.parameters(), before.network.parameters(), strict=True)
    assert not all(torch.equal(*pair) for pair in weights)


def test_a_killed_training_goes_on_to_the_same_curve(editor_folder, tmp_path):
    def report(told, step):
        if step == 7 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            raise KeyboardInterrupt

    whole = finetune_editor(
        CONFIG,
        editor_folder,
        tmp_path / "whole",
        BrightnessJudge(),
        PROMPTS,
        lambda told, step: None,
    )
    state = tmp_path / "state.pt"
    for _ in range(2):
        try:
            resumed = finetune_editor(
                CONFIG,
                editor_folder,
                tmp_path / "resumed",
                BrightnessJudge(),
                PROMPTS,
                report,
                resume_file=state,
            )
        except KeyboardInterrupt:
            assert state.exists()
    assert resumed == pytest.approx(whole, abs=1e-6)


def test_a_training_goes_on_with_the_judge_that_it_began_with_only(editor_folder, tmp_path):
    def kill(told, step):
        if step == 6:
            raise KeyboardInterrupt

    def train(judging, report):
        state = tmp_path / "state.pt"
        finetune_editor(
            CONFIG, editor_folder, tmp_path / "out", judging, PROMPTS, report, resume_file=state
        )

    with pytest.raises(KeyboardInterrupt):
        train(BrightnessJudge(judged_by="judge/3"), kill)
    with pytest.raises(JudgeChangedError, match=r"from judge/4; .* began with judge/3"):
        train(BrightnessJudge(judged_by="judge/4"), lambda told, step: None)
    assert not (tmp_path / "out").exists()
    train(BrightnessJudge(judged_by="judge/3"), lambda told, step: None)
    assert json.loads((tmp_path / "out" / "card.json").read_text())["judged_by"] == "judge/3"


def test_the_edits_of_a_step_are_shuffled_into_updates_anew_each_step():
    config = FlowGrpoConfig(updates_per_step=3)
    steps = [minibatches(12, config, step) for step in range(6)]
    for parts in steps:
        assert [len(part) for part in parts] == [4, 4, 4]
        assert sorted(torch.cat(parts).tolist()) == list(range(12))
    assert len({tuple(torch.cat(parts).tolist()) for parts in steps}) == 6
    again = minibatches(12, config, 4)
    assert all(torch.equal(*pair) for pair in zip(steps[4], again, strict=True))


def test_a_judge_that_fails_stops_the_training_with_its_reason(editor_folder, tmp_path):
    with pytest.raises(RewardError, match=r"failed on 12 of 12 edits .* cannot see"):
        finetune_editor(
            CONFIG,
            editor_folder,
            tmp_path / "out",
            BrightnessJudge(fails_every=1),
            PROMPTS,
            lambda told, step: None,
        )
    assert not (tmp_path / "out").exists()
