"""Container entry of the judge's evaluation."""

from spatialreward.cli.container import Config, ParentRunId, Reference, container_entry

app = container_entry("Measures judges on held-out edits.")


@app.command()
def evaluate_judge(
    config: Config, judge: Reference, heldout: Reference, parent_run_id: ParentRunId = ""
) -> str:
    """Measure a judge and two baselines; prints figures and the judge's report as JSON."""
    from components.reward_evaluation import steps
    from spatialreward.ops.config import JudgeEvaluationStep, read_settings

    settings = read_settings(JudgeEvaluationStep, config, "--config")
    return steps.evaluate_judge(settings, judge, heldout, parent_run_id)


if __name__ == "__main__":
    app()
