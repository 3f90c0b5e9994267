"""ImageNet prepared once: 256 × 256 images in a few hundred files, mean image and colours.

§2: the shorter side is brought to 256, then the central 256 × 256 are cut out. The work is
divided into shards, slices of the sorted list of files, each written whole or not at all; a shard
depends on nothing but its slice. So a preparation that was killed goes on with the shards that are
missing and ends with the same bytes. The manifest is written last: without it nothing is taken for
prepared.

The mean image and the colour PCA are those of the training images' pixels before they are
compressed, so they are the same for every quality.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tqdm.auto import tqdm

from alexnet_edu.data.archives import some
from alexnet_edu.environment import provenance, usable_cores
from alexnet_edu.files import (
    LOCK,
    PARTIAL,
    DataError,
    Written,
    locked,
    read_json,
    remove_partials,
    write_json,
    write_tensors,
)
from alexnet_edu.imagenet.prepared import FORMAT, MANIFEST, REPORT, STATISTICS
from alexnet_edu.imagenet.shards import Job, Shard, make_shard, mean_bytes
from alexnet_edu.imagenet.sources import Source, find_source
from alexnet_edu.imagenet.statistics import MAX_IMAGES, TotalSums
from alexnet_edu.paper import IMAGE_SIDE

SETTINGS = "settings.json"  # what the folder is for; written first, so that nothing else goes into it
SHARD_IMAGES = 2048
ROOM_TO_SPARE = 1.05
SUMS_BYTES = 4 * 3 * IMAGE_SIDE**2  # of the sum image of a shard

Say = Callable[[str], object]


def prepare(
    source: Path,
    target: Path,
    *,
    workers: int | None = None,
    quality: int = 90,
    shard_images: int = SHARD_IMAGES,
    truth: Path | None = None,
    hold_out: float | None = None,
    say: Say = print,
    progress: bool = True,
) -> dict[str, Any]:
    """Prepares the images of `source` into the folder `target`; returns the manifest.

    source: a folder or a tar that `sources.find_source` understands; truth, hold_out: as there.
    workers: processes; None takes one per core, 1 starts none. The result does not depend on it.
    quality: of the JPEGs, 1–100. shard_images: files per shard.
    say: is told what was found. progress: a bar on stderr.

    May be killed at any moment; the same call goes on. Raises DataError where the source or the
    target is not what it should be, where the disk is or gets full, and where another process is
    at the same work; ValueError for an argument out of its range.
    """
    _check_range("quality", quality, 1, 100)
    _check_range("workers", workers, 1, None)
    _check_range("shard_images", shard_images, 1, MAX_IMAGES)
    if hold_out is not None and not 0 < hold_out <= 0.5:
        raise ValueError(f"--hold-out must be a share above 0 and up to 0.5, got {hold_out}")
    with _bar(None, "class", "listing", progress) as bar:
        images = find_source(source, truth, hold_out, tick=bar.update)
    target = target.expanduser().resolve()
    _check_apart(images, target)
    for note in images.notes:
        say(note)
    with _opened(target, images, quality, shard_images, hold_out):
        jobs = _jobs(images, target, quality, shard_images)
        there = _finished(target, jobs)
        if there is not None:
            say(f"{target} is prepared already: {_counts(there)}.")
            return there
        _check_room(target, jobs)
        with _bar(sum(len(job.entries) for job in jobs), "image", "preparing", progress) as bar:
            shards = _make_all(jobs, workers or usable_cores(), bar)
        manifest = _finish(target, images, quality, shards)
    say(_summary(target, manifest))
    return manifest


def _check_range(name: str, value: int | None, least: int, most: int | None) -> None:
    if value is not None and (value < least or (most is not None and value > most)):
        bounds = f"at least {least}" if most is None else f"{least} to {most:,}"
        raise ValueError(f"{name} must be {bounds}, got {value}")


def _bar(total: int | None, unit: str, title: str, shown: bool) -> tqdm[Any]:
    return tqdm(total=total, unit=unit, desc=title, disable=not shown, leave=False, smoothing=0.05)


# --- before ---------------------------------------------------------------------------------


def _check_apart(source: Source, target: Path) -> None:
    """Prepared files among the source's own would be listed as images the next time."""
    for folder in source.folders:
        if target == folder or folder in target.parents:
            raise DataError(f"{target} lies among the images of {folder}; choose a folder outside of it.")


@contextlib.contextmanager
def _opened(
    target: Path, source: Source, quality: int, shard_images: int, hold_out: float | None
) -> Iterator[None]:
    """The target's folder, for this process alone and for this source and these settings alone."""
    settings = {
        "format": FORMAT,
        "side": IMAGE_SIDE,
        "shard_images": shard_images,
        "quality": quality,
        "hold_out": hold_out,
        "fingerprint": source.fingerprint(),
    }
    with locked(target):
        others = sorted(p.name for p in target.iterdir() if p.name != LOCK and PARTIAL not in p.name)
        there = read_json(target / SETTINGS) if (target / SETTINGS).exists() else None
        if there is not None:
            differ = [f"{k} {there.get(k)!r} and not {v!r}" for k, v in settings.items() if there.get(k) != v]
            if differ:
                raise DataError(
                    f"{target} holds another preparation: {', '.join(differ)} (fingerprint: of the source's "
                    "files). Choose another folder, or delete this one to prepare anew."
                )
        elif others:
            raise DataError(
                f"{target} holds other things ({some(others)}) and no preparation. Choose an empty or a new "
                "folder."
            )
        else:
            write_json(target / SETTINGS, settings)
        remove_partials(target)
        yield


def _jobs(source: Source, target: Path, quality: int, shard_images: int) -> list[Job]:
    return [
        Job(
            target / f"{split}-{number:05d}.safetensors",
            split,
            tuple(entries[start : start + shard_images]),
            quality,
        )
        for split, entries in source.splits.items()
        for number, start in enumerate(range(0, len(entries), shard_images))
    ]


def _finished(target: Path, jobs: Sequence[Job]) -> dict[str, Any] | None:
    """The manifest, where there is one and every file has the length that it states."""
    try:
        manifest = read_json(target / MANIFEST, sealed=True)
        shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
        files = [*shards, manifest["statistics"]]
        whole = all((target / f["file"]).stat().st_size == f["bytes"] for f in files)
        all_there = {s["file"] for s in shards} == {job.path.name for job in jobs}
    except (ValueError, KeyError, TypeError, OSError):
        return None
    return manifest if whole and all_there and (target / REPORT).exists() else None


def _check_room(target: Path, jobs: Sequence[Job]) -> None:
    """Raises DataError, with figures, where the shards that are missing would not fit."""
    missing = [job for job in jobs if not job.path.exists()]
    entries = [entry for job in missing for entry in job.entries]
    if not entries:
        return
    each = mean_bytes(entries, missing[0].quality)
    sums = SUMS_BYTES * sum(job.split == "train" for job in missing)
    need, free = int(ROOM_TO_SPARE * (len(entries) * each + sums)), shutil.disk_usage(target).free
    if need > free:
        raise DataError(
            f"{target} has {_size(free)} free, but {len(entries):,} images still to be prepared need about "
            f"{_size(need)} ({each / 1e3:,.1f} kB each, by a sample). Free some space, choose another "
            "folder, or store less: a lower --quality."
        )


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


# --- all of them ----------------------------------------------------------------------------


def _make_all(jobs: Sequence[Job], workers: int, bar: tqdm[Any]) -> list[Shard]:
    """Every job's shard, in order, by up to `workers` processes; with one, by this process.

    Raises the error of a job, and DataError where a process is killed; no process is left behind.
    """
    if workers == 1 or len(jobs) <= 1:
        shards = []
        for job in jobs:
            shards.append(make_shard(job))
            bar.update(len(job.entries))
        return shards
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_begin_worker)
    try:
        running = {pool.submit(make_shard, job): job for job in jobs}
        for done in as_completed(running):
            done.result()  # raises what went wrong
            bar.update(len(running[done].entries))
        return [done.result() for done in running]
    except BrokenProcessPool as error:
        raise DataError(
            "a process ended before its work was done. If memory ran out, use fewer --workers. What was "
            "finished is kept: the same command goes on."
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()  # after an error they would first finish their shards
            process.join()


def _begin_worker() -> None:
    """One thread; Ctrl-C is left to the parent; it ends when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# --- after ----------------------------------------------------------------------------------


def _finish(target: Path, source: Source, quality: int, shards: Sequence[Shard]) -> dict[str, Any]:
    """Statistics, report and, last of all, the manifest."""
    statistics = _statistics(target, [shard for shard in shards if shard.split == "train"])
    report = _report(source, shards)
    write_json(target / REPORT, report)
    manifest = {
        "format": FORMAT,
        "quality": quality,
        "side": IMAGE_SIDE,
        "classes": [c._asdict() for c in source.classes],
        "splits": {split: _lines([s for s in shards if s.split == split]) for split in source.splits},
        "statistics": {"file": STATISTICS, **asdict(statistics)},
        "report": {
            "file": REPORT,
            "changed": len(report["changed"]),
            "left_out": len(report["left_out"]),
            "kinds": report["kinds"],
        },
        "source": {"label": source.label, "fingerprint": source.fingerprint()},
        "provenance": provenance(),
    }
    write_json(target / MANIFEST, manifest, sealed=True)
    return manifest


def _lines(shards: Sequence[Shard]) -> dict[str, Any]:
    lines = [{"file": s.file, "images": s.images, **asdict(s.written)} for s in shards]
    return {"images": sum(s.images for s in shards), "shards": lines}


def _statistics(target: Path, shards: Sequence[Shard]) -> Written:
    total = TotalSums()
    for shard in shards:
        with safe_open(target / shard.file, framework="np") as file:
            total.add(shard.images, file.get_tensor("pixel_sum"), file.get_tensor("color_products"))
    if total.images == 0:
        why = Counter(reason for shard in shards for _, reason in shard.left_out).most_common(3)
        raise DataError(
            "no training image could be used: " + "; ".join(f"{reason} ({count:,})" for reason, count in why)
        )
    return write_tensors(target / STATISTICS, total.statistics(), {"format": FORMAT})


def _report(source: Source, shards: Sequence[Shard]) -> dict[str, Any]:
    """What became of every file that was changed or left out, and how many there are of each kind."""
    changed = [
        {"split": shard.split, "name": name, "changes": changes}
        for shard in shards
        for name, changes in shard.changes
    ]
    left_out = [(shard.split, name, why) for shard in shards for name, why in shard.left_out]
    left_out += source.problems
    kinds = {
        "changed": Counter(change for line in changed for change in line["changes"]),
        "left_out": Counter(why.split(" (")[0] for _, _, why in left_out),
    }
    return {
        "format": FORMAT,
        "kinds": {what: dict(sorted(counts.items())) for what, counts in kinds.items()},
        "changed": changed,
        "left_out": [{"split": split, "name": name, "why": why} for split, name, why in left_out],
        "notes": source.notes,
    }


def _counts(manifest: dict[str, Any]) -> str:
    splits = manifest["splits"]
    parts = [f"{splits['train']['images']:,} training images"]
    if "val" in splits:
        parts.append(f"{splits['val']['images']:,} validation images")
    total = sum(shard["bytes"] for split in splits.values() for shard in split["shards"])
    return f"{' and '.join(parts)} in {len(manifest['classes']):,} classes, {_size(total)}"


def _summary(target: Path, manifest: dict[str, Any]) -> str:
    lines = [f"Prepared in {target}: {_counts(manifest)}."]
    for what, title in (("changed", "Changed on the way"), ("left_out", "Left out")):
        if count := manifest["report"][what]:
            kinds = [f"{kind}: {n:,}" for kind, n in manifest["report"]["kinds"][what].items()]
            lines.append(f"{title}: {count:,} ({'; '.join(kinds)}). {REPORT} names each.")
    return "\n".join(lines)
