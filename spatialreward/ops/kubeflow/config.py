"""Where Kubeflow Pipelines is, and how to prove to it who asks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator, model_validator

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow.errors import AccessRefused
from spatialreward.reading import read_text
from spatialreward.records import Record


class Credentials(Record):
    """Who asks. What is secret is never printed, neither here nor in an error."""

    token: SecretStr | None = None
    """Bearer token."""
    token_file: Path | None = None
    """Holds the bearer token; read for each request, since the kubelet renews it."""
    cookie: SecretStr | None = None
    """For a login in front of the API, such as Dex: ``authservice_session=...``."""
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)
    """For anything else that stands in front of the API."""

    @model_validator(mode="after")
    def _has_one_token(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("expected a token or a file that holds it, got both")
        return self

    def to_headers(self) -> dict[str, str]:
        """The headers of the next request.

        Raises:
            AccessRefused: the token's file cannot be read, or a value does not fit into a header;
                names which, and says nothing of what it holds.
        """
        values = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.cookie is not None:
            values["Cookie"] = self.cookie.get_secret_value()
        if token := self._current_token():
            values["Authorization"] = f"Bearer {token}"
        stripped = {name: value.strip() for name, value in values.items()}
        for name, value in stripped.items():
            # An exception of the HTTP library would quote the value.
            if not (value.isascii() and value.isprintable() and name.isascii() and name.strip()):
                raise AccessRefused(f"header {name!r}: its value is no single line of ASCII")
        return stripped

    def _current_token(self) -> str:
        if self.token is not None:
            return self.token.get_secret_value().strip()
        if self.token_file is None:
            return ""
        try:
            token = read_text(self.token_file).strip()
        except InvalidInputError as error:
            raise AccessRefused(f"token file {self.token_file}: {error}") from error
        if not token:
            raise AccessRefused(f"token file {self.token_file}: it is empty")
        return token


class ServerConfig(Record):
    """One API server of Kubeflow Pipelines."""

    url: str
    """Below it is ``/apis/v2beta1``: ``http://localhost:8888``, ``https://HOST/pipeline``."""
    ui_url: str = ""
    """Address of the web pages, for links; by default the same."""
    credentials: Credentials = Credentials()
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    timeout_s: PositiveFloat = 30.0
    """How long one answer may take, from the first byte sent to the last byte received."""
    attempts: PositiveInt = 4
    """How often something is asked that may safely be asked again."""

    @field_validator("url", "ui_url")
    @classmethod
    def _is_a_base(cls, value: str) -> str:
        # What a browser shows, ".../#/runs", is a good way to say where the server is.
        base = value.strip().partition("#")[0].rstrip("/")
        if not base:
            return base
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected http://HOST or https://HOST, got {value!r}")
        if parts.port == 0:
            raise ValueError("expected a port from 1 on, got 0")
        if parts.query:
            raise ValueError("expected an address without ?..., since paths are put after it")
        if parts.username is not None or parts.password is not None:
            raise ValueError("expected no user name and password in the address, use a token")
        return base

    @field_validator("url")
    @classmethod
    def _says_where(cls, value: str) -> str:
        if not value:
            raise ValueError("expected an address, got nothing")
        return value

    @property
    def ui(self) -> str:
        """Where the web pages are."""
        return self.ui_url or self.url


def parse_headers(lines: list[str]) -> dict[str, SecretStr]:
    """Read ``NAME: VALUE`` lines.

    Raises:
        InvalidInputError: a line has no name; it is not quoted, it may hold a secret.
    """
    headers = {}
    for number, line in enumerate(lines, start=1):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise InvalidInputError(f"header {number}: expected NAME: VALUE")
        headers[name.strip()] = SecretStr(value.strip())
    return headers
