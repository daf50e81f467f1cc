"""Server, key and retry settings of a chat client; free of heavy imports."""

import ipaddress
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, PositiveInt, field_validator, model_validator

from spatialreward.records import Record

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
OPENAI_ADDRESS = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"


class PicturesSent(Record):
    """Encoding of pictures for a model."""

    longest_side: int = Field(1024, ge=64, le=8192)
    """In pixels; larger pictures are scaled down, smaller ones stay as they are."""
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    """JPEG without chroma subsampling, PNG, or WebP without loss."""
    jpeg_quality: int = Field(95, ge=50, le=100)
    """High, to keep the model from confusing JPEG's artifacts with the editor's."""
    detail: Literal["auto", "low", "high"] | None = None
    """OpenAI's field of this name; None: not sent."""


class ChatServer(Record):
    """A model behind an address, and the common fields of requests to it."""

    role: ClassVar[str] = "model"
    """The model's role; starts the messages about its server."""

    base_url: str
    """Such as ``http://localhost:8000/v1`` or ``https://api.openai.com/v1``; without a key."""
    model: str = Field(min_length=1)
    # Errors must not repeat it: it may be the key itself, by mistake.
    api_key_variable: str | None = Field(None, pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$", repr=False)
    """Environment variable with the key; empty: send no key. None: ``OPENAI_API_KEY`` for
    ``https://api.openai.com/v1``, and no key for any other address."""
    key_over_http: bool = False
    """Whether the key may go to another machine over plain HTTP, readable by everyone on the path:
    for a server in a network that you trust."""

    concurrency: PositiveInt = 8
    """Requests under way at most, those that wait to be retried included."""
    timeout_s: Seconds = 120.0
    """How long an answer may take to begin, and how long from there to its last byte."""
    max_attempts: PositiveInt = 8
    """How often a request is sent until a server answers it. The ``openai`` client waits in
    between: as long as Retry-After says, which may be two minutes at most, or 0.5 s, doubled up to
    8 s."""
    give_up_after: PositiveInt | None = 64
    """Abort the run after this number of consecutive edits without an answer; None: never."""

    temperature: float | None = Field(0.0, ge=0, le=2)
    """None: not sent; some reasoning models refuse it."""
    token_limit_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """The server's field for the length of an answer: the second one on older servers."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of the request, such as ``{"reasoning_effort": "low"}``."""
    pictures: PicturesSent = PicturesSent()

    @field_validator("base_url")
    @classmethod
    def _is_a_plain_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("keys belong in the environment: expected only host and path")
        return url.rstrip("/")

    @field_validator("extra")
    @classmethod
    def _leaves_our_fields_alone(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        ours = {
            "model", "messages", "temperature", "max_tokens", "max_completion_tokens",
            "response_format", "stream", "n",
        }  # fmt: skip
        if taken := sorted(ours & set(extra)):
            raise ValueError(f"{', '.join(taken)}: set by other settings, or not to be set")
        return extra

    @model_validator(mode="after")
    def _no_key_in_plain_text(self) -> Self:
        if self.key_variable and self.is_plain and not (self.is_here or self.key_over_http):
            raise ValueError(
                f"api_key_variable: the key in {self.key_variable} would go to {self.base_url} in "
                "plain text; use https, or set key_over_http = true if you trust the network"
            )
        return self

    @property
    def key_variable(self) -> str:
        """Environment variable with the key; empty if no key is sent."""
        if self.api_key_variable is not None:
            return self.api_key_variable
        return OPENAI_KEY if self.base_url == OPENAI_ADDRESS else ""

    @property
    def is_plain(self) -> bool:
        """Whether requests use unencrypted HTTP."""
        return urlsplit(self.base_url).scheme == "http"

    @property
    def is_here(self) -> bool:
        """Whether the address is this machine's own, loopback."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def body(self, messages: list[dict[str, Any]], max_tokens: int) -> dict[str, Any]:
        """A request: messages, and the fields from these settings."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            self.token_limit_field: max_tokens,
            **self.extra,
        }
        if self.temperature is not None:
            body["temperature"] = self.temperature
        return body
