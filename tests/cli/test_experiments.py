"""`alexnet-edu experiment NAME`: what is trained, where its record goes, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alexnet_edu import cli
from alexnet_edu.data import cifar10
from alexnet_edu.data.images import Images, ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.files import read_json
from alexnet_edu.studies import ensembles, figure1, specialization, study
from alexnet_edu.studies.record import load, write
from alexnet_edu.two_gpus import check
from tests.studies import samples

PUBLISHED = Path(__file__).resolve().parents[2] / "data" / "results"
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "variants"),
    [
        ("figure1 --condition modern --activation relu", ["modern relu"]),
        ("figure1", ()),
        ("pooling --variant z2", ["z2"]),
    ],
)
def test_what_was_asked_is_trained_and_the_stand_in_stays_apart(
    words: str, variants: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    name, calls = words.split()[0], list[dict[str, Any]]()
    made = replace(load(name, PUBLISHED), provenance={"data": {"synthetic": True, "source": "the stand-in"}})
    for module in (figure1, study):
        monkeypatch.setattr(module, "train", lambda *_, **options: calls.append(options))
        monkeypatch.setattr(module, "assemble", lambda *_: made)
    assert cli.main(["experiment", *words.split(), "--scale", "quick", "--jobs", "2"]) == 0
    assert (calls[0]["variants"], calls[0]["workers"]) == (variants, 2)
    assert not (folder / "results").exists()
    (written,) = (folder / "runs").glob("*-synthetic*.json")
    assert read_json(written)["experiment"] == name
    assert str(written) in capsys.readouterr().out


def test_results_in_small(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    tiny = ensembles.Plan(
        networks=2, epochs=1, problems=1, few=4, source_epochs=1, few_epochs=1, plain=1, starred=1
    )
    monkeypatch.setattr(ensembles, "Plan", lambda: tiny)
    monkeypatch.setattr(cifar10, "load_cifar10", lambda scale: synthetic_images(200, 60))
    assert cli.main(["experiment", "results", "--assemble"]) == 2
    assert "problem0-plain-search" in capsys.readouterr().err
    assert cli.main(["experiment", "results", "--jobs", "1"]) == 0
    assert "8 runs of 7 variants" in capsys.readouterr().out
    assert cli.main(["experiment", "results", "--assemble", "--output", str(folder / "own.json")]) == 0
    assert not (folder / "results" / "results.json").exists()
    assert read_json(folder / "own.json")["provenance"]["data"]["synthetic"]


def test_two_columns_are_recorded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = read_json(PUBLISHED / "two-columns.json")
    monkeypatch.setattr(check, "record", lambda batch, rounds: published | {"settings": {"batch": batch}})
    assert cli.main(["experiment", "two-columns", "--batch", "4", "--rounds", "1"]) == 0
    assert read_json(folder / "results" / "two-columns.json") == published | {"settings": {"batch": 4}}


# --- specialization -----------------------------------------------------------------------------------


@pytest.fixture
def small_study(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two conditions of two seeds, on generated images."""
    every = {c.name: c for c in samples.conditions()}
    monkeypatch.setattr(specialization, "conditions", lambda: every)

    def real(images: Images) -> Images:
        return Images(images.pixels, images.labels, images.classes, "photographs")

    def load_images(name: str) -> ImageSet:
        assert name == "cifar10"
        return ImageSet(real(samples.IMAGES.train), real(samples.IMAGES.test))

    monkeypatch.setattr(cifar10, "load_images", load_images)
    return every


def seeds_of(path: Path) -> dict[str, list[int]]:
    runs = load("specialization", path.parent).runs
    return {str(name): list(seeds) for name, seeds in runs.groupby("variant")["seed"]}


@pytest.mark.usefixtures("small_study")
def test_kernels_are_published_with_their_record(folder: Path, capsys: Capture) -> None:
    command = ["experiment", "specialization", "--jobs", "1"]
    published, kernels = (
        folder / "results" / "specialization.json",
        folder / "weights" / "specialization.safetensors",
    )
    assert cli.main([*command, "--condition", "joint"]) == 0
    assert seeds_of(published) == {"joint": [1, 2]}  # nothing was there before
    assert cli.main(command) == 0
    assert seeds_of(published) == {"paper": [1, 2], "joint": [1, 2]}
    assert specialization.load_kernels(kernels).keys() == {"paper", "joint"}
    for path in (folder / "runs" / "specialization").glob("s-paper-*"):
        path.unlink()
    assert cli.main([*command, "--condition", "joint"]) == 0
    assert seeds_of(published) == {"paper": [1, 2], "joint": [1, 2]}
    assert specialization.load_kernels(kernels).keys() == {"paper", "joint"}
    before = kernels.read_bytes()
    assert cli.main([*command, "--assemble"]) == 0
    assert "is left as it is: it holds more, paper (2 runs)." in capsys.readouterr().out
    assert kernels.read_bytes() == before
    assert seeds_of(folder / "runs" / "specialization.json") == {"joint": [1, 2]}
    own = specialization.load_kernels(folder / "runs" / "specialization" / "specialization.safetensors")
    assert own.keys() == {"joint"}


# --- all of them ------------------------------------------------------------------------------


def test_all_are_recorded_once_and_a_second_call_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """With the studies replaced by ones that copy what is published."""
    asked: list[tuple[str, Any]] = []
    for name, command in list(cli.COMMANDS.items()):
        if (study := name.removeprefix("experiment ")) != name and study != "--all":

            def run(options: Any, study: str = study) -> None:
                asked.append((study, options.jobs))
                write(load(study, PUBLISHED), options.output)

            monkeypatch.setitem(cli.COMMANDS, name, replace(command, run=run))
    monkeypatch.setattr("alexnet_edu.studies.record.results_dir", lambda: PUBLISHED)
    monkeypatch.setattr("alexnet_edu.studies.stale.changed", lambda record: "")
    words = ["experiment", "--all", "--jobs", "3", "--output", str(tmp_path / "new")]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    published = sorted(path.stem for path in PUBLISHED.glob("*.json"))
    assert sorted(asked) == [(name, 3) for name in published]
    assert said.count("not recorded") == len(published)
    assert "left\n" in said
    assert f"{len(published)} of {len(published)} studies" in said
    asked.clear()
    assert cli.main(words) == 0
    assert asked == []
    assert "Nothing to do" in capsys.readouterr().out


def test_all_goes_into_a_folder(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").touch()
    assert cli.main(["experiment", "--all", "--output", str(tmp_path / "file")]) == 2
    assert "is a file; name a folder" in capsys.readouterr().err
