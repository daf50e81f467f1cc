import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spatialreward.data.edits import (
    Extent,
    LabelledEdit,
    RowOrigin,
    SpatialPrior,
)
from spatialreward.data.filters.facts import (
    FACTS_SCHEMA,
    check_facts,
    edited_hashes,
    facts_of,
    facts_table,
    score_steps,
    source_hashes,
    with_source,
)
from spatialreward.errors import InvalidInputError
from spatialreward.records import Scores
from tests.data.packing.making import label_of

PRIOR = SpatialPrior(
    extent=Extent.NOTHING, regions=(), changed_share=0, noise=1.0, shift_px=(0.0, 0.0)
)


def edit(id="e1", success=None, **fields) -> LabelledEdit:
    annotation = None if success is None else label_of(
        Scores(editing_success=success, over_editing=25),
        sc_reasoning="<|global|> Nothing was changed.",
    )  # fmt: skip
    given = {
        "id": id,
        "instruction": "make it snow",
        "sources": (b"one",),
        "edited": b"two",
        "operation": " Style  Change",
        "prior": PRIOR,
        "label": annotation,
        "editor": "kontext",
        "fingerprints": ("00000000000000ff", "ffffffffffffffff"),
        "origin": RowOrigin(file="f", row="1"),
    }
    return LabelledEdit(**given | fields)


def test_the_facts_of_a_picture_that_stands_alone():
    alone = edit(sources=(), prior=None, fingerprints=("00000000000000ff",), instruction="")
    facts = facts_of(alone.model_copy(update={"lost_label": "no answer: is empty"}))
    assert (facts.sources, facts.edited, facts.source_digest) == ([], 255, None)
    assert facts.lost_label == "no answer"
    assert len(with_source(facts_table([facts, facts_of(edit("e2"))]))) == 1


def test_the_facts_of_an_edit_are_its_own():
    facts = facts_of(edit(success=20.0))
    assert facts.id == "e1"
    assert facts.operation == "style change"
    assert facts.editor == "kontext"
    assert facts.sources == [255]
    assert facts.edited == 2**64 - 1
    assert facts.success == 20.0


def test_an_edit_without_annotation_has_no_score():
    facts = facts_of(edit())
    assert (facts.success, facts.reasoning) == (None, None)


def test_spaces_in_the_instruction_do_not_make_another_edit():
    same = facts_of(edit(instruction=" make it  snow"))
    other = facts_of(edit(instruction="make it rain"))
    assert same.digest == facts_of(edit()).digest
    assert other.digest != facts_of(edit()).digest
    assert other.source_digest == facts_of(edit()).source_digest


def test_fingerprints_are_one_a_picture():
    with pytest.raises(InvalidInputError, match="edit e1: fingerprints: expected 2"):
        facts_of(edit(fingerprints=("00000000000000ff",)))


def test_a_table_holds_prompts_and_edits_of_several_sources():
    prompt = edit("p", edited=None, prior=None, fingerprints=("00000000000000ff",))
    several = edit(
        "s", sources=(b"a", b"b"), fingerprints=("0" * 15 + "1", "0" * 15 + "2", "f" * 16)
    )
    table = facts_table(map(facts_of, (prompt, several)))
    assert table.schema.equals(FACTS_SCHEMA)
    assert source_hashes(table).tolist() == [[255, 0], [1, 2]]
    assert edited_hashes(table).tolist() == [0, 2**64 - 1]
    # As a table that was filtered, or read from several shards, is.
    assert source_hashes(table.slice(1)).tolist() == [[1, 2]]
    assert source_hashes(pa.concat_tables([table, table])).shape == (4, 2)


def test_a_table_survives_being_written(tmp_path):
    table = facts_table(
        [facts_of(edit()), facts_of(edit("p", edited=None, prior=None, fingerprints=("0" * 16,)))]
    )
    pq.write_table(table, tmp_path / "facts.parquet")
    again = pq.read_table(tmp_path / "facts.parquet")
    check_facts(again)
    assert again.equals(table)


def test_reasoning_without_words_is_none():
    silent = edit(success=20.0).label.model_copy(update={"sc_reasoning": "<|global|> ..."})
    assert facts_of(edit(label=silent)).reasoning is None


def test_no_edits_are_a_table_too():
    table = facts_table([])
    check_facts(table)
    assert source_hashes(table).shape == (0, 1)
    assert score_steps(table, 5.0).tolist() == []


def test_the_best_score_is_in_the_last_step():
    scores = [None, 0.0, 4.9, 5.0, 24.9, 25.0]
    table = facts_table(facts_of(edit(str(n), success=score)) for n, score in enumerate(scores))
    assert score_steps(table, 5.0).tolist() == [-1, 0, 0, 1, 4, 4]
    assert score_steps(table, 10.0).tolist() == [-1, 0, 0, 0, 2, 2]


def test_an_id_that_comes_twice_is_named():
    with pytest.raises(InvalidInputError, match="edit e1: comes 2 times: f, row 1; f, row 1"):
        check_facts(facts_table([facts_of(edit()), facts_of(edit())]))


def test_a_table_of_something_else_is_refused():
    with pytest.raises(InvalidInputError, match="expected the columns"):
        check_facts(facts_table([facts_of(edit())]).drop_columns(["editor"]))
