import json

import pytest
import torch

from spatialreward.editors.config import SamplingConfig, StepWindow
from spatialreward.rl.algorithms.config import (
    AwmSettings,
    FlowDppoSettings,
    FlowGrpoSettings,
    GuardSettings,
    NftSettings,
)
from spatialreward.rl.config import RlConfig
from spatialreward.rl.rewards import JudgeChangedError, RewardError
from spatialreward.rl.training import finetune_editor
from spatialreward.rl.types import Verdict
from spatialreward.world.tiny_editor import TinyEditor
from tests.rl.judging import BrightnessJudge, brightening, prompts, rewarded

CONFIG = RlConfig(
    num_steps=12,
    num_prompts=2,
    group_size=6,
    groups_at_a_time=1,
    algorithm=FlowGrpoSettings(kl_weight=0.0),
    sampling=SamplingConfig(num_denoising_steps=4, stochastic_share=0.25),
    learning_rate=1e-2,
)
ALGORITHMS = {
    "flow_grpo": {},
    "window": {
        "sampling": SamplingConfig(
            num_denoising_steps=4, window=StepWindow(num_steps=1, within=(0, 2), moves="at_random")
        )
    },
    "cps": {
        "sampling": SamplingConfig(
            num_denoising_steps=4, stochastic_share=0.25, noise="cps", eta=0.8
        )
    },
    "guard": {"algorithm": GuardSettings()},
    "flow_dppo": {"algorithm": FlowDppoSettings()},
    "nft": {"algorithm": NftSettings(old_policy="newest")},
    "awm": {"algorithm": AwmSettings()},
}


def quiet(reported, step):
    pass


def train(config, editor, out, judging, report=quiet, **how):
    policy = TinyEditor.load(editor)
    with rewarded(judging, config.max_failed_share) as reward:
        asked = prompts(config.num_prompts)
        return finetune_editor(config, policy, out, reward, asked, report, **how)


@pytest.fixture
def editor(editor_folder, tmp_path):
    return brightening(editor_folder, tmp_path / "brightening")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_editor_learns_what_is_rewarded(editor, tmp_path, name):
    metrics = []
    curve = train(
        CONFIG.model_copy(update=ALGORITHMS[name]),
        editor,
        tmp_path / "out",
        BrightnessJudge(fails_every=5),
        lambda reported, step: metrics.append((step, reported)),
    )
    assert [step for step, _ in metrics] == list(range(1, 13))
    assert curve == [reported["reward/mean"] for _, reported in metrics]
    assert metrics[0][1]["reward/failed_share"] == pytest.approx(2 / 12)
    assert metrics[0][1]["reward/num_judged"] == 10
    assert curve[-1] > curve[0] + 0.05
    trained, before = (TinyEditor.load(one) for one in (tmp_path / "out", editor))
    weights = zip(trained.network.parameters(), before.network.parameters(), strict=True)
    assert not all(torch.equal(*pair) for pair in weights)
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["judged_by"] == "brightness"
    assert card["training"]["num_steps"] == 12


@pytest.mark.parametrize("name", ["flow_grpo", "nft", "awm"])
def test_a_killed_training_goes_on_to_the_same_curve_and_weights(editor_folder, tmp_path, name):
    config = CONFIG.model_copy(
        update={"num_steps": 5, "save_every": 2, "updates_per_step": 2} | ALGORITHMS[name]
    )

    def report(reported, step):
        if step == 3 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            raise KeyboardInterrupt

    whole = train(config, editor_folder, tmp_path / "whole", BrightnessJudge())
    state = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        train(config, editor_folder, tmp_path / "out", BrightnessJudge(), report, resume_file=state)
    assert torch.load(state, weights_only=True)["step"] == 2
    resumed = train(
        config, editor_folder, tmp_path / "out", BrightnessJudge(), report, resume_file=state
    )
    assert resumed == whole
    same(TinyEditor.load(tmp_path / "out"), TinyEditor.load(tmp_path / "whole"))


def same(one, other):
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_the_background_changes_nothing_but_the_time(editor_folder, tmp_path):
    config = CONFIG.model_copy(update={"num_steps": 2, "num_prompts": 3})
    curves, reported = [], []
    for in_background in (True, False):
        settings = config.model_copy(update={"scores_in_background": in_background})
        out = tmp_path / str(in_background)
        judge = BrightnessJudge(seconds=0.002)
        curves.append(
            train(settings, editor_folder, out, judge, lambda one, _: reported.append(one))
        )
    assert curves[0] == curves[1]
    same(TinyEditor.load(tmp_path / "True"), TinyEditor.load(tmp_path / "False"))
    assert all(one["time/judging_s"] > 0.036 for one in reported)
    assert reported[0]["time/step_s"] > 0


def test_portions_change_nothing_but_the_rounding(editor_folder, tmp_path):
    def weights(**sizes):
        settings = CONFIG.model_copy(update={"num_steps": 2} | sizes)
        name = "-".join(map(str, sizes.values()))
        curve = train(settings, editor_folder, tmp_path / name, BrightnessJudge())
        network = TinyEditor.load(tmp_path / name).network
        return curve, torch.cat([weight.flatten() for weight in network.parameters()])

    curve, expected = weights(groups_at_a_time=2)
    for sizes in ({"groups_at_a_time": 1}, {"edits_at_a_time": 6}, {"edits_at_a_time": 4}):
        other, found = weights(**sizes)
        assert other == pytest.approx(curve, abs=1e-5)
        assert (found - expected).abs().max() < 2e-3


def test_a_training_goes_on_with_the_judge_that_it_began_with_only(editor_folder, tmp_path):
    state = tmp_path / "state.pt"

    def kill(reported, step):
        if step == 6:
            raise KeyboardInterrupt

    def begin(judging, report=quiet):
        train(CONFIG, editor_folder, tmp_path / "out", judging, report, resume_file=state)

    with pytest.raises(KeyboardInterrupt):
        begin(BrightnessJudge(judged_by="judge/3"), kill)
    with pytest.raises(JudgeChangedError, match=r"from judge/4; .* began with judge/3"):
        begin(BrightnessJudge(judged_by="judge/4"))
    assert not (tmp_path / "out").exists()
    begin(BrightnessJudge(judged_by="judge/3"))
    assert json.loads((tmp_path / "out" / "card.json").read_text())["judged_by"] == "judge/3"


def test_a_judge_that_fails_stops_the_training_with_its_reason_and_the_state(
    editor_folder, tmp_path
):
    state = tmp_path / "state.pt"
    with pytest.raises(RewardError, match="cannot see"):
        train(
            CONFIG,
            editor_folder,
            tmp_path / "out",
            BrightnessJudge(fails_every=1),
            resume_file=state,
        )
    assert not (tmp_path / "out").exists()
    assert torch.load(state, weights_only=True)["step"] == 0


class Looks:
    """Thinks the policy after some step the best, and stops the training after another."""

    def __init__(self, best, stops):
        self.best, self.stops, self.looks = best, stops, []

    def __call__(self, step, policy):
        self.looks.append(step)
        weights = torch.cat([one.detach().flatten() for one in policy.trainable().parameters()])
        why = "it games its judge" if step == self.stops else None
        if step == self.best:
            self.seen = weights.clone()
        return Verdict({"watch/look": float(len(self.looks))}, why, step == self.best)

    def state_dict(self):
        return {"looks": list(self.looks)}

    def load_state_dict(self, state):
        self.looks = list(state["looks"])


def test_the_watch_stops_the_training_and_its_best_policy_is_written(editor_folder, tmp_path):
    watch = Looks(best=2, stops=4)
    config = CONFIG.model_validate(CONFIG.model_dump() | {"watch": {"every_steps": 2}})
    metrics, state = {}, tmp_path / "state.pt"
    for _ in range(2):  # a stopped training does not go on
        train(
            config,
            editor_folder,
            tmp_path / "out",
            BrightnessJudge(),
            lambda reported, step: metrics.setdefault(step, reported),
            resume_file=state,
            watch=watch,
        )
        assert watch.looks == [0, 2, 4]
        assert sorted(metrics) == [0, 1, 2, 3, 4]
    assert metrics[4]["watch/look"] == 3
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["best_step"] == 2
    assert card["stopped_after_step"] == 4
    assert card["stopped_because"] == "it games its judge"
    network = TinyEditor.load(tmp_path / "out").network
    written = torch.cat([one.detach().flatten() for one in network.parameters()])
    assert torch.equal(written, watch.seen)


def test_a_look_that_fails_leaves_the_state_and_is_made_up_for(editor_folder, tmp_path):
    class Away(Looks):
        def __call__(self, step, policy):
            if step == 2 and not self.looks[1:]:
                self.looks.append("away")
                raise RewardError("the held-out judge is away")
            return super().__call__(step, policy)

    config = CONFIG.model_validate(
        CONFIG.model_dump() | {"num_steps": 3, "watch": {"every_steps": 2}}
    )

    def run(name, watch):
        reported = []
        train(
            config,
            editor_folder,
            tmp_path / name,
            BrightnessJudge(),
            lambda one, step: reported.append((step, "reward/mean" in one, "watch/look" in one)),
            resume_file=tmp_path / "state.pt",
            watch=watch,
        )
        return reported

    away = Away(best=2, stops=None)
    with pytest.raises(RewardError, match="away"):
        run("out", away)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2
    assert run("out", away) == [(2, True, True), (3, True, True)]
    assert json.loads((tmp_path / "out" / "card.json").read_text())["best_step"] == 2
    (tmp_path / "state.pt").unlink()
    run("whole", Looks(best=2, stops=None))
    same(TinyEditor.load(tmp_path / "out"), TinyEditor.load(tmp_path / "whole"))


def test_the_average_of_the_weights_is_written_and_the_weights_themselves_go_on(
    editor_folder, tmp_path
):
    for decay in (None, 0.9):
        config = CONFIG.model_copy(update={"num_steps": 2, "ema_decay": decay})
        state = tmp_path / f"{decay}.pt"
        settings = config.model_copy(update={"save_every": 2})
        train(settings, editor_folder, tmp_path / f"{decay}", BrightnessJudge(), resume_file=state)
    kept = torch.load(tmp_path / "0.9.pt", weights_only=True)["parts"]
    raw, written = kept[0], TinyEditor.load(tmp_path / "0.9").network.state_dict()
    plain = TinyEditor.load(tmp_path / "None").network.state_dict()
    start = TinyEditor.load(editor_folder).network.state_dict()
    name = "change.weight"
    assert torch.equal(raw[name], plain[name])
    # The decay of the first updates is (1 + n) / (10 + n): 2/11 and 3/12.
    one_step = CONFIG.model_copy(update={"num_steps": 1, "ema_decay": None})
    train(one_step, editor_folder, tmp_path / "one", BrightnessJudge())
    after_one = TinyEditor.load(tmp_path / "one").network.state_dict()[name]
    average = 2 / 11 * start[name] + 9 / 11 * after_one
    expected = 0.25 * average + 0.75 * plain[name]
    assert torch.allclose(written[name], expected, atol=1e-6)
