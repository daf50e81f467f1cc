import numpy as np
import pytest

from spatialreward.benchmarks.attention import (
    PARTS,
    Attention,
    _inside,
    attention_figures,
    measure_attention,
)
from spatialreward.errors import InvalidInputError
from spatialreward.records import EditRegion
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples, origin_of
from spatialreward.world.labelling import scene_edit

WORLD = DataConfig(seed=31)


@pytest.fixture(scope="module")
def edits():
    drawn = draw_samples(WORLD, "heldout", 6)
    return [scene_edit(one, origin_of(WORLD, "heldout", n)) for n, one in enumerate(drawn)]


@pytest.fixture(scope="module")
def measured(judge_folder, edits):
    return measure_attention(judge_folder, edits, 3)


def test_shares_of_each_layer_sum_to_one(measured):
    assert set(measured.shares) == set(PARTS)
    assert measured.num_edits == 3
    for shares_NC in measured.shares.values():
        source, edited, text, regions = shares_NC.T
        assert source + edited + text == pytest.approx(np.ones(len(shares_NC)), abs=1e-5)
        assert np.all(regions <= edited + 1e-6)
        assert np.all(shares_NC >= 0)


def test_what_is_even_follows_from_the_tokens(measured):
    # The protocol of the tiny judge shows squares of one size.
    assert measured.source_tokens == pytest.approx(0.5)
    assert 0 < measured.region_tokens < 1


def test_a_model_that_looks_nowhere_in_particular_is_even(judge_folder, edits, monkeypatch):
    import torch

    from spatialreward.judges.qwen_vl import checkpoint

    def load(folder, square_side, load=checkpoint.load, **more):
        model, processor = load(folder, square_side, **more)
        for layer in model.model.language_model.layers:
            torch.nn.init.zeros_(layer.self_attn.q_proj.weight)
        return model, processor

    monkeypatch.setattr(checkpoint, "load", load)
    measured = measure_attention(judge_folder, edits, 2)
    for part in PARTS:
        assert measured.source_of_pictures(part) == pytest.approx(0.5, abs=1e-5)
        inside = measured.of(part, "regions") / measured.of(part, "edited")
        assert inside == pytest.approx(inside[0], abs=1e-5)


def test_the_one_number_is_of_the_pictures_alone():
    shares = np.array([[0.1, 0.3, 0.6, 0.2], [0.2, 0.2, 0.6, 0.1]])
    figures = attention_figures(Attention({"scores": shares}, 0.4, 0.25, 1))
    found = {figure.name: (figure.value, figure.baseline) for figure in figures}
    assert found["attention/source_share"] == (pytest.approx((0.25 + 0.5) / 2), 0.4)
    assert found["attention/scores/text"] == (pytest.approx(0.6), None)
    assert found["attention/scores/regions_of_edited"] == (pytest.approx(0.15 / 0.25), 0.25)


def test_tokens_whose_middle_is_in_a_box_are_inside():
    boxes = [
        EditRegion(id=0, label="a", bbox_2d=(0, 0, 500, 250)),
        EditRegion(id=1, label="b", bbox_2d=(900, 900, 1000, 1000)),
    ]
    expected = [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert _inside(boxes, 4, 4).astype(int).tolist() == expected


def test_edits_without_a_label_have_nothing_to_measure(judge_folder, edits):
    unlabelled = [edit.model_copy(update={"label": None}) for edit in edits]
    with pytest.raises(InvalidInputError, match="no edit with a source picture and a label of SC"):
        measure_attention(judge_folder, unlabelled, 3)
