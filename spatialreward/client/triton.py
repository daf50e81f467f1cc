"""Asks the judge on a Triton server, over gRPC."""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
import tritonclient.grpc as triton
from pydantic import ValidationError
from tenacity import (
    before_sleep_log,
    retry,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)
from tritonclient.utils import InferenceServerException

from spatialreward.errors import InvalidInputError, SpatialRewardError
from spatialreward.images import encode_png
from spatialreward.judge.interface import EditToJudge
from spatialreward.records import Judgement

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

NOTICE_PARAMETER = "notice"
_EDITS_A_REQUEST = 16
_REQUESTS_IN_FLIGHT = 4
_TRANSIENT = "StatusCode.UNAVAILABLE"


class ServingError(SpatialRewardError, RuntimeError):
    """The server cannot be asked: none is there, it lacks the model, or it did not answer."""


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, InferenceServerException) and error.status() == _TRANSIENT


class TritonJudge:
    """A judge behind a Triton server; safe to use from several threads."""

    def __init__(self, endpoint: str, *, model: str = "judge", timeout_s: float = 120.0) -> None:
        """Connect when first used.

        Args:
            endpoint: gRPC address, ``host:port``.
            model: the model's name on the server.
            timeout_s: how long one request of up to 16 edits may take.
        """
        self._endpoint = endpoint
        self._model = model
        self._timeout_s = timeout_s
        self._client = triton.InferenceServerClient(endpoint)

    @classmethod
    def from_environment(cls) -> Self:
        """The judge of the server at ``TRITON_GRPC_URL``.

        Raises:
            InvalidInputError: it is not set.
        """
        endpoint = os.environ.get("TRITON_GRPC_URL")
        if not endpoint:
            raise InvalidInputError("served judge: TRITON_GRPC_URL not set, expected HOST:PORT")
        return cls(endpoint)

    @cached_property
    def notice(self) -> str:
        """What a reader of the judgements must know about the served model.

        Raises:
            ServingError: the server is not there, or does not serve the model.
        """
        self.check()
        config = self._ask(lambda: self._client.get_model_config(self._model)).config
        if NOTICE_PARAMETER not in config.parameters:
            return ""
        return config.parameters[NOTICE_PARAMETER].string_value

    def check(self) -> None:
        """Make sure that the model can be asked.

        Raises:
            ServingError: the server is not there, or does not serve the model.
        """
        if not self._ask(lambda: self._client.is_model_ready(self._model)):
            raise ServingError(f"the server at {self._endpoint} serves no model {self._model!r}")

    def judge(self, edits: Sequence[EditToJudge]) -> list[Judgement]:
        """One judgement an edit, in order; one that the server cannot judge is a failed one.

        Raises:
            ServingError: the server is not there, does not serve the model, or did not answer.
        """
        self.check()
        chunks = [
            edits[start : start + _EDITS_A_REQUEST]
            for start in range(0, len(edits), _EDITS_A_REQUEST)
        ]
        with ThreadPoolExecutor(_REQUESTS_IN_FLIGHT) as threads:
            return [one for answers in threads.map(self._judge_chunk, chunks) for one in answers]

    def _judge_chunk(self, edits: Sequence[EditToJudge]) -> list[Judgement]:
        columns = {
            "SOURCE": [encode_png(edit.source) for edit in edits],
            "EDITED": [encode_png(edit.edited) for edit in edits],
            "INSTRUCTION": [edit.instruction.encode() for edit in edits],
        }
        inputs = []
        for name, column in columns.items():
            tensor = triton.InferInput(name, [len(edits), 1], "BYTES")
            tensor.set_data_from_numpy(np.array(column, dtype=object).reshape(-1, 1))
            inputs.append(tensor)
        result = self._ask(
            lambda: self._client.infer(self._model, inputs, client_timeout=self._timeout_s)
        )
        answers = result.as_numpy("JUDGEMENT")
        if answers is None or len(answers) != len(edits):
            raise ServingError(
                f"{self._model} at {self._endpoint}: expected {len(edits)} judgements, got "
                f"{0 if answers is None else len(answers)}"
            )
        try:
            return [Judgement.model_validate_json(answer) for answer in answers.ravel()]
        except ValidationError as error:
            raise ServingError(
                f"{self._model} at {self._endpoint}: an answer is no judgement: {error}"
            ) from error

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        again = retry(
            retry=retry_if_exception(_is_transient),
            stop=stop_after_attempt(4),
            wait=wait_exponential_jitter(multiplier=0.1, max=2, jitter=0.1),
            before_sleep=before_sleep_log(logger, logging.DEBUG),
            reraise=True,
        )
        try:
            return again(call)()
        except InferenceServerException as error:
            if error.status() == _TRANSIENT:
                raise ServingError(f"no server answers at {self._endpoint}") from error
            raise ServingError(
                f"{self._model} at {self._endpoint}: {error.message() or error.status()}"
            ) from error
