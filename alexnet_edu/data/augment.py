"""More images out of the same ones (§4.1): a batch of images in, a batch out.

Crops and reflections, the ten patches of a test, colour PCA; then what the paper did not use, several
steps as one, and what a network finally reads. Every image gets a draw to itself, from a generator that
the caller passes: a generator on the CPU draws the same crops for images on any device.

On a CPU, large crops are copied one by one, which is many times faster there than one indexed gather.
Small crops, and all crops on an accelerator, are gathered in one step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu.data.images import Images

PATCHES = ("top left", "top right", "centre", "bottom left", "bottom right")
SMALL = 4_096  # values of a crop; up to here, gathering is faster than a loop on a CPU
TEN_PATCHES = (*PATCHES, *(f"{name}, mirrored" for name in PATCHES))


# --- crops and reflections ----------------------------------------------------------------


def center_crop(images: Tensor, size: int) -> Tensor:
    """(N, C, H, W) -> (N, C, size, size), a view of the middle; odd borders end after it."""
    _check(images, size)
    top, left = (images.shape[2] - size) // 2, (images.shape[3] - size) // 2
    return images[:, :, top : top + size, left : left + size]


class Crops(NamedTuple):
    """One place and direction for each image: tops, lefts in pixels, mirrored 0 or 1, all (N,) int64."""

    tops: Tensor
    lefts: Tensor
    mirrored: Tensor

    def rows(self, start: int, stop: int) -> Crops:
        """Those of the images from `start` up to but without `stop`."""
        return Crops(*(draws[start:stop] for draws in self))


def draw_crops(
    count: int, border: tuple[int, int], generator: torch.Generator, *, shared: int = 1, flip: bool = True
) -> Crops:
    """Places for `count` crops, all equally likely; on the generator's device.

    border: (down, right), by how many pixels the images are higher and wider than the crops.
    shared, flip: as in `random_crop_and_flip`.
    """
    if shared < 1:
        raise ValueError(f"at least one image shares a draw, got shared={shared!r}")
    shape, device = (math.ceil(count / shared),), generator.device
    tops = torch.randint(border[0] + 1, shape, generator=generator, device=device)
    lefts = torch.randint(border[1] + 1, shape, generator=generator, device=device)
    mirrored = torch.randint(2, shape, generator=generator, device=device) * flip
    draws = (tops, lefts, mirrored)
    return Crops(*(t.repeat_interleave(shared)[:count] if shared > 1 else t for t in draws))


def crop_and_flip(images: Tensor, size: int, crops: Crops) -> Tensor:
    """(N, C, H, W) -> (N, C, size, size): every image cropped and mirrored as `crops` says.

    Keeps the type and the channels-last layout. Raises ValueError where the crop does not fit,
    or there is not one draw for each image.
    """
    _check(images, size)
    if len(crops.tops) != len(images):
        raise ValueError(f"there are {len(images)} images, but {len(crops.tops)} places to crop them")
    draws = [t.to(images.device) for t in crops]
    together = images.device.type != "cpu" or images.shape[1] * size**2 <= SMALL
    return (_gather if together else _copy)(images, size, *draws)


def random_crop_and_flip(
    images: Tensor, size: int, generator: torch.Generator, *, shared: int = 1, flip: bool = True
) -> Tensor:
    """(N, C, H, W) -> (N, C, size, size): every image cropped and mirrored by its own draw.

    All (H − size + 1)(W − size + 1) places and both directions are equally likely: 33 · 33 · 2
    = 2178 outcomes for 224 of 256 pixels, where §4.1 counts 2048.
    shared: so many images in a row share one draw, as the authors' ImageNet code has it with 32
        (`convdata_jpeg.py` 238); their CIFAR-10 code draws for each (`convdata_cifar.py` 93).
    flip: False mirrors nothing.
    Keeps the type and the channels-last layout. Raises ValueError where the crop does not fit.
    """
    _check(images, size)
    border = (images.shape[2] - size, images.shape[3] - size)
    return crop_and_flip(images, size, draw_crops(len(images), border, generator, shared=shared, flip=flip))


def _copy(images: Tensor, size: int, tops: Tensor, lefts: Tensor, mirrored: Tensor) -> Tensor:
    """The crops one after the other. tops, lefts, mirrored: (N,) int64 on the images' device."""
    out = torch.empty_like(images[:, :, :size, :size])
    # One view of the storage for each image, by where its crop begins: half the time of four slices.
    each, *strides = images.stride()
    begins = torch.arange(len(images), device=images.device) * each + images.storage_offset()
    begins = begins + tops * strides[1] + lefts * strides[2]
    for i, (begin, mirror) in enumerate(zip(begins.tolist(), mirrored.tolist(), strict=True)):
        crop = images.as_strided(out.shape[1:], strides, begin)
        out[i].copy_(crop.flip(2) if mirror else crop)
    return out


def _gather(images: Tensor, size: int, tops: Tensor, lefts: Tensor, mirrored: Tensor) -> Tensor:
    """The same crops in one indexing step, out of all windows of the images and of their reflections."""
    count, channels, _, width = images.shape
    each = torch.arange(count, device=images.device) + count * mirrored
    lefts = torch.where(mirrored == 1, width - size - lefts, lefts)
    both = torch.cat([images, images.flip(3)])
    if channels == 1 or images.stride(1) != 1:
        windows = both.contiguous().unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5)
        return windows[each, tops, lefts]
    rows = both.permute(0, 2, 3, 1).flatten(2)  # (2N, H, W C): channels last, so a window's row is whole
    windows = rows.unfold(1, size, 1).unfold(2, size * channels, channels)
    return windows[each, tops, lefts].view(count, size, size, channels).permute(0, 3, 1, 2)


def ten_crop(images: Tensor, size: int) -> Tensor:
    """(N, C, H, W) -> (N, 10, C, size, size): the patches of §4.1 in the order of `TEN_PATCHES`.

    Four corners and the middle, then the same five mirrored (`convdata_jpeg.py` 226-233).
    """
    _check(images, size)
    down, right = images.shape[2] - size, images.shape[3] - size
    places = ((0, 0), (0, right), (down // 2, right // 2), (down, 0), (down, right))
    five = torch.stack([images[:, :, t : t + size, s : s + size] for t, s in places], dim=1)
    return torch.cat([five, five.flip(4)], dim=1)


def _check(images: Tensor, size: int) -> None:
    if images.dim() != 4 or not 1 <= size <= min(images.shape[2:]):
        raise ValueError(f"cannot crop {size} × {size} pixels out of images of shape {tuple(images.shape)}")


# --- colour -------------------------------------------------------------------------------

STRENGTHS = ("stdevs", "eigenvalues", "eigenvalues of 0–1")
CACHED = 2**18  # values of 4 bytes that fit into a CPU's cache


@dataclass(frozen=True)
class ColorPCA:
    """The principal directions of the colours of a set of images, and the noise along them.

    mean: (3,) float64, 0–255. eigenvalues: (3,) float64, variances in squared grey levels of
    0–255, the largest first. eigenvectors: (3, 3) float64, p1, p2, p3 as columns.

    Each image I gets one draw, the same for all its pixels (§4.1):
    I + [p1 p2 p3] [α1 s1, α2 s2, α3 s3]ᵀ with α ~ N(0, std²). What s is decides everything:
    "stdevs": √λ, which is what the authors' variable is called (`convdata_jpeg.py` 57-66);
    "eigenvalues": λ as printed, for pixels of 0–255: absurdly strong; "eigenvalues of 0–1":
    λ for pixels of 0–1, and the result back on 0–255.
    """

    mean: Tensor
    eigenvalues: Tensor
    eigenvectors: Tensor

    @staticmethod
    def fit(images: Tensor | Iterable[Tensor]) -> ColorPCA:
        """The covariance of all pixels' colours, in float64, and its eigenvectors.

        images: (N, 3, H, W) with values 0–255, or batches of such, read once, one after the other.
        Raises ValueError for no pixels, for another number of channels, or values that are no numbers.
        """
        count, mean, scatter = 0, torch.zeros(3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
        batches = _parts(images) if isinstance(images, Tensor) else images
        for batch in batches:
            if batch.dim() != 4 or batch.shape[1] != 3:
                raise ValueError(f"expected RGB images (N, 3, H, W), got {tuple(batch.shape)}")
            colors = batch.transpose(0, 1).flatten(1).double()  # (3, pixels)
            here = colors.shape[1]
            if here == 0:
                continue
            middle = colors.mean(1)
            apart = colors - middle[:, None]
            shift = middle.cpu() - mean  # two groups' scatters add up, and that of their means
            scatter += (apart @ apart.T).cpu() + torch.outer(shift, shift) * (count * here / (count + here))
            mean += shift * (here / (count + here))
            count += here
        if count == 0:
            raise ValueError("the principal directions of the colours need at least one pixel, got none")
        if not torch.isfinite(scatter).all():
            raise ValueError("some pixel is not a finite number; colours must lie in 0–255")
        values, vectors = torch.linalg.eigh(scatter / count)
        return ColorPCA(mean, values.flip(0).clamp(min=0), vectors.flip(1))

    def strengths(self, kind: str = "stdevs") -> Tensor:
        """(3,) float64: s1, s2, s3 in grey levels, see the class. Raises ValueError for no such kind."""
        if kind not in STRENGTHS:
            raise ValueError(f"unknown strength {kind!r}; choose one of {', '.join(map(repr, STRENGTHS))}")
        if kind == "stdevs":
            return self.eigenvalues.sqrt()
        return self.eigenvalues / (1.0 if kind == "eigenvalues" else 255.0)

    def shifts(
        self, count: int, generator: torch.Generator, *, std: float = 0.1, kind: str = "stdevs"
    ) -> Tensor:
        """(count, 3) float64: what is added to red, green and blue of so many images, in grey levels."""
        if not (math.isfinite(std) and std >= 0):
            raise ValueError(f"the standard deviation of α must be 0 or more, got {std!r}")
        device = generator.device
        alpha = std * torch.randn(count, 3, generator=generator, device=device, dtype=torch.float64)
        # Row by row: P (α ∘ s) = (α ∘ s) Pᵀ
        return (alpha * self.strengths(kind).to(device)) @ self.eigenvectors.to(device).T

    def apply(
        self,
        images: Tensor,
        std: float = 0.1,
        generator: torch.Generator | None = None,
        *,
        kind: str = "stdevs",
        divisor: float = 1.0,
        shifts: Tensor | None = None,
    ) -> Tensor:
        """(N, 3, H, W), values 0–255 -> float32 of the same shape; colours shifted, one draw an image.

        generator: of the draws; torch's own if None. divisor: what the sum is divided by; the authors'
        code has 1.1, in training alone (`convdata_jpeg.py` 179). shifts: (N, 3), drawn before by `shifts`,
        in place of a draw. Values may leave 0–255, and differences between the pixels of an image stay as
        they are (unless divided).
        Raises ValueError for a divisor that is not positive.
        """
        if images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"expected RGB images (N, 3, H, W), got {tuple(images.shape)}")
        if not (math.isfinite(divisor) and divisor > 0):
            raise ValueError(f"the sum is divided by a positive number, got {divisor!r}")
        if shifts is None:
            shifts = self.shifts(len(images), generator or torch.default_generator, std=std, kind=kind)
        shifts = shifts.to(images.device, torch.float32)
        out = torch.empty_like(images, dtype=torch.float32)
        some = max(1, len(images) if images.device.type != "cpu" else CACHED // max(1, out[:1].numel()))
        for start in range(0, len(images), some):
            part = out[start : start + some].copy_(images[start : start + some])
            _add_colors(part, shifts[start : start + some])
            if divisor != 1.0:
                part.div_(divisor)
        return out


def _parts(images: Tensor) -> Sequence[Tensor]:
    """A million pixels at a time, 1,000 images of 32 × 32: in float64 they take 25 MB."""
    return images.split(max(1, 1_024_000 // max(1, math.prod(images.shape[2:]))))


def _add_colors(images: Tensor, colors: Tensor) -> None:
    """Adds to (N, 3, H, W) in place what (N, 3) says, whole rows at a time where channels come last."""
    rows = images.permute(0, 2, 3, 1)  # (N, H, W, 3)
    if rows.is_contiguous():
        rows.flatten(2).add_(colors.repeat(1, rows.shape[2])[:, None])
    else:
        images.add_(colors[:, :, None, None])


# --- what the paper did not use -----------------------------------------------------------


def random_affine(
    images: Tensor, generator: torch.Generator, *, degrees: float = 0.0, scale: float = 1.0
) -> Tensor:
    """(N, C, H, W) -> float32: every image turned and scaled about its middle by its own draw.

    degrees: angles are uniform in ±degrees. scale: at least 1; factors lie between 1/scale and
    scale, evenly by their logarithm. Bilinear; what comes in from outside repeats the edge.
    """
    if not 0 <= degrees <= 180 or not (math.isfinite(scale) and scale >= 1):
        raise ValueError(f"expected 0–180 degrees and a scale of at least 1, got {degrees!r} and {scale!r}")
    count = len(images)
    device = generator.device
    angles, sizes = (2 * torch.rand(2, count, generator=generator, device=device) - 1).to(images.device)
    angles, sizes = angles * math.radians(degrees), torch.exp(sizes * math.log(scale))
    cos, sin, zero = angles.cos() / sizes, angles.sin() / sizes, torch.zeros_like(angles)
    tall = images.shape[2] / images.shape[3]  # the grid's unit is half a side, which may differ
    theta = torch.stack([cos, -sin * tall, zero, sin / tall, cos, zero], dim=1).view(count, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def random_vertical_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) -> the same type: every image is turned upside down with probability 1/2."""
    flipped = torch.randint(2, (len(images),), generator=generator, device=generator.device) == 1
    return torch.where(flipped.to(images.device)[:, None, None, None], images.flip(2), images)


def add_noise(images: Tensor, generator: torch.Generator, *, std: float) -> Tensor:
    """(N, C, H, W), 0–255 -> float32: independent N(0, std²) on every value, std in grey levels."""
    if not (math.isfinite(std) and std >= 0):
        raise ValueError(f"the standard deviation of the noise must be 0 or more, got {std!r}")
    noise = torch.randn(images.shape, generator=generator, device=generator.device)
    return images.float() + std * noise.to(images.device)


# --- several of them ----------------------------------------------------------------------

STEPS = ("rotate", "scale", "upside-down", "crop", "flip", "colour", "noise")  # in this order
ROTATION = 15.0  # degrees
SCALING = 1.25
NOISE = 10.0  # grey levels


def composed(
    steps: Sequence[str], size: int, colors: ColorPCA | None = None
) -> Callable[[Tensor, torch.Generator], Tensor]:
    """A function that does these steps, always in the order of `STEPS`, down to size × size pixels.

    What moves pixels comes first, on the whole image; then the crop, the middle one unless
    "crop" is a step; then what changes values. colors: for "colour", with std 0.1 and standard
    deviations as strengths. Raises ValueError for an unknown step, or "colour" without `colors`.
    """
    if unknown := [step for step in steps if step not in STEPS]:
        raise ValueError(f"unknown augmentation {unknown[0]!r}; there are {', '.join(STEPS)}")
    steps = tuple(steps)  # the caller's list may change
    if "colour" in steps and colors is None:
        raise ValueError("the step 'colour' needs the principal directions: ColorPCA.fit(images)")

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        if "rotate" in steps:
            images = random_affine(images, generator, degrees=ROTATION)
        if "scale" in steps:
            images = random_affine(images, generator, scale=SCALING)
        if "upside-down" in steps:
            images = random_vertical_flip(images, generator)
        if "crop" not in steps:
            images = center_crop(images, size)
        if "crop" in steps or "flip" in steps:
            images = random_crop_and_flip(images, size, generator, flip="flip" in steps)
        if "colour" in steps and colors is not None:
            images = colors.apply(images, generator=generator)
        return add_noise(images, generator, std=NOISE) if "noise" in steps else images

    return augment


# --- what a network reads --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Preparation:
    """uint8 (N, 3, H, W) -> what a network reads: the middle, minus the mean image's middle, divided.

    mean: (3, H, W) float32, 0–255; it moves with the images to their device. std: 1 leaves the scale.
    side: of the result in pixels. Raises ValueError for numbers that cannot be those of a mean image.
    """

    mean: Tensor
    std: float
    side: int

    def __post_init__(self) -> None:
        shape = tuple(self.mean.shape)
        if len(shape) != 3 or shape[0] != 3 or not 1 <= self.side <= min(shape[1:]):
            raise ValueError(
                f"the mean image must be (3, H, W), at least {self.side} pixels a side; got {shape}"
            )
        if not (math.isfinite(self.std) and self.std > 0):
            raise ValueError(f"pixels are divided by a positive number, got {self.std!r}")

    @classmethod
    def of(cls, images: Images, side: int) -> Preparation:
        """With the mean image and the standard deviation of the training images."""
        pixels = images.pixels.float()
        mean = pixels.mean(0)
        return cls(mean, (pixels - mean).std().item(), side)

    def __call__(self, batch: Tensor) -> Tensor:
        """float32 (N, 3, side, side). Images that are smaller than that raise ValueError."""
        mean = center_crop(self.mean[None], self.side).to(batch.device)
        x = center_crop(batch, self.side).float() - mean
        return x if self.std == 1 else x / self.std
