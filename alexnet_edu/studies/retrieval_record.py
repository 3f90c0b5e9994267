"""The recorded study of §6.1's retrieval read: precision by layer, by pixels, by codes.

Record in, numbers and tables out. Precisions and recalls are shares (0–1).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from alexnet_edu.studies.record import Record

EXPERIMENT = "retrieval"
FEATURES, PIXELS = "features", "pixels"
SOURCES = (FEATURES, PIXELS)  # the variants of the record: what was searched, and coded
KINDS = {"auto-encoder": "auto-encoder", "random": "random planes"}
FLOAT_BYTES = 4


def layers(record: Record) -> tuple[str, ...]:
    """The layers of the networks, from the first convolution to the classifier."""
    names = record.of(variant=FEATURES).tables["layers"]["layer"]
    return tuple(names.unique())


def precisions(record: Record, layer: str) -> list[float]:
    """Precision of exact search in a layer, one for each network; in `PIXELS` one alone.

    In the last hidden layer and in pixels of all test images, in other layers of `plan["sample"]`.
    Raises ValueError, with the layers, for an unknown one.
    """
    return list(record.rows("layers", layer=layer)["precision"])


def mean_precision(record: Record, layer: str) -> float:
    """Over the networks."""
    return fmean(precisions(record, layer))


def batches(record: Record) -> list[dict[str, float]]:
    """The search of findsimilar.py, with the first network: "batches", "shuffled", "in_order", "expected"."""
    rows = record.tables["batches"]
    first = rows[rows["run"] == rows["run"].min()]
    return first[["batches", "shuffled", "in_order", "expected"]].to_dict("records")


def dimensions(record: Record, layer: str) -> int:
    """Of the vectors that are searched in a layer."""
    return int(record.rows("layers", layer=layer)["dimensions"].iloc[0])


def by_angle(record: Record) -> list[float]:
    """Precision of search in the last hidden layer by angle, of a sample, one for each network."""
    return [float(value) for value in record.of(variant=FEATURES).runs["by_angle"]]


def hidden(record: Record) -> str:
    """The last hidden layer."""
    return layers(record)[-2]


def code_values(record: Record, source: str, kind: str, bits: int, what: str = "precision") -> list[float]:
    """What codes of one sort reach, one for each network and seed.

    source: of `SOURCES`, what was coded. kind: of `KINDS`. what: "precision", "recall" (of the same network's
    true neighbours, among as many codes as `plan["shortlist"]`) or "error" (of the reconstruction).
    """
    return list(record.rows("codes", variant=source, kind=kind, bits=bits)[what])


def means(record: Record, source: str, kind: str, what: str = "precision") -> list[float]:
    """`code_values` averaged, one for each number of bits."""
    return [fmean(code_values(record, source, kind, bits, what)) for bits in record.settings["plan"]["bits"]]


def lead(record: Record, bits: int, what: str = "precision") -> list[float]:
    """By how many points the auto-encoder leads random planes on features, network by network."""
    codes = record.of(variant=FEATURES).tables["codes"]
    each = codes[codes["bits"] == bits].groupby(["run", "kind"])[what].agg(fmean).unstack()
    return [float(100 * (row["auto-encoder"] - row["random"])) for _, row in each.iterrows()]


def closeness(record: Record) -> float:
    """Where the neighbours in features stand among all training images by pixels: the median share nearer."""
    return fmean(record.of(variant=FEATURES).runs["nearer_median"])


def spread(values: Sequence[float]) -> str:
    """Mean and range as text: "81.0% (80.1–82.3)"; the mean alone where there is one value."""
    mean = f"{fmean(values):.1%}"
    low, high = 100 * min(values), 100 * max(values)
    return mean if len(values) == 1 else f"{mean} ({low:.1f}–{high:.1f})"


def layer_table(record: Record) -> str:
    """Precision of exact search in each layer, and in pixels; as text."""
    lines = [f"{'searched in':<14}{'numbers':>8}   precision at {record.settings['plan']['k']}", "-" * 52]
    for layer in (PIXELS, *layers(record)):
        mark = "   <- last hidden layer" if layer == hidden(record) else ""
        precision = spread(precisions(record, layer))
        lines.append(f"{layer:<14}{dimensions(record, layer):>8}   {precision}{mark}")
    return "\n".join(lines)


def code_table(record: Record) -> str:
    """Precision of codes against bits, and the memory of one image; as text."""
    columns = [(source, kind) for source in SOURCES for kind in KINDS]
    head = f"{'bits':>6}{'bytes':>7}" + "".join(f"{KINDS[kind]:>22}" for _, kind in columns)
    above = f"{'':13}{'of features':>33}{'of pixels':>44}"
    lines = [above, head, "-" * len(head)]
    for bits in record.settings["plan"]["bits"]:
        cells = [spread(code_values(record, source, kind, bits)) for source, kind in columns]
        lines.append(f"{bits:>6}{bits // 8:>7}" + "".join(f"{cell:>22}" for cell in cells))
    exact = f"{'exact':>6}{'':7}"
    for layer in (hidden(record), PIXELS):
        size = f"({FLOAT_BYTES * dimensions(record, layer):,} bytes)"
        exact += f"{spread(precisions(record, layer)):>22}{size:>22}"
    return "\n".join([*lines, exact])


def origin(record: Record) -> str:
    """One sentence: when, where, on what the record was made."""
    made, data, networks = record.provenance, record.provenance["data"], len(by_angle(record))
    return (
        f"recorded {', '.join(made['dates'])} at commit {', '.join(made['commits'])} on "
        f"{', '.join(made['hardware'])} (torch {', '.join(made['torch'])}), {networks} networks, "
        f"{data['test_images']:,} test images against {data['images']:,} training images"
    )
