import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from spatialreward.cli.main import app
from tests.ops.deployer.judge_servers import serving

NO_SERVER = "127.0.0.1:9"


@pytest.fixture
def settings(tmp_path):
    """The deployer's settings, with one edit to be judged and to agree about."""
    for name in ("before", "after"):
        Image.new("RGB", (8, 8), "white").save(tmp_path / f"{name}.png")
    edit = {"id": "one", "source": "before.png", "edited": "after.png", "instruction": "add it"}
    (tmp_path / "edits.jsonl").write_text(json.dumps(edit) + "\n")
    text = f'smoke_edits = "{tmp_path}/edits.jsonl"\nprobe_edits = "{tmp_path}/edits.jsonl"\n'
    # Time says nothing here: what else the machine does would decide.
    text += '[bounds]\nlatency_slack_s = 3600\n[backend]\nkind = "kubernetes"\n'
    (tmp_path / "deployer.toml").write_text(text)
    return tmp_path / "deployer.toml"


def check(settings, endpoint, beside=NO_SERVER, version=7):
    words = ["--endpoint", endpoint, "--beside", beside, "--version", str(version)]
    return CliRunner().invoke(app, ["deploy", "check", *words, "--config", str(settings)])


def test_a_version_that_judges_and_agrees_passes(settings):
    with serving(7) as new, serving(6) as old:
        done = check(settings, new.address, old.address)
        assert done.exit_code == 0, done.output
        assert f"judge/7 at {new.address} passes: 1 smoke edits, 1 probe edits" in done.stdout
        assert old.asked > 0
        # There is nothing to compare with, and all the more reason to replace it.
        assert check(settings, new.address).exit_code == 0


def test_a_version_that_does_not_pass_says_why_in_its_last_line(settings):
    with serving(7, reward=0.9) as new, serving(6) as old:
        done = check(settings, new.address, old.address)
        other = check(settings, new.address, old.address, version=8)
    assert (done.exit_code, other.exit_code) == (1, 1)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "its rewards differ by 0.400 on average, allowed are 0.250" in last
    assert "judge/8: smoke edit one was judged by judge/7" in other.stderr
    with serving(7, fails=True) as broken:
        done = check(settings, broken.address)
    assert done.exit_code == 1
    assert "smoke edit one: answer is not JSON" in done.stderr


def test_a_version_that_does_not_answer_yet_is_to_be_asked_again(settings):
    done = check(settings, NO_SERVER)
    assert done.exit_code == 3
    assert done.stderr.splitlines()[-1].startswith("error: judge version 7 does not answer")
