"""A model behind an address as a judge, over real HTTP; the server answers as a test says."""

import base64
import dataclasses
import io
import json
import logging

import pytest
from PIL import Image
from typer.testing import CliRunner

from spatialreward.chat.faults import ServerAway
from spatialreward.cli.main import app
from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError, SpatialRewardError
from spatialreward.judges.interface import Tokens, quoted
from spatialreward.judges.load import load_judge
from spatialreward.judges.openai import OpenAiJudge
from spatialreward.judges.openai_config import OpenAiConfig
from spatialreward.protocol.aggregation import Aggregation
from spatialreward.protocol.choice import named_protocol
from spatialreward.protocol.prompts import FULL
from spatialreward.records import JudgementStatus, JudgingOptions, Mending, Scores
from tests.data.teacher.teacher_server import Asked, Reaction, TeacherServer, fails, says

KEY = "sk-judge-77aa"
SEMANTIC = {
    "edit_region": [{"id": 0, "label": "a dog", "bbox_2d": [10, 20, 300, 400]}],
    "reasoning": "<|bbox_0|> a dog as asked <|global|> nothing else changed",
    "score": [20, 24],
}
PERCEPTUAL = {"reasoning": "clean", "score": [18, 16]}
SCORES = Scores(editing_success=20, over_editing=24, naturalness=18, artifact_freedom=16)


def well(asked: Asked) -> Reaction:
    return says(SEMANTIC if compares(asked) else PERCEPTUAL)


def compares(asked: Asked) -> bool:
    return len(asked.pictures) == 2


@pytest.fixture
def server(monkeypatch, tmp_path):
    # Plain HTTP needs no authorities, and reading the system's takes longer than most tests do.
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with TeacherServer().running() as server:
        server.plan = well
        yield server


@pytest.fixture
def opened(server):
    """Opens the judge at that server, with further settings."""

    def opened(settings="", attempts=2, **options):
        usual = f"max_attempts={attempts}"
        return load_judge(f"openai:some/vl-8b@{server.url}?{usual}{settings}", **options)

    return opened


def edit(number=0, **more) -> Edit:
    before, after = (Image.new("RGB", (60, 40), color) for color in ("black", "white"))
    return Edit(before, after, f"add dog {number}", id=f"e{number}", **more)


def picture_in(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_two_streams_are_asked_in_the_protocols_words_and_read(server, opened):
    with opened() as judge:
        (judgement,) = judge.judge([edit()])
        assert judgement.judged_by == str(judge.identity)
    assert judgement.status is JudgementStatus.OK
    assert judgement.regions[0].bbox_2d == (10, 20, 300, 400)
    assert (judgement.sc_reasoning, judgement.pq_reasoning) == (SEMANTIC["reasoning"], "clean")
    assert (judgement.scores, judgement.soft_scores) == (SCORES, None)
    assert judgement.reward == Aggregation().reward(SCORES)
    semantic, perceptual = sorted(server.asked, key=compares, reverse=True)
    begins, _, behind = FULL.semantic.partition("{source}")
    assert semantic.text == "\n".join(
        (begins.replace("{instruction}", "add dog 0"), behind.removesuffix("{edited}"))
    )
    assert perceptual.text == FULL.perceptual.removesuffix("{edited}")
    shown = [picture_in(url) for url in semantic.pictures]
    assert [one.size for one in shown] == [(60, 40)] * 2
    assert [one.convert("L").getpixel((5, 5)) for one in shown] == [0, 255]
    for asked in (semantic, perceptual):
        assert asked.body["model"] == "some/vl-8b"
        assert asked.body["temperature"] == 0.0
        assert asked.body["max_completion_tokens"] == FULL.max_answer_tokens
        assert "seed" not in asked.body
        assert asked.headers["Authorization"] is None


def test_the_identity_names_model_host_and_protocol_and_promises_no_weights(server, opened):
    host = server.url.removeprefix("http://").removesuffix("/v1")
    with opened() as judge:
        line = f"some/vl-8b@{host}, weights unknown, protocol {FULL.reference}, geometric"
        assert str(judge.identity) == line
        assert "which weights answer there is not known" in judge.notice
    with opened("&temperature=0.7&pictures.format=png&extra.top_k=20&concurrency=3") as judge:
        changed = f"some/vl-8b@{host}/temperature=0.7 extra.top_k=20 pictures.format=png, weights"
        assert str(judge.identity).startswith(changed)


def test_settings_stand_behind_the_address(server, opened, tmp_path):
    protocol = FULL.model_copy(update={"name": "mine", "max_pixels": 600})
    (tmp_path / "mine.json").write_text(protocol.model_dump_json())
    settings = (
        "&temperature=none&max_tokens=300&token_limit_field=max_tokens"
        "&extra.reasoning_effort=low&extra.chat_template_kwargs=%7B%22thinking%22%3Afalse%7D"
        "&pictures.format=png&pictures.detail=high"
    )
    with opened(settings, protocol=tmp_path / "mine.json") as judge:
        judge.judge([edit()])
        assert judge.identity.protocol == protocol.reference
    asked = server.asked[0]
    assert "temperature" not in asked.body
    assert "max_completion_tokens" not in asked.body
    assert asked.body["max_tokens"] == 300
    assert asked.body["reasoning_effort"] == "low"
    assert asked.body["chat_template_kwargs"] == {"thinking": False}
    assert picture_in(asked.pictures[0]).size == (30, 20)
    assert asked.pictures[0].startswith("data:image/png;base64,")
    assert asked.body["messages"][-1]["content"][-1]["image_url"]["detail"] == "high"


def test_an_edit_with_a_seed_is_drawn(server, opened):
    seeded = edit(options=JudgingOptions(seed=7, streams="pq"))
    for settings, expected in (("", 1.0), ("&temperature=0.4", 0.4)):
        with opened(settings) as judge:
            (judgement,) = judge.judge([seeded])
        assert judgement.scores.editing_success is None
        (asked,) = server.asked
        assert (asked.body["seed"], asked.body["temperature"]) == (7, expected)
        server.asked.clear()


UNREADABLE = {
    "words": (says("It looks fine."), Failure.NO_ANSWER),
    "nothing": (says(None), Failure.NO_ANSWER),
    "a refusal": (says(None, refusal="I cannot look at people."), Failure.NO_ANSWER),
    "withheld": (says("", finish="content_filter"), Failure.NO_ANSWER),
    "withheld by status": (fails(400, "flagged by moderation"), Failure.NO_ANSWER),
    "cut off": (says('{"reasoning": "it', finish="length"), Failure.CUT_OFF),
    "half an object": (says('{"reasoning": "it'), Failure.NOT_JSON),
    "one score": (says({"reasoning": "x", "score": [3]}), Failure.WRONG_FORM),
    "26 of 25": (says({"reasoning": "x", "score": [26, 3]}), Failure.SCORE_OUT_OF_RANGE),
    "no completion": (Reaction(b"upstream went away"), Failure.JUDGE_FAILED),
    "an error": (fails(500, "worker died"), Failure.JUDGE_FAILED),
    "a refused request": (fails(400, "no pictures here"), Failure.JUDGE_FAILED),
}


@pytest.mark.parametrize(("reaction", "failure"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_edit_without_a_judgement_is_named_and_the_rest_goes_on(
    server, opened, reaction, failure
):
    def plan(asked):
        # The PQ question shows no instruction: its picture identifies the middle edit.
        is_bad = not compares(asked) and picture_in(asked.pictures[0]).size == (61, 40)
        return reaction if is_bad else well(asked)

    server.plan = plan
    middle = Edit(
        Image.new("RGB", (60, 40)), Image.new("RGB", (61, 40)), "add dog 1", id="the-middle-one"
    )
    with opened() as judge:
        judged = judge.judge([edit(0), middle, edit(2)])
        line = str(judge.identity)
    assert [one.status for one in judged] == ["ok", "failed", "ok"]
    assert [one.judged_by for one in judged] == [line] * 3
    assert judged[1].failure is failure
    assert judged[1].reason.startswith("edit the-middle-one: PQ: ")
    assert (judged[1].scores, judged[1].reward) == (None, None)


def test_an_answer_is_mended_as_any_judges_is(server, opened):
    fenced = f"<think>a dog</think>\n```json\n{json.dumps(SEMANTIC)}\n```"
    server.plan = lambda asked: says(fenced) if compares(asked) else well(asked)
    with opened() as judge:
        (judgement,) = judge.judge([edit()])
    assert judgement.scores == SCORES
    assert judgement.mended == (Mending.THOUGHT, Mending.WORDS_AROUND)


def test_a_fault_of_the_server_is_mended_by_sending_again(server, opened):
    left = [fails(503), Reaction(b"{"), fails(429, Retry_After="0")]
    server.plan = lambda asked: left.pop() if left else well(asked)
    with opened(attempts=4) as judge:
        (judgement,) = judge.judge([edit()])
    assert judgement.scores == SCORES
    assert len(server.asked) == 5


def test_soft_scores_asked_for_by_name_are_a_failure_that_costs_nothing(server, opened):
    soft = edit(0, options=JudgingOptions(scores="soft"))
    hard = edit(1, options=JudgingOptions(scores="hard", streams="pq"))
    with opened() as judge:
        failed, judged = judge.judge([soft, hard])
    assert failed.failure is Failure.NO_SOFT_SCORE
    assert failed.reason.startswith("edit e0: a model behind an address gives no distribution")
    assert judged.status is JudgementStatus.OK
    assert len(server.asked) == 1


def test_no_more_questions_are_under_way_than_the_settings_say(server, opened):
    with opened("&concurrency=2") as judge:
        assert len(judge.judge([edit(number) for number in range(6)])) == 6
    assert len(server.asked) == 12
    assert server.most_under_way <= 2


def test_a_server_that_is_away_ends_it_after_so_many_edits(server, opened):
    server.plan = lambda asked: fails(503)
    with opened("&give_up_after=3&concurrency=1", attempts=1) as judge:
        first = judge.judge([edit(0), edit(1)])
        assert [one.failure for one in first] == [Failure.JUDGE_FAILED] * 2
        server.plan = lambda asked: well(asked) if compares(asked) else fails(503)
        judge.judge([edit(2)])
        server.plan = lambda asked: fails(503)
        with pytest.raises(ServerAway, match="3 edits in a row got no answer; the last one: serve"):
            judge.judge([edit(number) for number in range(20)])
    assert len(server.asked) < 20


def test_a_key_is_sent_where_its_variable_is_named(server, opened, monkeypatch, caplog):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-shell")
    caplog.set_level(logging.DEBUG)
    with opened("&api_key_variable=JUDGE_KEY") as judge:
        judge.judge([edit()])
        assert server.asked[0].headers["Authorization"] == f"Bearer {KEY}"
        server.plan = lambda asked: fails(401, f"bad key {KEY}")
        with pytest.raises(InvalidInputError, match="the key in JUDGE_KEY was refused") as caught:
            judge.judge([edit()])
        assert str(caught.value).startswith(f"judge {server.url}: ")
    assert KEY not in str(caught.value) + caplog.text
    server.plan = lambda asked: fails(404, "no such model")
    with opened() as judge, pytest.raises(InvalidInputError, match="no model 'some/vl-8b' there"):
        judge.judge([edit()])
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(InvalidInputError, match="variable JUDGE_KEY holds no key"):
        opened("&api_key_variable=JUDGE_KEY")


WRONG = {
    "no address": ("openai:gpt", "judge openai:gpt: expected openai:MODEL@https://HOST/v1"),
    "no model": ("openai:@https://h/v1", "expected openai:MODEL@https://HOST/v1"),
    "no scheme": ("openai:m@localhost:8000/v1", "expected openai:MODEL@https://HOST/v1"),
    "a key in the address": ("openai:m@https://me:sk-1@h/v1", "keys belong in the environment"),
    "a key for its variable": (
        "openai:m@https://h/v1?api_key_variable=sk-1-2",
        "api_key_variable: String should match",
    ),
    "a key over http": (
        "openai:m@http://h/v1?api_key_variable=VL_KEY",
        "the key in VL_KEY would go to http://h/v1 in plain text; use https",
    ),
    "a misspelt setting": ("openai:m@https://h/v1?temprature=1", "no such key, did you mean temp"),
    "no value": ("openai:m@https://h/v1?temperature", "expected NAME=VALUE with &"),
    "twice": ("openai:m@https://h/v1?temperature=1&temperature=0", "temperature: given twice"),
    "both ways": ("openai:m@https://h/v1?extra=1&extra.a=1", "extra.a: given twice"),
    "another model": ("openai:m@https://h/v1?model=n", "model: stands before the settings"),
    "no number": ("openai:m@https://h/v1?concurrency=many", "concurrency: .*got 'many'"),
    "a field of ours": ("openai:m@https://h/v1?extra.stream=true", "stream: set by other settings"),
}


@pytest.mark.parametrize(("name", "message"), WRONG.values(), ids=WRONG)
def test_a_string_that_names_no_judge_is_explained_without_its_keys(name, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        load_judge(name)
    assert "sk-1" not in str(caught.value)
    assert str(caught.value).startswith("judge openai:")


def test_a_model_may_have_any_name():
    config = OpenAiConfig.parse("openai:org/model@2026:free@https://h.example/api/v1/?timeout_s=9")
    assert (config.model, config.base_url) == ("org/model@2026:free", "https://h.example/api/v1")
    assert (config.name, config.timeout_s) == ("org/model@2026:free@h.example", 9)


def test_what_does_not_go_with_a_model_behind_an_address_is_refused(opened, tmp_path):
    with pytest.raises(InvalidInputError, match="takes no adapter"):
        opened(adapter=tmp_path)
    with pytest.raises(InvalidInputError, match="protocol tiny has a chat template of its own"):
        opened(protocol="tiny")
    with pytest.raises(InvalidInputError, match="protocol none: expected full, full-"):
        opened(protocol="none")


def test_what_is_no_edit_is_refused_and_a_closed_judge_says_so(opened):
    with opened() as judge:
        assert isinstance(judge, OpenAiJudge)
        assert judge.judge([]) == []
        with pytest.raises(InvalidInputError, match=r"edits\[1\]"):
            judge.judge([edit(), "add a dog"])
    with pytest.raises(SpatialRewardError, match="has been closed"):
        judge.judge([edit()])


def test_the_command_judges_with_it(server, tmp_path, monkeypatch):
    monkeypatch.delenv("TRITON_GRPC_URL", raising=False)
    for name, color in (("s", "black"), ("e", "white")):
        Image.new("RGB", (60, 40), color).save(tmp_path / f"{name}.png")
    line = {"id": "one", "source": "s.png", "edited": "e.png", "instruction": "add a dog"}
    lines = [line, line | {"id": "two", "instruction": "make it snow"}]
    (tmp_path / "edits.jsonl").write_text("\n".join(map(json.dumps, lines)))
    server.plan = lambda asked: says("no") if "snow" in asked.text else well(asked)
    model = f"openai:m@{server.url}"
    done = CliRunner().invoke(
        app, ["judge", "--edits", str(tmp_path / "edits.jsonl"), "--model", model]
    )
    assert done.exit_code == 2, done.output
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["reward"], second["failure"]) == (Aggregation().reward(SCORES), "no_answer")
    assert second["reason"].startswith("edit two: SC: ")
    assert "which weights answer there is not known" in done.stderr


def test_options_of_an_edit_do_not_name_what_they_do_not_say():
    assert not JudgingOptions().names_soft_scores
    assert not JudgingOptions(seed=1).names_soft_scores
    assert not JudgingOptions(scores="hard").names_soft_scores
    assert JudgingOptions(scores="soft").names_soft_scores
    kept = dataclasses.replace(edit(options=JudgingOptions(scores="soft")), instruction="x")
    assert kept.options.names_soft_scores


@pytest.mark.parametrize("form", ["full-reasoning", "full-scores"])
def test_a_model_is_asked_for_less_and_held_to_it(server, opened, form):
    judge = opened(protocol=form)
    found = {"reasoning": "a dog as asked", "score": [20, 24]}
    if form == "full-scores":
        del found["reasoning"]
    server.plan = lambda asked: says(found)
    (judgement,) = judge.judge([edit()])
    assert judgement.status is JudgementStatus.OK
    assert (judgement.answer, judgement.regions) == (named_protocol(form).answer, ())
    assert judgement.sc_reasoning == found.get("reasoning", "")
    server.plan = well
    (refused,) = judge.judge([edit()])
    assert refused.failure is Failure.WRONG_FORM
    assert refused.answer is named_protocol(form).answer


def test_tokens_are_counted_as_the_server_tells_them(opened, server):
    judge, twice = opened(), opened(passes=2)
    server.plan = lambda asked: says(
        SEMANTIC if compares(asked) else PERCEPTUAL,
        usage={"prompt_tokens": 700, "completion_tokens": 30},
    )
    assert judge.tokens == Tokens(0, 0)
    judge.judge([edit()])
    assert judge.tokens == Tokens(2 * 700, 2 * 30)
    twice.judge([edit()])
    assert twice.tokens == Tokens(4 * 700, 4 * 30)


def test_what_the_model_wrote_is_handed_out_also_where_it_cannot_be_read(server, opened):
    judge = opened()
    server.plan = lambda asked: says("nice" if compares(asked) else PERCEPTUAL)
    unread, refused = quoted(judge, [edit(0), edit(1, options=JudgingOptions(scores="soft"))])
    assert unread.judgement.failure is Failure.NO_ANSWER
    assert unread.answers == ({"sc": "nice", "pq": json.dumps(PERCEPTUAL)},)
    assert refused.answers == ()
    server.plan = lambda asked: says(None, refusal="I will not") if compares(asked) else fails(500)
    (withheld,) = quoted(judge, [edit()])
    assert withheld.answers == ({"sc": "I will not"},)
