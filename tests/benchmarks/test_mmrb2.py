import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatialreward.benchmarks.mmrb2 import Mmrb2, official_accuracy
from spatialreward.benchmarks.statistics import mean_of
from spatialreward.errors import InvalidInputError
from tests.benchmarks.folders import (
    FIXTURES,
    built_pair,
    failed,
    figures,
    inside,
    judged,
    judgements_of,
    png,
    write_built,
)

needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs ../shared/data/benchmarks")


def read(folder, *pairs):
    return Mmrb2.read(write_built(folder, *pairs))


def both(metric):
    return metric.reference, mean_of(metric.ours)


def test_the_chosen_one_has_to_have_the_higher_score(tmp_path):
    bench = read(tmp_path, built_pair("p", "A"), built_pair("q", "b"))
    script = {"p": [judged(20), judged(10)], "q": [judged(20), judged(10)]}
    found = figures(bench, judgements_of(bench, script))
    assert both(found["accuracy"]) == (0.5, 0.5)
    assert found["accuracy_official"].reference == 0.5


def test_figures_by_number_of_inputs_and_by_source(tmp_path):
    bench = read(
        tmp_path,
        built_pair("p", "A"),
        built_pair("q", "A", sources=2, prompt_source="new_synthetic_edit"),
        built_pair("r", "A", sources=3, prompt_source="new_synthetic_edit"),
    )
    right, wrong = [judged(2), judged(1)], [judged(1), judged(2)]
    found = figures(bench, judgements_of(bench, {"p": right, "q": right, "r": wrong}))
    assert both(found["accuracy/single"]) == both(found["accuracy/emu-edit"]) == (1.0, 1.0)
    assert both(found["accuracy/multi"]) == (0.5, 0.5)
    assert both(found["accuracy/inputs_3"]) == (0.0, 0.0)
    assert both(found["accuracy/new_synthetic_edit"]) == (0.5, 0.5)


def test_each_rule_has_its_own_way_with_ties_failures_and_gaps(tmp_path):
    names = ("right", "tie", "failed", "missing")
    bench = read(tmp_path, *(built_pair(name, "A") for name in names))
    script = {
        "right": [judged(20), judged(10)],
        "tie": [judged(20), judged(20)],
        "failed": [failed(), judged(10)],
        "missing": [judged(20), None],
    }
    found = figures(bench, judgements_of(bench, script))
    # SpatialReward's: the failed answer has 12.5 and wins; the missing one is left out.
    assert found["accuracy"].reference == 2 / 3
    # MMRB2's: both are left out, and the tie is wrong in both orders.
    assert found["accuracy_official"].reference == 2 / 4
    assert mean_of(found["accuracy"].ours) == 1 / 4
    assert mean_of(found["ties"].ours) == 1 / 4
    assert mean_of(found["failed"].ours) == 2 / 4


def test_a_tie_is_not_broken_by_rounding(tmp_path):
    bench = read(tmp_path, built_pair("p", "A"), built_pair("q", "B"))
    # 0.6 * 8 + 0.4 * 12 is 0.6 * 10 + 0.4 * 9, but not to the last bit.
    two = [judged(8, 12, 9, 9), judged(10, 9, 9, 9)]
    assert two[0].reward != two[1].reward
    found = figures(bench, judgements_of(bench, {"p": two, "q": two}))
    assert mean_of(found["ties"].ours) == 1.0
    assert mean_of(found["accuracy"].ours) == 0.0


def test_the_official_script_counts_orders_as_trials():
    said = [{"judgement": "A"}, {"judgement": "B"}]
    answers = {
        "p": {"forward": said, "reverse": [{"judgement": "A"}]},
        "q": {"forward": [{"judgement": None}], "reverse": []},
        "r": {"forward": [{"judgement": "a"}]},
    }
    chosen = dict.fromkeys("pqrs", "A")
    # Forward of p is right, its reverse says B, and "a" of r is wrong; q and s say nothing.
    assert official_accuracy(chosen, answers) == 1 / 3
    assert official_accuracy(chosen, {}) == 0.0


def test_rows_that_are_no_pairs_are_named_and_the_rest_goes_on(tmp_path):
    good, undecided, gone, empty, odd = (built_pair(name, "A") for name in "pqrst")
    undecided["chosen"] = "C"
    empty["response_b"]["response_content"] = [["text", "no picture"]]
    odd["prompt_content"].append("x")
    write_built(tmp_path, good, undecided, gone, empty)
    (tmp_path / "images" / "r_b.png").unlink()
    (tmp_path / "edit.json").write_text(json.dumps({"pairs": [good, undecided, gone, empty, odd]}))
    published = Mmrb2.read(tmp_path).published
    assert [item.id for item in published.items] == ["p"]
    assert [one.reason for one in published.left_out] == [
        "chosen: expected A or B, got 'C'",
        "picture images/r_b.png: No such file or directory",
        "s: response_b: has no picture",
        "prompt_content[2]: expected [kind, value], got 'x'",
    ]


def test_the_form_that_its_readme_shows_is_another_version(tmp_path):
    row = {"pair_id": "p", "prompt": "add a dog", "human_preference": "A"}
    (tmp_path / "edit.json").write_text(json.dumps({"pairs": [row]}))
    with pytest.raises(InvalidInputError, match=r"another version\? lacks id, prompt_content"):
        Mmrb2.read(tmp_path)
    (tmp_path / "edit.json").write_text("[]")
    with pytest.raises(InvalidInputError, match="expected an object with pairs"):
        Mmrb2.read(tmp_path)


def test_the_hubs_rows_have_pictures_in_the_text(tmp_path):
    sources, answers = [png(), png()], [png(), png(), png()]
    row = {
        "pair_id": "p",
        "prompt_text": "put <image_0> beside <image_1> ",
        "prompt_images": list(map(inside, sources)),
        # Of an answer with several pictures the first one is judged.
        "response_a_images": list(map(inside, answers[:2])),
        "response_b_images": [inside(answers[2])],
        "chosen": " b",
        "prompt_source": "new_synthetic_edit",
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "test-00000-of-00001.parquet")
    (item,) = Mmrb2.read(tmp_path).published.items
    assert item.instruction == "put beside"
    assert [one.read() for one in item.sources] == sources
    assert [one.edited.read() for one in item.candidates] == [answers[0], answers[2]]
    assert item.order == (1, 0)


@needs_fixtures
def test_both_published_layouts_give_the_same_pairs():
    hub, built = (
        Mmrb2.read(FIXTURES / "mmrb2" / place).published.items for place in ("hub", "built")
    )
    for one, other in zip(hub, built, strict=True):
        assert one.instruction == other.instruction
        assert (one.id, one.order, one.labels) == (other.id, other.order, other.labels)
        assert len(one.sources) == len(other.sources)


@needs_fixtures
def test_the_official_figure_of_the_fixtures_answers_is_known():
    folder = FIXTURES / "mmrb2" / "built"
    pairs = json.loads((folder / "edit.json").read_text())["pairs"]
    answers = json.loads((folder / "judgements.json").read_text())
    assert official_accuracy({one["id"]: one["chosen"] for one in pairs}, answers) == 0.6
