"""The pipeline interface of the judge's evaluation."""

from kfp import dsl

IMAGE = "spatialreward/reward-evaluation:0.1.0"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate_judge(
    config: str, judge: str, heldout: str, parent_run_id: str, metrics: dsl.Output[dsl.Metrics]
) -> str:
    """Measure a judge and two baselines; returns figures and the judge's report as JSON."""
    import json

    from components.reward_evaluation.__main__ import app
    from spatialreward.cli.container import run_as_task

    answer = run_as_task(
        app,
        "evaluate-judge",
        config=config,
        judge=judge,
        heldout=heldout,
        parent_run_id=parent_run_id,
    )
    for name, value in json.loads(answer)["judge"].items():
        metrics.log_metric(name, value)
    return answer
