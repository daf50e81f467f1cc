import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.prompts import WorldPrompts
from tests.data.teacher.teacher_server import TeacherServer, says

FEW = ("-n", 3, "--set", "denoising.num_denoising_steps=2")
SEMANTIC = {"edit_region": [], "reasoning": "<|global|> nothing was done", "score": [5, 20]}
PERCEPTUAL = {"reasoning": "clean", "score": [18, 16]}


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def words(editor_folder, picture, tmp_path):
    asked = ("--source", picture, "--instruction", "add a red circle")
    where = ("--editor", editor_folder, "--judge", "pixels", "--out", tmp_path / "out")
    return ["best-of", *where, *asked, *FEW]


@pytest.fixture
def tasks(tmp_path):
    """A file of two tasks of the generated world, whose truth the oracle knows."""
    lines = []
    for number, task in enumerate(WorldPrompts(DataConfig(seed=21), 2).batch(0)):
        task.sources[0].save(tmp_path / f"{number}.png")
        line = {"id": task.id, "source": f"{number}.png", "instruction": task.instruction}
        lines.append(json.dumps(line | {"truth": task.truth}))
    (tmp_path / "tasks.jsonl").write_text("\n".join(lines))
    return tmp_path / "tasks.jsonl"


def test_edits_of_one_picture_are_ranked(words, tmp_path):
    out = tmp_path / "out"
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("best of 3: reward 0.")
    assert f"to look at: {out / '01.png'}, {out / 'sheet.png'}\n" in done.stdout
    assert "note: pixel differences only" in done.stderr
    names = {"01.png", "02.png", "03.png", "judgements.jsonl", "sheet.png", "settings.json"}
    assert {path.name for path in out.iterdir()} == names
    again = run(*words, "--json")
    figures = json.loads(again.stdout)
    assert figures["pictures"] == ["01.png"]
    assert figures["reward_of_best"] >= figures["reward_of_all"]
    other = run(*words, "--set", "seed=3")
    assert other.exit_code == 1
    assert f"{out}: was started with seed 0, now it is 3; give the same settings" in other.stderr
    with_another_judge = run(*words, "--judge", "oracle")
    assert "was started with judge 'pixels/1" in with_another_judge.stderr


def test_tasks_of_a_file_have_a_folder_each(editor_folder, tasks, tmp_path):
    out = tmp_path / "out"
    where = ("--editor", editor_folder, "--judge", "oracle", "--out", out, "--tasks", tasks)
    done = run("best-of", *where, *FEW)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("best of 3: 2 tasks, mean reward 0.")
    lines = [json.loads(line) for line in (out / "best.jsonl").read_text().splitlines()]
    assert [line["picture"].split("/")[1] for line in lines] == ["01.png", "01.png"]
    for line in lines:
        assert line["reward"] >= line["mean_reward"]
        assert (out / line["picture"]).is_file()
    with Image.open(out / "best.png") as sheet:
        assert sheet.width > 500


def test_tasks_of_a_data_set_are_asked_for_and_a_judge_that_knows_none_is_told(
    editor_folder, tmp_path
):
    build_shard(DataConfig(num_train=2, num_shards=1), "train", 0, tmp_path / "data")
    where = ("--editor", editor_folder, "--out", tmp_path / "out", "--data", tmp_path / "data")
    done = run("best-of", *where, "--judge", "oracle", *FEW)
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out").glob("000*"))) == 2


def test_no_judgement_at_all_is_status_2(words, tmp_path):
    done = run(*words, "--judge", "oracle")
    assert done.exit_code == 2
    assert "without a judgement: 3 edits" in done.stdout
    assert "no judgement of any edit for 1 of 1 tasks" in done.stderr
    assert (tmp_path / "out" / "01.png").is_file()


def test_a_judge_that_goes_away_is_one_line_and_the_run_goes_on(words, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    server = TeacherServer()
    settings = "max_attempts=1&give_up_after=1&concurrency=1"
    words = [*words, "--judge", f"openai:some/vl@{server.url}?{settings}", "--set", "num_at_once=1"]

    def answers(asked):
        return says(SEMANTIC if len(asked.pictures) == 2 else PERCEPTUAL)

    server.plan = answers
    with server.running():
        assert run(*words, "-n", 1, "--out", tmp_path / "one").exit_code == 0
    away = run(*words)
    assert away.exit_code == 1
    assert "1 edits in a row got no answer" in away.stderr
    assert "Traceback" not in away.output
    unfinished = tmp_path / "out" / ".unfinished"
    assert [path.name for path in unfinished.iterdir()] == ["0000.png"]
    again = TeacherServer(int(server.url.split(":")[2].partition("/")[0]))
    again.plan = answers
    with again.running():
        done = run(*words)
    assert done.exit_code == 0, done.output
    assert not unfinished.exists()


def test_what_cannot_be_used_is_one_line_before_anything_is_written(words, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    (tmp_path / "gone.jsonl").write_text('{"id": "x", "source": "no.png", "instruction": "y"}\n')
    (tmp_path / "bad.toml").write_text("num_edit = 3\n")
    asked = words.index("--source")
    without = [*words[:asked], *words[asked + 4 :]]
    cases = [
        ([*words, "--editor", tmp_path / "no"], f"--editor {tmp_path}/no: there is no such folder"),
        ([*words, "--editor", tmp_path / "full"], "no editor here"),
        ([*words, "--judge", tmp_path / "no"], f"judge {tmp_path}/no: there is no such folder"),
        ([*words, "--source", tmp_path / "no.png"], f"{tmp_path}/no.png"),
        ([*words, "--instruction", " "], "instruction: is empty"),
        ([*words, "--tasks", tmp_path / "gone.jsonl"], "got --source, --instruction, --tasks"),
        ([*without, "--instruction", "x"], "expected --source and --instruction, or --tasks, or"),
        (without, "or --data, got none"),
        (
            [*without, "--tasks", tmp_path / "gone.jsonl"],
            f"tasks {tmp_path}/gone.jsonl, line 1: source {tmp_path}/no.png: there is no such file",
        ),
        ([*without, "--data", tmp_path / "full"], "no data set here"),
        ([*words, "--config", tmp_path / "bad.toml"], "bad.toml: num_edit: no such key, did you"),
        ([*words, "--set", "num_at_once=0"], "--set num_at_once=0: num_at_once: Input should be"),
        ([*words, "--out", tmp_path / "full"], "holds no ranking to go on with; use a new folder"),
    ]
    for given, complaint in cases:
        done = run(*given)
        assert done.exit_code == 1, (complaint, done.output)
        assert complaint in done.stderr, (complaint, done.stderr)
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
