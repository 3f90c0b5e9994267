"""`alexnet-edu weights` and `experiment specialization`: what they say, write and leave alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu import cli
from alexnet_edu.data import cifar10 as data
from alexnet_edu.data.images import ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.files import read_json
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies import networks as weights
from alexnet_edu.studies import shipped, specialization
from alexnet_edu.studies.networks import SHIPPED, load_weights
from alexnet_edu.studies.shipped import kernel_run
from tests import kernels_sample

TINY = kernel_run("stand-in", kernel_net(kernels=8, side=16), rate=0.02, epochs=2)
IMAGES = synthetic_images(300, 60, size=16)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As these networks are trained: for so small ones several threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders of this test's own, and a stand-in that is learned in a second."""
    for name in ("DATA", "RUNS", "RESULTS", "WEIGHTS"):
        monkeypatch.setenv(f"ALEXNET_EDU_{name}", str(tmp_path / name.lower()))
    monkeypatch.setitem(shipped.RECIPES, "stand-in", TINY)
    monkeypatch.setattr(shipped, "stand_in", lambda: IMAGES)
    monkeypatch.setattr(shipped, "SEEDS", (1, 2))
    return tmp_path


# --- weights ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["weights", "--help"], ["weights", "train", "--help"], ["experiment", "specialization", "-h"]],
)
def test_help(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(arguments)
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert "usage: alexnet-edu" in text
    if "train" in arguments:
        assert all(name in text for name in SHIPPED)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "stand-in", "--jobs", "0"], "must be at least 1, got 0"),
        (["train", "stand-in", "--jobs", "-1"], "must be at least 1, got -1"),
        (["train", "stand-in", "--seed", "-3"], "whole number from 0 to 2**63 - 1, got '-3'"),
        (["train", "stand-in", "--seed", "one"], "got 'one'"),
        (["train"], "the following arguments are required: NAME"),
        ([], "required: COMMAND"),
    ],
)
def test_numbers_that_are_none_and_missing_words_are_told(
    arguments: list[str], said: str, capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(["weights", *arguments])
    assert leaving.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resnet"], "no network 'resnet' is shipped; choose from cifar10, stand-in"),
        (["stand-in", "--device", "abacus"], "the device 'abacus' cannot be used here"),
        (["stand-in", "--ship", "--seed", "3"], "leave --seed away"),
        (["stand-in"], "`alexnet-edu weights train stand-in --ship` makes it anew"),
        (["cifar10", "--ship"], "cifar10"),
    ],
)
def test_what_cannot_be_trained_is_told_before_anything_runs(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(shipped, "train_seeds", lambda *_, **__: pytest.fail("it was trained"))
    assert cli.main(["weights", "train", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_list_tells_what_is_there_and_how_to_get_the_rest(capsys: Capture) -> None:
    assert cli.main(["weights", "list"]) == 1
    text = capsys.readouterr().out
    for name in SHIPPED:
        assert f"`alexnet-edu weights train {name} --ship` makes it anew" in text
    assert cli.main(["weights", "train", "stand-in", "--ship"]) == 0
    capsys.readouterr()
    assert cli.main(["weights", "list"]) == 1
    text = capsys.readouterr().out
    assert load_weights("stand-in").text() in text
    assert "no weights at" in text
    weights.weights_path("cifar10").write_bytes(weights.weights_path("stand-in").read_bytes())
    assert cli.main(["weights", "list"]) == 0
    assert "no weights at" not in capsys.readouterr().out


def test_a_network_is_trained_shipped_and_trained_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert cli.main(["weights", "train", "stand-in", "--ship", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "stand-in, seed 2: test error" in out
    assert out.splitlines()[-1].startswith(f"{folder / 'weights' / 'stand-in.safetensors'}: 0.")
    facts = load_weights("stand-in").facts
    assert facts["seeds"] == [1, 2]

    assert cli.main(["weights", "train", "stand-in"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("stand-in, seed 1:")
    assert out.endswith(": as stated\n")
    assert cli.main(["weights", "train", "stand-in", "--seed", "0"]) in (0, 1)
    assert capsys.readouterr().out.startswith("stand-in, seed 0:")  # and not the first of the recipe

    monkeypatch.setattr(shipped.Trained, "test_error", 0.0)
    assert cli.main(["weights", "train", "stand-in"]) == 1
    assert capsys.readouterr().out.endswith(": NOT as stated\n")


def test_other_images_are_told(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert cli.main(["weights", "train", "stand-in", "--ship"]) == 0
    assert "not those of" not in capsys.readouterr().out
    other = synthetic_images(300, 60, seed=1, size=16)
    monkeypatch.setattr(shipped, "stand_in", lambda: other)
    assert cli.main(["weights", "train", "stand-in"]) in (0, 1)
    assert "The images are not those of" in capsys.readouterr().out


# --- experiment specialization ------------------------------------------------------------


@pytest.fixture
def small_study(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two conditions of two seeds, on generated images."""
    every = {c.name: c for c in kernels_sample.conditions(seeds=2)}
    monkeypatch.setattr(specialization, "conditions", lambda: every)

    images = kernels_sample.IMAGES

    def load(name: str) -> ImageSet:
        assert name == "cifar10"
        real = (replace(part, synthetic=False) for part in (images.train, images.test))
        return ImageSet(*real)

    monkeypatch.setattr(data, "load_images", load)
    return every


def seeds_of(folder: Path, name: str = "specialization") -> dict[str, list[int]]:
    tables = read_json(folder / f"{name}.json")["tables"]["runs"]
    return {v: [s for w, s in zip(tables["variant"], tables["seed"], strict=True) if v == w]
            for v in dict.fromkeys(tables["variant"])}  # fmt: skip


@pytest.mark.usefixtures("small_study")
def test_a_study_never_takes_the_place_of_more(folder: Path, capsys: Capture) -> None:
    command = ["experiment", "specialization", "--jobs", "1"]
    published, kernels = (
        folder / "results" / "specialization.json",
        folder / "weights" / "specialization.safetensors",
    )
    assert cli.main([*command, "--condition", "joint"]) == 0
    assert seeds_of(published.parent) == {"joint": [1, 2]}  # nothing was there before
    assert cli.main(command) == 0
    assert seeds_of(published.parent) == {"paper": [1, 2], "joint": [1, 2]}
    assert specialization.load_kernels(kernels).keys() == {"paper", "joint"}
    assert f"4 networks under 2 conditions: {published}, {kernels}" in capsys.readouterr().out

    before = kernels.read_bytes()
    for path in (folder / "runs" / "specialization").glob("s-paper-*"):
        path.unlink()
    assert cli.main([*command, "--condition", "joint"]) == 0
    assert "is left as it is: it holds more, paper (2 runs)." in capsys.readouterr().out
    assert seeds_of(published.parent).keys() == {"paper", "joint"}
    assert kernels.read_bytes() == before
    assert seeds_of(folder / "runs", "specialization-specialization") == {"joint": [1, 2]}
    own = specialization.load_kernels(folder / "runs" / "specialization" / "specialization.safetensors")
    assert own.keys() == {"joint"}


@pytest.mark.usefixtures("small_study")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--condition", "gpu"], "there is no condition 'gpu'; choose from joint, paper"),
        (["--device", "abacus"], "the device 'abacus' cannot be used here"),
        (["--assemble"], "no network of the study is finished"),
    ],
)
def test_what_the_study_cannot_do_is_told(arguments: list[str], said: str, capsys: Capture) -> None:
    assert cli.main(["experiment", "specialization", *arguments]) == 2
    assert said in capsys.readouterr().err
