import pytest

from spatialreward.data.edits import RowOrigin
from spatialreward.data.views import sft_conversations
from spatialreward.errors import InvalidInputError
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import FULL, TINY
from spatialreward.records import Scores
from spatialreward.training.examples import judging_examples
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.targets import answer, question
from tests.data.packing.making import ANNOTATION, make_edit, make_prompt


@pytest.fixture(scope="module")
def samples():
    return list(draw_samples(DataConfig(seed=4), "train", 5))


@pytest.mark.parametrize("task", ["semantic", "perceptual"])
def test_an_edit_of_the_world_is_taught_in_the_worlds_words(samples, task):
    edits = [labelled_edit(sample, RowOrigin(file="test", row="")) for sample in samples]
    for sample, example in zip(samples, judging_examples(task, edits, TINY), strict=True):
        assert example.answer == answer(task, sample)
        asked, expected = example.ask(), question(task, sample, TINY)
        assert asked.text == expected.text
        assert asked.pictures == expected.pictures


@pytest.mark.parametrize("protocol", [TINY, FULL])
def test_any_other_edit_is_taught_as_its_conversation(protocol):
    edit = make_edit(1)
    [semantic] = judging_examples("semantic", [edit], protocol)
    [perceptual] = judging_examples("perceptual", [edit], protocol)
    read = parse_semantic(semantic.answer)
    assert (read.edit_region, read.reasoning, read.score) == (
        ANNOTATION.regions,
        ANNOTATION.sc_reasoning,
        (25, 10),
    )
    assert parse_perceptual(perceptual.answer).score == (20, 5)
    assert edit.instruction in semantic.ask().text
    assert semantic.ask().pictures == [*edit.source_images(), edit.edited_image()]
    assert perceptual.ask().pictures == [edit.edited_image()]
    told = [part["content"][0]["text"] for _, _, _, part, _ in sft_conversations(edit, protocol)]
    assert [semantic.answer, perceptual.answer] == told


def test_an_edit_with_several_sources_is_shown_with_all_of_them():
    edit = make_edit(1, sources=(make_edit(2).sources[0], make_edit(3).sources[0]))
    [example] = judging_examples("semantic", [edit], TINY)
    assert len(example.ask().pictures) == 3


def test_what_has_no_label_for_a_stream_is_left_out():
    only_semantic = Scores(editing_success=5, over_editing=25)
    edits = [
        make_edit(1, label=None),
        make_prompt(2),
        make_edit(3, label=ANNOTATION.model_copy(update={"scores": only_semantic})),
    ]
    assert len(list(judging_examples("semantic", edits, TINY))) == 1
    assert list(judging_examples("perceptual", edits, TINY)) == []


def test_a_picture_that_cannot_be_decoded_is_named_when_it_is_asked_for():
    edit = make_edit(1)
    broken = edit.model_copy(update={"edited": edit.edited[:200]})
    [example] = judging_examples("perceptual", [broken], TINY)
    with pytest.raises(InvalidInputError, match="edit-1/pq"):
        example.ask()
