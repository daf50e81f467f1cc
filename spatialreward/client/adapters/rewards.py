"""What the adapters share: edits with shared pictures, and judgements or an error.

A judgement that failed never becomes a number here. Frameworks that can leave a sample out are told
so by their adapter; for the others ``judge_all`` raises.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from spatialreward.edits import Edit
from spatialreward.errors import JudgementError
from spatialreward.judges.interface import Judging
from spatialreward.records import Judgement, JudgementStatus

_REASONS_TOLD = 3


def with_shared_pictures(edits: Sequence[Edit]) -> list[Edit]:
    """The same edits, in which equal source pictures are one object.

    Training loops copy a source for each of its edits; the client sends a picture once and keeps
    the edits of one source together only if it can see that they are the same.
    """
    known: dict[tuple[str, tuple[int, int], bytes], Image.Image] = {}

    def shared(picture: Image.Image) -> Image.Image:
        pixels = hashlib.blake2b(picture.tobytes()).digest()
        return known.setdefault((picture.mode, picture.size, pixels), picture)

    return [
        replace(edit, source=shared(edit.source), references=tuple(map(shared, edit.references)))
        for edit in edits
    ]


def judge_all(judge: Judging, edits: Sequence[Edit], redraws: int) -> list[Judgement]:
    """A judgement of every edit, for loops that cannot leave one out.

    An edit whose likeliest answer is no judgement is judged again, up to ``redraws`` times, from
    answers that are drawn with the seeds 1, 2 and so on.

    Raises:
        JudgementError: an edit was not judged all the same; the message has the reasons.
        ServingError: the judge could not be asked.
    """
    edits = with_shared_pictures(edits)
    judgements = judge.judge(edits)
    for seed in range(1, redraws + 1):
        positions = _failed(judgements)
        again = judge.judge([_with_seed(edits[position], seed) for position in positions])
        for position, judgement in zip(positions, again, strict=True):
            judgements[position] = judgement
    if positions := _failed(judgements):
        told = "; ".join(f"{at}: {judgements[at].reason}" for at in positions[:_REASONS_TOLD])
        raise JudgementError(f"{len(positions)} of {len(edits)} edits were not judged: {told}")
    return judgements


def _failed(judgements: Sequence[Judgement]) -> list[int]:
    return [at for at, one in enumerate(judgements) if one.status is JudgementStatus.FAILED]


def _with_seed(edit: Edit, seed: int) -> Edit:
    return replace(edit, options=edit.options.model_copy(update={"seed": seed}))
