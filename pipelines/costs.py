"""Resource usage of a tracked run, and its cost at given prices.

Everything comes from MLflow: duration of each step, requested resources, sizes of stored artifacts,
and times of sampling, judging and updates in RL. Prices are the caller's.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pydantic import NonNegativeFloat

from spatialreward.errors import InvalidInputError
from spatialreward.ops.step import STORED_TAG
from spatialreward.ops.tracking import ChildRun, child_runs, metric_history, run_params
from spatialreward.records import Record

if TYPE_CHECKING:
    from rich.table import Table

_RL_STEP = "finetune-editor"
_OUTPUT = "output."
_GIB = 2**30
_HOUR_S = 3600.0


class Prices(Record):
    """In any currency; usage without a price costs nothing."""

    gpu_hour: NonNegativeFloat = 0.0
    cpu_hour: NonNegativeFloat = 0.0
    memory_gib_hour: NonNegativeFloat = 0.0
    storage_gib_month: NonNegativeFloat = 0.0


class Usage(NamedTuple):
    """Hours of requested resources, used or not."""

    hours: float = 0.0
    gpu_hours: float = 0.0
    cpu_hours: float = 0.0
    memory_gib_hours: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":  # type: ignore[override]
        """Both together."""
        return Usage(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def cost(self, prices: Prices) -> float:
        """Cost at given prices."""
        return (
            self.gpu_hours * prices.gpu_hour
            + self.cpu_hours * prices.cpu_hour
            + self.memory_gib_hours * prices.memory_gib_hour
        )


class StepUsage(NamedTuple):
    """All tasks of one step, failed attempts included."""

    step: str
    num_tasks: int
    num_reused: int
    usage: Usage


class RunUsage(NamedTuple):
    """Usage of a pipeline's run."""

    steps: list[StepUsage]
    storage_bytes: int
    """Of the folders stored by its steps, each counted once."""
    rl_step: Usage | None
    """Mean time of a step of RL; None if the run has none yet."""
    rl_step_s: float
    judging_s_per_thousand: float | None
    """Seconds of RL's waits for 1,000 judgements."""

    @property
    def total(self) -> Usage:
        """All steps together."""
        return sum((one.usage for one in self.steps), Usage())


def usage_of(run_id: str) -> RunUsage:
    """Read a run's usage so far from MLflow.

    Args:
        run_id: the pipeline's run, the parent of its steps' runs.

    Raises:
        TrackingError: there is no such run, or the server is unreachable.
        InvalidInputError: the run has no steps.
    """
    asked = run_params(run_id)
    children = child_runs(run_id)
    if not children:
        raise InvalidInputError(f"run {run_id}: has no steps, expected the run of a pipeline")
    by_step: dict[str, list[ChildRun]] = {}
    for child in children:
        by_step.setdefault(child.tags.get("step", child.name), []).append(child)
    seconds = {name: sum(one.seconds or 0.0 for one in tasks) for name, tasks in by_step.items()}
    steps = [
        StepUsage(
            name,
            len(tasks),
            sum(one.tags.get("reused") == "true" for one in tasks),
            _usage(seconds[name], _resources(asked, name)),
        )
        for name, tasks in by_step.items()
    ]
    rl_step_s, judging_s = _rl_times(by_step.get(_RL_STEP, ()))
    return RunUsage(
        steps,
        _stored_bytes(children),
        _usage(rl_step_s, _resources(asked, _RL_STEP)) if rl_step_s else None,
        rl_step_s,
        judging_s,
    )


def usage_tables(usage: RunUsage, prices: Prices, judge_gpus: int) -> "list[Table]":
    """The usage as tables.

    Args:
        usage: of the run.
        prices: of an hour, or of a month.
        judge_gpus: GPUs of the served judge, outside the steps.
    """
    from rich.table import Table

    priced = prices != Prices()
    table = Table(title="what the run used", title_justify="left", show_edge=False)
    table.add_column("step", no_wrap=True)
    for heading in ("tasks", "reused", "hours", "GPU h", "CPU h", "GiB h", *(["cost"] * priced)):
        table.add_column(heading, justify="right")
    num_tasks = sum(one.num_tasks for one in usage.steps)
    num_reused = sum(one.num_reused for one in usage.steps)
    everything = StepUsage("all", num_tasks, num_reused, usage.total)
    for one in (*usage.steps, everything):
        cost = [f"{one.usage.cost(prices):.2f}"] if priced else []
        counted = (f"{value:.3f}" for value in one.usage)
        table.add_row(one.step, str(one.num_tasks), str(one.num_reused), *counted, *cost)
    return [table, _rates_table(usage, prices, judge_gpus)]


def _rates_table(usage: RunUsage, prices: Prices, judge_gpus: int) -> "Table":
    from rich.table import Table

    table = Table(title="what one more costs", title_justify="left", show_edge=False)
    table.add_column("of")
    for heading in ("takes", "GPU h", "cost"):
        table.add_column(heading, justify="right")
    rows: list[tuple[str, str, float | None, float]] = []
    if usage.rl_step is not None:
        step = usage.rl_step
        takes = f"{usage.rl_step_s:.1f} s"
        rows.append(("a step of RL", takes, step.gpu_hours, step.cost(prices)))
    if usage.judging_s_per_thousand is not None:
        gpu_hours = usage.judging_s_per_thousand / _HOUR_S * judge_gpus
        takes = f"{usage.judging_s_per_thousand:.1f} s"
        rows.append(("1,000 judgements", takes, gpu_hours, gpu_hours * prices.gpu_hour))
    stored = usage.storage_bytes / _GIB
    takes = f"{stored:.3f} GiB"
    rows.append(("a month of what is stored", takes, None, stored * prices.storage_gib_month))
    for what, takes, gpu_hours, cost in rows:
        hours = "" if gpu_hours is None else f"{gpu_hours:.4f}"
        table.add_row(what, takes, hours, f"{cost:.4f}")
    return table


def _usage(seconds: float, resources: Mapping[str, float]) -> Usage:
    hours = seconds / _HOUR_S
    nodes = resources.get("num_nodes", 1.0)
    return Usage(
        hours,
        hours * nodes * resources.get("gpus", 0.0),
        hours * nodes * resources.get("cpus", 0.0),
        hours * nodes * resources.get("memory_gib", 0.0),
    )


def _resources(params: Mapping[str, str], step: str) -> dict[str, float]:
    """Resources that the profile requests for a step; empty if it leaves them open."""
    beginning = f"resources.{step.replace('-', '_')}."
    wanted = ("gpus", "cpus", "memory_gib", "num_nodes")
    given = {name: params.get(beginning + name, "None") for name in wanted}
    return {name: float(value) for name, value in given.items() if value != "None"}


def _rl_times(tasks: Sequence[ChildRun]) -> tuple[float, float | None]:
    """Mean seconds of a step of RL, and of 1,000 judgements in it."""
    runs = [one.tags.get("reused_run_id", one.run_id) for one in tasks]
    metrics = {
        name: [value for run in runs for value in metric_history(run, name)]
        for name in ("time/step_s", "time/judging_s", "reward/num_judged")
    }
    num_steps = len(metrics["time/step_s"])
    if not num_steps:
        return 0.0, None
    judged = sum(metrics["reward/num_judged"])
    step_s = sum(metrics["time/step_s"]) / num_steps
    return step_s, sum(metrics["time/judging_s"]) / judged * 1000 if judged else None


def _stored_bytes(children: Sequence[ChildRun]) -> int:
    sizes = {
        child.tags.get(_OUTPUT + name.removeprefix(STORED_TAG), child.run_id): int(size)
        for child in children
        for name, size in child.tags.items()
        if name.startswith(STORED_TAG)
    }
    return sum(sizes.values())
