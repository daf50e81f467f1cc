"""Where to look at a run: pages of Kubeflow Pipelines and of MLflow."""

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from spatialreward.ops.kubeflow.config import ServerConfig

if TYPE_CHECKING:
    from spatialreward.ops.kubeflow.client import RecurringRun, Run

_MLFLOW_PLUGIN = "mlflow"
_PARENT_PARAMETER = "parent_run_id"
"""The pipeline's parameter for the run in MLflow that its steps belong to."""


def run_links(server: ServerConfig, run: "Run", tracking_uri: str = "") -> dict[str, str]:
    """Pages about a run by their names: MLflow's as the server's plugin has it, else guessed."""
    links = {"Kubeflow Pipelines": f"{server.ui}/#/runs/details/{quote(run.run_id, safe='')}"}
    page, base, parent = _noted(run, "run_url"), _without_password(tracking_uri), parent_of(run)
    if not _is_page(page):
        page = f"{base}/#/runs/{quote(parent, safe='')}" if base and parent else base
    return links | ({"MLflow": page} if page else {})


def schedule_link(server: ServerConfig, schedule: "RecurringRun") -> str:
    """The page about a schedule."""
    return f"{server.ui}/#/recurringrun/details/{quote(schedule.recurring_run_id, safe='')}"


def parent_of(run: "Run") -> str:
    """The run in MLflow that a run's steps belong to; empty if the server does not have it."""
    parameters = (run.runtime_config and run.runtime_config.parameters) or {}
    return _noted(run, "root_run_id") or str(parameters.get(_PARENT_PARAMETER) or "")


def _noted(run: "Run", name: str) -> str:
    """A note of the server's MLflow plugin."""
    plugin = (run.plugins_output or {}).get(_MLFLOW_PLUGIN)
    entry = ((plugin and plugin.entries) or {}).get(name)
    return str((entry and entry.value) or "")


def _is_page(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    # An address of a server must not control the terminal.
    return parts.scheme in ("http", "https") and bool(parts.hostname) and address.isprintable()


def _without_password(address: str) -> str:
    """An address of a web server; empty if it is none."""
    if not _is_page(address):
        return ""
    parts = urlsplit(address)
    bare = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, bare, parts.path.rstrip("/"), "", ""))
