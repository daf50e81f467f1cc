"""One request to an OpenAI-compatible endpoint: its answer, or the fault.

Leaves retries to the caller. The ``openai`` package's are off: it caps Retry-After at two minutes,
and does not report the number of attempts.
"""

import asyncio
import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import openai
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from spatialreward.chat.config import ChatServer
from spatialreward.chat.faults import ChatFault, ServerFault
from spatialreward.chat.keys import key_of
from spatialreward.chat.reply import Reply
from spatialreward.errors import InvalidInputError

_NO_KEY = "none"
_HEADERS = {
    "host", "accept", "accept-encoding", "connection", "content-length", "content-type",
    "transfer-encoding", "user-agent", "x-stainless-raw-response",
}  # fmt: skip
"""Headers to send, beside the key: all that a chat completion needs. With the last one the
``openai`` package exposes the raw answer."""
_FILTERED = re.compile(r"content.?(filter|policy|management)|moderat|flagged|safety", re.I)
_OUT_OF_CREDIT = re.compile(r"insufficient_quota|billing|exceeded your current quota", re.I)
_BUSY_STATUSES = (408, 409, 425)


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Part(_Lenient):
    text: str = ""


class _Message(_Lenient):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(_Lenient):
    message: _Message
    finish_reason: str | None = None


class _Usage(_Lenient):
    prompt_tokens: NonNegativeInt | None = None
    completion_tokens: NonNegativeInt | None = None


class _Completion(_Lenient):
    choices: list[_Choice]
    usage: _Usage | None = None
    model: str | None = None


class Endpoint:
    """A server's chat completions; bound to the event loop that first uses it."""

    def __init__(self, config: ChatServer) -> None:
        """Configure; connects on first use.

        Raises:
            InvalidInputError: see ``key_of``.
        """
        self._config = config
        self._key = key_of(config)
        # Refuse redirects: another host must not get the key and the pictures. Requests to this
        # machine bypass the environment's proxies.
        web = openai.DefaultAsyncHttpxClient(
            timeout=config.timeout_s,
            follow_redirects=False,
            event_hooks={"request": [self._leave_only_ours]},
            mounts={f"{urlsplit(config.base_url).scheme}://": None} if config.is_here else None,
        )
        self._client = openai.AsyncOpenAI(
            base_url=config.base_url,
            # Without a value, the package uses OPENAI_API_KEY.
            api_key=self._key or _NO_KEY,
            timeout=config.timeout_s,
            max_retries=0,
            http_client=web,
        )

    async def send(self, body: Mapping[str, Any]) -> tuple[Reply, tuple[int, int] | None]:
        """The model's answer, with prompt and completion tokens if the server reports them.

        Raises:
            ChatFault: there is no answer.
            InvalidInputError: a retry cannot help: the key, the model or the address is wrong.
        """
        fields = dict(body)
        model, messages = fields.pop("model"), fields.pop("messages")
        create = self._client.chat.completions.with_raw_response.create
        late = ChatFault(ServerFault.TIMEOUT, f"no answer within {self._config.timeout_s:.3g} s")
        try:
            # httpx's timeout counts each read; a server that drips bytes would never reach it.
            async with asyncio.timeout(self._config.timeout_s):
                response = await create(model=model, messages=messages, extra_body=fields)
            return _read(response.content)
        except (openai.APITimeoutError, TimeoutError):
            raise late from None
        except ChatFault as fault:
            raise ChatFault(fault.fault, self._clean(fault.detail)) from None
        except openai.APIConnectionError as error:
            raise ChatFault(ServerFault.CONNECTION, self._clean(_root_of(error))) from None
        except openai.APIStatusError as error:
            # Drop the cause: a server may quote the key in its message.
            raise self._refusal(error) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _leave_only_ours(self, request: Any) -> None:
        """Remove headers that the ``openai`` package adds from the environment.

        ``OPENAI_ORG_ID``, ``OPENAI_PROJECT_ID``, ``OPENAI_CUSTOM_HEADERS`` and others are meant
        for OpenAI's servers, not for the server in the settings.
        """
        for name in set(request.headers) - _HEADERS:
            del request.headers[name]
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"

    def _refusal(self, error: openai.APIStatusError) -> ChatFault | InvalidInputError:
        status = error.status_code
        text = self._clean(f"HTTP {status}: {_said(error)}")
        where = f"{self._config.role} {self._config.base_url}"
        variable = self._config.key_variable
        if status in (400, 403, 422) and _FILTERED.search(text):
            return ChatFault(ServerFault.CONTENT_FILTER, text)
        if status in (401, 403):
            what = (
                f"the key in {variable} was refused"
                if variable
                else "wants a key; name the variable that holds it in api_key_variable"
            )
            return InvalidInputError(f"{where}: {what} ({text})")
        if status == 402 or (status == 429 and _OUT_OF_CREDIT.search(text)):
            return InvalidInputError(f"{where}: the account has no credit left ({text})")
        if 300 <= status < 400:
            there = self._clean(error.response.headers.get("location", "another address"))
            return InvalidInputError(f"{where}: redirects to {there}; set base_url to where it is")
        if status == 404:
            return InvalidInputError(
                f"{where}: no model {self._config.model!r} there, or a wrong address ({text})"
            )
        wait_s = retry_after_s(error.response.headers)
        if status == 429:
            return ChatFault(ServerFault.RATE_LIMITED, text, wait_s)
        if status >= 500 or status in _BUSY_STATUSES:
            return ChatFault(ServerFault.SERVER_ERROR, text, wait_s)
        return ChatFault(ServerFault.REQUEST_REFUSED, text)

    def _clean(self, text: str) -> str:
        """Shorten to one line without the key."""
        text = " ".join(text.split())
        if self._key:
            text = text.replace(self._key, "[key]")
        return text[:300]


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The server's Retry-After in seconds; None if it sent none.

    A date is relative to the server's own Date header, if it sends one.
    """
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            wait_s = float(headers.get(name, "")) * unit_s
        except ValueError:
            continue
        return max(0.0, wait_s) if math.isfinite(wait_s) else None
    until_s = _timestamp(headers.get("retry-after"))
    if until_s is None:
        return None
    return max(0.0, until_s - (_timestamp(headers.get("date")) or time.time()))


def _timestamp(date: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, OverflowError):
        return None


def _read(body: bytes) -> tuple[Reply, tuple[int, int] | None]:
    try:
        completion = _Completion.model_validate(json.loads(body))
        choice = completion.choices[0]
    except (ValueError, RecursionError, IndexError) as error:
        what = error.errors()[0]["loc"] if isinstance(error, ValidationError) else error
        beginning = body[:120].decode(errors="replace")
        raise ChatFault(
            ServerFault.MALFORMED_REPLY, f"no chat completion ({what}); begins {beginning!r}"
        ) from error
    content, usage = choice.message.content, completion.usage
    reply = Reply(
        text="".join(part.text for part in content) if isinstance(content, list) else content,
        refusal=choice.message.refusal,
        finish_reason=choice.finish_reason,
        model=completion.model or "",
    )
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return reply, None
    return reply, (usage.prompt_tokens, usage.completion_tokens)


def _said(error: openai.APIStatusError) -> str:
    """The server's message with its code."""
    body = error.body
    if isinstance(body, dict):
        return " ".join(str(body[name]) for name in ("code", "message", "detail") if body.get(name))
    return str(body or error.response.text)


def _root_of(error: BaseException) -> str:
    while cause := error.__cause__ or error.__context__:
        error = cause
    return f"{type(error).__name__}: {error}"
