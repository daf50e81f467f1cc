import itertools

import pytest

from spatialreward.registry import ModelVersion, register_model
from spatialreward.tracking import open_run

_NUMBERS = itertools.count(1)
GOOD = {"pairwise_accuracy": "0.9000", "mean_iou": "0.7000", "unparsable_share": "0.0000"}


@pytest.fixture
def model(client):
    """The name of a registered model that nobody else uses."""
    return f"promoted-{next(_NUMBERS)}"


@pytest.fixture
def register(client, model, tmp_path):
    """Registers a version of that model with figures among its tags; good ones unless told."""

    def register(**figures) -> ModelVersion:
        folder = tmp_path / "checkpoint"
        folder.mkdir(exist_ok=True)
        (folder / "weights.bin").write_bytes(b"weights")
        with open_run("train") as tracker:
            tags = GOOD | {name: f"{value:.4f}" for name, value in figures.items()}
            return register_model(model, folder, tracker.run_id, tags)

    return register
