"""Mean image and colour PCA of the training images, from sums that are exact.

Sums of whole numbers do not depend on the order in which they are added. So it does not matter
how many processes share the work, or how often it was interrupted: the results are the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from alexnet_edu.paper import IMAGE_SIDE

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
MAX_IMAGES = 2**20  # of a shard; its sum image is stored in 32 bits


class PixelSums:
    """What one shard contributes: the sum image, and the sums of products of two colours.

    Added up in float64, which is fast, and exact here: it holds every whole number up to 2^53,
    and even MAX_IMAGES images of 256² products of 255² stay below that.
    """

    def __init__(self) -> None:
        self._pixels = torch.zeros(IMAGE_SIDE**2, 3, dtype=torch.float64)
        self._products = torch.zeros(3, 3, dtype=torch.float64)
        self._image = torch.empty_like(self._pixels)  # one for all: new memory would cost more than the sums

    def add(self, pixels: Pixels) -> None:
        """pixels: (256, 256, 3) uint8, RGB."""
        image = self._image.copy_(torch.from_numpy(pixels).view(-1, 3))
        self._pixels.add_(image)
        self._products.add_(image.T @ image)

    def tensors(self) -> dict[str, np.ndarray[Any, Any]]:
        """pixel_sum: (3, 256, 256) int32. color_products: (3, 3) int64, Σ of colour i times colour j."""
        planes = self._pixels.T.to(torch.int32).reshape(3, IMAGE_SIDE, IMAGE_SIDE)
        return {
            "color_products": self._products.to(torch.int64).numpy(),
            "pixel_sum": planes.contiguous().numpy(),
        }


class TotalSums:
    """The sums of several shards. All in whole numbers: Python's own where 64 bits might not do."""

    def __init__(self) -> None:
        self.images = 0
        self.pixel_sum = np.zeros((3, IMAGE_SIDE, IMAGE_SIDE), dtype=np.uint64)
        self.products = [[0] * 3 for _ in range(3)]

    def add(self, images: int, pixel_sum: np.ndarray[Any, Any], products: np.ndarray[Any, Any]) -> None:
        """What `PixelSums.tensors` gave for a shard of so many images."""
        self.images += images
        self.pixel_sum += pixel_sum.astype(np.uint64)
        for i, row in enumerate(products.tolist()):
            for j, value in enumerate(row):
                self.products[i][j] += int(value)

    def statistics(self) -> dict[str, np.ndarray[Any, Any]]:
        """mean_image: (3, 256, 256) float32, 0–255. color_mean: (3,) float64, of all pixels.

        eigenvalues: (3,) float64, variances of the pixels' colours, the largest first.
        eigenvectors: (3, 3) float64, as columns, each with its largest component positive.
        There must be an image.
        """
        count = self.images * IMAGE_SIDE**2
        sums = [int(plane.sum(dtype=np.uint64)) for plane in self.pixel_sum]
        # Whole numbers to the last step: a division of two of them is rounded once.
        covariance = np.array(
            [
                [(count * self.products[i][j] - sums[i] * sums[j]) / count**2 for j in range(3)]
                for i in range(3)
            ]
        )
        values, vectors = np.linalg.eigh(covariance)
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]  # rounding may leave −1e-13
        signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), range(3)])
        return {
            "color_mean": np.array([total / count for total in sums]),
            "eigenvalues": values,
            "eigenvectors": np.ascontiguousarray(vectors * signs),
            "mean_image": (self.pixel_sum / self.images).astype(np.float32),
        }
