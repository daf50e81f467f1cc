"""A separate Triton server for the judge, with its metrics."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import requests

from spatialreward.ops.deployment import deploy
from spatialreward.stack import Service, StackConfig, running_stack

TEMPLATE = Path(__file__).parents[1] / "judge"


class Served(NamedTuple):
    """Addresses of the served judge."""

    endpoint: str
    metrics_url: str
    state_dir: Path


@contextmanager
def served_judge(judge: Path, state_dir: Path) -> Iterator[Served]:
    """Triton with the judge, for a ``with`` block."""
    config = StackConfig(state_dir=state_dir, without=frozenset({Service.S3, Service.MLFLOW}))
    with running_stack(config) as endpoints:
        triton = endpoints.triton
        assert triton is not None
        deploy(
            judge,
            template=TEMPLATE,
            repository=triton.model_repository,
            endpoint=triton.grpc,
            key=triton.repository_key,
        )
        yield Served(triton.grpc, triton.metrics, state_dir)


def server_metrics(metrics_url: str) -> dict[str, float]:
    """The judge's own metrics, by name and labels without model and version."""
    found = {}
    for line in requests.get(metrics_url, timeout=10).text.splitlines():
        match = re.fullmatch(r"spatialreward_(\w+)\{(.*)\} (\S+)", line)
        if match and 'model="judge"' in match[2]:
            labels = re.findall(r'(\w+)="([^"]*)"', match[2])
            more = [value for name, value in labels if name not in ("model", "version")]
            found["/".join([match[1], *more])] = float(match[3])
    return found


def server_memory_bytes() -> int:
    """Resident memory of Triton and its models' processes, started by this process."""
    children = psutil.Process(os.getpid()).children(recursive=True)
    return sum(child.memory_info().rss for child in children if _is_triton(child))


def _is_triton(process: psutil.Process) -> bool:
    return "triton" in process.name() or "triton" in " ".join(process.cmdline()[:1])
