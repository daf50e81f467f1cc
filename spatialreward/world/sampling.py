"""Draws scenes, instructions and edits of graded quality, reproducibly from the seed."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar, get_args

import numpy as np

from spatialreward.world.artifacts import ARTIFACT_KINDS, Artifact
from spatialreward.world.operations import (
    Add,
    ChangeBackground,
    Move,
    Operation,
    Recolour,
    Remove,
    Replace,
    Resize,
    apply,
    cells_of,
    words,
)
from spatialreward.world.rendering import Look
from spatialreward.world.scene import (
    COLOURS,
    PLAIN_BACKGROUNDS,
    SHAPES,
    SIZES,
    Background,
    Scene,
    SceneObject,
)

Grade = Literal["right", "partial", "wrong object", "wrong attribute", "untouched", "over-edited"]
GRADES: tuple[Grade, ...] = get_args(Grade)
OPERATION_KINDS = ("add", "remove", "replace", "recolour", "resize", "move", "background", "two")

Item = TypeVar("Item")


class CannotDrawError(Exception):
    """This draw does not fit the scene (no free cell, no free words); the caller retries."""


def pick(rng: np.random.Generator, choices: Sequence[Item]) -> Item:
    """One of ``choices``, uniformly."""
    if not choices:
        raise CannotDrawError
    return choices[int(rng.integers(len(choices)))]


def retry(draw: Callable[[], Item]) -> Item:
    """Draw until a draw fits; every scene allows most draws."""
    while True:
        try:
            return draw()
        except CannotDrawError:
            continue


def draw_scene(
    rng: np.random.Generator, background: Background | None = None, small: float | None = None
) -> Scene:
    """A scene of two to five objects; ``small`` is the share of small ones, None for half."""
    scene = Scene(background=background or pick(rng, PLAIN_BACKGROUNDS), objects={})
    for _ in range(int(rng.integers(2, 6))):
        cell, thing = pick(rng, scene.empty_cells()), _new_object(rng, scene)
        if small is not None:
            size = "small" if rng.random() < small else "large"
            thing = thing.model_copy(update={"size": size})
        scene = scene.with_cell(cell, thing)
    return scene


def draw_kind(rng: np.random.Generator, two_share: float | None = None) -> str:
    """The kind of request to draw; ``two_share`` is that of ``two``, None for as any other."""
    if two_share is None:
        return pick(rng, OPERATION_KINDS)
    return "two" if rng.random() < two_share else pick(rng, OPERATION_KINDS[:-1])


def draw_look(rng: np.random.Generator, photo: str = "") -> Look:
    """Small random differences of paint and light between scenes."""
    shift = tuple(float(value) for value in rng.normal(0, 5, 3).round(2))
    return Look(colour_shift=shift, light=float(rng.uniform(-16, 16).__round__(2)), photo=photo)


def draw_request(
    rng: np.random.Generator, scene: Scene, kind: str
) -> tuple[tuple[Operation, ...], str]:
    """Operations of one kind (``two``: two kinds) and their instruction."""
    if kind != "two":
        operation = draw_operation(rng, scene, kind)
        return (operation,), words(scene, operation, int(rng.integers(2)))

    def draw() -> tuple[tuple[Operation, ...], str]:
        kinds = rng.permutation(OPERATION_KINDS[:-1])[:2]
        first, second = (draw_operation(rng, scene, str(one)) for one in kinds)
        if set(cells_of(first)) & set(cells_of(second)):
            raise CannotDrawError
        _apply_all(scene, (first, second))
        sentences = (words(scene, operation, int(rng.integers(2))) for operation in (first, second))
        return (first, second), " and ".join(sentences)

    return retry(draw)


def draw_operation(rng: np.random.Generator, scene: Scene, kind: str) -> Operation:
    """One operation that changes the scene and keeps it well-formed."""

    def draw() -> Operation:
        if kind == "background":
            others = [name for name in PLAIN_BACKGROUNDS if name != scene.background]
            return ChangeBackground(background=pick(rng, others))
        if kind == "add":
            cell = pick(rng, scene.empty_cells())
            return Add(cell=cell, thing=_new_object(rng, scene))
        cell = pick(rng, sorted(scene.objects))
        operation = _change_object(rng, scene, cell, kind)
        _apply_all(scene, (operation,))
        return operation

    return retry(draw)


def _change_object(rng: np.random.Generator, scene: Scene, cell: int, kind: str) -> Operation:
    thing = scene.objects[cell]
    match kind:
        case "remove":
            return Remove(cell=cell)
        case "replace":
            return Replace(cell=cell, thing=_new_object(rng, scene))
        case "recolour":
            others = [colour for colour in COLOURS if colour != thing.colour]
            return Recolour(cell=cell, colour=pick(rng, others))
        case "resize":
            return Resize(cell=cell, size="small" if thing.size == "large" else "large")
        case "move":
            return Move(cell=cell, to=pick(rng, scene.empty_cells()))
    raise ValueError(f"operation {kind!r}: expected one of {', '.join(OPERATION_KINDS)}")


def draw_edited_scene(
    rng: np.random.Generator, scene: Scene, operations: Sequence[Operation], grade: Grade
) -> Scene:
    """The scene that an editor of this quality makes from the request.

    Raises:
        CannotDrawError: the request does not allow this grade.
    """
    match grade:
        case "untouched":
            return scene
        case "right":
            return _apply_all(scene, operations)
        case "over-edited":
            return _overdo(rng, _apply_all(scene, operations), scene, operations)
        case "partial":
            return _half_done(rng, scene, operations)
        case "wrong attribute":
            flawed = [_with_wrong_value(rng, scene, operations[-1])]
            return _apply_all(scene, [*operations[:-1], *flawed])
        case "wrong object":
            concerned = {cell for operation in operations for cell in cells_of(operation)}
            return _change_elsewhere(rng, scene, scene, concerned)


def draw_artifact(rng: np.random.Generator, has_regions: bool) -> Artifact:
    """An artifact of any kind and strength; ``ghost`` needs an edited region."""
    kinds = ARTIFACT_KINDS if has_regions else [k for k in ARTIFACT_KINDS if k != "ghost"]
    return Artifact(kind=pick(rng, kinds), strength=int(rng.integers(1, 4)))


def _new_object(rng: np.random.Generator, scene: Scene) -> SceneObject:
    taken = {thing.reference for thing in scene.objects.values()}
    free = [
        (shape, colour)
        for shape in SHAPES
        for colour in COLOURS
        if f"{colour} {shape}" not in taken
    ]
    shape, colour = pick(rng, free)
    return SceneObject(shape=shape, colour=colour, size=pick(rng, SIZES))


def _apply_all(scene: Scene, operations: Sequence[Operation]) -> Scene:
    try:
        for operation in operations:
            scene = apply(scene, operation)
    except ValueError as error:
        raise CannotDrawError from error
    return scene


def _overdo(
    rng: np.random.Generator, edited: Scene, source: Scene, operations: Sequence[Operation]
) -> Scene:
    concerned = {cell for operation in operations for cell in cells_of(operation)}
    for _ in range(int(rng.integers(1, 3))):
        background_is_free = (
            edited.background == source.background
            and source.background in PLAIN_BACKGROUNDS
            and not any(isinstance(operation, ChangeBackground) for operation in operations)
        )
        if background_is_free and rng.random() < 0.25:
            others = [name for name in PLAIN_BACKGROUNDS if name != source.background]
            edited = edited.with_background(pick(rng, others))
        else:
            edited = _change_elsewhere(rng, edited, source, concerned)
    return edited


def _change_elsewhere(
    rng: np.random.Generator, edited: Scene, source: Scene, concerned: set[int]
) -> Scene:
    """Change one cell outside the request that is unchanged so far."""
    free = [
        cell
        for cell in range(16)
        if cell not in concerned and edited.objects.get(cell) == source.objects.get(cell)
    ]
    occupied = [cell for cell in free if cell in edited.objects]
    if occupied and rng.random() < 0.75:
        cell = pick(rng, occupied)
        kind = pick(rng, ("remove", "replace", "recolour", "resize"))
        return _apply_all(edited, [_change_object(rng, edited, cell, kind)])
    return edited.with_cell(
        pick(rng, [c for c in free if c not in edited.objects]), _new_object(rng, edited)
    )


def _half_done(rng: np.random.Generator, scene: Scene, operations: Sequence[Operation]) -> Scene:
    if len(operations) == 2:
        return _apply_all(scene, [pick(rng, operations)])
    (operation,) = operations
    match operation:
        case Replace():
            thing = scene.objects[operation.cell]
            update = pick(rng, ({"colour": thing.colour}, {"shape": thing.shape}))
            partial = operation.thing.model_copy(update=update)
            return _checked(scene.with_cell, operation.cell, partial)
        case Add():
            changed = pick(rng, ("colour", "shape", "size"))
            return _checked(
                scene.with_cell, operation.cell, _altered(rng, operation.thing, changed)
            )
        case Move():
            if rng.random() < 0.5:
                return scene.with_cell(operation.cell, None)
            thing = _altered(rng, scene.objects[operation.cell], pick(rng, ("colour", "shape")))
            return _checked(scene.with_cell(operation.cell, None).with_cell, operation.to, thing)
        case Recolour() | Resize():
            after = _apply_all(scene, operations)
            attribute = "shape" if isinstance(operation, Resize) else pick(rng, ("shape", "size"))
            thing = _altered(rng, after.objects[operation.cell], attribute)
            return _checked(scene.with_cell, operation.cell, thing)
        case _:
            raise CannotDrawError


def _with_wrong_value(rng: np.random.Generator, scene: Scene, operation: Operation) -> Operation:
    match operation:
        case Add():
            return Add(cell=operation.cell, thing=_new_object(rng, scene))
        case Replace():
            return Replace(cell=operation.cell, thing=_new_object(rng, scene))
        case Recolour():
            taken = {operation.colour, scene.objects[operation.cell].colour}
            colour = pick(rng, [colour for colour in COLOURS if colour not in taken])
            return Recolour(cell=operation.cell, colour=colour)
        case Move():
            cells = [cell for cell in scene.empty_cells() if cell != operation.to]
            return Move(cell=operation.cell, to=pick(rng, cells))
        case ChangeBackground():
            taken = {operation.background, scene.background}
            names = [name for name in PLAIN_BACKGROUNDS if name not in taken]
            return ChangeBackground(background=pick(rng, names))
        case Remove():
            return Replace(cell=operation.cell, thing=_new_object(rng, scene))
        case Resize():
            others = [c for c in COLOURS if c != scene.objects[operation.cell].colour]
            return Recolour(cell=operation.cell, colour=pick(rng, others))


def _altered(rng: np.random.Generator, thing: SceneObject, attribute: str) -> SceneObject:
    values = {"shape": SHAPES, "colour": COLOURS, "size": SIZES}[attribute]
    others = [value for value in values if value != getattr(thing, attribute)]
    return thing.model_copy(update={attribute: pick(rng, others)})


def _checked(place: Callable[[int, SceneObject], Scene], cell: int, thing: SceneObject) -> Scene:
    try:
        return place(cell, thing)
    except ValueError as error:
        raise CannotDrawError from error
