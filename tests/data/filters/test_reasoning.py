import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialreward.data.edits import Extent, ProposedRegion, SpatialPrior
from spatialreward.data.filters.config import EvidenceRules, ReasoningRules
from spatialreward.data.filters.reasoning import check_annotation, check_second_pass
from spatialreward.data.filters.reasons import Reason
from spatialreward.records import EditRegion, Scores
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from tests.data.packing.making import label_of, make_edit

INSTRUCTION = "paint the car red"
BOX = (100, 100, 500, 500)
CAR = EditRegion(id=0, label="car", bbox_2d=BOX)
DOG = EditRegion(id=1, label="dog", bbox_2d=(600, 600, 900, 900))
GOOD_SC = "<|bbox_0|> The blue car is red now. <|global|> The instruction was fully carried out."
GOOD_PQ = "The picture looks natural and there are no visible artifacts."


def prior(extent=Extent.LOCAL) -> SpatialPrior:
    box = BOX if extent is Extent.LOCAL else (0, 0, 1000, 1000)
    region = ProposedRegion(bbox_2d=box, evidence=0.9, changed_share=0.6)
    return SpatialPrior(
        extent=extent,
        regions=() if extent is Extent.NOTHING else (region,),
        changed_share=0.1,
        noise=1.0,
        shift_px=(0.0, 0.0),
    )


def annotation(sc=GOOD_SC, pq=GOOD_PQ, regions=(CAR,), scores=(24, 24, 24, 24)):
    names = ("editing_success", "over_editing", "naturalness", "artifact_freedom")
    return label_of(
        Scores(**dict(zip(names, scores, strict=True))),
        regions=regions,
        sc_reasoning=sc,
        pq_reasoning=pq,
    )


def check(annotation, extent=Extent.LOCAL, instruction=INSTRUCTION, rules=None):
    rules = rules or ReasoningRules()
    return check_annotation(annotation, instruction, prior(extent), rules, EvidenceRules())


def test_a_sound_annotation_is_kept():
    assert check(annotation()) is None
    assert check(annotation(), Extent.GLOBAL) is None


def test_a_failed_edit_with_scores_that_say_so_is_kept():
    failed = annotation("<|global|> Nothing was changed.", regions=(), scores=(0, 25, 24, 24))
    assert check(failed, Extent.NOTHING) is None


def test_a_region_that_does_not_exist_is_found():
    found = check(annotation("<|bbox_3|> A red car. " + GOOD_SC))
    assert found.reason is Reason.UNKNOWN_REGION
    assert "[3]" in found.detail


def test_two_regions_of_one_number_are_found():
    twice = (CAR, CAR.model_copy(update={"label": "tree"}))
    assert check(annotation(regions=twice)).reason is Reason.UNKNOWN_REGION


def test_a_region_without_a_word_is_found():
    for sc in (GOOD_SC, "<|bbox_1|> . " + GOOD_SC, "<|bbox_1|>" + GOOD_SC):
        found = check(annotation(sc, regions=(CAR, DOG)))
        assert found.reason is Reason.REGION_LEFT_OUT
        assert "region 1, dog" in found.detail
    assert check(annotation("<|bbox_1|> The dog is gone. " + GOOD_SC, regions=(CAR, DOG))) is None


@pytest.mark.parametrize("sc", ["<|bbox_0|> The car is red now.", "<|bbox_0|> Red. <|global|> !"])
def test_a_missing_verdict_is_found(sc):
    assert check(annotation(sc)).reason is Reason.NO_VERDICT


@pytest.mark.parametrize(
    ("scores", "extent", "regions", "sc", "words"),
    [
        ((18, 25, 24, 24), Extent.NOTHING, (), "<|global|> A car stands there.", "no pixel"),
        ((0, 2, 24, 24), Extent.NOTHING, (), "<|global|> A car stands there.", "over_editing is 2"),
        ((0, 25, 24, 24), Extent.NOTHING, (CAR,), GOOD_SC, "1 regions are named"),
        ((18, 25, 24, 24), Extent.LOCAL, (), "<|global|> A car stands there.", "no region"),
        ((3, 25, 24, 24), Extent.LOCAL, (CAR,), GOOD_SC, "fully carried out"),
        (
            (24, 25, 24, 24),
            Extent.LOCAL,
            (CAR,),
            "<|bbox_0|> Still blue. <|global|> The request was not fulfilled.",
            "request was not fulfilled",
        ),
    ],
)
def test_scores_that_cannot_be_are_found(scores, extent, regions, sc, words):
    found = check(annotation(sc, regions=regions, scores=scores), extent)
    assert found.reason is Reason.CONTRADICTION
    assert words in found.detail


@pytest.mark.parametrize(
    ("pq", "naturalness", "freedom"),
    [
        ("The picture looks natural to me.", 4, 20),
        ("The picture looks fake to me.", 22, 20),
        ("There are no visible artifacts.", 20, 4),
        ("There are severe artifacts everywhere.", 10, 22),
    ],
)
def test_perceptual_scores_that_cannot_be_are_found(pq, naturalness, freedom):
    contradiction = annotation(pq=pq, scores=(24, 24, naturalness, freedom))
    assert check(contradiction).reason is Reason.CONTRADICTION
    in_between = annotation(pq=pq, scores=(24, 24, 12, 12))
    assert check(in_between) is None


@pytest.mark.parametrize(
    ("sc", "words"),
    [
        ("<|bbox_0|> ok <|global|> good", "2 words"),
        ("<|bbox_0|> the car " + "is red and " * 12 + "<|global|> yes", "repeated"),
        ("<|bbox_0|> Paint the car red. <|global|> Done.", "repeats the instruction"),
    ],
)
def test_a_degenerate_answer_is_found(sc, words):
    found = check(annotation(sc))
    assert found.reason is Reason.DEGENERATE_ANSWER
    assert found.detail.startswith("sc_reasoning: ")
    assert words in found.detail


def test_reasoning_may_quote_the_instruction_if_it_goes_on():
    quoting = '<|bbox_0|> Asked to "paint the car red", the editor did so. <|global|> All is well.'
    assert check(annotation(quoting)) is None


def test_boxes_where_nothing_changed_are_found():
    elsewhere = annotation(GOOD_SC, regions=(CAR.model_copy(update={"bbox_2d": DOG.bbox_2d}),))
    assert check(elsewhere).reason is Reason.BOXES_WITHOUT_EVIDENCE


def test_an_annotation_that_the_second_pass_refuses_goes_unless_reported_otherwise():
    refused = make_edit(1, verified=False)
    finding = check_second_pass(refused, ReasoningRules())
    assert finding.reason is Reason.NOT_VERIFIED
    assert finding.detail == "teacher-72b disagreed at a second look"
    assert check_second_pass(refused, ReasoningRules(keep_unverified=True)) is None
    for agreed in (make_edit(1), make_edit(1, verified=None), make_edit(1, label=None)):
        assert check_second_pass(agreed, ReasoningRules()) is None


def test_a_stream_that_was_not_asked_is_not_looked_at():
    assert check(annotation("", scores=(None, None, 20, 20), regions=())) is None
    assert check(annotation(pq="", scores=(20, 20, None, None))) is None


def test_no_truth_of_the_world_contradicts_itself():
    for sample in draw_samples(DataConfig(seed=3), "train", 150):
        truth = sample.truth
        regions = "".join(
            f"<|bbox_{number}|> {change.before} became {change.after}, {change.verdict}. "
            for number, change in enumerate(truth.changes)
        )
        annotated = label_of(
            truth.scores,
            regions=truth.regions,
            sc_reasoning=f"{regions}<|global|> {truth.done} of {truth.asked} things are done",
            pq_reasoning=f"The picture shows {truth.artifact or 'no fault'}",
        )
        proposed = tuple(
            ProposedRegion(bbox_2d=change.box, evidence=1.0, changed_share=0.5)
            for change in truth.changes
        )
        evidence = prior(Extent.LOCAL if proposed else Extent.NOTHING).model_copy(
            update={"regions": proposed}
        )
        rules = (ReasoningRules(), EvidenceRules())
        assert check_annotation(annotated, sample.instruction, evidence, *rules) is None


TEXTS = st.text(st.sampled_from("ab <|>_0.\nbboxglobal"), max_size=60)


@settings(max_examples=200)
@given(sc=TEXTS, pq=TEXTS, instruction=st.text())
def test_any_answer_is_kept_or_has_a_reason(sc, pq, instruction):
    found = check(annotation(sc, pq), instruction=instruction)
    assert found is None or (found.reason in Reason and found.detail)
