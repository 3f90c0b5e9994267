"""From the pixels of an image to what a network reads: the middle, minus the mean image, divided."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from alexnet_edu.data.augment import center_crop
from alexnet_edu.data.images import Images


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
    def of(cls, images: Images, side: int, *, standardized: bool = True) -> Preparation:
        """Mean image and, if `standardized`, standard deviation of the training images."""
        pixels = images.pixels.float()
        mean = pixels.mean(0)
        return cls(mean, (pixels - mean).std().item() if standardized else 1.0, side)

    def __call__(self, batch: Tensor) -> Tensor:
        """float32 (N, 3, side, side). Images that are smaller than that raise ValueError."""
        mean = center_crop(self.mean[None], self.side).to(batch.device)
        x = center_crop(batch, self.side).float() - mean
        return x if self.std == 1 else x / self.std
