import threading
import time

import pytest

from serving.bench.loop import closed_loop

WORK = [["edit"] * 3, ["edit"] * 5]


def test_each_client_asks_for_its_next_group_when_it_has_the_last():
    most = now = 0
    lock = threading.Lock()

    def ask(group):
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1

    # Long enough for both clients to begin on a busy machine.
    done = closed_loop(ask, WORK, clients=2, seconds=1.0)
    assert most == 2
    assert done.p50_s >= 0.002
    assert done.judgements_per_s > 0


def test_an_error_of_one_client_ends_the_round():
    def ask(group):
        raise ConnectionError("no server")

    with pytest.raises(ConnectionError, match="no server"):
        closed_loop(ask, WORK, clients=2, seconds=60)
