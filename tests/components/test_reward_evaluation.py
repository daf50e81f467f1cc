import json

import torch

from components.reward_evaluation.steps import _untrained, evaluate_judge
from spatialreward.benchmarks.report import load_report
from spatialreward.data.edits import RowOrigin
from spatialreward.data.packing.shards import write_shard
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.ops.config import JudgeEvaluationStep
from spatialreward.storage import ObjectStore
from spatialreward.world import untrained_judge
from spatialreward.world.building import labelled_edit
from spatialreward.world.config import DataConfig
from spatialreward.world.shipped import SHIPPED_BASE
from tests.evaluated import stored_checkpoint


def test_the_untrained_judge_is_loaded_to_where_every_judge_is(tmp_path, monkeypatch, untrained):
    def load(folder, square_side, load=checkpoint.load, **more):
        model, processor = load(folder, square_side, **more)
        return model.to(torch.float64), processor

    # Another precision shows on a CPU what another device would.
    monkeypatch.setattr(checkpoint, "load", load)
    monkeypatch.setattr(untrained_judge, "untrained_tiny", lambda seed, world: untrained)
    config = JudgeEvaluationStep(world=DataConfig(seed=21))
    judge = _untrained(5, config, tmp_path / "untrained")
    weights, random = (model.state_dict() for model in (judge._engine._model, untrained[0]))
    assert all(torch.equal(weights[name], random[name].double()) for name in random)
    assert judge.notice == "random weights"


def test_the_report_is_that_of_an_evaluation_on_labelled_edits(
    client, known_samples, tmp_path, monkeypatch
):
    monkeypatch.setenv("SPATIALREWARD_WORK_DIR", str(tmp_path / "work"))
    heldout = tmp_path / "heldout"
    heldout.mkdir()
    origin = RowOrigin(file="test", row="")
    write_shard(heldout / "edits.parquet", (labelled_edit(one, origin) for one in known_samples))
    config = JudgeEvaluationStep(world=DataConfig(seed=21), num_sheet_rows=2)
    places = (str(stored_checkpoint(SHIPPED_BASE)), str(stored_checkpoint(heldout)))
    answer = json.loads(evaluate_judge(config, *places, ""))
    assert set(answer) == {"judge", "pixel_difference", "report"}
    report = load_report(ObjectStore.from_environment(), answer["report"])
    assert report.figures == answer["judge"]
    assert report.figures["unparsable_share"] == 0.0
    [world] = report.benchmarks
    assert (world.benchmark, world.num_edits, world.num_failed) == ("world", 4, 0)
    assert len(world.figures["pairwise_accuracy"].prompts) == 4
    experiments = [one.experiment_id for one in client.search_experiments()]
    [run, *_] = client.search_runs(experiments, "attributes.run_name = 'evaluate-judge'")
    files = {one.path for one in client.list_artifacts(run.info.run_id, "evaluation")}
    assert "evaluation/report.md" in files
