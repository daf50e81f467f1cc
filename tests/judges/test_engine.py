import json

import pytest
from PIL import Image

from spatialreward.data.regions.overlap import matched_iou
from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.interface import listen_to_nothing
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import PROTOCOL_FILE
from spatialreward.records import JudgementStatus, Streams
from spatialreward.world.shipped import SHIPPED_BASE
from tests.judges.models import copied, with_json


@pytest.fixture(scope="module")
def judge(judge_folder):
    return Judge.load(judge_folder)


def test_what_was_learnt_is_judged_as_it_was_taught(judge, known_edits, known_samples):
    for judgement, sample in zip(judge.judge(known_edits), known_samples, strict=True):
        assert judgement.status is JudgementStatus.OK, judgement.reason
        assert judgement.scores == sample.truth.scores
        assert matched_iou(sample.truth.regions, judgement.regions) == 1.0


def test_what_is_written_is_reported_word_for_word(judge, known_edits):
    heard = {}
    judge.set_listener(lambda edit, answers: heard.update({id(edit): answers}))
    judgements = judge.judge(known_edits[:3])
    judge.set_listener(listen_to_nothing)
    for edit, judgement in zip(known_edits[:3], judgements, strict=True):
        answers = heard[id(edit)]
        semantic = parse_semantic(answers[Streams.SEMANTIC])
        assert semantic.edit_region == judgement.regions
        assert parse_perceptual(answers[Streams.PERCEPTUAL]).reasoning == judgement.pq_reasoning


def test_soft_scores_are_near_hard_ones_where_the_judge_is_sure(judge, known_edits):
    (judgement,) = judge.judge(known_edits[:1])
    assert judgement.soft_scores.editing_success == pytest.approx(
        judgement.scores.editing_success, abs=2
    )


def test_an_edit_is_judged_alike_alone_and_in_company(judge_folder, judge, known_edits):
    alone = Judge.load(judge_folder)
    alone._batch_size = 1
    for one, other in zip(alone.judge(known_edits), judge.judge(known_edits), strict=True):
        assert one.scores == other.scores
        assert one.regions == other.regions
        assert one.reward == pytest.approx(other.reward, abs=1e-4)


def test_pictures_of_any_shape_get_an_answer(judge):
    edit = Edit(
        Image.new("RGB", (640, 200), "blue"), Image.new("RGB", (31, 77), "red"), 'say "{x}"\n世界'
    )
    (judgement,) = judge.judge([edit])
    assert judgement.status in JudgementStatus


def test_an_answer_that_is_cut_off_is_a_failed_judgement(judge_folder, known_edits, tmp_path):
    folder = tmp_path / "short"
    folder.mkdir()
    for path in judge_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    protocol = json.loads((folder / PROTOCOL_FILE).read_text()) | {"max_answer_tokens": 5}
    (folder / PROTOCOL_FILE).write_text(json.dumps(protocol))
    (judgement,) = Judge.load(folder).judge(known_edits[:1])
    assert judgement.reward is None
    assert judgement.reason == "SC answer is longer than 5 tokens"


def test_no_edits_are_no_judgements(judge):
    assert judge.judge([]) == []


def test_a_checkpoint_whose_card_says_that_it_only_describes_cannot_judge(tmp_path):
    folder = copied(SHIPPED_BASE, tmp_path / "base")
    with_json(folder / "card.json", judges=False)
    with pytest.raises(InvalidInputError, match="was not trained to judge"):
        Judge.load(folder, protocol="tiny")
