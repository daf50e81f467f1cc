import itertools

import pytest

from spatialreward.ops.registry import ModelVersion
from tests.evaluated import register_evaluated

_NUMBERS = itertools.count(1)


@pytest.fixture
def model(client):
    """The name of a registered model that no other test uses."""
    return f"promoted-{next(_NUMBERS)}"


@pytest.fixture
def register(client, model, tmp_path):
    """Registers a checkpoint with a report of figures; good ones unless told."""

    def register(**figures) -> ModelVersion:
        folder = tmp_path / "checkpoint"
        folder.mkdir(exist_ok=True)
        (folder / "weights.bin").write_text(f"weights {next(_NUMBERS)}")
        return register_evaluated(model, folder, **figures)

    return register
