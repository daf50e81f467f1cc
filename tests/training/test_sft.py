import json
import re

import pytest

from spatialreward.data.corpus.running import build_corpus
from spatialreward.data.dataset import Dataset, DatasetRef
from spatialreward.data.negatives.copies import Attack
from spatialreward.data.packing.shards import write_shard
from spatialreward.errors import InvalidInputError
from spatialreward.images import decode_image
from spatialreward.judges.engines.engine import Judge
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.judges.qwen_vl.folder import ADAPTER_CONFIG_FILE
from spatialreward.protocol.prompts import TINY
from spatialreward.records import Scores
from spatialreward.training.base import Base
from spatialreward.training.config import JudgeTrainingConfig, LoraTuning, OptimiserConfig
from spatialreward.training.conversations import question_of
from spatialreward.training.processes import ALONE
from spatialreward.training.sft import GENERATED_WORLD_NOTICE, _conversations, train_judge
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.shipped import SHIPPED_BASE
from tests.data.corpus.made import settings, taught, write_edits
from tests.data.packing.making import ANNOTATION, make_alone, make_edit, make_prompt
from tests.data.teacher.teacher_server import TeacherServer

CONFIG = JudgeTrainingConfig(
    num_samples=96, optimiser=OptimiserConfig(batch_size=4, warmup_steps=2)
)
SHORT = CONFIG.model_copy(update={"num_samples": 12, "perceptual_share": 0.5})
BASE = Base(SHIPPED_BASE, "the shipped base")


def train(config, data, out, **more):
    """Train a judge for a few steps; returns its card and the losses it reported."""
    losses = {}
    train_judge(BASE, config, data, out, lambda metrics, step: losses.update(metrics), **more)
    return json.loads((out / checkpoint.CARD_FILE).read_text()), losses


def packed(folder, *edits):
    folder.mkdir(exist_ok=True)
    write_shard(folder / "edits.parquet", edits)
    return Dataset(folder)


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Two data sets of the world, the second in the place of drawn edits."""
    folder = tmp_path_factory.mktemp("sides")
    for seed, name in ((21, "painted"), (22, "drawn")):
        build_shard(DataConfig(seed=seed, num_train=24, num_shards=1), "train", 0, folder / name)
    return Dataset(folder / "painted"), Dataset(folder / "drawn")


def test_drawn_edits_have_their_share_in_an_order_that_the_seed_decides(sides, untrained):
    processor = untrained[1].following(TINY)
    sources = {decode_image(edit.sources[0], "source").tobytes() for edit in sides[1].edits()}

    def origins(seed):
        config = CONFIG.model_copy(update={"drawn_share": 0.35, "seed": seed, "num_samples": 240})
        planned, _ = _conversations(config, sides, TINY, processor, ALONE)
        asked = [planned[number] for number in range(len(planned))]
        return [
            question_of(one).pictures[0].tobytes() in sources for one in asked if one.stream == "sc"
        ]

    first = origins(11)
    assert first == origins(11) != origins(12)
    assert 0.25 < sum(first) / len(first) < 0.45


def test_negatives_have_their_share_in_an_order_that_the_seed_decides(sides, untrained):
    processor = untrained[1].following(TINY)
    streams = {"sc": 0, "pq": 0}

    def attacked(seed, share):
        more = {"negatives_share": share, "drawn_share": 0.35, "seed": seed, "num_samples": 480}
        planned, _ = _conversations(CONFIG.model_copy(update=more), sides, TINY, processor, ALONE)
        taught = [planned[number] for number in range(len(planned))]
        for one in taught:
            streams[one.stream] += 1
        return [one.id.rpartition("/")[2] in set(Attack) for one in taught]

    first = attacked(11, 0.3)
    assert first == attacked(11, 0.3) != attacked(12, 0.3)
    assert 0.2 < sum(first) / len(first) < 0.4
    assert 0.75 < streams["sc"] / sum(streams.values()) < 0.95
    assert not any(attacked(11, 0.0))


def test_edits_without_sc_scores_have_no_negatives(tmp_path):
    alone = [make_alone(number) for number in range(4)]
    config = SHORT.model_copy(update={"negatives_share": 0.5, "perceptual_share": 1.0})
    with pytest.raises(InvalidInputError, match="expected negatives_share = 0"):
        train(config, packed(tmp_path / "data", *alone), tmp_path / "judge")


def test_a_share_of_drawn_edits_and_the_edits_belong_together(sides, tmp_path):
    painted, drawn = sides
    mixing = SHORT.model_copy(update={"drawn_share": 0.35})
    with pytest.raises(InvalidInputError, match=r"^drawn_share = 0\.35: there are no drawn edits"):
        train(mixing, painted, tmp_path / "judge")
    message = rf"^{re.escape(str(drawn))}: drawn edits are given, but drawn_sha"
    with pytest.raises(InvalidInputError, match=message):
        train(SHORT, painted, tmp_path / "judge", drawn=drawn)
    card, _ = train(mixing, painted, tmp_path / "judge", drawn=drawn)
    assert card["num_training_edits"] == 48
    assert card["notice"] == GENERATED_WORLD_NOTICE


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
    assert {"loss/regions", "loss/reasoning", "loss/scores"} <= losses.keys()
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
    assert card["num_long_left_out"] == 0
    assert f"{tmp_path}: 2 edits without a label are dropped" in caplog.text


def test_a_data_set_without_labels_says_how_many_there_are(tmp_path):
    data = packed(tmp_path, make_edit(1, label=None), make_prompt(2))
    with pytest.raises(InvalidInputError, match="0 of 2 edits have a label to train a judge on"):
        train(SHORT, data, tmp_path / "judge")
    assert not (tmp_path / "judge").exists()


def test_labels_are_looked_at_before_the_base_is_read(tmp_path):
    data = packed(tmp_path, make_edit(1, label=None))
    nowhere = Base(tmp_path / "no-base")
    with pytest.raises(InvalidInputError, match="0 of 1 edits have a label"):
        train_judge(nowhere, SHORT, data, tmp_path / "judge", print)


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


def test_a_training_goes_on_after_a_kill_and_keeps_what_it_had_written(sides, tmp_path):
    config = CONFIG.model_copy(update={"num_samples": 24, "earlier_share": 0.5, "save_every": 2})
    config = config.model_copy(update={"report_every": 1})
    whole = tmp_path / "whole"
    more = {"earlier_out": tmp_path / "whole-earlier", "state_folder": tmp_path / "whole-states"}
    train(config, sides[0], whole, **more)

    def stop(metrics, step):
        if step == 5:
            raise KeyboardInterrupt

    out = tmp_path / "judge"
    more = {"earlier_out": tmp_path / "earlier", "state_folder": tmp_path / "states"}
    with pytest.raises(KeyboardInterrupt):
        train_judge(BASE, config, sides[0], out, stop, **more)
    assert not out.exists()
    earlier = (tmp_path / "earlier" / "model.safetensors").read_bytes()
    train(config, sides[0], out, **more)
    for mine, theirs in ((out, whole), (tmp_path / "earlier", tmp_path / "whole-earlier")):
        weights = "model.safetensors"
        assert (mine / weights).read_bytes() == (theirs / weights).read_bytes()
    assert (tmp_path / "earlier" / "model.safetensors").read_bytes() == earlier
    other = config.model_copy(update={"seed": 5})
    with pytest.raises(InvalidInputError, match="another training: seed was 11, is 5"):
        train(other, sides[0], out, **more)


LORA = JudgeTrainingConfig(
    num_samples=8,
    tuning=LoraTuning(rank=2, alpha=4),
    trains_vision=False,
    optimiser=OptimiserConfig(batch_size=4, warmup_steps=1, learning_rate=1e-2),
)


def test_a_lora_is_merged_or_written_as_an_adapter_and_both_judge_alike(
    sides, tmp_path, known_edits
):
    merged, adapter = tmp_path / "merged", tmp_path / "adapter"
    base = tmp_path / "base"
    train(SHORT, sides[0], base)
    start = Base(base)
    report = lambda metrics, step: None  # noqa: E731
    train_judge(start, LORA, sides[0], merged, report)
    apart = LORA.model_copy(update={"tuning": LORA.tuning.model_copy(update={"merge": False})})
    train_judge(start, apart, sides[0], adapter, report)
    assert (adapter / ADAPTER_CONFIG_FILE).is_file()
    assert (merged / "protocol.json").read_text() == (adapter / "protocol.json").read_text()
    whole = Judge.load(merged).judge(known_edits[:2])
    applied = Judge.load(base, adapter=adapter).judge(known_edits[:2])
    answered = [(one.status, one.reason, one.sc_reasoning, one.scores) for one in whole]
    assert answered == [(one.status, one.reason, one.sc_reasoning, one.scores) for one in applied]


def test_deepspeed_without_torchrun_says_what_is_missing(sides, tmp_path):
    from spatialreward.training.processes import joined

    config = LORA.model_copy(update={"deepspeed": "zero2"})
    with (
        pytest.raises(InvalidInputError, match="deepspeed zero2: expected to be run by torchrun"),
        joined(config),
    ):
        raise AssertionError
