import json

import pytest
import torch

from spatialreward.data.views import sft_conversations
from spatialreward.errors import InvalidInputError
from spatialreward.protocol.prompts import TINY
from spatialreward.protocol.rendering import answer_parts
from spatialreward.training.collating import IGNORED, Collator
from spatialreward.training.conversations import answer_of, question_of
from spatialreward.world.targets import scene_conversation
from tests.data.packing.making import make_edit


@pytest.fixture(scope="module")
def processor(untrained):
    return untrained[1].following(TINY)


@pytest.fixture(scope="module")
def batch(processor, known_samples):
    conversations = [
        scene_conversation("semantic", known_samples[0], TINY),
        scene_conversation("perceptual", known_samples[1], TINY),
        scene_conversation("scenes", known_samples[2], TINY),
    ]
    return conversations, Collator(processor, ("scenes",))(conversations)


def test_labels_are_the_answers_and_nothing_else(batch, processor):
    conversations, made = batch
    for row, conversation in enumerate(conversations):
        learnt = made["labels"][row][made["labels"][row] != IGNORED]
        assert processor.tokenizer.decode(learnt) == answer_of(conversation) + "<|im_end|>"
    assert made["shift_labels"] is made["labels"]


def test_the_first_label_is_the_answers_first_token_behind_the_prompt(batch, processor):
    conversations, made = batch
    for row, conversation in enumerate(conversations):
        learnt = int((made["labels"][row] != IGNORED).sum())
        tokens = made["input_ids"][row]
        assert torch.equal(tokens[-learnt:], made["labels"][row, -learnt:])
        prompt = processor.tokenizer.decode(tokens[:-learnt])
        assert prompt.endswith("<|im_start|>")
        assert answer_of(conversation)[0] not in prompt[-12:]


def test_every_token_has_the_part_that_it_is_of(batch, processor):
    conversations, made = batch
    names = ("regions", "reasoning", "scores", "scenes")
    for row, conversation in enumerate(conversations):
        is_learnt = made["labels"][row] != IGNORED
        text = {}
        for token, part in zip(
            made["labels"][row][is_learnt], made["parts"][row][is_learnt], strict=True
        ):
            text.setdefault(names[part], []).append(int(token))
        parts = {name: processor.tokenizer.decode(tokens) for name, tokens in text.items()}
        if conversation.stream == "scenes":
            assert parts.keys() == {"scenes"}
            continue
        assert '"score":' in parts["scores"]
        assert parts["scores"].endswith("<|im_end|>")
        assert '"reasoning":' in parts["reasoning"]
        assert ("regions" in parts) == (conversation.stream == "sc")


def test_parts_are_found_where_a_label_speaks_of_keys():
    label = '"reasoning": "score": x'
    region = {"id": 0, "label": label, "bbox_2d": [0, 0, 9, 9]}
    text = json.dumps({"edit_region": [region], "reasoning": '"score": 3', "score": [1, 2]})
    regions, reasoning, scores = answer_parts(text)
    assert (regions.part, regions.at) == ("regions", 0)
    assert text[reasoning.at :].startswith('"reasoning": "\\"score')
    assert text[scores.at :] == '"score": [1, 2]}'


def test_edits_are_named_for_messages(batch, known_samples):
    _, made = batch
    assert made["ids"][0] == f"{known_samples[0].id} (sc)"


def test_a_picture_that_cannot_be_decoded_is_named(processor):
    edit = make_edit(1)
    broken = edit.model_copy(update={"edited": edit.edited[:200]})
    _, perceptual = sft_conversations(broken, TINY)
    with pytest.raises(InvalidInputError, match="edit-1/pq"):
        question_of(perceptual)
    with pytest.raises(InvalidInputError, match="edit-1/pq"):
        Collator(processor)([perceptual])
