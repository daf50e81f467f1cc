import copy
import os
import signal
from pathlib import Path

# Workers share the cores: one thread each is faster than several that wait for each other. The
# servers that tests start inherit it, and torch reads it when it is imported below.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import pytest
import torch
from hypothesis import settings
from mlflow import MlflowClient

from spatialreward.edits import Edit
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.protocol.prompts import TINY
from spatialreward.stack import Service, StackConfig, environment, running_stack
from spatialreward.storage import ObjectStore
from spatialreward.training.arguments import training_arguments
from spatialreward.training.collating import Collator
from spatialreward.training.config import JudgeTrainingConfig, OptimiserConfig
from spatialreward.training.conversations import Planned
from spatialreward.training.fitting import fit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from spatialreward.world.targets import scene_conversation
from spatialreward.world.tiny_config import EditorNetworkConfig
from spatialreward.world.tiny_editor import TinyEditor
from spatialreward.world.untrained_judge import untrained_tiny

# A shell that runs the tests in its background has them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine's load only.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

DATA = DataConfig(seed=21)


@pytest.fixture(scope="session")
def known_samples():
    """The few edits that the judge of ``judge_folder`` has learnt by heart."""
    return list(draw_samples(DATA, "train", 4))


@pytest.fixture(scope="session")
def known_edits(known_samples):
    return [Edit(*sample.images(), sample.instruction) for sample in known_samples]


@pytest.fixture(scope="session")
def untrained():
    """A tiny judge of random weights and its processor; a test that trains it takes a copy."""
    return untrained_tiny(5, DATA)


@pytest.fixture(scope="session")
def judge_folder(untrained, known_samples, tmp_path_factory) -> Path:
    """A judge's checkpoint that answers, made in seconds: it knows four edits and no others."""
    model, processor = copy.deepcopy(untrained[0]), untrained[1].following(TINY)
    tasks = ("semantic", "perceptual", "semantic")
    taught = [scene_conversation(task, one, TINY) for task in tasks for one in known_samples]
    num_steps, batch = 180, len(known_samples)
    config = JudgeTrainingConfig(
        num_samples=num_steps * batch,
        optimiser=OptimiserConfig(learning_rate=2e-3, warmup_steps=5, batch_size=batch),
    )
    order = np.arange(num_steps * batch) % len(taught)
    states = tmp_path_factory.mktemp("states")
    arguments = training_arguments(config, config.num_steps, states, 1)
    arguments.save_strategy = "no"
    fit(
        model,
        arguments,
        Planned(taught, order),
        Collator(processor),
        matrices=config.optimiser.matrices,
        report=lambda metrics, step: None,
        description="test judge",
    )
    folder = tmp_path_factory.mktemp("judge") / "checkpoint"
    card = {"notice": 'knows four "edits", naïvely'}
    checkpoint.save(folder, model, processor, card, TINY)
    return folder


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """A real S3 server for the tests of one worker, with the credentials to use it."""
    config = StackConfig(
        state_dir=tmp_path_factory.mktemp("s3"),
        without=frozenset({Service.MLFLOW, Service.TRITON}),
    )
    with running_stack(config) as endpoints:
        yield endpoints.s3


@pytest.fixture
def store(s3):
    store = ObjectStore(s3.endpoint_url, s3.access_key, s3.secret_key)
    store.ensure_bucket("steps")
    return store


@pytest.fixture(scope="session")
def tracking_servers(tmp_path_factory):
    """A real MLflow server with its object store, for the tests of one worker."""
    config = StackConfig(
        state_dir=tmp_path_factory.mktemp("tracking"), without=frozenset({Service.TRITON})
    )
    with running_stack(config) as endpoints:
        yield endpoints


@pytest.fixture
def client(tracking_servers, monkeypatch, tmp_path):
    """A client of that server, to which the environment points for the length of a test."""
    for name, value in environment(tracking_servers).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setenv("SPATIALREWARD_CACHE", str(tmp_path / "cache"))
    return MlflowClient(tracking_servers.mlflow.tracking_uri)


@pytest.fixture(scope="session")
def editor_folder(tmp_path_factory) -> Path:
    """A small editor that gives sources back, plus a little noise of its own."""
    editor = TinyEditor.untrained(
        EditorNetworkConfig(width=32, num_layers=1, num_heads=2),
        (sample.instruction for sample in draw_samples(DATA, "train", 64)),
        seed=2,
    )
    torch.manual_seed(3)
    torch.nn.init.normal_(editor.network.change.weight, std=0.02)
    folder = tmp_path_factory.mktemp("editor") / "checkpoint"
    editor.save(folder, {"kind": "test editor"})
    return folder
