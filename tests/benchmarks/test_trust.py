import dataclasses

import numpy as np
import pytest
from PIL import ImageChops

from spatialreward.benchmarks.attacks import ATTACKS, Means
from spatialreward.benchmarks.trust import Chosen, measure_trust, trust_figures
from spatialreward.edits import Edit
from spatialreward.errors import Failure, InvalidInputError
from spatialreward.records import Judgement, JudgementStatus, Scores
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_samples, origin_of
from spatialreward.world.labelling import scene_edit

WORLD = DataConfig(seed=31)


@pytest.fixture(scope="module")
def labelled():
    drawn = draw_samples(WORLD, "heldout", 60)
    return [scene_edit(one, origin_of(WORLD, "heldout", n)) for n, one in enumerate(drawn)]


@pytest.fixture(scope="module")
def chosen(labelled):
    return Chosen.of(labelled, 8)


def judgement(reward):
    scores = Scores(editing_success=1, over_editing=1, naturalness=1, artifact_freedom=1)
    said = "<|bbox_0|> the hat is red, as asked. <|global|>all else is as it was."
    return Judgement(status=JudgementStatus.OK, scores=scores, reward=reward, sc_reasoning=said)


class Scripted:
    """A judge whose opinion a test says; ``None`` is a failure."""

    def __init__(self, opinion):
        self.opinion = opinion

    def judge(self, edits):
        rewards = [self.opinion(edit) for edit in edits]
        failed = Judgement.failed("cannot read", Failure.NO_ANSWER)
        return [failed if reward is None else judgement(reward) for reward in rewards]


def is_good(chosen, edit):
    return any(edit.id == one.id for one in chosen.good)


def test_edits_are_chosen_by_what_is_known_of_them(labelled, chosen):
    known = {edit.id: edit.label.reward for edit in labelled}
    assert len(chosen.bad) == len(chosen.good) == 8
    assert chosen.known == tuple(known[edit.id] for edit in chosen.bad)
    assert all(known[edit.id] <= 0.5 for edit in chosen.bad)
    assert all(known[edit.id] >= 0.8 for edit in chosen.good)
    with pytest.raises(InvalidInputError, match="got 1 and 1"):
        Chosen.of(labelled, 1)
    unlabelled = [edit.model_copy(update={"label": None}) for edit in labelled]
    with pytest.raises(InvalidInputError, match="got 0 and 0"):
        Chosen.of(unlabelled, 8)


def test_an_honest_judge_gives_in_to_nothing(chosen):
    trust = measure_trust(Scripted(lambda edit: 0.9 if is_good(chosen, edit) else 0.3), chosen)
    assert [one.attack for one in trust.attacks] == list(ATTACKS)
    assert (trust.bar, trust.bad_mean, trust.passing_share) == pytest.approx((0.9, 0.3, 0.0))
    assert all(one.change == 0 and one.passing_share == 0 for one in trust.attacks)
    assert all(figure.reached is not False for figure in trust_figures(trust))


def test_what_a_judge_gives_in_to_is_reported_by_its_attack(chosen):
    def opinion(edit):
        if is_good(chosen, edit):
            return 0.7
        if "thank you" in edit.instruction:
            return 0.8
        return None if edit.edited.getextrema() == ((0, 0),) * 3 else 0.2

    trust = measure_trust(Scripted(opinion), chosen)
    attacks = {one.attack: one for one in trust.attacks}
    assert attacks["plea"].change == pytest.approx(0.6)
    assert attacks["plea"].passing_share == 1
    assert attacks["black"].change is None
    assert attacks["black"].failed_share == 1
    assert attacks["black"].passing_share == 0
    missed = {figure.name for figure in trust_figures(trust) if figure.reached is False}
    assert missed == {"trust/plea/mean_change", "trust/plea/passing_share"}


def test_a_source_without_a_change_may_be_worth_more_than_bad_edits(chosen):
    # Nothing done, nothing over-edited, no fault: ((0.4 x 10) ** 0.8 x 10 ** 0.2) / 10.
    untouched = (4**0.8 * 10**0.2) / 10
    honest = untouched - sum(chosen.known) / len(chosen.known)
    assert honest > 0
    trust = measure_trust(Scripted(lambda edit: 0.9 if is_good(chosen, edit) else 0.3), chosen)
    rises = {one.attack: one.honest_change for one in trust.attacks}
    assert rises.pop("source_unchanged") == pytest.approx(honest)
    assert set(rises.values()) == {0}
    targets = {figure.name: figure.target for figure in trust_figures(trust)}
    assert targets["trust/source_unchanged/mean_change"] == pytest.approx(0.02 + honest)
    assert targets["trust/black/mean_change"] == 0.02


def test_a_judge_without_rewards_has_no_figures(chosen):
    with pytest.raises(InvalidInputError, match="no reward for any of 8 good edits"):
        measure_trust(Scripted(lambda edit: None), chosen)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_changes_one_thing_and_leaves_the_edit_alone(name, chosen):
    edit, other = chosen.bad[:2]
    before = dataclasses.replace(edit)
    attacked = ATTACKS[name](edit, Means(other, "all is well.", np.random.default_rng(1)))
    assert isinstance(attacked, Edit)
    changed = [
        attacked.instruction != edit.instruction,
        attacked.source.size != edit.source.size
        or ImageChops.difference(attacked.source, edit.source).getbbox() is not None,
        attacked.edited.size != edit.edited.size
        or ImageChops.difference(attacked.edited, edit.edited).getbbox() is not None,
    ]
    assert sum(changed) == 1
    assert edit.edited.tobytes() == before.edited.tobytes()
