"""What a process beside the first does; components' tests train with several for real."""

import logging
from contextlib import contextmanager

import pytest

from spatialreward.ops.training_step import TrainingStep
from spatialreward.records import Record
from spatialreward.rl.config import RlConfig
from spatialreward.storage import BUCKET, ObjectStore
from spatialreward.training import processes


class OnAnotherNode(processes.Processes):
    """A second process whose disk has nothing of the first one's; there is one machine here."""

    def __init__(self, told):
        super().__init__(rank=1, world_size=2)
        self.told = list(told)

    def from_first(self, value):
        return self.told.pop(0)


@pytest.fixture
def joined(tmp_path, monkeypatch):
    """The process that a step joins as."""
    logger = logging.getLogger("spatialreward")
    level, process = logger.level, OnAnotherNode([True, tmp_path / "folder of the first"])

    @contextmanager
    def join(config):
        yield process

    monkeypatch.setattr(processes, "joined", join)
    yield process
    logger.setLevel(level)


def test_a_helper_on_another_node_brings_checkpoints_there_and_tells_nothing(
    s3, joined, monkeypatch, tmp_path
):
    monkeypatch.setenv("S3_ENDPOINT_URL", s3.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    store = ObjectStore.from_environment()
    store.ensure_bucket(BUCKET)
    (tmp_path / "editor").mkdir()
    (tmp_path / "editor" / "weights").write_text("trained before")
    editor = str(store.put_folder(tmp_path / "editor", f"s3://{BUCKET}/artifacts/test"))
    found = []

    def train(given):
        assert given.processes is joined
        given.report({"reward/mean": 1.0}, 1)
        found.append((given.checkpoints["editor"] / "weights").read_text())

    step = TrainingStep(
        name="train-something",
        config=Record(),
        training=RlConfig(),
        inputs={"editor": editor},
        data_sets={},
        checkpoints=["editor"],
        arguments=[],
        package="components.rl_finetuning",
        train=train,
        keep=lambda step: pytest.fail("the first process stores what was trained"),
    )
    assert step.run("") == {}
    assert found == ["trained before"]
    assert not joined.told


def test_a_helper_of_a_step_that_was_done_before_does_nothing(joined):
    joined.told = [False]
    step = TrainingStep(
        name="train-something",
        config=Record(),
        training=RlConfig(),
        inputs={},
        data_sets={},
        checkpoints=[],
        arguments=[],
        package="components.rl_finetuning",
        train=lambda given: pytest.fail("there is nothing to help with"),
        keep=lambda step: {},
    )
    assert step.run("") == {}
