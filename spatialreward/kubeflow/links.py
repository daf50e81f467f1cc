"""Where to look at a run: pages of Kubeflow Pipelines and of MLflow."""

from urllib.parse import quote, urlsplit, urlunsplit

from spatialreward.kubeflow.config import ServerConfig
from spatialreward.kubeflow.records import RecurringRun, Run

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


def _mlflow_page(run: Run, tracking_uri: str) -> str:
    """The run in MLflow as the server's plugin says, else as far as it can be told."""
    plugin = run.plugins_output.get(MLFLOW_PLUGIN)
    entries = plugin.entries if plugin else {}
    said = {name: str(entry.value or "") for name, entry in entries.items()}
    page = said.get("run_url", "")
    if urlsplit(page).scheme in ("http", "https"):
        return page
    base = _without_password(tracking_uri)
    parent = said.get("root_run_id") or run.runtime_config.parameters.get(PARENT_PARAMETER)
    return f"{base}/#/runs/{quote(str(parent), safe='')}" if base and parent else base


def _without_password(address: str) -> str:
    """An address of a web server; empty if it is none."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    bare = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, bare, parts.path.rstrip("/"), "", ""))
