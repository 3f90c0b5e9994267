"""Answers to the exercises are judged here, and the hints live here.

    check("01.1", my_answer)   whether it is right, and if not, what is off
    hint("01.1")               the next hint, a little more each time

A judge looks at what an answer does, not at how it is written: functions are tried on
inputs, numbers are compared with what the mathematics gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Judge = Callable[[Any], str | None]


class Fault(Exception):
    """What is off with an answer, in words; raised where it cannot be judged at all."""


@dataclass(frozen=True)
class Exercise:
    """One exercise. judge: None if the answer is right, otherwise what is off, in words."""

    id: str
    judge: Judge
    hints: tuple[str, ...]
    praise: str


@dataclass(frozen=True)
class Judgement:
    """What `check` says: shown as its text in a notebook, true if the answer is right."""

    right: bool
    text: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.text


_given: dict[str, int] = {}


def check(exercise_id: str, answer: Any) -> Judgement:
    """Judges `answer`. None stands for "not answered yet"; an error that it raises is shown.

    Raises ValueError for an unknown exercise.
    """
    exercise = _find(exercise_id)
    if answer is None:
        return Judgement(False, f"Exercise {exercise_id}: not answered yet. hint({exercise_id!r}) helps.")
    try:
        fault = exercise.judge(answer)
    except Fault as reason:
        fault = str(reason)
    except Exception as error:
        fault = f"it raised {type(error).__name__}: {error}"
    if fault is None:
        return Judgement(True, f"Exercise {exercise_id}: right. {exercise.praise}")
    return Judgement(False, f"Exercise {exercise_id}: not yet, {fault}. hint({exercise_id!r}) helps.")


def hint(exercise_id: str) -> None:
    """Prints the next hint; after the last one it starts again."""
    exercise = _find(exercise_id)
    turn = _given.get(exercise_id, 0)
    _given[exercise_id] = turn + 1
    place = turn % len(exercise.hints)
    print(f"Hint {place + 1} of {len(exercise.hints)}: {exercise.hints[place]}")


def _find(exercise_id: str) -> Exercise:
    if exercise_id not in EXERCISES:
        raise ValueError(f"there is no exercise {exercise_id!r}; there are {', '.join(EXERCISES)}")
    return EXERCISES[exercise_id]


# --- judges ------------------------------------------------------------------------------


def _as_number(answer: Any) -> float:
    """`answer` as a float; Fault if it is not one number."""
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise Fault(f"a number is asked for, not {answer!r}") from None
    if not math.isfinite(value):
        raise Fault(f"a finite number is asked for, not {answer!r}")
    return value


def number(expected: float, tolerance: float = 0.01, faults: dict[float, str] | None = None) -> Judge:
    """A number within `tolerance` (relative). faults: wrong values and what they come from."""

    def judge(answer: Any) -> str | None:
        value = _as_number(answer)
        if math.isclose(value, expected, rel_tol=tolerance, abs_tol=1e-12):
            return None
        for wrong, why in (faults or {}).items():
            if math.isclose(value, wrong, rel_tol=tolerance):
                return why
        return f"{value:g} is too {'large' if value > expected else 'small'}"

    return judge


def same_function(
    expected: Callable[..., Tensor],
    inputs: list[tuple[Tensor, ...]],
    faults: Sequence[tuple[Callable[..., Tensor], str]] = (),
) -> Judge:
    """A function that gives what `expected` gives on every one of `inputs`.

    faults: wrong functions that are often given, and what to say to each.
    """

    def judge(answer: Any) -> str | None:
        if not callable(answer):
            return f"a function is asked for, not {type(answer).__name__}"
        for arguments in inputs:
            got = answer(*(a.clone() for a in arguments))
            want = expected(*arguments)
            if got is None:
                return "the function returns nothing"
            got = torch.as_tensor(got, dtype=want.dtype)
            if got.shape != want.shape:
                return f"the shape is {tuple(got.shape)}, it should be {tuple(want.shape)}"
            if not torch.allclose(got, want, rtol=1e-4, atol=1e-6):
                for wrong, why in faults:
                    if torch.allclose(got, wrong(*arguments).to(want.dtype), rtol=1e-4, atol=1e-6):
                        return why
                worst = (got - want).abs().max().item()
                return f"some values differ from the right ones, by up to {worst:.3g}"
        return None

    return judge


# --- 00 Start here -----------------------------------------------------------------------


def _grey_levels() -> list[tuple[Tensor, ...]]:
    return [(torch.linspace(-5, 5, 41),), (torch.tensor([0.0, 2.5]),)]


def _judge_largest_input(answer: Any) -> str | None:
    z = _as_number(answer)
    slope = 1 - math.tanh(z) ** 2
    if z <= 0:
        return "give the positive input"
    if abs(slope - 0.05) < 0.003:  # 2.16 to 2.21: as well as a plot can be read
        return None
    return f"there the slope is {slope:.3f}, not 0.05"


# --- 01 ReLU against tanh ----------------------------------------------------------------


def _relu_backward(gradient: Tensor, z: Tensor) -> Tensor:
    return gradient * (z > 0)


def _backward_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4, 6, generator=generator)
    return [(torch.randn(4, 6, generator=generator), z), (torch.ones(3), torch.tensor([-1.0, 0.0, 2.0]))]


def _share_saturated(z: Tensor) -> Tensor:
    return ((1 - torch.tanh(z) ** 2) < 0.05).double().mean()


def _saturation_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(1)
    return [(scale * torch.randn(500, generator=generator),) for scale in (0.1, 2.0, 30.0)]


def _judge_counterexample(answer: Any) -> str | None:
    if not isinstance(answer, Sequence | Tensor) or isinstance(answer, str) or len(answer) != 2:
        return f"a pair of numbers is asked for, such as (1.0, 2.0), not {answer!r}"
    a, b = (_as_number(x) for x in answer)
    before, after = max(abs(math.tanh(a)), abs(math.tanh(b))), abs(math.tanh(max(a, b)))
    if math.isclose(before, after, rel_tol=1e-6):
        return f"for {a:g} and {b:g} both orders give {after:.4f}"
    return None


# --- 03 overlapping pooling ---------------------------------------------------------------


def _odd_maps() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(3)
    shapes = ((2, 3, 7, 7), (1, 2, 9, 5), (2, 1, 3, 3))
    return [(torch.randn(*shape, generator=generator) - 1,) for shape in shapes]


def _pooled_over_mixed_channels(x: Tensor) -> Tensor:
    columns = F.unfold(x, 3, stride=2)
    height, width = (x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1
    return columns.unflatten(1, (9, x.shape[1])).amax(1).unflatten(2, (height, width))


def _judge_rounding(answer: Any) -> str | None:
    """A function of n, z and s: whether rounding up and down give different output sides."""
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    for n in range(2, 31):
        for z in range(1, n + 1):
            for s in range(1, 6):
                got, want = answer(n, z, s), (n - z) % s != 0
                if got is None:
                    return "the function returns nothing"
                if bool(got) != want:
                    steps = f"({n} − {z})/{s} = {(n - z) / s:g}"
                    return f"for n = {n}, z = {z}, s = {s} it says {bool(got)}, but {steps}"
    return None


def _judge_two_averages(answer: Any) -> str | None:
    try:
        kernel = torch.as_tensor(answer, dtype=torch.float64).squeeze()
    except (TypeError, ValueError, RuntimeError):
        return f"a 3×3 tensor is asked for, not {type(answer).__name__}"
    if kernel.shape != (3, 3):
        return f"the kernel has the shape {tuple(kernel.shape)}, it should be (3, 3)"
    row = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    want = torch.outer(row, row) / 16
    if torch.allclose(kernel, want, atol=1e-3):
        return None
    if torch.allclose(kernel, torch.full_like(kernel, 1 / 9), atol=1e-3):
        return "that is one average over 3×3; here the pixel in the middle enters more often than a corner"
    if abs(kernel.sum() - 1) > 1e-3:
        return f"the weights of an average sum to 1, these to {kernel.sum():.3g}"
    worst = (kernel - want).abs().argmax().item()
    return f"the weight in row {worst // 3 + 1}, column {worst % 3 + 1} is not right"


# --- 02 local response normalization -----------------------------------------------------


def _response_norm(
    a: Tensor, alpha: float = 1e-4, beta: float = 0.75, reach: int = 2, around: bool = False
) -> Tensor:
    """b of §3.3 for a (N, C, H, W). around: the maps are taken for a ring, which they are not."""
    squares, maps = a * a, a.shape[1]
    total = torch.zeros_like(a)
    for shift in range(-reach, reach + 1):
        if around:
            total += squares.roll(shift, dims=1)
        elif abs(shift) < maps:
            low, high = max(0, shift), min(maps, maps + shift)
            total[:, low - shift : high - shift] += squares[:, low:high]
    return a / (2 + alpha * total) ** beta


def _within_one_map(a: Tensor) -> Tensor:
    sums = 25 * torch.nn.functional.avg_pool2d(a * a, 5, stride=1, padding=2)
    return a / (2 + 1e-4 * sums) ** 0.75


def _activity_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(2)
    shapes = ((2, 8, 5, 6), (1, 3, 5, 5), (2, 32, 6, 5))
    return [(100 * torch.randn(shape, generator=generator).relu(),) for shape in shapes]


def _judge_order_of_relu(answer: Any) -> str | None:
    if isinstance(answer, str) or not isinstance(answer, Sequence | Tensor):
        return f"a list of numbers is asked for, such as [1.0, 2.0], not {answer!r}"
    values = [_as_number(z) for z in answer]
    if not values:
        return "the list is empty"
    z = torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1)
    paper, code = _response_norm(z.relu()), _response_norm(z).relu()
    if not torch.allclose(paper, code, rtol=1e-9, atol=0):
        return None
    if (z > 0).all():
        return "where all are positive ReLU changes nothing, so its place does not matter"
    if (z <= 0).all():
        return "where none is positive both orders give 0"
    return "both orders give the same: no negative number lies within two maps of a positive one"


# --- 05 Two GPUs -------------------------------------------------------------------------

_PARAMETERS = 60_965_224  # of the paper's network, see `architecture.count`


def _ungroup(w: Tensor) -> Tensor:
    whole = torch.zeros(len(w), 2 * w.shape[1], *w.shape[2:], dtype=w.dtype)
    half, maps = len(w) // 2, w.shape[1]
    whole[:half, :maps], whole[half:, maps:] = w[:half], w[half:]
    return whole


def _ungroup_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(5)
    return [(torch.randn(*shape, generator=generator),) for shape in ((6, 4, 3, 3), (2, 1, 1, 1))]


def _exchange_cases() -> list[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(6)
    return [tuple(torch.randn(2, 3, 4, 4, generator=generator) for _ in range(2))]


EXERCISES = {
    e.id: e
    for e in (
        Exercise(
            "00.1",
            same_function(lambda z: z.clamp(min=0), _grey_levels()),
            (
                "ReLU keeps what is positive and replaces the rest.",
                "torch.where(condition, a, b) chooses element by element; z.clamp(min=0) is shorter.",
            ),
            "One comparison per value: no exponential anywhere.",
        ),
        Exercise(
            "00.2",
            _judge_largest_input,
            (
                "The slope of tanh is 1 − tanh²(z).",
                "Solve tanh²(z) = 0.95: z = artanh(√0.95), and torch.atanh exists.",
            ),
            "Beyond it tanh passes on less than a twentieth of the gradient.",
        ),
        Exercise(
            "00.3",
            number(
                256 * (5 * 5 * 96 + 1),
                tolerance=1e-9,
                faults={
                    256 * (5 * 5 * 48 + 1): "that is conv2 as it is, where a kernel sees 48 channels",
                    256 * 5 * 5 * 96: "the biases are missing: one per kernel",
                },
            ),
            (
                "Only the number of channels that a kernel sees changes: C is 96 now, not 48.",
                "K (s² C + 1) with K = 256 and s = 5.",
            ),
            "Splitting the columns halves this layer's weights, and its work.",
        ),
        Exercise(
            "00.4",
            number(
                1 + math.ceil((256 - 11) / 4),
                tolerance=1e-9,
                faults={62: "that is rounded down, as PyTorch does; 2012 rounds up"},
            ),
            ("(256 − 11) / 4 is no whole number.", "1 + ⌈(n − s) / stride⌉"),
            "The last window hangs over the edge here too.",
        ),
        Exercise(
            "01.1",
            number(
                1 / 64,
                faults={
                    0.25: "that is one layer; the gradient passes three",
                    0.75: "slopes multiply, they do not add",
                },
            ),
            (
                "σ′(z) = σ(z)(1 − σ(z)). Where is it largest?",
                "It is largest at z = 0, where σ = 1/2. The gradient meets one slope per layer.",
            ),
            "At best 1.6% of the gradient passes three sigmoids, before the weights have their say.",
        ),
        Exercise(
            "01.2",
            number(
                89_578,
                tolerance=1e-9,
                faults={
                    89_440: "the biases are missing: one per kernel, one per class",
                    85_098: "the last map is 4×4, not 3×3: 2012 rounds sizes up",
                },
            ),
            (
                "A convolution has kernels × (5·5·input channels + 1) parameters.",
                "Sizes: 32 → 16 → 8 → 4, so the classifier sees 64·4·4 = 1024 numbers.",
            ),
            "The 2012 file gives the same number.",
        ),
        Exercise(
            "01.3",
            same_function(_relu_backward, _backward_cases()),
            (
                "The chain rule: ∂L/∂z = ∂L/∂f · f′(z).",
                "f′(z) is 1 where z > 0 and 0 elsewhere (at 0 the usual choice is 0).",
            ),
            "A gate: it passes the gradient whole or not at all, whatever the size of z.",
        ),
        Exercise(
            "01.4",
            same_function(
                _share_saturated,
                _saturation_cases(),
                faults=[
                    (
                        lambda z: (z.abs() > 2.2).double().mean(),
                        "that counts |z| > 2.2, which is rounded; count where the slope itself is below 0.05",
                    )
                ],
            ),
            (
                "Compute the slope 1 − tanh²(z) of every element first.",
                "(slope < 0.05) is a tensor of truth values; its mean, as a float, is the share.",
            ),
            "Try it on the first layer of the network at both input scales.",
        ),
        Exercise(
            "01.5",
            _judge_counterexample,
            (
                "|tanh| does not only rise: it falls on the left of zero.",
                "Take one negative number that is far from zero and one positive number near it.",
            ),
            "So the order of pooling and activation matters for |tanh|, and for no f that only rises.",
        ),
        # 02 local response normalization
        Exercise(
            "02.1",
            same_function(
                _response_norm,
                _activity_cases(),
                faults=[
                    (
                        lambda a: _response_norm(a, alpha=1e-4 / 5),
                        "that is α/n times the sum, as in the 2012 code; the paper prints α times it",
                    ),
                    (
                        lambda a: _response_norm(a, around=True),
                        "the first and the last maps are no neighbours: the sum ends there",
                    ),
                    (_within_one_map, "the neighbours are maps, the same place in each, not places"),
                    (lambda a: _response_norm(a, reach=1), "n = 5 maps: two on either side of map i"),
                    (lambda a: _response_norm(a, beta=1.0), "the power β = 0.75 is missing"),
                ],
            ),
            (
                "Square, and pad the dimension of the maps by two zeros on either side: "
                "F.pad(a**2, (0, 0, 0, 0, 2, 2)).",
                "Five slices of the padded squares, each C maps long, one map apart; add them up.",
            ),
            "No loop over units: five additions of whole tensors, whatever the number of maps.",
        ),
        Exercise(
            "02.2",
            number(
                7**-0.75,
                faults={
                    100 * 7**-0.75: "that is b itself; the factor is b/a",
                    3**-0.75: "that is α/n times the sum, as in the 2012 code",
                    5**-0.75: "k = 2 is missing in the base",
                    2.2**-0.75: "the activities are to be squared, and all five counted",
                    7.0: "that is the base; it stands below, to the power 0.75",
                    1 / 7: "the power β = 0.75 is missing",
                },
            ),
            (
                "The five squares add up to 5 · 100² = 50,000.",
                "The base is 2 + 0.0001 · 50,000 = 7. What is 7 to the power −0.75?",
            ),
            "Where all is quiet the factor is 0.595, so these five hold each other to 39% of it.",
        ),
        Exercise(
            "02.3",
            number(
                5e-4,
                faults={
                    1e-4: "with that it computes what the 2012 code did: a fifth of the paper's sum",
                    2e-5: "it divides by n, so α must grow to make up for it",
                },
            ),
            (
                "torch.nn.LocalResponseNorm multiplies the sum by alpha / size.",
                "alpha / 5 = 0.0001",
            ),
            "Copying α = 0.0001 into PyTorch gives the network that was run, not the one that was printed.",
        ),
        Exercise(
            "02.4",
            _judge_order_of_relu,
            (
                "If ReLU comes first, negative numbers are gone from the sum; if normalization comes first, "
                "they are squared.",
                "One negative number beside a positive one is enough.",
            ),
            "A negative neighbour inhibits only where normalization comes first, as in the authors' layer 1.",
        ),
        Exercise(
            "02.5",
            number(
                math.sqrt(2 * (2 ** (4 / 3) - 1) / 5e-4),
                faults={
                    2 * (2 ** (4 / 3) - 1) / 5e-4: "that is the mean square; take its root",
                    math.sqrt(
                        2 / 5e-4
                    ): "there the base has doubled, which makes a factor of 2^−0.75 = 0.595",
                    math.sqrt(
                        2 * (2 ** (4 / 3) - 1) / 1e-4
                    ): "that is α/n times the sum, as in the 2012 code",
                    math.sqrt((2 ** (4 / 3) - 2) / 5e-4): "there b is half of a; it is compared with quiet "
                    "neighbours, where b is 0.595 a",
                },
            ),
            (
                "With five activities of root mean square r in the window the sum is 5 r².",
                "Solve ((2 + 0.0005 r²) / 2)^0.75 = 2: the base becomes 2^(4/3) = 2.52 times as large.",
            ),
            "In the first layer of notebook 02, on standardized inputs, nothing comes near it.",
        ),
        # 03 overlapping pooling
        Exercise(
            "03.1",
            number(
                1 + math.ceil((112 - 3) / 2),
                tolerance=1e-9,
                faults={
                    55: "that is rounded down; 2012 rounds up",
                    55.5: "a side is a whole number: round up",
                    38: "that is a stride of 3; it is s = 2",
                },
            ),
            ("1 + ⌈(n − z)/s⌉", "(112 − 3)/2 = 54.5; round it up, then add the first window."),
            "n is even, so z = 2 and z = 3 agree when sizes are rounded up.",
        ),
        Exercise(
            "03.2",
            same_function(
                lambda x: F.max_pool2d(x, 3, 2),
                _odd_maps(),
                faults=[
                    (lambda x: F.max_pool2d(x, 2, 2), "that is z = 2; the window is 3×3"),
                    (lambda x: F.avg_pool2d(x, 3, 2), "that is the average; the maximum is asked for"),
                    (
                        _pooled_over_mixed_channels,
                        "the values of one window lie together within each channel: the second "
                        "dimension of F.unfold is (C, 9), not (9, C)",
                    ),
                ],
            ),
            (
                "F.unfold(x, 3, stride=2) is (N, C·9, L): a column holds one window of every channel.",
                "unflatten(1, (C, 9)), then amax(2), which leaves (N, C, L).",
                "L = h·w, row by row: unflatten(2, (h, w)) with h = (H − 3)//2 + 1, and w alike.",
            ),
            "A convolution can be written in the same way, with a product in place of the maximum.",
        ),
        Exercise(
            "03.3",
            number(
                9,
                tolerance=1e-9,
                faults={
                    3: "that is along one side; there are rows and columns",
                    6.25: "that is the average z²/s²; the largest number is asked for",
                    6: "some inputs are seen by 3·2 windows, but others by more",
                    4: "that is for z = 3, or for the inputs that are seen least",
                    25: "that is for a stride of 1",
                },
            ),
            (
                "Along one side first: a window that sees input i starts at i − 4, i − 3, …, or i.",
                "With s = 2 only even starts exist. How many of five neighbours can be even?",
            ),
            "Along one side 3, 2, 3, 2 …: on average 5/2.",
        ),
        Exercise(
            "03.4",
            _judge_rounding,
            (
                "1 + ⌈x⌉ and 1 + ⌊x⌋ are equal exactly where x is a whole number.",
                "x = (n − z)/s is whole where s divides n − z: look at the remainder (n − z) % s.",
            ),
            "For s = 2: wherever n and z are not both even or both odd. 55, 27 and 13 are odd, like z = 3.",
        ),
        Exercise(
            "03.5",
            _judge_two_averages,
            (
                "In one dimension: the averages are (a + b)/2 and (b + c)/2. What is their average?",
                "(a + 2b + c)/4. In two dimensions rows and columns multiply: torch.outer.",
            ),
            "It weighs the middle most: a blur before the stride is taken.",
        ),
        Exercise(
            "05.1",
            number(
                4 * 128 * 48 * 27**2,
                tolerance=0.005,
                faults={
                    4 * 128 * 96 * 27**2: "that is the whole input; a column sends its own half",
                    128 * 48 * 27**2: "those are numbers; each takes four bytes",
                    4 * 48 * 27**2: "that is one image; the batch has 128",
                    17.9: "give bytes, not megabytes",
                },
            ),
            ("Each column has half of the 96 maps.", "4 bytes · 128 images · 48 maps · 27 · 27 places."),
            "17.9 MB: more than conv3, which sends 11.1 MB.",
        ),
        Exercise(
            "05.2",
            number(
                _PARAMETERS + 256 * 48 * 25 + 384 * 192 * 9 + 256 * 192 * 9,
                tolerance=1e-9,
                faults={
                    _PARAMETERS: "that is the paper's network, where conv2, conv4 and conv5 read one column",
                },
            ),
            (
                "A kernel that reads both columns has twice the weights, and one bias as before.",
                "conv2 gains 256·48·25 weights, conv4 384·192·9, conv5 256·192·9.",
            ),
            "2.3% more parameters, but 1.1 billion multiply-adds instead of 724 million.",
        ),
        Exercise(
            "05.3",
            same_function(
                _ungroup,
                _ungroup_cases(),
                faults=[
                    (
                        lambda w: torch.cat([w, w], dim=1),
                        "every kernel reads both halves now; it must have zeros for the other column",
                    )
                ],
            ),
            (
                "Which weights must be zero, so that a kernel does not see the other half?",
                "The first half of the kernels has zeros behind its weights, the second half before them.",
            ),
            "Grouping is a constraint: half of the weights of an ordinary convolution fixed at zero.",
        ),
        Exercise(
            "05.4",
            number(
                4 * _PARAMETERS / (30.0e6 / 128),
                tolerance=0.02,
                faults={
                    4 * _PARAMETERS / (60.0e6 / 128): "60 MB is what both GPUs send together",
                    _PARAMETERS / (30.0e6 / 128): "a gradient takes four bytes",
                },
            ),
            ("Columns send 30.0 MB · N / 128.", "Set it equal to 4 · 60,965,224 bytes and solve for N."),
            "Beyond about a thousand images a step data parallelism sends less.",
        ),
        Exercise(
            "05.5",
            same_function(
                lambda own, received: own + received,
                _exchange_cases(),
                faults=[
                    (lambda own, received: own, "the other rank read this half, too"),
                    (lambda own, received: received, "this rank read its own half, too"),
                    (lambda own, received: (own + received) / 2, "gradients of one value add up: no mean"),
                ],
            ),
            ("Two readers of one value: what does the chain rule do?", "It adds what comes through either."),
            "Forgetting one of the two is the usual mistake, and training still seems to work.",
        ),
    )
}
