"""Judgements a second, latency and overhead, against the re-created reference."""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from serving.bench.loop import Round, closed_loop
from serving.bench.reference import ask_reference, running_reference
from serving.bench.triton import Served, server_metrics
from serving.bench.workload import Group
from spatialreward.client import TritonJudge
from spatialreward.figures import Figure
from spatialreward.judges.engines.engine import Judge

GROUP_SIZE = 12


class ServerRounds(NamedTuple):
    """Rounds of one server."""

    rounds: list[Round]

    @property
    def judgements_per_s(self) -> float:
        """Median over the rounds."""
        return statistics.median(one.judgements_per_s for one in self.rounds)

    @property
    def p50_s(self) -> float:
        """Median over the rounds of their median latency of a group."""
        return statistics.median(one.p50_s for one in self.rounds)

    @property
    def p95_s(self) -> float:
        """Median over the rounds of their p95 latency of a group."""
        return statistics.median(one.p95_s for one in self.rounds)


def beside_reference(
    served: Served,
    judge: Path,
    work: Sequence[Group],
    *,
    clients: int,
    rounds: int,
    seconds: float,
    folder: Path,
) -> tuple[ServerRounds, ServerRounds]:
    """Alternating rounds of the reference and of Triton on the same work."""
    ours = TritonJudge(served.endpoint, edits_per_request=GROUP_SIZE, requests_in_flight=clients)
    with ours, running_reference(judge, folder / "reference.log") as url:
        asks: dict[str, Callable[[Group], object]] = {
            "reference": lambda group: ask_reference(url, group),
            "triton": ours.judge,
        }
        measured: dict[str, list[Round]] = {name: [] for name in asks}
        for ask in asks.values():
            closed_loop(ask, work, clients=clients, seconds=1)
        for _ in range(rounds):
            for name, ask in asks.items():
                measured[name].append(closed_loop(ask, work, clients=clients, seconds=seconds))
    return ServerRounds(measured["reference"]), ServerRounds(measured["triton"])


def throughput_figures(reference: ServerRounds, triton: ServerRounds) -> list[Figure]:
    """Figures of the rounds."""
    return [
        Figure(
            name="throughput/judgements_per_s",
            value=triton.judgements_per_s,
            unit="1/s",
            baseline=reference.judgements_per_s,
        ),
        Figure.at_least(
            "throughput/ratio_to_reference",
            triton.judgements_per_s / reference.judgements_per_s,
            2.0,
            baseline=1.0,
        ),
        Figure(name="latency/p50_s", value=triton.p50_s, unit="s", baseline=reference.p50_s),
        Figure(name="latency/p95_s", value=triton.p95_s, unit="s", baseline=reference.p95_s),
        Figure.at_most(
            "latency/p95_ratio_to_reference", triton.p95_s / reference.p95_s, 0.5, baseline=1.0
        ),
    ]


def decoding_figure(served: Served) -> Figure:
    """Time of decoding pictures; separate threads do it while others are judged."""
    metrics = server_metrics(served.metrics_url)
    num_edits = metrics["batch_edits_total"]
    phases = ("encode", "prefill", "generate", "parse")
    judging_s = sum(metrics[f"seconds_total/{phase}"] for phase in phases)
    return Figure(
        name="decoding/ms_per_judgement",
        value=metrics["seconds_total/decode"] / num_edits * 1e3,
        unit="ms",
        baseline=judging_s / num_edits * 1e3,
    )


def overhead_figure(served: Served, judge: Judge, work: Sequence[Group], repeats: int) -> Figure:
    """Overhead of Triton and the client per judgement, with one client and one group."""
    with TritonJudge(served.endpoint, edits_per_request=GROUP_SIZE) as client:
        bare_s, served_s = [], []
        for turn in range(repeats):
            group = work[turn % len(work)]
            bare_s.append(_seconds(judge.judge, group))
            served_s.append(_seconds(client.judge, group))
    added_s = [more - less for more, less in zip(served_s, bare_s, strict=True)]
    return Figure.at_most(
        "overhead/ms_per_judgement",
        statistics.median(added_s) / GROUP_SIZE * 1e3,
        5.0,
        unit="ms",
        baseline=statistics.median(bare_s) / GROUP_SIZE * 1e3,
    )


def _seconds(ask: Callable[[Group], object], group: Group) -> float:
    start = time.monotonic()
    ask(group)
    return time.monotonic() - start
