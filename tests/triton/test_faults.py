"""Faults that a served judge and its clients survive: each call ends in its own answer or an error.

A switch of versions under load is tested with the deployment.
"""

import asyncio
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tritonclient.utils import InferenceServerException

from spatialreward.client import AsyncTritonJudge, ServerBusy, ServingError, TritonJudge
from spatialreward.stack import Ports, StackConfig, down, up
from tests.triton.served_judge import (
    ONLY_TRITON,
    OWN_TEMPLATE,
    ServedJudge,
    send,
    unknown_edits,
)

LIMITS = {"max_batch_edits": 4, "max_queued_edits": 40, "workers": 1}
"""Small, so that requests have to wait and a few are too many."""
END_S = 120


class MortalServer:
    """A server that can be killed and started again at the same addresses."""

    def __init__(self, config, checkpoint, template):
        self._config = config
        self._checkpoint = checkpoint
        self._template = template

    def start(self):
        self.served = ServedJudge(up(self._config))
        triton = self.served.triton
        http, grpc, metrics = (
            urlsplit(address if "://" in address else f"//{address}").port
            for address in (triton.http, triton.grpc, triton.metrics)
        )
        ports = Ports(triton_http=http, triton_grpc=grpc, triton_metrics=metrics)
        self._config = self._config.model_copy(update={"ports": ports})
        self.served.deploy(self._checkpoint, self._template)

    def kill(self):
        server = psutil.Process(self.served.pid)
        for process in (server, *server.children(recursive=True)):
            process.kill()

    def stop(self):
        down(self._config.state_dir)


@pytest.fixture(scope="module")
def narrow_template(tmp_path_factory):
    """The judge as a Triton model that takes little at once."""
    folder = tmp_path_factory.mktemp("template") / "judge"
    shutil.copytree(OWN_TEMPLATE, folder)
    with (folder / "config.pbtxt").open("a") as config:
        for name, limit in LIMITS.items():
            config.write(f'parameters {{ key: "{name}" value {{ string_value: "{limit}" }} }}\n')
    return folder


@pytest.fixture(scope="module")
def server(judge_folder, narrow_template, tmp_path_factory):
    config = StackConfig(state_dir=tmp_path_factory.mktemp("triton"), without=ONLY_TRITON)
    server = MortalServer(config, judge_folder, narrow_template)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def served(server):
    return server.served


@pytest.fixture
def assert_recovered(server, known, wait_until):
    """Nothing is queued any more, and the known edits are judged as ever."""

    def check():
        wait_until(lambda: server.served.metrics()["queued_edits"] == 0)
        with TritonJudge(server.served.endpoint) as judge:
            judgements = judge.judge(known.edits)
        assert [known.number_of(one) for one in judgements] == [0, 1, 2, 3]

    return check


def next_arrival(served):
    """Whether another request has been accepted since the call."""
    decode_s = served.metrics()["seconds_total/decode"]
    return lambda: served.metrics()["seconds_total/decode"] > decode_s


@contextmanager
def asked_all_the_time(endpoint, known, num_threads=4):
    """Ask in several threads for the length of a block; yields how the calls end, as they do."""
    over = threading.Event()
    outcomes = []

    def ask(thread):
        numbers = [(thread + step) % 4 for step in range(4)]
        with TritonJudge(endpoint, edits_per_request=2, attempts=4) as judge:
            while not over.is_set():
                try:
                    answers = judge.judge([known.edits[number] for number in numbers])
                except ServingError as error:
                    outcomes.append(type(error).__name__)
                else:
                    assert [known.number_of(one) for one in answers] == numbers
                    outcomes.append("right")

    with ThreadPoolExecutor(num_threads) as threads:
        asking = [threads.submit(ask, thread) for thread in range(num_threads)]
        try:
            yield outcomes
        finally:
            over.set()
        for one in asking:
            one.result(timeout=END_S)


def test_a_server_that_is_killed_and_started_again_gives_each_call_its_own_answer_or_an_error(
    server, known, wait_until, assert_recovered
):
    with asked_all_the_time(server.served.endpoint, known) as outcomes:
        wait_until(lambda: outcomes.count("right") >= 4)
        server.kill()
        wait_until(lambda: "ServerUnavailable" in outcomes)
        server.start()
        right_before = outcomes.count("right")
        wait_until(lambda: outcomes.count("right") >= right_before + 8)
    assert_recovered()


def start_client_that_waits(endpoint, request_id, number):
    """A process that has asked about so many edits."""
    program = f"""
import time, tritonclient.grpc
from tests.triton.served_judge import send, unknown_edits
client = tritonclient.grpc.InferenceServerClient({endpoint!r})
send(client, {request_id!r}, unknown_edits({number}))
time.sleep(600)
"""
    return subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])


def test_a_client_that_is_killed_leaves_nothing_behind(served, known, wait_until, assert_recovered):
    arrived = next_arrival(served)
    client = start_client_that_waits(served.endpoint, "orphan", 36)
    try:
        wait_until(arrived)
    finally:
        client.kill()
        client.wait()
    assert served.logged("orphan") == []
    assert_recovered()
    wait_until(lambda: served.logged("orphan"))
    assert [line["reason"] for line in served.logged("orphan")] == ["cancelled"]


def test_a_cancelled_request_is_forgotten_and_those_beside_it_are_not(
    served, known, wait_until, assert_recovered
):
    before = served.metrics()["requests_refused_total/cancelled"]
    arrived = next_arrival(served)
    _, front = send(served.client, "front", unknown_edits(32))
    wait_until(arrived)
    arrived = next_arrival(served)
    call, outcomes = send(served.client, "cancelled", known.edits)
    wait_until(arrived)
    call.cancel()
    asyncio.run(cancel_a_task(served, known, wait_until))
    wait_until(lambda: front and outcomes)
    assert not isinstance(front[0], InferenceServerException)
    assert outcomes[0].status() == "StatusCode.CANCELLED"
    assert_recovered()
    assert served.metrics()["requests_refused_total/cancelled"] == before + 2


async def cancel_a_task(served, known, wait_until):
    arrived = next_arrival(served)
    async with AsyncTritonJudge(served.endpoint) as judge:
        task = asyncio.create_task(judge.judge(known.edits))
        await asyncio.to_thread(wait_until, arrived)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_full_queue_turns_clients_away_until_there_is_room(
    served, known, wait_until, assert_recovered
):
    arrived = next_arrival(served)
    _, front = send(served.client, "full", unknown_edits(40))
    wait_until(arrived)
    many = [*known.edits] * 5
    _, outcomes = send(served.client, "turned-away", many)
    wait_until(lambda: outcomes)
    assert outcomes[0].status() == "StatusCode.UNAVAILABLE"
    assert re.match(r"\d+ edits are waiting, 40 may: retry after", outcomes[0].message())
    at_once = {"edits_per_request": len(many)}
    with (
        TritonJudge(served.endpoint, attempts=1, **at_once) as eager,
        pytest.raises(ServerBusy) as busy,
    ):
        eager.judge(many)
    assert busy.value.retry_after_s > 0
    with TritonJudge(served.endpoint, attempts=60, **at_once) as patient:
        answers = patient.judge(many)
    assert [known.number_of(one) for one in answers] == [0, 1, 2, 3] * 5
    wait_until(lambda: front)
    assert_recovered()
