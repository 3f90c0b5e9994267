"""Crops and reflections (§4.1): a batch of uint8 images in, a batch out."""

from __future__ import annotations

import torch
from torch import Tensor


def center_crop(images: Tensor, size: int) -> Tensor:
    """(N, C, H, W) -> (N, C, size, size), a view of the middle; odd borders end after it."""
    _check(images, size)
    top, left = (images.shape[2] - size) // 2, (images.shape[3] - size) // 2
    return images[:, :, top : top + size, left : left + size]


def random_crop_flip(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """(N, C, H, W) -> (N, C, size, size): each image cropped and mirrored by its own draw.

    All places and both directions are equally likely. (The authors' code drew once for 32
    images in a row, but for CIFAR-10 once for each: `convdata_cifar.py` 93-99.)
    Keeps the type and the channels-last layout.
    """
    _check(images, size)
    count, _, height, width = images.shape
    tops = torch.randint(height - size + 1, (count,), generator=generator).tolist()
    lefts = torch.randint(width - size + 1, (count,), generator=generator).tolist()
    mirrored = torch.randint(2, (count,), generator=generator).tolist()
    out = torch.empty_like(images[:, :, :size, :size])
    for i, (top, left, mirror) in enumerate(zip(tops, lefts, mirrored, strict=True)):
        crop = images[i, :, top : top + size, left : left + size]
        out[i] = crop.flip(2) if mirror else crop
    return out


def _check(images: Tensor, size: int) -> None:
    if images.dim() != 4 or not 1 <= size <= min(images.shape[2:]):
        raise ValueError(f"cannot crop {size} × {size} pixels out of images of shape {tuple(images.shape)}")
