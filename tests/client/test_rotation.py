import pytest

from spatialreward.client import DeadlineExceeded, ModelNotServed, ServerBusy, ServerUnavailable
from spatialreward.client.rotation import Absence, Rotation


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rotation(clock):
    return Rotation(["a:1", "b:1", "c:1"], 5.0, clock)


def test_servers_take_turns(rotation):
    assert [rotation.next(()) for _ in range(4)] == ["a:1", "b:1", "c:1", "a:1"]


def test_one_that_is_aside_is_asked_only_when_the_others_were_tried(rotation):
    rotation.put_aside("a:1", Absence.AWAY, "gone")
    assert [rotation.next(()) for _ in range(3)] == ["b:1", "c:1", "b:1"]
    assert rotation.next({"b:1", "c:1"}) == "a:1"
    assert rotation.next({"a:1", "b:1", "c:1"}) is None


def test_when_its_time_has_come_one_caller_looks_whether_it_is_back(rotation, clock):
    rotation.put_aside("a:1", Absence.AWAY, "gone")
    clock.now += 5.0
    assert rotation.next(()) == "a:1"
    assert rotation.is_aside("a:1")
    assert [rotation.next(()) for _ in range(3)] == ["b:1", "c:1", "b:1"]


def test_one_that_answered_takes_its_turns_again(rotation):
    rotation.put_aside("a:1", Absence.AWAY, "gone")
    rotation.take_back("a:1")
    assert not rotation.is_aside("a:1")
    assert rotation.next(()) == "a:1"


def test_one_that_said_how_long_it_is_busy_is_left_alone_for_so_long(rotation, clock):
    rotation.put_aside("a:1", Absence.BUSY, "full", 0.5)
    assert rotation.next({"b:1", "c:1"}) is None
    rotation.take_back("a:1")
    assert rotation.next({"b:1", "c:1"}) is None
    clock.now += 0.5
    assert rotation.next({"b:1", "c:1"}) == "a:1"


@pytest.mark.parametrize(
    ("absences", "expected"),
    [
        ([Absence.AWAY, Absence.NO_MODEL, Absence.AWAY], ServerUnavailable),
        ([Absence.AWAY, Absence.BUSY, Absence.NO_MODEL], ServerBusy),
        ([Absence.BUSY, Absence.LATE, Absence.AWAY], DeadlineExceeded),
    ],
)
def test_the_error_names_every_server_with_its_reason(rotation, absences, expected):
    endpoints = ["a:1", "b:1", "c:1"]
    told = {
        endpoint: rotation.put_aside(endpoint, absence, f"reason {number}")
        for number, (endpoint, absence) in enumerate(zip(endpoints, absences, strict=True))
    }
    error = rotation.error("judge", "request 7", told)
    assert type(error) is expected
    assert "a:1 (reason 0), b:1 (reason 1), c:1 (reason 2), request 7" in str(error)


def test_servers_without_the_model_are_named_with_what_to_do(rotation):
    told = {
        endpoint: rotation.put_aside(endpoint, Absence.NO_MODEL, "unknown model")
        for endpoint in ("b:1", "a:1")
    }
    error = rotation.error("judge", "request 7", told)
    assert type(error) is ModelNotServed
    assert str(error) == (
        "no model 'judge' is loaded at a:1, b:1; deploy one with: "
        "spatialreward deploy --model models:/spatial-reward@champion"
    )


@pytest.mark.parametrize(("other_hint_s", "expected"), [(2.0, 0.5), (None, 0.0)])
def test_busy_servers_may_be_asked_again_when_the_first_of_them_allows_it(
    rotation, other_hint_s, expected
):
    for endpoint, hint_s in (("a:1", 0.5), ("b:1", other_hint_s), ("c:1", 2.0)):
        rotation.put_aside(endpoint, Absence.BUSY, "full", hint_s)
    assert rotation.error("judge", "request 7", {}).retry_after_s == expected
