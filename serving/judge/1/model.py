"""The judge's Triton model: tensors in, tensors out; the library does the rest."""

import functools
import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

from spatialreward.records import REQUEST_TENSORS, RESPONSE_TENSORS
from spatialreward.serving.faults import (
    InvalidRequest,
    RequestCancelled,
    RequestFault,
    ServerFailed,
)
from spatialreward.serving.metrics import METRICS, PREFIX, SERIES
from spatialreward.serving.server import JudgeServer, configure_logging


class TritonPythonModel:
    """Passes requests to the library, which answers them asynchronously."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the checkpoint beside this file."""
        configure_logging()
        version = Path(args["model_repository"]) / args["model_version"]
        parameters = json.loads(args["model_config"])["parameters"]
        self._metrics = _Metrics(args["model_name"], args["model_version"])
        self._server = JudgeServer.load(
            version / "checkpoint",
            {name: value["string_value"] for name, value in parameters.items()},
            model=args["model_name"],
            version=args["model_version"],
            measure=self._metrics.measure,
            # Unloading makes the model unready.
            stop=functools.partial(pb_utils.unload_model, args["model_name"]),
        )

    def execute(self, requests: list) -> None:
        """Submit the requests; each is answered later by its own sender."""
        for request in requests:
            tensors = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
            sender = request.get_response_sender()
            self._server.submit(
                {spec.name: tensors[spec.name] for spec in REQUEST_TENSORS if spec.name in tensors},
                functools.partial(_send, sender),
                request_id=request.request_id(),
                is_cancelled=sender.is_cancelled,
            )

    def finalize(self) -> None:
        """Answer the open requests."""
        self._server.close()


class _Metrics:
    """The library's metrics, published at Triton's metrics address."""

    def __init__(self, model: str, version: str) -> None:
        kinds = {"counter": pb_utils.MetricFamily.COUNTER, "gauge": pb_utils.MetricFamily.GAUGE}
        self._families = {
            name: pb_utils.MetricFamily(PREFIX + name, metric.help, kinds[metric.kind])
            for name, metric in METRICS.items()
        }
        labels = {"model": model, "version": version}
        self._series = {
            name: self._families[series.metric].Metric(labels={**labels, **series.labels})
            for name, series in SERIES.items()
        }

    def measure(self, name: str, amount: float) -> None:
        # The library calls this from one thread at a time: two at once crash Triton 2.51.
        if METRICS[SERIES[name].metric].kind == "gauge":
            self._series[name].set(amount)
        else:
            self._series[name].increment(amount)


def _send(sender, outcome: list[np.ndarray] | RequestFault) -> None:
    if isinstance(outcome, RequestFault):
        response = pb_utils.InferenceResponse(error=_error(outcome))
    else:
        tensors = [
            pb_utils.Tensor(spec.name, value)
            for spec, value in zip(RESPONSE_TENSORS, outcome, strict=True)
        ]
        response = pb_utils.InferenceResponse(output_tensors=tensors)
    sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _error(fault: RequestFault) -> "pb_utils.TritonError":
    match fault:
        case InvalidRequest():
            code = pb_utils.TritonError.INVALID_ARG
        case RequestCancelled():
            code = pb_utils.TritonError.CANCELLED
        case ServerFailed():
            code = pb_utils.TritonError.INTERNAL
        case _:
            code = pb_utils.TritonError.UNAVAILABLE
    return pb_utils.TritonError(str(fault), code)
