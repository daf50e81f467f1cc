import itertools
import json
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

import spatialreward
from spatialreward.client import TritonJudge
from spatialreward.edits import Edit
from spatialreward.ops.deployment import deploy
from spatialreward.ops.deployment.repository import ModelFolder
from spatialreward.protocol.prompts import TINY
from spatialreward.records import JudgeIdentity
from spatialreward.stack import Service, StackConfig, running_stack

OWN_TEMPLATE = Path(spatialreward.__file__).parents[1] / "serving" / "judge"
_NUMBERS = itertools.count()
SCRIPTED_PROGRAM = Path(__file__).parent / "scripted_judge.py"


@pytest.fixture(scope="session")
def triton(tmp_path_factory):
    """A real Triton server for the tests of this folder, without a model."""
    config = StackConfig(
        state_dir=tmp_path_factory.mktemp("triton"),
        without=frozenset({Service.S3, Service.MLFLOW}),
    )
    with running_stack(config) as endpoints:
        yield endpoints.triton


@pytest.fixture(scope="session")
def scripted_template(tmp_path_factory):
    """A Triton model with the judge's tensors that answers as its checkpoint says, and at once."""
    folder = tmp_path_factory.mktemp("template")
    shutil.copy(OWN_TEMPLATE / "config.pbtxt", folder)
    (folder / "1").mkdir()
    shutil.copy(SCRIPTED_PROGRAM, folder / "1" / "model.py")
    return folder


@pytest.fixture
def scripted(tmp_path):
    """Makes checkpoints for the scripted template."""

    def make(name, **script):
        folder = tmp_path / name
        folder.mkdir()
        TINY.write(folder)
        (folder / "card.json").write_text(json.dumps({"notice": name}))
        (folder / "script.json").write_text(json.dumps({"reward": 0.5} | script))
        return folder

    return make


class Site:
    """One model under test: deploys to it, asks it, looks at its files."""

    def __init__(self, triton, model, template):
        self.where = {
            "repository": triton.model_repository,
            "endpoint": triton.grpc,
            "key": triton.repository_key,
            "model": model,
        }
        self.endpoint = triton.grpc
        self.key = triton.repository_key
        self.metadata = {"triton-grpc-protocol-key": self.key}
        self.repository = triton.model_repository
        self.model = model
        self.template = template
        self.home = triton.model_repository / model

    def deploy(self, checkpoint, **options):
        return deploy(checkpoint, template=self.template, **self.where, **options)

    def ask(self, edit):
        """The judgement of an edit: who made it, and its reward."""
        with TritonJudge(self.endpoint, model=self.model) as judge:
            (judgement,) = judge.judge([edit])
        name = JudgeIdentity.name_in(judgement.judged_by)
        return name.removeprefix(f"{self.model}/"), judgement.reward

    @contextmanager
    def asked_all_the_time(self, edit, threads=4):
        """Ask again and again for the length of a block; yields the answers, all of them."""
        over = threading.Event()
        answers, errors = [], []

        def ask():
            while not over.is_set():
                try:
                    answers.append(self.ask(edit))
                except Exception as error:
                    errors.append(error)

        asking = [threading.Thread(target=ask) for _ in range(threads)]
        for thread in asking:
            thread.start()
        try:
            yield answers
        finally:
            over.set()
            for thread in asking:
                thread.join()
        assert errors == []

    @property
    def folder(self):
        return ModelFolder(self.repository, self.model)

    def on_disk(self):
        return sorted(int(path.name) for path in self.home.glob("*") if path.name.isdigit())

    def staging_is_gone(self):
        return not (self.repository / f"{self.model}-staging").exists()


@pytest.fixture
def site(triton, scripted_template):
    """A model of the test's own on the shared server."""
    return Site(triton, f"judge-{next(_NUMBERS)}", scripted_template)


@pytest.fixture(scope="session")
def real_site(triton):
    """The model that serves the test judge itself."""
    return Site(triton, "judge", OWN_TEMPLATE)


@pytest.fixture
def edit(known_samples):
    sample = known_samples[0]
    return Edit(*sample.images(), sample.instruction)
