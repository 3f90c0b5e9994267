"""When the rate falls: hand-made sequences of errors, and the epochs that were logged."""

from __future__ import annotations

import math
from typing import Any

import pytest

from alexnet_edu.training.schedules import LOGGED, PlateauSchedule

# --- the rule of thumb --------------------------------------------------------------------

SMALL_STEPS = [0.5, 31 / 64, 30 / 64, 29 / 64, 28 / 64]


@pytest.mark.parametrize(
    ("rule", "errors", "falls"),
    [
        ({}, [], []),
        ({}, [0.5, 0.5, 0.5], [3]),  # as good as the best is no improvement
        ({}, [0.5, 0.6, 0.4, 0.5, 0.3], []),  # a new best starts patience anew
        ({}, [0.5, 0.6, 0.7, 0.4, 0.5, 0.5], [3, 6]),
        ({}, [0.5, 0.6, 0.7, 0.55, 0.55], [3, 5]),  # after a fall the old best is still to be beaten
        ({}, [0.5] * 12, [3, 5, 7]),  # three falls and no more
        ({}, [0.5, math.nan, math.nan, 0.4], [3]),
        ({}, [math.nan, math.nan], [2]),
        ({"patience": 1}, [0.5, 0.5, 0.4, 0.4], [2, 4]),
        ({"margin": 1.5 / 64}, SMALL_STEPS, []),  # the mark stays, so that small steps add up
        ({"margin": 2 / 64}, SMALL_STEPS, [3]),  # 2/64 is not more than that
        ({"margin": 4 / 64}, SMALL_STEPS, [3, 5]),
    ],
)
def test_the_rate_falls_when_the_error_stalls(
    rule: dict[str, Any], errors: list[float], falls: list[int]
) -> None:
    assert PlateauSchedule(**rule).falls(errors) == falls


def test_what_was_decided_stays_decided_whatever_comes_later() -> None:
    """A run that was killed sees a shorter list first; its falls must be the same ones."""
    errors = [0.9, 0.7, 0.75, 0.72, 0.6, 0.61, 0.65, 0.6, 0.6, 0.59, 0.7, 0.7]
    rule = PlateauSchedule()
    whole = rule.falls(errors)
    for length in range(len(errors) + 1):
        assert rule.falls(errors[:length]) == [at for at in whole if at <= length]


@pytest.mark.parametrize(
    ("options", "quoted"),
    [
        ({"patience": 0}, "patience=0"),
        ({"most": -1}, "most=-1"),
        ({"margin": -0.1}, "margin=-0.1"),
        ({"margin": math.nan}, "margin=nan"),
    ],
)
def test_a_rule_that_makes_no_sense_is_quoted(options: dict[str, float], quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        PlateauSchedule(**options)  # type: ignore[arg-type]


# --- the notes of 2012 --------------------------------------------------------------------


def test_three_falls_then_the_end() -> None:
    """§5: reduced three times; about 90 epochs in all."""
    assert {name: (*logged.drops, logged.stop) for name, logged in LOGGED.items()} == {
        "145": (25, 51, 79, 91),
        "145-2010": (23, 51, 78, 93),
        "147": (23, 51, 79, 90),
        "148": (22, 44, 86, 97),
    }


def test_the_rate_at_an_epoch_and_that_of_the_first_layer_slowed_then_frozen() -> None:
    logged, plain = LOGGED["145"], LOGGED["147"]
    epochs = (0, 24.99, 25, 50.9, 51, 66.9, 67, 71.9, 72, 79, 91)
    rates = [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-5, 1e-5]
    conv1 = [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5, 0, 0, 0]
    assert [logged.at(epoch) for epoch in epochs] == pytest.approx(rates)
    assert [logged.conv1_at(epoch) for epoch in epochs] == pytest.approx(conv1)
    assert all(plain.conv1_at(epoch) == plain.at(epoch) for epoch in epochs)


def test_a_compressed_schedule_is_the_same_in_shares_of_its_length() -> None:
    logged = LOGGED["145-2010"]
    short = logged.compressed(12)
    assert short.drops == pytest.approx([12 * drop / 93 for drop in (23, 51, 78)])
    for share in (0.0, 0.1, 0.3, 0.6, 0.73, 0.8, 0.99):
        assert short.at(12 * share) == logged.at(93 * share), share
        assert short.conv1_at(12 * share) == logged.conv1_at(93 * share), share
    assert (short.stop, short.noise_off) == (12, pytest.approx(67 / 93 * 12))
    assert LOGGED["148"].compressed(10).conv1_frozen is None


@pytest.mark.parametrize("epochs", [0, -3, math.nan, math.inf])
def test_a_schedule_lasts_a_positive_number_of_epochs(epochs: float) -> None:
    with pytest.raises(ValueError, match=str(epochs)):
        LOGGED["145"].compressed(epochs)
