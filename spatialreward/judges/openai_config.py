"""The string that names a model behind an address, and its settings; free of heavy imports.

``openai:MODEL@https://HOST/v1?temperature=0.7&api_key_variable=NAME``: settings form the query
of the address, so one string names a judge everywhere.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import PositiveInt, ValidationError

from spatialreward.chat.config import ChatServer
from spatialreward.errors import InvalidInputError
from spatialreward.validation import first_problem

PREFIX = "openai:"
_FORM = re.compile(
    rf"{PREFIX}(?P<model>.+)@(?P<address>https?://[^?#]*)(?:\?(?P<settings>.*))?", re.DOTALL
)
_EXPECTED = "expected openai:MODEL@https://HOST/v1, with settings behind a ?"
_CHANGE_ANSWERS = ("temperature", "max_tokens", "extra", "pictures")
"""Settings that change the judge's identity."""


class OpenAiConfig(ChatServer):
    """Model, address and sampling of a judge."""

    role: ClassVar[str] = "judge"

    max_attempts: PositiveInt = 5
    """How often a request is sent until a server answers it."""
    max_tokens: PositiveInt | None = None
    """Limit of an answer in tokens, including hidden thoughts; None: the protocol's limit."""

    @classmethod
    def parse(cls, name: str) -> Self:
        """Parse a judge's string.

        Raises:
            InvalidInputError: it names no model or no address, or a setting is wrong. The message
                does not repeat an address that may hold a key.
        """
        found = _FORM.fullmatch(name)
        if found is None:
            raise InvalidInputError(f"judge {_shown(name)}: {_EXPECTED}")
        given = {"model": found["model"], "base_url": found["address"]}
        try:
            settings = _nested(found["settings"] or "")
            if taken := sorted(given.keys() & settings.keys()):
                raise InvalidInputError(f"{', '.join(taken)}: stands before the settings already")
            return cls.model_validate(settings | given)
        except ValidationError as error:
            problem = first_problem(error, cls, settings | given)
            raise InvalidInputError(f"judge {_shown(name)}: {problem}") from None
        except InvalidInputError as error:
            raise InvalidInputError(f"judge {_shown(name)}: {error}") from None

    @property
    def name(self) -> str:
        """The model and the address's host, as in an identity."""
        return f"{self.model}@{urlsplit(self.base_url).netloc}"

    @property
    def changes(self) -> str:
        """The settings that change judgements and differ from the defaults."""
        return " ".join(self._changes())

    def _changes(self) -> Iterator[str]:
        given = self.model_dump(mode="json", include=set(_CHANGE_ANSWERS), exclude_defaults=True)
        for name, value in given.items():
            inner = value.items() if isinstance(value, Mapping) else ()
            for key, one in inner:
                yield f"{name}.{key}={_text(one)}"
            if not isinstance(value, Mapping):
                yield f"{name}={_text(value)}"


def _shown(name: str) -> str:
    return name[: name.find("@http")] if "@http" in name else name.partition("?")[0]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _nested(query: str) -> dict[str, Any]:
    """Settings by name; a dot opens a table, and ``none`` means None."""
    settings: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise InvalidInputError("settings: expected NAME=VALUE with & between them") from None
    for name, value in pairs:
        table, dot, key = name.partition(".")
        inner = settings.setdefault(table, {}) if dot else settings
        if not isinstance(inner, dict) or (key if dot else table) in inner:
            raise InvalidInputError(f"{name}: given twice")
        inner[key if dot else table] = _field(value) if table == "extra" else _value(value)
    return settings


def _value(value: str) -> str | None:
    return None if value == "none" else value


def _field(value: str) -> Any:
    """Parse a field of the request as JSON, or as text without quotes."""
    try:
        return json.loads(value)
    except ValueError:
        return value
