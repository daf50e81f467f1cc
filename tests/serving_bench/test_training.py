import json

import pytest

from serving.bench import training
from serving.bench.overfit import build_edits, overfit
from serving.bench.random_judge import Shape, Tower, write_random_judge
from serving.bench.training import Effort, beside_trl_lora, beside_trl_tiny
from spatialreward.data.views import sft_conversations
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.protocol.parsing import parse_perceptual, parse_semantic
from spatialreward.protocol.prompts import FULL
from spatialreward.training.conversations import answer_of

# Each round with TRL takes seconds even so.
LITTLE = Effort(steps=6, rounds=1, batch_size=4, large_batch_size=2, zero3_steps=3)
SMALL = Shape(
    language=Tower(width=64, mlp_width=96, layers=2, heads=4),
    vision=Tower(width=32, mlp_width=48, layers=2, heads=2),
    vocabulary=600,
    patch_px=8,
    pixels=(4_096, 4_096),
)


def test_all_weights_have_the_losses_that_they_have_under_trl(tmp_path):
    beside = beside_trl_tiny(tmp_path, LITTLE)
    assert beside.loss_difference < 0.02
    assert beside.ratios == [beside.ours[0] / beside.trl[0]]


def test_a_lora_has_the_losses_that_it_has_under_trl(tmp_path):
    beside = beside_trl_lora(tmp_path, LITTLE, SMALL, side=64)
    assert beside.loss_difference < 0.02
    assert min(*beside.ours, *beside.trl, *beside.cpu_ratios) > 0


def test_a_random_judge_is_a_checkpoint_with_the_rules_of_qwens_tokenizer(tmp_path):
    num_weights = write_random_judge(tmp_path, SMALL, ["a red hat"] * 9, seed=1)
    model, processor = checkpoint.load(tmp_path, None)
    assert model.num_parameters() == num_weights
    assert model.config.text_config.vocab_size == SMALL.vocabulary
    tokenizer = processor.tokenizer
    assert len(tokenizer("512").input_ids) == 3
    assert len(tokenizer("<|bbox_0|>").input_ids) > 1


def test_edits_to_be_learnt_by_heart_keep_their_answers_word_for_word(tmp_path):
    data = build_edits(tmp_path, 6)
    lines = (tmp_path / "raw" / "edits.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    by_id = {row["id"]: row for row in rows}
    sizes = set()
    for edit in data:
        row = by_id[edit.id]
        semantic, perceptual = sft_conversations(edit, FULL)
        assert parse_semantic(answer_of(semantic)) == parse_semantic(row["sc"])
        assert parse_perceptual(answer_of(perceptual)) == parse_perceptual(row["pq"])
        sizes.add(edit.edited_image().size)
    assert len(sizes) == 6


@pytest.mark.slow
def test_edits_are_learnt_by_heart(tmp_path):
    assert overfit(tmp_path, num_edits=8, num_steps=200).exact_share == 1.0


@pytest.mark.slow
def test_zero3_has_the_losses_of_one_process(tmp_path):
    from serving.bench.zero3 import largest_loss_difference
    from spatialreward.world.shipped import SHIPPED_BASE

    training.world(tmp_path / "data", 64, 12)
    config = training.zero3_config(LITTLE)
    out = tmp_path / "zero3"
    assert largest_loss_difference(SHIPPED_BASE, tmp_path / "data", config, out) < 1e-3
