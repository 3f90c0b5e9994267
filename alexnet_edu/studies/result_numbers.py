"""What several networks say to ten patches, as errors: over patches, over subsets, over both.

Predictions in, plain numbers out, ready for a record. Errors are shares (0–1) of images, and classes
that tie share credit, as in `predictions.top_errors`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
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


def error(probabilities: Tensor, labels: Tensor) -> float:
    """Top-1 error (0–1) of (N, C), to six digits."""
    return round(top_errors(probabilities, labels, 1).mean().item(), 6)


def seen(said: Tensor, view: str) -> Tensor:
    """The average over the patches of a view: (M, 10, N, C) -> (M, N, C)."""
    return torch.stack([average(network[list(VIEWS[view])]) for network in said])


def over_subsets(said: Tensor, labels: Tensor) -> dict[str, list[float]]:
    """Errors of the average of every subset of networks, (M, N, C): size -> errors.

    Subsets of one size stand in the order of `itertools.combinations`.
    """
    count = len(said)
    return {
        str(size): [
            error(average(said[list(some)]), labels) for some in itertools.combinations(range(count), size)
        ]
        for size in range(1, count + 1)
    }


def logits_averaged(said: Tensor) -> Tensor:
    """Logits averaged in place of probabilities, (M, N, C) -> (N, C): the geometric mean, normalized."""
    return said.clamp_min(1e-30).log().mean(0).softmax(1)


def gain(said: Tensor, labels: Tensor) -> dict[str, float]:
    """One ensemble (M, N, C) against its own members.

    members: their mean error; average, logits: errors of the two ways to average; standard_error: of the
    difference between average and members, as far as other test images would change it. All shares.
    rescued: share of images that the average gets right and every member wrong; lost: the reverse.
    """
    each = torch.stack([top_errors(p, labels, 1) for p in said])
    mean = top_errors(average(said), labels, 1)
    difference = mean - each.mean(0)
    found = {
        "members": each.mean(),
        "average": mean.mean(),
        "logits": top_errors(logits_averaged(said), labels, 1).mean(),
        "standard_error": difference.std() / len(labels) ** 0.5,
        "rescued": ((mean == 0) & (each == 1).all(0)).double().mean(),
        "lost": ((mean == 1) & (each == 0).all(0)).double().mean(),
        "members_loss": torch.stack([log_losses(p, labels) for p in said]).double().mean(),
        "average_loss": log_losses(average(said), labels).double().mean(),
    }
    return {name: round(value.item(), 6) for name, value in found.items()}


def agreement(said: Tensor) -> float:
    """Share of images (0–1) for which two of M predictions (M, N, C) name the same class: mean over pairs."""
    best = said.argmax(2)
    pairs = itertools.combinations(range(len(best)), 2)
    same = [(best[a] == best[b]).double().mean() for a, b in pairs]
    return round(torch.stack(same).mean().item(), 6)


def searched_weights(said: Tensor, labels: Tensor, seed: int = 0) -> list[dict[str, float]]:
    """Coefficients searched on one half of the images and judged on the other, then the reverse.

    said: (M, N, C). Of `DRAWS` random coefficients that sum to 1, and equal ones, the best on a half
    is taken. "equal", "searched": errors on the half where it was searched, then on the other.
    """
    generator = torch.Generator().manual_seed(seed)
    # Exponential draws, normalized, are spread evenly over all coefficients that sum to 1.
    draws = -torch.rand(DRAWS, len(said), generator=generator).clamp_min(1e-12).log()
    weights = torch.cat([torch.ones(1, len(said)), draws]) / len(said)
    halves = torch.randperm(len(labels), generator=generator).tensor_split(2)
    found = []
    for here, there in (halves, halves[::-1]):
        errors = [error(average(said[:, here], w.tolist()), labels[here]) for w in weights]
        best = weights[errors.index(min(errors))].tolist()
        found.append(
            {
                "equal_here": errors[0],
                "searched_here": min(errors),
                "equal_there": error(average(said[:, there]), labels[there]),
                "searched_there": error(average(said[:, there], best), labels[there]),
            }
        )
    return found


def members_part(said: Tensor, labels: Tensor) -> dict[str, Any]:
    """All about M networks that differ by their seed alone. said: (M, 10, N, C), M at least 2.

    patches: errors of each network by view. places: mean error of each patch alone. subsets: as in
    `over_subsets`, by view. groups: `gain` of each whole five that shares no network, by view. agreement: of
    two networks on the centre, of two patches of one network. weights: `searched_weights` of each five.
    """
    views = {view: seen(said, view) for view in VIEWS}
    groups = [range(i, i + GROUP) for i in range(0, len(said) - GROUP + 1, GROUP)] or [range(len(said))]
    return {
        "patches": {view: [error(p, labels) for p in averaged] for view, averaged in views.items()},
        "losses": {
            view: [round(log_losses(p, labels).double().mean().item(), 6) for p in views[view]]
            for view in COMPARED
        },
        "places": [
            round(sum(error(network[place], labels) for network in said) / len(said), 6)
            for place in range(len(TEN_PATCHES))
        ],
        "subsets": {view: over_subsets(views[view], labels) for view in COMPARED},
        "groups": [
            {"networks": [i + 1 for i in group]}
            | {view: gain(views[view][group.start : group.stop], labels) for view in COMPARED}
            for group in groups
        ],
        "agreement": {
            "networks": agreement(views["centre"]),
            "patches": round(sum(agreement(network) for network in said) / len(said), 6),
        },
        "weights": [
            half
            for group in groups
            for half in searched_weights(views["ten"][group.start : group.stop], labels)
        ],
    }


def problem_part(said: Mapping[str, Tensor], labels: Tensor) -> dict[str, Any]:
    """All about the networks of one problem: kind -> (M, 10, N, C), with "plain" and "starred" among them.

    networks: errors of each, by kind and view. mixed: view -> "k+m" -> errors of the averages of every k
    plain and m starred networks. differences: as in `differences`, by view. Views: `COMPARED`.
    """
    views = {
        kind: {view: seen(networks, view) for view in COMPARED} for kind, networks in sorted(said.items())
    }
    return {
        "networks": {
            kind: {view: [error(p, labels) for p in averaged] for view, averaged in by_view.items()}
            for kind, by_view in views.items()
        },
        "mixed": {view: _mixed(views["plain"][view], views["starred"][view], labels) for view in COMPARED},
        "differences": {
            view: differences({kind: by_view[view] for kind, by_view in views.items()}, labels)
            for view in COMPARED
        },
    }


def differences(said: Mapping[str, Tensor], labels: Tensor) -> dict[str, list[float]]:
    """Every two of these compared on the same images: "a - b" -> difference of errors, its standard error.

    said: kind -> (M, N, C). Compared are single networks by kind (the mean over M), "five", the average
    of all plain ones, and "seven", that of all plain and starred ones. Shares (0–1); the standard error
    says how far other test images would move the difference, not other networks.
    """
    each = {
        kind: torch.stack([top_errors(p, labels, 1) for p in networks]).mean(0)
        for kind, networks in said.items()
    }
    each["five"] = top_errors(average(said["plain"]), labels, 1)
    each["seven"] = top_errors(average(torch.cat([said["plain"], said["starred"]])), labels, 1)
    found = {}
    for a, b in itertools.permutations(each, 2):
        change = each[a] - each[b]
        error = (change.std() / len(labels) ** 0.5).item()
        found[f"{a} - {b}"] = [round(change.mean().item(), 6), round(error, 6)]
    return found


def _mixed(plain: Tensor, starred: Tensor, labels: Tensor) -> dict[str, list[float]]:
    found = {}
    for k, m in itertools.product(range(len(plain) + 1), range(len(starred) + 1)):
        if k + m:
            pairs = itertools.product(_choices(len(plain), k), _choices(len(starred), m))
            found[f"{k}+{m}"] = [error(average(torch.cat([plain[a], starred[b]])), labels) for a, b in pairs]
    return found


def _choices(count: int, size: int) -> Sequence[list[int]]:
    return [list(some) for some in itertools.combinations(range(count), size)]
