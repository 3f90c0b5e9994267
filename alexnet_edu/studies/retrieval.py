"""The study of §6.1's retrieval: several networks' layers, codes of their features, codes of pixels.

Every test image is a query, all training images are searched. Each network is a part that is kept once it is
done.
"""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.environment import joint_provenance, provenance
from alexnet_edu.files import kept
from alexnet_edu.studies.codes import (
    BITS,
    Coder,
    CodeSettings,
    itq_coder,
    pca_coder,
    random_coder,
    search_codes,
    train_coder,
)
from alexnet_edu.studies.neighbours import (
    KEPT_2012,
    as_vectors,
    expected_by_batches,
    nearest,
    nearest_of_batches,
    precision_at_k,
    ranks,
    share_found,
)
from alexnet_edu.studies.networks import Network
from alexnet_edu.studies.record import Record, of_rows
from alexnet_edu.studies.study import together
from alexnet_edu.training.predictions import top_errors

EXPERIMENT, TITLE = "retrieval", "Neighbours by features, by pixels, by short binary codes"
SOURCES = FEATURES, PIXELS = "features", "pixels"  # the variants of the record: what was searched, and coded
KINDS = {"auto-encoder": "auto-encoder", "itq": "ITQ", "pca": "PCA", "random": "random planes"}
LEARNED = "auto-encoder"
# One of two kinds: vehicles, not animals; of the stand-in stripes, not shapes.
VEHICLES = ("airplane", "automobile", "ship", "truck")
STRIPES = ("level stripes", "upright stripes", "rising stripes", "falling stripes")


@dataclass(frozen=True)
class Plan:
    """What is measured.

    k: neighbours shown. bits: lengths of codes. code_seeds: auto-encoders for each network and length;
    pixel_seeds: the same for pixels. planes: draws of random planes, and of rotations, for each. shortlist:
    codes among which the true neighbours are looked for. codes: how auto-encoders are trained. batches: into
    how many the training images are cut for the search of findsimilar.py, which keeps `kept`. sample: queries
    where not all are taken: for the other layers, for angles, for batches.
    """

    k: int = paper.FIGURE4_NEIGHBOURS
    bits: tuple[int, ...] = BITS
    code_seeds: int = 1
    pixel_seeds: int = 2
    planes: int = 3
    shortlist: int = 100
    codes: CodeSettings = field(default_factory=CodeSettings)
    batches: tuple[int, ...] = (16, 50, 100, 250, 500, 1000, 2500)
    kept: int = KEPT_2012
    sample: int = 2_000


@dataclass(frozen=True)
class Searched:
    """Images to search among and images to search with.

    The training images are shuffled: of codes that are equally far away the first ones are taken, and in a
    pack the images lie in class order.
    """

    train: Images
    test: Images
    sample: Tensor

    @classmethod
    def of(cls, images: ImageSet, sample: int) -> Searched:
        """sample: how many queries are drawn where not all are needed; all, if there are fewer."""
        generator = torch.Generator().manual_seed(0)
        order = torch.randperm(len(images.train), generator=generator)
        drawn = torch.randperm(len(images.test), generator=generator)[:sample]
        return cls(images.train.subset(order), images.test, drawn)

    def precision(self, index: Tensor, queries: Tensor | slice = slice(None)) -> Tensor:
        """Of what was found for each of these test images: (Q,). index: (Q, k); queries: all, or `sample`."""
        return precision_at_k(index, self.test.labels[queries], self.train.labels)


# --- the parts ---------------------------------------------------------------------------------

Rows = dict[str, list[dict[str, Any]]]  # table of the record -> its rows


def network_part(network: Network, seed: int, searched: Searched, plan: Plan) -> Rows:
    """One network: its errors and its guesses, exact search in every layer, codes of the last hidden one.

    Every layer is searched with random weights, too, drawn with the seed.
    """
    gallery, queries = (_every_layer(network, each) for each in (searched.train, searched.test))
    probabilities, labels = queries[network.layers[-1]].softmax(1), searched.test.labels
    features = (gallery[network.hidden], queries[network.hidden])
    layers, by_class = [], []
    true = torch.empty(0)
    for name in network.layers:
        x, y = queries.pop(name), gallery.pop(name)
        if name == network.hidden:
            true = nearest(x, y, plan.k).index
            precision = searched.precision(true)
            by_class = _by_class(precision, searched.test)
        else:
            found = nearest(x[searched.sample], y, plan.k).index
            precision = searched.precision(found, searched.sample)
        layers.append({"layer": name, "dimensions": y.shape[1], "precision": precision.mean().item()})
    run = {
        "variant": FEATURES,
        "title": network.title,
        "seed": seed,
        "top1_error": top_errors(probabilities, labels, 1).mean().item(),
        "top5_error": top_errors(probabilities, labels, paper.FIGURE4_LABELS).mean().item(),
        "by_angle": _by_angle(*features, searched, plan),
        **_pixel_ranks(true, searched),
        **_reasonable(probabilities, searched.test),
    }
    codes = code_rows(*features, true, searched, plan, plan.code_seeds)
    batches = batch_rows(*features, searched, plan)
    return {
        "runs": [run],
        "layers": layers,
        "untrained": _untrained_rows(network, seed, searched, plan),
        "classes": by_class,
        "codes": codes,
        "batches": batches,
    }


def untrained(network: Network, seed: int) -> Network:
    """The same layers with random weights: N(0, 2 / fan-in), biases 0."""
    random, stages = torch.Generator().manual_seed(seed), copy.deepcopy(network.stages)
    for w in stages.parameters():
        with torch.no_grad():
            w.zero_() if w.dim() == 1 else w.normal_(0, (2 / w[0].numel()) ** 0.5, generator=random)
    return replace(network, stages=stages)


def _untrained_rows(network: Network, seed: int, searched: Searched, plan: Plan) -> list[dict[str, Any]]:
    asked = searched.test.subset(searched.sample)
    drawn = untrained(network, seed)
    gallery, queries = (_every_layer(drawn, each) for each in (searched.train, asked))
    rows = []
    for name in network.layers:
        found = nearest(queries.pop(name), gallery.pop(name), plan.k).index
        precision = searched.precision(found, searched.sample)
        rows.append({"layer": name, "precision": precision.mean().item()})
    return rows


def kinds(classes: Sequence[str]) -> Tensor:
    """Which classes are vehicles, or stripes of the stand-in: (classes,) bool."""
    return torch.tensor([name in VEHICLES + STRIPES for name in classes])


def _reasonable(probabilities: Tensor, test: Images) -> dict[str, float]:
    """Whether wrong first labels, and second labels after a right one, are of the true kind; by chance."""
    kind = kinds(test.classes)
    order, true = probabilities.argsort(1, descending=True), kind[test.labels]
    wrong = order[:, 0] != test.labels
    others = torch.where(true, kind.sum() - 1, (~kind).sum() - 1) / (len(kind) - 1)
    found = {}
    for name, rows, place in (("mistakes", wrong, 0), ("seconds", ~wrong, 1)):
        found[name] = (kind[order[:, place]] == true)[rows].float().mean().item()
        found[f"{name}_chance"] = others[rows].mean().item()
    return found


def _every_layer(network: Network, images: Images) -> dict[str, Tensor]:
    """What every layer answers, as one vector an image: layer -> (N, D) float32."""
    answers = network.outputs_of(images.pixels, network.layers)
    return {name: maps.flatten(1) for name, maps in answers.items()}


def pixels_part(searched: Searched, plan: Plan) -> Rows:
    """The same for pixels."""
    gallery, queries = as_vectors(searched.train.pixels), as_vectors(searched.test.pixels)
    true = nearest(queries, gallery, plan.k).index
    precision = searched.precision(true)
    layer = {"layer": PIXELS, "dimensions": gallery.shape[1], "precision": precision.mean().item()}
    angle = _by_angle(gallery, queries, searched, plan)
    return {
        "runs": [{"variant": PIXELS, "title": PIXELS, "by_angle": angle}],
        "layers": [layer],
        "classes": _by_class(precision, searched.test),
        "codes": code_rows(gallery, queries, true, searched, plan, plan.pixel_seeds),
    }


def code_rows(
    gallery: Tensor, queries: Tensor, true: Tensor, searched: Searched, plan: Plan, seeds: int
) -> list[dict[str, Any]]:
    """Codes of every length: by auto-encoders of `seeds` seeds, by random planes, by PCA and ITQ; a row each.

    gallery, queries: what is coded, (N, D) and (Q, D); true: (Q, k), the nearest by exact search.
    """

    def row(kind: str, seed: int, coder: Coder) -> dict[str, Any]:
        found = search_codes(coder(queries), coder(gallery), max(plan.shortlist, plan.k)).index
        measured = {
            "precision": searched.precision(found[:, : plan.k]).mean().item(),
            "recall": share_found(found[:, : plan.shortlist], true).mean().item(),
        }
        learned = {"error": coder.error} if kind == LEARNED else {}
        return {"kind": kind, "bits": coder.bits, "coder": seed, **measured, **learned}

    rows = []
    for bits in plan.bits:
        for seed in range(1, seeds + 1):
            coder = train_coder(gallery, replace(plan.codes, bits=bits), seed)
            rows.append(row(LEARNED, seed, coder))
        rows.append(row("pca", 1, pca_coder(gallery, bits)))
        for seed in range(1, plan.planes + 1):
            rows.append(row("itq", seed, itq_coder(gallery, bits, seed)))
            rows.append(row("random", seed, random_coder(gallery, bits, seed)))
    return rows


def batch_rows(gallery: Tensor, queries: Tensor, searched: Searched, plan: Plan) -> list[dict[str, Any]]:
    """How many of the true nearest the search of findsimilar.py finds: measured, and expected.

    Once with shuffled training images, once with those in class order, as they lie in the pack.
    """
    x, labels = queries[searched.sample], searched.train.labels
    orders = {"shuffled": gallery, "in_order": gallery[labels.argsort(stable=True)]}
    true = {name: nearest(x, vectors, plan.kept).index for name, vectors in orders.items()}
    rows = []
    for batches in (b for b in plan.batches if plan.kept <= b <= len(gallery)):
        row: dict[str, Any] = {"batches": batches}
        for name, vectors in orders.items():
            found = nearest_of_batches(x, vectors, batches, plan.kept).index
            row[name] = plan.kept * share_found(found, true[name]).mean().item()
        row["expected"] = expected_by_batches(plan.kept, batches, len(gallery))
        rows.append(row)
    return rows


def _by_class(precision: Tensor, test: Images) -> list[dict[str, Any]]:
    means = [precision[test.labels == label].mean().item() for label in range(len(test.classes))]
    return [{"class": name, "precision": mean} for name, mean in zip(test.classes, means, strict=True)]


def _by_angle(gallery: Tensor, queries: Tensor, searched: Searched, plan: Plan) -> float:
    """Precision of exact search by the angle at the mean of the gallery, which random planes stand for."""
    center = gallery.mean(0)
    x, y = (F.normalize(vectors - center) for vectors in (queries[searched.sample], gallery))
    return searched.precision(nearest(x, y, plan.k).index, searched.sample).mean().item()


def _pixel_ranks(true: Tensor, searched: Searched) -> dict[str, float]:
    """How near in pixels the neighbours in features are: the share of training images that is nearer."""
    queries = as_vectors(searched.test.pixels[searched.sample])
    shares = ranks(queries, as_vectors(searched.train.pixels), true[searched.sample])
    low, median, high = shares.flatten().quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return {"nearer_low": low, "nearer_median": median, "nearer_high": high}


# --- the whole ---------------------------------------------------------------------------------


def record(
    networks: Mapping[int, Network],
    images: ImageSet,
    plan: Plan,
    folder: Path,
    *,
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> Record:
    """Measures all parts, `workers` at a time, each on one thread; one record of all.

    networks: by their seeds. folder: where finished parts are kept; what is there is not measured again.
    Raises ValueError where there is no network.
    """
    if not networks:
        raise ValueError("the study needs at least one network, got none")
    searched = Searched.of(images, plan.sample)
    prints = {name: part.fingerprint() for name, part in (("train", images.train), ("test", images.test))}
    parts: dict[str, Any] = {}

    def part(name: str, what: list[Any], measure: Callable[[], Rows]) -> None:
        digest = hashlib.sha256(json.dumps([what, asdict(plan), prints]).encode()).hexdigest()[:10]
        parts[name] = kept(folder / f"{name}-{digest}.json", partial(_measured, name, measure, say))

    work = [partial(part, PIXELS, [], partial(pixels_part, searched, plan))]
    for seed, network in sorted(networks.items()):
        measure = partial(network_part, network, seed, searched, plan)
        work.append(partial(part, f"network-seed{seed}", _weights_digest(network), measure))
    together(work, workers, threading.Event())
    return _assembled([parts[name] for name in sorted(parts)], images, plan)


def _measured(name: str, measure: Callable[[], Rows], say: Callable[[str], None]) -> dict[str, Any]:
    origin = provenance()  # before, not after: the code that the part is measured with
    tables = measure()
    say(f"finished {name}")
    return {"tables": tables, "provenance": origin}


def _weights_digest(network: Network) -> list[Any]:
    state = network.stages.state_dict()
    return [(name, round(value.double().abs().sum().item(), 4)) for name, value in state.items()]


def _assembled(parts: list[dict[str, Any]], images: ImageSet, plan: Plan) -> Record:
    tables: Rows = {}
    for number, part in enumerate(parts):
        for name, rows in part["tables"].items():
            numbered = rows if name == "runs" else [{"run": number, **row} for row in rows]
            tables.setdefault(name, []).extend(numbered)
    data = {
        "images": len(images.train),
        "test_images": len(images.test),
        "source": images.source,
        "synthetic": images.synthetic,
        "fingerprint": images.train.fingerprint(),
    }
    made: dict[str, Any] = {**joint_provenance(part["provenance"] for part in parts), "data": data}
    made["precision"] = [f"auto-encoders {plan.codes.precision}"]
    return of_rows(EXPERIMENT, TITLE, {"plan": asdict(plan)}, made, tables)


# --- the record read ---------------------------------------------------------------------------


def layers(record: Record) -> list[str]:
    """The layers of the networks, from the first convolution to the classifier."""
    return list(record.rows("layers", variant=FEATURES)["layer"].unique())


def precisions(record: Record, layer: str) -> list[float]:
    """Precision of exact search in a layer, one for each network; in `PIXELS` one alone.

    In the last hidden layer and in pixels of all test images, in other layers of `plan["sample"]`.
    """
    return list(record.rows("layers", layer=layer)["precision"])


def code_values(record: Record, source: str, kind: str, bits: int, what: str = "precision") -> list[float]:
    """What codes of one sort reach, one for each network and seed.

    source: of `SOURCES`, what was coded. kind: of `KINDS`. what: "precision", "recall" (of the same network's
    true neighbours, among as many codes as `plan["shortlist"]`) or "error" (of the reconstruction).
    """
    return list(record.rows("codes", variant=source, kind=kind, bits=bits)[what])


def lead(record: Record, bits: int, what: str = "precision") -> list[float]:
    """By how many points the auto-encoder leads random planes on features, network by network."""
    codes = record.rows("codes", variant=FEATURES, bits=bits)
    each = codes.groupby(["run", "kind"])[what].agg(fmean).unstack()
    return list(100 * (each["auto-encoder"] - each["random"]))


def spread(values: Sequence[float]) -> str:
    """Mean and range as text: "81.0% (80.1–82.3)"; the mean alone where there is one value."""
    mean = f"{fmean(values):.1%}"
    low, high = 100 * min(values), 100 * max(values)
    return mean if len(values) == 1 else f"{mean} ({low:.1f}–{high:.1f})"
