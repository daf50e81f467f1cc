"""``spatialreward stack``: the local services up and down again."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatialreward.errors import InvalidInputError, SpatialRewardError

if TYPE_CHECKING:
    from spatialreward.stack.endpoints import TritonEndpoint

NOT_HEALTHY = 1
_SERVICES = ("s3", "mlflow", "triton")

app = typer.Typer(
    no_args_is_help=True,
    help="Run object store, tracking server and inference server on this machine.",
)

StateDir = Annotated[
    Path,
    typer.Option(envvar="SPATIALREWARD_STATE_DIR", help="Folder of data, logs and endpoints.json."),
]
PortOption = Annotated[int | None, typer.Option(min=1024, max=65535, help="Default: a free one.")]
_DEFAULT_STATE_DIR = Path("build/stack")


@app.command()
def up(
    state_dir: StateDir = _DEFAULT_STATE_DIR,
    without: Annotated[
        list[str] | None, typer.Option(help="A service to leave out; may be given again.")
    ] = None,
    triton_python: Annotated[
        Path,
        typer.Option(
            envvar="SPATIALREWARD_TRITON_PYTHON",
            help="Interpreter of the environment that holds Triton's server.",
        ),
    ] = Path(".venv-triton/bin/python"),
    weed: Annotated[Path | None, typer.Option(help="SeaweedFS's program.")] = None,
    s3_port: PortOption = None,
    mlflow_port: PortOption = None,
    triton_http_port: PortOption = None,
    triton_grpc_port: PortOption = None,
    triton_metrics_port: PortOption = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that all services together may take.")
    ] = 120.0,
) -> None:
    """Start the services, wait until each is healthy, and write their addresses to one file.

    Judges that were served when the stack went down are loaded again.

    Example: spatialreward stack up --without triton
    """
    left_out = _services(without or [])
    from spatialreward.stack import Ports, Service, StackConfig, stack_command
    from spatialreward.stack import up as start

    config = StackConfig(
        state_dir=state_dir,
        without=frozenset(Service(name) for name in left_out),
        triton_python=triton_python,
        weed=weed,
        ports=Ports(
            s3=s3_port,
            mlflow=mlflow_port,
            triton_http=triton_http_port,
            triton_grpc=triton_grpc_port,
            triton_metrics=triton_metrics_port,
        ),
        start_timeout_s=timeout,
    )
    endpoints = start(config)
    _print_status(state_dir)
    variables = f'eval "$({stack_command("env", state_dir)})"'
    if endpoints.triton and not _restore(endpoints.triton):
        typer.echo("no judge is served; to serve the champion of the registry:")
        typer.echo(f"  {variables}")
        typer.echo("  spatialreward deploy --model models:/spatial-reward@champion")
    if endpoints.mlflow:
        typer.echo(f"runs and models, in a browser: {endpoints.mlflow.tracking_uri}")
    typer.echo(f"addresses and credentials: {state_dir / 'endpoints.json'}")
    typer.echo(f"in a shell: {variables}")
    typer.echo(f"stop it with: {stack_command('down', state_dir)}")


@app.command()
def status(state_dir: StateDir = _DEFAULT_STATE_DIR) -> None:
    """Ask each service how it is. Exit status 1 when one is not healthy or no stack is up.

    Example: spatialreward stack status
    """
    if not _print_status(state_dir):
        raise typer.Exit(NOT_HEALTHY)


@app.command()
def down(state_dir: StateDir = _DEFAULT_STATE_DIR) -> None:
    """Stop what `up` started, and nothing else. Data and logs stay.

    Example: spatialreward stack down
    """
    from spatialreward.stack import down as stop

    stopped = stop(state_dir)
    typer.echo(f"stopped {', '.join(stopped)}" if stopped else f"nothing runs for {state_dir}")


@app.command()
def env(state_dir: StateDir = _DEFAULT_STATE_DIR) -> None:
    """Print the variables that clients read, for a shell.

    Example: eval "$(spatialreward stack env)"
    """
    from spatialreward.stack import environment, read_endpoints, stack_command

    endpoints = read_endpoints(state_dir)
    if endpoints is None:
        raise InvalidInputError(
            f"no stack is up in {state_dir}: start it with `{stack_command('up', state_dir)}`"
        )
    for name, value in environment(endpoints).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _restore(triton: "TritonEndpoint") -> bool:
    """Load the judges that were served before, and print each; tells whether any is served.

    A judge that does not load is a warning: the stack is up without it.
    """
    from spatialreward.ops.deployment import restore
    from spatialreward.ops.deployment.repository import CONFIG_FILE, STAGING_SUFFIX, ModelFolder

    any_served = False
    for home in sorted(path.parent for path in triton.model_repository.glob(f"*/{CONFIG_FILE}")):
        if home.name.endswith(STAGING_SUFFIX):
            continue
        folder = ModelFolder(triton.model_repository, home.name)
        try:
            if (number := folder.served()) is None:
                continue
            version = folder.versions().get(number)
            origin = version.source if version else home / str(number)
            typer.echo(f"loading {home.name} version {number}: {origin}")
            restore(
                repository=triton.model_repository,
                endpoint=triton.grpc,
                key=triton.repository_key,
                model=home.name,
            )
            typer.echo(f"{home.name} version {number} is served at {triton.grpc}")
            any_served = True
        except SpatialRewardError as error:
            reason = " ".join(str(error).split())
            typer.echo(f"warning: {home.name} is not served: {reason}", err=True)
    return any_served


def _services(names: list[str]) -> list[str]:
    for name in names:
        if name not in _SERVICES:
            raise InvalidInputError(f"--without {name}: expected one of {', '.join(_SERVICES)}")
    return names


def _print_status(state_dir: Path) -> bool:
    """Print a line a service; tells whether there are any and all are healthy."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from spatialreward.stack import status as ask

    services = ask(state_dir)
    if not services:
        typer.echo(f"no stack is up in {state_dir}")
        return False
    table = Table(show_edge=False, pad_edge=False)
    for title in ("Service", "State", "Where"):
        table.add_column(title, overflow="fold")
    for one in services:
        state = Text("healthy", "green") if one.healthy else Text("not healthy", "bold red")
        table.add_row(str(one.service), state, Text(one.detail))
    Console(highlight=False).print(table)
    return all(one.healthy for one in services)
