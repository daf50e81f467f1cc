"""Edit regions on a picture: outlines that show on any background, tags that stay legible."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from spatialreward.records import BOX_SCALE, EditRegion, Judgement
from spatialreward.visuals.text import Colour, font_for, wrap

Box = tuple[int, int, int, int]

# Okabe and Ito's palette, told apart by colour-blind readers too; its grey and black are left out.
COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)
_HALO = (0, 0, 0)


def colour_of(position: int) -> Colour:
    """Colour of the region at ``position`` in its judgement."""
    return COLOURS[position % len(COLOURS)]


def why_no_regions(judgement: Judgement) -> str:
    """What a reader is told where a judgement has no regions: none was found, or none is sought."""
    return (
        "No edit region found" if judgement.answer.has_regions else "This judge predicts no regions"
    )


def pixel_box(region: EditRegion, size: tuple[int, int]) -> Box:
    """A region's first and last pixels in a picture of ``size`` (width, height), never none."""
    width, height = size
    x1, y1, x2, y2 = region.bbox_2d
    left, top = min(x1 * width // BOX_SCALE, width - 1), min(y1 * height // BOX_SCALE, height - 1)
    right, bottom = -(-x2 * width // BOX_SCALE) - 1, -(-y2 * height // BOX_SCALE) - 1
    return left, top, max(right, left), max(bottom, top)


def draw_regions(
    picture: Image.Image,
    regions: Sequence[EditRegion],
    *,
    text_size: int | None,
    thin: bool = False,
) -> Image.Image:
    """Copy of ``picture`` with its regions outlined, and tagged unless ``text_size`` is None.

    Thin outlines are for pictures of which the regions are not, but to which they point.
    """
    drawn = picture.copy()
    draw = ImageDraw.Draw(drawn)
    line = 2 if thin else max(2, max(picture.size) // 240)
    boxes = [pixel_box(region, picture.size) for region in regions]
    for position, box in enumerate(boxes):
        _outline(draw, box, colour_of(position), line)
    if text_size is not None:
        tags: list[Box] = []
        for position, (region, box) in enumerate(zip(regions, boxes, strict=True)):
            text = f"{region.id} {region.label}".strip()
            tags.append(_tag(draw, text, box, tags, colour_of(position), text_size))
    return drawn


def draw_dashed(picture: Image.Image, regions: Sequence[EditRegion]) -> Image.Image:
    """Copy of ``picture`` with regions as black and white dashes: the truth beside a judgement."""
    drawn = picture.copy()
    line = max(1, max(picture.size) // 240)
    outlines = Image.new("1", picture.size)
    for region in regions:
        ImageDraw.Draw(outlines).rectangle(pixel_box(region, picture.size), outline=1, width=line)
    across, down = (np.arange(side) // (5 * line) for side in picture.size)
    drawn.paste(Image.fromarray(np.add.outer(down, across) % 2 == 0), mask=outlines)
    return drawn


def _outline(draw: ImageDraw.ImageDraw, box: Box, colour: Colour, line: int) -> None:
    left, top, right, bottom = box
    halo = max(1, line // 3)
    around = (left - halo, top - halo, right + halo, bottom + halo)
    draw.rectangle(around, outline=_HALO, width=line + 2 * halo)
    draw.rectangle(box, outline=colour, width=line)


def _tag(
    draw: ImageDraw.ImageDraw, text: str, box: Box, taken: Sequence[Box], colour: Colour, size: int
) -> Box:
    """Write a region's tag where it hides no other tag and return its place."""
    width, height = draw.im.size
    font = font_for(text, size, bold=True)
    pad = max(2, size // 4)
    line = wrap(text, font, max(width - 2 * pad, 1), max_lines=1)[0]
    tag_width, tag_height = round(font.getlength(line)) + 2 * pad, size + 2 * pad
    left = max(0, min(box[0], width - tag_width))
    # Above its box; inside at the top where there is no room; further down where a tag is already.
    top = box[1] - tag_height if box[1] >= tag_height else box[1]
    place = (left, top, left + tag_width - 1, top + tag_height - 1)
    while any(_overlap(place, other) for other in taken) and place[3] + tag_height < height:
        place = (left, place[1] + tag_height, place[2], place[3] + tag_height)
    draw.rectangle(place, colour)
    ink = (0, 0, 0) if _brightness(colour) > 110 else (255, 255, 255)
    draw.text((left + pad, (place[1] + place[3] + 1) // 2), line, ink, font, anchor="lm")
    return place


def _overlap(a: Box, b: Box) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _brightness(colour: Colour) -> float:
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue
