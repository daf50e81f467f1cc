import itertools

import pytest

from spatialreward.evaluation.config import JudgeGate
from spatialreward.promotion import promote
from spatialreward.registry import CHAMPION, CHECKSUM_TAG, aliases_of, model_tags, register_model
from spatialreward.storage import digest_folder
from spatialreward.tracking import open_run
from tests.deployment.conftest import (  # noqa: F401 - fixtures of the folder next door
    Site,
    edit,
    scripted,
    scripted_template,
    triton,
)

_NUMBERS = itertools.count(1)
GOOD = {"pairwise_accuracy": "0.9000", "mean_iou": "0.7000", "unparsable_share": "0.0000"}


class Registry:
    """A registered model of the test's own, and what is asked of it."""

    def __init__(self, name):
        self.name = name

    def register(self, checkpoint):
        """Make a checkpoint the next version."""
        with open_run("train") as tracker:
            tags = GOOD | {CHECKSUM_TAG: digest_folder(checkpoint)}
            return register_model(self.name, checkpoint, tracker.run_id, tags)

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
