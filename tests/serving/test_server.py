"""Requests in, tensors out: each is answered, whatever the judge's answer held."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spatialreward.errors import InvalidInputError
from spatialreward.images import encode_png
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.qwen_vl import guidance
from spatialreward.judges.qwen_vl.answer_schema import answer_forms
from spatialreward.judges.qwen_vl.answers import Generated
from spatialreward.protocol.choice import in_form
from spatialreward.protocol.prompts import TINY
from spatialreward.records import (
    AnswerForm,
    JudgeIdentity,
    Judgement,
    JudgementStatus,
    Scores,
)
from spatialreward.serving.config import ServingConfig
from spatialreward.serving.faults import RequestFault, ServerBusy, ServerFailed
from spatialreward.serving.scheduler import Scheduler
from spatialreward.serving.server import JudgeServer

WAIT_S = 30
PNG = encode_png(Image.new("RGB", (9, 5), "red"))
REGION = {"id": 0, "label": "scarf", "bbox_2d": [250, 266, 500, 600]}
SEMANTIC = {"edit_region": [REGION], "reasoning": "<|bbox_0|> ok. <|global|> ok", "score": [21, 24]}
FAULTS = Path(__file__).parents[2] / "../shared/data/faults"


class Says:
    """An engine that answers both streams with one text."""

    def __init__(self, text):
        self.text = text

    def answer(self, questions, measure, more):
        for number in range(len(questions)):
            yield number, Generated(self.text, True, (1.0, 1.0))


IDENTITY = JudgeIdentity(
    name="judge", version="1", weights="ab" * 32, protocol="tiny@0", aggregation="min"
)


def serving(judge_each, measure=lambda name, amount: None, **more):
    return JudgeServer(
        judge_each,
        ServingConfig(batch_delay_s=0),
        identity=IDENTITY,
        measure=measure,
        **more,
    )


def tensors():
    """A request of one edit."""
    files = {"SOURCE": PNG, "EDITED": PNG, "INSTRUCTION": b"make it red", "STREAMS": b"sc"}
    return {name: np.array([[data]], dtype=object) for name, data in files.items()}


@pytest.fixture
def answer():
    """The outcome of one edit, or of an edit a judgement, from a server with that judge."""
    servers = []

    def answer(judge_each):
        measured = []
        server = serving(judge_each, lambda name, amount: measured.append(name))
        servers.append(server)
        done, outcomes = threading.Event(), []

        def take(outcome):
            outcomes.append((outcome, measured.copy()))
            done.set()

        server.submit(tensors(), take)
        assert done.wait(WAIT_S)
        (outcome,) = outcomes
        return outcome

    yield answer
    for server in servers:
        server.close()


def judgement_in(response):
    assert not isinstance(response, RequestFault), response
    return Judgement.model_validate_json(response[3][0, 0])


def test_a_judgement_says_by_which_weights_and_protocol_it_is(answer):
    response, _ = answer(Judge(Says(json.dumps(SEMANTIC)), TINY).judge_each)
    judgement = judgement_in(response)
    assert judgement.judged_by == "judge/1, weights abababababab, protocol tiny@0, min"
    assert [response[place][0, 0] for place in (4, 5)] == [b"judge", b"1"]


@pytest.mark.parametrize("form", [AnswerForm.REGIONS, AnswerForm.REASONING, AnswerForm.SCORES])
def test_a_served_judgement_says_its_form_and_one_in_another_form_fails(answer, form):
    keys = {"edit_region": form.has_regions, "reasoning": form.has_reasoning, "score": True}
    found = {key: value for key, value in SEMANTIC.items() if keys[key]}
    protocol = in_form("tiny", form)
    judgement = judgement_in(answer(Judge(Says(json.dumps(found)), protocol).judge_each)[0])
    assert (judgement.status, judgement.answer) == (JudgementStatus.OK, form)
    assert bool(judgement.regions) is form.has_regions
    others = found | {"reasoning": "ok"} if form is AnswerForm.SCORES else {"score": [21, 24]}
    refused = judgement_in(answer(Judge(Says(json.dumps(others)), protocol).judge_each)[0])
    assert (refused.status, refused.answer) == (JudgementStatus.FAILED, form)


HALF = json.dumps(SEMANTIC | {"edit_region": [REGION | {"label": "scarf \ud83e"}]})
LONG = json.dumps(SEMANTIC).replace("250", "9" * 5_000)


def test_half_a_surrogate_pair_in_an_answer_is_served_as_a_replacement_character(answer):
    response, _ = answer(Judge(Says(HALF), TINY).judge_each)
    judgement = judgement_in(response)
    assert judgement.status is JudgementStatus.OK
    assert judgement.regions[0].label == "scarf \N{REPLACEMENT CHARACTER}"


def test_a_number_that_is_too_long_to_be_read_is_served_as_a_failure(answer):
    response, _ = answer(Judge(Says(LONG), TINY).judge_each)
    judgement = judgement_in(response)
    assert judgement.status is JudgementStatus.FAILED
    assert judgement.reason.startswith("answer is not JSON: it holds a number of more than 4,300")


@pytest.mark.parametrize("fault", ["half_surrogate_served", "number_of_5000_digits"])
def test_an_answer_that_broke_a_server_once_is_answered(answer, fault):
    path = FAULTS / fault / "answer.txt"
    if not path.is_file():
        pytest.skip("the collection of faults is not beside this checkout")
    response, _ = answer(Judge(Says(path.read_text()), TINY).judge_each)
    expected = {"half_surrogate_served": "ok", "number_of_5000_digits": "failed"}
    assert judgement_in(response).status == expected[fault]


def test_an_answer_that_cannot_be_written_is_a_fault_and_counted_as_one(answer):
    def unwritable(take, measure):
        for number, _ in enumerate(take(64)):
            scores = Scores(editing_success=1, over_editing=1)
            yield (
                number,
                Judgement.model_construct(
                    status=JudgementStatus.OK, scores=scores, reward=0.5, reason="\ud83e"
                ),
            )

    fault, measured = answer(unwritable)
    assert isinstance(fault, ServerFailed)
    assert "refused/failed" in measured


@pytest.fixture
def compiled(monkeypatch):
    """The forms that are compiled, in order."""
    patterns = []

    def compiling(pattern, vocabulary, compiling=guidance.Index):
        patterns.append(pattern)
        return compiling(pattern, vocabulary)

    monkeypatch.setattr(guidance, "Index", compiling)
    return patterns


@pytest.fixture
def load(judge_folder):
    """A server of the test judge, with parameters as Triton has them."""
    servers = []
    threads = torch.get_num_threads()

    def load(**parameters):
        server = JudgeServer.load(
            judge_folder,
            {"batch_delay_s": "0", "workers": "1"} | parameters,
            model="judge",
            version="1",
            measure=lambda name, amount: None,
            stop=lambda: None,
        )
        servers.append(server)
        return server

    yield load
    for server in servers:
        server.close()
    torch.set_num_threads(threads)


def ask(server):
    done, outcomes = threading.Event(), []
    server.submit(tensors(), lambda outcome: (outcomes.append(outcome), done.set()))
    assert done.wait(WAIT_S)
    return judgement_in(outcomes[0])


def test_all_forms_are_compiled_before_a_server_is_ready(load, compiled):
    server = load()
    assert compiled == list(answer_forms(TINY.answer))
    ask(server)
    assert compiled == list(answer_forms(TINY.answer))


def test_a_server_with_guidance_off_compiles_no_form_and_judges(load, compiled):
    server = load(guided="false")
    ask(server)
    assert compiled == []


def test_guidance_is_on_unless_a_parameter_says_otherwise():
    assert ServingConfig.of_parameters({}).guided
    assert not ServingConfig.of_parameters({"guided": "false"}).guided
    with pytest.raises(InvalidInputError, match=r"parameter guided: .*got 'perhaps'"):
        ServingConfig.of_parameters({"guided": "perhaps"})


def test_an_answer_that_cannot_be_given_is_logged_and_raised_to_nobody(caplog):
    server = serving(Judge(Says(HALF), TINY).judge_each)

    def answer(outcome):
        raise ConnectionError("the client has hung up")

    try:
        server.submit({}, answer)
        assert "a request could not be answered" in caplog.text
        assert server.is_ready
    finally:
        server.close()


def test_a_server_whose_worker_has_ended_is_taken_out_of_service_once(monkeypatch):
    monkeypatch.setattr(Scheduler, "_work", lambda self, worker: None)
    stopped = threading.Semaphore(0)
    server = serving(Judge(Says(HALF), TINY).judge_each, stop=stopped.release)
    refused = []
    try:
        assert stopped.acquire(timeout=WAIT_S)
        assert not server.is_ready
        server.submit(tensors(), refused.append)
        assert isinstance(refused[0], ServerBusy)
    finally:
        server.close()
    assert not stopped.acquire(blocking=False)
