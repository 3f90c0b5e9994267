"""A run is trained once, goes on after a kill exactly where it was, and says where it was made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from alexnet_edu import environment
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.files import DataError, PermissionDenied
from alexnet_edu.model.cifar import CifarNetConfig
from alexnet_edu.studies import engine
from alexnet_edu.studies.engine import AT_END, NotTrained, Runs, Setting
from alexnet_edu.studies.run import INITIAL, Run, Sample
from alexnet_edu.training.loop import TrainConfig


def two_colours(count: int) -> Images:
    """Two classes told apart by their mean colour, in noise: learnable within an epoch."""
    generator = torch.Generator().manual_seed(count)
    labels = torch.arange(count) % 2
    noise = 40 * torch.randn(count, 3, 16, 16, generator=generator)
    shift = 25 * (labels * 2 - 1).view(-1, 1, 1, 1) * torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1)
    pixels = (128 + noise + shift).clamp(0, 255).to(torch.uint8)
    return Images(pixels, labels, ("red", "green"), "generated for a test", synthetic=True)


IMAGES = ImageSet(two_colours(300), two_colours(60))
NETWORK = CifarNetConfig(channels=(8, 8, 8), init="scaled")
RUN = Run(
    "tiny",
    NETWORK,
    TrainConfig(0.01, seed=1, batch_size=50, precision="float32"),
    epochs=1,
    initial_seed=INITIAL + 1,
    inputs="standardized",
    measured=("test_error", "layers"),
)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(IMAGES, tmp_path / "runs")


def trained(**changes: Any) -> Run:
    config = {key: changes.pop(key) for key in list(changes) if hasattr(RUN.config, key)}
    return replace(RUN, **changes, config=replace(RUN.config, **config))


def numbers(result: engine.Result) -> list[tuple[Any, ...]]:
    return [(p.iteration, p.train_error, p.loss, p.extra) for p in result.curve.points]


# --- kept, resumed --------------------------------------------------------------------------------


def test_a_run_is_kept_and_costs_nothing_the_second_time(runs: Runs) -> None:
    first, again = runs.train(RUN), runs.train(RUN)
    assert (first.curve.resumed_at, again.curve.resumed_at) == (0, 6)
    kept = runs.kept(RUN)
    assert numbers(kept) == numbers(again) == numbers(first)
    assert kept.provenance == first.provenance
    assert kept.data["images"] == 300
    assert list(kept.frame["epoch"]) == [0.5, 1.0]
    assert list(kept.frame["test_error"]) == first.column("test_error")
    assert list(kept.layers["layer"]) == [1, 2, 3] * 2


def test_a_run_goes_on_where_a_shorter_one_stopped(runs: Runs) -> None:
    runs.train(RUN)
    with pytest.raises(NotTrained, match="tiny"):
        runs.kept(trained(epochs=2))
    longer, fresh = runs.train(trained(epochs=2)), Runs(IMAGES, None).train(trained(epochs=2))
    assert longer.curve.resumed_at == 6
    assert numbers(longer) == numbers(fresh)
    assert [r.column("epoch")[-1] for r in (runs.kept(RUN), runs.train(RUN))] == [1, 1]  # its beginning


def test_a_stopped_and_a_killed_run_go_on_exactly(runs: Runs) -> None:
    whole = numbers(Runs(IMAGES, None).train(trained(epochs=2)))
    calls = iter([False] * 4 + [True])
    stopped = runs.train(trained(epochs=2), stop=lambda: next(calls))
    assert stopped.curve.status == "interrupted"
    with pytest.raises(SystemError):  # as good as kill -9: nothing after this is executed
        runs.train(trained(epochs=2), tell=lambda *_: (_ for _ in ()).throw(SystemError()))
    left = json.loads(runs.path(RUN).read_text())
    assert (left["status"], len(left["points"]["epoch"])) == ("running", 2)
    with pytest.raises(NotTrained):
        runs.kept(trained(epochs=2))
    assert numbers(runs.train(trained(epochs=2))) == whole


def test_a_run_keeps_where_its_earlier_part_was_made(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    for commit, epochs in (("aaaa", 1), ("bbbb", 1), ("bbbb", 2), ("bbbb", 3), ("cccc", 3)):
        made = {"commit": commit, "hardware": "h", "date": "d"}
        monkeypatch.setattr(engine, "provenance", lambda _, made=made: dict(made))
        result = runs.train(trained(epochs=epochs))
        assert runs.kept(trained(epochs=epochs)).provenance == result.provenance
        if epochs == 1:
            assert result.provenance == {"commit": "aaaa", "hardware": "h", "date": "d"}  # nothing new
    assert result.provenance["commit"] == "bbbb"  # where nothing new was trained it stays
    assert [part["commit"] for part in result.provenance["earlier"]] == ["aaaa"]


def test_a_diverged_run_is_not_trained_again(runs: Runs) -> None:
    run = trained(learning_rate=1e6, epochs=2)
    first = runs.train(run)
    before = runs.path(run).stat().st_mtime_ns
    again = runs.train(run)
    assert first.curve.status == again.curve.status == runs.kept(run).curve.status == "diverged"
    assert str(again.curve.points) == str(first.curve.points)  # they hold NaN
    assert runs.path(run).stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="diverged"):
        _ = again.network


def _denied(*_: object, **__: object) -> None:
    raise PermissionError


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"points": {}}'])
def test_a_damaged_curve_is_named(content: str, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.train(trained(epochs=0.5))
    runs.path(RUN).write_text(content)
    for read in (runs.train, runs.kept):
        with pytest.raises(DataError, match=rf"{runs.path(RUN).name} is damaged .*Delete it"):
            read(RUN)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", _denied)
        with pytest.raises(PermissionDenied):
            runs.kept(RUN)
    runs.path(RUN).unlink()
    assert runs.train(RUN).curve.resumed_at == 3  # the checkpoint beside it


# --- what decides it ------------------------------------------------------------------------------


def test_what_changes_the_curve_changes_the_file_and_words_do_not(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    different = [
        RUN,
        trained(learning_rate=0.02),
        trained(seed=2),
        trained(precision="bfloat16"),
        trained(initial_seed=3),
        trained(network=replace(NETWORK, activation="tanh")),
        trained(sample=Sample(count=200)),
        trained(inputs="raw"),
        trained(augment=("flip",)),
        trained(evaluated=100),
        trained(after=trained(seed=9)),
        trained(measured=()),
    ]
    names = {runs.path(run).name.split("-")[-1] for run in different}
    names.add(Runs(IMAGES, runs.folder, "meta").path(RUN).name.split("-")[-1])
    names.add(Runs(ImageSet(two_colours(301), IMAGES.test), None).path(RUN).name.split("-")[-1])
    assert len(names) == len(different) + 2
    for same in (trained(name="other"), trained(epochs=7), trained(target_error=0.1)):
        assert runs.path(same).name.split("-")[-1] in names
    assert runs.path(trained(at_end=("x",))) != runs.path(trained(at_end=("x",), epochs=2))


def test_the_precision_is_that_of_the_device_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "has_fast_bfloat16", lambda device: torch.device(device).type == "meta")
    automatic = trained(precision="auto")
    chosen = [Runs(IMAGES, None, device).resolved(automatic).config.precision for device in ("cpu", "meta")]
    assert chosen == ["float32", "bfloat16"]


def test_inputs_are_what_the_run_says(runs: Runs) -> None:
    x = runs.prepare()(IMAGES.train.pixels)
    assert x.mean(0).abs().max() < 1e-3
    assert runs.prepare(inputs="standardized")(IMAGES.train.pixels).std() == pytest.approx(1, abs=1e-3)
    population = runs.prepare(inputs="population")(IMAGES.train.pixels)
    assert population.double().square().mean().sqrt() == pytest.approx(1, abs=1e-6)
    assert torch.equal(runs.prepare(8)(IMAGES.train.pixels), x[:, :, 4:12, 4:12])


# --- which images ---------------------------------------------------------------------------------


def pixels_of(images: Images) -> set[bytes]:
    return {p.numpy().tobytes() for p in images.pixels}


@pytest.mark.parametrize(
    ("sample", "sizes"),
    [
        (Sample(3), (300, 0)),
        (Sample(3, count=100), (100, 0)),
        (Sample(3, holds_out=True), (270, 30)),
        (Sample(3, count=100, holds_out=True), (100, 30)),
        (Sample(3, classes=(1, 0), per_class=20), (40, 40)),
    ],
)
def test_what_judges_is_never_trained_on(sample: Sample, sizes: tuple[int, int]) -> None:
    trained_on, held_out = sample.split(IMAGES.train)
    assert (len(trained_on), len(held_out)) == sizes
    assert len(pixels_of(trained_on) | pixels_of(held_out)) == sum(sizes)
    other = replace(sample, seed=4).split(IMAGES.train)[0]
    assert (pixels_of(other) == pixels_of(trained_on)) == (sample == Sample(3))


def test_classes_are_renumbered() -> None:
    images = synthetic_images(100, 50)
    some = Sample(classes=(7, 2))
    assert some.split(images.train)[0].classes == (images.train.classes[7], images.train.classes[2])
    expected = images.test.pixels[images.test.labels == 2]
    assert torch.equal(
        some.of_classes(images.test).pixels[some.of_classes(images.test).labels == 1], expected
    )


def test_a_search_is_judged_on_held_out_images(runs: Runs) -> None:
    run = trained(sample=Sample(holds_out=True), held_out=True)
    setting = runs.setting(run)
    assert pixels_of(setting.judged) == pixels_of(setting.held_out)
    assert pixels_of(runs.setting(RUN).judged) == pixels_of(IMAGES.test)


# --- before and after -----------------------------------------------------------------------------


def test_a_run_starts_from_another_ones_weights_but_for_the_classifier(runs: Runs) -> None:
    after = trained(after=trained(initial_seed=5), epochs=0)
    model = runs.train(after).network.state_dict()
    before = runs.train(trained(initial_seed=5)).network.state_dict()
    drawn = runs.build(RUN).state_dict()
    last = [name for name in model if name.startswith(list(model)[-1].rsplit(".", 2)[0])]
    for name in model:
        assert torch.equal(model[name], (drawn if name in last else before)[name]), name


def test_what_is_measured_at_the_end_is_kept_and_made_up_for(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outputs(model: nn.Module, setting: Setting) -> Tensor:
        model.eval()
        return model(setting.prepare(setting.judged.pixels)).detach()

    monkeypatch.setitem(AT_END, "outputs", outputs)
    monkeypatch.setitem(AT_END, "answer", lambda *_: {"x": 42})
    run = trained(at_end=("outputs", "answer"))
    first = runs.train(run)
    assert torch.equal(runs.kept(run).ends["outputs"], first.ends["outputs"])
    assert runs.kept(run).ends["answer"] == {"x": 42}
    path = runs.path(run)
    path.with_name(f"{path.stem}.outputs.safetensors").unlink()  # killed before the last measurements
    with pytest.raises(NotTrained, match="outputs"):
        runs.kept(run)
    assert torch.equal(runs.train(run).ends["outputs"], first.ends["outputs"])
