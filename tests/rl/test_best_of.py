import json

import numpy as np
import pytest
from PIL import Image

from spatialreward.editors.config import DenoisingConfig
from spatialreward.edits import EditTask
from spatialreward.errors import Failure
from spatialreward.records import Judgement, JudgementStatus, Scores
from spatialreward.rl.attempts import LINES
from spatialreward.rl.best_of import best_of, folder_name
from spatialreward.rl.choosing_config import BestOfConfig
from spatialreward.rl.rewards import JudgeChangedError
from spatialreward.world.config import DataConfig
from spatialreward.world.prompts import WorldPrompts
from spatialreward.world.tiny_editor import TinyEditor

CONFIG = BestOfConfig(num_edits=5, num_at_once=2, denoising=DenoisingConfig(num_denoising_steps=2))
TASKS = WorldPrompts(DataConfig(seed=21), 2).batch(0)
SCORES = Scores(editing_success=5, over_editing=5, naturalness=5, artifact_freedom=5)


class Away(Exception):
    """The server was stopped."""


class Brightness:
    """The brighter an edit, the better; it goes away after some calls, and fails on some edits."""

    notice = ""

    def __init__(self, calls=1000, judged_by="brightness/1", fails_from=2.0):
        self.calls = calls
        self.judged = 0
        self._judged_by = judged_by
        self._fails_from = fails_from

    def judge(self, edits):
        if not self.calls:
            raise Away
        self.calls -= 1
        self.judged += len(edits)
        return [self._judge(np.asarray(edit.edited).mean() / 255) for edit in edits]

    def _judge(self, reward):
        if reward >= self._fails_from:
            return Judgement.failed("too bright", Failure.NOT_JSON)
        return Judgement(
            status=JudgementStatus.OK, scores=SCORES, reward=reward, judged_by=self._judged_by
        )


@pytest.fixture(scope="module")
def editor(editor_folder):
    return TinyEditor.load(editor_folder)


def run(editor, judge, out, tasks=TASKS[:1], config=CONFIG):
    return list(best_of(editor, judge, tasks, len(tasks), config, out))


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def lines(folder):
    return [json.loads(line) for line in (folder / LINES).read_text().splitlines()]


def test_edits_lie_there_in_the_order_of_their_rewards(editor, tmp_path):
    (chosen,) = run(editor, Brightness(), tmp_path)
    found = lines(tmp_path)
    rewards = [line["judgement"]["reward"] for line in found]
    assert rewards == sorted(rewards, reverse=True)
    assert len(set(rewards)) == 5
    assert sorted(line["number"] for line in found) == [0, 1, 2, 3, 4]
    for line in found:
        picture = np.asarray(Image.open(tmp_path / line["picture"]))
        assert picture.mean() / 255 == pytest.approx(line["judgement"]["reward"])
    assert set(files(tmp_path)) == {f"0{rank}.png" for rank in range(1, 6)} | {LINES, "sheet.png"}
    assert chosen.best_picture == tmp_path / "01.png"
    assert chosen.best.judgement.reward == max(chosen.rewards) == rewards[0]
    assert chosen.rewards[0] == next(
        line["judgement"]["reward"] for line in found if line["number"] == 0
    )
    assert {line["instruction"] for line in found} == {TASKS[0].instruction}


def test_a_run_that_was_stopped_goes_on_and_comes_to_the_same(editor, tmp_path):
    whole = run(editor, Brightness(), tmp_path / "whole", TASKS)
    judge = Brightness(calls=4)
    with pytest.raises(Away):
        run(editor, judge, tmp_path / "stopped", TASKS)
    assert judge.judged == 2 + 2 + 1 + 2
    again = Brightness()
    resumed = run(editor, again, tmp_path / "stopped", TASKS)
    assert again.judged == 3
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")
    assert [one.rewards for one in resumed] == [one.rewards for one in whole]
    finished = Brightness(calls=0)
    assert len(run(editor, finished, tmp_path / "stopped", TASKS)) == 2


def test_a_line_that_was_cut_off_is_judged_again(editor, tmp_path):
    with pytest.raises(Away):
        run(editor, Brightness(calls=2), tmp_path / "out")
    file = tmp_path / "out" / ".unfinished" / LINES
    file.write_text(file.read_text()[:-9])
    again = Brightness()
    run(editor, again, tmp_path / "out")
    assert again.judged == 2
    run(editor, Brightness(), tmp_path / "whole")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.mark.parametrize("calls", [2, 4])
def test_another_judge_does_not_go_on(editor, tmp_path, calls):
    """In the middle of a task, and behind one that is finished."""
    with pytest.raises(Away):
        run(editor, Brightness(calls=calls), tmp_path, TASKS)
    found = "from brightness/2; the ranking began with brightness/1; .* or use a new folder"
    with pytest.raises(JudgeChangedError, match=found):
        run(editor, Brightness(judged_by="brightness/2"), tmp_path, TASKS)


def test_edits_without_a_judgement_come_last(editor, tmp_path):
    (first,) = run(editor, Brightness(), tmp_path / "all")
    middle = sorted(first.rewards)[2]
    (chosen,) = run(editor, Brightness(fails_from=middle), tmp_path / "few")
    assert chosen.num_failed == 3
    assert chosen.best.judgement.reward == sorted(first.rewards)[1]
    assert [line["judgement"]["status"] for line in lines(tmp_path / "few")] == (
        ["ok"] * 2 + ["failed"] * 3
    )
    (nothing,) = run(editor, Brightness(fails_from=0.0), tmp_path / "none")
    assert (nothing.rewards, nothing.num_failed) == ((), 5)


def test_several_tasks_have_a_folder_each_whatever_they_are_called(editor, tmp_path):
    named = EditTask(list(TASKS[0].sources), TASKS[0].instruction, "a/b: c")
    assert folder_name(0, named) == "0001-a_b_c"
    nameless = EditTask(list(TASKS[0].sources), TASKS[0].instruction)
    assert folder_name(1, nameless) == "0002"
    chosen = run(editor, Brightness(), tmp_path, [named, nameless], BestOfConfig(num_edits=1))
    assert [one.folder.name for one in chosen] == ["0001-a_b_c", "0002"]
    assert all(one.best_picture.is_file() for one in chosen)
