import pytest

from spatialreward.errors import Failure
from spatialreward.records import AnswerForm, EditRegion, Judgement, JudgementStatus, Scores
from spatialreward.rl.faults import Fault, fault_of, shortened

REGIONS = (
    EditRegion(id=0, label="a red hat", bbox_2d=(0, 0, 300, 300)),
    EditRegion(id=1, label="the sky", bbox_2d=(100, 0, 1000, 300)),
    EditRegion(id=2, label="", bbox_2d=(400, 400, 600, 600)),
)


def judged(sc, pq="", quality=25.0, regions=REGIONS, **more):
    scores = Scores(
        editing_success=10, over_editing=15, naturalness=quality, artifact_freedom=quality
    )
    return Judgement(
        status=JudgementStatus.OK,
        regions=regions,
        sc_reasoning=sc,
        pq_reasoning=pq,
        scores=scores,
        reward=0.4,
        **more,
    )


def test_the_verdict_comes_first_and_then_each_region_the_largest_one_first():
    judgement = judged(
        "I looked. <|bbox_0|> a red hat was added as asked. <|bbox_1|>: the sky was not asked for "
        "and is distorted.\n<|bbox_2|> is a bit blurred <|global|> half of it is done"
    )
    assert fault_of(judgement) == Fault(
        'at "the sky" in the top, at "a red hat" in the top left, in the centre',
        "half of it is done. the sky was not asked for and is distorted. "
        "a red hat was added as asked. is a bit blurred",
    )


def test_a_fault_may_be_reported_in_any_language():
    judgement = judged("<|bbox_0|>帽子应该是蓝色的。<|bbox_1|>天空变了。<|global|>颜色没有改对。")
    assert fault_of(judgement) == Fault(
        'at "the sky" in the top, at "a red hat" in the top left',
        "颜色没有改对。 天空变了。 帽子应该是蓝色的。",
    )


@pytest.mark.parametrize(
    ("reasoning", "words"),
    [
        ("<|global|> the dog is still there", "the dog is still there"),
        ("<|bbox_0|> <|bbox_7|> is wrong <|global|> 编辑失败", "编辑失败"),
        ("The dog is still there.", "The dog is still there."),
        ("<|global|> left <|im_end|> over\x07 of it", "left over of it"),
    ],
)
def test_without_words_about_a_region_the_verdict_counts(reasoning, words):
    assert fault_of(judged(reasoning)) == Fault("in the whole picture", words)


def test_a_picture_that_is_worse_than_the_edit_is_faulted_for_its_quality():
    judgement = judged("<|bbox_0|> is wrong <|global|> bad", "<|global|> smeared edges", quality=5)
    assert fault_of(judgement) == Fault("in the whole picture", "smeared edges")


def test_a_judge_that_wrote_nothing_found_no_fault():
    assert fault_of(Judgement.failed("cannot see", Failure.NOT_JSON)) is None
    assert fault_of(judged("", regions=(), answer=AnswerForm.SCORES)) is None


def test_words_are_cut_between_words():
    assert shortened("one two three", 13) == "one two three"
    assert shortened("one two, three", 10) == "one two…"
