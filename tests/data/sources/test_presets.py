"""Every preset reads rows made in exactly the schema that its data set publishes."""

import json
import logging
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from spatialreward.data.sources.config import JsonlSource, ParquetSource
from spatialreward.data.sources.opening import open_source
from spatialreward.data.sources.presets import PRESETS
from spatialreward.errors import InvalidInputError
from spatialreward.records import Scores
from tests.data.sources.small_data_sets import (
    IMAGE,
    edits_of,
    image,
    picture,
    write_jsonl,
    write_parquet,
    write_pictures,
)

TEXT = pa.string()


def read_parquet(folder: Path, preset: str, schema: dict[str, pa.DataType], *rows: dict):
    write_parquet(folder / "data/train-00000-of-00001.parquet", list(rows), pa.schema(schema))
    return edits_of(open_source(ParquetSource(folder=str(folder), columns=preset)))


def test_instructpix2pix(tmp_path):
    schema = {
        "original_prompt": TEXT,
        "original_image": IMAGE,
        "edit_prompt": TEXT,
        "edited_prompt": TEXT,
        "edited_image": IMAGE,
    }
    row = {
        "original_prompt": "a hill",
        "original_image": image("hill"),
        "edit_prompt": "make it a mountain",
        "edited_prompt": "a mountain",
        "edited_image": image("mountain"),
    }
    [edit] = read_parquet(tmp_path, "instructpix2pix", schema, row)
    assert edit.id == "instructpix2pix/data/train-00000-of-00001.parquet:0"
    assert edit.instruction == "make it a mountain"
    assert (edit.sources, edit.edited) == ((picture("hill"),), picture("mountain"))
    assert edit.given == {"original_prompt": "a hill", "edited_prompt": "a mountain"}


def test_magicbrush(tmp_path):
    schema = {
        "img_id": TEXT,
        "turn_index": pa.int32(),
        "source_img": IMAGE,
        "mask_img": IMAGE,
        "instruction": TEXT,
        "target_img": IMAGE,
    }
    turns = [
        {
            "img_id": "327774",
            "turn_index": turn,
            "source_img": image(f"s{turn}"),
            "mask_img": image("mask"),
            "instruction": f"turn {turn}",
            "target_img": image(f"t{turn}"),
        }
        for turn in (1, 2)
    ]
    edits = read_parquet(tmp_path, "magicbrush", schema, *turns)
    assert [edit.id for edit in edits] == ["magicbrush/327774-1", "magicbrush/327774-2"]
    assert (edits[1].sources, edits[1].edited) == ((picture("s2"),), picture("t2"))
    assert edits[1].instruction == "turn 2"


def test_omniedit(tmp_path):
    schema = {
        "omni_edit_id": TEXT,
        "task": TEXT,
        "src_img": IMAGE,
        "edited_img": IMAGE,
        "edited_prompt_list": pa.list_(TEXT),
        "width": pa.int64(),
        "height": pa.int64(),
        "sc_score_1": pa.int64(),
        "sc_score_2": pa.int64(),
        "sc_reasoning": TEXT,
        "pq_score": pa.int64(),
        "pq_reasoning": TEXT,
        "o_score": pa.float64(),
    }
    row = {
        "omni_edit_id": "task_obj_add_7",
        "task": "addition",
        "src_img": image("s"),
        "edited_img": image("e"),
        "edited_prompt_list": ["Add a cat", "Add a cat to the scene"],
        "width": 640,
        "height": 480,
        "sc_score_1": 10,
        "sc_score_2": 9,
        "sc_reasoning": "well done",
        "pq_score": 8,
        "pq_reasoning": "sharp",
        "o_score": 8.5,
    }
    [edit] = read_parquet(tmp_path, "omniedit", schema, row)
    assert edit.id == "omniedit/task_obj_add_7"
    assert (edit.instruction, edit.operation) == ("Add a cat to the scene", "addition")
    assert (edit.sources, edit.edited) == ((picture("s"),), picture("e"))
    assert edit.given == {
        "first_prompt": "Add a cat",
        "sc_score_1": 10.0,
        "sc_score_2": 9.0,
        "sc_reasoning": "well done",
        "pq_score": 8.0,
        "pq_reasoning": "sharp",
        "o_score": 8.5,
    }


IMGEDIT_TURN = pa.struct(
    [("input_images", pa.list_(TEXT)), ("output_images", pa.list_(TEXT)), ("prompt", TEXT)]
)


def imgedit_turn(number: int) -> dict:
    return {
        "input_images": [f"results_part0/00094/origin_{number}.png"],
        "output_images": [f"results_part0/00094/result_{number}.png"],
        "prompt": f"turn {number}",
    }


@pytest.fixture
def imgedit(tmp_path: Path) -> Path:
    for number in range(2):
        turn = imgedit_turn(number)
        write_pictures(tmp_path / "pictures", *turn["input_images"], *turn["output_images"])
    return tmp_path


def test_imgedit(imgedit):
    write_parquet(
        imgedit / "Parquet/remove_part5.parquet", [imgedit_turn(0)], pa.schema(list(IMGEDIT_TURN))
    )
    config = ParquetSource(
        folder=str(imgedit / "Parquet"), columns="imgedit", pictures=str(imgedit / "pictures")
    )
    [edit] = edits_of(open_source(config))
    assert edit.id == "imgedit/remove_part5.parquet:0"
    assert edit.sources == (picture("results_part0/00094/origin_0.png"),)
    assert edit.edited == picture("results_part0/00094/result_0.png")
    assert edit.instruction == "turn 0"


def test_every_turn_of_imgedit_is_an_edit(imgedit):
    schema = pa.schema([("data", pa.list_(IMGEDIT_TURN))])
    rows = [{"data": [imgedit_turn(0), imgedit_turn(1)]}]
    write_parquet(imgedit / "Parquet/version_backtracking_part0.parquet", rows, schema)
    config = ParquetSource(
        folder=str(imgedit / "Parquet"),
        columns="imgedit-multiturn",
        pictures=str(imgedit / "pictures"),
    )
    first, second = edits_of(open_source(config))
    assert first.id == "imgedit-multiturn/version_backtracking_part0.parquet:0/0"
    assert second.id.endswith(":0/1")
    assert second.instruction == "turn 1"
    assert second.edited == picture("results_part0/00094/result_1.png")


def test_both_edits_of_an_editreward_pair_are_read_with_their_own_scores(tmp_path):
    schema = {
        "key": TEXT,
        "unique_key": TEXT,
        "pair_index": pa.int32(),
        "instruction": TEXT,
        "source_img": IMAGE,
        "left_output_image": IMAGE,
        "right_output_image": IMAGE,
        "left_model": TEXT,
        "right_model": TEXT,
        "left_overall_score": pa.float32(),
        "left_instruction_following_score": pa.float32(),
        "left_quality_aesthetic_score": pa.float32(),
        "right_overall_score": pa.float32(),
        "right_instruction_following_score": pa.float32(),
        "right_quality_aesthetic_score": pa.float32(),
        "vote_type": TEXT,
        "metadata_index": pa.int32(),
        "left_img_rel": TEXT,
        "right_img_rel": TEXT,
    }
    row = {
        "key": "eff5",
        "unique_key": "eff5_0",
        "pair_index": 0,
        "instruction": "Make the sandwich a hot dog.",
        "source_img": image("s"),
        "left_output_image": image("l"),
        "right_output_image": image("r"),
        "left_model": "ovis_u1",
        "right_model": "qwen_edit",
        "left_overall_score": 6.0,
        "left_instruction_following_score": 4.0,
        "left_quality_aesthetic_score": 2.0,
        "right_overall_score": 3.5,
        "right_instruction_following_score": 2.5,
        "right_quality_aesthetic_score": 1.0,
        "vote_type": "leftvote",
        "metadata_index": 3,
        "left_img_rel": "eff5/ovis_u1.png",
        "right_img_rel": "eff5/qwen_edit.png",
    }
    left, ranking, right = read_parquet(tmp_path, "editreward", schema, row)
    assert (left.id, right.id) == ("editreward/eff5_0/left", "editreward/eff5_0/right")
    assert left.sources == right.sources == (picture("s"),)
    assert (left.edited, right.edited) == (picture("l"), picture("r"))
    assert (left.editor, right.editor) == ("ovis_u1", "qwen_edit")
    assert right.given == {
        "pair": "eff5_0",
        "overall_score": 3.5,
        "instruction_following_score": 2.5,
        "quality_aesthetic_score": 1.0,
        "vote_type": "leftvote",
        "other_model": "ovis_u1",
        "other_overall_score": 6.0,
    }
    assert ranking.id == "editreward/eff5_0/ranking"
    assert [(one.edited, one.editor) for one in ranking.edits] == [
        (picture("l"), "ovis_u1"),
        (picture("r"), "qwen_edit"),
    ]
    assert ranking.orders == {
        "instruction_following": (0, 1),
        "quality_aesthetic": (0, 1),
        "overall": (0, 1),
    }


def test_editscore_rl_data_are_prompts_without_an_edited_picture(tmp_path):
    write_pictures(tmp_path, "images/0.png", "images/1.png")
    row = {
        "task_type": "subject_add",
        "instruction": "Put the cat on the chair.",
        "input_images": ["images/0.png", "images/1.png"],
        "meta_data": {"source": "x"},
    }
    write_jsonl(tmp_path / "rl.jsonl", [row])
    [edit] = edits_of(open_source(JsonlSource(folder=str(tmp_path), columns="editscore-rl")))
    assert edit.id == "editscore-rl/rl.jsonl:1"
    assert edit.sources == (picture("images/0.png"), picture("images/1.png"))
    assert edit.edited is None
    assert edit.operation == "subject_add"
    assert edit.given == {"meta_data": '{"source": "x"}'}


SC_ANSWER = {
    "edit_region": [{"id": 0, "label": "the dog", "bbox_2d": [100, 200, 300, 400]}],
    "reasoning": "<|bbox_0|> gone. <|global|> fine.",
    "score": [24, 20],
}
PQ_ANSWER = {"reasoning": "The fur is blurred.", "score": [12, 9]}
SC_QUESTION = "<image><image>RULES ...\nEditing instruction: \nRemove the dog"
PQ_QUESTION = "<image>RULES for looks ..."


def sharegpt(pictures: list[str] | str, question: str, answer: str) -> dict:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"image": pictures, "conversations": turns}


def messages(pictures: list[str] | str, question: str, answer: str) -> dict:
    turns = [
        {"role": "system", "content": "You judge edits."},
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]
    return {"images": pictures, "messages": turns}


def sft_source(tmp_path, *rows):
    write_pictures(tmp_path / "sft", "images/0_0.jpg", "images/0_1.jpg")
    write_jsonl(tmp_path / "sft/data.jsonl", rows)
    return open_source(
        JsonlSource(folder=str(tmp_path / "sft"), columns="spatialreward-sft-assumed")
    )


BOTH, ALONE = ["images/0_0.jpg", "images/0_1.jpg"], ["images/0_1.jpg"]


@pytest.mark.parametrize("row", [sharegpt, messages])
@pytest.mark.parametrize("thought", ["", "<think>\n\n</think>\n\n", "<think>Hm.</think>"])
@pytest.mark.parametrize("alone", [ALONE, ALONE[0]])
def test_spatialreward_sft_as_assumed(tmp_path, caplog, row, thought, alone):
    sc = row(BOTH, SC_QUESTION, thought + json.dumps(SC_ANSWER))
    pq = row(alone, PQ_QUESTION, thought + json.dumps(PQ_ANSWER))
    with caplog.at_level(logging.WARNING):
        source = sft_source(tmp_path, sc, pq)
    assert "spatialreward-sft-assumed is an assumption" in caplog.text
    semantic, perceptual = edits_of(source)
    assert semantic.instruction == "Remove the dog"
    assert semantic.sources == (picture("images/0_0.jpg"),)
    assert semantic.edited == perceptual.edited == picture("images/0_1.jpg")
    label = semantic.label
    assert [(box.label, box.bbox_2d) for box in label.regions] == [
        ("the dog", (100, 200, 300, 400))
    ]
    assert label.sc_reasoning == SC_ANSWER["reasoning"]
    assert label.scores == Scores(editing_success=24, over_editing=20)
    assert label.judged_by == "spatialreward-sft-assumed"
    assert (perceptual.sources, perceptual.instruction) == ((), "")
    assert perceptual.label.pq_reasoning == PQ_ANSWER["reasoning"]
    assert perceptual.label.scores == Scores(naturalness=12, artifact_freedom=9)
    assert perceptual.label.regions == ()


def test_the_columns_that_were_found_are_named_where_no_form_fits(tmp_path):
    row = {"picture_paths": BOTH, "turns": []}
    with pytest.raises(InvalidInputError, match="image;images; there are picture_paths, turns"):
        sft_source(tmp_path, row)


def test_spatialreward_rl_as_assumed(tmp_path):
    write_pictures(tmp_path / "rl", "images/0_0.jpg", "images/0_1.jpg")
    row = {
        "id": 17,
        "image": ["images/0_0.jpg", "images/0_1.jpg"],
        "instruction": "Remove the dog",
        "messages": [{"role": "user", "content": "<image><image>Judge."}],
        "solution": "sc",
    }
    (tmp_path / "rl/data.json").write_text(json.dumps([row]))
    config = JsonlSource(
        folder=str(tmp_path / "rl"), files="data.json", columns="spatialreward-rl-assumed"
    )
    [edit] = edits_of(open_source(config))
    assert edit.id == "spatialreward-rl-assumed/data.json:1"
    assert edit.edited == picture("images/0_1.jpg")
    assert edit.given == {"id": 17.0, "solution": "sc"}


def test_every_preset_says_where_its_schema_was_read_and_a_guess_says_so_in_its_name():
    assert all(preset.read_at for preset in PRESETS.values())
    guesses = {name for name, preset in PRESETS.items() if preset.assumed}
    assert guesses == {name for name in PRESETS if name.endswith("-assumed")}


def test_a_preset_that_there_is_not_is_refused_with_the_names_of_those_that_there_are():
    with pytest.raises(ValidationError, match="one of instructpix2pix, magicbrush"):
        ParquetSource(folder="data", columns="magic")
