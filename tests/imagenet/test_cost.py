"""The arithmetic of the full training."""

from __future__ import annotations

import pytest

from alexnet_edu import paper
from alexnet_edu.imagenet import cost
from alexnet_edu.model.architecture import count, variant

TABLE = variant("paper")


def test_operations_layer_by_layer_and_of_the_whole_training() -> None:
    forwards = backwards = 0
    for number, size in enumerate(count(TABLE)):
        forwards += 2 * size.multiply_adds
        backwards += 2 * size.multiply_adds * (1 if number == 0 else 2)
    assert cost.operations_per_image(TABLE) == forwards + backwards == 4_135_610_496
    assert cost.operations(TABLE) == pytest.approx(0.477e18, rel=1e-3)
    assert cost.operations(TABLE, epochs=1) * 90 == cost.operations(TABLE)


@pytest.mark.parametrize(("days", "share"), list(zip(paper.TRAINING_DAYS, (0.349, 0.291), strict=True)))
def test_the_papers_days_are_a_third_of_the_peak(days: float, share: float) -> None:
    wanted, peak = cost.operations(TABLE), cost.DEVICES[paper.GPU_NAME].float32
    assert cost.seconds(wanted, peak, share, paper.GPUS) == pytest.approx(days * cost.DAY, rel=2e-3)
