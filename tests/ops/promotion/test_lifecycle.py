import pytest

from spatialreward.benchmarks.config import EditorGate, JudgeGate
from spatialreward.benchmarks.gate import GateError
from spatialreward.ops.promotion import Change, PromotionError, demote, promote, reinstate
from spatialreward.ops.promotion.tags import DEMOTION_TAGS
from spatialreward.ops.registry import (
    CHAMPION,
    PREVIOUS,
    aliases_of,
    model_tags,
    set_alias,
    set_version_tags,
)
from spatialreward.ops.tracking import TrackingError


@pytest.fixture
def raise_to_champion(model):
    """Promotes a version as a user would."""

    def promote_it(version, gate=None, **more):
        options = {"by": "ann", "reason": "better on hands"} | more
        return promote(model, version.version, gate or JudgeGate(), **options)

    return promote_it


def champions(model):
    """Who is champion, and who was."""
    aliases = aliases_of(model)
    return tuple(aliases[alias].version if alias in aliases else None for alias in _BOTH)


_BOTH = (CHAMPION, PREVIOUS)


def test_a_promotion_moves_both_aliases_and_says_who_when_and_why(
    model, register, raise_to_champion
):
    first, second = register(), register()
    assert raise_to_champion(first) == Change(first, None)
    assert champions(model) == (1, None)
    assert raise_to_champion(second, reason="sees\nhands") == Change(second, first)
    assert champions(model) == (2, 1)
    told = model_tags(second.uri)
    assert (told["promoted_by"], told["promoted_reason"]) == ("ann", "sees hands")
    assert told["promoted_at"].endswith("+00:00")
    assert told["gate"] == "passed"
    # Done again, as a step of a pipeline is, it changes nothing.
    again = raise_to_champion(second, reason="once more")
    assert not again.happened
    assert champions(model) == (2, 1)
    assert model_tags(second.uri) == told


def test_who_falls_short_of_the_gate_is_not_promoted(model, register, raise_to_champion):
    raise_to_champion(register())
    short = register(mean_iou=0.6)
    with pytest.raises(GateError, match=rf"{short.uri}: .* mean_iou is 0\.6000, 0\.0500 below"):
        raise_to_champion(short)
    assert champions(model) == (1, None)
    assert model_tags(short.uri)["gate"].startswith("failed: the judge does not pass")
    assert "promoted_by" not in model_tags(short.uri)
    with pytest.raises(GateError, match=r"the editor .* gain_ci95_low was not measured"):
        raise_to_champion(short, EditorGate())


def test_a_champion_steps_down_for_the_one_before_and_then_for_the_one_before_that(
    model, register, raise_to_champion
):
    versions = [register() for _ in range(3)]
    for version in versions:
        raise_to_champion(version)
    assert champions(model) == (3, 2)
    assert demote(model, by="bob", reason="slow") == Change(versions[1], versions[2])
    assert champions(model) == (2, 1)
    told = model_tags(versions[2].uri)
    assert (told["demoted_by"], told["demoted_reason"]) == ("bob", "slow")
    demote(model, by="bob", reason="")
    assert champions(model) == (1, None)
    with pytest.raises(PromotionError, match="no version is previous"):
        demote(model, by="bob", reason="")
    # A pipeline that made the same model again does not undo what bob did.
    with pytest.raises(PromotionError, match=r"/3 stepped down \(slow, .*\): it comes back when"):
        raise_to_champion(versions[2], by="pipeline")
    raise_to_champion(versions[2], again=True)
    assert champions(model) == (3, 1)
    assert not set(DEMOTION_TAGS) & model_tags(versions[2].uri).keys()


def test_a_model_without_a_champion_has_nobody_to_demote(model, register):
    register()
    with pytest.raises(PromotionError, match="there is no champion"):
        demote(model, by="bob", reason="")


def test_a_promotion_that_could_not_be_served_is_taken_back(model, register, raise_to_champion):
    first, second, third = (register() for _ in range(3))
    for version in (first, second, third):
        raise_to_champion(version)
    assert reinstate(third, second, "these weights\nare broken") == Change(second, third)
    assert champions(model) == (2, 1)
    assert model_tags(third.uri)["serving"] == "failed: these weights are broken"
    with pytest.raises(PromotionError, match=r"could not be served \(these weights are broken\)"):
        raise_to_champion(third)
    raise_to_champion(third, reason="the disk was full", again=True)
    assert champions(model) == (3, 2)
    assert "serving" not in model_tags(third.uri)


def test_taking_back_leaves_alone_who_was_promoted_meanwhile(model, register, raise_to_champion):
    first, second, third = (register() for _ in range(3))
    for version in (first, second, third):
        raise_to_champion(version)
    assert not reinstate(second, first, "broken").happened
    # A version that was never served is no rollback target.
    assert champions(model) == (3, 1)
    assert model_tags(second.uri)["serving"] == "failed: broken"
    fourth = register()
    raise_to_champion(fourth)
    assert reinstate(fourth, third, "broken") == Change(third, fourth)
    assert champions(model) == (3, 1)


def test_a_version_that_was_deleted_does_not_keep_others_from_stepping_down(
    model, register, raise_to_champion, client
):
    for version in (register() for _ in range(3)):
        raise_to_champion(version)
    client.delete_model_version(model, "1")
    demote(model, by="bob", reason="slow")
    assert champions(model) == (2, None)


def test_a_first_champion_that_could_not_be_served_leaves_none(model, register, raise_to_champion):
    only = register()
    raise_to_champion(only)
    assert reinstate(only, None, "broken") == Change(None, only)
    assert champions(model) == (None, None)


def test_a_promotion_that_the_registry_interrupts_leaves_no_trace(
    model, register, raise_to_champion, monkeypatch
):
    first, second = register(), register()
    raise_to_champion(first)
    set_version_tags(second, {"gate": "passed", "serving": "retired"})
    before = model_tags(second.uri)

    def refuse_champion(version, alias):
        if (version, alias) == (second, CHAMPION):
            raise TrackingError("the server is going down")
        set_alias(version, alias)

    monkeypatch.setattr("spatialreward.ops.promotion.aliases.set_alias", refuse_champion)
    with pytest.raises(TrackingError, match="going down"):
        raise_to_champion(second)
    assert champions(model) == (1, None)
    assert model_tags(second.uri) == before
