"""Whatever breaks, every call ends in its own right judgements or in a typed error."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from itertools import count

import psutil
import pytest

from spatialreward.client import AsyncTritonJudge, ServerBusy, ServingError, TritonJudge
from spatialreward.deployment import deploy, deploy_once
from spatialreward.stack import StackConfig, down, up
from spatialreward.stack.config import Ports
from spatialreward.stack.ports import free_ports

pytestmark = pytest.mark.slow
ORDER = [2, 0, 3, 1, 1]

ENDLESS_CLIENT = """
import sys
from PIL import Image
from spatialreward.client import TritonJudge
from spatialreward.judge.interface import EditToJudge
picture = Image.effect_noise((64, 64), 50).convert("RGB")
edits = [EditToJudge(picture, picture, f"paint it red {number}") for number in range(64)]
print("asking", flush=True)
TritonJudge(sys.argv[1], requests_in_flight=8).judge(edits * 20)
"""


class Asking:
    """Threads that ask for known edits until they are told to stop."""

    def __init__(self, endpoint, known, num_threads):
        self.right = 0
        self.errors = []
        self.wrong = []
        self._known = known
        self._endpoint = endpoint
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(num_threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure):
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self._threads)

    def _ask(self):
        edits = [self._known.edits[number] for number in ORDER]
        with TritonJudge(self._endpoint, attempts=3, aside_s=0.2) as judge:
            while not self._stop.is_set():
                self._note(judge, edits)

    def _note(self, judge, edits):
        try:
            numbers = [self._known.number_of(one) for one in judge.judge(edits)]
        except ServingError as error:
            with self._lock:
                self.errors.append(error)
            self._stop.wait(0.05)
            return
        with self._lock:
            if numbers == ORDER:
                self.right += 1
            else:
                self.wrong.append(numbers)


def kill(pid):
    """Kill a server with the processes of its models, which leaves them no time for anything."""
    server = psutil.Process(pid)
    processes = [*server.children(recursive=True), server]
    for process in processes:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=30)


def test_a_server_that_is_killed_and_started_again_mid_load(
    judge_folder, known, own_template, without_others, wait_until, tmp_path
):
    with free_ports() as free:
        ports = Ports(triton_http=next(free), triton_grpc=next(free), triton_metrics=next(free))
    config = StackConfig(state_dir=tmp_path / "stack", without=without_others, ports=ports)

    def start():
        endpoints = up(config)
        place = endpoints.triton
        deploy_once(
            judge_folder,
            template=own_template,
            repository=place.model_repository,
            endpoint=place.grpc,
        )
        (process,) = endpoints.processes
        return place.grpc, process.pid

    try:
        endpoint, pid = start()
        with Asking(endpoint, known, num_threads=4) as asking:
            wait_until(lambda: asking.right >= 4)
            kill(pid)
            wait_until(lambda: asking.errors)
            start()
            before = asking.right
            wait_until(lambda: asking.right >= before + 8)
    finally:
        down(config.state_dir)
    assert asking.wrong == []


def test_a_client_that_is_killed_mid_request_disturbs_nobody(served, known, wait_until):
    client = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_CLIENT, served.endpoint],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        wait_until(lambda: served.metrics()["queued_edits"] >= 64)
    finally:
        client.kill()
        client.wait()
    with Asking(served.endpoint, known, num_threads=2) as asking:
        wait_until(lambda: asking.right >= 4)
    assert (asking.wrong, asking.errors) == ([], [])
    wait_until(lambda: served.metrics()["queued_edits"] == 0)
    assert served.is_well()


def test_a_call_that_is_cancelled_leaves_others_their_answers(served, known, wait_until):
    async def cancel_one_of_two():
        async with AsyncTritonJudge(served.endpoint) as judge:
            given_up = asyncio.create_task(judge.judge(known.edits * 40))
            kept = asyncio.create_task(judge.judge([known.edits[number] for number in ORDER]))
            await asyncio.sleep(0.5)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            return await kept

    judgements = asyncio.run(cancel_one_of_two())
    assert [known.number_of(one) for one in judgements] == ORDER
    wait_until(lambda: served.metrics()["queued_edits"] == 0)


def test_a_full_queue_turns_away_and_a_client_that_waits_is_served(
    served, known, judge_folder, own_template, tmp_path
):
    template = tmp_path / "template"
    shutil.copytree(own_template, template)
    with (template / "config.pbtxt").open("a") as file:
        file.write('parameters { key: "max_queued_edits" value: { string_value: "8" } }\n')
    place = served.triton
    deploy(
        judge_folder,
        template=template,
        repository=place.model_repository,
        endpoint=place.grpc,
        model="narrow",
    )
    groups = [[known.edits[number] for number in ORDER]] * 6
    impatient = _ask_at_once(served.endpoint, groups, attempts=1)
    turned_away = [one for one in impatient if isinstance(one, ServerBusy)]
    assert turned_away
    assert all("retry after" in str(one) for one in turned_away)
    patient = _ask_at_once(served.endpoint, groups, attempts=40)
    for judgements in patient:
        assert not isinstance(judgements, ServingError), judgements
        assert [known.number_of(one) for one in judgements] == ORDER


def _ask_at_once(endpoint, groups, attempts):
    outcomes = [None] * len(groups)
    numbers = count()

    def ask(group):
        with TritonJudge(endpoint, model="narrow", attempts=attempts) as judge:
            try:
                outcome = judge.judge(group)
            except ServingError as error:
                outcome = error
        outcomes[next(numbers)] = outcome

    threads = [threading.Thread(target=ask, args=(group,)) for group in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return outcomes
