from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from spatialreward.records import REQUEST_TENSORS, RESPONSE_TENSORS
from spatialreward.serving.config import ServingConfig

TEMPLATE = Path(__file__).parents[2] / "serving" / "judge" / "config.pbtxt"
TYPES = {"BYTES": "TYPE_STRING", "FP32": "TYPE_FP32", "INT64": "TYPE_INT64"}


@pytest.fixture(scope="module")
def config():
    return text_format.Parse(TEMPLATE.read_text(), model_config_pb2.ModelConfig())


def as_configured(tensor):
    type_name = model_config_pb2.DataType.Name(tensor.data_type)
    return tensor.name, type_name, tuple(tensor.dims)


def as_agreed(tensor):
    return tensor.name, TYPES[tensor.datatype], tensor.dims


def test_triton_is_reported_of_the_tensors_that_server_and_client_agree_on(config):
    assert [*map(as_configured, config.input)] == [*map(as_agreed, REQUEST_TENSORS)]
    assert [*map(as_configured, config.output)] == [*map(as_agreed, RESPONSE_TENSORS)]
    assert [one.optional for one in config.input] == [one.optional for one in REQUEST_TENSORS]


def test_triton_and_the_library_take_requests_of_the_same_size(config):
    assert config.max_batch_size == ServingConfig().max_request_edits


def test_the_library_batches_and_triton_does_not(config):
    assert not config.HasField("dynamic_batching")
    assert [group.count for group in config.instance_group] == [1]
