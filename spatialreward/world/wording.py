"""Wording of labels for generated edits: the request, the result, and artifacts.

A judgement states the request, then describes the differences with a verdict after each.
"""

from collections.abc import Mapping

from spatialreward.world.operations import ChangeBackground, apply, cells_of
from spatialreward.world.samples import World
from spatialreward.world.scene import GRID
from spatialreward.world.truth import Change, Truth

_WHOLE = "whole"


def semantic_reasoning(truth: Truth, world: World) -> str:
    """The request, the result in each region, and how much of it is done."""
    return f"{request(world)}. {_verdicts(truth, world)}"


def perceptual_reasoning(truth: Truth) -> str:
    """The picture's artifact, or that there is none."""
    return f"<|global|> {truth.fault or 'clean'}"


def request(world: World) -> str:
    """The instruction's request, resolved in the source: places, and their requested content."""
    parts = [
        thing if place == _WHOLE else f"{place} {thing}" for place, thing in _wanted(world).items()
    ]
    return f"asked {', '.join(parts)}"


def _wanted(world: World) -> dict[str, str]:
    """The requested content of each place."""
    desired = world.source
    for operation in world.operations:
        desired = apply(desired, operation)
    wanted = {}
    for operation in world.operations:
        if isinstance(operation, ChangeBackground):
            wanted[_WHOLE] = f"{operation.background} background"
        for cell in cells_of(operation):
            wanted[place_of(cell)] = str(desired.objects.get(cell, "nothing"))
    return wanted


def place_of(cell: int) -> str:
    """Row and column of a cell, from 1."""
    return f"{cell // GRID + 1} {cell % GRID + 1}"


def _verdicts(truth: Truth, world: World) -> str:
    """The result in each region, attribute by attribute beside the request.

    Values to compare stand side by side (before, requested, now), followed by the outcome of the
    comparison: with whole phrases instead, a small model takes all edits for right.
    """
    wanted = _wanted(world)
    regions = [
        f"{_region(number, change, wanted)}, {change.verdict}. "
        for number, change in enumerate(truth.changes)
    ]
    extra = sum(change.verdict == "not asked" for change in truth.changes)
    return "".join(regions) + f"<|global|> {truth.done} of {truth.asked} done, {extra} not asked"


def _region(number: int, change: Change, wanted: Mapping[str, str]) -> str:
    place = _WHOLE if change.cell is None else place_of(change.cell)
    was = f"<|bbox_{number}|> {place} was {change.before}"
    if place not in wanted:
        return was
    asked = wanted[place]
    if "nothing" in (asked, change.after):
        return f"{was}, asked {asked}, is {change.after}"
    before = change.before.split() if change.before != "nothing" else ["nothing"] * 3
    compared = (
        f"{old} {new} {now}{_became(old, new, now)}"
        for old, new, now in zip(before, asked.split(), change.after.split(), strict=True)
    )
    return f"{was}, {', '.join(compared)}"


def _became(before: str, asked: str, now: str) -> str:
    if before == asked:
        return "" if now == asked else " gone"
    return " done" if now == asked else " wrong"
