"""A question to a teacher, and the request that it becomes."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from spatialreward.chat.pictures import SentPicture, content_part
from spatialreward.data.teacher.answers import Answer, schema_of
from spatialreward.data.teacher.config import Structured, TeacherConfig
from spatialreward.data.teacher.prompts import SYSTEM

_CHARACTERS_A_TOKEN = 3


@dataclass(frozen=True)
class Question(Generic[Answer]):
    """What is asked about one edit."""

    stage: str
    """What for, such as ``annotate`` or ``verify``."""
    edit: str
    """Id of the edit."""
    parts: tuple[str | SentPicture, ...]
    """Text and pictures in reading order."""
    form: type[Answer]
    check: Callable[[Answer], None] = lambda answer: None
    """Raises ``TeacherFault`` for an answer of the right form that cannot be used."""


@dataclass(frozen=True)
class Request:
    """A question in the form in which it is sent, but for how its answer is held to its form."""

    stage: str
    edit: str
    number: int
    """Which answer to the question this asks for, from 1 on."""
    body: Mapping[str, Any]
    schema: Mapping[str, Any]
    digest: bytes
    """Hash of all of the above but the edit's id."""
    estimated_prompt_tokens: int

    def key(self, structured: Structured) -> str:
        """What its answer is filed under in the ledger."""
        return hashlib.sha256(self.digest + structured.encode()).hexdigest()

    def body_with(self, structured: Structured) -> dict[str, Any]:
        """The whole body, in one of the ways to ask for JSON."""
        match structured:
            case Structured.JSON_SCHEMA:
                schema = {"name": self.stage, "strict": True, "schema": self.schema}
                how = {"response_format": {"type": structured.value, "json_schema": schema}}
            case Structured.JSON_OBJECT:
                how = {"response_format": {"type": structured.value}}
            case Structured.NONE:
                how = {}
        return {**self.body, **how}


def request_for(question: Question, number: int, note: str, config: TeacherConfig) -> Request:
    """What is sent for the ``number``-th answer to a question; ``note`` says why not the last."""
    parts = (*question.parts, note) if note else question.parts
    content = [content_part(part, config.pictures) for part in parts]
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": content}]
    body = config.body(messages, config.max_tokens)
    schema = schema_of(question.form)
    everything = [question.stage, number, schema, body]
    canonical = json.dumps(everything, sort_keys=True, ensure_ascii=False)
    return Request(
        stage=question.stage,
        edit=question.edit,
        number=number,
        body=body,
        schema=schema,
        digest=hashlib.sha256(canonical.encode()).digest(),
        estimated_prompt_tokens=sum(_estimated_tokens(part) for part in (SYSTEM, *parts)),
    )


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many than too few."""
    return len(text) // _CHARACTERS_A_TOKEN + 1


def _estimated_tokens(part: str | SentPicture) -> int:
    return estimated_tokens(part) if isinstance(part, str) else part.estimated_tokens
