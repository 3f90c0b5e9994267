"""Kernels as numbers: exact cases of colour, gratings of known frequency and direction, columns by chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor

from alexnet_edu.studies.kernel_measures import (
    CHANCE_COLOUR,
    GRID,
    colour_share,
    compare_columns,
    degrees_apart,
    hue_share,
    kinds,
    pooled,
    tuning,
)

GREY = (1.0, 1.0, 1.0)
RED_GREEN = (1.0, -1.0, 0.0)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def grating(frequency: float, degrees: float, colour: tuple[float, ...] = GREY, side: int = 32) -> Tensor:
    """(1, 3, side, side): stripes in this direction, counted from the horizontal, rising to the right."""
    middle = (side - 1) / 2
    down, right = torch.meshgrid(*[torch.arange(side, dtype=torch.float64) - middle] * 2, indexing="ij")
    angle = math.radians(degrees)
    across = right * math.sin(angle) + down * math.cos(angle)  # the stripe itself runs along (cos, -sin)
    window = torch.exp(-(down**2 + right**2) / (2 * (side / 5) ** 2))
    wave = window * torch.sin(2 * math.pi * frequency * across)
    return (torch.tensor(colour, dtype=torch.float64)[:, None, None] * wave)[None]


# --- colour -------------------------------------------------------------------------------


def test_grey_kernels_have_no_colour_and_those_blind_to_grey_nothing_else() -> None:
    pattern = drawn(4, 1, 7, 7)
    grey = pattern.expand(4, 3, 7, 7)
    opponent = torch.cat([pattern, -pattern, torch.zeros_like(pattern)], dim=1)
    assert colour_share(grey).tolist() == pytest.approx([0] * 4, abs=1e-12)
    assert colour_share(opponent).tolist() == pytest.approx([1] * 4, abs=1e-12)
    assert colour_share(torch.cat([pattern, 0 * pattern, 0 * pattern], 1)).tolist() == pytest.approx(
        [CHANCE_COLOUR] * 4
    )  # one primary alone: a third along (1, 1, 1)


def test_independent_weights_have_two_thirds_and_so_has_nothing() -> None:
    shares = colour_share(drawn(4_000, 3, 7, 7))
    assert shares.mean().item() == pytest.approx(2 / 3, abs=4 * shares.std().item() / 4_000**0.5)
    assert shares.std() > 0.01
    assert colour_share(torch.zeros(2, 3, 5, 5)).tolist() == [CHANCE_COLOUR] * 2


@pytest.mark.parametrize("scale", [1e-30, 0.01, -3.0, 1e30])
def test_scale_changes_the_norm_alone(scale: float) -> None:
    kernels = drawn(6, 3, 7, 7)
    mine, other = tuning(kernels), tuning(kernels * scale)
    for name in ("frequency", "orientation", "selectivity", "colour"):
        assert torch.allclose(getattr(mine, name), getattr(other, name), rtol=1e-9), name
    assert torch.allclose(other.norm, abs(scale) * mine.norm)
    assert torch.allclose(mine.norm, kernels.flatten(1).norm(dim=1))


# --- frequency and direction --------------------------------------------------------------


@pytest.mark.parametrize("colour", [GREY, RED_GREEN])
@pytest.mark.parametrize("frequency", [0.125, 0.25, 0.375])
@pytest.mark.parametrize("degrees", [0.0, 30, 45, 60, 90, 120, 135, 150, 179])
def test_a_grating_is_found(degrees: float, frequency: float, colour: tuple[float, ...]) -> None:
    found = tuning(grating(frequency, degrees, colour))
    assert found.frequency.item() == pytest.approx(frequency, abs=1.5 / GRID)
    step = math.degrees(1 / (GRID * frequency))  # directions lie on a grid of frequencies
    assert degrees_apart(found.orientation.item(), degrees) <= step
    assert found.selectivity > 0.85
    assert found.colour.item() == pytest.approx(0 if colour == GREY else 1, abs=1e-12)


@pytest.mark.parametrize(("degrees", "expected"), [(0, 0), (45, 45), (90, 90), (135, 135), (180, 0)])
def test_the_main_directions_are_exact_whichever_way_the_wave_is_written(
    degrees: float, expected: float
) -> None:
    for kernels in (grating(0.25, degrees), -grating(0.25, degrees), grating(0.25, degrees + 180)):
        assert tuning(kernels).orientation.item() == pytest.approx(expected, abs=1e-9)


def test_stripes_that_rise_to_the_right_are_seen_so() -> None:
    upright = torch.tensor([1.0, -1.0]).repeat(4).expand(1, 3, 8, 8)  # columns light and dark
    rising = torch.zeros(8, 8)
    for row in range(8):
        for column in range(8):
            rising[row, column] = (1.0, 0.0, -1.0, 0.0)[(row + column) % 4]  # alike along row + column
    found = tuning(torch.cat([upright, upright.transpose(2, 3), rising.expand(1, 3, 8, 8)]))
    assert found.orientation.tolist() == pytest.approx([90, 0, 45], abs=1e-9)
    assert found.frequency.tolist() == pytest.approx([0.5, 0.5, 0.25 * 2**0.5])


def test_orientations_stay_below_180_everywhere_on_the_grid() -> None:
    generator = torch.Generator().manual_seed(0)
    degrees = torch.rand(300, generator=generator) * 360
    kernels = torch.cat([grating(0.3, float(d), side=9) for d in degrees])
    found = tuning(kernels).orientation
    assert found.min() >= 0
    assert found.max() < 180


def test_a_round_blob_prefers_no_direction() -> None:
    at = torch.arange(15, dtype=torch.float64) - 7
    round_ = torch.exp(-(at[:, None] ** 2 + at[None] ** 2) / 8).expand(1, 3, 15, 15)
    found = tuning(torch.cat([round_, torch.zeros_like(round_)]))
    assert found.selectivity.tolist() == pytest.approx([0, 0], abs=1e-3)
    assert found.frequency.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("a", "b", "apart"), [(0, 179, 1), (10, 100, 90), (0, 91, 89), (45, 45, 0), (170, 10, 20), (0, 180, 0)]
)
def test_directions_go_round(a: float, b: float, apart: float) -> None:
    assert degrees_apart(a, b) == degrees_apart(b, a) == apart
    assert math.isnan(degrees_apart(a, math.nan))


# --- two columns --------------------------------------------------------------------------


def every_deal(values: list[Fraction], weights: list[Fraction]) -> tuple[float, float, float]:
    """(share of all deals that differ at least as much, mean and deviation of their differences), exactly."""

    def mean(part: tuple[int, ...]) -> Fraction:
        mass = sum(weights[i] for i in part)
        return sum((values[i] * weights[i] for i in part), Fraction(0)) / mass

    places, half = range(len(values)), len(values) // 2
    differences = []
    for first in combinations(places, half):
        second = tuple(i for i in places if i not in first)
        differences.append(abs(mean(first) - mean(second)))
    own = differences[0]  # (0, 1, …) comes first
    share = sum(d >= own for d in differences) / len(differences)
    plain = torch.tensor([float(d) for d in differences], dtype=torch.float64)
    return share, plain.mean().item(), plain.std(correction=0).item()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "tenths",
    [
        [1, 5, 2, 8, 3, 9],
        [9, 8, 7, 1, 2, 3],
        [1, 2, 3, 3, 2, 1],
        [7, 1, 4, 4, 0, 6, 2, 9],
        [0, 0, 0, 1, 1, 1],
    ],
)
def test_the_random_deals_agree_with_all_deals(tenths: list[int], weighted: bool) -> None:
    """Also with ties: sums of tenths differ in the last digit when added in another order."""
    values = [Fraction(n, 10) for n in tenths]
    weights = [Fraction(1 + i % 3) for i in range(len(values))] if weighted else [Fraction(1)] * len(values)
    share, mean, spread = every_deal(values, weights)
    plain = torch.tensor([float(v) for v in values], dtype=torch.float64)
    mass = torch.tensor([float(w) for w in weights], dtype=torch.float64) if weighted else None
    deals = 40_000
    found = compare_columns(plain, mass, deals=deals)
    assert found.p == pytest.approx(share, abs=4 * (share * (1 - share) / deals) ** 0.5 + 1 / deals)
    assert found.z == pytest.approx((found.difference - mean) / spread, abs=0.05)


def test_equal_values_show_nothing() -> None:
    """0.1 has no exact sum: the last digit must not pass for a difference."""
    weights = drawn(12).square()
    for mass in (None, weights):
        found = compare_columns(torch.full((12,), 0.1, dtype=torch.float64), mass)
        assert (found.p, found.z) == (1.0, 0.0)
        assert found.difference == pytest.approx(0, abs=1e-15)


def test_the_halves_are_the_columns() -> None:
    found = compare_columns(torch.tensor([1.0, 2, 3, 6, 7, 8]))
    assert (found.first, found.second, found.difference) == (2, 7, 5)
    assert found.p == pytest.approx(2 / 20, abs=0.02)  # this deal and its mirror image
    weighted = compare_columns(torch.tensor([1.0, 2, 3, 6]), torch.tensor([3.0, 1, 1, 0]))
    assert (weighted.first, weighted.second) == (1.25, 3)
    swapped = compare_columns(torch.tensor([6.0, 7, 8, 1, 2, 3]))
    assert (swapped.p, swapped.z) == pytest.approx((found.p, found.z), abs=0.03)


def test_p_is_uniform_where_nothing_differs() -> None:
    count = 800
    found = sorted(compare_columns(drawn(20, seed=s), deals=300, seed=5_000 + s).p for s in range(count))
    furthest = max(abs(p - (i + 0.5) / count) for i, p in enumerate(found))
    assert furthest < 1.63 / count**0.5 + 1 / 300  # Kolmogorov and Smirnov, 1%
    assert min(found) >= 1 / 301


def test_chance_is_no_difference_and_a_planted_one_is_found() -> None:
    chance = [drawn(24, seed=s) for s in range(40)]
    none = pooled(chance, deals=400)
    assert none.networks == 40
    assert none.low < none.mean < none.high
    assert none.p > 0.05
    assert abs(none.effect) < 0.5
    assert none.expected_clear == 2
    assert none.clear <= 6
    shift = torch.cat([torch.ones(12), torch.zeros(12)]).double()
    signs = [(-1) ** s for s in range(40)]  # whichever column it is
    planted = pooled([c + 1.2 * sign * shift for c, sign in zip(chance, signs, strict=True)], deals=400)
    assert planted.p == 1 / 401
    assert planted.mean > planted.high
    assert planted.clear > 20
    assert planted.effect > 1


def test_the_effect_does_not_grow_with_the_number_of_networks() -> None:
    shift = torch.cat([torch.ones(12), torch.zeros(12)]).double()
    few, many = (
        pooled([drawn(24, seed=s) + shift for s in range(count)], deals=200).effect for count in (20, 100)
    )
    assert few == pytest.approx(many, rel=0.25)
    assert many > 1


def test_networks_of_different_width_go_together_and_one_is_as_alone() -> None:
    values = [drawn(8), drawn(12, seed=1)]
    assert pooled(values, deals=100).networks == 2
    weights = [drawn(8, seed=2).square(), drawn(12, seed=3).square()]
    assert pooled(values, weights, deals=100).mean != pooled(values, deals=100).mean
    one, alone = pooled(values[:1], deals=200, seed=3), compare_columns(values[0], deals=200, seed=3)
    assert (one.p, one.mean, one.effect) == pytest.approx((alone.p, alone.difference, alone.z))


# --- errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernels", "said"),
    [
        (torch.zeros(2, 1, 5, 5), r"kernels must be \(K, 3, h, w\), K at least 1; got \(2, 1, 5, 5\)"),
        (torch.zeros(3, 5, 5), r"got \(3, 5, 5\)"),
        (torch.zeros(0, 3, 5, 5), r"got \(0, 3, 5, 5\)"),
        (torch.zeros(1, 3, 1, 5), r"2 to 64 pixels a side, got \(1, 5\)"),
        (torch.zeros(1, 3, 65, 65), r"2 to 64 pixels a side, got \(65, 65\)"),
        (torch.full((1, 3, 5, 5), math.nan), "some weights are not numbers; did the network diverge"),
        (torch.full((1, 3, 5, 5), math.inf), "some weights are not numbers"),
    ],
)
@pytest.mark.parametrize("measure", [colour_share, tuning])
def test_kernels_that_are_none_are_refused(
    measure: Callable[[Tensor], Any], kernels: Tensor, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        measure(kernels)


@pytest.mark.parametrize(
    ("values", "weights", "said"),
    [
        (torch.zeros(5), None, r"an even number of at least 4; got \(5,\)"),
        (torch.zeros(2), None, r"got \(2,\)"),
        (torch.zeros(2, 4), None, r"got \(2, 4\)"),
        (torch.tensor(1.0), None, r"got \(\)"),
        (torch.tensor([1.0, math.nan, 0, 0]), None, "values are not numbers; did the network diverge"),
        (torch.zeros(4), torch.ones(6), r"weights must be 4 numbers of 0 or more, not all 0; got \(6,\)"),
        (torch.zeros(4), torch.zeros(4), "not all 0"),
        (torch.zeros(4), torch.tensor([1.0, -1, 1, 1]), "0 or more"),
        (torch.zeros(4), torch.tensor([1.0, math.inf, 1, 1]), "0 or more"),
    ],
)
def test_values_that_fall_into_no_columns_are_refused(
    values: Tensor, weights: Tensor | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        compare_columns(values, weights)
    with pytest.raises(ValueError, match=said):
        pooled([values], None if weights is None else [weights])


def test_no_networks_no_deals_and_missing_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="no networks to compare"):
        pooled([])
    with pytest.raises(ValueError, match="deals must be at least 1, got 0"):
        compare_columns(torch.zeros(4), deals=0)
    with pytest.raises(ValueError, match="weights for 1 of 2 networks"):
        pooled([drawn(4), drawn(4)], [torch.ones(4)])


def test_hues_are_told_apart_exactly() -> None:
    """Orange against blue 0, magenta against green 1; a grey kernel 1/2 with no energy at all."""
    axes = torch.tensor([[1.0, 0, -1], [1, -2, 1], [1, 1, 1], [2, -2, 0]], dtype=torch.float64)
    kernels = axes[:, :, None, None] * drawn(4, 1, 5, 5)
    share, energy = hue_share(kernels)
    assert share[:3].tolist() == pytest.approx([0, 1, 0.5])
    assert energy[2] == pytest.approx(0, abs=1e-24)
    # (2, −2, 0) is (1, 0, −1) + (1, −2, 1): energies 2 and 6 of 8.
    assert share[3] == pytest.approx(0.75)
    total = kernels.square().sum((1, 2, 3))
    assert torch.allclose(energy / total, colour_share(kernels))  # the two axes are all that is not grey


def test_hues_of_random_kernels_are_halves() -> None:
    share, _ = hue_share(drawn(400, 3, 7, 7))
    assert share.mean().item() == pytest.approx(0.5, abs=0.02)


def test_stripes_and_blobs_are_counted() -> None:
    down, right = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
    stripes = torch.cos(2 * math.pi * 0.25 * right).expand(3, 9, 9)
    hill = torch.exp(-((down - 4) ** 2 + (right - 4) ** 2) / 6)
    blob = torch.tensor(RED_GREEN)[:, None, None] * hill
    found = kinds(torch.stack([stripes, stripes, blob, hill.expand(3, 9, 9)]))
    assert (found.striped, found.blobs, found.rest) == (0.5, 0.25, 0.25)
    assert found.grey_frequency == pytest.approx(0.25, abs=0.02)
    assert found.coloured_frequency == 0
    assert kinds(stripes[None]).coloured_frequency is None
