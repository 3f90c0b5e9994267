"""The record of §6 read: gains with their intervals, and what the ledger says of them."""

from __future__ import annotations

from typing import Any

import pytest

from alexnet_edu.studies import result_records as results


def run(rate: float = 0.02, seconds: float = 10.0) -> dict[str, Any]:
    return {"seed": 1, "rate": rate, "epochs": 2, "images": 10, "train_error": 0.1, "cpu_seconds": seconds}


def problem(number: int, one: float) -> dict[str, Any]:
    """Five average 2 points better than one, a pre-trained network 4, seven 5; standard errors of 1 point."""
    lower = {"5+0": 0.02, "0+1": 0.04, "5+2": 0.05}
    mixed = {name: [one - less] for name, less in lower.items()}
    mixed["1+0"] = [one - 0.01, one + 0.01]
    errors = {"plain": [one], "sixth": [one - 0.005], "long": [one - 0.01], "starred": [one - 0.04]}
    errors["starred-long"] = [one - 0.06]
    levels = {kind: es[0] for kind, es in errors.items()} | {"five": one - 0.02, "seven": one - 0.05}
    pairs = {f"{a} - {b}": [levels[a] - levels[b], 0.01] for a in levels for b in levels if a != b}
    return {
        "problem": number,
        "differences": {"ten": pairs, "centre": pairs},
        "mixed": {"ten": mixed, "centre": {name: [e + 0.01 for e in es] for name, es in mixed.items()}},
        "networks": {kind: {"ten": es, "centre": es} for kind, es in errors.items()},
        "runs": {kind: [run()] for kind in (*errors, "source")},
    }


@pytest.fixture
def record() -> dict[str, Any]:
    group = {"members": 0.27, "average": 0.24, "standard_error": 0.001}
    return {
        "experiment": "results",
        "plan": {"networks": 3, "epochs": 4, "few": 500, "few_epochs": 2},
        "members": {
            "patches": {"centre": [0.30, 0.29, 0.31], "ten": [0.28, 0.27, 0.29], "five": [0.29, 0.28, 0.30]},
            "subsets": {"ten": {"1": [0.28, 0.27, 0.29], "2": [0.26, 0.27, 0.25], "3": [0.24]}},
            "groups": [{"networks": [1, 2, 3], "ten": group, "centre": group}],
        },
        "problems": [problem(1, 0.20), problem(2, 0.30)],
        "provenance": {
            "commits": ["abc"],
            "dates": ["2026-01-02"],
            "hardware": ["a machine"],
            "threads": [1],
            "torch": ["2.0"],
            "precision": ["float32"],
            "data": {"source": "CIFAR-10", "synthetic": False, "images": 50_000},
        },
    }


def test_gains_are_paired(record: dict[str, Any]) -> None:
    ten = results.view_gap(record, "ten")
    assert (ten.value, ten.low, ten.high) == pytest.approx((-2, -2, -2))
    five = results.gaps(record, "five", "plain")
    assert [gap.value for gap in five] == pytest.approx([-2, -2])
    assert (five[0].low, five[0].high) == pytest.approx((-2 - 1.96, -2 + 1.96))
    assert results.gaps(record, "seven", "starred")[1].value == pytest.approx(-1)
    assert results.gaps(record, "starred", "long")[0].value == pytest.approx(-3)
    assert results.shortfalls(record) == pytest.approx([1, 1])
    assert results.intervals(five) == "-2.00 [-3.96, -0.04]; -2.00 [-3.96, -0.04]"
    assert results.row_errors(record, "1 CNN") == pytest.approx([0.20, 0.30])
    assert results.row_errors(record, "1 CNN", "centre") == pytest.approx([0.21, 0.31])


def test_groups_have_the_interval_of_other_test_images(record: dict[str, Any]) -> None:
    (found,) = results.group_gaps(record)
    assert (found.value, found.low, found.high) == pytest.approx((-3, -3 - 0.196, -3 + 0.196))


def test_what_is_not_in_the_record_is_named(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="views are centre, ten, five; got 'nine'"):
        results.view_gap(record, "nine")
    with pytest.raises(ValueError, match="3 networks were trained; they have no subset of 4"):
        results.subset_errors(record, 4)
    with pytest.raises(ValueError, match=r"there are 5\+2 networks .*; asked were 4\+0"):
        results.mixed_errors(record, 4, 0)
    with pytest.raises(ValueError, match="there is no kind 'source'; there are plain, sixth"):
        results.kind_errors(record, "source")
    with pytest.raises(ValueError, match="'five' and 'six' cannot be compared; choose two of five, long"):
        results.gaps(record, "five", "six")
    assert results.subset_errors(record, 2) == [0.26, 0.27, 0.25]


def test_tables_have_a_line_for_each_row(record: dict[str, Any]) -> None:
    lines = results.table(record).splitlines()[2:]
    assert [line.split("  ")[0] for line in lines] == list(results.ROWS)
    assert lines[3].split()[2:4] == ["15.00%", "25.00%"]
    assert lines[3].endswith("-5.00 [-6.96, -3.04]; -5.00 [-6.96, -3.04]")
    kinds = results.kinds_table(record).splitlines()
    assert len(kinds) == 2 + len(results.KINDS)
    assert kinds[-1].split()[-1] == kinds[-2].split()[-1] == "20"  # seconds of both parts
    assert "3 networks for 4 epochs of 50,000 images; 2 problems of 2,500" in results.origin(record)
