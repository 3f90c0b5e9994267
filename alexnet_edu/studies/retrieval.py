"""The study of §6.1's retrieval: several networks' layers, codes of their features, codes of pixels.

Every test image is a query, all training images are searched. Each network is one part, the pixels are
another; a finished part is kept in a file, so that a study that was killed goes on with the next one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet_edu import paper
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.environment import joint_provenance, provenance
from alexnet_edu.files import read_json, write_json
from alexnet_edu.studies.codes import BITS, Coder, CodeSettings, random_coder, search_codes, train_coder
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
from alexnet_edu.studies.retrieval_records import EXPERIMENT, PIXELS
from alexnet_edu.training.predictions import top_errors

TITLE = "Neighbours by features, by pixels, by short binary codes"


@dataclass(frozen=True)
class Plan:
    """What is measured.

    k: neighbours shown. bits: lengths of codes. code_seeds: auto-encoders for each network and length;
    pixel_seeds: the same for pixels. planes: draws of random planes for each. shortlist: codes among which
    the true neighbours are looked for. codes: how auto-encoders are trained. batches: into how many the
    training images are cut for the search of findsimilar.py, which keeps `kept`. sample: queries where not
    all are taken: for the other layers, for angles, for batches.
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

    The training images are shuffled: of codes that are equally far, those that come first are taken, and in a
    pack they lie in class order.
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

    def precision(self, index: Tensor) -> Tensor:
        """Of all test images: (N,)."""
        return precision_at_k(index, self.test.labels, self.train.labels)


# --- the parts ---------------------------------------------------------------------------------


def network_part(network: Network, seed: int, searched: Searched, plan: Plan) -> dict[str, Any]:
    """One network: its errors, exact search in every layer, codes of the last hidden one."""
    made = provenance()  # before, not after: what the part is measured with
    gallery, queries = (_every_layer(network, each) for each in (searched.train, searched.test))
    probabilities, labels = queries[network.layers[-1]].softmax(1), searched.test.labels
    layers, dimensions = {}, {name: x.shape[1] for name, x in queries.items()}
    features = (gallery[network.hidden], queries[network.hidden])
    for name in network.layers:
        x, y = queries.pop(name), gallery.pop(name)
        if name == network.hidden:
            true = nearest(x, y, plan.k).index
            layers[name] = searched.precision(true)
        else:
            layers[name] = _of_sample(nearest(x[searched.sample], y, plan.k).index, searched)
    return {
        "seed": seed,
        "top1_error": top_errors(probabilities, labels, 1).mean().item(),
        "top5_error": top_errors(probabilities, labels, paper.FIGURE4_LABELS).mean().item(),
        "layers": {name: each.mean().item() for name, each in layers.items()},
        "dimensions": dimensions,
        "classes": _by_class(layers[network.hidden], searched.test),
        "by_angle": _by_angle(*features, searched, plan),
        "pixel_ranks": _pixel_ranks(true, searched),
        "codes": code_rows(*features, true, searched, plan, plan.code_seeds),
        "batches": batch_rows(*features, searched, plan),
        "provenance": made,
    }


def _every_layer(network: Network, images: Images) -> dict[str, Tensor]:
    """What every layer answers, as one vector an image: layer -> (N, D) float32."""
    answers = network.outputs_of(images.pixels, network.layers)
    return {name: maps.flatten(1) for name, maps in answers.items()}


def pixels_part(searched: Searched, plan: Plan) -> dict[str, Any]:
    """The same for pixels."""
    made = provenance()
    gallery, queries = as_vectors(searched.train.pixels), as_vectors(searched.test.pixels)
    true = nearest(queries, gallery, plan.k).index
    precision = searched.precision(true)
    return {
        "precision": precision.mean().item(),
        "dimensions": gallery.shape[1],
        "classes": _by_class(precision, searched.test),
        "by_angle": _by_angle(gallery, queries, searched, plan),
        "codes": code_rows(gallery, queries, true, searched, plan, plan.pixel_seeds),
        "provenance": made,
    }


def code_rows(
    gallery: Tensor, queries: Tensor, true: Tensor, searched: Searched, plan: Plan, seeds: int
) -> list[dict[str, Any]]:
    """Codes of every length, learned with `seeds` seeds and by random planes: one row for each.

    gallery, queries: what is coded, (N, D) and (Q, D); true: (Q, k), the nearest by exact search.
    """

    def row(kind: str, seed: int, coder: Coder) -> dict[str, Any]:
        found = search_codes(coder(queries), coder(gallery), max(plan.shortlist, plan.k)).index
        measured = {
            "precision": searched.precision(found[:, : plan.k]).mean().item(),
            "recall": share_found(found[:, : plan.shortlist], true).mean().item(),
        }
        learned = {} if kind == "random" else {"error": coder.error}
        return {"kind": kind, "bits": coder.bits, "seed": seed, **measured, **learned}

    rows = []
    for bits in plan.bits:
        for seed in range(1, seeds + 1):
            coder = train_coder(gallery, replace(plan.codes, bits=bits), seed)
            rows.append(row("auto-encoder", seed, coder))
        rows += [row("random", seed, random_coder(gallery, bits, seed)) for seed in range(1, plan.planes + 1)]
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


def _by_class(precision: Tensor, test: Images) -> list[float]:
    return [precision[test.labels == label].mean().item() for label in range(len(test.classes))]


def _of_sample(index: Tensor, searched: Searched) -> Tensor:
    return precision_at_k(index, searched.test.labels[searched.sample], searched.train.labels)


def _by_angle(gallery: Tensor, queries: Tensor, searched: Searched, plan: Plan) -> float:
    """Precision of exact search by the angle at the mean of the gallery, which random planes stand for."""
    center = gallery.mean(0)
    x, y = (F.normalize(vectors - center) for vectors in (queries[searched.sample], gallery))
    return _of_sample(nearest(x, y, plan.k).index, searched).mean().item()


def _pixel_ranks(true: Tensor, searched: Searched) -> dict[str, float]:
    """How near in pixels the neighbours in features are: the share of training images that is nearer."""
    queries = as_vectors(searched.test.pixels[searched.sample])
    shares = ranks(queries, as_vectors(searched.train.pixels), true[searched.sample])
    low, median, high = shares.flatten().quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return {"low": low, "median": median, "high": high}


# --- the whole ---------------------------------------------------------------------------------


def record(
    networks: Mapping[int, Network],
    images: ImageSet,
    plan: Plan,
    folder: Path,
    *,
    workers: int = 2,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measures all parts, `workers` at a time, each on one thread; one record of all.

    networks: by their seeds. folder: where finished parts are kept; what is there is not measured again.
    """
    searched = Searched.of(images, plan.sample)
    prints = {name: part.fingerprint() for name, part in (("train", images.train), ("test", images.test))}

    def kept(name: str, what: list[Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        torch.set_num_threads(1)  # of this worker
        digest = hashlib.sha256(json.dumps([what, asdict(plan), prints]).encode()).hexdigest()[:10]
        path = folder / f"{name}-{digest}.json"
        if not path.exists():
            write_json(path, measure())
            say(f"finished {name}")
        return read_json(path)

    threads = torch.get_num_threads()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        by_pixels = pool.submit(kept, PIXELS, [], partial(pixels_part, searched, plan))
        by_network = {
            seed: pool.submit(
                kept,
                f"network-seed{seed}",
                _weights_digest(network),
                partial(network_part, network, seed, searched, plan),
            )
            for seed, network in networks.items()
        }
        try:
            pixels, parts = by_pixels.result(), [by_network[seed].result() for seed in sorted(by_network)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    torch.set_num_threads(threads)
    return assembled(pixels, parts, images, plan)


def _weights_digest(network: Network) -> list[Any]:
    state = network.stages.state_dict()
    return [(name, round(value.double().abs().sum().item(), 4)) for name, value in state.items()]


def assembled(
    pixels: dict[str, Any], parts: list[dict[str, Any]], images: ImageSet, plan: Plan
) -> dict[str, Any]:
    """The parts as one record. Raises ValueError where there is no network."""
    if not parts:
        raise ValueError("the study needs at least one network, got none")
    made = [part.pop("provenance") for part in (pixels, *parts)]
    rows = [part.pop("batches") for part in parts]
    return {
        "experiment": EXPERIMENT,
        "title": TITLE,
        "plan": asdict(plan),
        "pixels": pixels,
        "networks": parts,
        "batches": rows[0],
        "provenance": {
            **joint_provenance(made),
            "precision": [f"auto-encoders {plan.codes.precision}"],
            "data": {
                "images": len(images.train),
                "test": len(images.test),
                "source": images.source,
                "synthetic": images.synthetic,
                "fingerprint": images.train.fingerprint(),
            },
        },
    }
