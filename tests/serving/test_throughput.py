import pytest

from spatialreward.serving.throughput import Throughput


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def throughput(clock):
    return Throughput(clock)


@pytest.fixture
def judge(clock, throughput):
    """Judges batches of so many edits, which take so many seconds each."""

    def judge(batches, edits, seconds):
        for _ in range(batches):
            clock.now += seconds
            for _ in range(edits):
                throughput.count()

    return judge


def test_it_is_guessed_before_an_edit_was_judged(throughput):
    assert throughput.seconds_for(20) == pytest.approx(1)


def test_a_queue_takes_as_long_as_its_edits_took_lately(throughput, judge):
    judge(batches=60, edits=10, seconds=1)
    assert throughput.seconds_for(100) == pytest.approx(10, rel=0.01)


def test_batches_count_as_what_they_are_and_not_as_slow_edits(throughput, judge):
    judge(batches=100, edits=1, seconds=0.5)
    assert throughput.seconds_for(96) == pytest.approx(48, rel=0.1)
    judge(batches=12, edits=96, seconds=1.6)
    assert throughput.seconds_for(960) == pytest.approx(16, rel=0.2)


def test_a_batch_may_be_longer_than_the_memory(throughput, judge):
    judge(batches=3, edits=96, seconds=60)
    assert throughput.seconds_for(96) == pytest.approx(60, rel=0.05)


def test_a_pause_is_no_slow_work(throughput, judge, clock):
    judge(batches=30, edits=10, seconds=1)
    clock.now += 3_600
    throughput.resume()
    judge(batches=1, edits=10, seconds=1)
    assert throughput.seconds_for(100) == pytest.approx(10, rel=0.01)
