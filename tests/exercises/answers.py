"""Answers to every exercise: right ones in several forms, and wrong ones with words of the reason.

Frequent wrong answers stand in the judges themselves, as their `faults`; here are others.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu.training.sgd import rescale_momentum


def lrn_backward(g: Tensor, a: Tensor) -> Tensor:
    def window(t: Tensor) -> Tensor:
        padded = F.pad(t, (0, 0, 0, 0, 2, 2))
        return torch.stack([padded[:, j : j + t.shape[1]] for j in range(5)]).sum(0)

    d = 2 + 1e-4 * window(a**2)
    q = g * d**-0.75
    return q - 1.5e-4 * a * window(q * a / d)


def sums(x: Tensor, z: int, s: int) -> Tensor:
    over = [side for n in (x.shape[3], x.shape[2]) for side in (0, (z - n) % s)]
    return F.pad(x, over).unfold(2, z, s).unfold(3, z, s).sum((4, 5))


def averaged(logits: Tensor) -> Tensor:
    return torch.stack([part.softmax(1).mean(0) for part in logits.split(10)])


def triangle(c: Tensor) -> Tensor:
    a = torch.zeros_like(c)
    for i in range(3):
        for j in range(i + 1):
            rest = c[i, j] - (a[i, :j] * a[j, :j]).sum()
            a[i, j] = rest.sqrt() if i == j else rest / a[j, j]
    return a


def ungrouped(w: Tensor) -> Tensor:
    whole = torch.zeros(len(w), 2 * w.shape[1], *w.shape[2:])
    half, maps = len(w) // 2, w.shape[1]
    whole[:half, :maps], whole[half:, maps:] = w[:half], w[half:]
    return whole


def falls(errors: Tensor, patience: Tensor, margin: Tensor) -> int:
    best, waited, fallen = math.inf, 0, 0
    for error in errors.tolist():
        best, waited = (error, 0) if error < best - float(margin) else (best, waited + 1)
        if waited == int(patience) and fallen < 3:
            fallen, waited = fallen + 1, 0
    return fallen


def batch(order: Tensor, step: int, size: int) -> Tensor:
    return order[step * size : (step + 1) * size]


def p_value(own: Tensor, null: Tensor) -> float:
    return (1 + sum(abs(float(d)) >= abs(float(own)) for d in null)) / (1 + len(null))


def over_all_orders(distances: Tensor, same: Tensor, k: Tensor) -> float:
    """Each place counted with its chance: how many are nearer, how many as near."""
    total = 0.0
    for d, s in zip(distances.tolist(), same.tolist(), strict=True):
        nearer, tied = int((distances < d).sum()), int((distances == d).sum())
        total += s * min(1.0, max(0.0, (int(k) - nearer) / tied))
    return total / int(k)


def by_the_optimizer(b: Tensor, old: float, new: float) -> Tensor:
    weight = torch.zeros_like(b).requires_grad_()
    optimizer = torch.optim.SGD([weight], lr=old, momentum=0.9)
    optimizer.state[weight]["momentum_buffer"] = b.clone()
    rescale_momentum(optimizer, old, new)
    kept: Tensor = optimizer.state[weight]["momentum_buffer"]
    return kept


def shared_error(p: Tensor, labels: Tensor) -> float:
    wrong = 0.0
    for row, label in zip(p.tolist(), labels.tolist(), strict=True):
        best = [i for i, x in enumerate(row) if x == max(row)]
        wrong += 1 - (label in best) / len(best)
    return wrong / len(labels)


def begin(net: nn.Sequential, classes: int, rate: float) -> torch.optim.Optimizer:
    net[-1] = nn.Linear(net[-1].in_features, classes)  # type: ignore[arg-type]
    return torch.optim.SGD(net.parameters(), rate)


def begin_too_early(net: nn.Sequential, classes: int, rate: float) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(net.parameters(), rate)
    begin(net, classes, rate)
    return optimizer


def frozen(net: nn.Sequential, classes: int, rate: float) -> torch.optim.Optimizer:
    begin(net, classes, rate)
    return torch.optim.SGD(net[-1].parameters(), rate)


BINOMIAL = [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
RIGHT: dict[str, list[Any]] = {
    "00.1": [math.log(1000), 6.91],
    "00.2": [61_100_840],
    "00.3": [11_534_336],
    "00.4": [(4.22, 4.69), torch.tensor([4.2203, 4.694])],
    "01.1": [1 / 64, "0.0156"],
    "01.2": [(-3.0, 0.1)],
    "01.3": [lambda g, y: torch.where(y > 0, g, torch.zeros_like(g))],
    "01.4": [4.9, 0.01 * 75**0.5 * 63 / (2.178 / 1.96)],
    "01.5": [(1 / 63, 1 / 3969), torch.tensor([0.01587, 0.000252])],
    "02.1": [200, "200"],
    "02.2": [torch.tensor([[[[0.0, 50.0]], [[0.0, 50.0]]]]), [[[[100.0]], [[100.0]]]]],
    "02.3": [3969, 63**2],
    "02.4": [[-100.0, 50.0], (1.0, 0.0, -1.0), torch.tensor([3.0, -3.0])],
    "02.5": [lrn_backward],
    "03.1": [28, "28"],
    "03.2": [
        lambda x, z, s: F.avg_pool2d(x, z, s, ceil_mode=True),
        lambda x, z, s: sums(x, z, s) / sums(torch.ones_like(x), z, s),
    ],
    "03.3": [lambda z: (2 / z) ** 0.5, lambda z: math.sqrt(2 * (1 - (z - 1) / z))],
    "03.4": [lambda n, z, s: (n - z - 1) % s != 0, lambda n, z, s: (n - z - 1) % s],
    "03.5": [torch.tensor(BINOMIAL)[None, None] / 16, [[x / 16 for x in row] for row in BINOMIAL]],
    "04.1": [88.19, "88"],
    "04.2": [1.005, torch.tensor(1.01).sqrt()],
    "04.3": [averaged],
    "04.4": [lambda net, x: torch.stack([net(x), net(x.flip(3))]).mean(0)],
    "04.5": [torch.linalg.cholesky, triangle],
    "05.1": [66_453_504, 66.5e6],
    "05.2": [torch.add, lambda a, b: torch.stack([a, b]).sum(0)],
    "05.3": [ungrouped],
    "05.4": [1040, 1040.5],
    "05.5": [1.0865, 1.09],
    "06.1": [900_900],
    "06.2": [0.1367, 0.137],
    "06.3": [falls, lambda errors, patience, margin: torch.tensor(falls(errors, patience, margin))],
    "06.4": [
        lambda o, s, b, rank, world: batch(o, s, b)[rank::world],
        lambda o, s, b, rank, world: batch(o, s, b).tensor_split(world)[rank].tolist(),
    ],
    "06.5": [831.4, 820],
    "07.1": [99],
    "07.2": [1 / 3, "0.333"],
    "07.3": [lambda s, K: s * math.sqrt(8 / (math.pi * K)), lambda s, K: torch.tensor(1.59577 * s / K**0.5)],
    "07.4": [p_value],
    "07.5": [16, "16"],
    "08.1": [512, "512"],
    "08.2": [lambda u, v: (u[:, None] != v[None]).sum(2), lambda u, v: (u.shape[1] - u @ v.T) / 2],
    "08.3": [
        lambda k, B: B * (1 - (1 - 1 / B) ** k),
        lambda k, B: sum((1 - 1 / int(B)) ** r for r in range(int(k))),
    ],
    "08.4": [over_all_orders],
    "08.5": [lambda c: torch.acos(c) / math.pi, lambda c: [math.acos(x) / math.pi for x in c]],
    "09.1": [2467, "2467"],
    "09.2": [
        lambda z: z.mean(0).softmax(0),
        lambda z: z.softmax(1).log().mean(0).exp() / z.softmax(1).log().mean(0).exp().sum(),
    ],
    "09.3": [1 / 0.64, 1.56],
    "09.4": [lambda w, h, keep: (keep - keep**2) * torch.dot(w**2, h**2)],
    "09.5": [10, torch.tensor(-12.0)],
    "10.1": [0.005, "0.005"],
    "10.2": [lambda b, old, new: b * (old / new), by_the_optimizer],
    "10.3": [0.0408, torch.tensor(2 / 1200).sqrt()],
    "10.4": [2048, "2048"],
    "10.5": [13_863, math.log(2) / 5e-5],
    "10.6": [lambda weight: torch.tensor(2 / weight[0].numel()).sqrt()],
    "10.7": [10_000, "1e4"],
    "10.8": [0.0395, 0.04],
    "11.1": [37.45, "37.45", 40.7 - 2.6 / 0.8],
    "11.2": [shared_error],
    "11.3": [[[0.45, 0.5, 0.05], [0.45, 0.05, 0.5]], torch.tensor([[0.48, 0.5, 0.02], [0.4, 0.0, 0.6]])],
    "11.4": [begin],
    "11.5": [lambda b1, b2, c: 1 / (1 + (b1 - c) / (b2 - c + 1e-12))],
    "13.1": [197, "197"],
    "13.2": [0.2, torch.tensor(0.00394 / 1.96) ** 2 * 50_000],
    "13.3": [lambda mean, low, high: 0.5 * ((mean < 0) + (high < 0))],
    "13.4": [lambda s, g: next(m for m in range(1, 1000) if 1.96 * s / m**0.5 <= g)],
}
WRONG: dict[str, list[tuple[Any, str]]] = {
    "00.4": [
        ((4.0, 4.694), "the multiply-adds of the convolutions do not grow 4 times"),
        ((4.22, 4.0), "the parameters of fc6 do not grow 4 times"),
        ((4.694, 4.22), "the other way round"),
        (4.2, "a pair of numbers is asked for"),
    ],
    "01.1": [("1/64", "a number is asked for, not '1/64'"), (math.nan, "a finite number is asked for")],
    "01.3": [
        (lambda g, y: g * (y >= 0), "y >= 0 is always true"),
        (lambda g, y: g * y, "differ from the right ones"),
        (lambda g, y: g[0], "the shape is"),
        (lambda g, y: y.no_such_thing, "it raised AttributeError"),
    ],
    "01.4": [(63, "too large"), (0.204, "that is its inverse")],
    "01.5": [
        ((1.0, 1 / 3969), "63 times what it was, before any step"),
        ((1 / 63, 1 / 63), "63 times as far as it should"),
        ((1 / 63, 1), "3.97e+03 times as far"),
        (1 / 63, "a pair of numbers is asked for"),
    ],
    "01.2": [
        ((1.0, 2.0), "both orders give"),
        (3.0, "a pair of numbers is asked for"),
        ((1.0, "x"), "a number is asked for"),
    ],
    "02.1": [(300, "too large")],
    "02.2": [
        (torch.ones(1, 8, 6, 6), "far below k = 2"),
        (torch.full((1, 1, 1, 1), 100.0), "hold the same squares"),
        (torch.ones(8, 6), "the shape is (8, 6)"),
        (torch.full((1, 8, 6, 6), math.inf), "a finite number"),
        ("randn", "a tensor (N, C, H, W) is asked for"),
    ],
    "02.5": [(lambda g, a: g[0], "the shape is"), (lambda g, a: a * 0, "some values differ")],
    "02.4": [
        ([1.0, 2.0], "all are positive"),
        ([-1.0, -2.0], "both orders give 0"),
        ([5.0, 0.0, 0.0, -5.0], "within two maps"),
        ([], "the list is empty"),
        (3.0, "a list of numbers is asked for"),
        ([1.0, "x"], "a number is asked for"),
    ],
    "03.2": [(lambda x, z, s: F.avg_pool2d(x, z, s), "the shape is"), (sums, "some values differ")],
    "03.4": [
        (lambda n, z, s: (n - z) % s != 0, "for n = 2, z = 1, s = 2 it says True, but the sizes are 2 and 1"),
        (lambda n, z, s: None, "returns nothing"),
        (True, "a function is asked for"),
    ],
    "03.5": [
        (torch.full((3, 3), 1 / 9), "one average over 3×3"),
        (torch.tensor(BINOMIAL), "these to 16"),
        (torch.eye(3) / 3, "row 1, column 1"),
        (torch.ones(2, 2) / 4, "shape (2, 2)"),
        ("binomial", "a 3×3 tensor is asked for"),
    ],
    "04.1": [(2048, "too large")],
    "04.3": [(lambda logits: logits.softmax(1), "the shape is")],
    "06.3": [(lambda errors, patience, margin: falls(errors, patience + 1, margin), "not one later")],
    "06.4": [
        (lambda o, s, b, rank, world: batch(o, s, b) if rank == 0 else o[:0], "not shared evenly"),
        (lambda o, s, b, rank, world: batch(o, s, b), "an image comes twice"),
        (lambda o, s, b, rank, world: batch(o, s, b)[rank::world][:-1], "are in no process"),
        (lambda o, s, b, rank, world: o[rank::world], "of another step"),
        (3, "a function is asked for"),
    ],
    "07.3": [(lambda s, K: s, "some values differ")],
    "09.2": [(lambda z: z.softmax(1), "the shape is")],
    "09.5": [
        (1, "for w = 1 the halved network says 0.622 and the average is 0.616"),
        ("large", "a number is asked for"),
    ],
    "10.2": [(lambda b, old, new: b / old, "some values differ"), (lambda b, old, new: b, "left alone")],
    "10.6": [(lambda weight: weight.std(), "some values differ")],
    "11.3": [
        ([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]], "network 1 is not wrong"),
        ([[0.4, 0.5, 0.1], [0.4, 0.5, 0.1]], "is not right about class 0"),
        ([[0.5, 0.6, 0.1], [0.4, 0.1, 0.5]], "sum to 1"),
        ([0.4, 0.5, 0.1], "the shape must be"),
        ("two", "two rows of three numbers"),
    ],
    "11.4": [
        (begin_too_early, "it never moves"),
        (lambda net, classes, rate: begin(net, classes, 0.1), "the rate must be 0.01"),
        (lambda net, classes, rate: begin(net, classes + 5, rate), "the classifier must read 3 units"),
        (lambda net, classes, rate: None, "must return the optimizer"),
        (frozen, "some of the other layers do not learn"),
        ("fine", "a function is asked for"),
    ],
    "13.3": [
        (lambda mean, low, high: float(low > 0), "lies below 0"),
        (lambda *_: 0.3, "some values differ"),
    ],
    "13.4": [(lambda s, g: (1.96 * s / g) ** 2, "round up"), (lambda s, g: None, "returns nothing")],
}
