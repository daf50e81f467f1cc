import pytest
import yaml
from datasets import load_dataset

from spatialreward.data.edits import Extent
from spatialreward.data.packing.card import About, write_card
from spatialreward.data.packing.drawing import edits_sheet
from spatialreward.data.packing.manifest import ShardReport, gather, write_manifest
from spatialreward.data.packing.shards import count_edits, write_shard
from spatialreward.errors import InvalidInputError
from spatialreward.images import load_image
from tests.data.packing.making import ANNOTATION, PRIOR, make_alone, make_edit, make_prompt

ABOUT = About(
    name="Hats | 帽子",
    summary="Edits of *hats*.",
    license="other",
    license_note="Ask the hatter.",
)
GLOBAL = PRIOR.model_copy(update={"extent": Extent.GLOBAL, "changed_share": 0.9})


def pack(folder, shards, left_out=None):
    reports = []
    for number, edits in enumerate(shards):
        path = folder / f"train-{number:05d}.parquet"
        shard = write_shard(path, edits)
        reports.append(ShardReport(shard=shard, counts=count_edits(path), left_out=left_out or {}))
    manifest = gather(reports, {"side_px": 512})
    write_manifest(manifest, folder)
    return manifest


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """The folder of a packed data set with its card, its manifest and the card's text."""
    folder = tmp_path_factory.mktemp("annotated")
    edits = [
        [make_edit(1), make_edit(2, prior=GLOBAL, operation="style")],
        [make_prompt(3), make_edit(4, label=None)],
    ]
    manifest = pack(folder, edits, {"duplicate": 1, "unreadable | small": 2})
    usage = {"prompt_tokens": 51_200, "cost": 0.125, "faults": {"timeout": 3, "refused": 1}}
    return folder, manifest, write_card(folder, ABOUT, teacher=usage).read_text()


def test_a_card_holds_the_figures(card):
    _, manifest, text = card
    for line in (
        "# Hats | 帽子",
        "Edits of *hats*.",
        "| edits | 4 | 100.0% |",
        "| annotated | 2 | 50.0% |",
        "| prompts without an edited picture | 1 | 25.0% |",
        "| local | 2 | 50.0% |",
        "| global | 1 | 25.0% |",
        "| add | 3 | 75.0% |",
        "| style | 1 | 25.0% |",
        "| Editing success | 0 | 0 | 0 | 0 | 2 | 25.00 |",
        "| No artifacts | 2 | 0 | 0 | 0 | 0 | 5.00 |",
        # (0.08 + 0.9 + 0.08) / 3
        "| share of pixels changed | 0.353 | 0.08 | 0.9 |",
        # Two regions in each of two annotations, one proposed where there is none.
        "| regions an edit | 1.67 | 1 | 2 |",
        # (2 * (0.08 + 0.4) + 0.084) / 5
        "| share of the picture in a region's box | 0.209 | 0.08 | 0.4 |",
        "| longest side, pixels | 48 | 48 | 48 |",
        "6 of 10 rows were dropped.",
        "| unreadable \\| small | 4 | 40.0% |",
        "| prompt tokens | 51,200 |",
        "| cost | 0.125 |",
        "| faults | timeout: 3, refused: 1 |",
        f"`{manifest.digest}`",
        "Ask the hatter.",
        '"side_px": 512',
    ):
        assert line in text


def test_a_cards_head_is_what_hugging_face_reads(card):
    folder, _, text = card
    _, head, _ = text.split("---\n", 2)
    fields = yaml.safe_load(head)
    assert fields["pretty_name"] == "Hats | 帽子"
    assert fields["license"] == "other"
    assert fields["size_categories"] == ["n<1K"]
    features = {one["name"]: one for one in fields["dataset_info"]["features"]}
    assert features["sources"]["list"] == "image"
    assert features["edited"]["dtype"] == "image"
    assert features["editing_success"]["dtype"] == "float64"
    size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
    assert fields["dataset_info"]["splits"] == [
        {"name": "train", "num_bytes": size, "num_examples": 4}
    ]


def test_hugging_face_reads_pictures_as_pictures(card):
    found = list(load_dataset(str(card[0]), split="train", streaming=True))
    assert [row["id"] for row in found] == ["edit-1", "edit-2", "edit-3", "edit-4"]
    assert found[0]["edited"].size == (48, 32)
    assert [one.size for one in found[2]["sources"]] == [(48, 32)]
    assert found[2]["edited"] is None
    assert found[0]["editing_success"] == 25.0


def test_a_cards_pictures_are_beside_it(card):
    folder, _, text = card
    for name in ("samples", "content", "scores"):
        assert f"(card/{name}.png)" in text
        assert load_image(folder / "card" / f"{name}.png").width > 800


def test_a_card_of_edits_that_nobody_has_judged_has_no_scores(tmp_path):
    rare = [make_prompt(number, operation=f"kind {number}") for number in range(34)]
    unknown = [make_edit(number, label=None, operation="") for number in (34, 35)]
    pack(tmp_path, [[*unknown, *rare]])
    text = write_card(tmp_path, ABOUT, num_samples=2).read_text()
    assert "## Scores" not in text
    assert "No row was dropped." in text
    assert "| unknown | 2 | 5.6% |" in text
    assert "| 5 others | 5 | 13.9% |" in text
    assert not (tmp_path / "card" / "scores.png").exists()


def test_a_card_tells_who_labelled_and_how_many_labels_were_dropped(tmp_path):
    lost = make_edit(3, label=None, lost_label="answer cannot be read: is not JSON")
    pack(tmp_path, [[make_edit(1), make_alone(2)], [lost, make_alone(4)]])
    text = write_card(tmp_path, ABOUT).read_text()
    for line in (
        "| edited pictures without a source, for the PQ stream | 2 | 50.0% |",
        "| judges | 2 | 50.0% |",
        "| teacher-72b | 1 | 25.0% |",
        "| answer cannot be read | 1 | 25.0% |",
    ):
        assert line in text


def test_a_picture_that_stands_alone_is_drawn_with_its_words():
    sheet = edits_sheet([make_alone(1)])
    result = make_alone(1).label.model_copy(update={"pq_reasoning": "The hat is melting."})
    assert sheet.size == edits_sheet([make_alone(1, label=result)]).size
    assert sheet.tobytes() != edits_sheet([make_alone(1, label=result)]).tobytes()


def test_words_of_a_teacher_do_not_break_a_sheet():
    annotation = ANNOTATION.model_copy(
        update={"sc_reasoning": "x" * 3000, "judged_by": "很长" * 200, "regions": ()}
    )
    edit = make_edit(1, label=annotation, instruction="帽子\n" * 300)
    assert edits_sheet([edit]).height < 600


def test_a_card_needs_whole_shards(tmp_path):
    pack(tmp_path, [[make_edit(1)], [make_edit(2)]])
    (tmp_path / "train-00001.parquet").unlink()
    with pytest.raises(InvalidInputError, match=r"train-00001\.parquet: there is no such shard"):
        write_card(tmp_path, ABOUT)


def test_regions_that_a_data_set_gives_are_drawn_where_nobody_annotated():
    given = make_edit(1, label=None, prior=PRIOR.model_copy(update={"regions": ()}))
    without = given.model_copy(update={"given_regions": None})
    assert edits_sheet([given]).tobytes() != edits_sheet([without]).tobytes()
