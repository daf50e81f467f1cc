"""Textures that cover a picture, encodings of them, and other frames of them."""

import io

import cv2
import numpy as np
from PIL import Image

SIDE = 448

Pixels = np.ndarray


def gravel(seed: int, grain_px: float, contrast: float) -> Pixels:
    """Grains of one size, in colours."""
    rng = np.random.default_rng(seed)
    grains = rng.normal(size=(SIDE, SIDE, 3)) + 1.5 * rng.normal(size=(SIDE, SIDE, 1))
    grains = cv2.GaussianBlur(grains, (0, 0), grain_px / 3)
    return _picture(grains, contrast)


def foliage(seed: int, falloff: float, contrast: float) -> Pixels:
    """Structure of all sizes, its amplitude falling as ``frequency ** -falloff``."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE))
    frequency[0, 0] = 1 / SIDE
    noise = rng.normal(size=(3, SIDE, SIDE)) + 1.5 * rng.normal(size=(1, SIDE, SIDE))
    shaped = np.fft.ifft2(np.fft.fft2(noise) / frequency**falloff).real
    return _picture(np.moveaxis(shaped, 0, 2), contrast)


def stripes(phase: float, period_px: float, angle: float, contrast: float) -> Pixels:
    y, x = np.mgrid[:SIDE, :SIDE]
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period_px + phase)
    return _picture(np.repeat(wave[..., None], 3, axis=2), contrast)


def encoded(picture: Pixels | Image.Image, form: str, quality: int) -> Image.Image:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, form, quality=quality)
    return Image.open(buffer).convert("RGB")


def frame(pixels: Pixels, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """A part of the picture, in shares of its sides, at the size of the whole."""
    box = (left * SIDE, top * SIDE, right * SIDE, bottom * SIDE)
    return Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box)


def down_and_up(pixels: Pixels, factor: float) -> Image.Image:
    picture = Image.fromarray(pixels)
    small = picture.resize((round(SIDE * factor),) * 2, Image.Resampling.LANCZOS)
    return small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def tinted(pixels: Pixels) -> Pixels:
    return np.clip(pixels * np.array([1.06, 0.98, 0.94]) + (4, 0, -4), 0, 255).astype(np.uint8)


def softened(pixels: Pixels, sigma: float) -> Pixels:
    return cv2.GaussianBlur(pixels, (0, 0), sigma)


def _picture(values: np.ndarray, contrast: float) -> Pixels:
    values = (values - values.mean()) / values.std()
    return np.clip(125 + contrast * values, 0, 255).astype(np.uint8)
