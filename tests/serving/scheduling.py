"""Judges and requests for a scheduler."""

import threading

from PIL import Image

from spatialreward.images import encode_png
from spatialreward.records import Judgement, JudgementStatus, JudgingOptions, Scores
from spatialreward.serving.requests import EncodedEdit
from spatialreward.serving.waiting import Request

WAIT_S = 30
ROOM = 64
SCORES = Scores(editing_success=1, over_editing=1, naturalness=1, artifact_freedom=1)
PNG = encode_png(Image.new("RGB", (4, 4), "red"))


def edit(name, priority=0):
    return EncodedEdit((PNG,), PNG, name.encode(), JudgingOptions(priority=priority))


def echo(take, measure):
    """Judges by repeating the instruction; takes one batch and no more."""
    for number, edit in enumerate(take(ROOM)):
        yield number, repeated(edit)


def repeated(edit):
    words = edit.instruction
    return Judgement(status=JudgementStatus.OK, scores=SCORES, reward=0.5, sc_reasoning=words)


class Held:
    """A judge that waits to be let go, and notes its batches."""

    def __init__(self):
        self.go = threading.Event()
        self.started = threading.Event()
        self.batches = []

    def __call__(self, take, measure):
        edits = take(ROOM)
        self.batches.append([edit.instruction for edit in edits])
        self.started.set()
        assert self.go.wait(WAIT_S)
        return echo(lambda room: edits, measure)


class Awaited:
    """A request of some edits, whose answer can be waited for."""

    wait_s = WAIT_S

    def __init__(self, edits, **more):
        self.answers = []
        self._done = threading.Event()
        self.request = Request(edits, self._take, **more)

    def _take(self, outcome):
        self.answers.append(outcome)
        self._done.set()

    def wait(self):
        assert self._done.wait(self.wait_s)
        (outcome,) = self.answers
        return outcome


class Asked(Awaited):
    """A request of edits with these instructions."""

    def __init__(self, *names, priority=0, **more):
        super().__init__([edit(name, priority) for name in names], **more)

    def words(self):
        return [judgement.sc_reasoning for judgement in self.wait()]
