"""Two passes over edits, through real HTTP."""

import base64
import io
import json
import threading
import time
from collections import Counter

import pytest
from PIL import Image

from spatialreward.data.edits import Rejected
from spatialreward.data.teacher.teaching import annotate_all
from spatialreward.data.teacher.usage import TeacherUsage
from spatialreward.protocol.parsing import SemanticAnswer
from spatialreward.records import Mending, Scores
from tests.data.teacher.conftest import rows_of
from tests.data.teacher.edits_to_annotate import BOXES, edit, edits, picture
from tests.data.teacher.settings import changed
from tests.data.teacher.teacher_server import Reaction, annotation, in_turn, says, well

AGREES = says({"reason": "all of it fits", "agrees": True})
DISAGREES = says({"reason": "the hat is blue, not red", "agrees": False})


def test_an_annotation_has_the_judges_form(server, config, ledger):
    [result] = annotate_all([edit()], config, ledger)
    told = result.label
    assert [(one.id, one.label, one.bbox_2d) for one in told.regions] == [
        (0, "thing 0", BOXES[0]),
        (1, "thing 1", BOXES[1]),
    ]
    assert told.sc_reasoning == (
        "<|bbox_0|> thing 0 was added as asked <|bbox_1|> thing 1 was added as asked "
        "<|global|> the instruction was carried out and nothing else was changed"
    )
    assert told.pq_reasoning == "the light is even and all edges are clean"
    assert told.scores == Scores(
        editing_success=22, over_editing=24, naturalness=20, artifact_freedom=19
    )
    assert (told.judged_by, result.verified) == ("scripted-vl", None)
    SemanticAnswer(edit_region=told.regions, reasoning=told.sc_reasoning, score=(22, 24))


def test_a_label_says_what_was_put_right_in_the_answer(server, config, ledger):
    def plan(asked):
        return says(f"<think>Let me see.</think>{json.dumps(annotation(asked))}")

    server.plan = plan
    [result] = annotate_all([edit()], config, ledger)
    assert result.label.mended == (Mending.THOUGHT,)


def test_only_the_annotation_is_added_to_an_edit(server, config, ledger):
    [result] = annotate_all([edit()], config, ledger)
    assert result.model_copy(update={"label": None}) == edit()


def test_the_teacher_sees_sources_edited_picture_and_numbered_boxes(server, config, ledger):
    two_sources = edit(sources=(picture(5), picture(6)))
    list(annotate_all([two_sources], config, ledger))
    [asked] = server.asked
    sizes = []
    for url in asked.pictures:
        assert url.startswith("data:image/jpeg;base64,")
        sizes.append(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).size)
    assert sizes == [(48, 48)] * 4
    assert len(set(asked.pictures)) == 4
    assert asked.instruction == "add hat number 0"
    assert "region 0: [100, 100, 400, 400]\nregion 1: [500, 500, 900, 800]" in asked.text


def test_pictures_are_sent_no_larger_than_wanted(server, config, ledger):
    small = changed(config, pictures={"longest_side": 64})
    list(annotate_all([edit(edited=picture(9, side=200))], small, ledger))
    pictures = [
        Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))
        for url in server.asked[0].pictures
    ]
    assert [one.size for one in pictures] == [(48, 48), (64, 64), (64, 64)]


def test_an_edit_without_regions_is_sent_without_a_drawn_picture(server, config, ledger):
    [result] = annotate_all([edit(boxes=())], config, ledger)
    assert len(server.asked[0].pictures) == 2
    assert result.label.regions == ()
    assert result.label.sc_reasoning.startswith("<|global|> ")


def test_the_server_is_told_the_form_of_the_answer(server, config, ledger):
    list(annotate_all([edit()], config, ledger))
    body = server.asked[0].body
    told = body["response_format"]["json_schema"]
    assert (told["name"], told["strict"]) == ("annotate", True)
    assert told["schema"]["properties"]["naturalness"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 25,
    }
    assert body["max_completion_tokens"] == 2048
    assert body["temperature"] == 0.0


def test_other_names_and_fields_of_a_server_are_settings(server, config, ledger):
    other = changed(
        config,
        token_limit_field="max_tokens",
        temperature=None,
        extra={"reasoning_effort": "low"},
        pictures={"detail": "high", "format": "png"},
    )
    list(annotate_all([edit()], other, ledger))
    body = server.asked[0].body
    assert body["max_tokens"] == 2048
    assert body["reasoning_effort"] == "low"
    assert "temperature" not in body
    assert "max_completion_tokens" not in body
    sent = body["messages"][1]["content"][1]["image_url"]
    assert sent["detail"] == "high"
    assert sent["url"].startswith("data:image/png;")


def test_a_dropped_region_is_left_out_and_the_others_are_renumbered(server, config, ledger):
    server.plan = lambda asked: says(
        annotation(
            asked,
            regions=[{"id": 1, "label": "a hat", "reasoning": "a hat was added"}],
            dropped=[{"id": 0, "reason": "noise only"}],
        )
    )
    [result] = annotate_all([edit()], config, ledger)
    [region] = result.label.regions
    assert (region.id, region.bbox_2d) == (0, BOXES[1])
    assert result.label.sc_reasoning.startswith("<|bbox_0|> a hat was added <|global|>")


@pytest.mark.parametrize("choice", ["reject", "keep"])
def test_what_becomes_of_a_missing_region_is_a_setting(server, config, ledger, choice):
    missing = [{"label": "a new lamp", "place": "top left"}]
    server.plan = lambda asked: says(annotation(asked, missing=missing))
    [result] = annotate_all([edit()], changed(config, missing_regions=choice), ledger)
    if choice == "keep":
        assert result.label is not None
    else:
        assert isinstance(result, Rejected)
        assert result.reason == "teacher: region missing"
        assert result.detail == "a new lamp (top left)"


def test_a_second_pass_that_agrees_verifies(server, config, ledger):
    verifying = changed(config, verify=True)
    [result] = annotate_all([edit()], verifying, ledger)
    assert server.stages() == ["annotate", "verify"]
    assert result.verified is True
    asked = server.asked[1]
    assert len(asked.pictures) == 3
    shown = json.loads(next(line for line in asked.text.splitlines() if "bbox_2d" in line))
    assert shown["edit_region"][1]["bbox_2d"] == list(BOXES[1])
    assert shown["reasoning"] == result.label.sc_reasoning
    assert shown["artifact_freedom"] == 19


def test_an_objection_leads_to_another_annotation(server, config, ledger):
    verifying = changed(config, verify=True)
    better = {"verdict": "the hat is blue and was asked to be red", "editing_success": 9}

    def plan(asked):
        if asked.stage == "verify":
            return AGREES if "asked to be red" in asked.text else DISAGREES
        return says(annotation(asked, **(better if "objected" in asked.text else {})))

    server.plan = plan
    [result] = annotate_all([edit()], verifying, ledger)
    assert server.stages() == ["annotate", "verify", "annotate", "verify"]
    assert '"the hat is blue, not red"' in server.asked[2].text
    assert result.label.scores.editing_success == 9
    assert result.verified is True


def test_a_second_objection_leaves_the_annotation_unverified(server, config, ledger):
    verifying = changed(config, verify=True)
    other = {"verdict": "a hat of another colour was added"}

    def plan(asked):
        if asked.stage == "verify":
            return DISAGREES
        return says(annotation(asked, **(other if "objected" in asked.text else {})))

    server.plan = plan
    [result] = annotate_all([edit()], verifying, ledger)
    assert server.stages() == ["annotate", "verify", "annotate", "verify"]
    assert result.verified is False
    assert result.label.sc_reasoning.endswith("a hat of another colour was added")


def test_an_annotation_that_stays_as_it_was_is_not_reviewed_twice(server, config, ledger):
    verifying = changed(config, verify=True)
    server.plan = lambda asked: DISAGREES if asked.stage == "verify" else well(asked)
    [result] = annotate_all([edit()], verifying, ledger)
    assert server.stages() == ["annotate", "verify", "annotate"]
    assert result.verified is False


def test_a_second_pass_without_an_answer_is_no_agreement(server, config, ledger):
    verifying = changed(config, verify=True)
    server.plan = lambda asked: says("hm") if asked.stage == "verify" else well(asked)
    [result] = annotate_all([edit()], verifying, ledger)
    assert isinstance(result, Rejected)
    assert result.reason == "teacher: not JSON"


def test_results_come_in_the_order_of_the_edits(server, config, ledger):
    first_may_answer = threading.Event()
    answered = Counter()

    def plan(asked):
        answered[asked.instruction] += 1
        if len(answered) == 8:
            first_may_answer.set()
        reaction = well(asked)
        if asked.instruction == "add hat number 0":
            return Reaction(reaction.body, released_by=first_may_answer)
        return reaction

    server.plan = plan
    results = list(annotate_all(edits(8), config, ledger))
    assert [one.id for one in results] == [f"edit-{number}" for number in range(8)]
    assert all(one.label is not None for one in results)


def test_edits_are_read_only_as_far_ahead_as_needed(server, config, ledger):
    read = []

    def endless():
        for number in range(10_000):
            read.append(number)
            yield edit(number)

    results = annotate_all(endless(), config, ledger)
    for number in range(3):
        assert next(results).id == f"edit-{number}"
    assert len(read) <= 3 + 2 * config.concurrency
    results.close()


def test_an_edit_without_an_edited_picture_is_rejected_unasked(server, config, ledger):
    [result] = annotate_all([edit(edited=None, prior=None)], config, ledger)
    assert result.reason == "teacher: nothing to annotate"
    assert server.asked == []


def test_an_unreadable_picture_is_rejected_unasked_and_named(server, config, ledger):
    results = list(annotate_all([edit(0, sources=(b"not a picture",)), edit(1)], config, ledger))
    assert results[0].reason == "unreadable picture"
    assert "source 0 of edit edit-0" in results[0].detail
    assert results[1].label is not None
    assert len(server.asked) == 1


def test_nothing_is_asked_about_edits_with_a_label_or_without_a_source(server, config, ledger):
    [done] = annotate_all([edit()], config, ledger)
    alone = edit(2, sources=(), prior=None)
    asked = [done, edit(1), alone]
    results = list(annotate_all(asked, config, ledger))
    assert (results[0], results[2]) == (done, alone)
    assert results[1].label is not None
    assert len(server.asked) == 2


def test_tokens_and_money_are_counted_for_each_edit(server, config, ledger):
    prices = {"input_per_million": 2.0, "output_per_million": 10.0}
    priced = changed(config, verify=True, prices=prices)
    server.plan = in_turn(says("hm"))
    measured = []
    list(
        annotate_all([edit()], priced, ledger, measure=lambda result, usage: measured.append(usage))
    )
    [usage] = measured
    assert (usage.calls, usage.answers, usage.faults) == (3, 3, {"not JSON": 1})
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (3000, 600, 0)
    # A bad answer, a good one and a verification: 3 x (1,000 x 2 + 200 x 10) / 1,000,000.
    assert usage.cost == pytest.approx(0.012)
    total = sum(measured, TeacherUsage()) + usage
    assert (total.calls, total.faults) == (6, {"not JSON": 2})


def test_tokens_are_estimated_and_marked_where_the_server_does_not_tell(server, config, ledger):
    server.plan = lambda asked: says(annotation(asked), usage=None)
    measured = []
    list(annotate_all([edit()], config, ledger, measure=lambda _, usage: measured.append(usage)))
    assert measured[0].estimated == 1
    assert measured[0].prompt_tokens > 500
    assert measured[0].completion_tokens > 100
    assert rows_of(ledger)[0]["estimated"] == 1


def test_the_same_question_under_way_twice_is_paid_once(server, config, ledger):
    twins = [edit(0), edit(0, id="twin")]
    results = list(annotate_all(twins, config, ledger))
    assert [one.id for one in results] == ["edit-0", "twin"]
    assert len(server.asked) == 1


def test_work_goes_on_while_the_caller_is_busy(server, config, ledger):
    results = annotate_all(edits(20), config, ledger)
    next(results)
    deadline = time.monotonic() + 20
    # Eight edits are begun before the first result; the caller never asks for the second one.
    while len(server.stages()) < 8:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    results.close()
    assert len(server.asked) == 8


def test_an_iterator_that_is_closed_early_gives_up_what_is_under_way(server, config, ledger):
    never = threading.Event()
    server.plan = lambda asked: Reaction(
        well(asked).body, released_by=None if asked.instruction.endswith("0") else never
    )
    results = annotate_all(edits(4), config, ledger)
    assert next(results).label is not None
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 10
    assert "teacher" not in [thread.name for thread in threading.enumerate()]
