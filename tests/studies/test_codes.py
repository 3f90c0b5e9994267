"""Codes: rounding and its gradient, training, angles by random planes, search by bits."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from alexnet_edu.studies.codes import (
    BinaryAutoEncoder,
    CodeSettings,
    Scale,
    hamming,
    itq_coder,
    pack,
    pca_coder,
    random_coder,
    search_codes,
    signs,
    train_coder,
)

SMALL = CodeSettings(bits=16, hidden=32, epochs=15, rate=6e-3, batch=50)


def clusters(rows: int = 400, columns: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Vectors around eight corners, and which one each belongs to."""
    generator = torch.Generator().manual_seed(seed)
    centers = 3 * torch.randn(8, columns, generator=torch.Generator().manual_seed(99))
    labels = torch.randint(8, (rows,), generator=generator)
    return centers[labels] + torch.randn(rows, columns, generator=generator), labels


def random_codes(rows: int, bits: int, seed: int = 0) -> Tensor:
    return torch.rand(rows, bits, generator=torch.Generator().manual_seed(seed)) < 0.5


# --- codes ------------------------------------------------------------------------------------


def test_the_bottleneck_passes_signs_forward_and_the_slope_of_tanh_back() -> None:
    model = BinaryAutoEncoder(4, 8, 16, torch.Generator().manual_seed(0)).double()
    x = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    codes: list[Tensor] = []
    model.decoder[0].register_forward_hook(lambda _, args, out: codes.append(args[0]))
    z: list[Tensor] = []
    model.encoder.register_forward_hook(lambda _, args, out: (out.retain_grad(), z.append(out))[1])
    out = model(x)
    codes[0].retain_grad()
    out.sum().backward()
    assert set(codes[0].unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(codes[0], signs(z[0]))
    assert z[0].grad is not None
    assert codes[0].grad is not None
    torch.testing.assert_close(z[0].grad, codes[0].grad * (1 - z[0].tanh() ** 2))
    assert signs(torch.tensor([-2.0, 0.0, 0.1])).tolist() == [-1, 1, 1]


def test_training_lowers_the_error_and_keeps_clusters_apart() -> None:
    x, labels = clusters()
    coder, other = (train_coder(x, SMALL, seed) for seed in (1, 2))
    short, again, half = (
        train_coder(x, replace(SMALL, epochs=1, precision=precision), 1)
        for precision in ("float32", "float32", "bfloat16")
    )
    assert coder.error < 0.5 * short.error
    assert half.error == pytest.approx(short.error, rel=0.1)
    assert torch.equal(short(x), again(x))  # no global randomness
    assert not torch.equal(coder(x), other(x))
    queries, wanted = clusters(60, seed=5)
    found = search_codes(coder(queries), coder(x), 6)
    assert (labels[found.index] == wanted[:, None]).float().mean() > 0.9


def test_random_planes_measure_angles() -> None:
    """The mean is that of two opposite vectors, 0; the angles are 0, 60, 90 and 180 degrees."""
    angles = torch.tensor([0, 60, 90, 180]) * math.pi / 180
    x = torch.stack([angles.cos(), angles.sin()], 1)
    coder = random_coder(torch.cat([x, -x]), 32_000, seed=0)
    shares = hamming(coder(x[:1]), coder(x))[0] / coder.bits
    torch.testing.assert_close(shares, (angles / math.pi).float(), rtol=0, atol=0.01)
    assert math.isnan(coder.error)


def test_itq_turns_the_principal_directions_towards_corners() -> None:
    vectors, _ = clusters(columns=16)
    x = Scale.of(vectors)(vectors)
    pca = pca_coder(vectors, 8)
    axes = torch.linalg.svd(x, full_matrices=False).Vh[:8]
    same = [(pca(vectors)[:, b] == (x @ axes[7 - b] >= 0)).float().mean().item() for b in range(8)]
    assert all(share in (0.0, 1.0) for share in same)  # up to the sign of a direction
    turned = itq_coder(vectors, 8, seed=1)

    def apart(along: Tensor) -> float:
        return (along - signs(along)).square().sum().item()

    scale = (x @ axes.T).abs().mean()  # of the corners, which are ±1 in the rule
    assert apart(turned.project(x) / scale) < 0.95 * apart(pca.project(x) / scale)
    assert turned.project(x).square().sum().item() == pytest.approx(
        (x @ axes.T).square().sum().item(), rel=1e-4
    )
    assert not torch.equal(turned(vectors), itq_coder(vectors, 8, seed=2)(vectors))


def test_scale_is_of_all_values_together() -> None:
    x = torch.tensor([[0.0, 10.0], [2.0, 14.0]])
    scaled = Scale.of(x)(x)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(2))
    torch.testing.assert_close(scaled.var(), torch.tensor(1.0))


# --- search -----------------------------------------------------------------------------------


def test_the_product_counts_bits_and_bytes_begin_with_the_first_bit() -> None:
    x, y = random_codes(5, 40), random_codes(9, 40, seed=1)
    assert torch.equal(hamming(x, y), torch.stack([(row != y).sum(1) for row in x]).float())
    assert pack(torch.tensor([[True] + 7 * [False]])).tolist() == [[128]]


@pytest.mark.parametrize("bits", [8, 32, 256])
def test_faiss_finds_what_the_product_finds(bits: int) -> None:
    queries, gallery = random_codes(20, bits), random_codes(300, bits, seed=1)
    found, distances = search_codes(queries, gallery, 6), hamming(queries, gallery).long()
    assert torch.equal(found.distance, distances.sort(1).values[:, :6])
    assert torch.equal(distances.gather(1, found.index), found.distance)
