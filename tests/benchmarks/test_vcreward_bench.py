import json

import pytest

from spatialreward.benchmarks.statistics import mean_of
from spatialreward.benchmarks.vcreward_bench import VcRewardBench
from spatialreward.errors import InvalidInputError
from tests.benchmarks.folders import failed, figures, judged, judgements_of, png


def pair(name, winner, *, task="subject_add"):
    pictures = [f"images/{name}_{side}.png" for side in "ab"]
    return {
        "key": name,
        "instruction": "add a dog",
        "source_image": f"images/{name}.png",
        "edited_images": pictures,
        "winner": winner,
        "task": task,
    }


def write(folder, *rows):
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for row in rows:
        for name in (f"images/{row['key']}{end}.png" for end in ("", "_a", "_b")):
            (folder / name).write_bytes(png())
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def both(metric):
    return metric.reference, mean_of(metric.ours)


def test_the_winner_has_to_have_the_higher_score(tmp_path):
    bench = VcRewardBench.read(
        write(tmp_path, pair("p", "Image A"), pair("q", "Image B", task="tone_transfer"))
    )
    # q: its winner kept more, and did less of what was asked.
    script = {"p": [judged(20), judged(10)], "q": [judged(25, 10), judged(1, 20)]}
    found = figures(bench, judgements_of(bench, script))
    assert both(found["consistency"]) == (1.0, 1.0)
    assert both(found["reward/tone_transfer"]) == (0.0, 0.0)
    assert both(found["reward/subject_add"]) == (1.0, 1.0)


def test_ties_are_wrong_and_failures_are_left_out_by_one_rule(tmp_path):
    rows = [pair(name, "Image A") for name in ("right", "tie", "failed")]
    bench = VcRewardBench.read(write(tmp_path, *rows))
    script = {
        "right": [judged(20), judged(10)],
        "tie": [judged(20), judged(20)],
        "failed": [judged(20), failed()],
    }
    found = figures(bench, judgements_of(bench, script))
    assert both(found["reward"]) == (0.5, pytest.approx(1 / 3))
    assert mean_of(found["ties"].ours) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"winner": "Tie"}, "expected Image A or Image B, got 'Tie'"),
        ({"edited_images": ["images/q_a.png"]}, "expected two edited pictures, got 1"),
        ({"edited_images": ["images/q_a.png", "../x.png"]}, "expected a path below the folder"),
        ({"source_image": "images/none.png"}, "No such file"),
    ],
)
def test_a_row_that_is_no_pair_is_left_out_by_name(tmp_path, changed, reason):
    rows = (pair("p", "Image A"), pair("q", "Image A") | changed)
    published = VcRewardBench.read(write(tmp_path, *rows)).published
    assert [item.id for item in published.items] == ["p"]
    assert reason in published.left_out[0].reason


def test_a_folder_of_another_version_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"expected metadata\.jsonl"):
        VcRewardBench.read(tmp_path)
    (tmp_path / "metadata.jsonl").write_text('{"key": "p"}\n')
    with pytest.raises(InvalidInputError, match="another version"):
        VcRewardBench.read(tmp_path)
