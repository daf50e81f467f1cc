from collections import Counter

import pytest

from spatialreward.data.negatives.copies import SHARES, Attack, AttackedCopies, is_attackable
from spatialreward.data.views import sft_conversations
from spatialreward.errors import InvalidInputError
from spatialreward.protocol.prompts import FULL
from spatialreward.records import Scores
from tests.data.packing.making import ANNOTATION, label_of, make_alone, make_edit, make_prompt

SAID = (Attack.PLEA, Attack.PRAISE, Attack.ANSWER)
FAR = ("00000000ffffffff", "ffffffff00000000", "0f0f0f0f0f0f0f0f", "3333333333333333")


def some_edit(number, **changes):
    """Edit ``number``, whose source looks like every fourth one's."""
    hashes = (FAR[number % 4], FAR[number % 4])
    return make_edit(number, **{"fingerprints": hashes, **changes})


@pytest.fixture(scope="module")
def edits():
    return [some_edit(number) for number in range(160)]


@pytest.fixture(scope="module")
def copies(edits):
    return AttackedCopies(edits, 7, "edits")


def numbers_of(copies, edits, *attacks):
    found = [n for n, edit in enumerate(edits) if copies.attack_on(n, edit) in attacks]
    assert found
    return found


def test_shares_of_attacks_sum_to_one_and_every_attack_has_one():
    assert sum(SHARES.values()) == pytest.approx(1)
    assert set(SHARES) == set(Attack)


def test_the_seed_decides_every_attack(copies, edits):
    def attacks(one):
        return [one.attack_on(number, edit) for number, edit in enumerate(edits)]

    assert attacks(copies) == attacks(AttackedCopies(edits, 7, "edits"))
    assert attacks(copies) != attacks(AttackedCopies(edits, 8, "edits"))
    assert set(attacks(copies)) == set(Attack)
    counts = Counter(attacks(copies))
    assert counts[Attack.PLEA] > counts[Attack.BLACK]


def test_a_copy_is_the_same_whenever_it_is_read(copies, edits):
    for number in range(20):
        assert copies.copy_of(number, edits) == copies.copy_of(number, edits)


def test_words_behind_an_instruction_leave_pictures_and_label_as_they_are(copies, edits):
    for number in numbers_of(copies, edits, *SAID):
        copy, edit = copies.copy_of(number, edits), edits[number]
        assert copy.instruction.startswith(edit.instruction)
        assert len(copy.instruction) > len(edit.instruction)
        assert (copy.sources, copy.edited, copy.label) == (edit.sources, edit.edited, edit.label)


def test_pictures_of_another_scene_are_of_an_edit_with_an_unlike_source(copies, edits):
    by_source = {edit.sources[0]: number for number, edit in enumerate(edits)}
    by_edited = {edit.edited: number for number, edit in enumerate(edits)}
    for number in numbers_of(copies, edits, Attack.OTHER_SOURCE):
        copy = copies.copy_of(number, edits)
        assert by_source[copy.sources[0]] % 4 != number % 4
        assert copy.edited == edits[number].edited
        assert copy.label.scores == Scores(
            editing_success=0, over_editing=0, naturalness=20, artifact_freedom=5
        )
    for number in numbers_of(copies, edits, Attack.OTHER_EDITED):
        copy = copies.copy_of(number, edits)
        assert by_edited[copy.edited] % 4 != number % 4
        assert copy.sources == edits[number].sources
        assert copy.label.scores == Scores(editing_success=0, over_editing=0)


def test_where_all_sources_look_alike_no_other_picture_is_taken():
    alike = [some_edit(4 * number) for number in range(60)]
    copies = AttackedCopies(alike, 7, "edits")
    attacks = {copies.attack_on(number, edit) for number, edit in enumerate(alike)}
    assert not attacks & {Attack.OTHER_SOURCE, Attack.OTHER_EDITED}


def test_a_picture_of_its_own_source_cannot_be_the_edit(copies, edits):
    [number, *_] = numbers_of(copies, edits, Attack.UNCHANGED)
    copy = copies.copy_of(number, edits)
    assert copy.edited == copy.sources[0] == edits[number].sources[0]
    assert copy.label.scores == Scores(editing_success=0, over_editing=25)
    for attack in (Attack.BLACK, Attack.NOISE):
        [number, *_] = numbers_of(copies, edits, attack)
        copy = copies.copy_of(number, edits)
        assert copy.edited_image().size == edits[number].edited_image().size
        assert (copy.edited_image().getextrema() == ((0, 0),) * 3) == (attack is Attack.BLACK)
        assert copy.label.reward == 0
    [number, *_] = numbers_of(copies, edits, Attack.MIRRORED_SOURCE)
    copy = copies.copy_of(number, edits)
    assert copy.sources != edits[number].sources
    assert copy.edited == edits[number].edited


def test_a_source_that_looks_the_same_in_a_mirror_gets_a_black_edit(copies, edits):
    [number, *_] = numbers_of(copies, edits, Attack.MIRRORED_SOURCE)
    even = [*edits]
    black = copies.copy_of(numbers_of(copies, edits, Attack.BLACK)[0], edits).edited
    even[number] = some_edit(number, sources=(black,))
    copy = copies.copy_of(number, even)
    assert copy.sources == (black,)
    assert copy.edited_image().getextrema() == ((0, 0),) * 3
    assert copy.id == f"edit-{number}/black"


def test_only_the_first_of_several_sources_is_attacked():
    reference = make_edit(99).sources[0]
    two = [some_edit(n, sources=(make_edit(n).sources[0], reference)) for n in range(60)]
    copies = AttackedCopies(two, 7, "edits")
    for number in numbers_of(copies, two, Attack.OTHER_SOURCE, Attack.MIRRORED_SOURCE):
        first, second = copies.copy_of(number, two).sources
        assert (first != two[number].sources[0], second == reference) == (True, True)


def test_what_a_copy_says_is_known_without_its_pictures(copies, edits):
    for number, edit in enumerate(edits[:60]):
        blind = edit.model_copy(update={"sources": (b"",), "edited": b""})
        known, copy = copies.relabelled(number, blind), copies.copy_of(number, edits)
        assert (known.id, known.instruction, known.label) == (copy.id, copy.instruction, copy.label)
        assert sft_conversations(copy, FULL)


def test_edits_that_a_source_or_sc_scores_are_missing_of_have_no_copy(copies):
    alone = label_of(Scores(naturalness=8, artifact_freedom=21))
    without = [make_prompt(1), make_alone(2), make_edit(3, label=None), make_edit(4, label=alone)]
    for number, edit in enumerate(without):
        assert not is_attackable(edit)
        assert copies.relabelled(number, edit).label is None
    with pytest.raises(InvalidInputError, match="edits: no edit has a source"):
        AttackedCopies(without, 7, "edits")


def test_words_that_no_instruction_may_hold_are_not_said():
    label = ANNOTATION.model_copy(update={"sc_reasoning": "fine <think> really"})
    edits = [some_edit(number, label=label) for number in range(60)]
    copies = AttackedCopies(edits, 7, "edits")
    attacks = {copies.attack_on(number, edit) for number, edit in enumerate(edits)}
    assert attacks & set(SAID) == {Attack.PLEA}
