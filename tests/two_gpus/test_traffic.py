"""Memory and traffic of the two columns: the figures of the 2012 facts, from the layer table."""

from __future__ import annotations

import math

import pytest

from alexnet_edu.model.architecture import count, talking, variant
from alexnet_edu.two_gpus.traffic import (
    KINDS,
    Machine,
    busier_column,
    memory_2012,
    mib,
    sent_each_way,
    sent_per_step,
    step_time,
)

RUN_145 = variant("run145")


@pytest.mark.parametrize(("gpu", "total"), [(0, 1723), (1, 1688), (None, 3206)])
def test_memory_at_batch_128(gpu: int | None, total: int) -> None:
    """1723 and 1688 MiB on the two GPUs, 3206 on one, which has 3072; 1687.4 for the second here."""
    assert mib(memory_2012(RUN_145, gpu=gpu)) == pytest.approx(total, abs=0.6)


def test_the_parts_of_the_memory() -> None:
    """1310 MB of activations, 265 MB of parameters, 232 MB of partial sums on GPU 0."""
    arrays = memory_2012(RUN_145, gpu=0)
    assert {a.what for a in arrays} == set(KINDS)
    megabytes = {kind: mib(arrays, kind) * (1 << 20) / 1e6 for kind in KINDS}
    assert round(megabytes["weights"]) == 265
    assert round(megabytes["partial sums"]) == 232
    assert round(sum(megabytes.values()) - megabytes["weights"] - megabytes["partial sums"]) == 1310
    assert math.isclose(sum(mib(arrays, kind) for kind in KINDS), mib(arrays))
    (conv2,) = (a.bytes for a in arrays if a.layer == "conv2" and a.what == "partial sums")
    assert conv2 == 4 * 243 * 153_600


def test_memory_grows_with_the_batch_alone_where_images_are_held() -> None:
    small, large = (memory_2012(RUN_145, batch, gpu=1) for batch in (1, 2))
    for kind in KINDS:
        factor = 1 if kind in ("weights", "partial sums") else 2
        assert mib(large, kind) == pytest.approx(factor * mib(small, kind)), kind


def test_the_whole_net_without_the_split_misses_3_gb_at_128_and_fits_at_112() -> None:
    assert mib(memory_2012(RUN_145, 128)) > 3 * 1024 > mib(memory_2012(RUN_145, 112))


@pytest.mark.parametrize(("batch", "gpu"), [(0, 0), (128, 2), (128, -1)])
def test_what_cannot_be_is_refused(batch: int, gpu: int) -> None:
    with pytest.raises(ValueError, match=f"got {0 if batch == 0 else gpu}"):
        memory_2012(RUN_145, batch, gpu)


def test_one_column_has_no_two_gpus() -> None:
    with pytest.raises(ValueError, match="of two columns, got None of 1"):
        memory_2012(variant("one_gpu"))


def test_bytes_of_the_exchange() -> None:
    """11.08, 2.36 and 1.05 MB each way for a batch of 128; about 60 MB a step."""
    each = {name: round(n / 1e6, 2) for name, n in sent_each_way(variant("paper")).items()}
    assert each == {"conv3": 11.08, "fc6": 2.36, "fc7": 1.05, "fc8": 1.05}
    assert round(sent_per_step(variant("paper")) / 1e6) == 60
    gradients = 4 * sum(s.parameters for s in count(variant("paper")))
    assert round(gradients / 1e6) == 244


def test_talking_at_a_layer_sends_what_it_reads() -> None:
    for name in ("conv2", "conv3", "conv4", "conv5"):
        architecture = talking((name, "fc6", "fc7"))
        size = next(s for s in count(architecture) if s.name == name)
        assert sent_each_way(architecture, 1)[name] == 4 * math.prod(size.inputs) // 2
    assert set(sent_each_way(talking(()))) == {"fc8"}


def test_work_of_the_busier_gpu() -> None:
    assert round(busier_column(variant("paper")) / 1e6, 1) == 364.3
    assert busier_column(variant("one_gpu")) == 391_514_384


def test_estimated_time() -> None:
    """By hand: 6 × 364.3 M × 128 operations at 1 TFLOP/s; 31.1 MB one way and back at 1 GB/s."""
    machine = Machine(flops=2e12, efficiency=0.5, link=1e9)
    time = step_time(variant("paper"), machine=machine)
    assert time.computing == pytest.approx(6 * busier_column(variant("paper")) * 128 / 1e12)
    assert time.copying == pytest.approx(2 * (11.075584 + 2.359296 + 2 * 1.048576) / 1e3)
    hidden = step_time(variant("paper"), machine=Machine(overlap=1.0))
    assert hidden.copying == 0
    assert step_time(variant("one_gpu")).copying == 0
    assert step_time(variant("paper")).total < step_time(variant("one_gpu")).total  # §3.2: slightly less
