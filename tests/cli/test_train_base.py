import json

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.errors import InvalidInputError
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.world.tiny_config import GroundingConfig

runner = CliRunner()


def test_a_base_describes_and_does_not_judge(tmp_path):
    out = tmp_path / "base"
    arguments = ["train", "base", "--out", str(out), "--num-scene-samples", "32"]
    arguments += ["--num-difference-samples", "32", "--num-request-samples", "32"]
    arguments += ["--num-heldout", "2"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    card = json.loads((out / "card.json").read_text())
    assert card["grounding"]["num_scene_samples"] == 32
    assert set(card["figures"]) >= {
        "cell_accuracy",
        "difference_iou",
        "artifact_accuracy",
        "request_accuracy",
    }
    assert sum(path.stat().st_size for path in out.iterdir()) < 10_000_000
    model, _ = checkpoint.load(out, square_side=64)
    assert model.num_parameters() > 1_000_000
    with pytest.raises(InvalidInputError, match="not trained to judge"):
        Judge.load(out)
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_is_there_is_not_overwritten(tmp_path):
    result = runner.invoke(app, ["train", "base", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert f"--out {tmp_path}: is there already" in result.stderr


def test_a_base_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "base"
    result = runner.invoke(app, ["train", "base", "--out", str(out)])
    assert result.exit_code == 1
    assert result.stderr == f"error: --out {out}: File exists\n"


def test_the_help_states_the_defaults_of_the_recipe():
    shown = " ".join(runner.invoke(app, ["train", "base", "--help"]).output.split())
    for name in ("num_scene_samples", "num_difference_samples", "num_request_samples"):
        assert f"[default: ({getattr(GroundingConfig(), name)})]" in shown, name
