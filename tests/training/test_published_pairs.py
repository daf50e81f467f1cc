"""Preferences in the layouts in which they are published, from `data build` to a judge."""

import json

import pyarrow as pa
import pytest

from spatialreward.data.corpus.running import build_corpus
from spatialreward.data.dataset import Dataset
from spatialreward.errors import InvalidInputError
from spatialreward.judges.load import load_judge
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.folder import HEAD_FILE
from spatialreward.training.base import Base
from spatialreward.training.config import HeadTraining, JudgeTrainingConfig, OptimiserConfig
from spatialreward.training.sft import train_judge
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples
from tests.data.corpus.made import settings
from tests.data.sources.small_data_sets import IMAGE, write_jsonl, write_parquet

CONFIG = JudgeTrainingConfig(
    kind="discriminative",
    num_samples=12,
    perceptual_share=0.5,
    optimiser=OptimiserConfig(batch_size=6, warmup_steps=1, learning_rate=1e-3),
)


def editreward(folder, samples):
    """EditReward-Data: a pair a row, with scores of both sides."""
    texts = ("unique_key", "instruction", "left_model", "right_model", "vote_type")
    scores = [
        f"{side}_{name}_score"
        for side in ("left", "right")
        for name in ("instruction_following", "quality_aesthetic", "overall")
    ]
    pictures = ("source_img", "left_output_image", "right_output_image")
    schema = {name: pa.string() for name in texts}
    schema |= {name: pa.float32() for name in scores} | dict.fromkeys(pictures, IMAGE)
    rows = [
        dict.fromkeys(scores, 2.0)
        | {"left_instruction_following_score": 4.0, "left_overall_score": 6.0}
        | {
            "unique_key": f"pair_{number}",
            "instruction": sample.instruction,
            "left_model": "a",
            "right_model": "b",
            "vote_type": "leftvote",
            "source_img": {"bytes": sample.source, "path": "s.png"},
            "left_output_image": {"bytes": sample.edited, "path": "l.png"},
            "right_output_image": {"bytes": sample.source, "path": "r.png"},
        }
        for number, sample in enumerate(samples)
    ]
    write_parquet(folder / "data/train-00000-of-00001.parquet", rows, pa.schema(schema))
    return {"kind": "parquet", "folder": str(folder), "columns": "editreward"}


def editscore(folder, samples):
    """EditScore's pairs: the better edit first, on one dimension a row."""
    rows = []
    for number, sample in enumerate(samples):
        names = [f"images/{number}-{part}.png" for part in ("source", "better", "worse")]
        for name, data in zip(names, (sample.source, sample.edited, sample.source), strict=True):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        rows.append(
            {
                "key": [f"{number}-a", f"{number}-b"],
                "instruction": sample.instruction,
                "task_type": "color_alter",
                "dimension": ("prompt_following", "consistency", "overall")[number % 3],
                "input_image": names[0],
                "output_images": names[1:],
            }
        )
    write_jsonl(folder / "bench.jsonl", rows)
    return {"kind": "jsonl", "folder": str(folder), "columns": "editscore-pairs"}


@pytest.fixture(scope="module")
def place(tmp_path_factory, untrained):
    """A base, and a build of each layout."""
    folder = tmp_path_factory.mktemp("published")
    checkpoint.save(folder / "base", *untrained, {})
    samples = list(draw_samples(DataConfig(seed=3), "train", 6))
    for write in (editreward, editscore):
        name = write.__name__
        source = write(folder / f"{name}-source", samples)
        config = settings(source=source, num_shards=1, filters={"duplicates": None})
        build_corpus(config, folder / name)
    return folder


def train(place, name, config, out):
    reported = {}
    report = lambda metrics, step: reported.update(metrics)  # noqa: E731
    train_judge(Base(place / "base"), config, Dataset(place / name), out, report)
    return reported


def test_pairs_of_editreward_train_all_scores_with_the_usual_settings(place, tmp_path):
    data = Dataset(place / "editreward")
    assert (data.num_labelled, data.num_rankings) == (0, 6)
    reported = train(place, "editreward", CONFIG, tmp_path / "judge")
    # Quality is a tie in each pair, which teaches and decides nothing.
    assert reported["pairs/per_batch"] > 0
    assert (tmp_path / "judge" / HEAD_FILE).is_file()
    card = json.loads((tmp_path / "judge" / "card.json").read_text())
    assert (card["num_training_edits"], card["num_training_rankings"]) == (0, 6)


def test_pairs_of_editscore_train_the_stream_that_they_order(place, tmp_path):
    with pytest.raises(InvalidInputError) as raised:
        train(place, "editscore", CONFIG, tmp_path / "judge")
    assert "no ranking orders naturalness; their dimensions are consistency, overall" in str(
        raised.value
    )
    semantic = CONFIG.model_copy(update={"perceptual_share": 0.0})
    train(place, "editscore", semantic, tmp_path / "judge")
    with load_judge(tmp_path / "judge") as judge:
        assert judge._head.dimensions == ("editing_success", "over_editing")


def test_settings_say_which_dimension_orders_a_score(place, tmp_path):
    ranked_by = dict.fromkeys(HeadTraining().ranked_by, ("overall",))
    config = CONFIG.model_copy(update={"head": HeadTraining(ranked_by=ranked_by)})
    reported = train(place, "editscore", config, tmp_path / "judge")
    assert reported["pairs/per_batch"] > 0
