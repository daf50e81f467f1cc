import json

import pytest
from typer.testing import CliRunner

from serving.bench.editors import app
from tests.benchmarks.folders import FIXTURES

TENSORS = FIXTURES.parent


@pytest.mark.skipif(
    not (TENSORS / "omnigen2_parity").is_dir(), reason="needs ../shared/data/omnigen2_parity"
)
def test_the_figures_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["--tensors", str(TENSORS)])
    assert done.exit_code == 0, done.output
    stored = json.loads((tmp_path / "build/figures/editors.json").read_text())
    first = stored["figures"][0]
    assert (first["name"], first["target"]) == ("parity/omnigen2/output_t2i", 5e-4)
    assert all(one["reached"] for one in stored["figures"])


def test_without_the_tensors_there_is_no_figure(tmp_path):
    done = CliRunner().invoke(app, ["--tensors", str(tmp_path)])
    assert done.exit_code == 1
    assert "no such file" in " ".join(done.stderr.split())
