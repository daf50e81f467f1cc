import pytest

from spatialreward.ops.promotion import PromotionError
from spatialreward.ops.promotion.aliases import move_aliases
from spatialreward.ops.registry import CHAMPION, PREVIOUS, aliases_of, set_alias
from spatialreward.ops.tracking import TrackingError


def test_aliases_move_together_or_not_at_all(model, register):
    first, second = register(), register()
    set_alias(first, CHAMPION)
    move_aliases(model, {PREVIOUS: first, CHAMPION: second}, {CHAMPION: first})
    assert aliases_of(model) == {PREVIOUS: first, CHAMPION: second}
    missing = second._replace(version=99)
    with pytest.raises(TrackingError, match="99"):
        move_aliases(model, {PREVIOUS: None, CHAMPION: missing}, aliases_of(model))
    assert aliases_of(model) == {PREVIOUS: first, CHAMPION: second}
    move_aliases(model, {PREVIOUS: None, CHAMPION: None}, aliases_of(model))
    assert aliases_of(model) == {}
    move_aliases(model, {PREVIOUS: None}, {})


def test_what_somebody_else_moved_meanwhile_is_not_moved_over(model, register):
    first, second = register(), register()
    seen = aliases_of(model)
    set_alias(second, CHAMPION)
    with pytest.raises(PromotionError, match="champion was no version and is version 2 now"):
        move_aliases(model, {PREVIOUS: None, CHAMPION: first}, seen)
    assert aliases_of(model) == {CHAMPION: second}
