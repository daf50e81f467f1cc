"""Container entry of the judge's training."""

from spatialreward.cli.container import Config, ParentRunId, Reference, container_entry

app = container_entry("Trains judges.")


@app.command()
def train_judge(config: Config, data: Reference, parent_run_id: ParentRunId = "") -> str:
    """Train a judge on a data set and answer with its reference."""
    from components.reward_training import steps
    from spatialreward.config import JudgeTrainingStep, read_settings

    settings = read_settings(JudgeTrainingStep, config, "--config")
    return steps.train_judge(settings, data, parent_run_id)


if __name__ == "__main__":
    app()
