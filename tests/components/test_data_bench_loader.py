import json

import pytest

from components.data_building.bench import loader
from components.data_building.bench.loader_process import finished_steps
from spatialreward.data.dataset import Dataset


def test_the_loader_is_measured_beside_its_baselines_and_killed(tmp_path, monkeypatch):
    # A training takes minutes until its speed is steady; tests/training trains.
    monkeypatch.setattr(loader, "training_samples_per_s", lambda folder: 0.5)
    figures = loader.loader_figures(
        tmp_path, num_edits=700, num_read=100, num_baseline=50, num_killed=640
    )
    by_name = {figure.name: figure for figure in figures}
    assert by_name["loader/rows"].value == 700
    assert by_name["loader/rows_seen_once"].value == 1
    assert by_name["loader/ratio_to_training"].reached
    for name in ("first_open_s", "open_s", "peak_mb", "samples_per_s"):
        assert by_name[f"loader/{name}"].value > 0
        assert by_name[f"loader/{name}"].baseline > 0


def test_rows_repeat_few_pictures_and_have_numbers_of_their_own(tmp_path):
    loader.pack(205, tmp_path / "packed")
    edits = list(Dataset(tmp_path / "packed"))
    assert [edit.origin.row for edit in edits] == [str(number) for number in range(205)]
    assert len({edit.id for edit in edits}) == 205
    assert edits[0].sources == edits[100].sources != edits[1].sources


@pytest.mark.parametrize("cut_off", ["", "[7, 8", "[7, 8]"])
def test_a_line_that_a_kill_cut_off_is_no_finished_step(tmp_path, cut_off):
    steps = tmp_path / "steps.jsonl"
    assert finished_steps(steps) == []
    steps.write_text("".join(json.dumps(step) + "\n" for step in ([1, 2], [5])) + cut_off)
    assert finished_steps(steps) == [[1, 2], [5]]
