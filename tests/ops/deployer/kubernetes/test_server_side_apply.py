"""The stand-in's server-side apply does what the Kubernetes documentation says of the real one."""

import pytest

from .server_side_apply import Conflict, apply


def test_fields_that_are_not_applied_any_more_go_and_those_of_others_stay():
    first, owners = apply(None, {"spec": {"a": 1, "b": 2}}, "ours", {}, force=False)
    both, owners = apply(first, {"spec": {"c": 3}}, "theirs", owners, force=False)
    assert both == {"spec": {"a": 1, "b": 2, "c": 3}}
    merged, owners = apply(both, {"spec": {"a": 1}}, "ours", owners, force=False)
    assert merged == {"spec": {"a": 1, "c": 3}}


def test_what_another_manager_set_otherwise_is_a_conflict_unless_forced():
    stored, owners = apply(None, {"spec": {"a": 1}}, "theirs", {}, force=False)
    same, _ = apply(stored, {"spec": {"a": 1}}, "ours", owners, force=False)
    assert same == stored
    with pytest.raises(Conflict, match=r"'theirs': spec\.a"):
        apply(stored, {"spec": {"a": 2}}, "ours", owners, force=False)
    forced, owners = apply(stored, {"spec": {"a": 2}}, "ours", owners, force=True)
    assert forced == {"spec": {"a": 2}}
    assert owners["theirs"] == set()


def test_named_items_are_merged_by_name_and_a_selector_is_one_value():
    stored, owners = apply(
        None,
        {
            "spec": {
                "selector": {"a": "1", "b": "2"},
                "containers": [{"name": "x", "image": "i"}, {"name": "y", "image": "j"}],
            }
        },
        "theirs",
        {},
        force=False,
    )
    merged, _ = apply(
        stored,
        {"spec": {"selector": {"a": "1"}, "containers": [{"name": "x", "image": "k"}]}},
        "ours",
        owners,
        force=True,
    )
    assert merged["spec"]["selector"] == {"a": "1"}
    assert merged["spec"]["containers"] == [
        {"name": "x", "image": "k"},
        {"name": "y", "image": "j"},
    ]
