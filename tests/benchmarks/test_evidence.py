import pytest

from spatialreward.benchmarks.config import JudgeGate
from spatialreward.benchmarks.evidence import PromptValues, beside_champion, too_many_failures
from tests.evaluated import make_evidence

GATE = JudgeGate()
NOISY = PromptValues(prompts=("a", "b", "c", "d"), values=(0.2, 0.9, 0.4, 0.9))
EVEN = PromptValues(prompts=("a", "b", "c", "d"), values=(0.6, 0.6, 0.6, 0.6))


def complaints(candidate, champion, gate=GATE):
    return [row.complaint for row in beside_champion(gate, candidate, champion) if row.complaint]


def test_a_judge_that_is_better_on_every_prompt_passes():
    assert complaints([make_evidence(0.9)], [make_evidence(0.8)]) == []


def test_a_judge_that_is_as_good_does_not():
    [complaint] = complaints([make_evidence(0.8)], [make_evidence(0.8)])
    assert "world: pairwise_accuracy is +0.0000 beside the champion's" in complaint
    assert "not above +0 beyond noise" in complaint


def test_a_gain_within_noise_is_none():
    noisy, even = (make_evidence(0, figures={"pairwise_accuracy": one}) for one in (NOISY, EVEN))
    [complaint] = complaints([noisy], [even])
    assert "not above +0 beyond noise" in complaint
    # Nor is it a loss.
    anything = GATE.model_copy(update={"gain_ci95_low_above": -1.0})
    assert complaints([even], [noisy], anything) == complaints([noisy], [even], anything) == []


def test_a_loss_beyond_noise_on_any_benchmark_stands_against_it():
    mine = [make_evidence(0.9), make_evidence(0.5, benchmark="mmrb2")]
    theirs = [make_evidence(0.8), make_evidence(0.6, benchmark="mmrb2")]
    [complaint] = complaints(mine, theirs)
    assert "mmrb2: pairwise_accuracy is -0.1000" in complaint
    assert "worse beyond noise" in complaint


def test_only_the_main_benchmark_has_to_be_better():
    mine = [make_evidence(0.8), make_evidence(0.6, benchmark="mmrb2")]
    theirs = [make_evidence(0.8), make_evidence(0.5, benchmark="mmrb2")]
    assert len(complaints(mine, theirs)) == 1
    main = GATE.model_copy(update={"main_benchmark": "mmrb2"})
    assert complaints(mine, theirs, main) == []


def test_within_group_agreement_may_not_be_lower():
    mine, theirs = (
        make_evidence(
            0,
            figures={
                "pairwise_accuracy": EVEN.model_copy(update={"values": (accuracy,) * 4}),
                "within_group_agreement": EVEN.model_copy(update={"values": (tau,) * 4}),
            },
        )
        for accuracy, tau in ((0.9, 0.3), (0.8, 0.4))
    )
    [complaint] = complaints([mine], [theirs])
    assert "world: within_group_agreement is -0.1000" in complaint


def test_another_version_of_a_benchmark_is_refused_by_name():
    mine = make_evidence(0.9, benchmark="mmrb2", digest="2" * 64)
    theirs = make_evidence(0.5, benchmark="mmrb2", digest="3" * 64)
    complaint = complaints([make_evidence(0.9), mine], [make_evidence(0.8), theirs])[0]
    assert complaint.startswith("mmrb2: the candidate was measured on version 222222222222 of it")
    assert "the champion on 333333333333" in complaint


@pytest.mark.parametrize(("lacking", "mine"), [("candidate", []), ("champion", [0.9])])
def test_who_was_not_measured_on_the_main_benchmark_is_reported(lacking, mine):
    measured = [make_evidence(value) for value in mine]
    theirs = [] if measured else [make_evidence(0.8)]
    [complaint] = complaints(measured, theirs)
    assert complaint.startswith(f"world: the {lacking} was not measured on it")


def test_a_benchmark_that_the_champion_was_not_measured_on_does_not_count():
    mine = [make_evidence(0.9), make_evidence(0.1, benchmark="mmrb2")]
    assert complaints(mine, [make_evidence(0.8)]) == []


def test_one_prompt_tells_no_gain():
    mine, theirs = (make_evidence(value, prompts=1) for value in (0.9, 0.1))
    assert len(complaints([mine], [theirs])) == 1
    assert "worse" in complaints([theirs], [mine])[0]


def test_failures_above_the_allowed_share_are_reported_by_benchmark():
    few, many = (make_evidence(0.9, num_failed=count) for count in (2, 3))
    assert too_many_failures(GATE, [few]) == []
    [complaint] = too_many_failures(GATE, [many])
    assert complaint == (
        "world: 3 of 200 edits have no judgement, more than the allowed share of 0.01"
    )
