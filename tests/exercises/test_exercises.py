"""Every exercise is tried with right, nearly right and wrong answers; what their numbers rest on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torchvision.models import alexnet as torchvision_alexnet  # type: ignore[import-untyped]

from alexnet_edu import paper
from alexnet_edu.exercises import check as checks
from alexnet_edu.exercises.check import EXERCISES, check, hint
from alexnet_edu.exercises.judge import Function, Number
from alexnet_edu.imagenet.cost import OFFICIAL_COUNTS
from alexnet_edu.lessons import imagenet as costs
from alexnet_edu.model.architecture import count, variant
from alexnet_edu.training.sgd import PaperSGD
from alexnet_edu.two_gpus.traffic import busier_column
from tests.exercises.answers import RIGHT, WRONG

WRONG_KIND: dict[type, list[tuple[Any, str]]] = {
    Number: [("soon", "a number is asked for, not 'soon'"), (-1e9, "-1e+09 is too small")],
    Function: [(0.5, "a function is asked for, not float"), (lambda *_: None, "returns nothing")],
}


def frequent_faults(name: str) -> list[tuple[Any, str]]:
    """The wrong answers that the judge itself names, and what it says to each."""
    faults = getattr(EXERCISES[name].judge, "faults", ())
    return [(wrong, why) for why, wrong in faults.items()] if isinstance(faults, dict) else list(faults)


@pytest.mark.parametrize("name", EXERCISES)
def test_answers_are_judged(name: str) -> None:
    assert RIGHT[name]
    for answer in RIGHT[name]:
        judgement = check(name, answer)
        assert judgement, judgement.text
        assert judgement.text.endswith(EXERCISES[name].praise)
    faults = frequent_faults(name) + WRONG.get(name, [])
    assert faults, "no nearly right answer"
    for answer, why in faults + WRONG_KIND.get(type(EXERCISES[name].judge), []):
        judgement = check(name, answer)
        assert not judgement
        assert why in judgement.text
        assert f"hint({name!r})" in judgement.text


def test_no_answer_yet_is_no_fault() -> None:
    assert not check("01.1", None)
    assert "not answered yet" in repr(check("01.1", None))


def test_hints_come_one_at_a_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_hinted", checks.Counter())
    for _ in range(3):
        hint("01.1")
    first, second = EXERCISES["01.1"].hints
    said = [f"Hint 1 of 2: {first}", f"Hint 2 of 2: {second}", f"Hint 1 of 2: {first}"]
    assert capsys.readouterr().out.splitlines() == said


def test_an_unknown_exercise_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"99\.9.*00\.1, "):
        check("99.9", 1)


# --- what the numbers rest on --------------------------------------------------------------


def test_the_counts_of_other_networks_are_those_of_their_tables() -> None:
    with torch.device("meta"):
        theirs = torchvision_alexnet()
    assert check("00.2", sum(p.numel() for p in theirs.parameters()))
    half = variant("one_gpu")
    halved = [replace(layer, outputs=128) if layer.name == "conv5" else layer for layer in half.layers]
    work = [busier_column(table) for table in (variant("paper"), replace(half, layers=tuple(halved)))]
    assert check("05.5", work[0] / work[1])
    table = variant("paper")
    before, after = ({c.name: c for c in count(replace(table, side=side))} for side in (224, 448))
    work = [sum(c.multiply_adds for c in counts.values() if "conv" in c.name) for counts in (before, after)]
    assert check("00.4", (work[1] / work[0], after["fc6"].parameters / before["fc6"].parameters))
    arrives = F.max_pool2d(F.max_pool2d(F.max_pool2d(torch.zeros(1, 256, 54, 54), 3, 2), 3, 2), 3, 2).numel()
    assert check("00.3", 4096 * (before["fc6"].inputs[0] * 36 - arrives))


def test_the_arithmetic_of_training_is_that_of_the_lesson() -> None:
    forwards = 2 * sum(layer.multiply_adds for layer in paper.LAYERS)
    images = costs.TRAINING_IMAGES
    assert check("06.1", paper.EPOCHS * math.ceil(images / paper.BATCH_SIZE))
    judging = 10 * OFFICIAL_COUNTS["val"] * forwards
    share = judging / (images * costs.operations_per_image(variant("paper")))
    assert EXERCISES["06.2"].judge.answer == pytest.approx(share, rel=1e-5)


def test_the_interval_between_checkpoints_is_the_cheapest() -> None:
    def cost(interval: float) -> float:  # seconds lost in a second: saving takes 4, a crash comes once a day
        return 4 / interval + interval / (2 * 86_400)

    best = EXERCISES["06.5"].judge.answer
    assert cost(best) < min(cost(0.98 * best), cost(1.02 * best))
    assert cost(2 * best) == pytest.approx(1.25 * cost(best))
    assert cost(best / 2) == pytest.approx(1.25 * cost(best))


def test_fields_and_rates_are_those_of_the_table_and_the_notes() -> None:
    fields = {layer.name: layer.receptive_field for layer in count(variant("paper"))}
    assert check("07.1", fields["conv3"])
    for name in ("conv2", "conv4"):
        assert f"what a kernel of {name} sees" in check("07.1", fields[name]).text
    one, five = paper.CNN_2012_VALIDATION, paper.FIVE_CNNS_VALIDATION
    without_end = [a - (a - b) / (1 - 1 / paper.FIVE_CNNS) for a, b in zip(one, five, strict=True)]
    assert check("11.1", without_end[0])
    assert "top-5" in check("11.1", without_end[1]).text


def test_a_larger_window_widens_the_field_by_the_strides_before_it() -> None:
    fields = {}
    for z in (2, 3):
        fields[z], apart = 1, 1
        for size, stride in ((11, 4), (z, 2), (5, 1), (z, 2), (3, 1), (3, 1), (3, 1), (z, 2)):
            fields[z], apart = fields[z] + (size - 1) * apart, apart * stride
    assert check("03.1", fields[3] - fields[2])
    assert f"From {fields[2]} to {fields[3]} pixels" in EXERCISES["03.1"].praise


def test_the_half_life_of_a_weight_is_what_the_rule_gives() -> None:
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer, steps = PaperSGD([weight], lr=0.01), 0
    weight.grad = torch.zeros_like(weight)
    while weight.item() > 0.5:
        optimizer.step()
        steps += 1
    assert check("10.5", steps)
