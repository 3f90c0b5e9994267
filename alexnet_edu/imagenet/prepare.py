"""ImageNet prepared once: 256 × 256 images in a few hundred files, mean image and colours.

§2: the shorter side is brought to 256, then the central 256 × 256 are cut out. The work is
divided into shards, slices of the sorted list of files, each written whole or not at all; a
preparation that was killed goes on with the shards that are missing and ends with the same
bytes. The manifest is written last: without it nothing is taken for prepared.

The mean image and the colour PCA are those of the training images' pixels before they are
compressed, so they are the same for `jpeg` and `raw` and for every quality.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from tqdm.auto import tqdm

from alexnet_edu.data.decode import some
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
from alexnet_edu.imagenet.format import CODECS, FORMAT, MANIFEST, REPORT, STATISTICS
from alexnet_edu.imagenet.processes import run_all
from alexnet_edu.imagenet.shards import RAW_BYTES, Job, Recipe, Shard, make_shard, stored_bytes
from alexnet_edu.imagenet.sources import Entry, Source, find_source
from alexnet_edu.imagenet.statistics import MAX_IMAGES, TotalSums
from alexnet_edu.imagenet.verify import verify
from alexnet_edu.paper import IMAGE_SIDE

__all__ = ["prepare", "verify"]

SETTINGS = "settings.json"  # what the folder is for; written first, so that nothing else goes into it
SHARD_IMAGES = 2048
SAMPLE = 64  # images that are prepared beforehand to learn how many bytes they take
ROOM_TO_SPARE = 1.05
SUMS_BYTES = 4 * RAW_BYTES  # of the sum image of a shard

Say = Callable[[str], object]


def prepare(
    source: Path,
    target: Path,
    *,
    workers: int | None = None,
    quality: int = 90,
    store: str = "jpeg",
    shard_images: int = SHARD_IMAGES,
    truth: Path | None = None,
    say: Say = print,
    progress: bool = True,
) -> dict[str, Any]:
    """Prepares the images of `source` into the folder `target`; gives the manifest.

    source: a folder that `imagenet_sources.find_source` understands; truth: as there.
    workers: processes; None takes one per core, 1 starts none. The result does not depend on it.
    quality: of the JPEGs, 1–100. store: "jpeg", or "raw" for pixels as they are.
    shard_images: files per shard. say: is told what was found. progress: a bar on stderr.

    May be killed at any moment; the same call goes on. Raises DataError where the source or the
    target is not what it should be, where the disk is or gets full, and where another process is
    at the same work; ValueError for an argument out of its range.
    """
    recipe = _recipe(store, quality)
    _check_range("workers", workers, 1, None)
    _check_range("shard_images", shard_images, 1, MAX_IMAGES)
    with _bar(None, "class", "listing", progress) as bar:
        found = find_source(source, truth, tick=bar.update)
    target = target.expanduser().resolve()
    _check_apart(found, target)
    for note in found.notes:
        say(note)
    with _opened(target, found, recipe, shard_images):
        jobs = _jobs(found, target, recipe, shard_images)
        there = _finished(target, jobs)
        if there is not None:
            say(f"{target} is prepared already: {_counts(there)}.")
            return there
        _check_room(target, jobs, recipe)
        every = [job for split in jobs.values() for job in split]
        with _bar(sum(len(job.entries) for job in every), "image", "preparing", progress) as bar:
            shards = run_all(make_shard, every, workers or usable_cores(), bar.update)
        made = {split: [shards.pop(0) for _ in split_jobs] for split, split_jobs in jobs.items()}
        manifest = _finish(target, found, recipe, made)
    say(_summary(target, manifest))
    return manifest


def _recipe(store: str, quality: int) -> Recipe:
    if store not in CODECS:
        raise ValueError(f"images can be stored as {' or '.join(CODECS)}, got {store!r}")
    _check_range("quality", quality, 1, 100)
    return Recipe(store, quality if store == "jpeg" else None)


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
def _opened(target: Path, source: Source, recipe: Recipe, shard_images: int) -> Iterator[None]:
    """The target's folder, for this process alone and for this source and recipe alone."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        strange = sorted(p.name for p in target.iterdir() if p.name != LOCK and PARTIAL not in p.name)
    except OSError as error:
        raise DataError(f"{target} cannot be used as a folder: {error.strerror or error}.") from error
    with locked(target):
        settings = {
            "format": FORMAT,
            "side": IMAGE_SIDE,
            "shard_images": shard_images,
            **asdict(recipe),
            "fingerprint": source.fingerprint(),
        }
        if (target / SETTINGS).exists():
            _check_settings(target, settings)
        elif strange:
            raise DataError(
                f"{target} holds other things ({some(strange)}) and no preparation. Choose an empty or a new "
                "folder."
            )
        else:
            write_json(target / SETTINGS, settings)
        remove_partials(target)
        yield


def _check_settings(target: Path, settings: dict[str, Any]) -> None:
    there = read_json(target / SETTINGS)
    differ = [k for k, v in settings.items() if not isinstance(there, dict) or there.get(k) != v]
    if not differ:
        return
    words = {"fingerprint": "other files (the source has changed, or is another one)"}
    said = ", ".join(
        words.get(k, f"{k} {there.get(k)!r} and not {settings[k]!r}" if isinstance(there, dict) else k)
        for k in differ
    )
    raise DataError(
        f"{target} holds a preparation of {said}. Choose another folder, or delete this one to prepare anew."
    )


def _jobs(source: Source, target: Path, recipe: Recipe, shard_images: int) -> dict[str, list[Job]]:
    return {
        split: [
            Job(
                target / f"{split}-{number:05d}.safetensors",
                tuple(entries[start : start + shard_images]),
                recipe,
                sums=split == "train",
            )
            for number, start in enumerate(range(0, len(entries), shard_images))
        ]
        for split, entries in source.splits.items()
    }


def _finished(target: Path, jobs: dict[str, list[Job]]) -> dict[str, Any] | None:
    """The manifest, where there is one and every file has the length that it states."""
    try:
        manifest = read_json(target / MANIFEST)
        files = [
            *(s for split in manifest["splits"].values() for s in split["shards"]),
            manifest["statistics"],
        ]
        whole = all((target / f["file"]).stat().st_size == f["bytes"] for f in files)
        named = {s["file"] for split in manifest["splits"].values() for s in split["shards"]}
        wanted = {job.path.name for split in jobs.values() for job in split}
        report = (target / REPORT).exists()
    except (ValueError, KeyError, TypeError, OSError):
        return None
    return manifest if whole and report and named == wanted else None


def _check_room(target: Path, jobs: dict[str, list[Job]], recipe: Recipe) -> None:
    """Raises DataError, with figures, where the shards that are missing would not fit."""
    missing = [job for split in jobs.values() for job in split if not job.path.exists()]
    entries = [entry for job in missing for entry in job.entries]
    if not entries:
        return
    each = _bytes_each(entries, recipe)
    need = int(ROOM_TO_SPARE * (len(entries) * each + sum(SUMS_BYTES for job in missing if job.sums)))
    free = shutil.disk_usage(target).free
    if need > free:
        raise DataError(
            f"{target} has {_size(free)} free, but {len(entries):,} images still to be prepared need about "
            f"{_size(need)} ({each / 1e3:,.1f} kB each, by a sample). Free some space, choose another "
            f"folder, or store less: {'--store jpeg' if recipe.codec == 'raw' else 'a lower --quality'}."
        )


def _bytes_each(entries: Sequence[Entry], recipe: Recipe) -> float:
    """Mean bytes of an image, from a few that are spread evenly over the list."""
    if recipe.codec == "raw":
        return RAW_BYTES
    places = np.linspace(0, len(entries) - 1, min(SAMPLE, len(entries))).round().astype(int)
    sizes = [size for i in places if (size := stored_bytes(entries[i], recipe)) is not None]
    return sum(sizes) / len(sizes) if sizes else 0.0


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


# --- after ----------------------------------------------------------------------------------


def _finish(target: Path, source: Source, recipe: Recipe, made: dict[str, list[Shard]]) -> dict[str, Any]:
    """Statistics, report and, last of all, the manifest."""
    statistics = _statistics(target, made["train"])
    report = _report(source, made)
    write_json(target / REPORT, report)
    manifest = {
        "format": FORMAT,
        "codec": recipe.codec,
        "quality": recipe.quality,
        "side": IMAGE_SIDE,
        "classes": [c._asdict() for c in source.classes],
        "splits": {
            split: {"images": sum(s.images for s in shards), "shards": [_line(s) for s in shards]}
            for split, shards in made.items()
        },
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
    write_json(target / MANIFEST, manifest)
    return manifest


def _line(shard: Shard) -> dict[str, Any]:
    return {"file": shard.file, "images": shard.images, **asdict(shard.written)}


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


def _report(source: Source, made: dict[str, list[Shard]]) -> dict[str, Any]:
    """What became of every file that was changed or left out, and how many there are of each kind."""
    changed = [
        {"split": split, "name": name, "changes": changes}
        for split, shards in made.items()
        for shard in shards
        for name, changes in shard.changes
    ]
    left_out = [
        {"split": split, "name": name, "why": why}
        for split, shards in made.items()
        for shard in shards
        for name, why in shard.left_out
    ]
    left_out += [{"split": split, "name": name, "why": why} for split, name, why in source.problems]
    kinds = {
        "changed": Counter(change for line in changed for change in line["changes"]),
        "left_out": Counter(str(line["why"]).split(" (")[0] for line in left_out),
    }
    return {
        "format": FORMAT,
        "kinds": {what: dict(sorted(counts.items())) for what, counts in kinds.items()},
        "changed": changed,
        "left_out": left_out,
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
