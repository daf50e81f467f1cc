import json

import pytest
from pydantic import ValidationError

from spatialreward.editors.config import DenoisingConfig
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.images import MAX_INSTRUCTION_CHARACTERS
from spatialreward.records import AnswerForm, EditRegion, Judgement, JudgementStatus, Scores
from spatialreward.rl.attempts import LINES
from spatialreward.rl.choosing_config import RefineConfig
from spatialreward.rl.faults import Fault
from spatialreward.rl.refine import refine, refined_instruction
from spatialreward.rl.rewards import JudgeChangedError
from spatialreward.world.config import DataConfig
from spatialreward.world.prompts import WorldPrompts
from spatialreward.world.tiny_editor import TinyEditor

CONFIG = RefineConfig(denoising=DenoisingConfig(num_denoising_steps=2), min_gain=0.05)
TASK = WorldPrompts(DataConfig(seed=21), 1).batch(0)[0]
SCORES = Scores(editing_success=5, over_editing=5, naturalness=25, artifact_freedom=25)
HAT = EditRegion(id=0, label="a hat", bbox_2d=(0, 0, 300, 300))


class Away(Exception):
    """The server was stopped."""


class Scripted:
    """Gives the next reward and finds the hat wrong, in words that name the edit."""

    notice = ""

    def __init__(self, *rewards, judged_by="scripted/1", **more):
        self.rewards = list(rewards)
        self.asked = []
        self._more = {"judged_by": judged_by} | more

    def judge(self, edits):
        if not self.rewards:
            raise Away
        return [self._judge(edit) for edit in edits]

    def _judge(self, edit):
        self.asked.append(edit)
        reward = self.rewards.pop(0)
        if reward is None:
            return Judgement.failed("cannot see", Failure.NOT_JSON)
        lines = {
            "regions": (HAT,),
            "sc_reasoning": f"<|bbox_0|> the hat is wrong at {reward:g} <|global|> bad",
        } | self._more
        return Judgement(status=JudgementStatus.OK, scores=SCORES, reward=reward, **lines)


@pytest.fixture(scope="module")
def editor(editor_folder):
    return TinyEditor.load(editor_folder)


def rewards(refined):
    return [one.judgement.reward for one in refined.rounds]


def test_the_fault_of_the_best_edit_goes_into_the_next_instruction(editor, tmp_path):
    judge = Scripted(0.2, 0.5, 0.4)
    refined = refine(editor, judge, TASK, CONFIG, tmp_path)
    assert (rewards(refined), refined.stopped) == ([0.2, 0.5, 0.4], "no longer improves")
    assert refined.best.judgement.reward == 0.5
    assert {edit.instruction for edit in judge.asked} == {TASK.instruction}
    assert [one.instruction for one in refined.rounds] == [
        TASK.instruction,
        *(
            f"{TASK.instruction}\nThe last attempt was not good enough. "
            f'Mend this, at "a hat" in the top left: bad. the hat is wrong at {reward}'
            for reward in ("0.2", "0.5")
        ),
    ]
    names = {"best.png", "round-0.png", "round-1.png", "round-2.png", LINES, "sheet.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    best, second = ((tmp_path / name).read_bytes() for name in ("best.png", "round-1.png"))
    assert best == second
    lines = [json.loads(line) for line in (tmp_path / LINES).read_text().splitlines()]
    assert [line["picture"] for line in lines] == ["round-0.png", "round-1.png", "round-2.png"]


@pytest.mark.parametrize(
    ("given", "settings", "stopped"),
    [
        ([0.2, 0.24], {}, "no longer improves"),
        ([0.2, 0.24, 0.3, 0.3, 0.3], {"patience": 2}, "no longer improves"),
        ([0.2, 0.3, 0.4], {"max_rounds": 2}, "all rounds are used"),
        ([0.2, None], {}, "no longer improves"),
        ([None], {}, "no judgement"),
    ],
)
def test_it_stops_when_it_no_longer_improves_or_has_used_its_rounds(
    editor, tmp_path, given, settings, stopped
):
    judge = Scripted(*given, 1.0)
    refined = refine(editor, judge, TASK, CONFIG.model_copy(update=settings), tmp_path)
    assert (rewards(refined), refined.stopped) == (given, stopped)
    assert judge.rewards == [1.0]


def test_of_several_edits_of_a_round_the_best_counts(editor, tmp_path):
    judge = Scripted(0.1, 0.3, 0.2, 0.2)
    refined = refine(
        editor, judge, TASK, CONFIG.model_copy(update={"edits_per_round": 2}), tmp_path
    )
    assert rewards(refined) == [0.3, 0.2]
    assert refined.best.number == 1


def test_a_run_that_was_stopped_goes_on_and_comes_to_the_same(editor, tmp_path):
    whole = refine(editor, Scripted(0.2, 0.5, 0.4), TASK, CONFIG, tmp_path / "whole")
    with pytest.raises(Away):
        refine(editor, Scripted(0.2), TASK, CONFIG, tmp_path / "stopped")
    with pytest.raises(JudgeChangedError, match="scripted/2; the refinement began with scripted/1"):
        refine(editor, Scripted(0.5, judged_by="scripted/2"), TASK, CONFIG, tmp_path / "stopped")
    resumed = refine(editor, Scripted(0.5, 0.4), TASK, CONFIG, tmp_path / "stopped")
    assert [one.instruction for one in resumed.rounds] == [one.instruction for one in whole.rounds]
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "stopped" / path.name).read_bytes()
    again = refine(editor, Scripted(), TASK, CONFIG, tmp_path / "stopped")
    assert (rewards(again), again.stopped) == ([0.2, 0.5, 0.4], "no longer improves")
    longer = CONFIG.model_copy(update={"patience": 3})
    with pytest.raises(InvalidInputError, match="was refined with other settings; use a new"):
        refine(editor, Scripted(), TASK, longer, tmp_path / "stopped")


def test_a_judge_that_writes_nothing_is_of_no_use(editor, tmp_path):
    silent = Scripted(0.2, regions=(), sc_reasoning="", answer=AnswerForm.SCORES)
    lines = "judge scripted/1: wrote no reasoning .* use best-of"
    with pytest.raises(InvalidInputError, match=lines):
        refine(editor, silent, TASK, CONFIG, tmp_path)


def test_an_instruction_is_never_longer_than_one_may_be():
    fault = Fault("in the whole picture", "wrong " * 300)
    long = "paint it red " * 150
    lines = refined_instruction(long, fault, CONFIG)
    assert lines.startswith(long)
    assert len(lines) <= MAX_INSTRUCTION_CHARACTERS
    assert len(refined_instruction("paint it red", fault, CONFIG)) < 520


@pytest.mark.parametrize(
    "template",
    ["mend it", "{instruction}", "{instruction} {fault} {region}", "{instruction} {", "{}"],
)
def test_a_template_holds_instruction_and_fault(template):
    with pytest.raises(
        ValidationError, match=r"expected \{instruction\} and \{fault\}|is no template"
    ):
        RefineConfig(template=template)
    RefineConfig(template="{fault}: {instruction}, {where}")
