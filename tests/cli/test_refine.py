import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.world.config import DataConfig
from spatialreward.world.prompts import WorldPrompts

FEW = ("--rounds", 2, "--set", "denoising.num_denoising_steps=2")


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def tasks(tmp_path):
    """Tasks of the generated world, whose truth the oracle knows."""
    lines = []
    for number, task in enumerate(WorldPrompts(DataConfig(seed=21), 2).batch(0)):
        task.sources[0].save(tmp_path / f"{number}.png")
        line = {"id": task.id, "source": f"{number}.png", "instruction": task.instruction}
        lines.append(json.dumps(line | {"truth": task.truth}))
    (tmp_path / "tasks.jsonl").write_text("\n".join(lines))
    (tmp_path / "one.jsonl").write_text(lines[0])
    return tmp_path / "tasks.jsonl"


@pytest.fixture
def words(editor_folder, tmp_path):
    where = ("--editor", editor_folder, "--judge", "oracle", "--out", tmp_path / "out")
    return ["refine", *where, *FEW]


def test_a_task_is_refined_with_what_the_judge_wrote(words, tasks, tmp_path):
    out = tmp_path / "out"
    done = run(*words, "--tasks", tmp_path / "one.jsonl")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("rewards by round: 0.")
    assert "round 1 was asked: " in done.stdout
    assert "The last attempt was not good enough. Mend this, in the whole picture: " in done.stdout
    assert f"to look at: {out / 'best.png'}, {out / 'sheet.png'}\n" in done.stdout
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.height > 550
    again = run(*words, "--tasks", tmp_path / "one.jsonl", "--json")
    told = json.loads(again.stdout)
    assert told["picture"] == "best.png"
    assert len(told["rewards"]) >= 2
    assert told["stopped"] in ("no longer improves", "all rounds are used")


def test_several_tasks_have_a_folder_each(words, tasks, tmp_path):
    done = run(*words, "--tasks", tasks, "--json")
    assert done.exit_code == 0, done.output
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 2
    for line in told:
        assert line["picture"] == f"{line['picture'].split('/')[0]}/best.png"
        assert (tmp_path / "out" / line["picture"]).is_file()


def test_a_judge_that_is_of_no_use_is_told(words, tasks, tmp_path):
    single = ("--source", tmp_path / "0.png", "--instruction", "add a red circle")
    silent = run(*words, *single, "--judge", "pixels", "--out", tmp_path / "silent")
    assert silent.exit_code == 1
    assert "judge pixels/1, geometric: wrote no reasoning that could go into" in silent.stderr
    unknowing = run(*words, *single)
    assert unknowing.exit_code == 2
    assert "rewards by round: none (no judgement)" in unknowing.stdout
    assert "no judgement of any edit for 1 of 1 tasks" in unknowing.stderr


def test_settings_that_are_none_are_one_line(words, tasks):
    for change, complaint in (
        (
            "template=mend it",
            "--set template=mend it: template: expected {instruction}",
        ),
        ("edits_per_round=0", "--set edits_per_round=0: edits_per_round: Input should be greater"),
    ):
        done = run(*words, "--tasks", tasks, "--set", change)
        assert done.exit_code == 1
        assert complaint in done.stderr
        assert done.stderr.count("\n") == 1
