"""How a teacher is asked, and what it may cost; free of everything heavy."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from spatialreward.chat.config import ChatServer, Seconds
from spatialreward.records import Record

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Language = Literal["en", "de", "fr", "es", "it", "pt", "ru", "zh", "ja", "ko"]


class Structured(StrEnum):
    """How a server is asked for JSON, the strictest way first."""

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


class TeacherConfig(ChatServer):
    """Which server is asked, how fast, how patiently, and up to what cost."""

    role: ClassVar[str] = "teacher"

    requests_per_minute: PositiveInt | None = None
    """Retries included."""
    tokens_per_minute: PositiveInt | None = None
    """Counted as the large providers do: the prompt's estimated tokens plus ``max_tokens``."""
    deadline_s: Seconds | None = None
    """How long the whole run may take; None: as long as it does."""

    max_answers: PositiveInt = 2
    """How often a question is put until its answer can be used. All answers cost and are kept."""
    prices: TeacherPrices | None = None
    """None: costs are counted in tokens only."""
    budget: TeacherBudget = TeacherBudget()
    """No request is sent once it is spent. Those under way are waited for, so it can be exceeded
    by what ``concurrency`` requests cost."""

    max_tokens: PositiveInt = 2048
    """Length of an answer."""
    structured: Structured = Structured.JSON_SCHEMA
    """The strictest way to try; a server that refuses it is asked in the next one."""
    language: Language = "en"
    """Of labels and reasoning."""

    verify: bool = True
    """Whether a second pass checks every annotation."""
    missing_regions: Literal["reject", "keep"] = "reject"
    """What becomes of an edit in which the teacher sees a change outside all proposed regions."""

    @model_validator(mode="after")
    def _money_has_prices(self) -> Self:
        if self.budget.money is not None and self.prices is None:
            raise ValueError("budget.money: there are no prices to count it by")
        return self

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What an answer costs by the prices; 0 where there are none."""
        if self.prices is None:
            return 0.0
        prompt = prompt_tokens * self.prices.input_per_million
        return (prompt + completion_tokens * self.prices.output_per_million) / 1e6
