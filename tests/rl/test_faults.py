import pytest

from spatialreward.errors import Failure
from spatialreward.records import AnswerForm, EditRegion, Judgement, JudgementStatus, Scores
from spatialreward.rl.faults import Fault, blame, shortened, worst_fault

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


def test_the_region_that_is_blamed_most_is_the_worst():
    judgement = judged(
        "I looked. <|bbox_0|> a red hat was added as asked. <|bbox_1|>: the sky was not asked for "
        "and is distorted.\n<|bbox_2|> is a bit blurred <|global|> half of it is done"
    )
    assert worst_fault(judgement) == Fault(
        'at "the sky" in the top', "the sky was not asked for and is distorted."
    )


def test_of_regions_that_are_blamed_alike_the_larger_one_is_the_worst():
    fault = worst_fault(judged("<|bbox_0|> is wrong <|bbox_2|> is wrong, too <|global|> bad"))
    assert fault == Fault('at "a red hat" in the top left', "is wrong")
    nameless = worst_fault(judged("<|bbox_0|> as asked <|bbox_2|> is wrong <|global|> bad"))
    assert nameless == Fault("in the centre", "is wrong")


@pytest.mark.parametrize(
    ("reasoning", "words"),
    [
        (
            "<|bbox_0|> was added as asked <|global|> the dog is still there",
            "the dog is still there",
        ),
        ("The dog is still there.", "The dog is still there."),
        ("<|bbox_0|> 狗还在 <|global|> 编辑失败", "编辑失败"),
        ("<|global|> left <|im_end|> over\x07 of it", "left over of it"),
    ],
)
def test_without_a_blamed_region_the_verdict_counts(reasoning, words):
    assert worst_fault(judged(reasoning)) == Fault("in the whole picture", words)


def test_a_picture_that_is_worse_than_the_edit_is_faulted_for_its_quality():
    judgement = judged("<|bbox_0|> is wrong <|global|> bad", "<|global|> smeared edges", quality=5)
    assert worst_fault(judgement) == Fault("in the whole picture", "smeared edges")


def test_a_judge_that_wrote_nothing_found_no_fault():
    assert worst_fault(Judgement.failed("cannot see", Failure.NOT_JSON)) is None
    assert worst_fault(judged("", regions=(), answer=AnswerForm.SCORES)) is None


def test_praise_is_no_blame():
    assert blame("it was carried out correctly and as asked") < 0
    assert blame("It isn't there, and the rest was not asked for") == 2
    assert blame("the cat sits") == 0


def test_words_are_cut_between_words():
    assert shortened("one two three", 13) == "one two three"
    assert shortened("one two, three", 10) == "one two…"
