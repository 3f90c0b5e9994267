"""Is a prepared folder still what was written? Every checksum and every count, computed again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from tqdm.auto import tqdm

from alexnet_edu.files import read_json
from alexnet_edu.imagenet.format import FORMAT, MANIFEST, REPORT, STATISTICS
from alexnet_edu.imagenet.statistics import TotalSums

AGAIN = "the same preparation makes it anew"
CHUNK = 2**20


def verify(target: Path, *, progress: bool = False) -> list[str]:
    """What is wrong with a prepared folder, in sentences; empty if nothing is.

    Reads every file, about a minute for ImageNet as JPEGs on a fast disk. progress: a bar on stderr.
    """
    target = target.expanduser()
    try:
        manifest = read_json(target / MANIFEST) if (target / MANIFEST).exists() else None
        if manifest is None:
            return [f"{target} holds no {MANIFEST}: nothing was prepared there, or it has not ended."]
        return list(_problems(target, manifest, progress))
    except ValueError as error:
        return [str(error)]
    except (KeyError, TypeError, AttributeError) as error:
        return [f"{target / MANIFEST} is not as it was written ({error!r}): delete it; {AGAIN}."]


def _problems(target: Path, manifest: dict[str, Any], progress: bool) -> Iterator[str]:
    if manifest["format"] != FORMAT:
        yield f"{target / MANIFEST} has the format {manifest['format']!r}, not {FORMAT!r}."
        return
    shards = [(name, line) for name, split in manifest["splits"].items() for line in split["shards"]]
    counts: dict[str, int] = dict.fromkeys(manifest["splits"], 0)
    listed = {"changes": 0, "left_out": 0}
    total: TotalSums | None = TotalSums()
    for split, line in tqdm(shards, unit="file", desc="verifying", disable=not progress, leave=False):
        problem = _file_problem(target, line) or _shard_problem(target, line, manifest)
        if problem:
            yield problem
            total = None
            continue
        with safe_open(target / line["file"], framework="np") as file:
            for kind in listed:
                listed[kind] += len(json.loads(file.metadata()[kind]))
            if split == "train" and total is not None:
                total.add(line["images"], file.get_tensor("pixel_sum"), file.get_tensor("color_products"))
        counts[split] += line["images"]
    yield from _sum_problems(target, manifest, counts, listed, total)


def _sum_problems(
    target: Path,
    manifest: dict[str, Any],
    counts: dict[str, int],
    listed: dict[str, int],
    total: TotalSums | None,
) -> Iterator[str]:
    """What can be said once all shards are read. total: None where one of them is damaged."""
    problem = _file_problem(target, manifest["statistics"])
    if problem:
        yield problem
    if total is None:
        return
    for split, count in counts.items():
        if count != (stated := manifest["splits"][split]["images"]):
            yield f"{MANIFEST} states {stated:,} images of {split}, there are {count:,}."
    if not problem and total.images:
        yield from _statistics_problems(target, total)
    yield from _report_problems(target, manifest, listed)


def _file_problem(target: Path, line: dict[str, Any]) -> str:
    """Length and checksum of one file against the manifest; "" if they agree."""
    path, digest = target / line["file"], hashlib.sha256()
    if not path.exists():
        return f"{path.name} is missing; {AGAIN}."
    try:
        if (size := path.stat().st_size) != line["bytes"]:
            return f"{path.name} has {size:,} bytes, not {line['bytes']:,}. {_DELETE}"
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror or error}."
    if digest.hexdigest() != line["sha256"]:
        return f"{path.name} has changed since it was written: its checksum differs. {_DELETE}"
    return ""


_DELETE = f"Delete it; {AGAIN}."


def _shard_problem(target: Path, line: dict[str, Any], manifest: dict[str, Any]) -> str:
    """Whether what is inside a shard fits together; "" if it does."""
    path, classes = target / line["file"], len(manifest["classes"])
    try:
        with safe_open(path, framework="np") as file:
            offsets, labels = file.get_tensor("offsets"), file.get_tensor("labels")
            length = file.get_slice("bytes").get_shape()[0]
            names = json.loads(file.metadata()["names"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        return f"{path.name} cannot be read ({error}). {_DELETE}"
    if not len(names) == len(labels) == len(offsets) - 1 == line["images"]:
        return f"{path.name} holds {len(labels):,} images, not {line['images']:,} as {MANIFEST} states."
    if offsets[0] != 0 or offsets[-1] != length or (np.diff(offsets) <= 0).any():
        return f"{path.name}: its images do not lie one after the other. {_DELETE}"
    if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        return f"{path.name}: it has labels beyond the {classes:,} classes. {_DELETE}"
    return ""


def _statistics_problems(target: Path, total: TotalSums) -> Iterator[str]:
    expected = total.statistics()
    try:
        with safe_open(target / STATISTICS, framework="np") as file:
            for name in ("mean_image", "color_mean"):  # divisions alone, so alike on every machine
                if not np.array_equal(file.get_tensor(name), expected[name]):
                    yield f"{STATISTICS}: its {name} is not that of the shards. {_DELETE}"
    except (SafetensorError, OSError) as error:
        yield f"{STATISTICS} cannot be read ({error}). {_DELETE}"


def _report_problems(target: Path, manifest: dict[str, Any], listed: dict[str, int]) -> Iterator[str]:
    """The report against the manifest, and against what the shards say of themselves."""
    if not (target / REPORT).exists():
        yield f"{REPORT} is missing; {AGAIN}."
        return
    try:
        report = read_json(target / REPORT)
    except ValueError as error:
        yield str(error)
        return
    for name, kind in (("changed", "changes"), ("left_out", "left_out")):
        count = len(report[name])
        if count != manifest["report"][name] or count < listed[kind]:
            yield (
                f"{REPORT} lists {count:,} images as {name}, {MANIFEST} states {manifest['report'][name]:,}, "
                f"the shards {listed[kind]:,}."
            )
