"""Images per second into training: the prepared set against reading the originals the usual way.

    ALEXNET_EDU_REAL_IMAGES=DIR python benchmarks/imagenet_feed.py [--rounds 5] [--threads 2]

The same photographs for all: `imagenet-samples.zip` of that folder, else generated JPEGs of 500 × 375
pixels (the first line says which). Out come batches of 128 float32 crops of 224 pixels. See
`benchmarks/README.md` for the variants. Each has a process of its own, and they take turns.

Two processes with a column each need the same images (`alexnet-edu train --parallel columns`). What they
gain by decoding half of them each, and exchanging pixels, is measured in two processes of one thread: the
feed alone, as for a GPU, and training a network narrowed 16 times.

The last lines are `ratio NAME VALUE`: the median over the rounds of the ratio of two times from the
same round. Above 1 means that ours is faster.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder
from turns import Child, Measure, median_ratio, take_turns

from alexnet_edu.environment import keep_freed_memory
from alexnet_edu.imagenet.distributed import Columns, place
from alexnet_edu.imagenet.feed import Batch, Feed, Partner, Views
from alexnet_edu.imagenet.prepare import prepare
from alexnet_edu.imagenet.prepared import open_prepared
from alexnet_edu.imagenet.recipe import Recipe, Running
from alexnet_edu.imagenet.trainer import Training

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


# What two columns do; each is measured with every image decoded twice, and once.
COLUMNS = {"feed": "two columns, the feed alone", "training": "two columns, training (narrowed 16 times)"}
TWICE, ONCE = "each image decoded by both", "by one of them"


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


def _seconds(one: object, batches: int | None = None, at_least: float = 1.5) -> float:
    """Seconds a batch: so many, or whole batches for so long, after some that restart what had run dry."""
    assert callable(one)
    for _ in range(6):  # what was made ahead while the others had their turn is used up
        one()
    done, began = 0, time.perf_counter()
    while done < batches if batches else time.perf_counter() - began < at_least:
        one()
        done += 1
    return (time.perf_counter() - began) / done


# --- two columns --------------------------------------------------------------------------------


def columns(root: str, rounds: int, batch_size: int = BATCH // 4, batches: int = 3) -> dict[str, list[float]]:
    """Seconds a batch by "feed" or "training" and how it was decoded; both processes of a group call it."""
    torch.set_num_threads(1)
    prepared = open_prepared(Path(root) / "prepared")
    recipe, running = Recipe(narrow=16, batch_size=batch_size), Running(precision="float32", workers=1)
    with place("columns", "cpu") as (device, _), ExitStack() as stack:
        group = Columns(recipe.architecture(len(prepared.wnids)), device, 0)
        training = Training(recipe, prepared, group, Path(root) / "run", running)

        def fed(partner: Partner | None) -> Iterator[Batch]:
            feed = Feed(prepared.split("train"), batch_size=batch_size, workers=1, partner=partner)
            return stack.enter_context(closing(feed.batches(0, 10_000_000)))

        def measured(what: str, source: Iterator[Batch]) -> Measure:
            def take() -> None:
                batch = next(source)
                if what == "training":
                    training.one_step(batch)

            return lambda: _seconds(take, batches)

        asks = {
            f"{w}, {d}": measured(w, fed(p))
            for w in COLUMNS
            for d, p in ((TWICE, None), (ONCE, group.partner))
        }
        return take_turns(asks, rounds)


def in_two_processes(root: str, rounds: int) -> dict[str, list[float]]:
    """`columns`, as torchrun would start it; the slower of the two each time."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    context, started = get_context("spawn"), []
    for rank in range(2):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_rank, args=(rank, port, root, rounds, theirs))
        process.start()
        theirs.close()
        started.append((process, ours))
    first, second = (ours.recv() for _, ours in started)
    for process, _ in started:
        process.join()
    return {name: [max(pair) for pair in zip(first[name], second[name], strict=True)] for name in first}


def _rank(rank: int, port: str, root: str, rounds: int, answer: Connection) -> None:
    group = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ.update(group, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    answer.send(columns(root, rounds))


# --- the images ---------------------------------------------------------------------------------


def sources(folder: Path) -> str:
    """Writes train/<class>/ with IMAGES photographs, a few for val/, and says which they are."""
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
        for split in ("train", "val") if i < 8 else ("train",):
            path = folder / split / f"n{i % 8:08d}" / f"{i}.JPEG"
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
        two = in_two_processes(name, options.rounds)
    print(f"{'':100s} images/s")
    for variant, title in VARIANTS.items():
        print(f"{title:100s} {BATCH / statistics.median(measured[variant]):8,.0f}")
    for variant, seconds in two.items():
        title = f"{COLUMNS[variant.split(', ')[0]]}: {variant.split(', ')[1]}"
        print(f"{title:100s} {BATCH / 4 / statistics.median(seconds):8,.0f}")
    for what in COLUMNS:
        ratio = median_ratio(two, f"{what}, {TWICE}", f"{what}, {ONCE}")
        print(f"ratio {what}_of_two_columns_decoded_once_vs_twice {ratio:.2f}")
    for ratio, (above, below) in RATIOS.items():
        print(f"ratio {ratio} {median_ratio(measured, above, below):.2f}")


if __name__ == "__main__":
    main()
