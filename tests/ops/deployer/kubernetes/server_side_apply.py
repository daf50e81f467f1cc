"""Server-side apply as the Kubernetes API does it, for the kinds that a deployer writes.

Fields are owned by whoever applied them last. What a manager applied before and leaves out now
goes, unless somebody else owns it too; what another manager has set otherwise is a conflict, unless
it is forced. Lists of named things are merged by name; selectors and other lists are one value.
"""

import copy

KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "port",
    "conditions": "type",
}
ATOMIC = {("spec", "selector"), ("spec", "template", "spec", "nodeSelector")}
_ABSENT = object()


class Conflict(Exception):
    """Another manager has set a field otherwise."""


def apply(stored, applied, manager, owners, *, force):
    """Merge a document into an object; returns the object and who owns which of its fields.

    Args:
        stored: the object, or None.
        applied: what the manager wants.
        manager: its name.
        owners: fields by manager, as an earlier call returned them.
        force: take over what others have set.
    """
    result = copy.deepcopy(stored) if stored else {}
    wanted = dict(_leaves(applied))
    owners = {name: set(fields) for name, fields in owners.items()}
    for path, value in wanted.items():
        present = _get(result, path)
        others = [name for name, fields in owners.items() if name != manager and path in fields]
        if others and present is not _ABSENT and present != value:
            if not force:
                raise Conflict(f"conflict with {others[0]!r}: {'.'.join(map(str, path))}")
            for name in others:
                owners[name].discard(path)
    for path in owners.get(manager, set()) - wanted.keys():
        if not any(path in fields for name, fields in owners.items() if name != manager):
            _remove(result, path)
    for path, value in wanted.items():
        _set(result, path, copy.deepcopy(value))
    owners[manager] = set(wanted)
    return result, owners


def owned_by_hand(document):
    """The fields of an object that was created from a manifest."""
    return {path for path, _ in _leaves(document)}


def _leaves(value, path=()):
    names = tuple(step for step in path if isinstance(step, str))
    if isinstance(value, dict) and value and names not in ATOMIC and path[-1:] != ("matchLabels",):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and (key := _list_key(value, path)):
        for item in value:
            yield from _leaves(item, (*path, (key, item[key])))
    else:
        yield path, value


def _list_key(items, path):
    key = KEYS.get(path[-1]) if path else None
    if key == "port" and items and "containerPort" in items[0]:
        key = "containerPort"
    named = bool(items) and all(isinstance(one, dict) and key in one for one in items)
    return key if named else None


def _step(value, step):
    if isinstance(step, tuple):
        key, name = step
        found = [one for one in value if one.get(key) == name] if isinstance(value, list) else []
        return found[0] if found else _ABSENT
    return value.get(step, _ABSENT) if isinstance(value, dict) else _ABSENT


def _get(value, path):
    for step in path:
        value = _step(value, step)
        if value is _ABSENT:
            return _ABSENT
    return value


def _set(value, path, leaf):
    for number, step in enumerate(path):
        last = number == len(path) - 1
        below = leaf if last else ([] if isinstance(path[number + 1], tuple) else {})
        found = _step(value, step)
        if last or found is _ABSENT or not isinstance(found, dict | list):
            if isinstance(step, tuple):
                found = below if last else {step[0]: step[1]}
                value.append(found)
            else:
                value[step] = found = below
        value = found


def _remove(value, path):
    parents = [value]
    for step in path[:-1]:
        value = _step(value, step)
        if value is _ABSENT:
            return
        parents.append(value)
    for parent, step in zip(reversed(parents), reversed(path), strict=True):
        if isinstance(step, tuple):
            parent[:] = [one for one in parent if one and one.get(step[0]) != step[1]]
        else:
            parent.pop(step, None)
        if parent:
            return
