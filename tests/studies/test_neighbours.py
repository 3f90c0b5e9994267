"""Neighbours: block by block as by hand, the authors' search and what it loses, precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alexnet_edu.studies import neighbours
from alexnet_edu.studies.neighbours import (
    as_vectors,
    expected_by_batches,
    nearest,
    nearest_of_batches,
    precision_at_k,
    ranks,
    share_found,
    squared_distances,
)


def random_vectors(rows: int, columns: int = 7, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(queries: Tensor, gallery: Tensor) -> Tensor:
    return torch.stack([((gallery - x) ** 2).sum(1) for x in queries])


@pytest.fixture(params=[1, 500, 25_000_000])
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", request.param)


def test_distances_by_one_product_are_those_by_hand_and_never_below_zero() -> None:
    x, y = random_vectors(5), random_vectors(9, seed=1)
    torch.testing.assert_close(squared_distances(x, y), by_hand(x, y), rtol=1e-12, atol=1e-12)
    loud = random_vectors(40).float() * 1e4
    assert squared_distances(loud, loud).min() >= 0


@pytest.mark.usefixtures("_block")
def test_exact_search_is_a_full_sort_whatever_the_blocks() -> None:
    queries, gallery = random_vectors(11), random_vectors(60, seed=1)
    found = nearest(queries, gallery, 6)
    expected = by_hand(queries, gallery).sort(1)
    assert torch.equal(found.index, expected.indices[:, :6])
    torch.testing.assert_close(found.distance, expected.values[:, :6], rtol=1e-12, atol=1e-12)


def test_bright_images_lose_no_digits() -> None:
    """Grey levels near 255 have squares beyond float32's digits; the gallery's mean is subtracted first."""
    gallery = torch.full((50, 3, 32, 32), 250, dtype=torch.uint8)
    for i in range(50):
        gallery[i, 0, 0, : i % 32] = 251
        gallery[i, 1, 0, : i // 32] = 251
    found = nearest(as_vectors(gallery[:3]), as_vectors(gallery), 2)
    assert found.index[:, 0].tolist() == [0, 1, 2]
    torch.testing.assert_close(found.distance[:, 0], torch.zeros(3), rtol=0, atol=1e-2)
    torch.testing.assert_close(found.distance[:, 1], torch.ones(3), rtol=0, atol=1e-2)


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("batches", [6, 7, 60])
def test_each_batch_offers_its_nearest_one(batches: int) -> None:
    queries, gallery = random_vectors(5), random_vectors(60, seed=1)
    found = nearest_of_batches(queries, gallery, batches, 6)
    for row, distances in enumerate(by_hand(queries, gallery)):
        offers, start = [], 0
        for part in distances.tensor_split(batches):
            offers.append((part.min().item(), start + int(part.argmin())))
            start += len(part)
        assert found.index[row].tolist() == [place for _, place in sorted(offers)[:6]]
    if batches == 60:
        assert torch.equal(found.index, nearest(queries, gallery).index)


def test_what_batches_find_is_how_many_of_them_hold_a_true_neighbour() -> None:
    queries, gallery = random_vectors(200), random_vectors(1_200, seed=1)
    true = nearest(queries, gallery, 16).index
    found = nearest_of_batches(queries, gallery, 24, 16).index
    held = torch.tensor([len(set((row // 50).tolist())) for row in true])
    assert torch.equal((share_found(found, true) * 16).round().long(), held)
    assert held.double().mean().item() == pytest.approx(expected_by_batches(16, 24, 1_200), abs=0.3)


def test_expected_by_batches_by_counting() -> None:
    assert expected_by_batches(1, 5) == pytest.approx(1)
    assert expected_by_batches(2, 2) == pytest.approx(1.5)  # the second lies elsewhere half of the time
    assert expected_by_batches(7, 1) == 1
    assert expected_by_batches(2, 2, images=4) == pytest.approx(1 + 2 / 3)  # 2 of the other 3 lie elsewhere
    assert expected_by_batches(9, 9, images=9) == pytest.approx(9)  # a batch for each
    one_by_one = sum((1 - 1 / 1334) ** r for r in range(16))  # the r-th is not in a batch of the nearer ones
    assert expected_by_batches(16, 1334) == pytest.approx(one_by_one, rel=1e-12)
    assert expected_by_batches(16, 1334, images=1334 * 1024) == pytest.approx(one_by_one, rel=1e-3)
    assert one_by_one == pytest.approx(16 - 0.09, abs=0.002)  # 2012 lost one in a hundred and eighty


def test_precision_and_shares_by_counting() -> None:
    labels = torch.tensor([0, 0, 1, 2])
    index = torch.tensor([[0, 1, 2], [3, 2, 1]])
    assert precision_at_k(index, torch.tensor([0, 1]), labels).tolist() == pytest.approx([2 / 3, 1 / 3])
    true = torch.tensor([[3, 4], [5, 6]])
    assert share_found(torch.tensor([[4, 9, 8], [6, 5, 1]]), true).tolist() == [0.5, 1.0]


@pytest.mark.usefixtures("_block")
def test_ranks_by_counting() -> None:
    queries, gallery = random_vectors(12), random_vectors(50, seed=1)
    order = by_hand(queries, gallery).argsort(1)
    shares = ranks(queries, gallery, order[:, [0, 7, 49]])
    torch.testing.assert_close(shares, torch.tensor([[0, 7 / 50, 49 / 50]]).expand(12, 3))
