import hashlib
import itertools
import json
from functools import partial

import pytest

from spatialreward.data.corpus.running import build_corpus
from spatialreward.data.dataset import Dataset, DatasetRef
from spatialreward.data.packing.shards import write_shard
from spatialreward.errors import InvalidInputError
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.records import Scores
from spatialreward.training.config import JudgeTrainingConfig, OptimiserConfig
from spatialreward.training.judge import (
    GENERATED_WORLD_NOTICE,
    judge_batches,
    start_from,
    train_judge,
)
from spatialreward.world.building import build_shard, merge_shards
from spatialreward.world.config import DataConfig
from spatialreward.world.shipped import SHIPPED_BASE
from tests.data.corpus.made import settings, taught, write_edits
from tests.data.packing.making import ANNOTATION, make_edit, make_prompt
from tests.data.teacher.teacher_server import TeacherServer

CONFIG = JudgeTrainingConfig(num_samples=96, optimiser=OptimiserConfig(batch_size=4))
SHORT = CONFIG.model_copy(update={"num_samples": 12, "perceptual_share": 0.5})


def train(config, data, out, **more):
    """Train a judge for a few steps; returns its card and the losses it reported."""
    losses = {}
    opening = partial(start_from, SHIPPED_BASE)
    train_judge(opening, config, data, out, lambda metrics, step: losses.update(metrics), **more)
    return json.loads((out / checkpoint.CARD_FILE).read_text()), losses


def packed(folder, *edits):
    write_shard(folder / "edits.parquet", edits)
    return Dataset(folder)


def test_the_tasks_of_the_generated_world_are_those_of_its_own_shards(tmp_path):
    """Digests of what was trained on when the world's shards had a schema of their own."""
    world = DataConfig(seed=21, num_train=12, num_shards=2)
    folders = [tmp_path / "first", tmp_path / "second"]
    for number, folder in enumerate(folders):
        build_shard(world, "train", number, folder)
    merge_shards(folders, tmp_path / "data")
    batches = itertools.islice(judge_batches(CONFIG, Dataset(tmp_path / "data")), 12)
    assert [(batch.task, digest(batch)) for batch in batches] == [
        ("perceptual", "7f55ecc13397be27"),
        ("semantic", "e572a58e7871d4e0"),
        ("semantic", "4c7947295f4b08dc"),
        ("perceptual", "7f55ecc13397be27"),
        ("perceptual", "7f55ecc13397be27"),
        ("semantic", "bb9dc874ac78fc42"),
        ("perceptual", "c2b769f3dd3d5e21"),
        ("perceptual", "98a99cadb2fe836b"),
        ("semantic", "e3ac99e1070e27fd"),
        ("semantic", "3ccfd72a48c29ede"),
        ("semantic", "ff2b96e189cddfbe"),
        ("semantic", "971e0561af097091"),
    ]


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Two data sets of the world, the second in the place of drawn edits."""
    folder = tmp_path_factory.mktemp("sides")
    for seed, name in ((21, "painted"), (22, "drawn")):
        build_shard(DataConfig(seed=seed, num_train=24, num_shards=1), "train", 0, folder / name)
    return Dataset(folder / "painted"), Dataset(folder / "drawn")


def test_drawn_edits_have_their_share_in_an_order_that_the_seed_decides(sides):
    config = CONFIG.model_copy(update={"drawn_share": 0.35})
    sources = {edit.source_images()[0].tobytes() for edit in sides[1]}

    def origins(seed):
        seeded = config.model_copy(update={"seed": seed})
        batches = itertools.islice(judge_batches(seeded, *sides), 100)
        return [
            example.ask().pictures[0].tobytes() in sources
            for batch in batches
            if batch.task == "semantic"
            for example in batch.examples
        ]

    first = origins(11)
    assert first == origins(11) != origins(12)
    assert 0.25 < sum(first) / len(first) < 0.45


def test_a_share_of_drawn_edits_and_the_edits_belong_together(sides, tmp_path):
    painted, drawn = sides
    mixing = SHORT.model_copy(update={"drawn_share": 0.35})
    with pytest.raises(InvalidInputError, match=r"^drawn_share = 0\.35: there are no drawn edits"):
        train(mixing, painted, tmp_path / "judge")
    with pytest.raises(InvalidInputError, match=rf"^{drawn}: drawn edits are given, but drawn_sha"):
        train(SHORT, painted, tmp_path / "judge", drawn=drawn)
    card, _ = train(mixing, painted, tmp_path / "judge", drawn=drawn)
    assert card["num_training_edits"] == 48
    assert card["notice"] == GENERATED_WORLD_NOTICE


def digest(batch):
    words = [[example.ask().text, example.answer] for example in batch.examples]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]


def test_a_judge_is_trained_on_what_a_build_with_a_teacher_wrote(tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sk-test")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    source = write_edits(tmp_path / "source", 6)
    with TeacherServer().running() as teacher:
        manifest = build_corpus(taught(teacher, source), tmp_path / "edits")
    data = DatasetRef.parse(str(tmp_path / "edits")).open()
    assert 0 < len(data) == data.num_labelled == manifest.counts["annotated"]
    assert data.count("truth") == 0
    card, losses = train(SHORT, data, tmp_path / "judge")
    assert card["num_training_edits"] == len(data)
    assert card["notice"] != GENERATED_WORLD_NOTICE
    assert {"loss/semantic", "loss/perceptual"} <= losses.keys()
    assert Judge.load(tmp_path / "judge").notice == card["notice"]


def test_a_judge_is_trained_on_a_build_of_the_world(tmp_path):
    build_corpus(settings(), tmp_path / "edits")
    data = Dataset(tmp_path / "edits")
    card, _ = train(SHORT, data, tmp_path / "judge")
    assert card["num_training_edits"] == data.count("truth") == len(data)
    assert card["notice"] == GENERATED_WORLD_NOTICE


def test_edits_without_a_label_are_left_out(tmp_path, caplog):
    caplog.set_level("INFO")
    data = packed(tmp_path, make_edit(1), make_prompt(2), make_edit(3, label=None), make_edit(4))
    card, _ = train(SHORT, data, tmp_path / "judge")
    assert card["num_training_edits"] == 2
    assert card["num_long_answers_left_out"] == 0
    assert f"{tmp_path}: 2 edits without a label are left out" in caplog.text


def test_a_data_set_without_labels_says_how_many_there_are(tmp_path):
    data = packed(tmp_path, make_edit(1, label=None), make_prompt(2))
    with pytest.raises(InvalidInputError, match="0 of 2 edits have a label to train a judge on"):
        train(SHORT, data, tmp_path / "judge")
    assert not (tmp_path / "judge").exists()


def test_labels_are_looked_at_before_a_model_is_made(tmp_path):
    """Which takes an hour where it starts from random weights."""
    data, opened = packed(tmp_path, make_edit(1, label=None)), []
    with pytest.raises(InvalidInputError, match="0 of 1 edits have a label"):
        train_judge(lambda: opened.append(1), SHORT, data, tmp_path / "judge", print)
    assert not opened


@pytest.mark.parametrize(
    ("scores", "named", "share"),
    [
        (Scores(editing_success=5, over_editing=9), "naturalness and artifact_freedom", 0),
        (Scores(naturalness=5, artifact_freedom=9), "editing_success and over_editing", 1),
    ],
)
def test_labels_of_one_stream_alone_cannot_train_the_other(tmp_path, scores, named, share):
    label = ANNOTATION.model_copy(update={"scores": scores})
    data = packed(tmp_path, make_edit(1, label=label))
    expected = (
        f"1 of 1 edits have a label, but 0 have the scores {named}; expected perceptual_share"
    )
    with pytest.raises(InvalidInputError, match=f"{expected} = {share}, got 0.5"):
        train(SHORT, data, tmp_path / "judge")
    alone = SHORT.model_copy(update={"perceptual_share": float(share), "num_samples": 4})
    train(alone, data, tmp_path / "judge")
    assert (tmp_path / "judge" / "protocol.json").is_file()
