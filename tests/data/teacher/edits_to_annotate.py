"""Small edits without annotations."""

import io

import numpy as np
from PIL import Image

from spatialreward.data.edits import Extent, LabelledEdit, ProposedRegion, RowOrigin, SpatialPrior

BOXES = ((100, 100, 400, 400), (500, 500, 900, 800))


def picture(seed: int, side: int = 48) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def edit(number: int = 0, *, boxes=BOXES, **changed) -> LabelledEdit:
    regions = tuple(ProposedRegion(bbox_2d=box, evidence=0.9, changed_share=0.5) for box in boxes)
    fields = {
        "id": f"edit-{number}",
        "instruction": f"add hat number {number}",
        "sources": (picture(2 * number),),
        "edited": picture(2 * number + 1),
        "operation": "add",
        "prior": SpatialPrior(
            extent=Extent.LOCAL if boxes else Extent.NOTHING,
            regions=regions,
            changed_share=0.1,
            noise=1.0,
            shift_px=(0.0, 0.0),
        ),
        "given": {},
        "fingerprints": ("0" * 16, "1" * 16),
        "origin": RowOrigin(file="edits.jsonl", row=str(number)),
    }
    return LabelledEdit(**(fields | changed))


def edits(count: int) -> list[LabelledEdit]:
    return [edit(number) for number in range(count)]
