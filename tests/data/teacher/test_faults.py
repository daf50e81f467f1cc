"""Everything that a server can do wrong, over real HTTP."""

import json
import logging
import socket
import threading
from contextlib import closing

import pytest

from spatialreward.data.edits import Rejected
from spatialreward.data.teacher.faults import TeacherAway
from spatialreward.data.teacher.teaching import annotate_all
from tests.data.teacher.edits_to_annotate import edit, edits
from tests.data.teacher.settings import changed
from tests.data.teacher.teacher_server import (
    Reaction,
    annotation,
    completion,
    fails,
    in_turn,
    says,
    well,
)

FAULTS = {
    "rate limited": (fails(429, Retry_After="0.001"), "rate limited"),
    "rate limited, no hint": (Reaction(b"{}", 429), "rate limited"),
    "500": (fails(500, "worker died"), "server error"),
    "502 in HTML": (Reaction(b"<html>Bad Gateway</html>", 502), "server error"),
    "529": (fails(529, "overloaded"), "server error"),
    "408": (fails(408), "server error"),
    "cut off mid-body": (Reaction(completion("{}"), cut_at=20), "connection failed"),
    "no JSON": (Reaction(b"upstream went away"), "malformed reply"),
    "half a JSON": (Reaction(b'{"choices": [{"mess'), "malformed reply"),
    "not even text": (Reaction(b"\xff\xfe\x00"), "malformed reply"),
    "empty body": (Reaction(b""), "malformed reply"),
    "no choices": (Reaction(b'{"choices": []}'), "malformed reply"),
    "an error with status 200": (Reaction(b'{"error": {"message": "x"}}'), "malformed reply"),
}


def test_a_fault_of_the_server_is_mended_by_a_retry_or_costs_one_edit(server, config, ledger):
    # All at once, because the client waits half a second before a retry. Two edits a fault: the
    # first one's request always meets it, the second one's once.
    cases = list(FAULTS.values())
    bodies: dict[int, list] = {}

    def plan(asked):
        number = int(asked.instruction.rpartition(" ")[2])
        bodies.setdefault(number, []).append(asked.body)
        is_mended = number % 2 and len(bodies[number]) > 1
        return well(asked) if is_mended else cases[number // 2][0]

    server.plan = plan
    count = 2 * len(cases)
    twice = changed(config, concurrency=count, max_attempts=2)
    measured = []
    results = list(
        annotate_all(edits(count), twice, ledger, measure=lambda _, usage: measured.append(usage))
    )
    for number, (what, (_, fault)) in enumerate(FAULTS.items()):
        failed, mended = results[2 * number : 2 * number + 2]
        assert isinstance(failed, Rejected), what
        assert (failed.id, failed.reason) == (f"edit-{2 * number}", f"teacher: {fault}"), what
        assert failed.origin == edit(2 * number).origin
        assert mended.label is not None, what
    for usages, answers in ((measured[::2], 0), (measured[1::2], 1)):
        assert {(one.calls, one.retries, one.answers) for one in usages} == {(2, 1, answers)}
    assert [one.faults for one in measured[::2]] == [{fault: 1} for _, fault in cases]
    assert not any(one.faults for one in measured[1::2])
    assert all(first == second for first, second in bodies.values())


MENDED_BY_ASKING_AGAIN = {
    "prose": (lambda asked: says("It looks fine to me."), "not JSON"),
    "half an object": (lambda asked: says('{"regions": [{"id": 0'), "not JSON"),
    "half a surrogate pair": (lambda asked: says("fine \ud83d"), "not JSON"),
    "a field too few": (
        lambda asked: says({k: v for k, v in annotation(asked).items() if k != "quality"}),
        "wrong fields",
    ),
    "a field too many": (lambda asked: says(annotation(asked, mood="fine")), "wrong fields"),
    "a score in words": (lambda asked: says(annotation(asked, naturalness="20")), "wrong fields"),
    "half a score": (lambda asked: says(annotation(asked, naturalness=20.5)), "wrong fields"),
    "a score that is true": (
        lambda asked: says(annotation(asked, naturalness=True)),
        "wrong fields",
    ),
    "the judge's marks in a text": (
        lambda asked: says(annotation(asked, verdict="as <|bbox_7|> shows")),
        "wrong fields",
    ),
    "a control character": (
        lambda asked: says(annotation(asked, quality="fine\x00")),
        "wrong fields",
    ),
    "an empty text": (lambda asked: says(annotation(asked, verdict=" \n")), "wrong fields"),
    "a score beyond 25": (
        lambda asked: says(annotation(asked, over_editing=26)),
        "score out of range",
    ),
    "a score below 0": (
        lambda asked: says(annotation(asked, artifact_freedom=-1)),
        "score out of range",
    ),
    "an invented region": (
        lambda asked: says(
            annotation(asked, dropped=[{"id": 7, "reason": "no change to be seen"}])
        ),
        "unknown region",
    ),
    "a region left out": (
        lambda asked: says(annotation(asked, regions=annotation(asked)["regions"][:1])),
        "region left out",
    ),
    "a region twice": (
        lambda asked: says(annotation(asked, dropped=[{"id": 1, "reason": "noise only"}])),
        "region left out",
    ),
    "Chinese": (
        lambda asked: says(
            annotation(
                asked,
                regions=[
                    {"id": one["id"], "label": "红色的帽子", "reasoning": "按照要求添加了帽子"}
                    for one in annotation(asked)["regions"]
                ],
                verdict="指令已经完成",
                quality="光线均匀",
            )
        ),
        "wrong language",
    ),
    "nothing": (lambda asked: says(""), "empty answer"),
    "null": (lambda asked: says(None), "empty answer"),
    "cut off": (lambda asked: says('{"regions": [{"id"', finish="length"), "answer cut off"),
}


@pytest.mark.parametrize(
    ("bad", "fault"), MENDED_BY_ASKING_AGAIN.values(), ids=MENDED_BY_ASKING_AGAIN
)
def test_an_unusable_answer_is_paid_for_and_asked_for_once_more(server, config, ledger, bad, fault):
    def plan(asked):
        is_mended = "Your last answer" in asked.text and asked.instruction.endswith("1")
        return well(asked) if is_mended else bad(asked)

    server.plan = plan
    measured = []
    failed, mended = annotate_all(
        edits(2), config, ledger, measure=lambda _, usage: measured.append(usage)
    )
    assert isinstance(failed, Rejected)
    assert failed.reason == f"teacher: {fault}"
    assert mended.label is not None
    for usage in measured:
        assert (usage.calls, usage.answers, usage.retries) == (2, 2, 0)
        assert usage.prompt_tokens == 2000
    assert [usage.faults for usage in measured] == [{fault: 2}, {fault: 1}]


WRAPPED = {
    "a fence": "```json\n{}\n```",
    "a fence that is not closed": "```\n{}",
    "a preface": "Here is what I see:\n\n{}\n\nI hope that helps.",
    "a thought": "<think>the answer is {{not this}}</think>\n{}",
}


@pytest.mark.parametrize("around", WRAPPED.values(), ids=WRAPPED)
def test_json_is_found_in_what_models_put_around_it(server, config, ledger, around):
    server.plan = lambda asked: says(around.format(json.dumps(annotation(asked))))
    [result] = annotate_all([edit()], config, ledger)
    assert result.label.scores.editing_success == 22
    assert len(server.asked) == 1


def test_text_in_parts_is_read_as_one(server, config, ledger):
    def plan(asked):
        text = json.dumps(annotation(asked))
        parts = [{"type": "text", "text": text[:30]}, {"type": "text", "text": text[30:]}]
        return Reaction(completion(parts))

    server.plan = plan
    [result] = annotate_all([edit()], config, ledger)
    assert result.label is not None


FINAL = {
    "refusal field": (says(None, refusal="I cannot help with that"), "refused"),
    "refusal in words": (says("I'm sorry, but I can't look at people."), "refused"),
    "content filter": (says("", finish="content_filter"), "content filter"),
    "content policy": (fails(400, "rejected by our content policy"), "content filter"),
    "moderation": (fails(403, "your input was flagged"), "content filter"),
    "too large": (fails(413, "payload too large"), "request refused"),
    "too long": (fails(400, "maximum context length is 4096 tokens"), "request refused"),
}


@pytest.mark.parametrize(("reaction", "fault"), FINAL.values(), ids=FINAL)
def test_what_would_be_refused_again_is_not_asked_again(server, config, ledger, reaction, fault):
    plain = changed(config, structured="none")
    server.plan = lambda asked: reaction if asked.instruction.endswith("0") else well(asked)
    results = list(annotate_all(edits(2), plain, ledger))
    assert results[0].reason == f"teacher: {fault}"
    assert results[1].label is not None
    assert sum(asked.instruction.endswith("0") for asked in server.asked) == 1


def test_a_slow_server_times_out_and_is_asked_again(server, config, ledger):
    never = threading.Event()
    server.plan = in_turn(Reaction(completion("{}"), released_by=never))
    measured = []
    hasty = changed(config, timeout_s=0.4)
    [result] = annotate_all(
        [edit()], hasty, ledger, measure=lambda _, usage: measured.append(usage)
    )
    assert result.label is not None
    assert (measured[0].calls, measured[0].retries) == (2, 1)


def test_a_server_that_drips_is_late_as_a_whole(server, config, ledger):
    server.plan = in_turn(Reaction(completion("x" * 400), drips=True))
    measured = []
    hasty = changed(config, timeout_s=0.6)
    [result] = annotate_all(
        [edit()], hasty, ledger, measure=lambda _, usage: measured.append(usage)
    )
    assert result.label is not None
    assert (measured[0].calls, measured[0].retries) == (2, 1)


def test_a_server_that_never_answers_costs_the_edit_only(server, config, ledger):
    never = threading.Event()
    server.plan = lambda asked: Reaction(
        well(asked).body, released_by=never if asked.instruction.endswith("0") else None
    )
    hasty = changed(config, timeout_s=0.3, max_attempts=1)
    results = list(annotate_all(edits(3), hasty, ledger))
    assert results[0].reason == "teacher: timeout"
    assert results[0].detail == "no answer within 0.3 s"
    assert [one.id for one in results[1:] if one.label] == ["edit-1", "edit-2"]


def test_an_address_without_a_server_rejects_with_the_systems_words(config, ledger):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    away = changed(config, base_url=f"http://127.0.0.1:{port}/v1", max_attempts=1)
    [result] = annotate_all([edit()], away, ledger)
    assert result.reason == "teacher: connection failed"
    assert f"127.0.0.1', {port}" in result.detail


def test_a_server_that_is_away_for_good_ends_the_run(server, config, ledger):
    server.plan = lambda asked: well(asked) if asked.instruction.endswith("0") else fails(500)
    patient = changed(config, give_up_after=3, concurrency=1)
    results = annotate_all(edits(9), patient, ledger, total=9)
    reasons = [getattr(next(results), "reason", "fine") for _ in range(4)]
    assert reasons == ["fine", *["teacher: server error"] * 3]
    with pytest.raises(
        TeacherAway, match=r"3 edits in a row got no answer; the last one, edit-3: .*5 edits left"
    ):
        next(results)


def test_a_server_that_refuses_all_requests_ends_the_run(server, config, ledger):
    server.plan = lambda asked: fails(400, "temperature is not supported")
    patient = changed(config, give_up_after=3, concurrency=1)
    results = annotate_all(iter(edits(9)), patient, ledger)
    assert {next(results).reason for _ in range(3)} == {"teacher: request refused"}
    with pytest.raises(TeacherAway, match=r"temperature is not supported.*6 edits left"):
        next(results)


def test_a_way_to_ask_for_json_that_is_refused_is_given_up(server, config, ledger, caplog):
    server.plan = lambda asked: (
        well(asked) if asked.way == "json_object" else fails(400, "features not supported")
    )
    one_at_a_time = changed(config, concurrency=1)
    with caplog.at_level(logging.WARNING):
        results = list(annotate_all(edits(3), one_at_a_time, ledger))
    assert all(one.label is not None for one in results)
    ways = [asked.way for asked in server.asked]
    assert ways.count("json_object") == 3
    # Two edits are begun at a time, so the second one may have tried it as well.
    assert 1 <= ways.count("json_schema") <= 2
    assert "refuses json_schema, answers to json_object" in caplog.text


def test_the_last_way_is_to_ask_in_words_alone(server, config, ledger):
    server.plan = lambda asked: well(asked) if asked.way == "none" else fails(422, "unknown field")
    [result] = annotate_all([edit()], config, ledger)
    assert result.label is not None
    assert [asked.way for asked in server.asked] == ["json_schema", "json_object", "none"]


def test_a_refusal_after_an_answer_is_about_the_edit(server, config, ledger):
    server.plan = lambda asked: (
        fails(400, "image too large") if asked.instruction.endswith("1") else well(asked)
    )
    one_at_a_time = changed(config, concurrency=1)
    reader = annotate_all((one for one in edits(9)), one_at_a_time, ledger)
    results = list(reader)
    assert results[1].reason == "teacher: request refused"
    assert "image too large" in results[1].detail
    assert {asked.way for asked in server.asked if not asked.instruction.endswith("1")} == {
        "json_schema"
    }
