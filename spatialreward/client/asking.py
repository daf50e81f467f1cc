"""What a served judge can be asked, over whichever transport; the same for both clients."""

from collections.abc import Sequence

from spatialreward.client.config import ClientConfig
from spatialreward.client.deadline import Deadline
from spatialreward.client.request import Request
from spatialreward.client.rotation import Rotation
from spatialreward.client.splitting import PictureFiles
from spatialreward.client.transport import Transport
from spatialreward.client.wire import judgements_of, request_tensors
from spatialreward.edits import Edit
from spatialreward.records import Judgement

NOTICE_PARAMETER = "notice"


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
        request = self._request(Deadline())

        async def read(endpoint: str) -> str:
            await request.probe(endpoint)
            told = await request.call(
                endpoint,
                lambda client, timeout_s: client.get_model_config(
                    self._config.model, client_timeout=timeout_s
                ),
            )
            if NOTICE_PARAMETER not in told.config.parameters:
                return ""
            return told.config.parameters[NOTICE_PARAMETER].string_value

        return await request.ask(read)

    def _request(self, deadline: Deadline) -> Request:
        return Request(self._config, self._transport, self._rotation, deadline)
