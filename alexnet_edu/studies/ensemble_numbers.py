"""What several networks predict for ten patches, as errors: over patches, over subsets, over both.

Errors are shares (0–1) of images, and classes that tie share credit, as in `predictions.top_errors`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from alexnet_edu.data.augment import TEN_PATCHES
from alexnet_edu.training.predictions import average, log_losses, top_errors

CENTRE = TEN_PATCHES.index("centre")
VIEWS: dict[str, tuple[int, ...]] = {  # which of the ten patches are averaged
    "centre": (CENTRE,),
    "centre and its reflection": (CENTRE, CENTRE + 5),
    "five": tuple(range(5)),
    "ten": tuple(range(10)),
}
COMPARED = ("centre", "ten")  # the views that ensembles are measured with
GROUP = 5  # networks in an ensemble of Table 2
DRAWS = 1_000  # coefficients tried in a search
Rows = list[dict[str, Any]]


def error(probabilities: Tensor, labels: Tensor) -> float:
    """Top-1 error (0–1) of (N, C), to six digits."""
    return round(top_errors(probabilities, labels, 1).mean().item(), 6)


def viewed(predictions: Tensor, view: str) -> Tensor:
    """The average over the patches of a view: (M, 10, N, C) -> (M, N, C)."""
    return torch.stack([average(network[list(VIEWS[view])]) for network in predictions])


def subsets(predictions: Tensor, labels: Tensor) -> Rows:
    """Errors of the average of every subset of networks, (M, N, C): "size", "error".

    Subsets of one size stand in the order of `itertools.combinations`.
    """
    sizes = range(1, len(predictions) + 1)
    return [
        {"size": size, "error": error(average(predictions[list(some)]), labels)}
        for size in sizes
        for some in itertools.combinations(range(len(predictions)), size)
    ]


def logits_averaged(predictions: Tensor) -> Tensor:
    """Logits averaged in place of probabilities, (M, N, C) -> (N, C): the geometric mean, normalized."""
    return predictions.clamp_min(1e-30).log().mean(0).softmax(1)


def gain(predictions: Tensor, labels: Tensor) -> dict[str, float]:
    """One ensemble (M, N, C) against its own members.

    members: their mean error; average, logits: errors of the two ways to average; standard_error: of the
    difference between average and members, as far as other test images would change it. All shares.
    rescued: share of images that the average gets right and every member wrong; lost: the reverse.
    """
    each = torch.stack([top_errors(p, labels, 1) for p in predictions])
    mean = top_errors(average(predictions), labels, 1)
    difference = mean - each.mean(0)
    numbers = {
        "members": each.mean(),
        "average": mean.mean(),
        "logits": top_errors(logits_averaged(predictions), labels, 1).mean(),
        "standard_error": difference.std() / len(labels) ** 0.5,
        "rescued": ((mean == 0) & (each == 1).all(0)).double().mean(),
        "lost": ((mean == 1) & (each == 0).all(0)).double().mean(),
        "members_loss": torch.stack([log_losses(p, labels) for p in predictions]).double().mean(),
        "average_loss": log_losses(average(predictions), labels).double().mean(),
    }
    return {name: round(value.item(), 6) for name, value in numbers.items()}


def agreement(predictions: Tensor) -> float:
    """Share of images (0–1) for which two of M predictions (M, N, C) name the same class: mean over pairs."""
    best = predictions.argmax(2)
    pairs = itertools.combinations(range(len(best)), 2)
    same = [(best[a] == best[b]).double().mean() for a, b in pairs]
    return round(torch.stack(same).mean().item(), 6)


def searched_weights(predictions: Tensor, labels: Tensor, seed: int = 0) -> Rows:
    """Coefficients searched on one half of the images and judged on the other, then the reverse.

    predictions: (M, N, C). Of `DRAWS` random coefficients that sum to 1, and equal ones, the best on a half
    is taken. "equal", "searched": errors on the half where it was searched, then on the other.
    """
    generator = torch.Generator().manual_seed(seed)
    # Exponential draws, normalized, are spread evenly over all coefficients that sum to 1.
    draws = -torch.rand(DRAWS, len(predictions), generator=generator).clamp_min(1e-12).log()
    weights = torch.cat([torch.ones(1, len(predictions)), draws]) / len(predictions)
    halves = torch.randperm(len(labels), generator=generator).tensor_split(2)
    rows = []
    for here, there in (halves, halves[::-1]):
        errors = [error(average(predictions[:, here], w.tolist()), labels[here]) for w in weights]
        best = weights[errors.index(min(errors))].tolist()
        rows.append(
            {
                "equal_here": errors[0],
                "searched_here": min(errors),
                "equal_there": error(average(predictions[:, there]), labels[there]),
                "searched_there": error(average(predictions[:, there], best), labels[there]),
            }
        )
    return rows


def members_tables(predictions: Tensor, labels: Tensor) -> dict[str, Rows]:
    """All about M networks that differ by their seed alone, (M, 10, N, C), M at least 2: name -> rows.

    errors: of each network by view, in problem 0, with its loss. places: mean error of each patch alone.
    subsets: by view. groups: `gain` of each whole five that shares no network, by view. agreement: of two
    networks on the centre, of two patches of one network. weights: `searched_weights` of each five.
    """
    count = len(predictions)
    views = {view: viewed(predictions, view) for view in VIEWS}
    starts = range(0, count - GROUP + 1, GROUP) if count >= GROUP else [0]
    groups = {number: slice(start, start + GROUP) for number, start in enumerate(starts, start=1)}
    patches = sum(agreement(network) for network in predictions) / count
    return {
        "errors": [
            {"problem": 0, "variant": "member", "view": view, "error": error(p, labels)}
            | {"loss": round(log_losses(p, labels).double().mean().item(), 6)}
            for view, averaged in views.items()
            for p in averaged
        ],
        "places": [
            {"place": place, "error": round(sum(error(n[i], labels) for n in predictions) / count, 6)}
            for i, place in enumerate(TEN_PATCHES)
        ],
        "subsets": [{"view": view} | row for view in COMPARED for row in subsets(views[view], labels)],
        "groups": [
            {"group": number, "view": view} | gain(views[view][some], labels)
            for number, some in groups.items()
            for view in COMPARED
        ],
        "agreement": [
            {"of": "networks", "share": agreement(views["centre"])},
            {"of": "patches", "share": round(patches, 6)},
        ],
        "weights": [row for some in groups.values() for row in searched_weights(views["ten"][some], labels)],
    }


def add_problem(
    tables: dict[str, Rows], number: int, predictions: Mapping[str, Tensor], labels: Mapping[str, Tensor]
) -> None:
    """Adds the rows of `problem_tables` to those that are there, with the number of the problem."""
    for name, rows in problem_tables(predictions, labels).items():
        tables.setdefault(name, []).extend({"problem": number} | row for row in rows)


def problem_tables(predictions: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict[str, Rows]:
    """All about the networks of one problem, kind -> (M, 10, N, C), "plain", "starred", "source" among them.

    labels: kind -> (N,) of the images it is judged on. errors: of each network, by kind and view. mixed: of
    the averages of every `plain` and `starred` networks. differences: as in `differences`. By view.
    """
    views = {kind: {v: viewed(p, v) for v in COMPARED} for kind, p in sorted(predictions.items())}
    on_problem = {kind: of for kind, of in views.items() if kind != "source"}
    right = labels["plain"]
    return {
        "errors": [
            {"variant": kind, "view": view, "error": error(p, labels[kind])}
            for kind, by_view in views.items()
            for view, averaged in by_view.items()
            for p in averaged
        ],
        "mixed": [
            {"view": view} | row
            for view in COMPARED
            for row in mixed(views["plain"][view], views["starred"][view], right)
        ],
        "differences": [
            {"view": view} | row
            for view in COMPARED
            for row in differences({kind: of[view] for kind, of in on_problem.items()}, right)
        ],
    }


def differences(predictions: Mapping[str, Tensor], labels: Tensor) -> Rows:
    """Every two of these compared on the same images: "name", "baseline", "difference", "standard_error".

    predictions: kind -> (M, N, C). Compared are single networks by kind (the mean over M), "five", the
    average of all plain ones, and "seven", that of all plain and starred ones. Shares (0–1); the standard
    error says how far other test images would move the difference, not other networks.
    """
    each = {
        kind: torch.stack([top_errors(p, labels, 1) for p in networks]).mean(0)
        for kind, networks in predictions.items()
    }
    each["five"] = top_errors(average(predictions["plain"]), labels, 1)
    each["seven"] = top_errors(average(torch.cat([predictions["plain"], predictions["starred"]])), labels, 1)
    rows = []
    for a, b in itertools.permutations(each, 2):
        change = each[a] - each[b]
        reach = (change.std() / len(labels) ** 0.5).item()
        rows.append(
            {
                "name": a,
                "baseline": b,
                "difference": round(change.mean().item(), 6),
                "standard_error": round(reach, 6),
            }
        )
    return rows


def mixed(plain: Tensor, starred: Tensor, labels: Tensor) -> Rows:
    """Errors of the averages of every choice of networks from (M, N, C) and (M', N, C)."""
    rows = []
    for k, m in itertools.product(range(len(plain) + 1), range(len(starred) + 1)):
        choices = (itertools.combinations(range(len(of)), size) for of, size in ((plain, k), (starred, m)))
        for a, b in itertools.product(*choices):
            if a or b:
                chosen = torch.cat([plain[list(a)], starred[list(b)]])
                rows.append({"plain": k, "starred": m, "error": error(average(chosen), labels)})
    return rows
