import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spatialreward.serving.threads import Threads, others_at_work


def test_one_worker_has_all_when_nobody_else_works_and_no_other_ever():
    given, others = [], [True, False, True, False, False]
    threads = Threads(2, 2, given.append, lambda: others.pop(0))
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as another:
        for worker in (one, one, one, another, one):
            worker.submit(threads.divide).result()
    assert given == [1, 2, 1, 1, 2]


def test_where_workers_have_several_each_keeps_its_own():
    given = []
    Threads(9, 2, given.append, lambda: False).divide()
    assert given == [4]


def test_nobody_gets_none():
    given = []
    Threads(1, 4, given.append, lambda: True).divide()
    assert given == [1]


@pytest.mark.skipif(not Path("/proc/loadavg").exists(), reason="no such file on this system")
def test_a_thread_that_works_is_seen():
    over = threading.Event()

    def work():
        while not over.is_set():
            pass

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert others_at_work()
    finally:
        over.set()
        thread.join()
