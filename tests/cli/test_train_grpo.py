import json

import pytest
from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.judges.load import load_judge
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig

SETTINGS = (
    *("num_steps=2", "num_generations=2", "optimiser.batch_size=4", "save_every=1"),
    *("rewards.consistency=0", "rewards.agreement=1"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edits")
    build_shard(DataConfig(seed=21, num_train=12, num_shards=1), "train", 0, folder)
    return folder


def run(data, out, *more, settings=SETTINGS):
    words = ["train", "grpo", "--data", str(data), "--judge", "shipped", "--out", str(out)]
    for one in (*settings, *more):
        words += ["--set", one]
    return CliRunner().invoke(app, words)


def test_a_judge_is_written_with_its_metrics(data, tmp_path, known_edits):
    out = tmp_path / "judge"
    done = run(data, out)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"the judge and its card are in {out}\n"
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert all(0 <= line["reward/form"] <= 1 for line in lines)
    assert json.loads((out / "card.json").read_text())["trained_by"] == "GRPO"
    assert not (tmp_path / "judge.training").exists()
    with load_judge(out) as judge:
        assert len(judge.judge(known_edits[:1])) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((), "error: rewards.consistency: needs a consistency_judge, expected openai:MODEL@"),
        (("rewards.consistency=0", "rewards.order=1"), "error: rewards.order: needs rankings"),
        (("num_generations=3",), "optimiser.batch_size: expected a multiple of num_generations"),
        (("optimiser.matrices=muon",), "GRPO takes adamw alone, not muon"),
        (("rewards.shape=1",), "rewards.shape: no such key"),
    ],
)
def test_settings_that_cannot_be_are_refused_and_nothing_is_written(
    data, tmp_path, settings, message
):
    done = run(data, tmp_path / "judge", settings=settings)
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
