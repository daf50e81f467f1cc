import itertools

import pytest

from spatialreward.benchmarks.config import JudgeGate
from spatialreward.ops.promotion import promote
from spatialreward.ops.registry import CHAMPION, aliases_of, model_tags
from tests.evaluated import register_evaluated
from tests.ops.deployment.conftest import (  # noqa: F401 - fixtures of the folder next door
    Site,
    edit,
    scripted,
    scripted_template,
    triton,
)

_NUMBERS = itertools.count(1)


class Registry:
    """A registered model of the test's own, and what is asked of it."""

    def __init__(self, name):
        self.name = name

    def register(self, checkpoint):
        """Make a checkpoint the next version."""
        return register_evaluated(self.name, checkpoint)

    def promote(self, checkpoint, reason="better"):
        """Register a checkpoint and make it champion."""
        model = self.register(checkpoint)
        return self.promote_again(model, reason)

    def promote_again(self, model, reason="better"):
        promote(self.name, model.version, JudgeGate(), by="ann", reason=reason, again=True)
        return model

    def champion(self):
        found = aliases_of(self.name).get(CHAMPION)
        return found.version if found else None

    def serving(self, version):
        return model_tags(f"models:/{self.name}/{version}").get("serving")


@pytest.fixture
def registry(client):
    return Registry(f"deployed-{next(_NUMBERS)}")
