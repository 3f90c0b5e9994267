"""The benchmark scripts run, and measure what they say. No time is asserted."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import augment
import cifar_training
import damage
import imagenet_feed
import imagenet_prepare
import imagenet_step
import kill_and_resume
import lrn
import neighbours
import numpy as np
import pytest
import torch
import turns
from PIL import Image

from alexnet_edu.data.augment import ColorPCA
from tests.ranks import Ranks

COUNT = 192  # one batch and a half


class InProcess:
    """Stands for a process of its own (`turns.Child`), which would take seconds to start."""

    def __init__(self, title: str, prepare: Any, *arguments: Any) -> None:
        # A DataLoader's workers would have to be started, too.
        self.ask = prepare(*(replace(a, workers=0) if getattr(a, "workers", None) else a for a in arguments))

    def close(self) -> None:
        self.ask = None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("batches")
    pixels, labels, _ = cifar_training.choose_pixels(COUNT)
    cifar_training.write_batches(path, pixels, labels)
    return path


def test_both_ways_feed_the_network_the_same_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fed: dict[int | None, list[torch.Tensor]] = {None: [], 0: []}
    for workers, batches in fed.items():

        class Recording(cifar_training.FourLayerNet):
            def forward(self, images: torch.Tensor, batches: list[torch.Tensor] = batches) -> torch.Tensor:
                if self.training:
                    batches.append(images.clone())
                return super().forward(images)

        net = Recording(cifar_training.CifarNetConfig(init="scaled"))
        monkeypatch.setattr(cifar_training, "_network", lambda net=net: net)
        cifar_training.prepare_epoch(replace(cifar_training.OURS, workers=workers), folder, 1)()
    ours, usual = (torch.cat(batches) for batches in fed.values())
    assert ours.shape == usual.shape == (COUNT, 3, 32, 32)

    def in_order(batch: torch.Tensor) -> torch.Tensor:
        """The images by an exact hash of their grey levels, since each way shuffles as it likes."""
        grey = ((batch * cifar_training.STD + cifar_training.MEAN) * 255).round().long().flatten(1)
        return batch[(grey * torch.arange(1, grey.shape[1] + 1)).sum(1).argsort()]

    torch.testing.assert_close(in_order(ours), in_order(usual), rtol=0, atol=1e-5)


def test_rounds_alternate_and_the_first_is_not_counted() -> None:
    order: list[str] = []

    def asked(name: str, rate: float) -> Any:
        def ask() -> float:
            order.append(name)
            return rate + len(order)

        return ask

    rates = turns.take_turns({"a": asked("a", 100), "b": asked("b", 200)}, rounds=2)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert rates == {"a": [104, 105], "b": [203, 206]}


def test_ratios_are_medians_within_a_round() -> None:
    assert turns.median_ratio({"a": [2.0, 9.0, 8.0], "b": [1.0, 3.0, 2.0]}, "a", "b") == 3.0


# --- lrn.py -------------------------------------------------------------------------------------


def test_the_normalizations_that_are_compared_are_equal() -> None:
    x = 50 * torch.randn(2, 12, 5, 5)
    torch.testing.assert_close(lrn.ours(x), lrn.pytorchs(x))
    gradients = [lrn.both_ways(norm, x)()[0] for norm in (lrn.ours, lrn.pytorchs)]
    torch.testing.assert_close(*gradients)
    assert lrn.pytorchs(x.bfloat16()).dtype == torch.bfloat16
    maps = 50 * torch.randn(1, 96, 5, 5)
    norms = [lrn.network(name).stages["conv1"].lrn for name in ("ours", "torch.nn")]
    torch.testing.assert_close(norms[0](maps), norms[1](maps))


# --- augment.py ---------------------------------------------------------------------------------

PHOTOS = torch.randint(0, 256, (60, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
SAME = PHOTOS[:1].expand(60, -1, -1, -1)


def test_the_ways_of_augmenting_draw_for_each_image_or_once() -> None:
    """All give shifted crops in float32; torchvision on a whole batch has one draw for all of it."""
    colors = ColorPCA.fit(PHOTOS)
    torch.manual_seed(2)
    different = {}
    for name, variant in augment.VARIANTS.items():
        crops = variant.make(8, colors)(SAME)
        assert crops.shape == (60, 3, 8, 8)
        assert crops.dtype == torch.float32
        patterns = crops - crops[:, :, :1, :1]  # without the shift that all pixels of a crop share
        different[name] = len(patterns.round().unique(dim=0))
    assert different.pop("batch") == 1
    assert all(patterns > 25 for patterns in different.values()), different  # of 25 places in 2 directions


def test_the_colour_shifts_that_are_compared_have_one_distribution() -> None:
    """The same α give the same shift, to float32."""
    colors = ColorPCA.fit(PHOTOS)
    way = augment.torchvisions(12, colors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment.torch, "randn", lambda *_: torch.tensor([1.0, -2.0, 0.5]))
        shift = way(torch.zeros(3, 12, 12, dtype=torch.uint8))[:, 0, 0]
    alpha = augment.STD * torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    expected = colors.eigenvectors @ (alpha * colors.strengths())
    torch.testing.assert_close(shift.double(), expected, rtol=1e-5, atol=1e-5)


# --- preparing ImageNet ---------------------------------------------------------------------


def test_both_ways_prepare_the_same_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop resizes before it crops, ours after; but for the edges of that they agree."""
    monkeypatch.delenv("ALEXNET_EDU_REAL_IMAGES", raising=False)
    source = tmp_path / "in"
    assert imagenet_prepare.photographs(source, 3) == "3 generated photographs"
    (tmp_path / "out").mkdir()
    imagenet_prepare.plain(source, tmp_path / "out")
    for path in sorted(source.rglob("*.JPEG")):
        with Image.open(tmp_path / "out" / path.name) as image:
            theirs = np.asarray(image, dtype=np.float64)
        ours = np.asarray(
            imagenet_prepare.central_square(imagenet_prepare.decode(path.read_bytes()).pixels, 256)
        )
        assert np.abs(ours - theirs).mean() < 3
    for way in (imagenet_prepare.ours, imagenet_prepare.ours_without_sums):
        way(source, tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 3, "they clear away what they wrote"


# --- the full training ----------------------------------------------------------------------------


def test_all_readers_of_images_give_crops_of_the_same_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: Ranks
) -> None:
    monkeypatch.setattr(imagenet_feed, "IMAGES", 16)
    monkeypatch.setattr(imagenet_feed, "BATCH", 4)
    monkeypatch.delenv("ALEXNET_EDU_REAL_IMAGES", raising=False)
    assert "generated" in imagenet_feed.sources(tmp_path / "source")
    imagenet_feed.prepare(
        tmp_path / "source", tmp_path / "prepared", workers=1, progress=False, say=lambda line: None
    )
    imagenet_feed.write_files256(tmp_path)
    for name in ("usual_crop", "usual_resized", "usual_prepared"):
        root = tmp_path / ("files256" if name == "usual_prepared" else "source/train")
        image, label = imagenet_feed.Usual(root, imagenet_feed.usual_steps(name))[5]
        assert image.shape == (3, 224, 224)
        assert 0 <= label < 8
    for name in ("decode", "ours"):
        assert imagenet_feed.measure(name, str(tmp_path), 1)() > 0
    assert set(sum(imagenet_feed.RATIOS.values(), ())) <= set(imagenet_feed.VARIANTS)
    for seconds in ranks.run(imagenet_feed.columns, str(tmp_path), 1, 4, 1):
        assert len(seconds) == 4
        assert all(second > 0 for measured in seconds.values() for second in measured)


def test_the_step_that_is_timed_is_the_one_that_trains() -> None:
    flop = imagenet_step.flop_per_image(imagenet_step.Recipe())
    assert flop == 2 * (3 * 724_406_816 - 105_415_200)  # conv1 needs no gradient of the image
    timed = imagenet_step.Step(2, "float32", torch.device("cpu"), None)
    before = [p.detach().clone() for p in timed.group.network.parameters()]
    found = timed.timed(rounds=1)
    assert found.step == pytest.approx(found.views + found.passes + found.update)
    assert any(not torch.equal(a, b) for a, b in zip(before, timed.group.network.parameters(), strict=True))
    assert imagenet_step.matrix_units(torch.float32, torch.device("cpu"), 1) > 1e8


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_kill_reaches_the_children_of_children() -> None:
    sleep = "import time; time.sleep(60)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}]); {sleep}"
    process = kill_and_resume.start([sys.executable, "-c", code])
    found = kill_and_resume.descendants(process.pid)
    while len(found) < 2:
        found = kill_and_resume.descendants(process.pid)
    kill_and_resume.kill(process)
    deadline = time.monotonic() + 30
    while any(_lives(pid) for pid in found) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(_lives(pid) for pid in found)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_runs_that_differ_in_a_bit_are_told_apart(tmp_path: Path) -> None:
    from alexnet_edu.imagenet import checkpoint as checkpoints

    state = {"step": 1, "evaluations": [], "recipe": {}}
    weights = torch.ones(3)
    for name in ("a", "b", "c"):
        changed = weights.nextafter(weights + 1) if name == "c" else weights
        checkpoints.save(checkpoints.path_of(tmp_path / name, 1), {"model.w": changed}, state)
        checkpoints.make_best(tmp_path / name, 1)
    assert kill_and_resume.difference(tmp_path / "a", tmp_path / "b") == 0
    assert kill_and_resume.difference(tmp_path / "a", tmp_path / "c") > 0


def test_no_damaged_file_is_read_as_something_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["damage.py", "--files", "140"])
    damage.main()
    figures = dict(
        line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("figure")
    )
    assert figures["wrong"] == "0"
    assert int(figures["refused"]) + int(figures["read_right"]) == 140


# --- every script that compares -----------------------------------------------------------------

SMALL = {
    cifar_training: ["--rounds", "1", "--images", "130", "--threads", "1"],
    augment: ["--rounds", "1", "--batch", "4", "--threads", "1", "--sizes", "32"],
    imagenet_prepare: ["--rounds", "1", "--images", "4"],
    neighbours: ["--images", "300", "--dimensions", "64", "--bits", "32", "--rounds", "1", "--threads", "1"],
}


@pytest.mark.parametrize("script", SMALL, ids=lambda script: script.__name__)
def test_a_script_ends_with_its_ratios(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ALEXNET_EDU_REAL_IMAGES", raising=False)
    monkeypatch.setattr(script, "Child", InProcess, raising=False)
    monkeypatch.setattr(script, "keep_freed_memory", lambda: None, raising=False)
    monkeypatch.setattr(script, "MEASURED_SECONDS", 0.0, raising=False)
    script.main(SMALL[script])
    ratios = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("ratio ")]
    assert len({name for _, name, _ in ratios}) == len(ratios) >= 4
    assert all(float(value) > 0 for *_, value in ratios)


def test_neighbours_that_do_not_agree_are_not_timed() -> None:
    generator = torch.Generator().manual_seed(0)
    gallery, queries = (torch.randn(n, 64, generator=generator) for n in (200, 5))
    found = {name: search() for name, search in neighbours.variants(gallery, queries, 32).items()}
    neighbours.check_that_they_agree(found, gallery, queries, 32)
    with pytest.raises(SystemExit, match="faiss flat and ours find other neighbours"):
        neighbours.check_that_they_agree(found | {"faiss flat": found["ours"] + 1}, gallery, queries, 32)
    with pytest.raises(SystemExit, match="not equally near"):
        neighbours.check_that_they_agree(
            found | {"codes, faiss": (found["codes, faiss"] + 1) % 200}, gallery, queries, 32
        )
