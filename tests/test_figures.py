import json

import pytest
from rich.console import Console

from spatialreward.figures import Figure, figures_table, write_figures


def test_a_figure_knows_whether_it_reaches_its_target():
    assert Figure.at_least("a", 0.85, 0.85).reached
    assert not Figure.at_least("a", 0.84, 0.85).reached
    assert Figure.at_most("a", 0.01, 0.01).reached
    assert not Figure.at_most("a", 0.02, 0.01).reached
    assert not Figure.above("a", 0.0, 0.0).reached
    assert Figure.above("a", 0.001, 0.0).reached
    assert Figure(name="a", value=1).reached is None


def test_the_file_says_what_was_measured_where(tmp_path):
    figures = [Figure.at_most("time/total_s", 12.5, 60, unit="s", baseline=30)]
    path = write_figures("demo", figures, seeds={"data.seed": 1}, folder=tmp_path / "figures")
    assert path == tmp_path / "figures" / "demo.json"
    written = json.loads(path.read_text())
    assert written["figures"] == [
        {
            "name": "time/total_s",
            "value": 12.5,
            "unit": "s",
            "baseline": 30,
            "target": 60,
            "reached": True,
        }
    ]
    assert written["seeds"] == {"data.seed": 1}
    assert written["machine"]["cores"] >= 1
    assert "python" in written["versions"]
    assert set(written) >= {"name", "made", "commit"}


def test_a_median_stands_beside_the_spread_of_its_measurements(tmp_path):
    several = Figure.at_least("ratio", 5.5, 5, spread=(4.8, 6.25))
    once = Figure(name="time", value=3, unit="s")
    written = json.loads(write_figures("a", [several, once], seeds={}, folder=tmp_path).read_text())
    assert written["figures"][0]["spread"] == [4.8, 6.25]
    assert "spread" not in written["figures"][1]
    console = Console(width=100)
    with console.capture() as capture:
        console.print(figures_table("a", [several, once]))
    assert "4.800 .. 6.250" in capture.get()
    with console.capture() as capture:
        console.print(figures_table("a", [once]))
    assert "spread" not in capture.get()


def test_what_json_cannot_say_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_figures("demo", [Figure(name="a", value=float("nan"))], seeds={}, folder=tmp_path)
    assert not (tmp_path / "demo.json").exists()


def test_the_table_shows_value_baselines_and_target():
    table = figures_table(
        "Judge",
        [Figure.at_least("iou", 0.7, 0.65, baseline=0.5), Figure(name="time", value=123, unit="s")],
        {"untrained": {"iou": 0.25}},
        baseline="pixels",
    )
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table)
    text = capture.get()
    for word in ("Judge", "pixels", "untrained", "0.700", "0.500", "0.250", "0.650", "yes"):
        assert word in text
    assert "123 s" in text
