"""The command `alexnet-edu`: what it answers, its exit status, and that errors are one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alexnet_edu import cli, doctor
from alexnet_edu.data import cifar10 as data
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.files import DataError, read_json
from alexnet_edu.studies import ensembles, figure1, study
from alexnet_edu.studies.record import load
from alexnet_edu.two_gpus import check as column_trials

ROOT = Path(__file__).resolve().parent.parent
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder of this test's own."""
    monkeypatch.setenv("ALEXNET_EDU_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ALEXNET_EDU_RUNS", str(tmp_path / "data" / "runs"))
    monkeypatch.setenv("ALEXNET_EDU_RESULTS", str(tmp_path / "results"))
    return tmp_path


def test_help_is_fast_because_nothing_heavy_is_imported() -> None:
    code = "import sys; from alexnet_edu import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'numpy', 'matplotlib', 'ipywidgets') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_every_command(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(["--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    for command in ("doctor", "data", "experiment", "claims"):
        assert re.search(rf"^ +{command}( |$)", text, flags=re.MULTILINE)
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["data"], ["data", "import"], ["experiment", "figure1", "--jobs", "0"]]
)
def test_usage_errors_exit_2(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(arguments)
    assert leaving.value.code == 2
    assert "usage: alexnet-edu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "import", "no-such-folder"], "no-such-folder"),
        (["data", "import", ".", "--size", "3"], "--size must be 8 to 1024 pixels, got 3"),
        (["claims", "relu-7x"], "'relu-7x'"),
        (["claims", "--section", "99"], "'99'"),
        (["experiment", "figure1", "--condition", "2013"], "no condition '2013'; choose from 2012"),
        (["experiment", "figure1", "--activation", "gelu"], "no activation 'gelu'"),
        (["experiment", "figure1", "--device", "abacus"], "the device 'abacus' cannot be used here"),
        (
            ["experiment", "figure1", "--scale", "quick", "--assemble"],
            "no whole variant",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments: list[str], message: str, capsys: Capture) -> None:
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("alexnet-edu: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert "Traceback" not in captured.err


def raising(error: BaseException) -> Any:
    def run(*args: object, **kwargs: object) -> None:
        raise error

    return run


@pytest.mark.parametrize("kind", [DataError, ValueError])
def test_expected_errors_lose_their_traceback_unless_asked(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(data, "status", raising(kind("cut short")))
    assert cli.main(["data", "status"]) == 2
    assert capsys.readouterr().err == "alexnet-edu: cut short\n"
    with pytest.raises(kind):
        cli.main(["--debug", "data", "status"])


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "status", raising(KeyError("a bug")))
    with pytest.raises(KeyError, match="a bug"):
        cli.main(["data", "status"])


def test_interrupting_says_what_was_kept_and_exits_130(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(figure1, "train", raising(KeyboardInterrupt()))
    assert cli.main(["experiment", "figure1", "--scale", "quick"]) == 130
    assert "Every run is kept up to its last measurement" in capsys.readouterr().err


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


# --- what the commands do -------------------------------------------------------------


def test_data_status_names_the_folder(folder: Path, capsys: Capture) -> None:
    assert cli.main(["data", "status"]) == 0
    text = capsys.readouterr().out
    assert str(folder / "data") in text
    assert "No CIFAR-10" in text


def test_data_import_passes_its_options_on(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    seen: dict[str, Any] = {}

    def run_import(path: Path, **options: Any) -> str:
        seen.update(options, path=path)
        return "the report"

    monkeypatch.setattr(data, "run_import", run_import)
    assert cli.main(["data", "import", "photos.zip", "--size", "keep", "--seed", "7", "--force"]) == 0
    assert seen == {"path": Path("photos.zip"), "size": None, "force": True, "seed": 7}
    assert capsys.readouterr().out == "the report\n"


def test_claims_shows_the_table_of_a_section(capsys: Capture) -> None:
    assert cli.main(["claims", "--section", "3.1"]) == 0
    text = capsys.readouterr().out
    assert "relu-6x" in text
    assert "lrn" not in text


def test_claims_as_objects(capsys: Capture) -> None:
    assert cli.main(["claims", "--json", "--notebook", "01"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [claim["id"] for claim in found] == ["relu-6x", "relu-several", "relu-saturate"]
    assert {"verdict", "section", "claim", "paper", "log", "ours", "lesson"} <= set(found[0])


def test_one_claim_in_full(capsys: Capture) -> None:
    assert cli.main(["claims", "relu-6x"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "6 times faster to 25% training error" in text
    assert "verdict" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiment", "figure1", "--jobs", "two"], "must be a whole number, got 'two'"),
        (["experiment", "figure1", "--jobs", "0"], "must be at least 1, got 0"),
        (["data", "import", "x", "--size", "abc"], "must be a whole number, got 'abc'"),
        (["data", "import", "x", "--seed", "9" * 20], "from 0 to 2**63 - 1"),
    ],
)
def test_numbers_that_are_none_are_quoted(arguments: list[str], message: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        cli.main(arguments)
    assert message in capsys.readouterr().err


def test_an_output_that_is_a_folder_is_refused_before_anything_runs(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert cli.main(["experiment", "figure1", "--scale", "quick", "--output", str(tmp_path)]) == 2
    assert "is a folder; name a file in it" in capsys.readouterr().err


def test_doctor_exits_1_only_for_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    warning, failure = (
        doctor.Finding("warn", "disk", "0.7 GB"),
        doctor.Finding("fail", "torch", "not installed"),
    )
    monkeypatch.setattr(doctor, "examine", lambda: iter([warning]))
    assert cli.main(["doctor"]) == 0
    monkeypatch.setattr(doctor, "examine", lambda: iter([warning, failure]))
    assert cli.main(["doctor"]) == 1
    assert "fail  torch     not installed" in capsys.readouterr().out


# --- the studies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "variants"),
    [
        (["figure1", "--condition", "modern", "--activation", "relu"], ["modern relu"]),
        (["figure1"], ()),
        (["pooling", "--variant", "z2"], ["z2"]),
    ],
)
def test_a_study_runs_with_what_was_asked_and_the_stand_in_stays_apart(
    arguments: list[str],
    variants: Any,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    calls: list[dict[str, Any]] = []
    made = replace(load(arguments[0], ROOT / "data" / "results"), provenance={"data": {"synthetic": True}})
    for module in (figure1, study):
        monkeypatch.setattr(module, "train", lambda *_, **options: calls.append(options))
        monkeypatch.setattr(module, "assemble", lambda *_: made)
    assert cli.main(["experiment", *arguments, "--scale", "quick", "--jobs", "2"]) == 0
    assert (calls[0]["variants"], calls[0]["workers"]) == (variants, 2)
    assert not (folder / "results").exists()
    place = "figure1" if arguments[0] == "figure1" else "ablations"
    written = folder / "data" / "runs" / f"{place}-synthetic-{arguments[0]}.json"
    assert read_json(written)["experiment"] == arguments[0]
    assert str(written) in capsys.readouterr().out


def test_an_unknown_variant_is_told(capsys: Capture) -> None:
    assert cli.main(["experiment", "norms", "--variant", "group"]) == 2
    assert "no variant 'group'; choose from batch, lrn, lrn-code" in capsys.readouterr().err


def test_nothing_to_assemble_is_told(capsys: Capture) -> None:
    assert cli.main(["experiment", "exchange", "--scale", "quick", "--assemble"]) == 2
    assert "no whole variant of the study 'exchange'" in capsys.readouterr().err


def test_the_results_of_the_stand_in_never_enter_the_results(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    tiny = ensembles.Plan(
        networks=2, epochs=1, problems=1, few=4, source_epochs=1, few_epochs=1, plain=1, starred=1
    )
    monkeypatch.setattr(ensembles, "Plan", lambda: tiny)
    monkeypatch.setattr(data, "load_cifar10", lambda scale: synthetic_images(200, 60))
    assert cli.main(["experiment", "results", "--assemble"]) == 2
    assert "problem0-plain-search" in capsys.readouterr().err
    assert cli.main(["experiment", "results", "--jobs", "1"]) == 0
    assert "8 runs of 7 variants" in capsys.readouterr().out
    assert cli.main(["experiment", "results", "--assemble", "--output", str(folder / "own.json")]) == 0
    published = folder / "results" / "results.json"
    assert not published.exists()
    assert read_json(folder / "own.json")["provenance"]["data"]["synthetic"]
    assert cli.main(["experiment", "results", "--output", str(folder)]) == 2


def test_two_columns_are_recorded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_trials, "record", lambda batch, rounds: {"batch": batch, "rounds": rounds})
    assert cli.main(["experiment", "two-columns", "--batch", "4", "--rounds", "1"]) == 0
    written = json.loads((folder / "results" / "two-columns.json").read_text())
    assert written == {"batch": 4, "rounds": 1}
