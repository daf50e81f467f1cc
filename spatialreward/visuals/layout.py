"""Blocks on a page: below each other, beside each other, and pictures in rows of a sheet."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from PIL import Image, ImageOps

from spatialreward.visuals.text import PAPER, RULE, Colour, paragraph

GAP = 12
TEXT_SIZE = 14


def stack(
    blocks: Sequence[Image.Image],
    width: int,
    *,
    margin: int = 0,
    gap: int = 0,
    background: Colour = PAPER,
) -> Image.Image:
    """Put blocks below each other, left-aligned, on a page ``width`` pixels wide."""
    height = sum(block.height for block in blocks) + gap * max(len(blocks) - 1, 0) + 2 * margin
    page = Image.new("RGB", (width, max(height, 1)), background)
    y = margin
    for block in blocks:
        page.paste(block, (margin, y))
        y += block.height + gap
    return page


def beside(
    blocks: Sequence[Image.Image], column: int, gap: int, *, background: Colour = PAPER
) -> Image.Image:
    """Put blocks beside each other in columns of one width, their tops aligned.

    The last one may be wider than its column.
    """
    width = (len(blocks) - 1) * (column + gap) + max(column, blocks[-1].width)
    row = Image.new("RGB", (width, max(block.height for block in blocks)), background)
    for position, block in enumerate(blocks):
        row.paste(block, (position * (column + gap), 0))
    return row


def fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """As large as fits in ``size`` (width, height); pixels of a small scene stay squares."""
    is_small = all(2 * side <= most for side, most in zip(picture.size, size, strict=True))
    how = Image.Resampling.NEAREST if is_small else Image.Resampling.LANCZOS
    return ImageOps.contain(picture.convert("RGB"), size, how)


class SheetLayout(NamedTuple):
    """A sheet with three square cells for pictures in a row, and room for words beside them."""

    cell: int
    """Side of a cell in pixels."""
    text_width: int = 0

    @property
    def width(self) -> int:
        """Of the whole sheet, in pixels."""
        return 3 * (self.cell + GAP) + self.text_width + GAP * (2 if self.text_width else 1)

    def fitted(self, picture: Image.Image) -> Image.Image:
        """The picture as large as a cell holds."""
        return fitted(picture, (self.cell, self.cell))

    def row(
        self,
        title: str,
        pictures: Sequence[Image.Image],
        words: Image.Image | None = None,
        below: Sequence[Image.Image] = (),
    ) -> Image.Image:
        """A title, fitted pictures with ``words`` beside them, what stands below, and a rule.

        Without a third picture, its cell stays empty.
        """
        cells = [ImageOps.pad(one, (self.cell, self.cell), color=RULE) for one in pictures]
        cells += [Image.new("RGB", (self.cell, self.cell), PAPER)] * (3 - len(cells))
        body = beside([*cells, *([words] if words else [])], self.cell, GAP)
        heading = paragraph(title, self.width - 2 * GAP, TEXT_SIZE, bold=True, max_lines=3)
        block = stack([heading, body, *below], self.width, margin=GAP, gap=GAP // 2)
        return ImageOps.expand(block, (0, 0, 0, 1), RULE)

    def sheet(self, names: Sequence[str], rows: Iterable[Image.Image]) -> Image.Image:
        """Rows below the names of their columns."""
        columns = [
            paragraph(name, self.cell, TEXT_SIZE, bold=True, background=RULE, max_lines=1)
            for name in names
        ]
        header = beside(columns, self.cell, GAP, background=RULE)
        framed = ImageOps.expand(header, (GAP, GAP // 2), RULE)
        return stack([stack([framed], self.width, background=RULE), *rows], self.width)
