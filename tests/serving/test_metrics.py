"""What is measured is gathered before it is handed on, and nothing of it is lost."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from spatialreward.serving.metrics import Gathering


def test_counters_add_up_and_gauges_keep_their_last_value():
    amounts = []
    gathering = Gathering(lambda name, amount: amounts.append((name, amount)))
    for amount in (1.0, 2.0):
        gathering.measure("batch_edits", amount)
        gathering.measure("queued_edits", amount)
    assert amounts == []
    gathering.flush()
    assert amounts == [("batch_edits", 3.0), ("queued_edits", 2.0)]
    gathering.measure("batch_edits", 4.0)
    gathering.flush()
    gathering.flush()
    assert amounts[2:] == [("batch_edits", 4.0)]


def test_nothing_is_lost_between_threads_and_only_one_hands_on():
    totals, at_it = Counter(), threading.Lock()

    def hand_on(name, amount):
        assert at_it.acquire(blocking=False)
        totals[name] += amount
        at_it.release()

    gathering = Gathering(hand_on)

    def work(number):
        for _ in range(500):
            gathering.measure("batches", 1)
            gathering.measure("batch_edits", number)
            gathering.flush()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert totals == {"batches": 2000, "batch_edits": 500 * (0 + 1 + 2 + 3)}
