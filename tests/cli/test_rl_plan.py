import json
import re

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.world.random_omnigen2 import write_omnigen2


@pytest.fixture(scope="module")
def editor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("editor")
    write_omnigen2(folder)
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["rl", "plan", *map(str, arguments)])


def weights_told(done):
    return int(re.search(r"LoRA of ([\d,]+) weights", done.stdout)[1].replace(",", ""))


def test_a_plan_follows_the_settings(editor, tmp_path):
    usual = run("--editor", editor)
    assert usual.exit_code == 0, usual.output
    assert "gradient checkpointing on, bfloat16, 512 px" in usual.stdout
    for card in (24, 48, 80):
        assert f"{card} GB card: 1 process, nothing divided, edits_at_a_time 32" in usual.stdout

    config = tmp_path / "mine.toml"
    config.write_text(
        "[adaptation]\nprecision = 'float32'\ngradient_checkpointing = false\nlora.rank = 8\n"
        "[rl]\nnum_prompts = 8\nprocesses = 2\nsharding = 'fsdp2'\ngroups_at_a_time = 1\n"
    )
    mine = run("--editor", editor, "--config", config, "--size", 256)
    assert mine.exit_code == 0, mine.output
    first = "2 processes, fsdp2, edits_at_a_time 8, gradient checkpointing off, float32, 256 px"
    assert mine.stdout.startswith(first)
    assert weights_told(mine) * 4 == weights_told(usual)


def test_a_judges_weights_are_told_apart(editor, judge_folder):
    done = run("--editor", editor, "--judge", judge_folder)
    assert re.search(r"judge, apart +0\.0\d GiB of weights", done.stdout)
    done = run("--editor", editor, "--judge", editor)
    assert done.exit_code == 1
    assert f"--judge {editor}: expected a folder with *.safetensors" in done.stderr


def test_an_editor_without_a_part_is_named(editor, tmp_path):
    (tmp_path / "model_index.json").write_text(
        json.dumps(json.loads((editor / "model_index.json").read_text()))
    )
    done = run("--editor", tmp_path)
    assert done.exit_code != 0
    assert f"{tmp_path / 'transformer'}: expected a config.json" in done.stderr


def test_the_tiny_editor_needs_no_plan(tmp_path):
    (tmp_path / "editor.json").write_text("{}")
    done = run("--editor", tmp_path)
    assert done.exit_code == 1
    assert f"--editor {tmp_path}: the tiny editor needs no plan" in done.stderr
