import json

import numpy as np
import pytest
from PIL import Image

from spatialreward.benchmarks.config import EditorEvaluationConfig
from spatialreward.editors.config import DenoisingConfig
from spatialreward.errors import InvalidInputError
from spatialreward.judges.pixels import PixelDifference
from spatialreward.world.config import DataConfig
from spatialreward.world.editor_evaluation import bootstrap_interval, compare_editors

WORLD = DataConfig(seed=21)


def test_an_editor_is_no_better_than_itself(editor_folder):
    config = EditorEvaluationConfig(
        num_instructions=6, denoising=DenoisingConfig(num_denoising_steps=2)
    )
    comparison = compare_editors(editor_folder, editor_folder, WORLD, config, PixelDifference())
    figures = comparison.figures
    assert figures.oracle_reward_before == figures.oracle_reward_after > 0
    assert (figures.gain, figures.gain_ci95_low, figures.gain_ci95_high) == (0, 0, 0)
    assert figures.served_reward_before == figures.served_reward_after
    assert len(comparison.rows_after) == 6


def test_tasks_of_which_nobody_knows_the_truth_are_scored_by_the_judge(editor_folder, tmp_path):
    lines = []
    for number in range(5):
        Image.new("RGB", (64, 64), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
        line = {"id": str(number), "source": f"{number}.png", "instruction": "add a red circle"}
        lines.append(json.dumps(line))
    file = tmp_path / "tasks.jsonl"
    file.write_text("\n".join(lines))
    config = EditorEvaluationConfig(
        prompts=str(file),
        num_instructions=3,
        edits_at_a_time=2,
        denoising=DenoisingConfig(num_denoising_steps=2),
    )
    both = editor_folder, editor_folder, WORLD, config
    compared = compare_editors(*both, PixelDifference())
    assert (compared.figures.gain, compared.figures.gain_ci95_high) == (0, 0)
    assert np.isnan(compared.figures.oracle_reward_before)
    assert compared.figures.served_reward_before == compared.figures.served_reward_after
    reds = [row.source.getpixel((0, 0))[0] for row in compared.rows_after]
    assert reds == [80, 120, 160], "the last ones, in their order"
    with pytest.raises(InvalidInputError, match="their truth is unknown, and no judge is given"):
        compare_editors(*both, None)


def test_the_interval_of_a_mean_lies_around_it():
    differences = np.random.default_rng(0).normal(0.1, 0.2, 400)
    low, high = bootstrap_interval(differences, 2000, seed=1)
    error = 1.96 * differences.std() / 20
    assert low == pytest.approx(differences.mean() - error, abs=0.004)
    assert high == pytest.approx(differences.mean() + error, abs=0.004)
