import numpy as np
import pytest

from spatialreward.benchmarks.interface import Metric
from spatialreward.benchmarks.judge import judge_figures
from spatialreward.benchmarks.labelled import LabelledEdits
from spatialreward.benchmarks.run import judge_benchmark
from spatialreward.benchmarks.statistics import interval_of, mean_of
from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import RowOrigin
from spatialreward.data.packing.shards import write_shard
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.records import AnswerForm, Judgement
from spatialreward.world.building import build_groups, labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.oracle_judge import Oracle
from tests.benchmarks.folders import ScriptedJudge

FAILED = Judgement.failed("no answer", Failure.NOT_JSON)


@pytest.fixture
def groups(tmp_path):
    """Six tasks with three edits each."""
    folder = tmp_path / "groups"
    build_groups(DataConfig(seed=41), 6, 3, folder)
    return LabelledEdits.of(Dataset(folder))


def packed(folder, edits):
    folder.mkdir()
    write_shard(folder / "edits.parquet", iter(edits))
    return Dataset(folder)


def drawn(count):
    """Edits whose true rewards differ."""
    origin = RowOrigin(file="test", row="")
    samples = draw_samples(DataConfig(seed=5), "heldout", 8 * count)
    edits = [labelled_edit(sample, origin) for sample in samples]
    return sorted(edits, key=lambda edit: edit.label.reward)[::8]


def metric_of(metrics, name) -> Metric:
    [found] = [one for one in metrics if one.name == name]
    return found


def test_edits_of_one_instruction_and_source_are_one_item(groups):
    assert [len(item.candidates) for item in groups.published.items] == [3] * 6
    for item in groups.published.items:
        rewards = [groups.truths[one.key].reward for one in item.candidates]
        assert [rewards[place] for place in item.order] == sorted(rewards, reverse=True)


def test_a_task_of_one_edit_is_measured_too(tmp_path):
    first, second, third = drawn(3)
    again = first.model_copy(update={"id": "again", "edited": second.edited})
    world = LabelledEdits.of(packed(tmp_path / "edits", [first, again, second, third]))
    assert sorted(len(item.candidates) for item in world.published.items) == [1, 1, 2]


def test_the_oracle_knows_the_groups(groups, tmp_path):
    run = judge_benchmark(groups, Oracle(), tmp_path / "run")
    metrics = groups.score(run.judgements)
    assert metrics[0].name == "pairwise_accuracy"
    assert mean_of(metric_of(metrics, "mean_iou").ours) > 0.95
    assert mean_of(metric_of(metrics, "within_group_agreement").ours) > 0.8


def test_figures_are_those_that_the_gate_reads(groups):
    reversed_order = {
        key: truth.model_copy(update={"reward": 1 - truth.reward})
        for key, truth in groups.truths.items()
    }
    metrics = groups.score(reversed_order)
    gate = judge_figures(
        list(groups.truths.values()), list(reversed_order.values()), list(range(18))
    ).measured()
    assert metric_of(metrics, "pairwise_accuracy").reference == gate["pairwise_accuracy"] == 0.0
    assert metric_of(metrics, "mean_iou").reference == gate["mean_iou"] == 1.0
    assert mean_of(metric_of(metrics, "within_group_agreement").ours) == pytest.approx(-1.0)


def test_the_mean_over_tasks_is_the_share_of_all_pairs(groups):
    rng = np.random.default_rng(3)
    judged = {
        key: truth.model_copy(update={"reward": float(rng.random())})
        for key, truth in groups.truths.items()
    }
    accuracy = metric_of(groups.score(judged), "pairwise_accuracy")
    assert mean_of(accuracy.ours) == pytest.approx(accuracy.reference)
    assert accuracy.ours.num_rows == 6
    low, high = interval_of(accuracy.ours)
    assert low < accuracy.reference < high


def test_a_judge_without_regions_has_no_iou_and_all_else(groups):
    result = {"answer": AnswerForm.SCORES, "regions": ()}
    judged = {key: one.model_copy(update=result) for key, one in groups.truths.items()}
    names = {one.name for one in groups.score(judged)}
    assert "mean_iou" not in names
    assert {"pairwise_accuracy", "within_group_agreement", "ties"} <= names


def test_missing_and_failed_judgements_are_wrong(groups):
    keys = list(groups.truths)
    judged = {key: groups.truths[key] for key in keys[2:]} | {keys[1]: FAILED}
    metrics = groups.score(judged)
    assert metric_of(metrics, "unparsable_share").reference == 2 / 18
    assert metric_of(metrics, "pairwise_accuracy").reference < 1.0


def test_an_edit_that_cannot_be_measured_on_is_left_out_by_name(tmp_path):
    first, second, third = drawn(3)
    unlabelled = third.model_copy(update={"id": "bare", "label": None})
    world = LabelledEdits.of(packed(tmp_path / "edits", [first, second, unlabelled, first]))
    assert world.published.left_out == (
        ("edit bare", "has no label"),
        (f"edit {first.id}", "comes twice"),
    )
    with pytest.raises(InvalidInputError, match="expected two labelled edits or more; edit bare"):
        LabelledEdits.of(packed(tmp_path / "bare", [unlabelled, first]))


def test_other_labels_are_another_version(tmp_path):
    edits = drawn(4)
    label = edits[0].label.model_copy(update={"regions": ()})
    other = [edits[0].model_copy(update={"label": label}), *edits[1:]]
    one, two = (
        LabelledEdits.of(packed(tmp_path / name, chosen)).published.digest
        for name, chosen in (("one", edits), ("two", other))
    )
    assert one != two


def test_each_edit_is_shown_with_its_pictures_and_truth(groups, tmp_path):
    judge = ScriptedJudge(lambda edit: FAILED)
    judge_benchmark(groups, judge, tmp_path / "run")
    assert len(judge.asked) == len({edit.id for edit in judge.asked}) == 18
    assert all(edit.truth and edit.operation for edit in judge.asked)
    assert {edit.instruction for edit in judge.asked} == {
        item.instruction for item in groups.published.items
    }
