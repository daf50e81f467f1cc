"""The workload: groups of edits of one prompt, as in RL, from the generated world."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from spatialreward.edits import Edit
from spatialreward.world.config import DataConfig
from spatialreward.world.drawing import draw_sample
from spatialreward.world.rendering import paint, to_image
from spatialreward.world.samples import SceneSample
from spatialreward.world.sampling import CannotDrawError, Grade, draw_edited_scene, pick

Group = list[Edit]
_GRADES: tuple[Grade, ...] = tuple(DataConfig().grades)


def groups(count: int, size: int, *, seed: int) -> list[Group]:
    """``count`` groups of ``size`` edits: one source and instruction each, different pictures.

    The pictures are attempts of every grade, each with its own noise of one level of brightness, so
    that no two are the same file.
    """
    config = DataConfig(seed=seed)
    return [_group(draw_sample(config, "heldout", number), size, config) for number in range(count)]


def _group(sample: SceneSample, size: int, config: DataConfig) -> Group:
    attempts = _attempts(sample, config)
    source = sample.images()[0]
    return [Edit(source, next(attempts), sample.instruction) for _ in range(size)]


def _attempts(sample: SceneSample, config: DataConfig) -> Iterator[Image.Image]:
    world = sample.world
    rng = np.random.default_rng((config.seed, *sample.id.encode()))
    while True:
        try:
            scene = draw_edited_scene(rng, world.source, world.operations, pick(rng, _GRADES))
        except CannotDrawError:
            continue
        picture = to_image(paint(scene, world.look, config.picture_size, config.picture_size, None))
        pixels_HWC = np.asarray(picture).astype(int) + rng.integers(-1, 2, (*picture.size, 3))
        yield Image.fromarray(pixels_HWC.clip(0, 255).astype(np.uint8))
