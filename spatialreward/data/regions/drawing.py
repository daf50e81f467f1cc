"""A spatial prior as a picture: the source, and the edited picture with what changed in it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spatialreward.data.edits import SpatialPrior
from spatialreward.records import EditRegion
from spatialreward.visuals.layout import beside
from spatialreward.visuals.overlay import SHORTEST_DISPLAY
from spatialreward.visuals.regions import draw_regions

_TINT = (255, 0, 160)
_TINT_SHARE = 0.45
_GAP = 8


def draw_prior(
    source: Image.Image, edited: Image.Image, prior: SpatialPrior, mask_HW: NDArray[np.bool_]
) -> Image.Image:
    """Both pictures side by side at the edited one's size, enlarged if that is small.

    Args:
        source: picture before the edit.
        edited: picture after it.
        prior: of the two; each region is tagged with its evidence in percent.
        mask_HW: which pixels of the edited picture changed, ``[height, width]``; they are tinted.
    """
    scale = max(1, -(-SHORTEST_DISPLAY // max(edited.size)))
    size = (edited.width * scale, edited.height * scale)
    tinted = Image.blend(edited, Image.new("RGB", edited.size, _TINT), _TINT_SHARE)
    shown = Image.composite(tinted, edited, Image.fromarray(mask_HW)).resize(size)
    regions = [
        EditRegion(id=number, label=f"({round(100 * region.evidence)} %)", bbox_2d=region.bbox_2d)
        for number, region in enumerate(prior.regions)
    ]
    drawn = draw_regions(shown, regions, text_size=max(15, max(size) // 44))
    return beside([source.resize(size), drawn], size[0], _GAP)
