"""Ten classes of generated textures: the stand-in where CIFAR-10 is not at hand.

Each image shows one disc that carries one of ten patterns. Its place, size, phase, colours
and contrast are drawn at random, and so are the background, eight flat shapes in the way,
and the noise on every pixel. The sign of the pattern is a fair coin, so the mean image of
every class is the same: no pixel, and no weighted sum of pixels, tells the classes apart.
As in photographs, most of the variance is brightness that says nothing about the class.

Everything is drawn and computed in integers (the few tables come from correctly rounded
or rounded-off functions), so the same arguments give the same bytes on every machine.

Measured on 10,000 images: a linear classifier errs on 89% of the test images (chance is 90%);
the network of Figure 1 reaches 25% training error in about 4 epochs with ReLU and 8 with tanh,
each at its best rate, and then errs on 14–28% of the test images.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from alexnet_edu.data.images import Images, ImageSet

CLASSES = (
    "level stripes",
    "upright stripes",
    "rising stripes",
    "falling stripes",
    "checks",
    "diamonds",
    "rings",
    "star",
    "left spiral",
    "right spiral",
)
# of the first phase, degrees from the x-axis; the last four classes have none
DIRECTION = np.array([90, 0, 45, 135, 0, 45, 0, 0, 0, 0], np.int32)
SOURCE = "synthetic stand-in, generated from a seed"

WAVELENGTH = (4.5, 6.5)  # pixels per period at 32×32
RADIUS = (8.0, 12.0)  # of the disc, pixels at 32×32
TILT = 14  # degrees by which stripes may be off their direction
ARMS = 6  # of the star and of the spirals
CONTRAST = (15, 50)  # amplitude of the pattern, grey levels
NOISE = 20  # half-width of the uniform noise on each pixel, grey levels
SHAPES = 8  # flat discs and boxes behind the pattern
CHUNK = 500  # images drawn at once: bounds the memory

Ints = NDArray[np.int32]
# 256 steps of a period, −127…127: the only sine that pixels ever see
SINE: Ints = np.round(127 * np.sin(np.arange(256) * (2 * np.pi / 256))).astype(np.int32)


def synthetic_images(train: int = 10_000, test: int = 2_000, seed: int = 0, size: int = 32) -> ImageSet:
    """Generates the stand-in: ten classes, as equal in number as `train` and `test` allow.

    train, test: number of images, at least 1. seed: another seed, other images of the same
    kind. size: height and width in pixels, 16–256; shapes and wavelengths grow with it.
    Raises ValueError for numbers outside these.
    """
    if train < 1 or test < 1:
        raise ValueError(f"both splits need at least one image, got train={train}, test={test}")
    if not 16 <= size <= 256:
        raise ValueError(f"size must be 16 to 256 pixels, got {size}")
    return ImageSet(_split(train, size, (seed, 0)), _split(test, size, (seed, 1)))


def _split(count: int, size: int, seed: tuple[int, int]) -> Images:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count, dtype=np.int64) % len(CLASSES))
    pixels = np.empty((count, 3, size, size), np.uint8)
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        pixels[part] = _draw(labels[part], size, rng)
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels), CLASSES, SOURCE, synthetic=True)


def _draw(labels: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(N, 3, size, size) uint8: background, shapes, the patterned disc, noise."""
    n = len(labels)
    canvas = _background(n, size, rng)  # (N, 3, H, W)
    for _ in range(SHAPES):
        inside = _shape(n, size, rng)
        canvas = np.where(inside[:, None], _colour(n, rng), canvas)
    pattern, inside = _pattern(labels, size, rng)
    contrast = rng.integers(*CONTRAST, (n, 3, 1, 1), dtype=np.int32, endpoint=True)
    sign = 2 * rng.integers(0, 2, (n, 1, 1, 1), dtype=np.int32) - 1
    textured = _colour(n, rng) + sign * contrast * pattern[:, None] // 127
    canvas = np.where(inside[:, None], textured, canvas)
    canvas = canvas + rng.integers(-NOISE, NOISE, canvas.shape, dtype=np.int32, endpoint=True)
    return canvas.clip(0, 255).astype(np.uint8)


def _colour(n: int, rng: np.random.Generator) -> Ints:
    """(N, 3, 1, 1): a brightness that all channels share, and a little colour."""
    grey = rng.integers(40, 215, (n, 1, 1, 1), dtype=np.int32, endpoint=True)
    return grey + rng.integers(-35, 35, (n, 3, 1, 1), dtype=np.int32, endpoint=True)


def _grid(size: int) -> tuple[Ints, Ints]:
    """Row and column of each pixel, (H, W), in eighths of a pixel of a 32×32 image."""
    place = (np.arange(size, dtype=np.int32) * 256 + 128) // size
    y, x = np.meshgrid(place, place, indexing="ij")
    return y, x


def _background(n: int, size: int, rng: np.random.Generator) -> Ints:
    """(N, 3, H, W): a colour and a brightness ramp in a random direction."""
    y, x = _grid(size)
    slope_y, slope_x = rng.integers(-60, 60, (2, n, 1, 1), dtype=np.int32, endpoint=True)
    ramp = (slope_y * (y - 128) + slope_x * (x - 128)) // 256
    return _colour(n, rng) + ramp[:, None]


def _shape(n: int, size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(N, H, W): a disc or a box somewhere, 2–7 pixels from centre to edge."""
    y, x = _grid(size)
    cy, cx = rng.integers(0, 256, (2, n, 1, 1), dtype=np.int32)
    height, width = rng.integers(16, 56, (2, n, 1, 1), dtype=np.int32)
    disc = rng.integers(0, 2, (n, 1, 1), dtype=np.int32) == 1
    dy, dx = y - cy, x - cx
    return np.where(disc, dy * dy + dx * dx < height * width, (abs(dy) < height) & (abs(dx) < width))


def _pattern(
    labels: NDArray[np.int64], size: int, rng: np.random.Generator
) -> tuple[Ints, NDArray[np.bool_]]:
    """The pattern of each label, (N, H, W) in −127…127, and the disc it fills, (N, H, W)."""
    n = len(labels)
    y, x = _grid(size)
    radius = rng.integers(int(8 * RADIUS[0]), int(8 * RADIUS[1]), (n, 1, 1), dtype=np.int32, endpoint=True)
    cy, cx = rng.integers(80, 176, (2, n, 1, 1), dtype=np.int32, endpoint=True)
    dy, dx = y - cy, x - cx
    square = dy * dy + dx * dx
    u, v = _phases(labels, dy, dx, square, rng)
    two = np.isin(labels, (CLASSES.index("checks"), CLASSES.index("diamonds")))[:, None, None]
    # A product of sines has half the amplitude of one sine: give it more, within the range.
    product = (SINE[u & 255] * SINE[v & 255] // 90).clip(-127, 127)
    return np.where(two, product, SINE[u & 255]), square < radius * radius


def _phases(
    labels: NDArray[np.int64], dy: Ints, dx: Ints, square: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Two phases per pixel, (N, H, W), 256 to a period; only checks and diamonds use the second."""
    n = len(labels)
    shortest, longest = (int(8 * w) for w in WAVELENGTH)
    wavelength = rng.integers(shortest, longest, n, dtype=np.int32, endpoint=True)
    direction = DIRECTION[labels]
    degrees = direction + rng.integers(-TILT, TILT, n, dtype=np.int32, endpoint=True)
    u, v = _along(degrees, wavelength, dy, dx), _along(degrees + 90, wavelength, dy, dx)
    distance = (np.sqrt(square) * 256 / wavelength[:, None, None]).astype(np.int32)
    turn = np.round(np.arctan2(dy, dx) * (256 * ARMS / (2 * np.pi))).astype(np.int32)
    name = np.array(CLASSES)[labels][:, None, None]
    u = np.where(name == "rings", distance, u)
    u = np.where(name == "star", turn, u)
    u = np.where(name == "left spiral", distance + turn // 2, u)
    u = np.where(name == "right spiral", distance - turn // 2, u)
    start_u, start_v = rng.integers(0, 256, (2, n, 1, 1), dtype=np.int32)
    return u + start_u, v + start_v


def _along(degrees: Ints, wavelength: Ints, dy: Ints, dx: Ints) -> Ints:
    """(N, H, W): phase that grows along the direction `degrees`, counted from the x-axis."""
    angle = np.deg2rad(degrees.astype(np.float64))
    step = 65536 / wavelength
    ky, kx = (np.round(f(angle) * step).astype(np.int32)[:, None, None] for f in (np.sin, np.cos))
    return (ky * dy + kx * dx) >> 8
