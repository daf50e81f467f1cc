import threading

import pytest
from PIL import Image

from spatialreward.chat.faults import ServerAway
from spatialreward.errors import InvalidInputError
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.protocol.parsing import PerceptualAnswer, SemanticAnswer
from spatialreward.protocol.prompts import FULL, TINY
from spatialreward.records import Streams
from spatialreward.training.consistency import ConsistencyJudge, Reasoned
from tests.data.teacher.teacher_server import TeacherServer, fails, says

RED = Image.new("RGB", (96, 96), "red")
SC = Reasoned(
    (RED, RED),
    Streams.SEMANTIC,
    "put a {hat} on",
    SemanticAnswer(edit_region=(), reasoning="<|global|> no {hat}", score=(3, 24)),
)
PQ = Reasoned((RED,), Streams.PERCEPTUAL, "", PerceptualAnswer(reasoning="blurred", score=(9, 8)))


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with TeacherServer().running() as running:
        yield running


def judge(server, settings="max_attempts=1", protocol=FULL):
    name = f"openai:scripted@{server.url}?{settings}"
    return ConsistencyJudge(OpenAiConfig.parse(name), protocol)


def test_each_stream_is_asked_by_its_own_rubric_with_its_pictures(server):
    server.plan = lambda asked: says({"reasoning": "fits", "consistency": len(asked.pictures) / 4})
    assert judge(server).judge([SC, PQ]) == [0.5, 0.25]
    texts = {len(asked.pictures): asked.text for asked in server.asked}
    assert "put a {hat} on" in texts[2]
    assert "<|global|> no {hat}" in texts[2]
    assert "3 and 24 of 25" in texts[2]
    assert "blurred" in texts[1]
    assert "25" not in texts[1]
    assert all('{"reasoning"' in text for text in texts.values())
    assert all(asked.body["max_completion_tokens"] == 1024 for asked in server.asked)


def test_a_small_judges_limits_are_not_the_consistency_judges(server):
    server.plan = lambda asked: says({"consistency": 1})
    assert judge(server, "max_tokens=99", TINY).judge([PQ]) == [1.0]
    [asked] = server.asked
    assert asked.body["max_completion_tokens"] == 99


@pytest.mark.parametrize(
    "reaction",
    [
        fails(500),
        fails(400, "refused"),
        says(None),
        says("I would say it is fine."),
        says({"reasoning": "fits"}),
        says({"consistency": 1.5}),
        says({"consistency": True}),
        says({"consistency": "high"}),
        says('{"consistency": NaN}'),
        says('{"consistency": 0.5', finish="length"),
        says({"consistency": 1}, finish="content_filter"),
        says("", refusal="no"),
    ],
)
def test_what_is_no_number_in_range_is_no_reward(server, reaction):
    good = says('```json\n{"consistency": 0}\n```')
    server.plan = lambda asked: reaction if len(asked.pictures) == 1 else good
    assert judge(server).judge([SC, PQ, SC]) == [0.0, None, 0.0]


def test_a_batch_is_asked_at_once_as_far_as_the_settings_say(server):
    gate = threading.Barrier(3, action=lambda: None)

    def plan(asked):
        return says({"consistency": 1})

    def together(asked):
        server.lock.release()
        try:
            gate.wait(20)
        finally:
            server.lock.acquire()
        return plan(asked)

    server.plan = together
    assert judge(server, "concurrency=3").judge([SC] * 6) == [1.0] * 6
    assert server.most_under_way == 3


def test_a_server_that_is_away_or_wants_a_key_ends_it(server):
    server.plan = lambda asked: fails(503)
    with pytest.raises(ServerAway, match="2 edits in a row got no answer"):
        judge(server, "max_attempts=1&give_up_after=2&concurrency=1").judge([SC, PQ, PQ])
    server.plan = lambda asked: fails(401)
    with pytest.raises(InvalidInputError, match="wants a key"):
        judge(server).judge([SC])


def test_nothing_is_asked_about_nothing(server):
    assert judge(server).judge([]) == []
    assert server.asked == []
