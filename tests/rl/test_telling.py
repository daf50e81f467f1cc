import math

import pytest
import torch
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import Failure
from spatialreward.records import AnswerForm, EditRegion, Judgement, JudgementStatus, Scores
from spatialreward.rl.telling import describe
from spatialreward.rl.types import Scored

PICTURE = Image.new("RGB", (4, 4))


def edit(operation):
    return Edit(PICTURE, PICTURE, "make it red", operation=operation)


def judged(*boxes, success=20.0, **more):
    regions = tuple(
        EditRegion(id=number, label="it", bbox_2d=box) for number, box in enumerate(boxes)
    )
    scores = Scores(editing_success=success, over_editing=10, naturalness=15, artifact_freedom=25)
    return Judgement(status=JudgementStatus.OK, regions=regions, scores=scores, reward=0.5, **more)


def test_rewards_are_reported_by_operation_scores_and_regions():
    edits = [edit("add"), edit("remove"), edit("add"), edit("")]
    rewards = {"first": torch.tensor([0.2, 0.8, 0.6, math.nan]), "other": torch.ones(4)}
    judgements = [
        judged((0, 0, 500, 500), (250, 0, 500, 1000)),
        judged(success=5.0),
        judged((0, 0, 1000, 1000)),
        Judgement.failed("cannot see", Failure.NOT_JSON),
    ]
    assert describe(edits, Scored(rewards, judgements)) == pytest.approx(
        {
            "reward/first": 1.6 / 3,
            "reward/other": 1.0,
            "operation/add": 0.4,
            "operation/remove": 0.8,
            "judge/editing_success": 15,
            "judge/over_editing": 10,
            "judge/naturalness": 15,
            "judge/artifact_freedom": 25,
            "regions/mean_count": 1.0,
            "regions/none_share": 1 / 3,
            "regions/area_share": (0.25 + 0.125 + 0 + 1) / 3,
        }
    )


def test_a_judge_without_regions_has_no_figures_of_regions():
    metrics = describe(
        [edit("add")], Scored({"one": torch.tensor([0.5])}, [judged(answer=AnswerForm.SCORES)])
    )
    assert {name.partition("/")[0] for name in metrics} == {"operation", "judge"}


def test_without_judgements_there_are_rewards_alone():
    metrics = describe([edit("change colour (object)")], Scored({"one": torch.tensor([0.5])}, None))
    assert metrics == {"operation/change colour (object)": 0.5}
    nothing = describe([edit("add")], Scored({"one": torch.tensor([math.nan])}, None))
    assert nothing == {}
