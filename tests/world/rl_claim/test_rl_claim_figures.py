import numpy as np
import pytest

from spatialreward.world.rl_claim.comparing import Estimate, claim_figures, gain, kept, tabulate
from spatialreward.world.rl_claim.config import RlClaimConfig
from spatialreward.world.rl_claim.looking import Look
from spatialreward.world.rl_claim.picture import draw_gains
from spatialreward.world.rl_claim.report import markdown, watched
from spatialreward.world.rl_claim.running import RlClaim
from spatialreward.world.rl_claim.training import StepFigures, Trained

FIGURES = StepFigures(
    step_s=2.0,
    judging_s=1.5,
    kl=0.01,
    failed_share=0.0,
    without_spread_share=0.1,
    whole_picture_share=None,
)


def look(step, rewards, *, is_best=False, stop="", own=0.5):
    watch = {"watch/training_reward": own}
    return Look(step=step, rewards=rewards, watch=watch, stop=stop, is_best=is_best)


def trained(kind, *lasts, seed=5):
    looks = [look(0, (0.2, 0.6), is_best=True)]
    looks += [look(number, last, own=0.8) for number, last in enumerate(lasts, 1)]
    return Trained(kind=kind, seed=seed, looks=tuple(looks), told=FIGURES)


def named(*trainings):
    return {one.name: one for one in claim_figures(tabulate(trainings))}


def test_a_gain_is_that_of_the_last_policy_prompt_by_prompt():
    both = [
        trained("oracle", (0.9, 0.9), (0.4, 0.8)),
        trained("oracle", (0, 0), (0.6, 1.0), seed=6),
    ]
    estimate = gain(both)
    assert estimate.value == pytest.approx(0.3)
    assert estimate.by_seed == pytest.approx([0.2, 0.4])
    assert estimate.interval == pytest.approx((0.2, 0.4))


def test_resamples_of_prompts_and_seeds_spread_as_both_do():
    random = np.random.default_rng(0)
    seeds, prompts = random.normal(0, 0.1, (8, 1)), random.normal(0.3, 0.2, (1, 100))
    estimate = Estimate.mean(seeds + prompts)
    expected = np.sqrt(seeds.var() / 8 + prompts.var() / 100)
    assert estimate.draws_N.std() == pytest.approx(expected, rel=0.1)
    # The same prompts and seeds are drawn for both, so nothing is left of what they share.
    assert np.ptp((Estimate.mean(seeds + prompts + 0.1) - estimate).draws_N) < 1e-12


def test_differences_and_shares_of_the_ceiling_by_hand():
    figures = named(
        trained("region_advantages", (0.56, 1.0)),
        trained("regions", (0.4, 0.8)),
        trained("scores", (0.4, 0.7)),
        trained("oracle", (0.7, 1.1)),
    )
    places = figures["claim/region_advantages_minus_whole_picture"]
    assert (places.value, places.target, places.reached) == (pytest.approx(0.18), 0.0, True)
    scores = figures["claim/regions_minus/scores"]
    assert scores.value == pytest.approx(0.05)
    assert scores.interval == pytest.approx((0.0, 0.1))
    share = figures["claim/share_of_ceiling/region_advantages"]
    assert (share.value, share.reached) == (pytest.approx(0.76), False)
    assert figures["claim/share_of_ceiling/scores"].target is None
    assert figures["oracle_reward/before"].value == pytest.approx(0.4)
    assert figures["oracle_reward/after/oracle"].value == pytest.approx(0.9)


def test_nothing_is_a_share_of_a_ceiling_that_gained_nothing():
    figures = named(trained("regions", (0.3, 0.7)), trained("oracle", (0.1, 0.7)))
    assert not [name for name in figures if "share_of_ceiling" in name]


def test_the_kept_policy_is_the_best_before_the_watch_would_have_stopped():
    looks = (
        look(0, (0.1,), is_best=True),
        look(10, (0.2,), is_best=True),
        look(20, (0.3,), stop="games its judge"),
        look(30, (0.4,), is_best=True),
    )
    assert kept(Trained(kind="pixels", seed=5, looks=looks, told=FIGURES)).step == 10
    assert kept(Trained(kind="pixels", seed=5, looks=looks[3:], told=FIGURES)).step == 30


def test_the_page_says_which_targets_are_reached_and_what_the_watch_saw():
    trainings = [trained("region_advantages", (0.5, 0.9)), trained("regions", (0.4, 0.8))]
    trainings.append(trained("oracle", (0.5, 0.9)))
    table = tabulate(trainings)
    claim = RlClaim(trainings, 2e-4, {1e-4: 0.1, 2e-4: 0.2})
    page = markdown(RlClaimConfig(), claim, table, claim_figures(table))
    assert "| `claim/share_of_ceiling/region_advantages` | 1.000 |" in page
    assert "target reached" in page
    assert "target not reached" in page
    assert "Learning rate 0.0002, chosen once" in page
    assert watched(table)["regions"]["own reward"] == pytest.approx(0.3)


def test_the_picture_has_the_curve_of_each_reward():
    kinds = ("region_advantages", "regions", "pixels", "oracle")
    picture = draw_gains(tabulate([trained(kind, (0.4, 0.8), (0.5, 0.9)) for kind in kinds]))
    assert picture.width > 1000
    assert (0, 114, 178) in {colour for _, colour in picture.getcolors(10**6)}
