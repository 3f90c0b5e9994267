"""The command `alexnet-edu`: what it answers, its exit status, and that errors are one line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu import cli, doctor
from alexnet_edu.cli import add_options, option
from alexnet_edu.data import cifar10
from alexnet_edu.files import DataError
from alexnet_edu.model.compiling import CannotCompile

ROOT = Path(__file__).resolve().parents[2]
Capture = pytest.CaptureFixture[str]
cli._parser()  # the commands are registered
NAMES = sorted(cli.COMMANDS)


def raising(error: BaseException) -> Any:
    def run(*args: object, **kwargs: object) -> None:
        raise error

    return run


# --- options ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """Anything may stand before.

    name: what it is. rate, decay: shares, 10% or so. many: may be repeated. fast: at once. size: of all;
        a second line.
    """

    name: str = option(place=True, metavar="NAME")
    folder: Path = option(flag="--to")
    rate: float = 0.5
    decay: float | None = None
    many: tuple[str, ...] = ()
    fast: bool = False
    size: str = option("s", choices=("s", "l"))
    bare: str | None = option(None, bare="all")
    kept: str = option("", hidden=True)


def parsed(*words: str) -> Example:
    parser = cli._Parser()
    add_options(parser, Example)
    return cli.made(Example, parser.parse_args(words))


def test_options_are_the_fields_of_a_dataclass() -> None:
    assert parsed("x", "--to", "here") == Example("x", Path("here"))
    words = "x --to here --rate 2 --decay 0.1 --many a --many b --fast --size l --bare"
    assert parsed(*words.split()) == Example("x", Path("here"), 2.0, 0.1, ("a", "b"), True, "l", "all")
    assert parsed("x", "--to", "here", "--bare", "norms").bare == "norms"


@pytest.mark.parametrize(
    "words", ["x", "--to here", "x --to y --rate fast", "x --to y --size m", "x --to y --kept z"]
)
def test_what_does_not_fit_is_a_usage_error(words: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as leaving:
        parsed(*words.split())
    assert leaving.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_command_shows_the_chosen_options_alone(capsys: Capture) -> None:
    parser = cli._Parser()
    add_options(parser, Example, ("rate", "fast"))
    text = " ".join(parser.format_help().split())
    assert "--rate N shares, 10% or so (default: 0.5)" in text
    assert "--decay" not in text


# --- the command --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main([*name.split(), "--help"])
    assert leaving.value.code == 0
    assert f"usage: alexnet-edu {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", ["", "dance", "data", "data import", "weights train", "data imagenet", "train"]
)
def test_usage_errors_exit_2(words: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(words.split())
    assert leaving.value.code == 2
    assert "usage: alexnet-edu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "quoted"),
    [
        ("data import no-such-folder", "no-such-folder"),
        ("data import . --size 3", "3"),
        ("data import . --size abc", "'abc'"),
        ("data import . --seed -1", "-1"),
        (f"data import . --seed {2**63}", str(2**63)),
        ("data imagenet --to x", "--from"),
        ("claims relu-7x", "relu-6x"),
        ("claims --section 99", "'99'"),
        ("experiment figure1 --condition 2013", "'2013'; choose from 2012"),
        ("experiment figure1 --activation gelu", "'gelu'"),
        ("experiment figure1 --device abacus --scale quick", "'abacus'"),
        ("experiment figure1 --jobs 0", "--jobs must be at least 1, got 0"),
        ("experiment figure1 --scale quick --assemble", "no whole variant"),
        ("experiment exchange --scale quick --assemble", "'exchange'"),
        ("experiment norms --variant group", "'group'; choose from batch, lrn, lrn-code"),
        ("experiment augmenting --batch 0", "--batch must be at least 1, got 0"),
        ("experiment retrieval --output .", "'.' is a folder"),
        ("experiment specialization --condition gpu", "'gpu'; choose from"),
        ("experiment specialization --device abacus", "'abacus'"),
        ("experiment specialization --assemble", "'cifar10'"),
        ("weights train stand-in --jobs 0", "--jobs must be at least 1, got 0"),
        ("weights train stand-in --seed -3", "--seed must be a whole number from 0 to 2**63 - 1, got -3"),
        ("weights train resnet", "'resnet' is shipped; choose from cifar10, stand-in"),
        ("weights train stand-in --device abacus", "'abacus'"),
        ("weights train stand-in --ship --seed 3", "--seed"),
        ("weights train stand-in", "`alexnet-edu weights train stand-in --ship`"),
        ("weights train cifar10 --ship", "cifar10"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(words: str, quoted: str, capsys: Capture) -> None:
    assert cli.main(words.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("alexnet-edu: ")
    assert error.count("\n") == 1
    assert quoted in error


@pytest.mark.parametrize(
    "error",
    [DataError("cut"), ValueError("cut"), CannotCompile(torch.device("cpu"), RuntimeError("no compiler"))],
)
def test_expected_errors_lose_their_traceback_unless_asked(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(cifar10, "status", raising(error))
    assert cli.main(["data", "status"]) == 2
    assert capsys.readouterr().err.startswith("alexnet-edu: ")
    with pytest.raises(type(error)):
        cli.main(["--debug", "data", "status"])


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "status", raising(KeyError("a bug")))
    with pytest.raises(KeyError, match="a bug"):
        cli.main(["data", "status"])


def test_interrupting_says_what_was_kept_and_exits_130(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(cifar10, "run_download", raising(KeyboardInterrupt()))
    assert cli.main(["data", "cifar10"]) == 130
    assert "No half-written pack is left" in capsys.readouterr().err


def test_a_reader_that_stops_early_is_no_error() -> None:
    command = [sys.executable, "-m", "alexnet_edu.cli", "claims"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert error == b""


# --- what the commands do -----------------------------------------------------------------------------


def test_claims_of_a_notebook_as_objects(capsys: Capture) -> None:
    assert cli.main(["claims", "--json", "--notebook", "01"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [claim["id"] for claim in found] == ["relu-6x", "relu-several", "relu-saturate"]


def test_doctor_exits_1_only_for_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    warning, failure = (doctor.Finding(level, "disk", "0.7 GB") for level in ("warn", "fail"))
    monkeypatch.setattr(doctor, "examine", lambda: iter([warning]))
    assert cli.main(["doctor"]) == 0
    monkeypatch.setattr(doctor, "examine", lambda: iter([warning, failure]))
    assert cli.main(["doctor"]) == 1
    assert "fail  disk      0.7 GB" in capsys.readouterr().out
