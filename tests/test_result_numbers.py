"""What several networks say, as numbers: against loops, and where the answer is known."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from alexnet_edu.studies import result_numbers as rn
from alexnet_edu.training.predictions import average, top_errors


def said(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(*shape, generator=generator, dtype=torch.float64)).softmax(-1)


LABELS = torch.arange(40) % 5


def test_views_are_the_patches_of_the_paper_in_their_order() -> None:
    assert rn.VIEWS["centre"] == (2,)
    assert rn.VIEWS["centre and its reflection"] == (2, 7)
    networks = said(3, 10, 40, 5)
    assert torch.equal(rn.seen(networks, "centre"), networks[:, 2])
    torch.testing.assert_close(rn.seen(networks, "ten"), networks.mean(1))


def test_every_subset_is_there_once() -> None:
    networks = said(5, 40, 5)
    found = rn.over_subsets(networks, LABELS)
    assert {size: len(errors) for size, errors in found.items()} == {
        str(k): math.comb(5, k) for k in range(1, 6)
    }
    chosen = list(itertools.combinations(range(5), 2)).index((1, 3))
    expected = (networks[[1, 3]].mean(0).argmax(1) != LABELS).double().mean().item()
    assert found["2"][chosen] == pytest.approx(expected)


def test_averaged_logits_are_the_geometric_mean() -> None:
    logits = torch.randn(4, 40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shifted = logits + torch.randn(4, 40, 1, dtype=torch.float64)  # a shift of all logits changes nothing
    torch.testing.assert_close(rn.logits_averaged(shifted.softmax(2)), logits.mean(0).softmax(1))


def test_an_average_can_be_right_where_every_member_is_wrong() -> None:
    members = torch.tensor([[[0.45, 0.50, 0.05]], [[0.45, 0.05, 0.50]]])
    found = rn.gain(members.expand(2, 3, 3), torch.tensor([0, 0, 1]))
    assert found["rescued"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["lost"] == 0
    assert found["members"] == pytest.approx((1 + 1 + 0.5) / 3, abs=1e-6)
    assert found["average"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["average_loss"] < found["members_loss"]


def test_the_standard_error_is_that_of_the_difference() -> None:
    networks = said(3, 40, 5)
    each = torch.stack([top_errors(p, LABELS, 1) for p in networks]).mean(0)
    difference = top_errors(average(networks), LABELS, 1) - each
    found = rn.gain(networks, LABELS)
    assert found["standard_error"] == pytest.approx(difference.std().item() / 40**0.5, abs=1e-6)
    assert found["average"] - found["members"] == pytest.approx(difference.mean().item(), abs=2e-6)


def test_agreement_of_the_same_and_of_strangers() -> None:
    one = said(1, 40, 5)
    assert rn.agreement(one.expand(3, 40, 5)) == 1
    assert rn.agreement(said(6, 40, 5)) < 0.5


def test_searched_coefficients_are_no_worse_where_they_were_searched() -> None:
    found = rn.searched_weights(said(3, 40, 5), LABELS)
    assert len(found) == 2
    assert all(half["searched_here"] <= half["equal_here"] for half in found)
    assert found[0]["equal_here"] == found[1]["equal_there"]
    assert rn.searched_weights(said(3, 40, 5), LABELS) == found


def test_the_part_about_members_is_whole() -> None:
    networks = said(10, 10, 40, 5)
    found = rn.members_part(networks, LABELS)
    assert [group["networks"] for group in found["groups"]] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    assert found["patches"]["ten"] == found["subsets"]["ten"]["1"]
    assert len(found["weights"]) == 4
    assert len(found["places"]) == 10
    assert found["places"][2] == pytest.approx(sum(found["patches"]["centre"]) / 10, abs=1e-6)
    assert found["subsets"]["centre"]["5"][0] == found["groups"][0]["centre"]["average"]
    few = rn.members_part(networks[:3], LABELS)
    assert [group["networks"] for group in few["groups"]] == [[1, 2, 3]]


def test_the_part_about_a_problem_mixes_both_kinds() -> None:
    kinds = {"plain": said(3, 10, 40, 5), "starred": said(2, 10, 40, 5, seed=1), "sixth": said(1, 10, 40, 5)}
    found = rn.problem_part(kinds, LABELS)
    sizes = {name: len(errors) for name, errors in found["mixed"]["ten"].items()}
    assert sizes == {
        f"{k}+{m}": math.comb(3, k) * math.comb(2, m) for k in range(4) for m in range(3) if k + m
    }
    assert found["mixed"]["ten"]["1+0"] == found["networks"]["plain"]["ten"]
    assert found["mixed"]["centre"]["0+1"] == found["networks"]["starred"]["centre"]
    both = average(torch.cat([kinds["plain"].mean(1), kinds["starred"].mean(1)]))
    assert found["mixed"]["ten"]["3+2"] == [rn.error(both, LABELS)]


def test_differences_are_of_the_same_images() -> None:
    kinds = {"plain": said(3, 40, 5), "starred": said(2, 40, 5, seed=1), "sixth": said(1, 40, 5, seed=2)}
    found = rn.differences(kinds, LABELS)
    assert len(found) == 5 * 4  # of three kinds, five and seven
    five = top_errors(average(kinds["plain"]), LABELS, 1)
    one = torch.stack([top_errors(p, LABELS, 1) for p in kinds["plain"]]).mean(0)
    value, error = found["five - plain"]
    assert value == pytest.approx((five - one).mean().item(), abs=1e-6)
    assert error == pytest.approx((five - one).std().item() / 40**0.5, abs=1e-6)
    assert found["plain - five"] == [-value, error]
    assert found["seven - starred"][0] == pytest.approx(
        found["seven - plain"][0] + found["plain - starred"][0], abs=2e-6
    )
