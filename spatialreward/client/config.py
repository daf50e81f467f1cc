"""What a client of the served judge can be told."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PositiveInt, ValidationError, field_validator

from spatialreward.errors import InvalidInputError
from spatialreward.records import Record
from spatialreward.validation import first_problem

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

DEFAULT_MODEL = "judge"
_ADDRESS = re.compile(r"[^\s,/]+:\d+|(?:dns|ipv4|ipv6|unix):\S+")


class ClientConfig(Record):
    """How a judge is asked, and how long one waits for it."""

    endpoints: tuple[str, ...] = Field(min_length=1)
    """gRPC addresses, ``host:port`` each."""
    model: str = Field(DEFAULT_MODEL, min_length=1)
    """The model's name on the servers."""
    timeout_s: Seconds = 120.0
    """How long one request may take."""
    edits_per_request: PositiveInt = 16
    """How many edits a request holds at most."""
    requests_in_flight: PositiveInt = 4
    """How many requests of one client are under way at most, in all of its calls together."""
    attempts: PositiveInt = 6
    """How often a request is offered to the servers before they count as away or too busy."""
    aside_s: Seconds = 5.0
    """How long a server that is away gets no requests while others answer."""

    @field_validator("endpoints")
    @classmethod
    def _are_addresses(cls, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        for endpoint in endpoints:
            if not _ADDRESS.fullmatch(endpoint):
                raise ValueError(f"expected HOST:PORT, got {endpoint!r}")
        return tuple(dict.fromkeys(endpoints))


def client_config(endpoint: str | Sequence[str], **options: object) -> ClientConfig:
    """Check a client's arguments.

    Args:
        endpoint: one address, several with commas between them, or a sequence of addresses.
        options: the other fields of ``ClientConfig``.

    Raises:
        InvalidInputError: one of them cannot be used; the message names it.
    """
    addresses = endpoint.split(",") if isinstance(endpoint, str) else endpoint
    given = {"endpoints": tuple(one.strip() for one in addresses), **options}
    try:
        return ClientConfig.model_validate(given)
    except ValidationError as error:
        problem = first_problem(error, ClientConfig, given)
        raise InvalidInputError(f"served judge: {problem}") from error
