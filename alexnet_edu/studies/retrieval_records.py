"""The recorded study of §6.1's retrieval read: precision by layer, by pixels, by codes; what batches lose.

Records in, numbers and tables out. Precisions and recalls are shares (0–1).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alexnet_edu import files as json_files

EXPERIMENT = "retrieval"
PIXELS = "pixels"
KINDS = {"auto-encoder": "auto-encoder", "random": "random planes"}
SOURCES = {"features": "features", PIXELS: "pixels"}
FLOAT_BYTES = 4


def load_record(path: Path) -> dict[str, Any]:
    """The record of the study. Raises ValueError with advice when there is none or it is damaged."""
    parts = {"plan", "pixels", "networks", "batches", "provenance"}
    return json_files.load_record(path, EXPERIMENT, parts)


def layers(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The layers of the networks, from the first convolution to the classifier."""
    return tuple(record["networks"][0]["layers"])


def precisions(record: Mapping[str, Any], layer: str) -> list[float]:
    """Precision of exact search in a layer, one for each network; in `PIXELS` one alone.

    In the last hidden layer and in pixels of all test images, in other layers of `plan["sample"]`.
    """
    if layer == PIXELS:
        return [float(record["pixels"]["precision"])]
    if layer not in layers(record):
        raise ValueError(f"there is no layer {layer!r}; there are {', '.join(layers(record))}, {PIXELS}")
    return [float(network["layers"][layer]) for network in record["networks"]]


def by_angle(record: Mapping[str, Any]) -> list[float]:
    """Precision of search in the last hidden layer by angle, of a sample, one for each network."""
    return [float(network["by_angle"]) for network in record["networks"]]


def hidden(record: Mapping[str, Any]) -> str:
    """The last hidden layer."""
    return layers(record)[-2]


def code_values(
    record: Mapping[str, Any], source: str, kind: str, bits: int, what: str = "precision"
) -> list[float]:
    """What codes of one sort reach, one for each network and seed.

    source: of `SOURCES`, what was coded. kind: of `KINDS`. what: "precision", "recall" (of the same network's
    true neighbours, among as many codes as `plan["shortlist"]`) or "error" (of the reconstruction).
    """
    if source not in SOURCES or kind not in KINDS:
        raise ValueError(
            f"codes are of {' or '.join(SOURCES)}, by {' or '.join(KINDS)}; got {source!r}, {kind!r}"
        )
    groups = [record["pixels"]] if source == PIXELS else record["networks"]
    rows = [row for group in groups for row in group["codes"] if row["kind"] == kind and row["bits"] == bits]
    if not rows:
        raise ValueError(f"codes have {', '.join(map(str, record['plan']['bits']))} bits; got {bits!r}")
    return [float(row[what]) for row in rows]


def means(record: Mapping[str, Any], source: str, kind: str, what: str = "precision") -> list[float]:
    """`code_values` averaged, one for each number of bits."""
    return [
        statistics.fmean(code_values(record, source, kind, bits, what)) for bits in record["plan"]["bits"]
    ]


def lead(record: Mapping[str, Any], bits: int, what: str = "precision") -> list[float]:
    """By how many points the auto-encoder leads random planes on features, network by network."""
    found = []
    for network in record["networks"]:
        by_kind = {
            kind: statistics.fmean(
                row[what] for row in network["codes"] if row["kind"] == kind and row["bits"] == bits
            )
            for kind in KINDS
        }
        found.append(100 * (by_kind["auto-encoder"] - by_kind["random"]))
    return found


def closeness(record: Mapping[str, Any]) -> float:
    """Where the neighbours in features stand among all training images by pixels: the median share nearer."""
    return statistics.fmean(network["pixel_ranks"]["median"] for network in record["networks"])


def spread(values: Sequence[float]) -> str:
    """Mean and range as text: "81.0% (80.1–82.3)"; the mean alone where there is one value."""
    mean = f"{statistics.fmean(values):.1%}"
    low, high = 100 * min(values), 100 * max(values)
    return mean if len(values) == 1 else f"{mean} ({low:.1f}–{high:.1f})"


def layer_table(record: Mapping[str, Any]) -> str:
    """Precision of exact search in each layer, and in pixels; as text."""
    lines = [f"{'searched in':<14}{'numbers':>8}   precision at {record['plan']['k']}", "-" * 52]
    lines.append(f"{PIXELS:<14}{record['pixels']['dimensions']:>8}   {spread(precisions(record, PIXELS))}")
    for layer in layers(record):
        size = record["networks"][0]["dimensions"][layer]
        mark = "   <- last hidden layer" if layer == hidden(record) else ""
        lines.append(f"{layer:<14}{size:>8}   {spread(precisions(record, layer))}{mark}")
    return "\n".join(lines)


def code_table(record: Mapping[str, Any]) -> str:
    """Precision of codes against bits, and the memory of one image; as text."""
    columns = [(source, kind) for source in SOURCES for kind in KINDS]
    head = f"{'bits':>6}{'bytes':>7}" + "".join(f"{KINDS[kind]:>22}" for _, kind in columns)
    above = f"{'':13}{'of features':>33}{'of pixels':>44}"
    lines = [above, head, "-" * len(head)]
    for bits in record["plan"]["bits"]:
        cells = [spread(code_values(record, source, kind, bits)) for source, kind in columns]
        lines.append(f"{bits:>6}{bits // 8:>7}" + "".join(f"{cell:>22}" for cell in cells))
    exact = [spread(precisions(record, hidden(record))), spread(precisions(record, PIXELS))]
    sizes = [record["networks"][0]["dimensions"][hidden(record)], record["pixels"]["dimensions"]]
    lines.append(
        f"{'exact':>6}{'':7}"
        + "".join(
            f"{text:>22}{f'({FLOAT_BYTES * n:,} bytes)':>22}" for text, n in zip(exact, sizes, strict=True)
        )
    )
    return "\n".join(lines)


def origin(record: Mapping[str, Any]) -> str:
    """One sentence: when, where, on what the record was made."""
    made = record["provenance"]
    seeds = len(record["networks"])
    return (
        f"recorded {', '.join(made['dates'])} at commit {', '.join(made['commits'])} on "
        f"{', '.join(made['hardware'])} (torch {', '.join(made['torch'])}), {seeds} networks, "
        f"{made['data']['test']:,} test images against {made['data']['images']:,} training images"
    )
