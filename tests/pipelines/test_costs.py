"""What a run has used, read from a real MLflow server."""

import pytest
from typer.testing import CliRunner

from pipelines.__main__ import app
from pipelines.costs import Prices, Usage, usage_of
from spatialreward.errors import InvalidInputError
from spatialreward.ops.tracking import TrackingError, child_runs, open_run

GIB = 2**30
PARAMS = {
    "resources.train_judge.gpus": 8,
    "resources.train_judge.num_nodes": 2,
    "resources.finetune_editor.gpus": 4,
    "resources.finetune_editor.cpus": 16,
    "resources.finetune_editor.memory_gib": None,
}


@pytest.fixture
def run(client):
    """A pipeline's run with four steps; how long each took is the server's to say."""
    with open_run("pipeline") as parent:
        parent.log_params(PARAMS)
        for number in range(2):
            with step("build-shard", parent) as task:
                task.set_tags(stored(f"shard-{number}"))
        with step("train-judge", parent) as task:
            task.set_tags(stored("judge") | {"output.report": "s3://r", "reused": "true"})
        with step("finetune-editor", parent) as task:
            for number, seconds in enumerate((30.0, 40.0, 50.0)):
                times = {"step_s": seconds + 20.0, "judging_s": 10.0}
                metrics = {f"time/{name}": value for name, value in times.items()}
                task.log_metrics(metrics | {"reward/num_judged": 100.0}, number)
    return parent.run_id


def stored(name):
    ref = f"s3://spatialreward/artifacts/{name}#sha256={'0' * 64}"
    return {"output.made": ref, "stored_bytes.made": str(GIB)}


def step(name, parent):
    return open_run(name, parent_run_id=parent.run_id, tags={"step": name})


def test_hours_are_those_of_what_was_asked_for(run):
    used = usage_of(run)
    assert [(one.step, one.num_tasks, one.num_reused) for one in used.steps] == [
        ("build-shard", 2, 0),
        ("train-judge", 1, 1),
        ("finetune-editor", 1, 0),
    ]
    _, training, rl = (one.usage for one in used.steps)
    assert training.gpu_hours == pytest.approx(16 * training.hours)
    assert (rl.gpu_hours, rl.cpu_hours) == pytest.approx((4 * rl.hours, 16 * rl.hours))
    assert rl.memory_gib_hours == 0
    seconds = sum(one.seconds for one in child_runs(run))
    assert used.total.hours == pytest.approx(seconds / 3600)


def test_a_step_of_rl_and_judgements_have_rates_of_their_own(run):
    used = usage_of(run)
    assert used.rl_step_s == 60.0
    assert used.rl_step.gpu_hours == pytest.approx(4 * 60 / 3600)
    assert used.judging_s_per_thousand == 100.0


def test_what_several_steps_answered_with_is_stored_once(run, client):
    with open_run("again", parent_run_id=run, tags=stored("judge")):
        pass
    assert usage_of(run).storage_bytes == 3 * GIB


def test_costs_are_amounts_times_prices():
    prices = Prices(gpu_hour=2, cpu_hour=0.5, memory_gib_hour=0.25)
    assert Usage(9, 10, 4, 8).cost(prices) == 20 + 2 + 2


def test_the_command_shows_hours_and_with_prices_costs(run):
    plain = CliRunner().invoke(app, ["costs", run])
    assert plain.exit_code == 0, plain.output
    assert "finetune-editor" in plain.output
    assert "cost" not in plain.output.partition("what one more costs")[0]
    priced = CliRunner().invoke(
        app, ["costs", run, "--gpu-hour", "3", "--storage-gib-month", "0.02", "--judge-gpus", "2"]
    )
    # 4 GPUs for a minute at 3 an hour; 2 for 100 s; 3 GiB at 0.02.
    for cost in ("0.2000", "0.1667", "0.0600"):
        assert cost in priced.output


def test_a_run_of_no_pipeline_is_named(client):
    with open_run("alone") as alone:
        pass
    with pytest.raises(InvalidInputError, match=rf"{alone.run_id}: has no steps"):
        usage_of(alone.run_id)
    with pytest.raises(TrackingError, match="unknown"):
        usage_of("unknown")


def test_a_run_of_more_steps_than_a_page_holds_has_them_all(run, monkeypatch):
    monkeypatch.setattr("spatialreward.ops.tracking._RUNS_A_REQUEST", 3)
    assert [one.name for one in child_runs(run)].count("build-shard") == 2
    assert len(child_runs(run)) == 4
