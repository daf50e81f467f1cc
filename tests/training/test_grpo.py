import itertools
import json
import math

import pytest
import torch
from safetensors.torch import load_file

from spatialreward.data.dataset import Dataset
from spatialreward.errors import InvalidInputError
from spatialreward.judges.load import load_judge
from spatialreward.judges.qwen_vl import checkpoint
from spatialreward.metrics_file import MetricsFile
from spatialreward.protocol.prompts import TINY
from spatialreward.training import rewards
from spatialreward.training.base import Base
from spatialreward.training.config import LoraTuning, OptimiserConfig
from spatialreward.training.grpo import made_trainer, tune_judge
from spatialreward.training.grpo_config import GrpoConfig, RewardWeights, SamplingConfig
from spatialreward.training.grpo_trainer import GrpoTrainer, MaskedError
from spatialreward.training.kl_bound import DivergenceError
from spatialreward.training.processes import ALONE
from spatialreward.training.sft import GENERATED_WORLD_NOTICE
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.shipped import SHIPPED_BASE
from tests.data.teacher.teacher_server import TeacherServer, fails, says

BASE = Base(SHIPPED_BASE, "the shipped base")
WITHOUT_JUDGE = RewardWeights(consistency=0, agreement=1)
# Answers that differ: of two that are the same, one cancels what is learnt from the other.
WILD = SamplingConfig(temperature=2, top_p=1, top_k=0)


def settings(rate=1e-6, **more):
    given = {
        "num_steps": 2,
        "num_generations": 2,
        "rewards": WITHOUT_JUDGE,
        "save_every": 1,
        "optimiser": OptimiserConfig(learning_rate=rate, warmup_steps=1, batch_size=4),
    }
    return GrpoConfig(**given | more)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edits")
    build_shard(DataConfig(seed=21, num_train=24, num_shards=1), "train", 0, folder)
    return Dataset(folder)


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with TeacherServer().running() as running:
        yield running


@pytest.fixture
def differing(monkeypatch):
    """Rewards that differ within each group, so that there is something to learn; see ``WILD``."""
    turns = itertools.cycle([1.0, 0.0])
    monkeypatch.setattr(rewards, "form", lambda read: next(turns))


def tuned(folder, data, config, base=BASE):
    """Trains; returns the judge's card, and the metrics of each step."""
    folder.mkdir(exist_ok=True)
    metrics = MetricsFile(folder / "metrics.jsonl")
    tune_judge(base, config, data, folder / "judge", metrics.report, state_folder=folder / "states")
    card = json.loads((folder / "judge" / checkpoint.CARD_FILE).read_text())
    return card, metrics.lines()


def trainer_of(config, data, folder):
    return made_trainer(BASE, config, data, TINY, lambda *found: None, folder, [], ALONE)[0]


def test_a_judge_is_tuned_and_judges(data, tmp_path, known_edits):
    card, lines = tuned(tmp_path, data, settings())
    assert [line["step"] for line in lines] == [1, 2]
    names = {f"reward/{name}" for name in ("form", "iou", "agreement", "length", "repetition")}
    rest = {"kl", "masked_share", "seconds/step", "reward/all", "answer/tokens", "loss/all"}
    assert names | rest <= lines[0].keys()
    assert abs(lines[0]["kl"]) < 1e-5
    assert lines[0]["masked_share"] == 0
    assert card["notice"] == GENERATED_WORLD_NOTICE
    assert card["trained_from"] == "the shipped base"
    assert "stopped_after_step" not in card
    with load_judge(tmp_path / "judge") as judge:
        assert judge.identity.protocol == TINY.reference
        assert len(judge.judge(known_edits[:1])) == 1


def test_a_lora_is_merged_and_the_divergence_is_from_the_judge_without_it(
    data, tmp_path, differing
):
    lora = {"tuning": LoraTuning(rank=4, alpha=8), "trains_vision": False}
    # The first update has a learning rate of 0.
    _, lines = tuned(tmp_path, data, settings(rate=1e-2, num_steps=3, sampling=WILD, **lora))
    assert abs(lines[0]["kl"]) < 1e-5 < lines[2]["kl"]
    written = {one.name for one in (tmp_path / "judge").iterdir()}
    assert "model.safetensors" in written
    assert not any("adapter" in name for name in written)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("consistency", [[None, 1, 0.5, 0], [None, None, None, 1], [None] * 4])
def test_a_masked_answer_has_no_advantage_and_is_in_no_mean(
    data, tmp_path, monkeypatch, server, consistency
):
    config = settings(
        num_generations=4,
        rewards=RewardWeights(iou=0, length=0, repetition=0),
        consistency_judge=f"openai:scripted@{server.url}",
    )
    form = [1.0, 0.5, 1.0, 0.0]
    given = {
        "form": form,
        "consistency": consistency,
        "masked": [value is None for value in consistency],
    }
    monkeypatch.setattr(GrpoTrainer, "_columns", lambda self, asked, answers: given)
    trainer = trainer_of(config, data, tmp_path)
    trainer.model.train()
    rows = [trainer.train_dataset[0]] * 4
    got = trainer._generate_and_score_completions(rows)["advantages"].tolist()
    kept = [one + two for one, two in zip(form, consistency, strict=True) if two is not None]
    mean = sum(kept) / len(kept) if kept else 0
    spread = (
        math.sqrt(sum((one - mean) ** 2 for one in kept) / (len(kept) - 1)) if len(kept) > 1 else 0
    )
    expected = [
        0 if two is None or not spread else (one + two - mean) / (spread + 1e-4)
        for one, two in zip(form, consistency, strict=True)
    ]
    assert got == pytest.approx(expected, abs=1e-4)
    shares = trainer._metrics["train"]["masked_share"]
    assert shares == [consistency.count(None) / 4]


def test_an_answer_that_cannot_be_read_earns_nothing_and_is_not_asked_about(
    data, tmp_path, server, monkeypatch
):
    server.plan = lambda asked: says({"consistency": 0.75})
    config = settings(consistency_judge=f"openai:scripted@{server.url}", rewards=RewardWeights())
    trainer = trainer_of(config, data, tmp_path)
    texts = iter(['{"reasoning": "<|global|> clean", "score": [25, 25]}', "no answer"])
    monkeypatch.setattr(trainer._tokenizer, "decode", lambda ids, **more: next(texts))
    perceptual = next(row for row in trainer.train_dataset if row["asked"].known.stream == "pq")
    got = trainer._calculate_rewards([perceptual] * 2, None, None, [[1], [1]])
    named = dict(zip(trainer._names, got.T.tolist(), strict=True))
    assert named["form"] == [1, 0]
    assert named["consistency"] == [0.75, 0]
    assert torch.tensor(named["iou"]).isnan().all()
    assert len(server.asked) == 1


def test_steps_without_any_reward_end_the_training(data, tmp_path, server):
    server.plan = lambda asked: fails(400, "not today")
    judge = f"openai:scripted@{server.url}?max_attempts=1"
    config = settings(consistency_judge=judge, rewards=RewardWeights(), max_masked_steps=2)
    with pytest.raises(MaskedError, match=r"^step 2: the consistency judge openai:scripted"):
        tuned(tmp_path, data, config)
    assert not (tmp_path / "judge").exists()


def test_a_training_goes_on_after_a_kill_with_the_next_step(data, tmp_path, monkeypatch):
    def kill(self, is_masked):
        if self.state.global_step == 2:
            raise KeyboardInterrupt

    config = settings(num_steps=3)
    with monkeypatch.context() as patch:
        patch.setattr(GrpoTrainer, "_count_masked", kill)
        with pytest.raises(KeyboardInterrupt):
            tuned(tmp_path, data, config)
    with pytest.raises(InvalidInputError, match="seed was 11, is 3"):
        tuned(tmp_path, data, config.model_copy(update={"seed": 3}))
    _, lines = tuned(tmp_path, data, config)
    assert [line["step"] for line in lines] == [1, 2, 3]


def test_a_judge_that_goes_too_far_ends_at_the_last_good_state(data, tmp_path, differing):
    free = settings(rate=1e-3, num_steps=4, max_kl=None, sampling=WILD)
    _, lines = tuned(tmp_path / "free", data, free)
    assert lines[2]["kl"] < lines[3]["kl"]
    bound = (lines[2]["kl"] + lines[3]["kl"]) / 2
    card, lines = tuned(tmp_path / "held", data, free.model_copy(update={"max_kl": bound}))
    assert len(lines) == 4
    # That step began with the weights of state 3, so they are too far; the last good ones are 2.
    assert card["stopped_after_step"] == 2
    assert card["stopped_because"].endswith("in step 4")
    state = load_file(tmp_path / "held" / "states" / "checkpoint-2" / "model.safetensors")
    written = load_file(tmp_path / "held" / "judge" / "model.safetensors")
    assert all(torch.equal(weight, state[name]) for name, weight in written.items())


def test_a_judge_that_goes_too_far_at_once_is_no_judge(data, tmp_path, differing):
    far = settings(rate=1e-2, num_steps=3, max_kl=1e-6, save_every=2, sampling=WILD)
    with pytest.raises(DivergenceError, match=r"^step 3: kl .* no state of an earlier step"):
        tuned(tmp_path, data, far)
    assert not (tmp_path / "judge").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rewards": RewardWeights()}, r"^rewards\.consistency: needs a consistency_judge"),
        ({"rewards": RewardWeights(order=1)}, r"^rewards\.order: needs rankings"),
        ({"rewards": RewardWeights(), "consistency_judge": "gpt"}, "^judge gpt: expected openai:"),
        ({"samples_at_a_time": 3}, "^samples_at_a_time 3: expected a divisor of 4"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_read(data, tmp_path, more, message):
    with pytest.raises(InvalidInputError, match=message):
        tuned(tmp_path, data, settings(**more), Base(tmp_path / "nowhere"))
