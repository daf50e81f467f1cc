"""Where to look at a run: pages of Kubeflow Pipelines and of MLflow."""

from urllib.parse import quote, urlsplit, urlunsplit

from spatialreward.ops.kubeflow.config import ServerConfig
from spatialreward.ops.kubeflow.records import RecurringRun, Run

MLFLOW_PLUGIN = "mlflow"
PARENT_PARAMETER = "parent_run_id"
"""The pipeline's parameter that names the run in MLflow that its steps belong to."""


def run_links(server: ServerConfig, run: Run, tracking_uri: str = "") -> dict[str, str]:
    """Pages about a run, by what they are."""
    links = {"Kubeflow Pipelines": f"{server.ui}/#/runs/details/{quote(run.run_id, safe='')}"}
    if page := _mlflow_page(run, tracking_uri):
        links["MLflow"] = page
    return links


def schedule_link(server: ServerConfig, schedule: RecurringRun) -> str:
    """The page about a schedule."""
    return f"{server.ui}/#/recurringrun/details/{quote(schedule.recurring_run_id, safe='')}"


def parent_in_mlflow(run: Run) -> str:
    """The run in MLflow that a run's steps belong to, as far as the server can tell."""
    told = _plugin_told(run).get("root_run_id")
    return told or str(run.runtime_config.parameters.get(PARENT_PARAMETER) or "")


def _plugin_told(run: Run) -> dict[str, str]:
    plugin = run.plugins_output.get(MLFLOW_PLUGIN)
    entries = plugin.entries if plugin else {}
    return {name: str(entry.value or "") for name, entry in entries.items()}


def _mlflow_page(run: Run, tracking_uri: str) -> str:
    """The run in MLflow as the server's plugin says, else as far as it can be told."""
    page = _plugin_told(run).get("run_url", "")
    if _is_page(page):
        return page
    base = _without_password(tracking_uri)
    parent = parent_in_mlflow(run)
    return f"{base}/#/runs/{quote(parent, safe='')}" if base and parent else base


def _is_page(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    # A terminal must not be taken hold of by what a server calls an address.
    return is_web and address.isprintable()


def _without_password(address: str) -> str:
    """An address of a web server; empty if it is none."""
    if not _is_page(address):
        return ""
    parts = urlsplit(address)
    bare = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, bare, parts.path.rstrip("/"), "", ""))
