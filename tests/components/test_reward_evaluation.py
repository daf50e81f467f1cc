import torch

from components.reward_evaluation.steps import _untrained
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.ops.config import JudgeEvaluationStep
from spatialreward.world import untrained_judge
from spatialreward.world.config import DataConfig


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
