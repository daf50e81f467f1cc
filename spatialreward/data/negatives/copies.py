"""Attacked copies of labelled edits, derived on the fly and stored nowhere.

Extra text after an instruction does not change the edit's quality: bad edits keep their bad label,
and good ones their good one, so that a judge does not learn to distrust long instructions.
"""

from collections.abc import Iterable
from enum import StrEnum
from heapq import nlargest
from typing import NamedTuple, Protocol

import numpy as np

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.filters.fingerprints import to_bits
from spatialreward.data.negatives import failures, words
from spatialreward.errors import InvalidInputError
from spatialreward.images import check_instruction
from spatialreward.records import Judgement

_MOST_LIKED = 512
"""Labels whose wording is used in attacks on other instructions."""
_UNRELATED_BITS = 20
"""Smallest distance, of 64 bits, between fingerprints of unrelated sources."""
_TRIES = 32


class Attack(StrEnum):
    """Kind of change to an edit."""

    PLEA = "plea"
    PRAISE = "praise"
    ANSWER = "answer"
    OTHER_SOURCE = "other_source"
    OTHER_EDITED = "other_edited"
    MIRRORED_SOURCE = "mirrored_source"
    UNCHANGED = "unchanged"
    BLACK = "black"
    NOISE = "noise"


SHARES = {
    Attack.PLEA: 0.2,
    Attack.PRAISE: 0.3,
    Attack.ANSWER: 0.3,
    Attack.OTHER_SOURCE: 0.05,
    Attack.OTHER_EDITED: 0.05,
    Attack.MIRRORED_SOURCE: 0.03,
    Attack.UNCHANGED: 0.03,
    Attack.BLACK: 0.02,
    Attack.NOISE: 0.02,
}
"""Shares of all copies; they sum to 1. Most are text attacks: a few examples teach the picture
attacks, and a judge with many of them mistakes edits with large changes for attacks."""


class Edits(Protocol):
    """Edits by number, with their pictures."""

    def __getitem__(self, number: int, /) -> LabelledEdit:
        """Edit ``number``."""
        ...


class _Plan(NamedTuple):
    attack: Attack
    instruction: str
    other: int
    """Number of an edit of an unrelated source, if its picture is needed."""
    draw: np.random.Generator


class AttackedCopies:
    """One attacked copy of each edit with a label of the SC stream, by the edit's number."""

    def __init__(self, edits: Iterable[LabelledEdit], seed: int, name: str) -> None:
        """Read all edits once, without their pictures.

        Args:
            edits: of the data set, in order.
            seed: selects each edit's attack and its random values.
            name: of the data set, for errors.

        Raises:
            InvalidInputError: no edit can be attacked.
        """
        self._seed = seed
        numbers, hashes = [], []
        liked: list[Judgement] = []
        for number, edit in enumerate(edits):
            if not is_attackable(edit):
                continue
            numbers.append(number)
            hashes.append(edit.fingerprints[0])
            if _is_sayable(edit.label):
                liked.append(edit.label)
            if len(liked) > 2 * _MOST_LIKED:
                liked = _most_liked(liked)
        if not numbers:
            raise InvalidInputError(
                f"{name}: no edit has a source, its fingerprint and SC scores, so none can be "
                "attacked; expected negatives_share = 0"
            )
        self._numbers = np.array(numbers)
        self._hashes = to_bits(hashes)
        self._liked = _most_liked(liked)

    def attack_on(self, number: int, edit: LabelledEdit) -> Attack:
        """The attack on edit ``number``."""
        return self._plan(number, edit).attack

    def relabelled(self, number: int, edit: LabelledEdit) -> LabelledEdit:
        """The copy of edit ``number`` with unchanged pictures; without a label there is no copy.

        Enough for the length of the copy's conversations.
        """
        if not is_attackable(edit):
            return edit.model_copy(update={"label": None, "verified": None})
        return _relabelled(edit, self._plan(number, edit))

    def copy_of(self, number: int, edits: Edits) -> LabelledEdit:
        """The copy of edit ``number``.

        Raises:
            InvalidInputError: a picture cannot be decoded; names the edit.
        """
        edit = edits[number]
        plan = self._plan(number, edit)
        if plan.attack is Attack.MIRRORED_SOURCE and failures.is_even(edit.source_images()[0]):
            plan = plan._replace(attack=Attack.BLACK)
        match plan.attack:
            case Attack.OTHER_SOURCE:
                changed = {"sources": (edits[plan.other].sources[0], *edit.sources[1:])}
            case Attack.OTHER_EDITED:
                changed = {"edited": edits[plan.other].edited}
            case Attack.MIRRORED_SOURCE:
                mirror = failures.mirrored(edit.source_images()[0])
                changed = {"sources": (failures.to_file(mirror), *edit.sources[1:])}
            case Attack.UNCHANGED:
                changed = {"edited": edit.sources[0]}
            case Attack.BLACK:
                changed = {"edited": failures.to_file(failures.black(edit.edited_image().size))}
            case Attack.NOISE:
                seen = failures.noise(edit.edited_image().size, plan.draw)
                changed = {"edited": failures.to_file(seen)}
            case _:
                changed = {}
        return _relabelled(edit, plan).model_copy(update=changed)

    def _plan(self, number: int, edit: LabelledEdit) -> _Plan:
        draw = np.random.default_rng([self._seed, number])
        attack = Attack(draw.choice(list(SHARES), p=list(SHARES.values())))
        said, other = "", -1
        match attack:
            case Attack.PRAISE if self._liked:
                said = words.praise_of(self._one_liked(draw))
            case Attack.ANSWER if self._liked:
                said = words.written_answer(self._one_liked(draw), draw)
            case Attack.PLEA | Attack.PRAISE | Attack.ANSWER:
                attack, said = Attack.PLEA, words.plea(draw)
            case Attack.OTHER_SOURCE | Attack.OTHER_EDITED:
                other = self._unrelated(edit, draw)
                attack = Attack.NOISE if other < 0 else attack
        instruction = edit.instruction
        if said:
            instruction = words.said_behind(instruction, said, draw)
        return _Plan(attack, instruction, other, draw)

    def _one_liked(self, draw: np.random.Generator) -> Judgement:
        return self._liked[draw.integers(len(self._liked))]

    def _unrelated(self, edit: LabelledEdit, draw: np.random.Generator) -> int:
        """Number of an edit whose source is unlike each of this one's pictures; -1: none."""
        places = draw.integers(len(self._numbers), size=_TRIES)
        apart_TF = np.bitwise_count(
            self._hashes[places][:, None] ^ to_bits(edit.fingerprints)[None, :]
        )
        unrelated = np.flatnonzero((apart_TF >= _UNRELATED_BITS).all(axis=1))
        return int(self._numbers[places[unrelated[0]]]) if unrelated.size else -1


def is_attackable(edit: LabelledEdit) -> bool:
    """Whether an edit can be copied: it has an SC label, and fingerprints of its pictures."""
    return (
        edit.label is not None
        and edit.label.scores.is_semantic
        and bool(edit.sources)
        and bool(edit.fingerprints)
    )


def _relabelled(edit: LabelledEdit, plan: _Plan) -> LabelledEdit:
    label = edit.label
    match plan.attack:
        case Attack.OTHER_EDITED:
            label = failures.semantic_alone(failures.replaced(label, failures.NOT_OF_SOURCE))
        case Attack.OTHER_SOURCE | Attack.MIRRORED_SOURCE:
            label = failures.replaced(label, failures.NOT_OF_SOURCE)
        case Attack.UNCHANGED:
            label = failures.untouched(label)
        case Attack.BLACK:
            label = failures.unseen(label, failures.NOTHING_BUT_BLACK)
        case Attack.NOISE:
            label = failures.unseen(label, failures.NOTHING_BUT_NOISE)
    # Metadata of the pictures and their generation does not apply to the copy.
    return edit.model_copy(
        update={
            "id": f"{edit.id}/{plan.attack}",
            "instruction": plan.instruction,
            "label": label,
            "verified": None,
            "prior": None,
            "fingerprints": (),
            "truth": None,
            "given": {},
            "given_regions": None,
        }
    )


def _is_sayable(label: Judgement) -> bool:
    """Whether its words are valid in an instruction."""
    texts = [words.praise_of(label), *(region.label for region in label.regions)]
    try:
        return bool(check_instruction(" ".join(texts)))
    except InvalidInputError:
        return False


def _most_liked(labels: list[Judgement]) -> list[Judgement]:
    return nlargest(_MOST_LIKED, labels, key=lambda label: label.reward)
