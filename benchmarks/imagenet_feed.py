"""Images per second into training: the prepared set against reading the originals the usual way.

    ALEXNET_EDU_REAL_IMAGES=DIR python benchmarks/imagenet_feed.py [--rounds 5] [--threads 2]

The same photographs for all: `imagenet-samples.zip` of that folder, else generated JPEGs of 500 × 375
pixels (the first line says which). Out come batches of 128 float32 crops of 224 pixels. See
`benchmarks/README.md` for the variants. Each has a process of its own, and they take turns.

The last lines are `ratio NAME VALUE`: the median over the rounds of the ratio of two times from the
same round. Above 1 means that ours is faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
import zipfile
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder
from turns import Child, Measure, median_ratio, take_turns

from alexnet_edu.environment import keep_freed_memory
from alexnet_edu.imagenet.feed import Feed, Views
from alexnet_edu.imagenet.prepare import prepare
from alexnet_edu.imagenet.prepared import open_prepared

BATCH, SIDE, IMAGES = 128, 224, 256
VARIANTS = {
    "decode": "ours: prepared, decoded into batches (what a GPU is given)",
    "ours": "ours: prepared, decoded, crops, reflections, colour PCA and mean on the processor as well",
    "usual_crop": "ImageFolder, PIL, Resize(256), RandomCrop(224), flip, Normalize; DataLoader",
    "usual_resized": "the same with RandomResizedCrop(224)",
    "usual_prepared": "ImageFolder over 256 × 256 JPEGs, PIL, RandomCrop(224), flip, Normalize; DataLoader",
}
RATIOS = {
    "feed_for_a_gpu_vs_usual_random_crop": ("usual_crop", "decode"),
    "feed_for_a_gpu_vs_usual_random_resized_crop": ("usual_resized", "decode"),
    "feed_on_the_processor_vs_usual_random_crop": ("usual_crop", "ours"),
    "feed_on_the_processor_vs_usual_random_resized_crop": ("usual_resized", "ours"),
    "feed_for_a_gpu_vs_usual_on_prepared_files": ("usual_prepared", "decode"),
}


class Usual(ImageFolder):
    """As long as wanted, so that worker processes start once and batches are full."""

    def __init__(self, root: Path, steps: list[object]) -> None:
        super().__init__(str(root), transforms.Compose(steps))

    def __len__(self) -> int:
        return 10_000_000

    def __getitem__(self, index: int) -> tuple[object, int]:
        return super().__getitem__(index % len(self.samples))


def usual_steps(name: str) -> list[object]:
    """What the reference scripts do to an image, with a mean and a standard deviation of the usual kind."""
    first: list[object] = {
        "usual_crop": [transforms.Resize(256), transforms.RandomCrop(SIDE)],
        "usual_resized": [transforms.RandomResizedCrop(SIDE)],
        "usual_prepared": [transforms.RandomCrop(SIDE)],
    }[name]
    last = [
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize([0.5] * 3, [0.25] * 3),
    ]
    return [*first, *last]


def measure(name: str, root: str, threads: int) -> Measure:
    """A function that gives the seconds of one batch, measured over enough of them."""
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    folder = Path(root)
    if name.startswith("usual"):
        images: Dataset[tuple[object, int]] = Usual(
            folder / ("files256" if name == "usual_prepared" else "source/train"), usual_steps(name)
        )
        loader = DataLoader(images, BATCH, num_workers=threads, persistent_workers=True)
        batches = iter(loader)
        return lambda: _seconds(lambda: next(batches)[0])
    keep_freed_memory()
    prepared = open_prepared(folder / "prepared")
    feed, views = Feed(prepared.split("train"), batch_size=BATCH, workers=threads), Views(prepared)
    fed = feed.batches(0, 10_000_000)

    def one() -> torch.Tensor:
        batch = next(fed)
        return batch.pixels if name == "decode" else views.train(batch, batch.step)

    return lambda: _seconds(one)


def _seconds(one: object, at_least: float = 1.5) -> float:
    """Seconds a batch: whole batches for so long, after one that restarts what had run dry."""
    assert callable(one)
    for _ in range(6):  # what was made ahead while the others had their turn is used up
        one()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < at_least:
        one()
        count += 1
    return (time.perf_counter() - began) / count


# --- the images ---------------------------------------------------------------------------------


def sources(folder: Path) -> str:
    """Writes train/<class>/ with IMAGES photographs, and says which they are."""
    given = os.environ.get("ALEXNET_EDU_REAL_IMAGES")
    archive = Path(given or "") / "imagenet-samples.zip"
    if given and archive.exists():
        with zipfile.ZipFile(archive) as opened:
            names = [n for n in opened.namelist() if n.lower().endswith((".jpg", ".jpeg"))]
            data = [opened.read(name) for name in names]
        said = f"{len(data)} ImageNet photographs, {sum(map(len, data)) / len(data) / 1000:.0f} kB each"
    else:
        data, said = _generated(64), "generated JPEGs of 500 × 375 pixels"
    for i, (content, _) in enumerate(zip(cycle(data), range(IMAGES), strict=False)):
        path = folder / "train" / f"n{i % 8:08d}" / f"{i}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return said


def _generated(count: int) -> list[bytes]:
    import simplejpeg

    draws, found = np.random.default_rng(0), []
    for _ in range(count):
        coarse = Image.fromarray(draws.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        rows = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC)).astype(np.int16)
        noisy = (rows + draws.integers(-12, 13, rows.shape)).clip(0, 255).astype(np.uint8)
        found.append(simplejpeg.encode_jpeg(noisy, 92))
    return found


def write_files256(folder: Path) -> None:
    """The same images as files of 256 × 256 for the usual reader."""
    opened = open_prepared(folder / "prepared").split("train")
    for i in range(len(opened)):
        path = folder / "files256" / f"n{int(opened.labels[i]):08d}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(opened.decode(i).permute(1, 2, 0).numpy()).save(path, quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--threads", type=int, default=2, help="decoding threads, or workers of the DataLoader"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"images: {sources(folder / 'source')}; {options.threads} threads or workers", flush=True)
        prepare(folder / "source", folder / "prepared", workers=1, progress=False, say=lambda line: None)
        write_files256(folder)
        children = {n: Child(n, measure, n, name, options.threads) for n in VARIANTS}
        try:
            measured = take_turns({n: child.ask for n, child in children.items()}, options.rounds)
        finally:
            for child in children.values():
                child.close()
    print(f"{'':100s} images/s")
    for variant, title in VARIANTS.items():
        print(f"{title:100s} {BATCH / statistics.median(measured[variant]):8,.0f}")
    for ratio, (above, below) in RATIOS.items():
        print(f"ratio {ratio} {median_ratio(measured, above, below):.2f}")


if __name__ == "__main__":
    main()
