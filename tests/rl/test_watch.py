import math

import numpy as np
import pytest
import torch
from PIL import Image

from spatialreward.editors.config import DenoisingConfig, SamplingConfig
from spatialreward.edits import EditTask
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.records import Judgement, JudgementStatus, Scores
from spatialreward.rl.config import RlConfig
from spatialreward.rl.reward_config import PatienceConfig, RewardConfig
from spatialreward.rl.rewards import JudgeChangedError, Rewards
from spatialreward.rl.watch import HackingWatch, Look, fitted_change, watching, why_hacked
from spatialreward.rl.watch_config import WatchConfig
from spatialreward.world.building import build_shard
from spatialreward.world.config import DataConfig
from spatialreward.world.prompts import WorldPrompts, open_watched
from spatialreward.world.tiny_editor import TinyEditor

CONFIG = WatchConfig(num_prompts=2, group_size=2, num_sheet_rows=1, window=3)
STEPS = DenoisingConfig(num_denoising_steps=2)
SCORES = Scores(editing_success=5, over_editing=5, naturalness=5, artifact_freedom=5)


def scene():
    """Structure everywhere, so that a difference is no noise."""
    pixels = np.random.default_rng(4).integers(0, 255, (8, 8, 3), np.uint8)
    return Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC)


TASKS = [EditTask([scene()], f"paint it {name}", name) for name in ("red", "blue")]


class Condition(list):
    def repeat(self, times):
        return Condition(task for task in self for _ in range(times))


class Painter:
    """Paints a square of ``side`` pixels into the source, where the noise says."""

    device = torch.device("cpu")

    def __init__(self, side):
        self.side = side

    def encode(self, tasks):
        return Condition(tasks)

    def noise(self, condition, generator):
        return torch.rand(len(condition), 2, generator=generator)

    def times(self, num_steps, condition):
        return [step / num_steps for step in range(num_steps + 1)]

    def velocity(self, latents, times, condition, guided=True):
        return torch.zeros_like(latents)

    def decode(self, latents, condition):
        return [self._paint(task, place) for task, place in zip(condition, latents, strict=True)]

    def _paint(self, task, place):
        picture = task.sources[0].copy()
        if self.side:
            left, top = ((picture.width - self.side) * place).int().tolist()
            square = Image.new("RGB", (self.side, self.side), task.id)
            picture.paste(square, (left, top))
        return picture


class Scripted:
    """Gives the next reward of a list to all edits that it is asked about at once."""

    notice = "scripted"

    def __init__(self, *rewards, judged_by="scripted/1"):
        self._rewards = list(rewards)
        self._judged_by = judged_by

    def judge(self, edits):
        reward = self._rewards.pop(0)
        if reward is None:
            return [Judgement.failed("cannot see", Failure.NOT_JSON)] * len(edits)
        judgement = Judgement(
            status=JudgementStatus.OK, scores=SCORES, reward=reward, judged_by=self._judged_by
        )
        return [judgement] * len(edits)


def rewards(*values, **more):
    patience = PatienceConfig(max_failed_share=1)
    return Rewards([RewardConfig()], patience, Scripted(*values, **more))


def watch(training, held_out=None, config=CONFIG, **more):
    return HackingWatch(config, TASKS, STEPS, training, held_out, **more)


def test_edits_are_reported_by_how_much_of_the_picture_they_change_beside_the_first_look():
    look = watch(rewards(*[0.5] * 4))
    local, nothing, larger, whole = (
        look(step, Painter(side)).metrics for step, side in enumerate((24, 0, 60, 96))
    )
    assert local["watch/no_edit_share"] == local["watch/over_edit_share"] == 0
    assert local["watch/base_changed_share"] == local["watch/changed_share"] > 0.02
    assert local["watch/diversity"] > 0.02
    assert nothing["watch/no_edit_share"] == 1
    assert nothing["watch/changed_share"] == nothing["watch/diversity"] == 0
    assert larger["watch/over_edit_share"] == 1
    assert whole["watch/over_edit_share"] == 1
    assert whole["watch/sharpness"] == 0
    assert whole["watch/base_sharpness"] == local["watch/sharpness"] > 0
    assert {name.split("/")[0] for name in local} == {"watch"}


def test_the_held_out_judge_says_which_checkpoint_is_best():
    look = watch(rewards(0.1, 0.2, 0.3, 0.4), rewards(0.5, 0.4, 0.6, None))
    verdicts = [look(step, Painter(24)) for step in (0, 20, 40, 60)]
    assert [one.is_best for one in verdicts] == [True, False, True, False]
    assert [one.metrics["watch/training_reward"] for one in verdicts] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4]
    )
    assert verdicts[2].metrics["watch/held_out_reward"] == pytest.approx(0.6)
    assert verdicts[2].metrics["watch/held_out/judge"] == pytest.approx(0.6)
    assert "watch/held_out_reward" not in verdicts[3].metrics
    assert not any(one.stop for one in verdicts)


def test_without_a_held_out_judge_the_training_reward_says_it():
    look = watch(rewards(0.1, 0.3, 0.2))
    assert [look(step, Painter(24)).is_best for step in range(3)] == [True, True, False]


def test_a_training_that_games_its_judge_is_stopped():
    look = watch(rewards(0.1, 0.3, 0.5, 0.7), rewards(0.5, 0.55, 0.45, 0.35))
    verdicts = [look(step, Painter(24)) for step in (0, 20, 40, 60)]
    assert [bool(one.stop) for one in verdicts] == [False, False, True, True]
    assert verdicts[3].stop == (
        "on held-out prompts the training's reward has risen by 0.400 from step 20 to step 60, and "
        "the held-out judge's has fallen by 0.200: the policy games its judge"
    )
    only_warns = watch(
        rewards(0.1, 0.5, 0.9),
        rewards(0.9, 0.5, 0.1),
        CONFIG.model_copy(update={"stops": False}),
    )
    assert [only_warns(step, Painter(24)).stop for step in range(3)] == [None] * 3


@pytest.mark.parametrize(
    ("training", "held_out"),
    [
        ((0.1, 0.2, 0.3), (0.5, 0.5, 0.49)),
        ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7)),
        ((0.3, 0.2, 0.1), (0.7, 0.6, 0.5)),
        ((0.1, 0.2, 0.3), (0.7, math.nan, 0.5)),
        ((0.1, 0.3), (0.7, 0.5)),
    ],
)
def test_nothing_else_is_taken_for_gaming(training, held_out):
    looks = [Look(step, *both) for step, both in enumerate(zip(training, held_out, strict=True))]
    assert why_hacked(looks, CONFIG) is None


def test_a_change_is_that_of_the_line_through_all_looks():
    assert fitted_change([0.0, 0.1, 0.2]) == pytest.approx(0.2)
    assert fitted_change([0.1, 0.4, 0.1]) == pytest.approx(0)


def test_a_resumed_watch_goes_on_with_its_looks_and_its_judge():
    before = watch(rewards(0.1, 0.3), rewards(0.5, 0.55))
    first = before(0, Painter(24))
    before(20, Painter(24))
    state = before.state_dict()
    after = watch(rewards(0.5), rewards(0.4))
    after.load_state_dict(state)
    verdict = after(40, Painter(0))
    assert verdict.stop is not None
    assert not verdict.is_best
    assert verdict.metrics["watch/base_sharpness"] == first.metrics["watch/sharpness"]
    other = watch(rewards(0.5), rewards(0.4, judged_by="scripted/2"))
    other.load_state_dict(state)
    with pytest.raises(JudgeChangedError, match=r"scripted/2; the training began with scripted/1"):
        other(40, Painter(0))


def test_the_same_policy_looks_alike_and_nothing_global_changes(editor_folder):
    tasks = WorldPrompts(DataConfig(seed=21), 2).batch(0)
    editor = TinyEditor.load(editor_folder)
    shown = []
    training = Rewards([RewardConfig(judge="pixels")], PatienceConfig())
    settings = RlConfig(
        evaluation_rewards=(RewardConfig(judge="pixels", form="consistent"),),
        sampling=SamplingConfig(num_denoising_steps=2),
        watch=CONFIG,
    )
    with watching(settings, tasks, training, show=lambda *one: shown.append(one)) as look:
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first, second = look(0, editor), look(20, editor)
        assert torch.equal(before, torch.get_rng_state())
    del first.metrics["watch/seconds"], second.metrics["watch/seconds"]
    assert first.metrics == second.metrics
    assert (first.is_best, second.is_best) == (True, False)
    assert "watch/oracle_reward" in first.metrics
    assert "watch/held_out/pixels_consistent" in first.metrics
    assert [name for _, name in shown] == ["watch/step-00000.png", "watch/step-00020.png"]
    assert shown[0][0].tobytes() == shown[1][0].tobytes()


def test_a_watch_needs_prompts_that_the_training_does_not_read(tmp_path, caplog):
    with pytest.raises(InvalidInputError, match="watch: expected held-out prompts, got none"):
        HackingWatch(CONFIG, [], STEPS, rewards())
    world = DataConfig(seed=21)
    settings = RlConfig(watch=CONFIG)
    watched = {task.id for task in open_watched(settings, world)}
    assert len(watched) == 2
    assert not watched & {task.id for task in WorldPrompts(world, 8).batch(0)}
    build_shard(DataConfig(seed=21, num_train=1, num_shards=1), "train", 0, tmp_path)
    of_data = settings.model_copy(update={"prompts": str(tmp_path)})
    assert open_watched(of_data, world) == []
    assert "rl.watch.prompts names no data set" in caplog.text
    named = CONFIG.model_copy(update={"prompts": str(tmp_path)})
    assert len(open_watched(settings.model_copy(update={"watch": named}), world)) == 1
    with watching(settings, [], rewards()) as none:
        assert none is None
