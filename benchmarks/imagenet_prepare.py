"""Preparing ImageNet: images per second on one core, against a plain loop with PIL.

    python benchmarks/imagenet_prepare.py [--rounds 5] [--images 250]

Files in, JPEGs of 256 × 256 in a file out. The plain loop opens, converts, resizes, crops and
saves; ours does that too, judges each file strictly, and adds up the mean image and the colours.
`ALEXNET_EDU_REAL_IMAGES` names the folder with imagenet-samples.zip; without it, photographs are
generated. Each variant has a process of its own with one thread, and they take turns. Seconds
are those of the processor: what else runs on the machine counts little.

The last lines are `ratio NAME VALUE`: the median over the rounds of the ratio of two times
from the same round. Above 1 means that ours is faster.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from PIL import Image
from turns import Child, Measure, median_ratio, take_turns

from alexnet_edu.data.decode import central_square, decode
from alexnet_edu.imagenet.shards import Job, make_shard
from alexnet_edu.imagenet.sources import find_source

SIDE, QUALITY = 256, 90
REAL = "imagenet-samples.zip"
Way = Callable[[Path, Path], None]  # (folder of class folders, file or folder to write to)


def ours(source: Path, target: Path) -> None:
    """One shard, as `alexnet-edu data imagenet` makes it; with its checksum and on the disk."""
    entries = tuple(find_source(source).splits["train"])
    make_shard(Job(target / "shard.safetensors", "train", entries, QUALITY))
    (target / "shard.safetensors").unlink()


def ours_without_sums(source: Path, target: Path) -> None:
    """The same without the statistics, which the plain loop has not either."""
    entries = tuple(find_source(source).splits["train"])
    make_shard(Job(target / "shard.safetensors", "val", entries, QUALITY))
    (target / "shard.safetensors").unlink()


def plain(source: Path, target: Path) -> None:
    """The usual loop: the shorter side to 256, the middle, one file for each image."""
    for path in sorted(source.rglob("*.*")):
        image = Image.open(path).convert("RGB")
        factor = SIDE / min(image.size)
        width, height = (max(SIDE, round(n * factor)) for n in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - SIDE) // 2, (height - SIDE) // 2
        image.crop((left, top, left + SIDE, top + SIDE)).save(target / path.name, quality=QUALITY)


WAYS: dict[str, tuple[str, Way]] = {
    "ours": ("ours: prepared, summed, in one file", ours),
    "ours_without_sums": ("the same without mean image and colours", ours_without_sums),
    "plain": ("PIL: open, convert, resize, crop, save", plain),
}


def encoders(source: Path) -> dict[str, Measure]:
    """Seconds to encode all images with each library, from the pixels that it takes; with PIL, ours."""
    from torchvision.io import encode_jpeg  # type: ignore[import-untyped]

    files = sorted(source.rglob("*.*"))
    images = [central_square(decode(path.read_bytes()).pixels, SIDE) for path in files]
    arrays = [np.array(image) for image in images]
    planes = [torch.from_numpy(a).permute(2, 0, 1).contiguous() for a in arrays]

    def timed(encode: Callable[[int], object]) -> Measure:
        def measure() -> float:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # torchvision's is going
                start = time.process_time()
                for i in range(len(images)):
                    encode(i)
                return time.process_time() - start

        return measure

    return {
        "pil": timed(lambda i: images[i].save(io.BytesIO(), "JPEG", quality=QUALITY, subsampling="4:2:0")),
        "simplejpeg": timed(lambda i: simplejpeg.encode_jpeg(arrays[i], QUALITY, "RGB", "420")),
        "torchvision": timed(lambda i: encode_jpeg(planes[i], QUALITY)),
    }


def prepare_way(name: str, source: str) -> Measure:
    """What a process of its own does: the returned function says how many of its seconds all images took."""
    torch.set_num_threads(1)
    way = WAYS[name][1]

    def measure() -> float:
        with tempfile.TemporaryDirectory() as target:
            start = time.process_time()
            way(Path(source), Path(target))
            return time.process_time() - start

    return measure


def photographs(target: Path, count: int) -> str:
    """Writes `count` JPEGs into class folders of `target`; says what they are."""
    folder = os.environ.get("ALEXNET_EDU_REAL_IMAGES", "")
    path = Path(folder) / REAL
    if folder and path.exists():
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")][:count]
            archive.extractall(target, names)
        return f"{len(names)} photographs of {REAL}"
    for i in range(count):
        inside = target / f"n{i % 2:08d}" / f"{i:05d}.JPEG"
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_bytes(generated(i))
    return f"{count} generated photographs"


def generated(seed: int) -> bytes:
    """A JPEG of 500 × 375 pixels whose contrasts fall with their frequency, as those of photographs do."""
    rng = np.random.default_rng(seed)
    layers = [
        Image.fromarray(rng.integers(0, 256, (375 // n + 1, 500 // n + 1, 3), dtype=np.uint8)).resize(
            (500, 375), Image.Resampling.BICUBIC
        )
        for n in (60, 20, 6, 2)
    ]
    weights = (0.6, 0.25, 0.1, 0.05)
    pixels = sum(w * np.asarray(layer, dtype=np.float32) for w, layer in zip(weights, layers, strict=True))
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def compare(source: Path, count: int, rounds: int) -> dict[str, float]:
    """Ratios of the ways; the images per second on the way."""
    children: dict[str, Child] = {}
    try:
        for name, (title, _) in WAYS.items():
            children[name] = Child(title, prepare_way, name, str(source))
        times = take_turns({name: child.ask for name, child in children.items()}, rounds)
    finally:
        for child in children.values():
            child.close()
    show(times, {name: title for name, (title, _) in WAYS.items()}, count)
    encoding = take_turns(encoders(source), rounds)
    show(encoding, {name: f"encoding alone: {name}" for name in encoding}, count)
    return {
        "vs_plain_pil": median_ratio(times, "plain", "ours"),
        "without_sums_vs_plain_pil": median_ratio(times, "plain", "ours_without_sums"),
        "encoding_vs_simplejpeg": median_ratio(encoding, "simplejpeg", "pil"),
        "encoding_vs_torchvision": median_ratio(encoding, "torchvision", "pil"),
    }


def show(times: dict[str, list[float]], titles: dict[str, str], count: int) -> None:
    """A table of images per second."""
    print(f"\n{'images per second':<46}{'median':>10}{'slowest':>10}{'fastest':>10}")
    for name, seconds in times.items():
        speeds = [count / s for s in seconds]
        cells = "".join(f"{x:>10,.0f}" for x in (statistics.median(speeds), min(speeds), max(speeds)))
        print(f"{titles[name]:<46}{cells}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="measurements counted per variant")
    parser.add_argument("--images", type=int, default=250, help="images per measurement")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1 or chosen.images < 2:
        parser.error("--rounds must be at least 1 and --images at least 2")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        said = photographs(Path(folder), chosen.images)
        print(f"{said}, one core, torch {torch.__version__}, Python {sys.version.split()[0]}")
        ratios = compare(Path(folder), chosen.images, chosen.rounds)
    for name, value in ratios.items():
        print(f"ratio {name} {value:.2f}")


if __name__ == "__main__":
    main()
