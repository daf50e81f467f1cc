import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spatialreward.data.edits import Extent
from spatialreward.data.regions.config import RegionConfig
from spatialreward.data.regions.overlap import union_iou
from spatialreward.data.regions.proposal import changed_mask, propose

SIDE = 512


def photo(seed: int = 1, side: int = SIDE) -> np.ndarray:
    """Something like a photograph: soft shapes, texture, and edges in many directions."""
    rng = np.random.default_rng(seed)
    canvas = cv2.resize(
        rng.uniform(40, 210, (6, 6, 3)), (side, side), interpolation=cv2.INTER_CUBIC
    )
    for _ in range(30):
        centre = tuple(int(value) for value in rng.integers(0, side, 2))
        axes = tuple(int(value) for value in rng.integers(side // 40, side // 10, 2))
        colour = rng.uniform(0, 255, 3).tolist()
        cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    grain = cv2.GaussianBlur(rng.normal(0, 12, canvas.shape), (0, 0), 1.5)
    return np.clip(cv2.GaussianBlur(canvas, (0, 0), 0.8) + grain, 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def with_rectangle(pixels: np.ndarray, box: tuple[int, int, int, int], colour=(250, 60, 20)):
    left, top, right, bottom = box
    painted = pixels.copy()
    painted[top:bottom, left:right] = colour
    return painted


def boxes(prior):
    return [region.bbox_2d for region in prior.regions]


def test_of_the_same_picture_nothing_changed():
    picture = Image.fromarray(photo())
    prior = propose(picture, picture)
    assert prior.extent is Extent.NOTHING
    assert prior.regions == ()
    assert prior.changed_share == 0
    assert prior.noise == 0


@pytest.mark.parametrize(("quality", "shift"), [(60, (2, 1)), (75, (-1, 2)), (95, (0, 0))])
def test_a_picture_encoded_anew_and_shifted_has_not_changed(quality, shift):
    pixels = photo()
    moved = np.roll(pixels, shift, axis=(1, 0))
    prior = propose(jpeg(pixels, 90), jpeg(moved, quality))
    assert prior.extent is Extent.NOTHING
    assert prior.shift_px == pytest.approx(shift, abs=0.3)
    assert prior.noise > 0


def test_a_picture_rescaled_a_little_has_not_changed():
    pixels = photo()
    enlarged = cv2.resize(pixels, None, fx=1.03, fy=1.03)[8 : 8 + SIDE, 8 : 8 + SIDE]
    assert propose(Image.fromarray(pixels), jpeg(enlarged, 90)).extent is Extent.NOTHING


def test_a_soft_copy_with_noise_and_a_drift_of_colour_has_not_changed():
    pixels = photo()
    rng = np.random.default_rng(2)
    copy = cv2.GaussianBlur(pixels.astype(float), (0, 0), 1.2) * 1.02 + rng.normal(
        2, 4, pixels.shape
    )
    prior = propose(Image.fromarray(pixels), jpeg(np.clip(copy, 0, 255).astype(np.uint8), 80))
    assert prior.extent is Extent.NOTHING


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_pasted_rectangle_is_found(seed):
    pixels = photo(seed)
    edited = np.roll(with_rectangle(pixels, (128, 256, 256, 320)), (1, 2), axis=(0, 1))
    prior = propose(jpeg(pixels, 90), jpeg(edited, 70))
    assert prior.extent is Extent.LOCAL
    assert union_iou(boxes(prior), [(254, 502, 504, 627)]) > 0.8
    assert prior.regions[0].evidence > 0.7
    assert prior.regions[0].changed_share > 0.6
    assert prior.changed_share == pytest.approx(128 * 64 / SIDE**2, rel=0.3)


def test_a_removed_thing_is_found_as_well_as_an_added_one():
    pixels = photo()
    with_thing = with_rectangle(pixels, (300, 40, 380, 140))
    prior = propose(jpeg(with_thing, 90), jpeg(pixels, 85))
    assert union_iou(boxes(prior), [(586, 78, 742, 273)]) > 0.8


def test_two_changes_far_apart_are_two_regions():
    pixels = photo()
    edited = with_rectangle(with_rectangle(pixels, (30, 30, 110, 110)), (400, 390, 490, 480))
    prior = propose(jpeg(pixels, 90), jpeg(edited, 80))
    assert len(prior.regions) == 2
    evidences = [region.evidence for region in prior.regions]
    assert evidences == sorted(evidences, reverse=True)


def test_more_changes_than_there_may_be_are_merged_until_all_are_covered():
    pixels = edited = photo()
    places = [(x, y, x + 40, y + 40) for x in (20, 160, 300, 440) for y in (30, 230, 430)]
    for place in places:
        edited = with_rectangle(edited, place)
    prior = propose(Image.fromarray(pixels), Image.fromarray(edited))
    assert prior.extent is Extent.LOCAL
    assert len(prior.regions) <= RegionConfig().max_regions
    centres = [((a + c) / 2 / 0.512, (b + d) / 2 / 0.512) for a, b, c, d in places]
    for x, y in centres:
        assert any(a <= x <= c and b <= y <= d for a, b, c, d in boxes(prior))


def test_a_change_of_tone_is_global():
    pixels = photo()
    warmer = np.clip(pixels * np.array([1.15, 0.95, 0.6]) + (25, 5, -10), 0, 255).astype(np.uint8)
    prior = propose(jpeg(pixels, 90), jpeg(warmer, 85))
    assert prior.extent is Extent.GLOBAL
    assert boxes(prior) == [(0, 0, 1000, 1000)]
    assert prior.regions[0].evidence > 0.5
    assert prior.changed_share > 0.8


def test_another_picture_altogether_is_global():
    prior = propose(Image.fromarray(photo(1)), Image.fromarray(photo(2)))
    assert prior.extent is Extent.GLOBAL


def test_a_change_within_a_drift_of_tone_is_still_found():
    pixels = photo()
    edited = with_rectangle(pixels, (100, 100, 220, 200)) * 0.94 + 6
    prior = propose(Image.fromarray(pixels), jpeg(edited.astype(np.uint8), 85))
    assert prior.extent is Extent.LOCAL
    assert union_iou(boxes(prior), [(195, 195, 430, 391)]) > 0.8


def test_a_source_of_another_size_is_brought_to_the_edited_pictures_shape():
    pixels = photo()
    larger = Image.fromarray(pixels).resize((768, 700), Image.Resampling.LANCZOS)
    edited = with_rectangle(pixels, (128, 256, 256, 320))
    prior = propose(larger, jpeg(edited, 85))
    assert union_iou(boxes(prior), [(250, 500, 500, 625)]) > 0.8


def test_the_same_pictures_always_give_the_same_answer():
    source, edited = jpeg(photo(), 90), jpeg(with_rectangle(photo(), (10, 20, 90, 130)), 70)
    assert propose(source, edited) == propose(source, edited)


def test_the_mask_has_the_edited_pictures_size_and_covers_the_change():
    pixels = photo()
    edited = with_rectangle(pixels, (128, 256, 256, 320))
    mask = changed_mask(Image.fromarray(pixels).resize((300, 300)), Image.fromarray(edited))
    assert mask.shape == (SIDE, SIDE)
    assert mask.dtype == bool
    assert mask[260:316, 132:252].mean() > 0.9
    assert mask[:240].mean() < 0.01


def test_a_flat_picture_that_gets_another_colour_has_changed_everywhere():
    before, after = (Image.new("L", (300, 200), level) for level in (60, 180))
    assert propose(before, after).extent is Extent.GLOBAL
    assert propose(before, before).extent is Extent.NOTHING


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (600, 3), (2, 2), (31, 33)])
def test_pictures_of_any_shape_are_compared(size):
    before, after = (Image.new("RGB", size, colour) for colour in ("black", "white"))
    assert propose(before, before).extent is Extent.NOTHING
    assert propose(before, after).extent is Extent.GLOBAL
    assert changed_mask(before, after).shape == size[::-1]


@settings(max_examples=40)
@given(
    sizes=st.tuples(*[st.tuples(st.integers(1, 70), st.integers(1, 70))] * 2),
    modes=st.tuples(*[st.sampled_from(["RGB", "L", "RGBA", "1"])] * 2),
    levels=st.integers(0, 255),
    seed=st.integers(0, 2**16),
)
def test_whatever_pictures_come_in_a_valid_prior_comes_out(sizes, modes, levels, seed):
    rng = np.random.default_rng(seed)
    pictures = [
        Image.fromarray(rng.integers(0, levels + 1, (height, width, 3), np.uint8)).convert(mode)
        for (width, height), mode in zip(sizes, modes, strict=True)
    ]
    prior = propose(*pictures)
    assert len(prior.regions) <= RegionConfig().max_regions
    for region in prior.regions:
        x1, y1, x2, y2 = region.bbox_2d
        assert 0 <= x1 < x2 <= 1000
        assert 0 <= y1 < y2 <= 1000
        assert 0 <= region.evidence <= 1
    assert (prior.extent is Extent.NOTHING) == (not prior.regions)


def test_a_strong_change_cannot_be_less_than_a_weak_one():
    with pytest.raises(ValueError, match="strong_change"):
        RegionConfig(weak_change=3, strong_change=2)
