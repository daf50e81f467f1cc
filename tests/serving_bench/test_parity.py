import json

import pytest
from typer.testing import CliRunner

from serving.bench.parity import Pair, app, measure
from tests.benchmarks.folders import FIXTURES

needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs ../shared/data/benchmarks")


@needs_fixtures
def test_our_reference_figures_are_the_published_ones_to_the_last_bit():
    largest, *by_benchmark, compared = measure(FIXTURES, 12)
    assert (largest.name, largest.value, largest.reached) == ("parity/largest_difference", 0, True)
    assert [one.value for one in by_benchmark] == [0.0] * 7
    assert compared.value > 500


@needs_fixtures
def test_the_figures_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["--fixtures", str(FIXTURES), "--judges", "2"])
    assert done.exit_code == 0, done.output
    stored = json.loads((tmp_path / "build/figures/parity.json").read_text())
    assert stored["figures"][0]["name"] == "parity/largest_difference"
    assert stored["seeds"] == {"judges": 3}


def test_without_the_fixtures_there_is_no_figure(tmp_path):
    done = CliRunner().invoke(app, ["--fixtures", str(tmp_path / "nowhere")])
    assert done.exit_code == 1
    assert "nowhere/mer_bench: there is no such folder" in " ".join(done.stderr.split())


def test_a_figure_that_one_side_does_not_have_is_a_difference():
    assert Pair("exact", None, 1.0).difference == float("inf")
    assert Pair("exact", None, None).difference == 0.0
    assert Pair("exact", 0.75, 1.0).difference == 0.25
