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
        ({}, [0.9, 0.8, 0.7, 0.6], []),
        ({}, [0.5, 0.5, 0.5], [3]),  # as good as the best is no improvement
        ({}, [0.5, 0.6, 0.4, 0.5, 0.3], []),  # a new best starts patience anew
        ({}, [0.5, 0.6, 0.7, 0.4, 0.5, 0.5], [3, 6]),
        ({}, [0.5, 0.6, 0.7, 0.55, 0.55], [3, 5]),  # after a fall the old best is still to be beaten
        ({}, [0.5] * 12, [3, 5, 7]),  # three falls and no more
        ({}, [0.5, math.nan, math.nan, 0.4], [3]),
        ({}, [math.nan, math.nan], [2]),
        ({"patience": 1}, [0.5, 0.5, 0.4, 0.4], [2, 4]),
        ({"patience": 4}, [0.5] * 6, [5]),
        ({"patience": 1, "most": 0}, [0.5] * 5, []),
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
    assert len(whole) == 3
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
    assert set(LOGGED) == {"145", "145-2010", "147", "148"}
    for name, logged in LOGGED.items():
        assert logged.name == name
        assert logged.source == f"layer-params-{name}.cfg"
        assert len(logged.drops) == 3
        assert list(logged.drops) == sorted(logged.drops)
        assert logged.drops[-1] < logged.stop
        assert logged.at(logged.stop) == pytest.approx(logged.rate / 1000)
    assert LOGGED["145-2010"].drops == (23, 51, 78)
    assert LOGGED["145-2010"].stop == 93


def test_the_rate_at_an_epoch() -> None:
    logged = LOGGED["145"]
    expected = {0: 0.01, 24.99: 0.01, 25: 0.001, 50.9: 0.001, 51: 0.0001, 79: 0.00001, 91: 0.00001}
    for epoch, rate in expected.items():
        assert logged.at(epoch) == pytest.approx(rate), epoch


def test_the_first_layer_was_slowed_then_frozen() -> None:
    logged = LOGGED["145"]
    assert logged.conv1_at(66.9) == logged.at(66.9)
    assert logged.conv1_at(67) == pytest.approx(logged.at(67) / 10)
    assert logged.conv1_at(71.9) == pytest.approx(logged.at(71.9) / 10)
    assert logged.conv1_at(72) == logged.conv1_at(90) == 0.0
    plain = LOGGED["147"]
    for epoch in (0, 30, 70, 90):
        assert plain.conv1_at(epoch) == plain.at(epoch)


def test_a_compressed_schedule_is_the_same_in_shares_of_its_length() -> None:
    logged = LOGGED["145-2010"]
    short = logged.compressed(12)
    assert short.stop == 12
    assert short.name == "145-2010 in 12 epochs"
    assert short.drops == pytest.approx([12 * drop / 93 for drop in (23, 51, 78)])
    for share in (0.0, 0.1, 0.3, 0.6, 0.73, 0.8, 0.99):
        assert short.at(12 * share) == logged.at(93 * share), share
        assert short.conv1_at(12 * share) == logged.conv1_at(93 * share), share
    assert short.noise_off == pytest.approx(67 / 93 * 12)
    assert LOGGED["148"].compressed(10).conv1_frozen is None


@pytest.mark.parametrize("epochs", [0, -3, math.nan, math.inf])
def test_a_schedule_lasts_a_positive_number_of_epochs(epochs: float) -> None:
    with pytest.raises(ValueError, match=f"positive number of epochs, got {epochs}"):
        LOGGED["145"].compressed(epochs)
