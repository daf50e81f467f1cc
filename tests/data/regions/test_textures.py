"""Textures that cover the whole picture: another frame is no re-encoding, and a re-encoding is."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spatialreward.data.edits import Extent
from spatialreward.data.regions.proposal import propose
from spatialreward.images import load_image
from tests.data.regions.textures import (
    SIDE,
    down_and_up,
    encoded,
    foliage,
    frame,
    gravel,
    softened,
    stripes,
    tinted,
)

REFRAMED = Path(__file__).parents[4] / "shared/data/faults/reframed_by_the_editor"

seeds = st.integers(0, 2**16)
contrasts = st.floats(15, 50)
textures = st.one_of(
    st.builds(gravel, seeds, st.floats(2, 32), contrasts),
    st.builds(foliage, seeds, st.floats(0.4, 1.3), contrasts),
)
encodings = {
    "jpeg": lambda pixels, quality: encoded(pixels, "JPEG", quality),
    "webp": lambda pixels, quality: encoded(pixels, "WEBP", quality),
    "half": lambda pixels, quality: encoded(down_and_up(pixels, 0.5), "JPEG", quality),
    "tint": lambda pixels, quality: encoded(tinted(pixels), "JPEG", max(quality, 30)),
    "soft": lambda pixels, quality: encoded(softened(pixels, 1.0), "WEBP", quality),
    "moved": lambda pixels, quality: encoded(np.roll(pixels, (2, -3), (0, 1)), "JPEG", quality),
}
frames = {
    "right part": (0.25, 0.2, 1, 0.95),
    "left part": (0, 0.3, 0.6, 0.9),
    "other aspect": (0.15, 0, 0.85, 1),
    "flat aspect": (0, 0.15, 1, 0.8),
    "far up": (0, 0.2, 1, 1.0),
}


@settings(max_examples=60)
@given(pixels=textures, how=st.sampled_from(sorted(encodings)), quality=st.integers(10, 95))
def test_a_texture_encoded_again_has_not_changed(pixels, how, quality):
    prior = propose(Image.fromarray(pixels), encodings[how](pixels, quality))
    assert prior.extent is Extent.NOTHING


@settings(max_examples=60)
@given(pixels=textures, which=st.sampled_from(sorted(frames)), quality=st.integers(30, 95))
def test_another_frame_of_a_texture_is_a_global_change(pixels, which, quality):
    edited = encoded(frame(pixels, *frames[which]), "JPEG", quality)
    prior = propose(Image.fromarray(pixels), edited)
    assert prior.extent is Extent.GLOBAL
    assert prior.changed_share > 0.5


@settings(max_examples=40)
@given(
    make=st.sampled_from([gravel, foliage]), scale=st.floats(0, 1), contrast=contrasts, seed=seeds
)
def test_textures_of_equal_statistics_are_not_the_same_picture(make, scale, contrast, seed):
    parameter = 2 + 30 * scale if make is gravel else 0.4 + 0.9 * scale
    one, other = (make(each, parameter, contrast) for each in (seed, seed + 1))
    prior = propose(Image.fromarray(one), encoded(other, "JPEG", 85))
    assert prior.extent is Extent.GLOBAL
    assert propose(Image.fromarray(one), Image.fromarray(one)).extent is Extent.NOTHING


@settings(max_examples=30)
@given(
    period=st.floats(8, 60),
    angle=st.floats(0, np.pi),
    turned=st.floats(0.4, np.pi - 0.4),
    contrast=contrasts,
)
def test_stripes_are_the_same_after_encoding_and_not_after_turning(period, angle, turned, contrast):
    before = Image.fromarray(stripes(0, period, angle, contrast))
    again = encoded(before, "JPEG", 20)
    other = Image.fromarray(stripes(1, period, angle + turned, contrast))
    assert propose(before, again).extent is Extent.NOTHING
    assert propose(before, other).extent is Extent.GLOBAL


@pytest.mark.parametrize("seed", [1, 2])
def test_a_texture_where_nothing_was_is_a_change_and_so_is_its_removal(seed):
    plain = Image.new("RGB", (SIDE, SIDE), (125, 125, 125))
    gravelly = Image.fromarray(gravel(seed, 8, 45))
    assert propose(plain, gravelly).extent is Extent.GLOBAL
    assert propose(gravelly, plain).extent is Extent.GLOBAL


def test_a_small_change_in_a_fine_texture_stays_a_local_one():
    pixels = gravel(3, 6, 30)
    edited = pixels.copy()
    edited[100:220, 150:300] = (240, 200, 20)
    prior = propose(Image.fromarray(pixels), encoded(edited, "JPEG", 40))
    assert prior.extent is Extent.LOCAL


def test_changes_all_over_a_flat_picture_stay_local_ones():
    before = np.full((SIDE, SIDE, 3), (60, 90, 130), np.uint8)
    after = before.copy()
    for left in (20, 170, 320):
        for top in (20, 170, 320):
            after[top : top + 70, left : left + 70] = gravel(left + top, 4, 50)[:70, :70]
    prior = propose(Image.fromarray(before), encoded(after, "JPEG", 80))
    assert prior.extent is Extent.LOCAL


@pytest.mark.skipif(not REFRAMED.is_dir(), reason="../shared/data/faults is not here")
def test_a_picture_that_an_editor_reframed_is_a_global_change():
    source, edited = (load_image(REFRAMED / name) for name in ("source.jpg", "edited.jpg"))
    prior = propose(source, edited)
    assert prior.extent is Extent.GLOBAL
    assert prior.changed_share > 0.9
