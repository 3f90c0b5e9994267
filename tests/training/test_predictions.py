"""Softmax outputs: means, errors with ties, the contest's lines."""

from __future__ import annotations

import math

import pytest
import torch

from alexnet_edu.training.predictions import average, contest_lines, log_losses, top_errors


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(-1)


def test_the_average_is_the_sum_divided_by_how_many() -> None:
    ten = some(10, 6, 4)
    torch.testing.assert_close(average(ten), ten.sum(0) / 10, rtol=1e-15, atol=0)
    torch.testing.assert_close(average(ten).sum(1), torch.ones(6, dtype=torch.float64))


def test_only_the_ratios_of_weights_count() -> None:
    two = some(2, 5, 3)
    for weights in ((3, 1), (0.75, 0.25)):
        torch.testing.assert_close(average(two, weights), (3 * two[0] + two[1]) / 4, rtol=1e-14, atol=0)
    assert torch.equal(average(two, (0, 2)), two[1])


def test_half_precision_is_summed_in_single() -> None:
    many = some(100, 4, 10).half()
    torch.testing.assert_close(average(many), many.double().mean(0).float(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("shape", "weights", "quoted"),
    [
        ((5, 3), None, r"\(5, 3\)"),
        ((0, 5, 3), None, r"\(0, 5, 3\)"),
        ((2, 5, 3), (1.0,), "2 weights, got 1"),
        ((2, 5, 3), (1.0, -1.0), r"\[1.0, -1.0\]"),
        ((2, 5, 3), (0.0, 0.0), r"\[0.0, 0.0\]"),
        ((2, 5, 3), (1.0, math.nan), "nan"),
    ],
)
def test_what_cannot_be_averaged_is_quoted(
    shape: tuple[int, ...], weights: tuple[float, ...] | None, quoted: str
) -> None:
    with pytest.raises(ValueError, match=quoted):
        average(torch.ones(shape), weights)


def test_errors_without_ties_are_those_of_topk() -> None:
    p, labels = some(200, 10), torch.randint(10, (200,), generator=torch.Generator().manual_seed(1))
    for k in (1, 2, 5, 10):
        expected = (p.topk(k).indices != labels[:, None]).all(1).double()
        assert torch.equal(top_errors(p, labels, k), expected)


def test_ties_share_the_last_place() -> None:
    p = torch.tensor([[0.4, 0.2, 0.2, 0.2], [0.25, 0.25, 0.25, 0.25], [0.1, 0.1, 0.4, 0.4]])
    labels = torch.tensor([1, 0, 3])
    torch.testing.assert_close(top_errors(p, labels, 1).tolist(), [1.0, 0.75, 0.5])
    torch.testing.assert_close(top_errors(p, labels, 2).tolist(), [2 / 3, 0.5, 0.0])
    assert top_errors(torch.full((7, 1000), 1e-3), torch.arange(7), 5).mean() == pytest.approx(1 - 5 / 1000)


def test_the_average_is_less_surprised_than_its_members_on_the_mean() -> None:
    """Jensen: −log of a mean is at most the mean of the −logs, for every image."""
    members, labels = some(5, 50, 10), torch.arange(50) % 10
    each = torch.stack([log_losses(p, labels) for p in members])
    assert (log_losses(average(members), labels) <= each.mean(0)).all()
    torch.testing.assert_close(each[0], -members[0][torch.arange(50), labels].log())


@pytest.mark.parametrize(
    ("p", "labels", "k", "quoted"),
    [
        (torch.ones(3, 4), torch.zeros(2, dtype=torch.int64), 1, r"\(3, 4\) and \(2,\)"),
        (torch.ones(2, 4), torch.tensor([0, 4]), 1, "got 4"),
        (torch.ones(2, 4), torch.tensor([-1, 3]), 1, "got -1"),
        (torch.ones(2, 4), torch.tensor([0, 3]), 5, "got 5"),
        (torch.tensor([[0.5, math.nan]]), torch.tensor([0]), 1, "image 0"),
    ],
)
def test_bad_predictions_are_refused(p: torch.Tensor, labels: torch.Tensor, k: int, quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        top_errors(p, labels, k)


def test_the_contest_wants_five_labels_numbered_from_one() -> None:
    p = torch.tensor([[0.1, 0.3, 0.05, 0.2, 0.25, 0.1], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    assert contest_lines(p) == ["2 5 4 1 6", "6 1 2 3 4"]
    for bad, quoted in ((torch.ones(2, 4), r"\(2, 4\)"), (torch.full((1, 5), math.nan), "not numbers")):
        with pytest.raises(ValueError, match=quoted):
            contest_lines(bad)
