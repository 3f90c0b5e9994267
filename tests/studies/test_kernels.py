"""Kernels as numbers and pictures: exact colours, gratings, columns against chance, what excites a unit."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import pytest
import torch
from torch import Tensor

from alexnet_edu.data.augment import Preparation
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import count, kernel_net
from alexnet_edu.studies.kernels import (
    CHANCE_COLOUR,
    GRID,
    Field,
    colour_share,
    compare_columns,
    excited,
    fields,
    hue_share,
    kinds,
    pictures,
    pooled,
    silent,
    tuning,
)
from alexnet_edu.studies.networks import Network

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


# --- colour -----------------------------------------------------------------------------------


def test_colour_of_grey_opponent_primary_and_random_kernels() -> None:
    pattern = drawn(4, 1, 7, 7)
    opponent = torch.cat([pattern, -pattern, torch.zeros_like(pattern)], dim=1)
    assert colour_share(pattern.expand(4, 3, 7, 7)).tolist() == pytest.approx([0] * 4, abs=1e-12)
    assert colour_share(opponent).tolist() == pytest.approx([1] * 4, abs=1e-12)
    red = torch.cat([pattern, 0 * pattern, 0 * pattern], 1)  # a third of it lies along (1, 1, 1)
    assert colour_share(red).tolist() == pytest.approx([CHANCE_COLOUR] * 4)
    shares = colour_share(drawn(4_000, 3, 7, 7))
    assert shares.mean().item() == pytest.approx(2 / 3, abs=4 * shares.std().item() / 4_000**0.5)
    assert colour_share(torch.zeros(2, 3, 5, 5)).tolist() == [CHANCE_COLOUR] * 2


def test_hues_are_told_apart_exactly() -> None:
    """Orange against blue 0, magenta against green 1; a grey kernel 1/2 with no energy at all."""
    axes = torch.tensor([[1.0, 0, -1], [1, -2, 1], [1, 1, 1], [2, -2, 0]], dtype=torch.float64)
    kernels = axes[:, :, None, None] * drawn(4, 1, 5, 5)
    share, energy = hue_share(kernels)
    # (2, −2, 0) is (1, 0, −1) + (1, −2, 1): energies 2 and 6 of 8.
    assert share.tolist() == pytest.approx([0, 1, 0.5, 0.75])
    assert energy[2] == pytest.approx(0, abs=1e-24)
    total = kernels.square().sum((1, 2, 3))
    assert torch.allclose(energy / total, colour_share(kernels))  # the two axes are all that is not grey


@pytest.mark.parametrize("scale", [1e-30, -3.0, 1e30])
def test_scale_changes_the_norm_alone(scale: float) -> None:
    kernels = drawn(6, 3, 7, 7)
    plain, scaled = tuning(kernels), tuning(kernels * scale)
    for name in ("frequency", "orientation", "selectivity", "colour"):
        assert torch.allclose(getattr(plain, name), getattr(scaled, name), rtol=1e-9), name
    assert torch.allclose(scaled.norm, abs(scale) * plain.norm)
    assert torch.allclose(plain.norm, kernels.flatten(1).norm(dim=1))


# --- frequency and direction ------------------------------------------------------------------


@pytest.mark.parametrize("colour", [GREY, RED_GREEN])
@pytest.mark.parametrize(
    ("degrees", "frequency"), [(0.0, 0.375), (30, 0.125), (45, 0.25), (90, 0.125), (135, 0.25), (179, 0.375)]
)
def test_a_grating_is_found(degrees: float, frequency: float, colour: tuple[float, ...]) -> None:
    found = tuning(grating(frequency, degrees, colour))
    assert found.frequency.item() == pytest.approx(frequency, abs=1.5 / GRID)
    apart = abs(found.orientation.item() - degrees) % 180
    step = math.degrees(1 / (GRID * frequency))  # directions lie on a grid of frequencies
    assert min(apart, 180 - apart) <= step
    if degrees % 45 == 0:  # whichever way the wave is written
        for same in (grating(frequency, degrees, colour), -grating(frequency, degrees + 180, colour)):
            assert tuning(same).orientation.item() == pytest.approx(degrees, abs=1e-9)
    assert found.selectivity > 0.85
    assert found.colour.item() == pytest.approx(0 if colour == GREY else 1, abs=1e-12)


def test_stripes_and_blobs_are_counted() -> None:
    down, right = torch.meshgrid(torch.arange(15.0), torch.arange(15.0), indexing="ij")
    stripes = torch.cos(2 * math.pi * 0.25 * right).expand(3, 15, 15)
    hill = torch.exp(-((down - 7) ** 2 + (right - 7) ** 2) / 8)
    blob = torch.tensor(RED_GREEN)[:, None, None] * hill
    found = kinds(torch.stack([stripes, stripes, blob, hill.expand(3, 15, 15)]))
    assert (found["striped"], found["blobs"], found["rest"]) == (0.5, 0.25, 0.25)
    assert found["grey_frequency"] == pytest.approx(0.25, abs=0.02)
    assert found["coloured_frequency"] == 0
    assert kinds(stripes[None])["coloured_frequency"] is None
    round_ones = tuning(torch.stack([blob, torch.zeros(3, 15, 15)]))
    assert round_ones.selectivity.tolist() == pytest.approx([0, 0], abs=1e-3)
    assert round_ones.frequency.tolist() == [0, 0]


# --- two columns ------------------------------------------------------------------------------


def all_permutations(values: list[Fraction], weights: list[Fraction]) -> tuple[float, float, float]:
    """(share of all that differ at least as much, mean and deviation of their differences), exactly."""

    def mean(part: tuple[int, ...]) -> Fraction:
        mass = sum(weights[i] for i in part)
        return sum((values[i] * weights[i] for i in part), Fraction(0)) / mass

    places, half = range(len(values)), len(values) // 2
    differences = [
        abs(mean(first) - mean(tuple(i for i in places if i not in first)))
        for first in combinations(places, half)  # (0, 1, …) comes first
    ]
    share = sum(d >= differences[0] for d in differences) / len(differences)
    plain = torch.tensor([float(d) for d in differences], dtype=torch.float64)
    return share, plain.mean().item(), plain.std(correction=0).item()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "tenths", [[1, 5, 2, 8, 3, 9], [1, 2, 3, 3, 2, 1], [7, 1, 4, 4, 0, 6, 2, 9], [0, 0, 0, 1, 1, 1]]
)
def test_random_permutations_agree_with_all_permutations(tenths: list[int], weighted: bool) -> None:
    """Also with ties: sums of tenths differ in the last digit when added in another order."""
    values = [Fraction(n, 10) for n in tenths]
    weights = [Fraction(1 + i % 3) for i in range(len(values))] if weighted else [Fraction(1)] * len(values)
    share, mean, spread = all_permutations(values, weights)
    plain = torch.tensor([float(v) for v in values], dtype=torch.float64)
    mass = torch.tensor([float(w) for w in weights], dtype=torch.float64) if weighted else None
    many = 40_000
    found = pooled([plain], None if mass is None else [mass], permutations=many)
    assert found.p == pytest.approx(share, abs=4 * (share * (1 - share) / many) ** 0.5 + 1 / many)
    assert found.effect == pytest.approx((found.mean - mean) / spread, abs=0.05)
    alone = compare_columns(plain, mass, permutations=many)
    assert (alone.p, alone.difference) == pytest.approx((found.p, found.mean))


def test_the_halves_are_the_columns_and_equal_ones_show_nothing() -> None:
    found = compare_columns(torch.tensor([1.0, 2, 3, 6, 7, 8]))
    assert (found.first, found.second, found.difference) == (2, 7, 5)
    weighted = compare_columns(torch.tensor([1.0, 2, 3, 6]), torch.tensor([3.0, 1, 1, 0]))
    assert (weighted.first, weighted.second) == (1.25, 3)
    for mass in (None, drawn(12).square()):  # 0.1 has no exact sum
        found = compare_columns(torch.full((12,), 0.1, dtype=torch.float64), mass)
        assert (found.p, found.difference) == (1.0, pytest.approx(0, abs=1e-15))


def test_p_is_uniform_where_nothing_differs() -> None:
    many = 400
    found = sorted(
        compare_columns(drawn(20, seed=s), permutations=300, seed=5_000 + s).p for s in range(many)
    )
    furthest = max(abs(p - (i + 0.5) / many) for i, p in enumerate(found))
    assert furthest < 1.63 / many**0.5 + 1 / 300  # Kolmogorov and Smirnov, 1%
    assert min(found) >= 1 / 301


def test_chance_is_no_difference_and_a_planted_one_is_found() -> None:
    chance = [drawn(24, seed=s) for s in range(40)]
    none = pooled(chance, permutations=400)
    assert none.networks == 40
    assert none.low < none.mean < none.high
    assert none.p > 0.05
    assert abs(none.effect) < 0.5
    assert none.clear <= 6
    shift = torch.cat([torch.ones(12), torch.zeros(12)]).double()
    shifted = [c + 1.2 * (-1) ** s * shift for s, c in enumerate(chance)]  # whichever column it is
    planted = pooled(shifted, permutations=400)
    assert planted.p == 1 / 401
    assert planted.mean > planted.high
    assert planted.clear > 20
    few = pooled(shifted[:10], permutations=400)
    assert few.effect == pytest.approx(planted.effect, rel=0.25)  # it does not grow with their number


# --- pictures ---------------------------------------------------------------------------------


def test_one_scale_keeps_sizes_and_each_its_own_does_not() -> None:
    kernels = drawn(4, 3, 5, 5)
    kernels[1] *= 0.01
    together, each = pictures(kernels), pictures(kernels, "each")
    for colours in (together, each):
        assert (colours.min().item(), colours.max().item()) == pytest.approx((0, 1))
    assert together[1].std() < 0.02 * together[0].std()
    assert each[1].std() == pytest.approx(each[0].std().item(), rel=1e-4)
    assert torch.equal(pictures(torch.zeros(2, 3, 4, 4)), torch.full((2, 4, 4, 3), 0.5))


# --- what excites a unit ----------------------------------------------------------------------

TABLE = kernel_net(kernels=8, kernel=7, side=32)


@pytest.fixture(scope="module")
def network() -> Network:
    model = AlexNet(TABLE, classes=10, generator=torch.Generator().manual_seed(3)).eval()
    prepare = Preparation(torch.zeros(3, 32, 32), 60.0, 32)
    return Network("test", "a test", model.requires_grad_(False).stages, prepare, tuple("abcdefghij"))


def test_the_field_before_pooling_is_that_of_the_table(network: Network) -> None:
    """Pooling 3 × 3 widens a field by two jumps of its inputs; the table counts it before that."""
    sizes = {size.name: size.receptive_field for size in count(TABLE)}
    pools = {layer.name: "pool" in layer.after for layer in TABLE.layers}
    assert Field(7, 4, -3).box(0, 0, 32) == (0, 0, 4, 4)  # cut off at the edge of the image
    assert list(fields(network)) == ["conv1", "conv2", "conv3", "conv4"]
    for name, field in fields(network).items():
        assert field.size - (field.jump if pools[name] else 0) == sizes[name]


def test_pixels_outside_of_the_field_change_nothing(network: Network) -> None:
    generator = torch.Generator().manual_seed(5)
    image = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8, generator=generator)
    for layer, field in fields(network).items():
        before = network.outputs(image, layer)
        row, column = before.shape[2] // 2, before.shape[3] // 2
        top, left, bottom, right = field.box(row, column, 32)
        outside = torch.ones(32, 32, dtype=torch.bool)
        outside[top:bottom, left:right] = False
        after = network.outputs(torch.where(outside, 255 - image, image), layer)
        assert torch.equal(before[0, :, row, column], after[0, :, row, column])
        inside = network.outputs(torch.where(outside, image, 255 - image), layer)
        assert not torch.equal(before[0, :, row, column], inside[0, :, row, column])


def test_the_image_that_excites_a_unit_is_found(network: Network) -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(100, 140, (9, 3, 32, 32), dtype=torch.uint8, generator=generator)
    found = excited(network, images, "conv1")
    outputs = network.outputs(images, "conv1")
    for unit in range(8):
        best = found.best(unit, 3).tolist()[0]
        strengths = outputs[:, unit].amax((1, 2))
        assert best == int(strengths.argmax())
        place = int(found.row[best, unit]), int(found.column[best, unit])
        assert outputs[best, unit][place] == strengths.max()
    fully = excited(network, images, "fc5")
    assert fully.strength.shape == (9, 256)
    assert not fully.row.any()
    black = excited(network, torch.zeros(2, 3, 32, 32, dtype=torch.uint8), "conv1")
    assert silent(black) == 8  # an image that is its own mean
    with pytest.raises(ValueError, match="0 to 7, got 8"):
        black.best(8, 1)
