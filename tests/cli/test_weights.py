"""`alexnet-edu weights`: what it says, writes and leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexnet_edu import cli
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.model.architecture import kernel_net
from alexnet_edu.studies import networks as weights
from alexnet_edu.studies import shipped
from alexnet_edu.studies.networks import SHIPPED, load_weights
from alexnet_edu.studies.shipped import kernel_run

TINY = kernel_run("stand-in", kernel_net(kernels=8, side=16), rate=0.02, epochs=2)
IMAGES = synthetic_images(300, 60, size=16)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _learned_in_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shipped.RECIPES, "stand-in", TINY)
    monkeypatch.setattr(shipped, "stand_in", lambda: IMAGES)
    monkeypatch.setattr(shipped, "SEEDS", (1, 2))


def test_the_list_has_what_is_there_and_how_to_get_the_rest(capsys: Capture) -> None:
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
    assert "stand-in-seed2: test error" in out
    assert out.splitlines()[-1].startswith(f"{folder / 'weights' / 'stand-in.safetensors'}: 0.")
    facts = load_weights("stand-in").facts
    assert facts["seeds"] == [1, 2]

    assert cli.main(["weights", "train", "stand-in"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("stand-in-seed1:")
    assert out.endswith(": as stated\n")
    assert "not those of" not in out
    assert cli.main(["weights", "train", "stand-in", "--seed", "0"]) in (0, 1)
    assert capsys.readouterr().out.startswith("stand-in-seed0:")  # and not the first of the recipe

    monkeypatch.setattr(shipped.Trained, "test_error", 0.0)
    assert cli.main(["weights", "train", "stand-in"]) == 1
    assert capsys.readouterr().out.endswith(": NOT as stated\n")

    other = synthetic_images(300, 60, seed=1, size=16)
    monkeypatch.setattr(shipped, "stand_in", lambda: other)
    assert cli.main(["weights", "train", "stand-in"]) == 1
    assert "The images are not those of" in capsys.readouterr().out
