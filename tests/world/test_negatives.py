import pytest
from transformers import PreTrainedTokenizerFast

from spatialreward.data.edits import RowOrigin
from spatialreward.data.negatives import failures
from spatialreward.data.negatives.copies import Attack, AttackedCopies
from spatialreward.data.views import sft_conversations
from spatialreward.protocol.prompts import TINY
from spatialreward.training.conversations import answer_of
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.shipped import SHIPPED_BASE

MOST_TOKENS = 100
"""Of a failed edit's answer; that of a right edit with two regions has about as many."""


@pytest.fixture(scope="module")
def edits():
    drawn = draw_samples(DataConfig(seed=41), "train", 120)
    return [labelled_edit(sample, RowOrigin(file="test", row="")) for sample in drawn]


@pytest.fixture(scope="module")
def copies(edits):
    return AttackedCopies(edits, 5, "edits")


def test_every_attack_finds_its_edits_in_the_world(copies, edits):
    attacks = {copies.attack_on(number, edit) for number, edit in enumerate(edits)}
    assert attacks == set(Attack)


def test_the_tiny_tokenizer_has_the_words_of_failed_edits(copies, edits):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(SHIPPED_BASE)
    failed = 0
    for number, edit in enumerate(edits):
        copy = copies.copy_of(number, edits)
        if copy.label == edit.label:
            continue
        failed += 1
        for one in sft_conversations(copy, TINY):
            tokens = tokenizer(answer_of(one), add_special_tokens=False).input_ids
            assert tokenizer.decode(tokens) == answer_of(one)
            assert len(tokens) <= min(MOST_TOKENS, TINY.max_answer_tokens)
    assert failed > 10


def test_a_failed_edit_is_still_reported_what_was_asked_for(edits):
    label = edits[0].label
    asked = label.sc_reasoning.partition("<|")[0]
    assert asked.startswith("asked ")
    assert failures.untouched(label).sc_reasoning.startswith(asked)
