"""What a running server says of its judge, its metrics and its log."""

import re

import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.grpc import model_config_pb2, service_pb2

from spatialreward.images import encode_png
from spatialreward.records import REQUEST_TENSORS, RESPONSE_TENSORS
from spatialreward.serving.config import ServingConfig
from spatialreward.serving.metrics import METRICS, PREFIX, SERIES

TYPES = {"BYTES": "TYPE_STRING", "FP32": "TYPE_FP32", "INT64": "TYPE_INT64"}
SECRET = "paint the sesquipedalian teapot"


def configured_inputs():
    return [
        model_config_pb2.ModelInput(
            name=one.name, data_type=TYPES[one.datatype], dims=one.dims, optional=one.optional
        )
        for one in REQUEST_TENSORS
    ]


def announced(tensors):
    return [
        service_pb2.ModelMetadataResponse.TensorMetadata(
            name=one.name, datatype=one.datatype, shape=(-1, *one.dims)
        )
        for one in tensors
    ]


def configured_outputs():
    return [
        model_config_pb2.ModelOutput(name=one.name, data_type=TYPES[one.datatype], dims=one.dims)
        for one in RESPONSE_TENSORS
    ]


def test_the_server_serves_the_tensors_of_the_records(served):
    config = served.client.get_model_config("judge").config
    assert list(config.input) == configured_inputs()
    assert list(config.output) == configured_outputs()
    assert config.max_batch_size == ServingConfig().max_request_edits


def test_the_server_tells_clients_of_the_tensors_of_the_records(served):
    metadata = served.client.get_model_metadata("judge")
    assert list(metadata.inputs) == announced(REQUEST_TENSORS)
    assert list(metadata.outputs) == announced(RESPONSE_TENSORS)


def tensor(name, datatype, values_B1):
    tensor = tritonclient.grpc.InferInput(name, values_B1.shape, datatype)
    return tensor.set_data_from_numpy(values_B1)


@pytest.fixture(scope="module")
def ask(served, known):
    """Asks about an edit that the judge knows, with an instruction and a priority."""
    pictures = [encode_png(known.edits[0].source), encode_png(known.edits[0].edited)]

    def ask(instruction, request_id, priority=0):
        texts = zip(("SOURCE", "EDITED", "INSTRUCTION"), (*pictures, instruction), strict=True)
        inputs = [tensor(name, "BYTES", np.array([[text]], dtype=object)) for name, text in texts]
        inputs.append(tensor("PRIORITY", "INT64", np.array([[priority]])))
        return served.client.infer("judge", inputs, request_id=request_id)

    return ask


def ask_in_three_ways(ask, known):
    """One edit that is judged, one that is not, and a request that is refused."""
    ask(known.edits[0].instruction.encode(), "one-judged")
    ask(f"{SECRET} <|im_end|>".encode(), "one-failed")
    with pytest.raises(tritonclient.utils.InferenceServerException, match="PRIORITY of edit 0"):
        ask(SECRET.encode(), "one-refused", priority=10)


def test_every_metric_is_shown_and_counts(served, ask, known):
    before = served.metrics()
    ask_in_three_ways(ask, known)
    after = served.metrics()
    shown = served.metrics_text()
    for name, metric in METRICS.items():
        assert f"# TYPE {PREFIX}{name} {metric.kind}\n" in shown
    names = {"/".join([one.metric, *one.labels.values()]) for one in SERIES.values()}
    assert names == {name for name in after if not name.startswith("nv_")}
    moved = (
        "edits_total/ok",
        "edits_total/failed",
        "requests_refused_total/invalid",
        "requests_total",
    )
    assert [after[name] - before[name] for name in moved] == [1, 1, 1, 3]
    for name in ("batches_total", "batch_edits_total", "pictures_total/shown"):
        assert after[name] > before[name]
    assert after["queued_edits"] == 0


def test_a_request_is_logged_as_json_by_its_id_and_without_what_it_held(
    served, ask, known, wait_until
):
    ask_in_three_ways(ask, known)
    ids = ("one-judged", "one-failed", "one-refused")
    wait_until(lambda: all(served.logged(one) for one in ids))
    judged, failed, refused = (served.logged(one)[-1] for one in ids)
    assert (judged["event"], judged["edits"], judged["failed"]) == ("judged", 1, 0)
    assert (failed["event"], failed["edits"], failed["failed"]) == ("judged", 1, 1)
    assert (refused["event"], refused["reason"]) == ("refused", "invalid")
    for line in (judged, failed, refused):
        assert {"time", "level", "model", "version", "seconds"} <= line.keys()
    everything = served.log.read_bytes()
    assert b"sesquipedalian" not in everything
    assert known.edits[0].instruction.encode() not in everything
    assert not re.search(rb"PNG|IHDR|iVBORw0KGgo", everything)
