import pytest

from spatialreward.benchmarks.gate import GateError
from spatialreward.errors import InvalidInputError, is_final
from spatialreward.ops.attempts import refuse_in_vain, with_retries
from spatialreward.ops.tracking import TrackingError, open_run
from spatialreward.storage import StorageError


class Fails:
    """Work that fails with each of some errors in turn, then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.times = 0

    def __call__(self):
        self.times += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture
def retries(monkeypatch):
    monkeypatch.setenv("SPATIALREWARD_STEP_RETRIES", "3")


def test_what_may_pass_is_tried_again_after_longer_and_longer_waits(retries):
    waits = []
    work = Fails(StorageError("away"), StorageError("away"), RuntimeError("CUDA error"))
    assert with_retries(work, waits.append) == "done"
    assert waits == [5.0, 10.0, 20.0]


def test_after_the_last_attempt_its_error_is_raised(retries):
    work = Fails(*[StorageError(f"away {number}") for number in range(5)])
    with pytest.raises(StorageError, match="away 3"):
        with_retries(work, lambda seconds: None)
    assert work.times == 4


@pytest.mark.parametrize("error", [InvalidInputError("no such file"), GateError("falls short")])
def test_what_cannot_be_helped_is_not_tried_again(error, retries):
    work = Fails(error)
    with pytest.raises(type(error)):
        with_retries(work, lambda seconds: pytest.fail("waited"))
    assert work.times == 1


def test_nothing_is_tried_again_unless_the_environment_says_so(monkeypatch):
    monkeypatch.delenv("SPATIALREWARD_STEP_RETRIES", raising=False)
    work = Fails(StorageError("away"))
    with pytest.raises(StorageError):
        with_retries(work, lambda seconds: pytest.fail("waited"))


def test_a_number_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("SPATIALREWARD_STEP_RETRIES", "many")
    with pytest.raises(InvalidInputError, match="SPATIALREWARD_STEP_RETRIES=many"):
        with_retries(Fails())


def test_errors_of_the_world_may_pass():
    assert not any(map(is_final, (StorageError("x"), TrackingError("x"), RuntimeError("x"))))
    assert not is_final(ValueError("another one"))
    assert is_final(InvalidInputError("x"))


@pytest.fixture
def failed_before(client):
    """A pipeline's run with a step that has failed, finally or not."""

    def make(final):
        with open_run("pipeline") as parent:
            tags = {"step_key": "k", "error": "no such base"} | ({"final": "true"} if final else {})
            with (
                pytest.raises(InvalidInputError),
                open_run("train-judge", parent_run_id=parent.run_id, tags=tags),
            ):
                raise InvalidInputError("no such base")
        return parent.run_id

    return make


def test_a_further_attempt_of_the_platform_is_refused_where_it_is_in_vain(
    failed_before, monkeypatch
):
    parent = failed_before(final=True)
    refuse_in_vain("k", parent)
    monkeypatch.setenv("KFP_RETRY_INDEX", "0")
    refuse_in_vain("k", parent)
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")
    refuse_in_vain("another step's", parent)
    with pytest.raises(InvalidInputError, match=r"^no such base \(not tried again\)$"):
        refuse_in_vain("k", parent)


def test_a_further_attempt_is_made_where_the_last_failure_may_have_passed(
    failed_before, monkeypatch
):
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")
    refuse_in_vain("k", failed_before(final=False))
