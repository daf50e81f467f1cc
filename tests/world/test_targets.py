import json

import pytest

from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import TINY
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.operations import ChangeBackground, Move, Recolour
from spatialreward.world.rendering import Look
from spatialreward.world.samples import World
from spatialreward.world.scene import Scene, SceneObject
from spatialreward.world.targets import answer, question
from spatialreward.world.truth import truth_of

CIRCLE = SceneObject(shape="circle", colour="red", size="small")
SOURCE = Scene(background="grey", objects={5: CIRCLE})


@pytest.fixture(scope="module")
def samples():
    return list(draw_samples(DataConfig(seed=4), "train", 60))


@pytest.fixture
def with_edit(samples):
    """A sample in which the red circle at row 2 column 2 of a grey picture was edited."""

    def make(operations, edited):
        world = World(source=SOURCE, operations=operations, edited=edited, look=Look())
        truth = truth_of(SOURCE, operations, edited, artifact=None)
        return samples[0].model_copy(update={"world": world, "truth": truth})

    return make


def test_judgements_to_learn_are_judgements_with_the_true_scores(samples):
    for sample in samples:
        semantic = parse_semantic(answer("semantic", sample))
        perceptual = parse_perceptual(answer("perceptual", sample))
        scores = sample.truth.scores
        assert semantic.edit_region == sample.truth.regions
        assert semantic.score == (round(scores.editing_success), round(scores.over_editing))
        assert perceptual.score == (round(scores.naturalness), round(scores.artifact_freedom))


def test_a_describing_answer_scores_nothing(samples):
    for sample in samples:
        for task in ("scenes", "differences", "artifacts", "request"):
            assert "score" not in answer(task, sample)


def test_a_judgement_begins_with_the_request_and_keeps_the_described_regions(samples):
    for sample in samples:
        judged = json.loads(answer("semantic", sample))
        described = json.loads(answer("differences", sample))
        assert judged["edit_region"] == described["edit_region"]
        asked = json.loads(answer("request", sample))["reasoning"]
        assert judged["reasoning"].startswith(f"{asked}. ")


def test_a_right_edit_in_words(with_edit):
    blue = CIRCLE.model_copy(update={"colour": "blue"})
    sample = with_edit((Recolour(cell=5, colour="blue"),), SOURCE.with_cell(5, blue))
    assert json.loads(answer("semantic", sample))["reasoning"] == (
        "asked 2 2 small blue circle. <|bbox_0|> 2 2 was small red circle, "
        "small small small, red blue blue done, circle circle circle, as asked. "
        "<|global|> 1 of 1 done, 0 not asked"
    )


def test_what_is_wrong_stands_beside_what_was_asked(with_edit):
    large_green = SceneObject(shape="circle", colour="green", size="large")
    sample = with_edit((Recolour(cell=5, colour="blue"),), SOURCE.with_cell(5, large_green))
    assert json.loads(answer("semantic", sample))["reasoning"] == (
        "asked 2 2 small blue circle. <|bbox_0|> 2 2 was small red circle, "
        "small small large gone, red blue green wrong, circle circle circle, wrong. "
        "<|global|> 0 of 1 done, 0 not asked"
    )


def test_an_untouched_picture_in_words(with_edit):
    operations = (Move(cell=5, to=15), ChangeBackground(background="sky"))
    sample = with_edit(operations, SOURCE)
    assert json.loads(answer("semantic", sample)) == {
        "edit_region": [],
        "reasoning": "asked 2 2 nothing, 4 4 small red circle, sky background. "
        "<|global|> 0 of 2 done, 0 not asked",
        "score": [0, 25],
    }


def test_only_what_needs_it_sees_both_pictures(samples):
    pictures = {
        task: len(question(task, samples[0], TINY).pictures)
        for task in ("scenes", "differences", "artifacts", "request", "semantic", "perceptual")
    }
    assert pictures == {
        "scenes": 2,
        "differences": 2,
        "artifacts": 1,
        "request": 2,
        "semantic": 2,
        "perceptual": 1,
    }
