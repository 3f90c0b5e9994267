"""Neighbours: block by block as by hand, the authors' search and what it loses, precision and its errors."""

from __future__ import annotations

import math

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


def test_distances_by_one_product_are_those_by_hand() -> None:
    x, y = random_vectors(5), random_vectors(9, seed=1)
    torch.testing.assert_close(squared_distances(x, y), by_hand(x, y), rtol=1e-12, atol=1e-12)


def test_a_vector_is_at_distance_zero_from_itself_and_never_below() -> None:
    x = random_vectors(40).float() * 1e4
    assert squared_distances(x, x).min() >= 0


@pytest.mark.parametrize("block", [1, 37, 25_000_000])
def test_exact_search_is_a_full_sort_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", block)
    queries, gallery = random_vectors(11), random_vectors(60, seed=1)
    found = nearest(queries, gallery, 6)
    expected = by_hand(queries, gallery).sort(1)
    assert torch.equal(found.index, expected.indices[:, :6])
    torch.testing.assert_close(found.squared, expected.values[:, :6], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.distances**2, found.squared)


def test_bright_images_lose_no_digits() -> None:
    """Grey levels near 255 have squares beyond float32's digits; the gallery's mean is subtracted first."""
    gallery = torch.full((50, 3, 32, 32), 250, dtype=torch.uint8)
    for i in range(50):
        gallery[i, 0, 0, : i % 32] = 251
        gallery[i, 1, 0, : i // 32] = 251
    queries = as_vectors(gallery[:3])
    found = nearest(queries, as_vectors(gallery), 2)
    assert found.index[:, 0].tolist() == [0, 1, 2]
    torch.testing.assert_close(found.squared[:, 0], torch.zeros(3), rtol=0, atol=1e-2)
    torch.testing.assert_close(found.squared[:, 1], torch.ones(3), rtol=0, atol=1e-2)


def test_the_root_changes_no_order() -> None:
    squared = by_hand(random_vectors(4), random_vectors(30, seed=1))
    assert torch.equal(squared.argsort(1), squared.sqrt().argsort(1))


@pytest.mark.parametrize("block", [1, 25_000_000])
@pytest.mark.parametrize("batches", [6, 7, 60])
def test_each_batch_offers_its_nearest_one(monkeypatch: pytest.MonkeyPatch, batches: int, block: int) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", block)
    queries, gallery = random_vectors(5), random_vectors(60, seed=1)
    found = nearest_of_batches(queries, gallery, batches, 6)
    for row, distances in enumerate(by_hand(queries, gallery)):
        offers, start = [], 0
        for part in distances.tensor_split(batches):
            offers.append((part.min().item(), start + int(part.argmin())))
            start += len(part)
        assert found.index[row].tolist() == [place for _, place in sorted(offers)[:6]]


def test_batches_of_one_image_are_exact_search() -> None:
    queries, gallery = random_vectors(5), random_vectors(60, seed=1)
    assert torch.equal(nearest_of_batches(queries, gallery, 60).index, nearest(queries, gallery).index)


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


def test_precision_by_counting() -> None:
    labels = torch.tensor([0, 0, 1, 2])
    index = torch.tensor([[0, 1, 2], [3, 2, 1]])
    assert precision_at_k(index, torch.tensor([0, 1]), labels).tolist() == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("block", [1, 500, 25_000_000])
def test_ranks_by_counting(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", block)
    queries, gallery = random_vectors(12), random_vectors(50, seed=1)
    order = by_hand(queries, gallery).argsort(1)
    shares = ranks(queries, gallery, order[:, [0, 7, 49]])
    torch.testing.assert_close(shares, torch.tensor([[0, 7 / 50, 49 / 50]]).expand(12, 3))


def test_share_found_by_counting() -> None:
    true = torch.tensor([[3, 4], [5, 6]])
    assert share_found(torch.tensor([[4, 9, 8], [6, 5, 1]]), true).tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("queries", "gallery", "k", "words"),
    [
        (torch.zeros(2, 3), torch.zeros(5, 4), 1, r"\(2, 3\) torch.float32 and \(5, 4\)"),
        (torch.zeros(3), torch.zeros(5, 3), 1, r"got \(3,\)"),
        (torch.zeros(2, 3, dtype=torch.uint8), torch.zeros(5, 3, dtype=torch.uint8), 1, "floating type"),
        (torch.zeros(2, 3), torch.zeros(5, 3), 6, "from 1 to 5.*got 6"),
        (torch.zeros(2, 3), torch.zeros(5, 3), 0, "from 1 to 5.*got 0"),
    ],
)
def test_what_cannot_be_searched_is_told(queries: Tensor, gallery: Tensor, k: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        nearest(queries, gallery, k)


def test_other_bad_input_is_told() -> None:
    x = random_vectors(8)
    with pytest.raises(ValueError, match=r"8 images are cut into 3 .* to 8 batches; got 2"):
        nearest_of_batches(x, x, 2, 3)
    with pytest.raises(ValueError, match="got 9"):
        nearest_of_batches(x, x, 9, 3)
    with pytest.raises(ValueError, match="got 0 of 5"):
        expected_by_batches(0, 5)
    with pytest.raises(ValueError, match="got 3 of 9"):
        expected_by_batches(3, 9, images=8)
    with pytest.raises(ValueError, match=r"for 8 queries, got \(3, 6\)"):
        ranks(x, x, torch.zeros(3, 6, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"for 3 query labels, got \(2, 6\)"):
        precision_at_k(torch.zeros(2, 6, dtype=torch.int64), torch.zeros(3), torch.zeros(9))
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 3\)"):
        share_found(torch.zeros(2, 3), torch.zeros(3, 3))


def test_the_search_of_2012_lost_one_in_a_hundred_and_eighty() -> None:
    kept, batches = neighbours.KEPT_2012, neighbours.BATCHES_2012
    lost = kept - expected_by_batches(kept, batches)
    assert lost == pytest.approx(sum(r / batches for r in range(kept)), rel=0.01)
    assert math.isclose(lost, 0.09, abs_tol=0.002)
