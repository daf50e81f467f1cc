"""Triton's server as a deployment uses it: loading, unloading, and what is loaded."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import tritonclient.grpc as triton
from google.protobuf import json_format
from tritonclient.grpc.model_config_pb2 import ModelConfig
from tritonclient.utils import InferenceServerException

from spatialreward.client.handshake import speaks_http
from spatialreward.ops.deployment.errors import DeploymentError, KeyRefused, ServerAway

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

LOAD_TIMEOUT_S = 1800.0
_ANSWER_TIMEOUT_S = 30.0
_POLL_S = 0.1
_NO_SERVER = "StatusCode.UNAVAILABLE"
# A refusal has the status of a server that is away; only its text tells them apart.
_REFUSED = "This protocol is restricted"

KEY_VARIABLE = "TRITON_REPOSITORY_KEY"
"""Environment variable of the key that loading and unloading ask for."""
# Under the name `key`, the local stack, docker-compose.yml and manifests/ start Triton with one.
_KEY_METADATA = "triton-grpc-protocol-key"


class Server:
    """A Triton server in explicit model control."""

    def __init__(self, endpoint: str, key: str = "") -> None:
        """Connect when first used.

        Args:
            endpoint: gRPC address, ``host:port``.
            key: of a server whose model-repository API is restricted; empty: it is not.
        """
        self.endpoint = endpoint
        self._key = key
        self._client = triton.InferenceServerClient(endpoint)

    def load(self, model: str, config: ModelConfig | None = None) -> None:
        """Load a model as its files are now.

        The server retires loaded versions that the configuration does not name once the others are
        ready, after their last request; when one does not load, all stays as it was.

        Args:
            model: its name.
            config: instead of the one among its files. Given that, Triton loads what it names;
                else it does nothing when it takes the files for unchanged, and may be wrong in that
                after a load that failed.

        Raises:
            DeploymentError: it does not load.
        """
        override = None if config is None else json_format.MessageToJson(config)
        self._ask(
            model,
            lambda: self._client.load_model(
                model, headers=self._headers, config=override, client_timeout=LOAD_TIMEOUT_S
            ),
        )

    def unload(self, model: str) -> None:
        """Unload a model, and wait until its memory is free; one that is not loaded is no error.

        Raises:
            DeploymentError: it is not gone in time, or the server does not answer.
        """
        self.settle(model)
        if "READY" in self._states(model).values():
            self._ask(model, lambda: self._client.unload_model(model, headers=self._headers))
        self._wait(model, lambda: not {"READY", "UNLOADING"} & {*self._states(model).values()})

    def settle(self, model: str) -> None:
        """Wait for loads that are under way, such as one whose caller was interrupted.

        The files of a model that is being loaded must not be touched: the server would wait for
        its process until the backend's own limit, and answer no other load of it.

        Raises:
            DeploymentError: it takes too long, or the server does not answer.
        """
        if "LOADING" in self._states(model).values():
            logger.info("waiting until %s has finished loading %s", self.endpoint, model)
        self._wait(model, lambda: "LOADING" not in self._states(model).values())

    def wait_until_served(self, model: str, version: int) -> None:
        """Wait until requests that name no version are answered by this one.

        Raises:
            DeploymentError: they are not.
        """
        self._wait(model, lambda: self.ready_versions(model) == [version], _ANSWER_TIMEOUT_S)

    def ready_versions(self, model: str) -> list[int]:
        """Versions that can be asked by name; the last one answers requests that name none.

        Raises:
            DeploymentError: the server does not answer.
        """
        states = self._states(model)
        return sorted(version for version, state in states.items() if state == "READY")

    @property
    def _headers(self) -> dict[str, str]:
        return {_KEY_METADATA: self._key} if self._key else {}

    def _states(self, model: str) -> dict[int, str]:
        index = self._ask(
            model,
            lambda: self._client.get_model_repository_index(
                headers=self._headers, client_timeout=_ANSWER_TIMEOUT_S
            ),
        )
        # A model that was never loaded is listed without a version.
        return {
            int(one.version): one.state for one in index.models if one.name == model and one.version
        }

    def _wait(
        self, model: str, reached: Callable[[], bool], timeout_s: float = LOAD_TIMEOUT_S
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not reached():
            if time.monotonic() > deadline:
                raise DeploymentError(
                    f"{model} at {self.endpoint}: after {timeout_s:.0f} s its versions are "
                    f"{self._states(model)}"
                )
            time.sleep(_POLL_S)

    def _ask(self, model: str, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except InferenceServerException as error:
            if (error.message() or "").startswith(_REFUSED):
                raise KeyRefused(self._refusal()) from error
            if error.status() == _NO_SERVER:
                wrong = speaks_http(self.endpoint)
                raise ServerAway(wrong or f"no server answers at {self.endpoint}") from error
            raise DeploymentError(f"{model} at {self.endpoint}: {error.message()}") from error

    def _refusal(self) -> str:
        if self._key:
            return f"{self.endpoint}: the key in {KEY_VARIABLE} is not this server's"
        return (
            f"{self.endpoint} asks for a key: set {KEY_VARIABLE} to the one that it was started "
            "with"
        )
