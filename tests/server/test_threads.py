from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from spatialreward.server.threads import Threads


@pytest.fixture
def workers():
    """Two threads that work one after the other, or both."""
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        yield one, other


def test_one_worker_has_all_when_it_is_alone_and_no_other_ever(workers):
    given = []
    threads = Threads(2, 2, given.append)
    one, other = (ExitStack(), ExitStack())

    def begin(worker, block):
        worker.submit(block.enter_context, threads.divided()).result()

    begin(workers[0], one)
    begin(workers[1], other)
    assert given == [2, 1]
    one.close()
    begin(workers[0], one)
    assert given == [2, 1, 1]
    one.close()
    other.close()
    begin(workers[1], other)
    assert given == [2, 1, 1, 1]
    other.close()
    begin(workers[0], one)
    assert given == [2, 1, 1, 1, 2]


def test_where_workers_have_several_each_keeps_its_own(workers):
    given = []
    threads = Threads(9, 2, given.append)
    for _ in range(2):
        with threads.divided():
            assert set(given) == {4}


def test_nobody_gets_none():
    given = []
    threads = Threads(1, 4, given.append)
    with threads.divided(), threads.divided():
        assert given == [1, 1]
