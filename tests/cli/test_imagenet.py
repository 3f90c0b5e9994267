"""`alexnet-edu train` and `evaluate` on a small prepared folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.distributed.run import get_args_parser

from alexnet_edu.cli import _Parser, add_options, main
from alexnet_edu.cli.commands import DIVERGED, Place
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet.recipe import Recipe, Running
from tests import prepared
from tests.needs import needs_compiler

SMALL = ["--narrow", "16", "--batch-size", "16", "--epochs", "1", "--rate", "0.003", "--precision", "float32"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(prepared.small(tmp_path_factory.mktemp("prepared"), val=7))


@pytest.fixture(scope="module")
def trained(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    command = ["train", "--data", data, "--folder", str(folder), *SMALL, "--rehearsal-steps", "1"]
    assert main(command) == 0
    return folder


def _options() -> set[str]:
    parser = _Parser()
    for kind in (Place, Recipe, Running):
        add_options(parser, kind)
    return {name for action in parser._actions for name in action.option_strings if name.startswith("--")}


def test_torchrun_can_read_past_every_option() -> None:
    """torchrun refuses an option that begins like two of its own, even behind the script."""
    theirs = {o for action in get_args_parser()._actions for o in action.option_strings}
    for option in _options() - {"--help"}:
        alike = [other for other in theirs if other.startswith(option) and other != option]
        assert len(alike) < 2, (option, alike)


def test_train_rehearses_trains_and_judges(trained: Path) -> None:
    kinds = [row["kind"] for row in run_log.read(trained / run_log.METRICS)]
    assert kinds[:2] == ["rehearsal", "start"]
    assert kinds[-2:] == ["final", "stop"]
    assert checkpoints.saved_steps(trained) == [3]
    assert not (trained / "rehearsal").exists()


@pytest.mark.slow
@needs_compiler
def test_compiled_norms_train_to_the_same_weights(data: str, trained: Path, tmp_path: Path) -> None:
    command = ["train", "--data", data, "--folder", str(tmp_path), *SMALL, "--rehearsal-steps", "0"]
    assert main([*command, "--compile", "norms"]) == 0
    found, expected = (
        checkpoints.load(checkpoints.path_of(folder, 3)).part("model") for folder in (tmp_path, trained)
    )
    assert found.keys() == expected.keys() != set()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_second_run_into_the_same_folder_needs_the_word_resume(
    data: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--data", data, "--folder", str(trained), *SMALL, "--rehearsal-steps", "0"]
    assert main(command) == 2
    assert "--resume auto goes on with it" in capsys.readouterr().err
    assert main([*command, "--resume", "auto"]) == 0
    assert "goes on at step 3 of 3" in capsys.readouterr().out


def test_evaluate_says_one_line_and_writes_the_contests(
    data: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best, contest = str(trained / checkpoints.BEST), tmp_path / "answers.txt"
    command = ["evaluate", best, best, "--data", data, "--weights", "2,1", "--contest", str(contest)]
    assert main([*command, "--precision", "float32"]) == 0
    assert "2 networks averaged, 10 patches: top-1 error" in capsys.readouterr().out
    lines = contest.read_text().splitlines()
    assert len(lines) == 7
    assert all(len(set(line.split())) == 5 and set(line.split()) <= set("123456") for line in lines)


def test_fine_tuning_begins_with_given_weights(
    data: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--data", data, "--folder", str(tmp_path), *SMALL, "--rehearsal-steps", "0"]
    best = str(trained / checkpoints.BEST)
    assert main([*command, "--variant", "conv6", "--start-from", best]) == 0
    assert "drawn anew: conv6" in capsys.readouterr().out
    found, _ = checkpoints.newest(tmp_path)
    assert found is not None
    assert len(found.state["recipe"]["start"]) == 64


@pytest.mark.parametrize(
    ("command", "quoted"),
    [
        ("train --folder FOLDER --variant vgg", "'vgg'"),
        ("train --folder FOLDER --rate -1", "got -1"),
        ("train --folder FOLDER --device toaster", "'toaster'"),
        ("train --folder FOLDER --parallel columns", "torchrun --nproc-per-node 2"),
        ("train --folder FOLDER --start-from nowhere", "nowhere"),
        ("evaluate BEST --weights 1,x", "'1,x'"),
        ("evaluate BEST --weights 1,2", "2 numbers for 1 checkpoints"),
        ("evaluate BEST --contest no/such/folder/x", "cannot be written"),
    ],
)
def test_bad_input_is_one_line(
    data: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, quoted: str
) -> None:
    places = {"FOLDER": str(tmp_path), "BEST": str(trained / checkpoints.BEST)}
    words = [places.get(word, word) for word in command.split()]
    assert main([*words, "--data", data]) == 2
    error = capsys.readouterr().err
    assert quoted in error
    assert error.count("\n") == 1


def test_divergence_has_an_exit_status_of_its_own(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--data", data, "--folder", str(tmp_path), *SMALL, "--rehearsal-steps", "0"]
    assert main([*command, "--rate", "1e6"]) == DIVERGED
    assert "try --rate" in capsys.readouterr().err
