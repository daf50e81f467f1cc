"""Rivals on the same data, budget and backbone: each kind of judge from training to judgement."""

import json
import re

import pytest

from spatialreward.benchmarks.attention import attention_figures, measure_attention
from spatialreward.benchmarks.judge import judge_figures
from spatialreward.data.dataset import Dataset
from spatialreward.data.tasks import edit_to_judge
from spatialreward.errors import InvalidInputError
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.merging import merge_adapter
from spatialreward.protocol.choice import in_form
from spatialreward.protocol.prompts import Protocol
from spatialreward.records import AnswerForm, JudgementStatus
from spatialreward.training.base import Base
from spatialreward.training.config import JudgeTrainingConfig, LoraTuning, OptimiserConfig
from spatialreward.training.sft import train_judge
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.shipped import SHIPPED_BASE

FORMS = {
    "regions": AnswerForm.REGIONS,
    "no_regions": AnswerForm.REASONING,
    "scores": AnswerForm.SCORES,
}
PARTS = {
    "regions": {"regions", "reasoning", "scores"},
    "no_regions": {"reasoning", "scores"},
    "scores": {"scores"},
}
BASE = Base(SHIPPED_BASE, "the shipped base")
SHORT = JudgeTrainingConfig(
    num_samples=12,
    perceptual_share=0.5,
    optimiser=OptimiserConfig(batch_size=4, warmup_steps=2),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "edits"
    build_shard(DataConfig(seed=23, num_train=24, num_shards=1), "train", 0, folder)
    return Dataset(folder)


def train(config, data, out, base=BASE, **more):
    """Train for a few steps; returns the losses that were reported."""
    losses = {}
    train_judge(base, config, data, out, lambda metrics, step: losses.update(metrics), **more)
    return losses


@pytest.fixture(scope="module", params=FORMS)
def trained(request, data, tmp_path_factory):
    """A kind, its checkpoint, and the losses of its training."""
    out = tmp_path_factory.mktemp(request.param) / "judge"
    config = SHORT.model_copy(update={"kind": request.param})
    return request.param, out, train(config, data, out)


def test_a_kind_is_trained_in_its_form_and_distinguished_by_its_parts(trained):
    kind, folder, losses = trained
    assert Protocol.read(folder) == in_form("tiny", FORMS[kind])
    parts = {name.removeprefix("loss/") for name in losses if name.startswith("loss/")}
    assert parts - {"all"} == PARTS[kind]
    card = json.loads((folder / checkpoint.CARD_FILE).read_text())
    assert card["training"]["kind"] == kind
    assert ("regions" in card["kind"]) is (kind == "regions")


def test_a_kind_judges_after_it_was_read_again_and_can_always_be_read(trained, data):
    kind, folder, _ = trained
    edits = list(data)[:6]
    judge = Judge.load(folder)
    judge.prepare()
    judgements = judge.judge(map(edit_to_judge, edits))
    assert [one.status for one in judgements] == [JudgementStatus.OK] * len(edits)
    assert all(one.soft_scores is not None for one in judgements)
    assert {one.answer for one in judgements} == {FORMS[kind]}
    assert any(one.regions for one in judgements) is (kind == "regions")
    for reasoning in ("sc_reasoning", "pq_reasoning"):
        assert any(getattr(one, reasoning) for one in judgements) is (kind != "scores")
    figures = judge_figures([one.label for one in edits], judgements, [0] * len(edits)).measured()
    assert ("mean_iou" in figures) is (kind == "regions")
    assert figures["unparsable_share"] == 0


def test_the_attention_of_a_kind_is_that_of_its_parts(trained, data):
    kind, folder, _ = trained
    measured = measure_attention(folder, data, 2)
    assert set(measured.shares) == PARTS[kind]
    assert attention_figures(measured)[0].name == "attention/source_share"


def test_a_failed_judgement_says_its_form_too(data, tmp_path):
    short = in_form("tiny", AnswerForm.SCORES).model_copy(update={"max_answer_tokens": 2})
    model, processor = checkpoint.load(SHIPPED_BASE, short.square_side)
    (judgement,) = Judge.of_model(model, processor, short).judge([edit_to_judge(next(iter(data)))])
    assert judgement.status is JudgementStatus.FAILED
    assert judgement.answer is AnswerForm.SCORES


def test_a_base_of_another_form_is_reported_and_its_protocol_is_not_taken(data, tmp_path, caplog):
    caplog.set_level("INFO")
    scores = SHORT.model_copy(update={"kind": "scores", "num_samples": 4})
    train(scores, data, tmp_path / "scores")
    assert "the shipped base answers in the form regions; this training teaches" in caplog.text
    caplog.clear()
    again = SHORT.model_copy(update={"num_samples": 4})
    train(again, data, tmp_path / "regions", Base(tmp_path / "scores"))
    assert f"{tmp_path / 'scores'} answers in the form scores; this training" in caplog.text
    assert Protocol.read(tmp_path / "regions").answer is AnswerForm.REGIONS


def test_a_state_of_another_kind_is_refused(data, tmp_path):
    states = {"state_folder": tmp_path / "states"}
    config = SHORT.model_copy(update={"save_every": 1, "num_samples": 8})
    train(config, data, tmp_path / "judge", **states)
    other = config.model_copy(update={"kind": "scores"})
    message = "another training: kind was regions, is scores"
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        train(other, data, tmp_path / "judge", **states)


def test_the_protocol_of_an_adapter_counts_before_that_of_its_base(data, tmp_path):
    lora = SHORT.model_copy(
        update={
            "kind": "scores",
            "num_samples": 4,
            "tuning": LoraTuning(rank=2, alpha=4, merge=False),
            "trains_vision": False,
        }
    )
    train(lora, data, tmp_path / "adapter")
    judge = Judge.load(SHIPPED_BASE, adapter=tmp_path / "adapter")
    assert judge.identity.protocol.startswith("tiny-scores@")
    merge_adapter(SHIPPED_BASE, tmp_path / "adapter", tmp_path / "merged")
    assert Protocol.read(tmp_path / "merged") == in_form("tiny", AnswerForm.SCORES)
