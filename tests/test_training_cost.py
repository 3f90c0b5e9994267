"""The arithmetic of the full training, and its explorer."""

from __future__ import annotations

import math
import re

import pytest

from alexnet_edu import paper
from alexnet_edu.lessons import imagenet as training_cost
from alexnet_edu.lessons.cost_widgets import FEEDS, KINDS, SHARES, cost_explorer
from alexnet_edu.lessons.imagenet import DAY, DEVICES
from alexnet_edu.lessons.training_plots import in_words
from alexnet_edu.model.architecture import count, variant
from alexnet_edu.two_gpus import traffic

TABLE = variant("paper")


def test_operations_of_one_image_layer_by_layer() -> None:
    sizes = count(TABLE)
    assert sum(s.multiply_adds for s in sizes) == 724_406_816
    forwards = backwards = 0
    for number, size in enumerate(sizes):
        forwards += 2 * size.multiply_adds
        backwards += 2 * size.multiply_adds * (1 if number == 0 else 2)
    assert training_cost.operations_per_image(TABLE) == forwards + backwards == 4_135_610_496


def test_of_the_whole_training() -> None:
    assert training_cost.operations(TABLE) == pytest.approx(0.477e18, rel=1e-3)
    assert training_cost.operations(TABLE, epochs=1) * 90 == training_cost.operations(TABLE)
    assert training_cost.steps() == 900_900
    assert training_cost.steps(2, images=10, batch=4) == 6
    with pytest.raises(ValueError, match=r"got -1 and 5"):
        training_cost.operations(TABLE, -1, 5)


def test_the_papers_days_say_what_share_of_the_peak_was_reached() -> None:
    gtx = DEVICES[paper.GPU_NAME]
    assert gtx.float32 == traffic.GTX_580.flops
    wanted = training_cost.operations(TABLE)
    shares = [
        training_cost.share_reached(wanted, gtx.float32, days * DAY, paper.GPUS)
        for days in paper.TRAINING_DAYS
    ]
    assert shares == pytest.approx([0.349, 0.291], abs=5e-4)
    for days, share in zip(paper.TRAINING_DAYS, shares, strict=True):
        assert training_cost.seconds(wanted, gtx.float32, share, paper.GPUS) == pytest.approx(days * DAY)


def test_a_slow_feed_sets_the_pace() -> None:
    assert training_cost.fed_seconds(10.0, 100, 20.0) == (10.0, False)
    assert training_cost.fed_seconds(10.0, 100, 5.0) == (20.0, True)
    assert training_cost.fed_seconds(10.0, 100, math.inf) == (10.0, False)


def test_devices_have_the_type_that_is_asked_for_or_float32() -> None:
    assert DEVICES["GTX 580"].peak("bfloat16") == DEVICES["GTX 580"].float32
    assert DEVICES["A100"].peak("bfloat16") == 312e12
    assert all(d.source and d.float32 > 1e12 for d in DEVICES.values())
    with pytest.raises(ValueError, match="'float16'"):
        DEVICES["A100"].peak("float16")


@pytest.mark.parametrize("share", [0, -0.1, 1.01])
def test_impossible_shares_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(share))):
        training_cost.seconds(1.0, 1.0, share)


def test_no_time_and_no_feed_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 0 seconds, got 0"):
        training_cost.share_reached(1.0, 1.0, 0)
    with pytest.raises(ValueError, match="more than 0 images/s, got 0"):
        training_cost.fed_seconds(1.0, 1, 0)


@pytest.mark.parametrize(("days", "words"), [(5.53, "5.5 days"), (0.25, "6.0 h"), (1 / 48, "30 min")])
def test_days_in_words(days: float, words: str) -> None:
    assert in_words(days) == words


# --- the explorer ---------------------------------------------------------------------------


def test_it_starts_near_the_five_days_of_the_paper() -> None:
    widget = cost_explorer()
    assert widget.png
    assert "at 35% of the peak: 2 × GTX 580 (2010) 5.0 days" in widget.alt
    assert "sets the pace" not in widget.alt


def test_every_value_of_every_control_is_drawn() -> None:
    widget = cost_explorer()
    for name, values in (("share", SHARES), ("feed", FEEDS), ("kind", KINDS)):
        for value in values:
            widget.controls[name].value = value
            assert widget.error is None


def test_a_slow_feed_is_named_with_those_that_wait_for_it() -> None:
    widget = cost_explorer(feed=5000)
    days = paper.EPOCHS * training_cost.TRAINING_IMAGES / 5000 / DAY
    assert widget.alt.count(in_words(days)) == 3
    assert widget.alt.endswith("sets the pace for RTX 4090 (2022), A100 (2020), H100 SXM (2022)")
    assert "GTX 580 (2010) 5.0 days" in widget.alt


def test_another_type_of_numbers_changes_the_new_gpus_alone() -> None:
    one, two = cost_explorer(kind="bfloat16").alt, cost_explorer(kind="float32").alt
    assert "2 × GTX 580 (2010) 5.0 days" in one
    assert "2 × GTX 580 (2010) 5.0 days" in two
    assert "H100 SXM (2022) 23 min" in one
    assert "H100 SXM (2022) 5.6 h" in two


@pytest.mark.parametrize("wrong", [{"share": 0.33}, {"feed": 3}, {"kind": "float16"}])
def test_a_value_that_is_no_option_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        cost_explorer(**wrong)  # type: ignore[arg-type]
