from spatialreward.deployer.config import Canary
from spatialreward.deployer.kubernetes.canary import _complaints
from spatialreward.deployer.kubernetes.counts import Counts

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
