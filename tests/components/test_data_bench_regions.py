import numpy as np
import pytest
from PIL import Image, ImageDraw

from components.data_building.bench.baselines import plain_difference, tolerant_difference
from components.data_building.bench.regions import (
    REAL_EDITS,
    REFRAMED,
    draw_real_edits,
    measure_real_edits,
    measure_reframed,
    measure_world,
    more_baselines,
    world_pair,
)
from spatialreward.data.regions.overlap import union_iou
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples

needs_real_edits = pytest.mark.skipif(
    not (REAL_EDITS / "edits.jsonl").is_file(), reason=f"{REAL_EDITS} is not here"
)


def pair_with_a_square() -> tuple[Image.Image, Image.Image]:
    ramp = np.tile(np.linspace(60, 160, 300, dtype=np.uint8)[:, None], (1, 300))
    before = Image.fromarray(ramp).convert("RGB")
    after = before.copy()
    ImageDraw.Draw(after).rectangle((60, 90, 149, 179), "red")
    return before, after


@pytest.mark.parametrize("find", [plain_difference, tolerant_difference])
def test_a_baseline_finds_a_change_in_a_clean_picture(find):
    assert union_iou(find(*pair_with_a_square()), [(200, 300, 500, 600)]) > 0.75


@pytest.mark.parametrize("find", [plain_difference, tolerant_difference])
def test_a_baseline_finds_nothing_in_the_same_picture(find):
    before, _ = pair_with_a_square()
    assert find(before, before) == []


def test_without_the_folder_nothing_is_measured_and_it_says_why(tmp_path):
    results = measure_real_edits(tmp_path / "none")
    assert results.figures == []
    assert results.rows == []
    assert "no real edits" in results.notice
    assert draw_real_edits(tmp_path / "none") is None


@needs_real_edits
def test_real_edits_reach_their_target_and_stand_beside_both_baselines():
    results = measure_real_edits()
    by_name = {figure.name: figure for figure in results.figures}
    assert by_name["regions/real_edits_mean_iou"].reached
    assert by_name["regions/anime_style_is_global"].reached
    assert len(results.rows) == 6
    assert sum(row.counts for row in results.rows) == 4
    columns = more_baselines(results.rows)
    assert columns["plain difference"]["regions/real_edits_mean_iou"] < 0.3
    assert columns["tolerant difference"].keys() <= by_name.keys()


@pytest.mark.skipif(not REFRAMED.is_dir(), reason=f"{REFRAMED} is not here")
def test_the_reframed_pair_has_a_row_and_reaches_its_target():
    (figure,) = measure_reframed()
    assert figure.name == "regions/reframed_is_global"
    assert figure.reached


def test_without_its_pictures_the_reframed_pair_has_no_row(tmp_path):
    assert measure_reframed(tmp_path / "none") == []


@needs_real_edits
def test_the_sheet_has_a_row_for_each_real_edit():
    sheet = draw_real_edits()
    assert sheet.height > 6 * 200


def test_the_world_is_measured_with_a_baseline_and_the_time_it_takes():
    figures = measure_world(4, seed=11)
    by_name = {figure.name: figure for figure in figures}
    assert 0.5 < by_name["regions/world_mean_iou"].value <= 1
    assert by_name["regions/world_mean_iou"].baseline is not None
    needed = by_name["regions/ms_per_edit"]
    assert 0 < needed.spread[0] <= needed.value <= needed.spread[1]
    assert needed.baseline > 0


def test_the_edited_picture_of_a_world_pair_is_one_or_two_pixels_off():
    (sample,) = draw_samples(DataConfig(seed=3, artifact_share=0), "heldout", 1)
    source, edited = world_pair(sample, np.random.default_rng(1))
    original = sample.images()[1]
    assert source.size == edited.size == original.size
    pixels = np.asarray(edited).astype(int)
    errors = {
        (dx, dy): np.abs(np.roll(np.asarray(original), (dy, dx), (0, 1)) - pixels)[
            4:-4, 4:-4
        ].mean()
        for dx in range(-2, 3)
        for dy in range(-2, 3)
    }
    dx, dy = min(errors, key=errors.get)
    assert dx != 0
    assert dy != 0
