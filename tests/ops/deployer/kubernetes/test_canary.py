import pytest

from spatialreward.ops.deployer.config import Canary
from spatialreward.ops.deployer.kubernetes import canary as module
from spatialreward.ops.deployer.kubernetes.canary import Watched, _complaints, give_share
from spatialreward.ops.deployer.kubernetes.counts import Counts
from spatialreward.ops.deployment.errors import TrialInconclusive

OLD = Counts(requests=100, seconds=100, edits=100)


def test_few_requests_say_nothing():
    few = Counts(requests=19, seconds=190, edits=19, failed=19)
    assert _complaints(OLD, few, Canary()) == []


def test_requests_that_fail_before_they_are_counted_say_enough():
    dead = Counts(edits=20, failed=20)
    (told,) = _complaints(OLD, dead, Canary())
    assert told == "100.0% of its edits failed, of the old version's 0.0%"


def test_a_version_is_as_slow_as_its_requests_are():
    slow = Counts(requests=20, seconds=41, edits=20)
    (told,) = _complaints(OLD, slow, Canary())
    assert told == "a request takes 2.050 s, the old version's 1.000 s"
    assert _complaints(OLD._replace(requests=19), slow, Canary()) == []


class Requests:
    """A clock, and versions that answer so many requests a second each, by it."""

    def __init__(self, monkeypatch, **each_second):
        self.now = 0.0
        self._each_second = {1: each_second["old"], 2: each_second["new"]}
        monkeypatch.setattr(module, "time", self)
        self.shares = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def share(self, old, new, percent):
        self.shares.append((percent, self.now))

    def counts(self, version):
        answered = self.now * self._each_second[version]
        return {"pod": Counts(requests=answered, seconds=answered, edits=answered)}

    def try_out(self, **canary):
        watched = Watched(self.counts, lambda: None, lambda: None)
        give_share(self, Canary(step_s=10, look_every_s=1, **canary), 1, 2, watched)


def test_a_step_lasts_until_both_versions_were_asked_often_enough(monkeypatch):
    requests = Requests(monkeypatch, old=10, new=1)
    requests.try_out(weights=(5, 50), min_requests=25)
    assert requests.shares == [(5, 0), (50, 25)]
    assert requests.now == 50


def test_enough_requests_do_not_shorten_a_step(monkeypatch):
    requests = Requests(monkeypatch, old=10, new=10)
    requests.try_out(weights=(5, 50), min_requests=25)
    assert requests.shares == [(5, 0), (50, 10)]


def test_all_steps_share_the_extra_time(monkeypatch):
    requests = Requests(monkeypatch, old=10, new=1)
    told = (
        "version 2 at 50 % of the requests: inconclusive after 15 s: it answered 15 requests, "
        "version 1 150; 25 of each are needed"
    )
    with pytest.raises(TrialInconclusive, match=told):
        requests.try_out(weights=(5, 50), min_requests=25, extra_s=20)
    assert requests.now == 40


def test_an_old_version_that_is_not_asked_leaves_nothing_to_compare_with(monkeypatch):
    requests = Requests(monkeypatch, old=0, new=10)
    with pytest.raises(TrialInconclusive, match="it answered 100 requests, version 1 0; 20 of"):
        requests.try_out(weights=(50,), extra_s=0)
    assert requests.now == 10
