"""Images that are at hand written as ImageNet comes: train/<class>/*.JPEG and val/<class>/*.JPEG.

They stand in for ImageNet where a preparation and a training are to be tried. They are not ImageNet:
small pictures enlarged stay what they were.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image as PilImage
from torch import Tensor

from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.paper import IMAGE_SIDE


def write_class_folders(images: ImageSet, root: Path, *, train: int, val: int, quality: int = 90) -> Path:
    """Writes the first `train` and `val` images of each class, enlarged to 256 × 256; gives `root`.

    train, val: images of each class, from the two splits. quality: of the JPEGs, 1–100. The
    classes get names such as n00000003, in their order. Files that are there already are kept, so
    it may be killed and called again. Raises ValueError where a split has too few images of a class.
    """
    for name, split, count in (("train", images.train, train), ("val", images.test, val)):
        for label, title in enumerate(split.classes):
            places = (split.labels == label).nonzero().flatten()
            if not 1 <= count <= len(places):
                raise ValueError(f"{name}={count!r}, but there are {len(places)} images of {title!r}")
            _write_class(split, places[:count], root / name / f"n{label:08d}", quality)
    return root


def _write_class(split: Images, places: Tensor, folder: Path, quality: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place in places.tolist():
        path = folder / f"{folder.name}_{place}.JPEG"
        if path.exists():
            continue
        partial = path.with_suffix(".partial")
        partial.write_bytes(simplejpeg.encode_jpeg(_enlarged(split.pixels[place]), quality))
        partial.replace(path)


def _enlarged(pixels: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(3, H, W) uint8 -> (256, 256, 3) uint8, by a cubic curve through the pixels."""
    small = PilImage.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    return np.asarray(small.resize((IMAGE_SIDE, IMAGE_SIDE), PilImage.Resampling.BICUBIC))
