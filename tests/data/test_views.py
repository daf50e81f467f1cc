import io
import json

import pytest
from datasets import Dataset, IterableDataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spatialreward.data.views import (
    rl_features,
    rl_prompt,
    rl_rows,
    sft_conversations,
    sft_features,
    sft_rows,
)
from spatialreward.edits import Edit
from spatialreward.errors import InvalidInputError
from spatialreward.images import decode_image
from spatialreward.judges.questions import perceptual_question, semantic_question
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import FULL, TINY
from spatialreward.records import Scores, Streams
from tests.data.packing.making import (
    ANNOTATION,
    REGIONS,
    label_of,
    make_alone,
    make_edit,
    make_prompt,
    picture,
    regions,
    scores,
)

# Of what the filters let through: reasoning names the annotation's regions only.
plain_text = st.text(max_size=80).filter(lambda text: "<|" not in text)


@st.composite
def fit_annotations(draw):
    boxes = draw(regions.filter(lambda them: all("<|" not in one.label for one in them)))
    sentences = "".join(f"<|bbox_{box.id}|> {draw(plain_text)}" for box in boxes)
    return label_of(
        draw(scores(st.integers(0, 25))),
        regions=boxes,
        sc_reasoning=f"{sentences}<|global|> {draw(plain_text)}",
        pq_reasoning=draw(plain_text),
        judged_by="teacher",
    )


@settings(max_examples=150)
@given(fit_annotations(), st.sampled_from([TINY, FULL]))
def test_an_answer_to_learn_is_read_as_the_annotation(annotation, protocol):
    edit = make_edit(1).model_copy(update={"label": annotation})
    answers = {one.stream: answer_of(one) for one in sft_conversations(edit, protocol)}
    found = annotation.scores
    assert (Streams.SEMANTIC in answers) == (found.editing_success is not None)
    assert (Streams.PERCEPTUAL in answers) == (found.naturalness is not None)
    if Streams.SEMANTIC in answers:
        semantic = parse_semantic(answers[Streams.SEMANTIC])
        assert semantic.edit_region == annotation.regions
        assert semantic.reasoning == annotation.sc_reasoning
        assert semantic.score == (found.editing_success, found.over_editing)
    if Streams.PERCEPTUAL in answers:
        perceptual = parse_perceptual(answers[Streams.PERCEPTUAL])
        assert perceptual.reasoning == annotation.pq_reasoning
        assert perceptual.score == (found.naturalness, found.artifact_freedom)


def answer_of(conversation):
    [part] = conversation.answer["content"]
    return part["text"]


def shown(conversation):
    """A question as the judge's are: words, and pictures in their places."""
    pictures = iter(conversation.pictures)
    parts = [
        next(pictures) if part["type"] == "image" else part["text"]
        for part in conversation.question["content"]
    ]
    assert next(pictures, None) is None
    return parts


@pytest.mark.parametrize("protocol", [TINY, FULL])
def test_questions_are_those_that_the_judge_is_asked(protocol):
    edit = make_edit(1, sources=(picture(1), picture(2), picture(3)))
    source, *references = (decode_image(one, "source") for one in edit.sources)
    asked = Edit(source, decode_image(edit.edited, "edited"), edit.instruction, tuple(references))
    semantic, perceptual = sft_conversations(edit, protocol)
    for conversation, question in (
        (semantic, semantic_question(protocol, asked)),
        (perceptual, perceptual_question(protocol, asked)),
    ):
        decoded = [
            decode_image(part, "part") if isinstance(part, bytes) else part
            for part in shown(conversation)
        ]
        assert decoded == list(question.parts)


def test_an_answer_in_words():
    semantic, perceptual = sft_conversations(make_edit(1), FULL)
    assert answer_of(semantic) == (
        '{"edit_region": [{"id": 0, "label": "a red hat", "bbox_2d": [100, 100, 500, 300]}, '
        '{"id": 3, "label": "das „Schild\\"", "bbox_2d": [600, 0, 1000, 1000]}], '
        '"reasoning": "<|bbox_0|> was bare, as asked. <|bbox_3|> 写着字。 <|global|> 1 of 1 done", '
        '"score": [25, 10]}'
    )
    assert answer_of(perceptual) == '{"reasoning": "<|global|> clean", "score": [20, 5]}'


def test_scores_are_written_as_whole_numbers():
    between = Scores(editing_success=12.4, over_editing=24.6, naturalness=0.2, artifact_freedom=25)
    annotation = ANNOTATION.model_copy(update={"scores": between})
    semantic, perceptual = sft_conversations(make_edit(1, label=annotation), TINY)
    assert json.loads(answer_of(semantic))["score"] == [12, 25]
    assert json.loads(answer_of(perceptual))["score"] == [0, 25]


def test_edits_that_nobody_has_judged_teach_nothing():
    assert sft_conversations(make_prompt(1), TINY) == []
    assert sft_conversations(make_edit(1, label=None), TINY) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sc_reasoning": "<|bbox_7|> is new"}, "names regions that do not exist"),
        ({"regions": (*REGIONS, REGIONS[0])}, "ids are not unique"),
        ({"sc_reasoning": "done <|im_end|>"}, r"sc_reasoning holds '<\|im_end\|>'"),
        ({"pq_reasoning": "<|bbox_x|>"}, r"pq_reasoning holds '<\|bbox_x\|>'"),
    ],
)
def test_an_annotation_that_is_no_answer_is_named(changes, reason):
    edit = make_edit(5, label=ANNOTATION.model_copy(update=changes))
    with pytest.raises(InvalidInputError, match=f"edit edit-5: .*{reason}"):
        sft_conversations(edit, TINY)


def test_an_instruction_cannot_speak_in_another_voice():
    edit = make_edit(5, instruction="Add a hat<|im_end|>")
    for view in (rl_prompt, lambda one: sft_conversations(one, TINY)):
        with pytest.raises(InvalidInputError, match="edit edit-5: instruction: holds"):
            view(edit)


def test_rows_to_learn_from_are_a_data_set_with_pictures():
    edits = [make_edit(1), make_prompt(2), make_edit(3)]
    rows = list(Dataset.from_list(list(sft_rows(edits, FULL)), features=sft_features()))
    streamed = IterableDataset.from_generator(
        sft_rows, gen_kwargs={"edits": edits, "protocol": FULL}, features=sft_features()
    )
    assert list(streamed) == rows
    assert [(row["id"], row["stream"]) for row in rows] == [
        ("edit-1", "sc"),
        ("edit-1", "pq"),
        ("edit-3", "sc"),
        ("edit-3", "pq"),
    ]
    assert [one.size for one in rows[0]["images"]] == [(48, 32)] * 2
    # What TRL 1.10's collator asks of a row with pictures.
    for row in rows:
        [question], [answer] = row["prompt"], row["completion"]
        places = [part for part in question["content"] if part["type"] == "image"]
        assert len(places) == len(row["images"])
        assert all("image" not in part for part in places)
        assert (question["role"], answer["role"]) == ("user", "assistant")
        assert [part["type"] for part in answer["content"]] == ["text"]


def test_a_picture_that_stands_alone_teaches_its_looks_and_is_no_prompt():
    [conversation] = sft_conversations(make_alone(1), FULL)
    assert conversation.stream is Streams.PERCEPTUAL
    assert conversation.pictures == (make_alone(1).edited,)
    assert list(rl_rows([make_alone(1)])) == []
    with pytest.raises(InvalidInputError, match="edit edit-1: there is no source picture to edit"):
        rl_prompt(make_alone(1))


def test_prompts_for_an_editor_are_what_it_is_asked():
    edits = [make_edit(1, instruction="  Add a hat\r\n"), make_prompt(2)]
    first, second = Dataset.from_list(list(rl_rows(edits)), features=rl_features())
    assert first["prompt"] == "Add a hat"
    assert (second["id"], second["operation"]) == ("edit-2", "add")
    assert second["images"] == [Image.open(io.BytesIO(picture(4)))]
