"""What the API server tells of a workflow's nodes, as it does for Argo (read in its source, 2.17).

One node for the workflow, one for the graph, and for each step what prepares it, the step and its
attempt. No node says which pod it is; times that are not yet are the beginning of time.
"""

import datetime
import uuid

NOT_YET = "0001-01-01T00:00:00Z"
OVER = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")


class Moment:
    """A run at one time: its state, and the states of steps by key, several for rounds of a loop.

    A key may also be that of a driver, ``STEP-driver``; a step's error is ``STEP="FAILED: why"``.
    """

    def __init__(self, state, steps=None, error=""):
        self.state = state
        self.steps = {key: _several(states) for key, states in (steps or {}).items()}
        self.error = error


def task_details(run, moment, began):
    """The nodes at a moment, as the server lists them."""
    nodes = [_node(run, "spatialreward-tiny-x7k2p", moment.state, began, 0)]
    nodes += [_node(run, "root-driver", "SUCCEEDED", began, 0)]
    nodes += [_node(run, "root", moment.state, began, 1)]
    for position, (key, states) in enumerate(moment.steps.items()):
        for state in states:
            if not key.endswith("-driver"):
                nodes.append(_node(run, f"{key}-driver", "SUCCEEDED", began, 10 * position))
            nodes.append(_node(run, key, state, began, 10 * position + 5))
            nodes.append(_node(run, "executor", state, began, 10 * position + 5))
    return sorted(nodes, key=lambda node: node["task_id"])


def _node(run, name, said, began, offset_s):
    state, _, error = said.partition(": ")
    start = began + datetime.timedelta(seconds=offset_s)
    node = {
        "run_id": run,
        "task_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{run} {name} {offset_s} {said}")),
        "display_name": name,
        "create_time": stamp(began),
        "start_time": stamp(start),
        "end_time": NOT_YET,
    }
    if state:
        node["state"] = state
    if state in OVER:
        node["end_time"] = stamp(start + datetime.timedelta(seconds=60))
    if error:
        node["state_history"] = [
            {
                "update_time": node["end_time"],
                "state": state,
                "error": {"code": 13, "message": error},
            }
        ]
    return node


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _several(states):
    return [states] if isinstance(states, str) else list(states)
