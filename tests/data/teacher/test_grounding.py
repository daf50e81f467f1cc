import pytest

from spatialreward.data.edits import LabelledEdit
from spatialreward.data.teacher.grounding import ground_all
from spatialreward.data.teacher.teaching import annotate_all
from spatialreward.records import EditRegion
from tests.data.teacher.edits_to_annotate import edit, edits
from tests.data.teacher.teacher_server import says


def box(*corners: int, label: str = "a hat", picture: str = "edited") -> dict[str, object]:
    return {"picture": picture, "label": label, "bbox_2d": list(corners)}


def test_boxes_become_regions(server, config, ledger):
    server.plan = lambda asked: says(
        {"regions": [box(1, 2, 30, 40), box(5, 5, 9, 9, label="a dog", picture="source")]}
    )
    [grounding] = ground_all([edit()], config, ledger)
    assert grounding.id == "edit-0"
    assert grounding.regions == (
        EditRegion(id=0, label="a hat", bbox_2d=(1, 2, 30, 40)),
        EditRegion(id=1, label="a dog", bbox_2d=(5, 5, 9, 9)),
    )
    assert grounding.usage.prompt_tokens == 1000
    assert len(server.asked[0].pictures) == 2


def test_a_row_that_was_only_read_can_be_grounded(server, config, ledger):
    fields = edit().model_dump(include={"id", "instruction", "sources", "edited", "origin"})
    [grounding] = ground_all([LabelledEdit(**fields)], config, ledger)
    assert [region.label for region in grounding.regions] == ["a red hat"]


def test_a_box_named_in_both_pictures_counts_once(server, config, ledger):
    server.plan = lambda asked: says(
        {"regions": [box(1, 2, 30, 40), box(1, 2, 30, 40, label="no hat", picture="source")]}
    )
    [grounding] = ground_all([edit()], config, ledger)
    assert [region.label for region in grounding.regions] == ["a hat"]


def test_a_bare_list_is_read_as_well(server, config, ledger):
    server.plan = lambda asked: says([box(1, 2, 30, 40)])
    [grounding] = ground_all([edit()], config, ledger)
    assert len(grounding.regions) == 1


def test_nothing_found_is_an_answer(server, config, ledger):
    server.plan = lambda asked: says({"regions": []})
    [grounding] = ground_all([edit()], config, ledger)
    assert grounding.regions == ()


@pytest.mark.parametrize(
    "wrong",
    [box(30, 2, 1, 40), box(1, 2, 30), box(1, 2, 30, 1001), box(1, 2, 30, 40, picture="third")],
    ids=["no area", "three corners", "beyond the picture", "no such picture"],
)
def test_a_box_that_is_none_is_no_opinion(server, config, ledger, wrong):
    server.plan = lambda asked: says({"regions": [box(1, 2, 3, 4), wrong]})
    [rejected] = ground_all([edit()], config, ledger)
    assert rejected.reason == "teacher: wrong fields"
    assert rejected.detail.startswith("regions.1.")


def test_what_cannot_be_looked_at_is_rejected_in_its_place(server, config, ledger):
    given = [edit(0, edited=None, prior=None), edit(1, edited=b"nothing"), edit(2)]
    results = list(ground_all(given, config, ledger))
    assert [getattr(one, "reason", "fine") for one in results] == [
        "teacher: nothing to ground",
        "unreadable picture",
        "fine",
    ]


def test_nothing_is_asked_about_edits_with_a_label_or_without_a_source(server, config, ledger):
    [labelled] = annotate_all([edit()], config, ledger)
    server.asked.clear()
    found = list(ground_all([labelled, edit(1, sources=(), prior=None)], config, ledger))
    assert [one.reason for one in found] == ["teacher: nothing to ground"] * 2
    assert server.asked == []


def test_boxes_are_paid_for_once(server, config, ledger):
    first = [one.regions for one in ground_all(edits(3), config, ledger)]
    assert [one.regions for one in ground_all(edits(3), config, ledger)] == first
    assert len(server.asked) == 3
