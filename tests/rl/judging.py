"""Judges of edits by their brightness, and an editor of which that is all there is to learn."""

import itertools
import time

import numpy as np
import torch

from spatialreward.errors import Failure
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.records import AnswerForm, EditRegion, Judgement, JudgementStatus, Scores
from spatialreward.rl.reward_config import PatienceConfig, RewardConfig
from spatialreward.rl.rewards import Rewards
from spatialreward.world.config import DataConfig
from spatialreward.world.prompts import WorldPrompts
from spatialreward.world.tiny_editor import TinyEditor

WORLD = DataConfig(seed=21)
WHOLE = ((0, 0, 1000, 1000),)


class BrightnessJudge:
    """The brighter the edited picture, the better; it fails on every ``fails_every``-th edit.

    All edits have the same ``boxes``, or none and no answer about regions.
    """

    notice = "brightness only"

    def __init__(self, fails_every=None, judged_by="brightness", boxes=None, seconds=0.0):
        self._numbers = itertools.count(1)
        self._judged_by = judged_by
        self._fails_every = fails_every
        self._boxes = boxes
        self._seconds = seconds

    def judge(self, edits):
        edits = list(edits)
        time.sleep(self._seconds * len(edits))
        return [self._judge(edit, next(self._numbers)) for edit in edits]

    def _judge(self, edit, number):
        if self._fails_every and number % self._fails_every == 0:
            return Judgement.failed("cannot see", Failure.NOT_JSON)
        score = float(np.asarray(edit.edited).mean()) / 255 * 25
        return judgement(score, score, self._boxes, self._judged_by)


def judgement(success, kept, boxes=None, judged_by="test", quality=20.0):
    """An ok judgement with these scores and boxes; None: of a judge without regions."""
    scores = Scores(
        editing_success=success, over_editing=kept, naturalness=quality, artifact_freedom=quality
    )
    regions = tuple(
        EditRegion(id=number, label="something", bbox_2d=box)
        for number, box in enumerate(boxes or ())
    )
    return Judgement(
        status=JudgementStatus.OK,
        answer=AnswerForm.SCORES if boxes is None else AnswerForm.REGIONS,
        regions=regions,
        scores=scores,
        reward=Aggregation().reward(scores),
        judged_by=judged_by,
    )


def rewarded(judging, max_failed_share=0.5, **names):
    """The reward of one judge, which is not waited for."""
    patience = PatienceConfig(max_failed_share=max_failed_share, max_wait_s=0)
    return Rewards([RewardConfig(**names)], patience, judging)


def prompts(count):
    """Tasks of the generated world, ``count`` a step."""
    return WorldPrompts(WORLD, count)


def brightening(folder, out):
    """An editor of which one latent channel, and nothing else, is a patch's brightness.

    What is drawn in such latents decides the reward alone, so that a dozen small steps raise it by
    far more than another draw or another rounding would.
    """
    editor = TinyEditor.load(folder)
    with torch.no_grad():
        for weight in editor.codec.decoder.parameters():
            weight.zero_()
        first, _, second, _, last = editor.codec.decoder
        first.weight[0, 0] = second.weight[0, 0] = 1
        first.bias[0] = 4  # where the GELUs between them change nothing
        last.weight[:, 0] = 0.25
        last.bias -= 1
    editor.save(out, {"kind": "test editor"})
    return out
