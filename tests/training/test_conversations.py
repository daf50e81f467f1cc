import numpy as np
import pytest

from spatialreward.data.dataset import Dataset
from spatialreward.data.edits import RowOrigin
from spatialreward.data.negatives.copies import AttackedCopies
from spatialreward.data.packing.shards import write_shard
from spatialreward.data.views import sft_conversations
from spatialreward.errors import InvalidInputError
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import FULL, TINY
from spatialreward.records import Scores, Streams
from spatialreward.training.conversations import (
    Joined,
    Limits,
    PackedConversations,
    Planned,
    answer_of,
    question_of,
)
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.targets import answer, question, scene_conversation
from tests.data.packing.making import ANNOTATION, make_alone, make_edit, make_prompt

BOTH = (Streams.SEMANTIC, Streams.PERCEPTUAL)
LIMITS = Limits(answer=208, whole=8_192)


@pytest.fixture(scope="module")
def samples():
    return list(draw_samples(DataConfig(seed=4), "train", 5))


def packed(folder, *edits):
    folder.mkdir(exist_ok=True)
    write_shard(folder / "edits.parquet", edits)
    return Dataset(folder)


def opened(data, untrained, limits=LIMITS, streams=BOTH):
    return PackedConversations(data, TINY, untrained[1].following(TINY), limits, streams)


def wordy(number, words):
    """An edit whose PQ answer has so many words more."""
    label = ANNOTATION.model_copy(update={"pq_reasoning": "clean " * words})
    return make_edit(number, label=label)


def test_an_edit_of_the_world_is_taught_in_the_worlds_words(samples, tmp_path, untrained):
    edits = [labelled_edit(sample, RowOrigin(file="test", row="")) for sample in samples]
    taught = opened(packed(tmp_path / "data", *edits), untrained)
    assert len(taught) == 10
    for number in range(10):
        sample, task = samples[number // 2], ("semantic", "perceptual")[number % 2]
        assert answer_of(taught[number]) == answer(task, sample)
        asked, expected = question_of(taught[number]), question(task, sample, TINY)
        assert asked.text == expected.text
        assert asked.pictures == expected.pictures
        of_world = scene_conversation(task, sample, TINY)
        assert taught[number]._replace(id="") == of_world._replace(id="")


def test_numbers_of_a_stream_are_those_of_its_conversations(tmp_path, untrained):
    only_semantic = Scores(editing_success=5, over_editing=25)
    alone = ANNOTATION.model_copy(update={"scores": only_semantic})
    data = packed(tmp_path, make_edit(1), make_prompt(2), make_edit(3, label=alone), make_alone(4))
    taught = opened(data, untrained)
    assert [taught[number].stream for number in taught.of(Streams.SEMANTIC)] == ["sc", "sc"]
    assert [taught[number].id for number in taught.of(Streams.PERCEPTUAL)] == ["edit-1", "edit-4"]
    assert len(opened(data, untrained, streams=BOTH[:1])) == 2


@pytest.mark.parametrize("attacked", [False, True])
def test_lengths_are_those_of_the_models_inputs(tmp_path, untrained, attacked):
    processor = untrained[1].following(TINY)
    data = packed(tmp_path, *(make_edit(number) for number in range(12)))
    copies = AttackedCopies(data, 3, "edits") if attacked else None
    taught = PackedConversations(data, TINY, processor, LIMITS, BOTH, copies)
    for number in range(len(taught)):
        one = taught[number]
        encoded = processor.encode([question_of(one)], [answer_of(one)])
        assert taught.lengths[number] == encoded["input_ids"].shape[1]


@pytest.mark.parametrize("protocol", [TINY, FULL])
def test_any_other_edit_is_taught_as_its_conversation(protocol):
    edit = make_edit(1)
    semantic, perceptual = sft_conversations(edit, protocol)
    read = parse_semantic(answer_of(semantic))
    assert (read.edit_region, read.reasoning, read.score) == (
        ANNOTATION.regions,
        ANNOTATION.sc_reasoning,
        (25, 10),
    )
    assert parse_perceptual(answer_of(perceptual)).score == (20, 5)
    assert edit.instruction in question_of(semantic).text
    assert question_of(semantic).pictures == [*edit.source_images(), edit.edited_image()]
    assert question_of(perceptual).pictures == [edit.edited_image()]


def test_an_edit_with_several_sources_is_shown_with_all_of_them():
    edit = make_edit(1, sources=(make_edit(2).sources[0], make_edit(3).sources[0]))
    semantic, _ = sft_conversations(edit, TINY)
    assert len(question_of(semantic).pictures) == 3


def test_answers_that_are_too_long_are_left_out_and_the_longest_are_named(
    tmp_path, untrained, caplog
):
    long = [wordy(number, 100 * number) for number in (4, 3, 6, 5)]
    data = packed(tmp_path, make_edit(0), make_prompt(1), make_alone(2), *long)
    taught = opened(data, untrained)
    assert taught.num_left_out == 4
    assert len(taught) == 7
    assert not any("clean clean" in answer_of(taught[number]) for number in range(7))
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    # Five edits with both answers, and one with the PQ answer alone.
    assert f"{tmp_path}: 4 of 11 answers are longer than max_answer_tokens = 208 of " in said
    named = said.partition("the longest: ")[2].split(", ")
    assert [one.partition(" ")[0] for one in named] == ["edit-6", "edit-5", "edit-4"]


def test_conversations_above_the_limit_are_left_out_and_never_cut(tmp_path, untrained, caplog):
    data = packed(tmp_path, make_edit(0), wordy(1, 100))
    whole = opened(data, untrained, streams=BOTH[1:])
    limit = int(max(whole.lengths)) - 1
    taught = opened(data, untrained, Limits(answer=208, whole=limit), BOTH[1:])
    assert taught.num_left_out == 1
    assert taught.lengths.tolist() == [min(whole.lengths)]
    assert f"1 of 2 conversations are longer than max_tokens = {limit}" in caplog.text


def test_a_stream_whose_answers_are_all_too_long_is_an_error(tmp_path, untrained):
    data = packed(tmp_path, wordy(1, 400), wordy(2, 500))
    with pytest.raises(
        InvalidInputError,
        match=r"all 2 perceptual answers are longer than max_answer_tokens = 208 of protocol tiny: "
        r"edit-2 \(\d+\), edit-1 \(\d+\); shorten the labels",
    ):
        opened(data, untrained)


def test_joined_conversations_have_running_numbers():
    joined = Joined([["a", "b"], [], ["c"]])
    assert len(joined) == 3
    assert [joined[number] for number in range(3)] == ["a", "b", "c"]
    assert [Planned(joined, np.array([2, 0, 2]))[number] for number in range(3)] == ["c", "a", "c"]
