import pytest

from spatialreward.benchmarks.config import JudgeGate
from spatialreward.benchmarks.gate import GateError
from spatialreward.benchmarks.report import ReportError, store_report
from spatialreward.ops.promotion import promote
from spatialreward.ops.promotion.evidence import compare
from spatialreward.ops.registry import (
    CHAMPION,
    EVALUATION_TAG,
    aliases_of,
    look_up,
    model_tags,
    remove_version_tags,
    set_evaluation,
)
from spatialreward.storage import ObjectStore
from tests.evaluated import GOOD, make_evidence, make_report


@pytest.fixture
def measured(register):
    """Registers a judge whose report has these benchmarks."""

    def measured(*benchmarks):
        version = register()
        report = make_report(look_up(version.uri).artifact.sha256, GOOD)
        report = report.model_copy(update={"benchmarks": benchmarks})
        reference = store_report(ObjectStore.from_environment(), report)
        set_evaluation(version, reference, GOOD)
        return version

    return measured


@pytest.fixture
def raise_to_champion(model):
    def raise_to_champion(version):
        return promote(model, version.version, JudgeGate(), by="ann", reason="")

    return raise_to_champion


def test_the_first_judge_has_to_reach_the_absolute_bounds_alone(model, measured, raise_to_champion):
    only = measured()
    raise_to_champion(only)
    assert aliases_of(model) == {CHAMPION: only}
    # To be the champion already asks for nothing more.
    assert not raise_to_champion(only).happened


def test_a_judge_that_fails_too_often_on_any_benchmark_is_not_even_the_first(
    model, measured, raise_to_champion
):
    failing = measured(make_evidence(0.9), make_evidence(0.9, benchmark="mmrb2", num_failed=3))
    with pytest.raises(GateError, match="mmrb2: 3 of 200 edits have no judgement"):
        raise_to_champion(failing)
    assert aliases_of(model) == {}


def test_who_is_better_on_the_main_benchmark_and_worse_on_none_takes_over(
    model, measured, raise_to_champion
):
    raise_to_champion(measured(make_evidence(0.8), make_evidence(0.5, benchmark="mmrb2")))
    worse = measured(make_evidence(0.9), make_evidence(0.4, benchmark="mmrb2"))
    with pytest.raises(GateError, match=r"mmrb2: pairwise_accuracy is -0\.1000 .* worse beyond"):
        raise_to_champion(worse)
    told = compare(model, worse.version, JudgeGate())
    assert [(row.benchmark, round(row.difference, 4)) for row in told.beside] == [
        ("world", 0.1),
        ("mmrb2", -0.1),
    ]
    assert [bool(row.complaint) for row in told.beside] == [False, True]
    assert model_tags(worse.uri)["gate"].startswith("failed: ")
    better = measured(make_evidence(0.9), make_evidence(0.5, benchmark="mmrb2"))
    raise_to_champion(better)
    assert aliases_of(model)[CHAMPION] == better


def test_reports_on_two_versions_of_a_benchmark_are_not_compared(measured, raise_to_champion):
    raise_to_champion(measured(make_evidence(0.8)))
    with pytest.raises(GateError, match="world: the candidate was measured on version 22222222222"):
        raise_to_champion(measured(make_evidence(0.9, digest="2" * 64)))


def test_a_champion_with_an_older_report_is_measured_again_first(measured, raise_to_champion):
    raise_to_champion(measured())
    with pytest.raises(GateError, match="world: the champion was not measured on it"):
        raise_to_champion(measured(make_evidence(0.9)))


def test_a_champion_whose_report_is_not_believed_is_no_measure(measured, raise_to_champion):
    champion = measured(make_evidence(0.8))
    raise_to_champion(champion)
    remove_version_tags(champion, [EVALUATION_TAG])
    with pytest.raises(ReportError, match=f"{champion.uri}: has no evaluation report"):
        raise_to_champion(measured(make_evidence(0.9)))
