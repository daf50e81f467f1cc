import pytest

from spatialreward.stack import Service, StackConfig, running_stack
from spatialreward.storage import ObjectStore


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
