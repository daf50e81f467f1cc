import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from spatialreward.protocol.aggregation import Aggregation
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample
from spatialreward.world.oracle import (
    oracle_judgement,
    oracle_reward,
    oracle_scores,
    perceptual_scores_of,
    read_picture,
)
from spatialreward.world.rendering import paint, to_image
from spatialreward.world.samples import SceneSample
from spatialreward.world.scene import Scene, SceneObject

CLEAN = DataConfig(artifact_share=0.0)
SPOILED = DataConfig(artifact_share=1.0)


def _samples(config: DataConfig, count: int) -> list[SceneSample]:
    return [draw_sample(config, "heldout", number) for number in range(count)]


def _shows_its_scene(sample: SceneSample) -> bool:
    reading = read_picture(sample.images()[1], sample.world.source, sample.world.look)
    return reading.scene.model_dump() == sample.world.edited.model_dump()


@pytest.mark.parametrize("size", [32, 64, 132])
def test_a_picture_without_artifact_is_read_exactly_and_scored_truly(size):
    for sample in _samples(CLEAN.model_copy(update={"picture_size": size}), 100):
        assert _shows_its_scene(sample), sample.id
        assert oracle_scores(sample.world, sample.images()[1]) == sample.truth.scores


def test_a_judgement_has_the_true_regions_and_reward():
    for sample in _samples(CLEAN, 50):
        judgement = oracle_judgement(sample.world, sample.images()[1])
        assert judgement.regions == sample.truth.regions
        assert judgement.reward == Aggregation().reward(sample.truth.scores)


def test_artifacts_seldom_hide_the_scene():
    assert np.mean([_shows_its_scene(sample) for sample in _samples(SPOILED, 200)]) > 0.95


def test_perceptual_scores_fall_with_the_strength_of_the_artifact():
    samples = _samples(DataConfig(), 400)
    truth = [sample.truth.scores.artifact_freedom for sample in samples]
    seen = [oracle_scores(s.world, s.images()[1]).artifact_freedom for s in samples]
    assert stats.spearmanr(truth, seen).statistic > 0.95
    for level in (25.0, 17.0, 10.0, 3.0):
        mean = np.mean([s for s, t in zip(seen, truth, strict=True) if t == level])
        assert mean == pytest.approx(level, abs=2.5)


def test_perceptual_scores_pass_through_their_knots():
    assert perceptual_scores_of(0.0) == (25.0, 25.0)
    assert perceptual_scores_of(26.9) == pytest.approx((13.3, 10.0))
    assert perceptual_scores_of(255.0) == (0.0, 0.0)


def test_two_objects_that_answer_to_the_same_words_are_read():
    sample = draw_sample(CLEAN, "heldout", 0)
    twin = SceneObject(shape="cross", colour="red", size="large")
    twins = Scene.model_construct(background="sky", objects={0: twin, 9: twin})
    picture = to_image(paint(twins, sample.world.look, 64, 64))
    scene = read_picture(picture, sample.world.source, sample.world.look).scene
    assert (scene.background, scene.objects) == ("sky", {0: twin, 9: twin})
    assert 0 <= oracle_reward(sample.world, picture) <= 1


def test_photographs_can_be_the_background(tmp_path):
    grain = np.random.default_rng(0).integers(0, 255, (80, 90, 3), np.uint8)
    Image.fromarray(grain).save(tmp_path / "a.png")
    config = CLEAN.model_copy(update={"photos": str(tmp_path)})
    samples = [draw_sample(config, "heldout", number, ("a.png",)) for number in range(30)]
    assert {sample.world.source.background for sample in samples} >= {"photo"}
    for sample in samples:
        scores = oracle_scores(sample.world, sample.images()[1], tmp_path)
        assert scores == sample.truth.scores


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    levels=st.integers(2, 256),
    mode=st.sampled_from(["RGB", "L"]),
)
def test_any_picture_has_scores(seed, width, height, levels, mode):
    rng = np.random.default_rng(seed)
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    picture = Image.fromarray((rng.integers(0, levels, shape) * (255 // levels)).astype(np.uint8))
    world = draw_sample(CLEAN, "heldout", seed % 50).world
    scores = oracle_scores(world, picture)
    assert all(0 <= value <= 25 for value in scores.model_dump().values())
