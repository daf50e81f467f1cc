"""The address of Kubeflow Pipelines, and credentials for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow.errors import KubeflowError
from spatialreward.reading import read_text
from spatialreward.records import Record


class Credentials(Record):
    """Proof of the caller's identity. Secrets are printed neither here nor in an error."""

    token: SecretStr | None = None
    """Bearer token."""
    token_file: Path | None = None
    """Holds the bearer token; read for each request, since the kubelet renews it."""
    cookie: SecretStr | None = None
    """For a login in front of the API, such as Dex: ``authservice_session=...``."""
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)
    """For anything else in front of the API."""

    @model_validator(mode="after")
    def _has_one_token(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("expected a token or a file that holds it, got both")
        return self

    def to_headers(self) -> dict[str, str]:
        """The headers of the next request.

        Raises:
            KubeflowError: the token's file cannot be read, or a value does not fit into a header;
                names which, without its value.
        """
        values = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.cookie is not None:
            values["Cookie"] = self.cookie.get_secret_value()
        if self.token is not None:
            values["Authorization"] = f"Bearer {self.token.get_secret_value().strip()}"
        if self.token_file is not None:
            values["Authorization"] = f"Bearer {_token_in(self.token_file)}"
        stripped = {name: value.strip() for name, value in values.items()}
        for name, value in stripped.items():
            # An exception of the HTTP library would quote the value.
            if not (value.isascii() and value.isprintable() and name.isascii() and name.strip()):
                raise KubeflowError(f"header {name!r}: its value is no single line of ASCII")
        return stripped


class ServerConfig(Record):
    """One API server of Kubeflow Pipelines."""

    url: str
    """Below it is ``/apis/v2beta1``: ``http://localhost:8888``, ``https://HOST/pipeline``."""
    ui_url: str = ""
    """Address of the web pages, for links; by default the same."""
    credentials: Credentials = Credentials()
    ca_file: Path | None = None
    """Certificates to trust in place of the ones that come with Python's certifi."""
    timeout_s: PositiveFloat = 30.0
    """Longest silence of the server, to connect and within an answer."""
    attempts: PositiveInt = 4
    """How often to send a request that changes nothing."""

    @field_validator("url", "ui_url")
    @classmethod
    def _is_a_base(cls, value: str, info: ValidationInfo) -> str:
        # A browser's address, ".../#/runs", names the server, too.
        base = value.strip().partition("#")[0].rstrip("/")
        parts = urlsplit(base)
        if not base and info.field_name == "url":
            raise ValueError("expected an address, got nothing")
        if base and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError(f"expected http://HOST or https://HOST, got {value!r}")
        if parts.query:
            raise ValueError("expected an address without ?..., since paths are put after it")
        if parts.username is not None or parts.password is not None:
            raise ValueError("expected no user name and password in the address, use a token")
        return base

    @property
    def server(self) -> str:
        """Its name in errors."""
        return f"Kubeflow Pipelines at {self.url}"

    @property
    def ui(self) -> str:
        """Address of the web pages."""
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


def _token_in(path: Path) -> str:
    try:
        token = read_text(path).strip()
    except InvalidInputError as error:
        raise KubeflowError(f"token file {path}: {error}") from error
    if not token:
        raise KubeflowError(f"token file {path}: it is empty")
    return token
