"""Refinement: adds the judge's criticism to the instruction, round by round."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from spatialreward.editors.interface import FlowEditor
from spatialreward.edits import EditTask
from spatialreward.errors import InvalidInputError
from spatialreward.images import MAX_INSTRUCTION_CHARACTERS
from spatialreward.judges.interface import Judging
from spatialreward.rl.attempts import SHEET, Attempt, AttemptsFolder, Drawing
from spatialreward.rl.best_of import sheet_of
from spatialreward.rl.choosing_config import RefineConfig
from spatialreward.rl.faults import Fault, fault_of, shortened
from spatialreward.rl.pinning import Pin

BEST = "best.png"
_SEEDS_OF_A_TASK = 1_000_003

StopReason = Literal[
    "no longer improves", "all rounds are used", "no reasoning to go on with", "no judgement"
]


class Refined(NamedTuple):
    """The result of one task."""

    task: EditTask
    folder: Path
    """Has ``best.png``, ``round-N.png``, their judgements, and a sheet of the rounds."""
    rounds: tuple[Attempt, ...]
    """The best edit of each round; the first uses the task's own instruction."""
    stopped: StopReason

    @property
    def best(self) -> Attempt:
        """The best edit of all rounds."""
        return min(self.rounds, key=lambda one: one.order)


def refine(
    editor: FlowEditor, judging: Judging, task: EditTask, config: RefineConfig, folder: Path
) -> Refined:
    """Edit, judge, and edit again with the judge's criticism of the best edit so far.

    The judge always gets the task's own instruction. Every round starts from the source picture.
    Edits and judgements are stored as they come, so the same call resumes after a kill.

    Args:
        editor: samples.
        judging: a judge with reasoning.
        task: to edit.
        config: number of rounds, and when to stop.
        folder: of this task.

    Raises:
        InvalidInputError: the judge wrote no reasoning about the first edit, the editor does not
            support the task, or the folder is not writable.
        JudgeChangedError: the judge changed, also since a killed run.
        ServingError: a served judge is unreachable; plus other judges' errors.
    """
    place = AttemptsFolder(folder, task.id)
    if not place.is_finished:
        rounds = _work(editor, judging, task, config, place)
        best = min(rounds, key=lambda one: one.order)
        named = [(f"round-{number}.png", one) for number, one in enumerate(rounds)]
        place.finish(named, {BEST: best.picture, SHEET: sheet_of(task, rounds)})
    place.tidy()
    rounds = place.finished()
    stopped = why_stop(rounds, config)
    if stopped is None:
        raise InvalidInputError(f"{folder}: was refined with other settings; use a new folder")
    return Refined(task, folder, tuple(rounds), stopped)


def why_stop(rounds: Sequence[Attempt], config: RefineConfig) -> StopReason | None:
    """Why to stop after these rounds, at least one; None: continue."""
    reward, stale = rounds[0].judgement.reward, 0
    for one in rounds[1:]:
        now = one.judgement.reward
        gains = now is not None and (reward is None or now >= reward + config.min_gain)
        reward, stale = (now, 0) if gains else (reward, stale + 1)
    if reward is None:
        return "no judgement"
    if stale >= config.patience:
        return "no longer improves"
    if len(rounds) > config.max_rounds:
        return "all rounds are used"
    return None if _fault(rounds) else "no reasoning to go on with"


def refined_instruction(instruction: str, fault: Fault, config: RefineConfig) -> str:
    """A task's instruction with a criticism, truncated to the longest allowed instruction."""
    words = shortened(fault.words, config.longest_fault)
    refined = config.template.format(instruction=instruction, fault=words, where=fault.where)
    beyond = len(refined) - MAX_INSTRUCTION_CHARACTERS
    if beyond <= 0:
        return refined
    words = shortened(words, max(1, len(words) - beyond))
    refined = config.template.format(instruction=instruction, fault=words, where=fault.where)
    return refined[:MAX_INSTRUCTION_CHARACTERS]


def _work(
    editor: FlowEditor,
    judging: Judging,
    task: EditTask,
    config: RefineConfig,
    place: AttemptsFolder,
) -> list[Attempt]:
    """The best edit of each round."""
    rounds: list[Attempt] = []
    pin = Pin("refinement", "use a new folder")
    drawing = Drawing(editor, judging, config.denoising, pin)
    count = config.edits_per_round
    while not rounds or why_stop(rounds, config) is None:
        instruction = task.instruction
        if rounds:
            instruction = refined_instruction(task.instruction, _fault(rounds), config)
        numbers = range(len(rounds) * count, (len(rounds) + 1) * count)
        seed = config.seed * _SEEDS_OF_A_TASK + len(rounds)
        drawn = drawing.complete(place, task, instruction, numbers, seed)
        rounds.append(min(drawn, key=lambda one: one.order))
        if len(rounds) == 1 and why_stop(rounds, config) == "no reasoning to go on with":
            raise InvalidInputError(
                f"judge {rounds[0].judgement.judged_by}: wrote no reasoning that could go into the "
                "instruction; refine with a judge that reasons, or use best-of"
            )
    return rounds


def _fault(rounds: Sequence[Attempt]) -> Fault | None:
    """Criticism of the best edit so far."""
    return fault_of(min(rounds, key=lambda one: one.order).judgement)
