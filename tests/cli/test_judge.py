import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.errors import Failure
from spatialreward.images import load_image
from spatialreward.judges import load
from spatialreward.records import EditRegion, Judgement, JudgementStatus, Scores
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample
from spatialreward.world.labelling import edit_task
from spatialreward.world.oracle import oracle_reward

NOTICE = "trained on generated scenes"


class BrightnessJudge:
    """Scores by mean brightness; enough to see that each edit gets its own verdict."""

    notice = NOTICE

    def judge(self, edits):
        return [self._verdict(edit) for edit in edits]

    def _verdict(self, edit):
        if edit.instruction == "fail":
            return Judgement.failed("answer is not JSON: it begins", Failure.NOT_JSON)
        score = float(np.asarray(edit.edited).mean()) / 255 * 25
        return Judgement(
            status=JudgementStatus.OK,
            regions=(EditRegion(id=0, label="[bold] a dog", bbox_2d=(0, 0, 500, 1000)),),
            sc_reasoning="<|bbox_0|> as asked <|global|> done",
            scores=Scores(
                editing_success=score, over_editing=25, naturalness=25, artifact_freedom=25
            ),
            reward=score / 25,
        )


@pytest.fixture
def run(monkeypatch):
    monkeypatch.delenv("TRITON_GRPC_URL", raising=False)
    monkeypatch.setattr(load, "load_judge", lambda judge, **how: BrightnessJudge())
    return lambda *arguments: CliRunner().invoke(app, ["judge", *map(str, arguments)])


@pytest.fixture
def pair(tmp_path):
    Image.new("RGB", (40, 30), "black").save(tmp_path / "s.png")
    Image.new("RGB", (80, 60), "white").save(tmp_path / "e.png")
    return ("--source", tmp_path / "s.png", "--edited", tmp_path / "e.png", "--model", tmp_path)


def test_people_get_scores_regions_reasoning_and_the_notice(run, pair):
    result = run(*pair, "--instruction", "add a dog")
    assert result.exit_code == 0, result.output
    assert result.stderr == f"note: {NOTICE}\n"
    for text in (
        "Editing success",
        "25.0",
        "1.000",
        "[bold] a dog",
        "0, 0, 39, 59",
        "[0] as asked",
    ):
        assert text in result.stdout


SAYS_ANYTHING = """
from spatialreward.cli import main
from spatialreward.judges import load
from spatialreward.records import EditRegion, Judgement, Scores

class SaysAnything:
    notice = ""
    def judge(self, edits):
        words = "\\ud83e\\x1b[2J\\0 \\u5706"
        region = EditRegion(id=0, label=words, bbox_2d=(0, 0, 500, 1000))
        scores = Scores(editing_success=1, over_editing=2)
        return [Judgement(
            status="ok", regions=[region], sc_reasoning=words, scores=scores, reward=0.5
        )]

load.load_judge = lambda judge, **how: SaysAnything()
main.main()
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_any_words_of_a_judge_are_shown_on_any_terminal_and_obeyed_by_none(pair, encoding):
    arguments = [*map(str, pair), "--instruction", "add a dog"]
    shown = subprocess.run(
        [sys.executable, "-c", SAYS_ANYTHING, "judge", *arguments],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert shown.returncode == 0, shown.stderr
    assert b"\x1b" not in shown.stdout
    assert b"\0" not in shown.stdout
    assert ("圆".encode() if encoding == "utf-8" else b"\\u5706") in shown.stdout


def test_programs_get_one_json_object_with_every_field(run, pair):
    result = run(*pair, "--instruction", 'add "a" dog\n圆', "--json")
    record = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    # The form of an answer is told where it is another than the usual one.
    fields = set(Judgement.model_fields) - {"answer"}
    assert set(record) == {"source", "edited", "instruction", "notice", *fields}
    assert record["instruction"] == 'add "a" dog\n圆'
    assert record["notice"] == NOTICE
    assert record["reward"] == 1.0
    assert result.exit_code == 0


def test_a_failed_judgement_has_status_2_and_a_reason(run, pair):
    result = run(*pair, "--instruction", "fail")
    assert result.exit_code == 2
    assert "no judgement: answer is not JSON: it begins" in result.stderr
    assert result.stdout == ""


def test_a_failed_judgement_is_json_too(run, pair):
    result = run(*pair, "--instruction", "fail", "--json")
    record = json.loads(result.stdout)
    assert (record["status"], record["scores"], record["reward"]) == ("failed", None, None)
    assert result.exit_code == 2


@pytest.mark.parametrize("instruction", ["add a dog", "fail"])
def test_an_overlay_is_a_picture_with_nothing_left_beside_it(run, pair, tmp_path, instruction):
    before = set(tmp_path.iterdir())
    run(*pair, "--instruction", instruction, "--overlay", tmp_path / "o.png")
    assert load_image(tmp_path / "o.png").width > 2 * 640
    assert set(tmp_path.iterdir()) - before == {tmp_path / "o.png"}


@pytest.mark.parametrize(
    ("overlay", "reason"),
    [
        ("no/such/o.png", "there is no directory"),
        ("o.jpg", "ends in .png"),
        ("e.png", "would replace a picture"),
        ("folder.png", "is a directory"),
    ],
)
def test_an_overlay_that_cannot_be_written_is_refused_before_judging(
    run, pair, tmp_path, monkeypatch, overlay, reason
):
    (tmp_path / "folder.png").mkdir()
    opened = []
    monkeypatch.setattr(load, "load_judge", lambda judge, **how: opened.append(judge))
    result = run(*pair, "--instruction", "add a dog", "--overlay", tmp_path / overlay)
    assert result.exit_code == 1
    assert f"overlay {tmp_path / overlay}: " in result.stderr
    assert reason in result.stderr
    assert not opened


def test_a_folder_that_takes_no_files_is_found_out_before_judging(run, pair, monkeypatch):
    opened = []
    monkeypatch.setattr(load, "load_judge", lambda judge, **how: opened.append(judge))
    result = run(*pair, "--instruction", "add a dog", "--overlay", "/proc/o.png")
    assert result.exit_code == 1
    assert "cannot write to the directory /proc" in result.stderr
    assert not opened


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "no judge given: use either --model JUDGE (a folder"),
        (["--model", "m", "--endpoint", "h:1"], "two judges given"),
        (["--endpoint", "nowhere"], "expected HOST:PORT, got 'nowhere'"),
        (["--endpoint", "http://h:1"], "expected HOST:PORT"),
        (["--model", "m", "--source", "a.png"], "--edited, --instruction missing"),
        (
            ["--model", "m", "--edits", "f", "--source", "a.png"],
            "--source does not go with --edits",
        ),
        (["--model", "m", "--overlay-dir", "d"], "--overlay-dir does not go with a single edit"),
    ],
)
def test_options_that_do_not_go_together_are_explained(run, arguments, reason):
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert reason in result.stderr


def opened_with(monkeypatch, *arguments):
    """The judge that the command loads, as one string, and how."""
    opened = []

    def load_judge(judge, **how):
        opened.append((judge, how))
        return BrightnessJudge()

    monkeypatch.setattr(load, "load_judge", load_judge)
    result = CliRunner().invoke(app, ["judge", *map(str, arguments), "--instruction", "add a dog"])
    assert result.exit_code == 0, result.output
    [where] = opened
    return where


def test_without_a_judge_the_one_in_the_environment_is_asked(pair, monkeypatch):
    pictures, model = pair[:4], pair[5]
    monkeypatch.setenv("TRITON_GRPC_URL", "127.0.0.1:8001")
    as_it_is = {"adapter": None, "protocol": None, "passes": 1, "mode": None}
    assert opened_with(monkeypatch, *pictures) == ("triton:127.0.0.1:8001", as_it_is)
    assert opened_with(monkeypatch, *pictures, "--endpoint", "h:1") == ("triton:h:1", as_it_is)
    assert opened_with(monkeypatch, *pictures, "--model", model) == (str(model), as_it_is)


def test_adapter_protocol_passes_and_mode_are_handed_on(pair, monkeypatch, tmp_path):
    options = ("--adapter", tmp_path, "--protocol", "tiny", "--passes", 4, "--mode", "scalar")
    _, how = opened_with(monkeypatch, *pair, *options)
    assert how == {"adapter": tmp_path, "protocol": "tiny", "passes": 4, "mode": "scalar"}


def test_several_passes_of_a_judge_that_draws_nothing_are_refused(pair):
    arguments = [*map(str, pair[:4]), "--instruction", "a", "--model", "pixels", "--passes"]
    result = CliRunner().invoke(app, ["judge", *arguments, "4"])
    assert result.exit_code == 1
    assert result.stderr == ("error: judge pixels: draws no answers, so 4 passes are all alike\n")
    assert CliRunner().invoke(app, ["judge", *arguments, "0"]).exit_code == 2


def test_every_kind_of_judge_can_be_named(pair, tmp_path):
    arguments = [*map(str, pair[:4]), "--instruction", "a", "--model"]
    result = CliRunner().invoke(app, ["judge", *arguments, "pixels"])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, ["judge", *arguments, "pixels", "--protocol", "tiny"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "judge pixels: takes no protocol, got tiny" in result.stderr
    result = CliRunner().invoke(app, ["judge", *arguments, "hub:no-owner"])
    assert "judge hub:no-owner: expected hub:OWNER/NAME@REVISION" in result.stderr


def test_two_judges_on_the_command_line_are_one_too_many_whatever_the_environment_says(
    run, pair, monkeypatch
):
    monkeypatch.setenv("TRITON_GRPC_URL", "127.0.0.1:8001")
    result = run(*pair, "--instruction", "a", "--endpoint", "h:1")
    assert result.exit_code == 1
    assert "two judges given" in result.stderr


def test_a_model_that_is_not_there_is_named(pair, tmp_path):
    arguments = [*map(str, pair[:4]), "--instruction", "a", "--model", str(tmp_path / "none")]
    result = CliRunner().invoke(app, ["judge", *arguments])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: judge {tmp_path / 'none'}: there is no such folder")


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [("", "instruction: is empty"), ("x" * 10_000, "10,000 characters, more than the 2,000")],
)
def test_an_unusable_instruction_is_refused(run, pair, instruction, reason):
    result = run(*pair, "--instruction", instruction)
    assert result.exit_code == 1
    assert reason in result.stderr


def test_an_unusable_picture_is_named(run, pair, tmp_path):
    (tmp_path / "e.png").write_bytes((tmp_path / "e.png").read_bytes()[:60])
    result = run(*pair, "--instruction", "add a dog")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: edited: picture {tmp_path / 'e.png'}: is damaged")
    assert "Traceback" not in result.output


def write_edits(folder, *edits):
    lines = [
        {"source": "s.png", "edited": "e.png", "instruction": "add a dog"} | edit for edit in edits
    ]
    (folder / "edits.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return "--edits", folder / "edits.jsonl"


def test_a_file_of_edits_gives_a_line_and_an_overlay_each(run, pair, tmp_path):
    names = [f"edit-{number}" for number in range(20)]  # more than one batch
    edits = write_edits(tmp_path, *({"id": name} for name in names))
    result = run(*edits, *pair[4:], "--overlay-dir", tmp_path / "new" / "overlays")
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == names
    made = sorted(path.stem for path in (tmp_path / "new" / "overlays").iterdir())
    assert made == sorted(names)
    assert NOTICE in result.stderr


def test_the_oracle_judges_the_lines_that_have_a_truth_of_the_world(tmp_path):
    sample = draw_sample(DataConfig(seed=4), "train", 0)
    (tmp_path / "s.png").write_bytes(sample.source)
    (tmp_path / "e.png").write_bytes(sample.edited)
    known = {"instruction": sample.instruction, "truth": edit_task(sample).truth}
    edits = write_edits(tmp_path, {"id": "known", **known}, {"id": "other"})
    result = CliRunner().invoke(app, ["judge", *map(str, edits), "--model", "oracle"])
    first, second = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 2
    assert first["reward"] == oracle_reward(sample.world, sample.images()[1])
    assert second["reason"].startswith("edit other: truth: missing, expected one of the generated")


def test_one_bad_edit_does_not_stop_the_others(run, pair, tmp_path):
    Image.new("RGB", (8, 8), "black").save(tmp_path / "dark.png")
    edits = write_edits(
        tmp_path,
        {"id": "missing", "edited": "none.png"},
        {"id": "dark", "edited": "dark.png"},
        {"id": "fails", "instruction": "fail"},
        {"id": "empty", "instruction": " "},
        {"id": "white"},
    )
    result = run(*edits, *pair[4:], "--overlay-dir", tmp_path / "overlays")
    records = {record["id"]: record for record in map(json.loads, result.stdout.splitlines())}
    assert records["missing"]["reason"].endswith("none.png: there is no such file")
    assert records["dark"]["reward"] == 0.0
    assert records["fails"]["reason"].startswith("answer is not JSON")
    assert records["empty"]["reason"] == "instruction: is empty"
    assert records["white"]["reward"] == 1.0
    assert result.exit_code == 2
    assert "no judgement for 3 of 5 edits" in result.stderr
    made = {path.stem for path in (tmp_path / "overlays").iterdir()}
    assert made == {"dark", "fails", "white"}


def test_overlays_cannot_replace_the_pictures(run, pair, tmp_path):
    edits = write_edits(tmp_path, {"id": "s"})
    result = run(*edits, *pair[4:], "--overlay-dir", tmp_path)
    assert result.exit_code == 1
    assert "would replace a picture" in result.stderr


def test_a_folder_that_cannot_be_made_is_named(run, pair, tmp_path):
    edits = write_edits(tmp_path, {"id": "a"})
    result = run(*edits, *pair[4:], "--overlay-dir", tmp_path / "s.png" / "overlays")
    assert result.exit_code == 1
    assert "--overlay-dir" in result.stderr
