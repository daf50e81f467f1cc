"""Reads user input: pictures become RGB, instructions become safe text, or raise a clear error.

Every picture and instruction for a judge or an editor passes through here, on disk and over the
wire alike. The file's header is checked before decoding, so a picture that would exhaust memory
costs as little as a wrong file name. Colour profiles are not applied. Source and edited picture
may differ in size: each model resizes its own input.
"""

import io
import os
import re
import stat
import threading
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from spatialreward.errors import InvalidInputError

AnyPicture = str | os.PathLike[str] | bytes | NDArray[np.uint8] | Image.Image
"""Any form of picture: the path or the bytes of a file, an array of uint8 (``[H, W]``,
``[H, W, 3]`` or ``[H, W, 4]``), or a Pillow picture."""

MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 256 * 2**20
MAX_ASPECT_RATIO = 200
"""Vision models of the Qwen-VL family refuse longer pictures."""
MAX_INSTRUCTION_CHARACTERS = 2_000

PictureFormat = Literal["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"]
# Self-contained decoders only: others start programs (EPS) or follow references to other files.
FORMATS: tuple[PictureFormat, ...] = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
"""Formats read from disk."""
SERVED_FORMATS: tuple[PictureFormat, ...] = ("PNG", "JPEG", "WEBP")
"""Formats that a server accepts: fewer decoders are a smaller attack surface."""
_WORDS = {"WEBP": "WebP", "GIF": "a GIF that stands still"}
_SIGNATURES = {
    "BMP": rb"BM",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "GIF": rb"GIF8",
    "ICO": rb"\0\0[\x01\x02]\0",
    "ICNS": rb"icns",
    "PNM": rb"P[1-7]\s",
    "EPS": rb"%!PS|\xc5\xd0\xd3\xc6",
    "PDF": rb"%PDF",
    "PSD": rb"8BPS",
    "SVG": rb"(?:\xef\xbb\xbf)?\s*<(?:.*<)?svg\b",
    "HEIC": rb".{4}ftyp(?:hei|hev|mif|msf)",
    "AVIF": rb".{4}ftypavi",
    "JPEG 2000": rb"\0\0\0\x0cjP|\xff\x4f\xff\x51",
    "JPEG XL": rb"\0\0\0\x0cJXL|\xff\x0a",
}
"""File signatures of formats that are only sometimes readable here."""
_SIGNATURE_BYTES = 1024
_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_SPECIAL_TOKEN = re.compile(
    r"<\|[^|<>]*\|>|</?(?:tool_call|tool_response|think|tool_calls|tools)>", re.IGNORECASE
)
_WARNING_FILTERS = threading.Lock()
_ORIENTATION = 0x0112


def read_picture(given: AnyPicture, name: str) -> Image.Image:
    """Read a picture in any form as upright RGB; ``name`` identifies it in errors.

    Returns an upright RGB Pillow picture as it is, without a copy: edits of one source then share
    one picture object.

    Raises:
        InvalidInputError: it has none of these forms, or is unusable; the message begins with
            ``name``.
    """
    try:
        match given:
            case str() | os.PathLike():
                return load_image(Path(os.fsdecode(given)))
            case bytes():
                return _decode(given)
            case np.ndarray():
                return _picture_of_array(given)
            case Image.Image():
                return _checked(given)
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error}") from error
    raise InvalidInputError(
        f"{name}: expected a path, bytes, array or picture, got {type(given).__name__}"
    )


def load_image(path: Path) -> Image.Image:
    """Read a picture from disk as upright RGB.

    Raises:
        InvalidInputError: there is no such file, or it holds no usable picture; the message names
            the file and the reason.
    """
    if "\0" in str(path):
        raise InvalidInputError(f"picture {str(path)!r}: its name holds a null character")
    try:
        status = path.stat()
        if problem := _why_not_readable(status):
            raise InvalidInputError(f"picture {path}: {problem}")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InvalidInputError(f"picture {path}: there is no such file") from error
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"picture {str(path)!r}: its name is not valid Unicode") from error
    except OSError as error:
        raise InvalidInputError(f"picture {path}: {error.strerror or error}") from error
    return decode_image(data, str(path))


def decode_image(
    data: bytes,
    name: str,
    *,
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[PictureFormat] = FORMATS,
) -> Image.Image:
    """Decode a picture as upright RGB; ``name`` identifies it in errors.

    Applies the EXIF orientation, composites transparency on white, scales 16-bit samples to 8 bits,
    and converts CMYK, greyscale and palette pictures to RGB.

    Raises:
        InvalidInputError: ``data`` is not a picture of these formats, is damaged, an animation, or
            has no pixels, more than ``max_pixels`` pixels, or sides beyond ``MAX_ASPECT_RATIO``.
    """
    with _naming(name):
        return _decode(data, max_pixels, formats)


def picture_size(
    data: bytes,
    name: str,
    *,
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[PictureFormat] = FORMATS,
) -> tuple[int, int]:
    """Width and height from a picture's header; decodes nothing.

    Raises:
        InvalidInputError: as ``decode_image``, as far as the header shows.
    """
    with _naming(name), _opened(data, max_pixels, formats) as image:
        return image.size


def encode_png(image: Image.Image, *, compress_level: int = 6) -> bytes:
    """Encode a picture as PNG, lossless; lower levels (0 to 9) are faster and larger."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=compress_level)
    return buffer.getvalue()


def check_instruction(text: str) -> str:
    """Return an instruction ready for a prompt: stripped, with uniform line breaks.

    Quotes, line breaks, tabs and any script are allowed.

    Raises:
        InvalidInputError: it is empty, has more than ``MAX_INSTRUCTION_CHARACTERS`` characters, or
            holds control characters, half a surrogate pair, or special tokens of a chat template,
            which could change the speaker.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if all(unicodedata.category(character)[0] in "ZC" for character in text):
        raise InvalidInputError("instruction: is empty")
    if len(text) > MAX_INSTRUCTION_CHARACTERS:
        raise InvalidInputError(
            f"instruction: has {len(text):,} characters, "
            f"more than the {MAX_INSTRUCTION_CHARACTERS:,} allowed"
        )
    for position, character in enumerate(text):
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in "\n\t"):
            what = "is not valid Unicode" if category == "Cs" else "holds a control character"
            raise InvalidInputError(
                f"instruction: {what} (U+{ord(character):04X} at character {position + 1})"
            )
    if token := _SPECIAL_TOKEN.search(text):
        raise InvalidInputError(
            f"instruction: holds {token.group()!r}, which is reserved for the chat template"
        )
    return text


def _why_not_readable(status: os.stat_result) -> str | None:
    if stat.S_ISDIR(status.st_mode):
        return "is a directory"
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_size > MAX_FILE_BYTES:
        return f"{status.st_size:,} bytes, more than the {MAX_FILE_BYTES:,} bytes allowed"
    return None


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Prefix errors with the picture's name."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"picture {name}: {error}") from error


def _decode(
    data: bytes, max_pixels: int = MAX_PIXELS, formats: Sequence[PictureFormat] = FORMATS
) -> Image.Image:
    """As ``decode_image``; errors do not name the picture."""
    with _opened(data, max_pixels, formats) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)


@contextmanager
def _opened(
    data: bytes, max_pixels: int, formats: Sequence[PictureFormat]
) -> Iterator[ImageFile.ImageFile]:
    """A picture with a checked header; errors do not name it."""
    if not data:
        raise InvalidInputError("is empty (0 bytes)")
    # Pillow's decoders raise many types for malformed bytes (struct.error, IndexError, zlib.error,
    # MemoryError ...), so no narrower class covers a broken file.
    try:
        with _open(data, formats) as image:
            _check_header(image, max_pixels)
            yield image
    except InvalidInputError:
        raise
    except UnidentifiedImageError as error:
        raise InvalidInputError(_why_unidentified(data, formats)) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InvalidInputError(_why_too_large(data, max_pixels)) from error
    except Exception as error:
        raise InvalidInputError(f"is damaged or incomplete ({_words_of(error)})") from error


def _picture_of_array(pixels: NDArray[np.uint8]) -> Image.Image:
    if pixels.dtype != np.uint8:
        raise InvalidInputError(f"expected an array of uint8, 0 to 255, got {pixels.dtype}")
    channels = pixels.shape[2:]
    if pixels.ndim < 2 or channels not in ((), (3,), (4,)):
        shape = tuple(pixels.shape)
        raise InvalidInputError(
            f"expected an array of shape (H, W), (H, W, 3) or (H, W, 4), got {shape}"
        )
    height, width = pixels.shape[:2]
    _check_size(width, height, MAX_PIXELS)
    return _to_rgb(Image.fromarray(np.ascontiguousarray(pixels)))


def _checked(image: Image.Image) -> Image.Image:
    """A picture that the caller has opened, and may have closed."""
    # Pillow decodes a file only here, so any of its decoding errors can occur.
    try:
        _check_header(image, MAX_PIXELS)
        image.load()
        if image.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        is_plain = image.mode == "RGB" and not image.has_transparency_data
        return image if is_plain else _to_rgb(image)
    except InvalidInputError:
        raise
    except Exception as error:
        raise InvalidInputError(f"cannot be read ({_words_of(error)})") from error


def _words_of(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _open(data: bytes, formats: Sequence[PictureFormat]) -> ImageFile.ImageFile:
    # Warning filters are global to the process, so a lock keeps threads from mixing them up.
    with _WARNING_FILTERS, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(data), formats=formats)


def _check_header(image: Image.Image, max_pixels: int) -> None:
    _check_size(*image.size, max_pixels)
    # An MPO is a photograph followed by a preview or a gain map; use its first picture.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise InvalidInputError(f"has {frames} frames or pages, expected a single picture")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise InvalidInputError(f"has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise InvalidInputError(
            f"{width} x {height} pixels, more than the {max_pixels:,} pixels allowed"
        )
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise InvalidInputError(
            f"{width} x {height} pixels, one side longer than {MAX_ASPECT_RATIO} times the other"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT_MODES:
        return _from_sixteen_bits(image)
    if image.mode == "F":
        raise InvalidInputError("has floating-point samples, which say not where white is")
    if image.has_transparency_data:
        pixels = image.convert("RGBA")
        canvas = Image.new("RGBA", pixels.size, "white")
        return Image.alpha_composite(canvas, pixels).convert("RGB")
    # Copy even RGB pictures: the caller is about to close the original's file.
    return image.convert("RGB")


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    samples_HW = np.asarray(image).astype(np.int32)
    if samples_HW.min() < 0 or samples_HW.max() > 0xFFFF:
        raise InvalidInputError("has 32-bit samples, expected 8 or 16 bits a channel")
    eight_bits_HW = ((samples_HW * 255 + 0x7FFF) // 0xFFFF).astype(np.uint8)
    return Image.fromarray(eight_bits_HW).convert("RGB")


def _why_too_large(data: bytes, max_pixels: int) -> str:
    size = _declared_size(data)
    what = f"{size[0]} x {size[1]} pixels" if size else "has too many pixels"
    return f"{what}, more than the {max_pixels:,} pixels allowed"


def _why_unidentified(data: bytes, formats: Sequence[PictureFormat]) -> str:
    """Distinguish a picture without pixels from other files; Pillow reports one error for both."""
    *others, last = (_WORDS.get(one, one) for one in formats)
    expected = f"expected {', '.join(others)} or {last}"
    for found, signature in _SIGNATURES.items():
        if found not in formats and re.match(signature, data[:_SIGNATURE_BYTES], re.DOTALL):
            return f"is {found}, {expected}"
    size = _declared_size(data)
    if size is not None and 0 in size:
        return f"has no pixels ({size[0]} x {size[1]})"
    return f"is not a picture that can be read, {expected}"


def _declared_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from a PNG's or GIF's header; None for other formats."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    return None
