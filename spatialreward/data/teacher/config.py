"""How a teacher is asked, and what it may cost; free of everything heavy."""

import ipaddress
from enum import StrEnum
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, PositiveFloat, PositiveInt, field_validator, model_validator

from spatialreward.records import Record

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
OPENAI_ADDRESS = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
Language = Literal["en", "de", "fr", "es", "it", "pt", "ru", "zh", "ja", "ko"]


class Structured(StrEnum):
    """How a server is told to answer with JSON, the strictest way first."""

    JSON_SCHEMA = "json_schema"
    """The server holds the model to a schema."""
    JSON_OBJECT = "json_object"
    """The server holds the model to JSON, and the prompt says which."""
    NONE = "none"
    """The prompt alone says it."""


class TeacherPrices(Record):
    """What tokens cost, in any currency, but the same as the budget's."""

    input_per_million: Price
    output_per_million: Price


class TeacherBudget(Record):
    """What all answers in one ledger may cost, those of earlier runs included."""

    money: PositiveFloat | None = None
    """In the currency of the prices; None: no limit."""
    tokens: PositiveInt | None = None
    """Of prompts and answers together; None: no limit."""


class PicturesSent(Record):
    """In what form a teacher gets pictures."""

    longest_side: int = Field(1024, ge=64, le=8192)
    """In pixels; larger pictures are scaled down, smaller ones are left as they are."""
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    """JPEG without chroma subsampling, PNG, or WebP without loss."""
    jpeg_quality: int = Field(95, ge=50, le=100)
    """High, so that a teacher does not take JPEG's artifacts for the editor's."""
    detail: Literal["auto", "low", "high"] | None = None
    """OpenAI's field of this name; None: not sent."""


class TeacherConfig(Record):
    """Which endpoint is asked, how fast, how patiently, and up to what cost."""

    base_url: str
    """Such as ``http://localhost:8000/v1`` or ``https://api.openai.com/v1``; without a key."""
    model: str = Field(min_length=1)
    # Not to be repeated in an error: it may be the key itself, by mistake.
    api_key_variable: str | None = Field(None, pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$", repr=False)
    """Environment variable that holds the key; empty: no key is sent. None: ``OPENAI_API_KEY`` for
    ``https://api.openai.com/v1``, and no key for any other address."""
    key_over_http: bool = False
    """Whether the key may go to another machine over plain HTTP, where all on the way can read it:
    for a server in a network that you trust."""

    concurrency: PositiveInt = 8
    """Requests under way at most."""
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    """Counted as the large providers do: the prompt's estimated tokens plus ``max_tokens``."""
    timeout_s: Seconds = 120.0
    """How long one request may take, from connecting to the last byte."""
    deadline_s: Seconds | None = None
    """How long the whole run may take; None: as long as it does."""

    max_attempts: PositiveInt = 6
    """How often a request is sent until a server answers it."""
    backoff_s: Seconds = 1.0
    """Wait before the second attempt; it doubles from then on, with up to as much again at random.
    A server's Retry-After counts instead where it is longer."""
    longest_wait_s: Seconds = 300.0
    """A server that wants to be left alone for longer has not answered."""
    max_answers: PositiveInt = 2
    """How often a question is put until its answer can be used. All answers cost and are kept."""
    give_up_after: PositiveInt | None = 64
    """So many edits in a row that the server did not answer end the run; None: it goes on."""

    prices: TeacherPrices | None = None
    """None: costs are counted in tokens only."""
    budget: TeacherBudget = TeacherBudget()
    """No request is sent once it is spent. Those under way are waited for, so it can be exceeded
    by what ``concurrency`` requests cost."""

    temperature: float | None = Field(0.0, ge=0, le=2)
    """None: not sent; some reasoning models refuse it."""
    max_tokens: PositiveInt = 2048
    """Length of an answer."""
    token_limit_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """What the server calls it: the second one on older servers."""
    structured: Structured = Structured.JSON_SCHEMA
    """The strictest way to try; a server that refuses it is asked in the next one."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """More fields of the request, such as ``{"reasoning_effort": "low"}``."""
    pictures: PicturesSent = PicturesSent()
    language: Language = "en"
    """Of labels and reasoning."""

    verify: bool = True
    """Whether a second pass checks every annotation."""
    missing_regions: Literal["reject", "keep"] = "reject"
    """What becomes of an edit in which the teacher sees a change outside all proposed regions."""

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

    @model_validator(mode="after")
    def _money_has_prices(self) -> Self:
        if self.budget.money is not None and self.prices is None:
            raise ValueError("budget.money: there are no prices to count it by")
        return self

    @property
    def key_variable(self) -> str:
        """Environment variable that holds the key; empty if none is sent."""
        if self.api_key_variable is not None:
            return self.api_key_variable
        return OPENAI_KEY if self.base_url == OPENAI_ADDRESS else ""

    @property
    def is_plain(self) -> bool:
        """Whether requests go over HTTP without encryption."""
        return urlsplit(self.base_url).scheme == "http"

    @property
    def is_here(self) -> bool:
        """Whether the address is this machine's own, loopback."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What an answer costs by the prices; 0 where there are none."""
        if self.prices is None:
            return 0.0
        prompt = prompt_tokens * self.prices.input_per_million
        return (prompt + completion_tokens * self.prices.output_per_million) / 1e6
