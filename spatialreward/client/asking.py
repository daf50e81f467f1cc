"""What a served judge can be asked, over whichever transport; the same for both clients."""

from collections.abc import Sequence
from typing import Any

from spatialreward.client.config import ClientConfig
from spatialreward.client.deadline import Deadline
from spatialreward.client.request import Request
from spatialreward.client.rotation import Rotation
from spatialreward.client.splitting import PictureFiles
from spatialreward.client.transport import Transport
from spatialreward.client.wire import judgements_of, request_tensors
from spatialreward.edits import Edit
from spatialreward.records import JudgeIdentity, Judgement

NOTICE_PARAMETER = "notice"
IDENTITY_PARAMETERS = {
    "weights": "judge_weights",
    "protocol": "judge_protocol",
    "aggregation": "judge_aggregation",
}
"""Parameter of a served model's configuration, by field of ``JudgeIdentity``."""


class Asking:
    """Asks one model and remembers which servers are away."""

    def __init__(self, config: ClientConfig, transport: Transport) -> None:
        """Ask nothing yet."""
        self._config = config
        self._transport = transport
        self._rotation = Rotation(config.endpoints, config.aside_s)

    async def judge(
        self, edits: Sequence[Edit], files: PictureFiles, deadline: Deadline
    ) -> list[Judgement]:
        """The judgements of edits that fit one request, in order.

        Raises:
            ServingError: the servers cannot be asked, or the answer cannot be used.
        """
        request = self._request(deadline)
        request.check_time()
        tensors = await self._transport.compute(lambda: request_tensors(edits, files.png))

        async def infer(endpoint: str) -> list[Judgement]:
            result = await request.call(
                endpoint,
                lambda client, timeout_s: client.infer(
                    self._config.model, tensors, request_id=request.id, client_timeout=timeout_s
                ),
            )
            return judgements_of(result, len(edits), request.where(endpoint))

        return await request.ask(infer)

    async def check(self) -> None:
        """Make sure that one server at least serves the model.

        Raises:
            ServingError: none does.
        """
        request = self._request(Deadline())
        await request.ask(request.probe)

    async def notice(self) -> str:
        """What a reader of the judgements must know about the served model.

        Raises:
            ServingError: no server serves it.
        """
        return _parameters(await self._model_config()).get(NOTICE_PARAMETER, "")

    async def identity(self) -> JudgeIdentity:
        """Who judges, at the first server that answers.

        Raises:
            ServingError: no server serves the model.
        """
        config = await self._model_config()
        parameters = _parameters(config)
        told = {field: parameters.get(key, "") for field, key in IDENTITY_PARAMETERS.items()}
        versions = [str(version) for version in config.version_policy.specific.versions]
        version = versions[-1] if versions else ""
        return JudgeIdentity(name=self._config.model, version=version, **told)

    async def _model_config(self) -> Any:
        """The model's configuration, a message of Triton's."""
        request = self._request(Deadline())

        async def read(endpoint: str) -> Any:
            await request.probe(endpoint)
            told = await request.call(
                endpoint,
                lambda client, timeout_s: client.get_model_config(
                    self._config.model, client_timeout=timeout_s
                ),
            )
            return told.config

        return await request.ask(read)

    def _request(self, deadline: Deadline) -> Request:
        return Request(self._config, self._transport, self._rotation, deadline)


def _parameters(config: Any) -> dict[str, str]:
    return {name: value.string_value for name, value in config.parameters.items()}
