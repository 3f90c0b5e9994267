"""A prepared folder made by hand, in the form that `imagenet.open_prepared` reads: quick, and few images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import simplejpeg
import torch
from safetensors.torch import save_file
from torch import Tensor

from alexnet_edu.data.augment import ColorPCA
from alexnet_edu.files import write_json

SIDE = 256


def blobs(count: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(count, 3, 256, 256) uint8 and (count,) labels: each class has a colour of its own, and stripes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    colors = torch.rand(classes, 3, generator=torch.Generator().manual_seed(99)) * 160 + 40
    coarse = torch.randn(count, 3, 8, 8, generator=generator) * 25
    pictures = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")
    stripes = 30 * torch.sin(torch.arange(SIDE) / 3.0)[None, :] * (labels % 2)[:, None]
    pictures = pictures + colors[labels][:, :, None, None] + stripes[:, None, None, :]
    return pictures.clamp(0, 255).to(torch.uint8), labels


def write(root: Path, splits: Mapping[str, tuple[Tensor, Tensor]], classes: int) -> Path:
    """Writes images (N, 3, 256, 256) uint8 and their labels; two shards for each split."""
    root.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {
        "format": "alexnet-edu-imagenet-1",
        "quality": 95,
        "side": SIDE,
        "classes": [{"wnid": f"n{i:08d}", "name": f"class {i}"} for i in range(classes)],
        "splits": {},
        "report": {"file": "report.json", "changed": 0, "left_out": 0},
        "source": {
            "label": "made by a test",
            "fingerprint": hashlib.sha256(str(classes).encode()).hexdigest(),
        },
    }
    for name, (pixels, labels) in splits.items():
        half = (len(pixels) + 1) // 2
        parts = [(pixels[:half], labels[:half]), (pixels[half:], labels[half:])]
        shards = [_shard(root, f"{name}-{i:05d}", part) for i, part in enumerate(parts) if len(part[0])]
        manifest["splits"][name] = {"images": len(pixels), "shards": shards}
    train = splits["train"][0]
    colors = ColorPCA.fit(train)
    numbers = {
        "mean_image": train.float().mean(0),
        "color_mean": colors.mean,
        "eigenvalues": colors.eigenvalues,
        "eigenvectors": colors.eigenvectors.contiguous(),
    }
    manifest["statistics"] = _written(root / "statistics.safetensors", numbers, {})
    write_json(root / "manifest.json", manifest, sealed=True)
    return root


def _shard(root: Path, name: str, part: tuple[Tensor, Tensor]) -> dict[str, Any]:
    pixels, labels = part
    data = [simplejpeg.encode_jpeg(p.permute(1, 2, 0).contiguous().numpy(), 95) for p in pixels]
    return _shard_of(root, name, data, labels)


def _shard_of(root: Path, name: str, data: list[bytes], labels: Tensor) -> dict[str, Any]:
    sizes = torch.tensor([0, *(len(d) for d in data)])
    tensors = {
        "bytes": torch.frombuffer(bytearray(b"".join(data)), dtype=torch.uint8),
        "offsets": sizes.cumsum(0),
        "labels": labels.clone(),
    }
    names = [f"{name}/image {i}" for i in range(len(data))]
    entry = _written(root / f"{name}.safetensors", tensors, {"names": json.dumps(names)})
    return {**entry, "images": len(data)}


def _written(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> dict[str, Any]:
    save_file(tensors, path, metadata)
    data = path.read_bytes()
    return {"file": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def small(root: Path, train: int = 48, val: int = 12, classes: int = 6) -> Path:
    """A few classes that a narrow network learns in some steps."""
    splits = {"train": blobs(train, classes), "val": blobs(val, classes, seed=1)}
    return write(root, splits, classes)
