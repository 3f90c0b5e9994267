"""Mean image and colour PCA of the training images, from sums that are exact.

Sums of whole numbers do not depend on the order in which they are added. So it does not matter
how many processes share the work, or how often it was interrupted: the results are the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from alexnet_edu.data.decode import Pixels
from alexnet_edu.paper import IMAGE_SIDE

MAX_IMAGES = 2**16  # of a shard


class PixelSums:
    """What one shard contributes: the sum image, and the sums of products of two colours.

    Added up in float32, whose half of the memory is what makes it fast. It holds every whole
    number up to 2^24, and both a pixel over MAX_IMAGES images and the products of a row of an
    image, 256 · 255², stay below that. Rows are added in float64.
    Raises RuntimeError where torch was told to multiply float32 with fewer bits.
    """

    def __init__(self) -> None:
        self._rows = torch.empty(IMAGE_SIDE, IMAGE_SIDE, 3)  # one for all: new memory costs more than sums
        self._pixels = torch.zeros_like(self._rows)
        self._products = torch.zeros(IMAGE_SIDE, 3, 3, dtype=torch.float64)
        bright = 255 - torch.arange(8 * IMAGE_SIDE * 3).remainder(7)
        rows = bright.view(8, IMAGE_SIDE, 3)
        if not torch.equal(_products(rows.float()).long(), rows.mT @ rows):
            raise RuntimeError(
                "products of float32 are rounded here, and sums would not be exact: call "
                "torch.set_float32_matmul_precision('highest'), and unset DNNL_DEFAULT_FPMATH_MODE"
            )

    def add(self, pixels: Pixels) -> None:
        """pixels: (256, 256, 3) uint8, RGB."""
        rows = self._rows.copy_(torch.from_numpy(pixels))
        self._pixels.add_(rows)
        self._products.add_(_products(rows))

    def tensors(self) -> dict[str, np.ndarray[Any, Any]]:
        """pixel_sum: (3, 256, 256) int32. color_products: (3, 3) int64, Σ of colour i times colour j."""
        planes = self._pixels.permute(2, 0, 1).to(torch.int32).contiguous()
        products = self._products.to(torch.int64).sum(0)
        return {"color_products": products.numpy(), "pixel_sum": planes.numpy()}


def _products(rows: torch.Tensor) -> torch.Tensor:
    """(H, W, 3) float32 -> (H, 3, 3): for each row the sums of products of two colours."""
    return torch.bmm(rows.mT, rows)


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
