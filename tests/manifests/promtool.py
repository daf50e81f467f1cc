"""The program that tests alert rules and queries, where there is one."""

import shutil
import subprocess

import pytest
import yaml

from tests.manifests.cluster import ROOT


def _found():
    local = ROOT / "build" / "tools" / "promtool"
    return str(local) if local.exists() else shutil.which("promtool")


needs_promtool = pytest.mark.skipif(
    _found() is None, reason="promtool is not here: `make promtool`, or Debian's prometheus"
)


def promtool(folder, *words):
    """Run it in a folder; it must be content."""
    done = subprocess.run(
        [_found(), *words], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def check_queries(folder, series, checks):
    """Check the values of queries over some series, a sample a minute.

    Args:
        folder: to work in.
        series: notation of promtool by name with labels, such as ``0+6x20``.
        checks: for each query its value at 20 minutes; None: none.
    """
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": query,
                "eval_time": "20m",
                "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
            }
            for query, value in checks
        ],
    }
    (folder / "queries.yaml").write_text(yaml.safe_dump({"tests": [test]}))
    promtool(folder, "test", "rules", "queries.yaml")
