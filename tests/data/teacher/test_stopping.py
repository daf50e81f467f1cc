"""What ends a run at once, and where the key may be seen."""

import logging

import pytest

from spatialreward.data.teacher.teaching import annotate_all
from spatialreward.errors import InvalidInputError
from tests.data.teacher.conftest import KEY, rows_of
from tests.data.teacher.edits_to_annotate import edit, edits
from tests.data.teacher.settings import changed
from tests.data.teacher.teacher_server import Reaction, fails, in_turn

STOPPING = {
    "401": (fails(401, f"incorrect key {KEY}"), "the key in TEACHER_KEY was refused"),
    "403": (fails(403, f"no access with {KEY}"), "the key in TEACHER_KEY was refused"),
    "402": (fails(402, "pay first"), "no credit left"),
    "quota": (fails(429, "see your plan", code="insufficient_quota"), "no credit left"),
    "404": (fails(404, "model not found"), "no model 'scripted-vl' there, or a wrong address"),
}


@pytest.mark.parametrize(("reaction", "message"), STOPPING.values(), ids=STOPPING)
def test_what_no_edit_would_survive_stops_the_run_at_once(
    server, config, ledger, caplog, reaction, message
):
    server.plan = lambda asked: reaction
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(InvalidInputError, match=message) as caught,
    ):
        list(annotate_all(edits(50), config, ledger))
    assert len({asked.instruction for asked in server.asked}) <= 2 * config.concurrency
    shown = str(caught.getrepr(style="long", chain=True))
    assert KEY not in str(caught.value)
    assert KEY not in shown.replace(f'KEY = "{KEY}"', "")
    assert KEY not in caplog.text
    assert rows_of(ledger) == []


def test_a_key_that_is_not_set_is_an_error_before_anything_is_asked(
    server, config, ledger, monkeypatch
):
    monkeypatch.delenv("TEACHER_KEY")
    with pytest.raises(InvalidInputError, match="environment variable TEACHER_KEY holds no key"):
        annotate_all([edit()], config, ledger)


def test_a_server_that_wants_a_key_and_gets_none_says_how_to_name_it(server, config, ledger):
    server.plan = lambda asked: fails(401, "no key")
    with pytest.raises(InvalidInputError, match="wants a key; name the variable that holds it in"):
        list(annotate_all([edit()], changed(config, api_key_variable=""), ledger))


def test_the_key_is_sent_and_nowhere_else(server, config, ledger, caplog):
    server.plan = in_turn(fails(500, f"bad gateway for {KEY}"), Reaction(f"<{KEY}>".encode()))
    once = changed(config, max_attempts=1, concurrency=1)
    with caplog.at_level(logging.DEBUG):
        results = list(annotate_all(edits(3), once, ledger))
    assert [getattr(one, "reason", "fine") for one in results].count("fine") == 1
    assert server.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert "annotate, answer 1 of 2: server error: HTTP 500" in caplog.text
    assert "[key]" in caplog.text
    assert KEY not in caplog.text
    assert KEY not in str(rows_of(ledger))
    assert KEY not in config.model_dump_json()
