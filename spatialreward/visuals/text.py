"""Type: fonts that cover a text, lines that fit a width, and paragraphs as pictures.

DejaVu comes with matplotlib, so a picture looks the same on every machine. It has no Chinese,
Japanese or Korean glyphs; for those a font of the system is used where there is one, and empty
boxes are drawn where there is none.
"""

import functools
import unicodedata
from contextlib import suppress
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

INK = (28, 32, 38)
FAINT_INK = (107, 114, 125)
PAPER = (255, 255, 255)
RULE = (226, 229, 234)
ALARM = (180, 35, 24)

_LINE_HEIGHT = 1.35
_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "msyh.ttc",
    "Arial Unicode.ttf",
)


def font_for(text: str, size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Font of ``size`` pixels whose glyphs cover ``text``, as far as this machine has one."""
    fonts = [_dejavu(size, bold), _dejavu(size, False), *_wide(size)]
    return min(fonts, key=lambda font: len(_missing(text, font)))


def is_covered(text: str) -> bool:
    """Whether there is a font for ``text`` here that has a glyph for each of its characters."""
    return not _missing(text, font_for(text, 16))


def wrap(
    text: str, font: ImageFont.FreeTypeFont, width: int, max_lines: int | None = None
) -> list[str]:
    """Break ``text`` into lines of at most ``width`` pixels.

    Words longer than a line are broken, and so is text without spaces, both of which Pillow's
    ``ImageText.wrap`` refuses. When ``max_lines`` do not hold it, the last one ends with an
    ellipsis.
    """
    lines = [""]
    for word in _printable(text).split(" "):
        candidate = f"{lines[-1]} {word}" if lines[-1] else word
        if font.getlength(candidate) <= width:
            lines[-1] = candidate
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if lines[-1] and font.getlength(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    if max_lines is not None and len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], _with_ellipsis(lines[max_lines - 1], font, width)]
    return lines


def paragraph(
    text: str,
    width: int,
    size: int,
    *,
    bold: bool = False,
    colour: Colour = INK,
    background: Colour = PAPER,
    max_lines: int | None = None,
) -> Image.Image:
    """Draw ``text`` as a block ``width`` pixels wide and as high as it needs."""
    font = font_for(text, size, bold=bold)
    lines = wrap(text, font, width, max_lines)
    step = line_height(size)
    block = Image.new("RGB", (width, step * len(lines)), background)
    draw = ImageDraw.Draw(block)
    for number, line in enumerate(lines):
        draw.text((0, number * step + step // 2), line, colour, font, anchor="lm")
    return block


def line_height(size: int) -> int:
    """Distance between two base lines of a font of ``size`` pixels."""
    return round(size * _LINE_HEIGHT)


def _printable(text: str) -> str:
    """One line without control characters: a model's words may hold anything."""
    visible = (" " if unicodedata.category(one) in ("Cc", "Cs") else one for one in text)
    return " ".join("".join(visible).split())


def _with_ellipsis(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"


def _missing(text: str, font: ImageFont.FreeTypeFont) -> set[int]:
    return set(map(ord, _printable(text))) - _characters(font.path)


@functools.cache
def _characters(path: str) -> frozenset[int]:
    return frozenset(FT2Font(path).get_charmap())


@functools.lru_cache(maxsize=64)
def _dejavu(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(folder / name), size)


@functools.lru_cache(maxsize=64)
def _wide(size: int) -> list[ImageFont.FreeTypeFont]:
    """The first of the wide fonts that this machine has, if any."""
    for name in _WIDE_FONTS:
        with suppress(OSError):
            return [ImageFont.truetype(name, size)]
    return []
