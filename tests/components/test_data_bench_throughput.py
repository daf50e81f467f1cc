import shutil
import statistics

import pytest

from components.data_building.bench.throughput import (
    RATIO_TO_BASELINE,
    TWO_WORKERS_RATIO,
    Pair,
    measure_throughput,
)
from components.data_building.bench.workers import Worker, WorkerError, side_by_side


def test_a_pair_compares_what_was_measured_right_after_each_other():
    assert Pair(rate=30.0, beside=6.0).ratio == 5.0


def test_ratios_are_taken_pair_by_pair_and_have_a_spread(tmp_path):
    measured = measure_throughput(tmp_path / "bench", count=2, rounds=2)
    by_name = {figure.name: figure for figure in measured.figures}
    assert set(measured.pairs) == {RATIO_TO_BASELINE, TWO_WORKERS_RATIO}
    for name, pairs in measured.pairs.items():
        ratios = [pair.ratio for pair in pairs]
        assert len(ratios) == 2
        assert by_name[name].value == pytest.approx(statistics.median(ratios))
        assert by_name[name].spread == (min(ratios), max(ratios))
    assert by_name[RATIO_TO_BASELINE].target == 5.0
    assert by_name[TWO_WORKERS_RATIO].target == 1.8
    rate = by_name["throughput/samples_per_s_per_core"]
    assert rate.baseline == pytest.approx(
        statistics.median(pair.beside for pair in measured.pairs[RATIO_TO_BASELINE])
    )
    assert 0 < by_name["throughput/cores_of_two_workers"].value <= 2.5
    assert 0.5 < by_name["throughput/two_workers_ratio_by_cpu_time"].value < 4
    assert by_name["throughput/worker_memory_gb"].reached


def test_workers_work_at_the_same_time_and_make_their_folder_anew(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_text("a")
    with (
        Worker("one", shutil.copytree, tmp_path / "one") as one,
        Worker("two", shutil.copytree, tmp_path / "two") as two,
    ):
        side_by_side([one, two], data)
        (data / "a").write_text("b")
        works = side_by_side([one, two], data)
    assert [work.start < work.end for work in works] == [True, True]
    assert [(tmp_path / name / "a").read_text() for name in ("one", "two")] == ["b", "b"]


def test_a_worker_that_ends_is_an_error_that_names_it(tmp_path):
    with (
        pytest.raises(WorkerError, match="loop: its process ended with status 1"),
        Worker("loop", shutil.copytree, tmp_path / "out") as loop,
    ):
        side_by_side([loop], tmp_path / "nothing")
