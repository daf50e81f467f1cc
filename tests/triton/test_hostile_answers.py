"""Through a real Triton: answers that are hard to write, pictures larger than their files."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from spatialreward.client import RequestRejected, TritonJudge
from spatialreward.client.wire import judgements_of
from spatialreward.edits import Edit
from spatialreward.protocol.prompts import TINY
from spatialreward.records import JudgementStatus, JudgingOptions, Streams
from spatialreward.stack import StackConfig, running_stack
from tests.triton.served_judge import ONLY_TRITON, OWN_TEMPLATE, ServedJudge, send

SIDE = 2_000
REQUEST_BYTES = 3 * 4 * SIDE * SIDE
BUDGET = int(2.5 * REQUEST_BYTES)
REGION = {"id": 0, "label": "scarf \ud83e", "bbox_2d": [250, 266, 500, 600]}
ANSWER = {"edit_region": [REGION], "reasoning": "<|bbox_0|> \0 \udd23", "score": [21, 24]}
ONE_STREAM = JudgingOptions(streams=Streams.SEMANTIC)


@pytest.fixture(scope="module")
def hold(tmp_path_factory):
    return tmp_path_factory.mktemp("hold") / "hold"


@pytest.fixture(scope="module")
def served(hold, tmp_path_factory):
    template = tmp_path_factory.mktemp("template") / "judge"
    shutil.copytree(OWN_TEMPLATE, template)
    with (template / "1" / "model.py").open("a") as program:
        program.write(Path(__file__).with_name("says.py").read_text())
    with (template / "config.pbtxt").open("a") as config:
        config.write(
            f'parameters {{ key: "max_waiting_bytes" value {{ string_value: "{BUDGET}" }} }}\n'
        )
    checkpoint = tmp_path_factory.mktemp("checkpoint")
    TINY.write(checkpoint)
    (checkpoint / "card.json").write_text("{}")
    (checkpoint / "answer.txt").write_text(json.dumps(ANSWER))
    (checkpoint / "hold.txt").write_text(str(hold))
    config = StackConfig(state_dir=tmp_path_factory.mktemp("triton"), without=ONLY_TRITON)
    with running_stack(config) as endpoints:
        served = ServedJudge(endpoints)
        served.deploy(checkpoint, template)
        yield served


def large(number):
    """Files of a few kilobytes that take sixteen megabytes each."""
    pictures = [Image.new("1", (SIDE, SIDE)) for _ in range(3)]
    for position, picture in enumerate(pictures):
        picture.putpixel((number, position), 1)
    first, second, edited = pictures
    return Edit(first, edited, "make it red", (second,), ONE_STREAM)


def test_an_answer_with_half_a_surrogate_pair_is_served(served):
    small = Image.new("RGB", (8, 8))
    with TritonJudge(served.endpoint, timeout_s=30) as judge:
        (judgement,) = judge.judge([Edit(small, small, "make it red", options=ONE_STREAM)])
    assert judgement.status is JudgementStatus.OK
    assert judgement.regions[0].label == "scarf \N{REPLACEMENT CHARACTER}"
    assert judgement.sc_reasoning == "<|bbox_0|> \0 \N{REPLACEMENT CHARACTER}"


def test_large_pictures_beyond_the_budget_are_turned_away_and_the_others_judged(
    served, hold, wait_until
):
    hold.touch()
    waiting = [send(served.client, f"large-{number}", [large(number)])[1] for number in range(8)]
    wait_until(lambda: sum(map(len, waiting)) == 6)
    refused = [outcomes[0] for outcomes in waiting if outcomes]
    assert served.metrics()["waiting_bytes"] == 2 * REQUEST_BYTES
    assert served.metrics()["requests_refused_total/memory"] == 6
    for error in refused:
        assert isinstance(error, InferenceServerException)
        assert error.status() == "StatusCode.UNAVAILABLE"
        assert f"bytes are waiting, {BUDGET:,} may" in error.message()
        assert "retry after" in error.message()
    kept = [outcomes for outcomes in waiting if not outcomes]
    hold.unlink()
    wait_until(lambda: all(kept))
    for (result,) in kept:
        assert judgements_of(result, 1, "large")[0].status is JudgementStatus.OK
    wait_until(lambda: served.metrics()["waiting_bytes"] == 0)


def test_pictures_that_could_never_wait_are_invalid(served):
    edits = [large(number) for number in range(3)]
    with (
        TritonJudge(served.endpoint) as judge,
        pytest.raises(RequestRejected, match=rf"bytes, as files .* than the {BUDGET:,} that may"),
    ):
        judge.judge(edits)
