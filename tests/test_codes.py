"""Codes: rounding and its gradient, training, angles by random planes, search by bits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from alexnet_edu.studies import hamming
from alexnet_edu.studies.codes import BinaryAutoEncoder, CodeSettings, Scale, random_coder, signs, train_coder
from alexnet_edu.studies.hamming import pack, search_codes, unpack

SMALL = CodeSettings(bits=16, hidden=32, epochs=30, rate=3e-3, batch=50)


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
    model = BinaryAutoEncoder(4, 8, 16).double()
    x = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    seen: list[Tensor] = []
    model.decoder[0].register_forward_hook(lambda _, args, out: seen.append(args[0]))
    z: list[Tensor] = []
    model.encoder.register_forward_hook(lambda _, args, out: (out.retain_grad(), z.append(out))[1])
    out = model(x)
    seen[0].retain_grad()
    out.sum().backward()
    assert set(seen[0].unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(seen[0], signs(z[0]))
    assert z[0].grad is not None
    assert seen[0].grad is not None
    torch.testing.assert_close(z[0].grad, seen[0].grad * (1 - z[0].tanh() ** 2))


def test_signs_know_no_zero() -> None:
    assert signs(torch.tensor([-2.0, 0.0, 0.1])).tolist() == [-1, 1, 1]


def test_training_lowers_the_error_and_keeps_clusters_apart() -> None:
    x, labels = clusters()
    told: list[float] = []
    coder = train_coder(x, SMALL, 1, tell=lambda _, loss: told.append(loss))
    assert len(told) == SMALL.epochs
    assert coder.error == told[-1] < 0.5 * told[0]
    queries, wanted = clusters(60, seed=5)
    found = search_codes(coder(queries), coder(x), 6, engine="torch")
    assert (labels[found.index] == wanted[:, None]).float().mean() > 0.9


def test_the_same_seed_gives_the_same_codes_and_another_one_others() -> None:
    x, _ = clusters()
    first, again, other = (train_coder(x, SMALL, seed)(x) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_half_the_precision_does_as_well() -> None:
    x, _ = clusters()
    whole, half = (train_coder(x, replace(SMALL, precision=p), 1) for p in ("float32", "bfloat16"))
    assert half.error == pytest.approx(whole.error, rel=0.1)


def test_no_global_randomness_is_touched() -> None:
    x, _ = clusters(100)
    codes = []
    for global_seed in (0, 1):
        torch.manual_seed(global_seed)
        codes.append(train_coder(x, CodeSettings(16, 8, 1, batch=50), 1)(x))
    assert torch.equal(*codes)


def test_random_planes_measure_angles() -> None:
    """The mean is that of two opposite vectors, 0; the angles are 0, 60, 90 and 180 degrees."""
    angles = torch.tensor([0, 60, 90, 180]) * math.pi / 180
    x = torch.stack([angles.cos(), angles.sin()], 1)
    around = torch.cat([x, -x])
    coder = random_coder(around, 32_000, seed=0)
    shares = hamming.hamming(coder(x[:1]), coder(x))[0] / coder.bits
    torch.testing.assert_close(shares, (angles / math.pi).float(), rtol=0, atol=0.01)
    assert math.isnan(coder.error)


def test_scale_is_of_all_values_together() -> None:
    x = torch.tensor([[0.0, 10.0], [2.0, 14.0]])
    scaled = Scale.of(x)(x)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(2))
    torch.testing.assert_close(scaled.var(), torch.tensor(1.0))


def test_what_cannot_be_coded_is_told() -> None:
    x, _ = clusters(50)
    for bits in (0, 12, -8):
        with pytest.raises(ValueError, match=f"multiple of 8 bits.*got {bits}"):
            CodeSettings(bits=bits)
        with pytest.raises(ValueError, match=f"multiple of 8 bits.*got {bits}"):
            random_coder(x, bits, 0)
    with pytest.raises(ValueError, match="epochs=0"):
        CodeSettings(epochs=0)
    with pytest.raises(ValueError, match="float32 or bfloat16, got 'half'"):
        CodeSettings(precision="half")
    with pytest.raises(ValueError, match="variance 0 cannot be told apart"):
        train_coder(torch.ones(9, 3), SMALL, 0)
    with pytest.raises(ValueError, match=r"must be \(N, D\) floating, got \(9,\)"):
        random_coder(torch.ones(9), 8, 0)
    with pytest.raises(ValueError, match=r"must be \(N, 12\).*got \(3, 5\)"):
        random_coder(x, 8, 0)(torch.ones(3, 5))
    with pytest.raises(RuntimeError, match=r"the auto-encoder's loss is .* in epoch 1"):
        train_coder(x, CodeSettings(16, 32, 2, rate=1e30, batch=10), 0)


# --- search -----------------------------------------------------------------------------------


def test_packing_and_back() -> None:
    codes = random_codes(7, 24)
    packed = pack(codes)
    assert packed.shape == (7, 3)
    assert packed.dtype == np.uint8
    assert torch.equal(unpack(packed), codes)
    assert pack(torch.tensor([[True] + 7 * [False]])).tolist() == [[128]]


def test_the_product_counts_bits() -> None:
    x, y = random_codes(5, 40), random_codes(9, 40, seed=1)
    expected = torch.stack([(row != y).sum(1) for row in x]).float()
    assert torch.equal(hamming.hamming(x, y), expected)


@pytest.mark.parametrize("bits", [8, 32, 256])
def test_faiss_finds_what_the_product_finds(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, gallery = random_codes(20, bits), random_codes(300, bits, seed=1)
    by_faiss = search_codes(queries, gallery, 6, engine="faiss")
    monkeypatch.setattr(hamming, "BLOCK", 700)  # two queries at a time
    by_torch = search_codes(queries, gallery, 6, engine="torch")
    assert torch.equal(by_faiss.bits, by_torch.bits)
    for found in (by_faiss, by_torch):
        distances = torch.stack([(row != gallery).sum(1) for row in queries])
        assert torch.equal(found.bits, distances.sort(1).values[:, :6])
        assert torch.equal(distances.gather(1, found.index), found.bits)


def test_of_equals_the_product_takes_the_first() -> None:
    same = torch.zeros(9, 8, dtype=torch.bool)
    assert search_codes(same[:2], same, 3, engine="torch").index.tolist() == [[0, 1, 2]] * 2


def test_what_cannot_be_searched_is_told() -> None:
    x = random_codes(5, 16)
    with pytest.raises(ValueError, match="unknown engine 'scan'; choose one of faiss, torch"):
        search_codes(x, x, 1, engine="scan")
    with pytest.raises(ValueError, match=r"\(5, 16\) and \(5, 8\)"):
        search_codes(x, x[:, :8], 1)
    with pytest.raises(ValueError, match=r"from 1 to 5.*got 6"):
        search_codes(x, x, 6)
    with pytest.raises(ValueError, match=r"got \(5, 12\) torch.bool"):
        pack(x[:, :12])
    with pytest.raises(ValueError, match=r"torch\.float32"):
        pack(x.float())
