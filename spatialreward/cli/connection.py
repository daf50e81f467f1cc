"""The connection to Kubeflow Pipelines: the same options for all of its commands."""

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from pydantic import SecretStr, ValidationError

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow.config import Credentials, ServerConfig, parse_headers
from spatialreward.reading import read_text

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow.client import KubeflowPipelines

_PANEL = "Kubeflow Pipelines"
USUAL_NAMESPACE = "kubeflow"
"""Where pipelines run that were given no namespace."""


class Connection(NamedTuple):
    """A server, and the namespace to work in where it has several."""

    server: ServerConfig
    namespace: str

    def client(self) -> "KubeflowPipelines":
        """A client that has sent nothing yet."""
        from spatialreward.ops.kubeflow.client import KubeflowPipelines

        return KubeflowPipelines(self.server, self.namespace)

    def open(self) -> "KubeflowPipelines":
        """A client of a server that is there.

        Raises:
            KubeflowError: it is not, cannot be reached, or refuses the caller.
        """
        client = self.client()
        client.check()
        return client

    def command(self, words: str) -> str:
        """A command line that talks to the same server."""
        namespace = f" --namespace {self.namespace}" if self.namespace else ""
        return f"spatialreward {words} --host {self.server.url}{namespace}"


def connect(
    *,
    host: Annotated[
        str,
        typer.Option(
            metavar="URL",
            envvar="KF_PIPELINES_ENDPOINT",
            help="Address of the API, such as http://localhost:8888; behind Kubeflow's dashboard "
            "https://HOST/pipeline.",
            rich_help_panel=_PANEL,
        ),
    ],
    ui: Annotated[
        str,
        typer.Option(
            metavar="URL",
            envvar="KF_PIPELINES_UI_ENDPOINT",
            help="Address of the web pages, for links. Default: --host.",
            rich_help_panel=_PANEL,
        ),
    ] = "",
    namespace: Annotated[
        str,
        typer.Option(
            help="Your namespace, where several share the server.", rich_help_panel=_PANEL
        ),
    ] = "",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="KF_PIPELINES_TOKEN",
            help="Bearer token; better in the variable, a command line can be read by others.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="KF_PIPELINES_SA_TOKEN_PATH",
            help="File with the bearer token, read again for each request.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    cookie: Annotated[
        str | None,
        typer.Option(
            envvar="KF_PIPELINES_COOKIE",
            help="Cookie of a session that is logged in, such as authservice_session=...",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    headers_file: Annotated[
        Path | None,
        typer.Option(
            envvar="KF_PIPELINES_HEADERS_FILE",
            help="File with further headers, NAME: VALUE a line.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="KF_PIPELINES_CA_FILE",
            exists=True,
            dir_okay=False,
            help="Certificates to trust instead of the system's.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=1, help="Longest silence of the server, in seconds.", rich_help_panel=_PANEL
        ),
    ] = 30.0,
) -> Connection:
    """The connection that is asked for.

    Raises:
        InvalidInputError: an option does not fit; what may be secret is not quoted.
    """
    headers = parse_headers(_lines(headers_file)) if headers_file else {}
    # The kubelet keeps the file fresh; a token that is given wins over it.
    use_file = token_file if token is None else None
    try:
        credentials = Credentials(
            token=SecretStr(token) if token else None,
            token_file=use_file,
            cookie=SecretStr(cookie) if cookie else None,
            headers=headers,
        )
        server = ServerConfig(
            url=host, ui_url=ui, credentials=credentials, ca_file=ca_file, timeout_s=timeout
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        option = {"url": "--host", "ui_url": "--ui"}.get(str(first["loc"][0]), "connection")
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidInputError(f"{option}: {reason}") from error
    return Connection(server, namespace)


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``connect``, and what that makes of them as ``connection``."""
    theirs = inspect.signature(connect, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters
    parameters = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for one in (*own.values(), *theirs.values())
        if one.name != "connection"
    ]

    @functools.wraps(command)
    def with_connection(**values: object) -> None:
        options = {name: values.pop(name) for name in theirs}
        command(connection=connect(**options), **values)  # type: ignore[arg-type]

    with_connection.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_connection.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_connection


def tracking_uri() -> str:
    """Where MLflow is, for links."""
    return os.environ.get("MLFLOW_TRACKING_URI", "")


def _lines(path: Path) -> list[str]:
    try:
        text = read_text(path)
    except InvalidInputError as error:
        raise InvalidInputError(f"headers file {path}: {error}") from error
    return [line for line in text.splitlines() if line.strip()]
