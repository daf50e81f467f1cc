import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatialreward.benchmarks.mer_bench import MerBench
from spatialreward.benchmarks.statistics import mean_of
from spatialreward.errors import Failure, InvalidInputError
from tests.benchmarks.folders import (
    FIXTURES,
    failed,
    figures,
    group,
    inside,
    judged,
    judgements_of,
    png,
    write_mer,
)

needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs ../shared/data/benchmarks")


@pytest.fixture
def bench(tmp_path):
    rows = [group("2pair_0", 2), group("3pair_0", 3, label="Attribute"), group("4pair_0", 4)]
    return MerBench.read(write_mer(tmp_path, *rows))


def of_scores(bench, **script):
    judgements = judgements_of(
        bench,
        {f"{size}pair_0": list(map(judged, script[f"of{size}"])) for size in (2, 3, 4)},
    )
    return figures(bench, judgements)


def ours(metric):
    return mean_of(metric.ours)


def test_a_perfect_judge_is_perfect_under_both_rules(bench):
    found = of_scores(bench, of2=[9, 1], of3=[9, 5, 1], of4=[9, 7, 5, 1])
    for name in ("exact", "kendall", "spearman", "ndcg", "top1", "top2"):
        assert found[name].reference == 1.0
        assert ours(found[name]) == pytest.approx(1.0)
    assert found["position_error"].reference == ours(found["position_error"]) == 0.0


def test_a_constant_judge_looks_perfect_by_the_reference_rules_alone(bench):
    found = of_scores(bench, of2=[5, 5], of3=[5, 5, 5], of4=[5, 5, 5, 5])
    assert found["exact"].reference == ours(found["exact"]) == 0.0
    assert found["kendall"].reference == found["top1"].reference == 1.0
    assert ours(found["kendall"]) == pytest.approx(0.0)
    assert ours(found["top1"]) == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)
    assert ours(found["ties"]) == 1.0


def test_figures_by_size_of_group_and_by_label(bench):
    found = of_scores(bench, of2=[9, 1], of3=[1, 5, 9], of4=[9, 7, 5, 1])
    assert (found["exact/2pair"].reference, found["exact/3pair"].reference) == (1.0, 0.0)
    assert found["kendall/3pair"].reference == ours(found["kendall/3pair"]) == -1.0
    assert found["exact/Complex"].reference == 1.0
    assert found["top1/Attribute"].reference == ours(found["top1/Attribute"]) == 0.0
    assert found["error_type/full_reverse"].reference == 1.0
    assert found["exact"].reference == 2 / 3
    # Groups of two say nothing about the first two.
    assert found["top2"].reference == 2 / 3
    assert ours(found["top2"]) == 0.5


def test_a_failed_answer_is_a_score_to_the_reference_and_wrong_to_us(bench):
    script = {"2pair_0": [judged(20), failed()]}
    found = figures(bench, judgements_of(bench, script))
    assert found["exact"].reference == found["exact/2pair"].reference == 1.0
    assert ours(found["exact/2pair"]) == 0.0
    assert ours(found["kendall/2pair"]) == -1.0
    assert ours(found["failed"]) == 1.0


def test_what_was_not_judged_is_left_out_by_the_reference_and_wrong_to_us(bench):
    script = {"2pair_0": [judged(20), judged(10)], "3pair_0": [judged(9), None, judged(1)]}
    found = figures(bench, judgements_of(bench, script))
    assert found["exact"].reference == 1.0
    assert found["exact/3pair"].reference is None
    assert ours(found["exact"]) == 1 / 3
    unreadable = {"2pair_0": [judged(20), failed(Failure.BAD_INPUT)]}
    assert figures(bench, judgements_of(bench, unreadable))["exact"].reference is None


def test_rows_that_cannot_be_measured_on_are_named_and_the_rest_goes_on(tmp_path):
    rows = [
        group("2pair_0", 2),
        group("2pair_1", 1),
        group("2pair_0", 2),
        group("2pair_2", 2, instruction=" "),
        group("2pair_3", 2),
    ]
    rows[4]["edited_images"][1] = {"bytes": None, "path": "gone.png"}
    rows.append(group("2pair_4", 2, source=b"no picture"))
    bench = MerBench.read(write_mer(tmp_path, *rows))
    assert [item.id for item in bench.published.items] == ["2pair_0"]
    said = {one.where.rpartition(" ")[2]: one.reason for one in bench.published.left_out}
    assert said["1"] == "2pair_1: expected 2 to 4 edited pictures, got 1"
    assert said["2"] == "2pair_0: comes twice"
    assert said["3"] == "instruction: expected text, got ' '"
    assert "row 4 edited_images[1]: is not in the file" in said["4"]
    assert "row 5 original_image" in said["5"]
    assert all(one.where.startswith("2pair-00000") for one in bench.published.left_out)


def test_a_file_of_another_version_is_named_and_the_others_are_read(tmp_path):
    folder = write_mer(tmp_path, group("2pair_0", 2))
    other = pa.table({"pair_id": ["3pair_0"], "images": ["x"]})
    pq.write_table(other, folder / "data" / "3pair-00000-of-00001.parquet")
    (folder / "data" / "4pair-00000-of-00001.parquet").write_bytes(b"PAR1 and no more")
    bench = MerBench.read(folder)
    assert len(bench.published.items) == 1
    of_another_version, broken = bench.published.left_out
    assert "lacks label, instruction, original_image, edited_images" in of_another_version.reason
    assert broken.where == "4pair-00000-of-00001.parquet"
    assert "cannot be read" in broken.reason


def test_a_folder_without_a_row_is_refused_with_the_first_reason(tmp_path):
    with pytest.raises(InvalidInputError, match="there is no such folder"):
        MerBench.read(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match=r"expected data/\[234\]pair-\*\.parquet or"):
        MerBench.read(tmp_path)
    write_mer(tmp_path, group("2pair_7", 1))
    with pytest.raises(InvalidInputError, match=r"no row can be measured on: 2pair-.* row 0: 2pa"):
        MerBench.read(tmp_path)


def test_groups_of_one_task_share_a_prompt_and_the_same_edit_its_key(tmp_path):
    source = png()
    first, second = group("2pair_0", 2, source=source), group("3pair_0", 3, source=source)
    second["edited_images"][2] = first["edited_images"][1]
    one, other = MerBench.read(write_mer(tmp_path, first, second)).published.items
    assert one.prompt == other.prompt
    assert one.candidates[1].key == other.candidates[2].key
    assert len({candidate.key for item in (one, other) for candidate in item.candidates}) == 4


def test_another_instruction_is_another_edit(tmp_path):
    first, second = group("2pair_0", 2), group("2pair_1", 2)
    second |= {key: first[key] for key in ("original_image", "edited_images")}
    second["instruction"] = "add a cat"
    one, other = MerBench.read(write_mer(tmp_path, first, second)).published.items
    assert one.candidates[0].key != other.candidates[0].key


def test_the_older_folder_is_read_and_its_missing_pictures_are_named(tmp_path):
    for name in ("s", "a", "b"):
        (tmp_path / f"{name}.png").write_bytes(png())
    row = {"pair_id": "2pair_0", "label": "L", "instruction": "add", "original_image": "s.png"}
    names = [["a.png", "b.png"], ["a.png", "gone.png"], ["a.png", "../b.png"]]
    rows = [
        row | {"pair_id": f"2pair_{number}", "edited_images": [{"edited_image": n} for n in two]}
        for number, two in enumerate(names)
    ]
    (tmp_path / "2pair.json").write_text(json.dumps([*rows, "no object", {"pair_id": "x"}]))
    published = MerBench.read(tmp_path).published
    assert [item.id for item in published.items] == ["2pair_0"]
    assert [one.where for one in published.left_out] == [f"2pair.json row {n}" for n in range(1, 5)]
    assert published.left_out[0].reason == "picture gone.png: No such file or directory"
    assert "expected a path below the folder" in published.left_out[1].reason


def test_the_digest_is_of_edits_and_order(tmp_path):
    rows = [group("2pair_0", 2), group("2pair_1", 2)]
    first = MerBench.read(write_mer(tmp_path / "a", *rows)).published.digest
    assert MerBench.read(write_mer(tmp_path / "b", *rows)).published.digest == first
    rows[0]["edited_images"].reverse()
    assert MerBench.read(write_mer(tmp_path / "c", *rows)).published.digest != first


def test_a_picture_is_read_again_when_it_is_judged(tmp_path):
    data = png()
    row = group("2pair_0", 2)
    row["edited_images"][1] = inside(data)
    others = [group(f"2pair_{number}", 2) for number in range(1, 6)]
    items = MerBench.read(write_mer(tmp_path, row, *others)).published.items
    assert items[5].candidates[0].edited.read() == others[4]["edited_images"][0]["bytes"]
    assert items[0].candidates[1].edited.read() == data


@needs_fixtures
def test_both_published_layouts_give_the_same_groups():
    hub, older = (
        MerBench.read(FIXTURES / "mer_bench" / place).published for place in ("", "legacy_json")
    )
    assert (len(hub.items), len(older.items)) == (6, 2)
    assert hub.left_out == older.left_out == ()
    by_id = {item.id: item for item in hub.items}
    for item in older.items:
        assert item._replace(prompt="", sources=(), candidates=()) == by_id[item.id]._replace(
            prompt="", sources=(), candidates=()
        )
        assert len(item.candidates) == len(by_id[item.id].candidates)
