"""The doctor: each finding from made-up machines, then this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from alexnet_edu import doctor
from alexnet_edu.data import cifar10 as data

ROOT = Path(__file__).resolve().parent.parent
GOOD = {"torch": "2.15.0", "torchvision": "0.29.2"}
PACKAGES = {
    "jupyterlab": "4.6.6",
    "ipywidgets": "8.1.9",
    "jupyterlab_widgets": "3.0.17",
    "ipykernel": "7.4.0",
}


@pytest.mark.parametrize(
    ("version", "in_environment", "level"),
    [
        ((3, 10, 13), True, "fail"),
        ((3, 11, 0), True, "ok"),
        ((3, 13, 1), True, "ok"),
        ((3, 14, 0), True, "warn"),
        ((3, 12, 3), False, "warn"),
    ],
)
def test_python(version: tuple[int, int, int], in_environment: bool, level: str) -> None:
    finding = doctor.check_python(version, in_environment)
    assert finding.level == level
    assert (finding.advice == "") == (level == "ok")


@pytest.mark.parametrize(
    ("versions", "required", "errors", "level", "words"),
    [
        (GOOD, "2.15.0", ("", ""), "ok", "which match"),
        ({**GOOD, "torch": "2.15.0+cpu"}, "2.15.0", ("", ""), "ok", "which match"),
        ({**GOOD, "torch": "2.13.0+cpu"}, "2.15.0", ("", ""), "fail", "was built for torch 2.15.0"),
        ({**GOOD, "torch": None}, "2.15.0", ("", ""), "fail", "not installed"),
        ({**GOOD, "torchvision": None}, None, ("", ""), "warn", "no torchvision"),
        (GOOD, "2.15.0", ("OSError: libcudart", ""), "fail", "libcudart"),
        (GOOD, "2.15.0", ("", "RuntimeError: operator torchvision::nms"), "fail", "torchvision::nms"),
    ],
)
def test_torch(
    versions: dict[str, str | None], required: str | None, errors: tuple[str, str], level: str, words: str
) -> None:
    finding = doctor.check_torch(versions, required, *errors)
    assert finding.level == level
    assert words in finding.text
    assert (finding.advice == "") == (level == "ok")


@pytest.mark.parametrize(
    ("threads", "usable", "level"), [(2, 2, "ok"), (8, 2, "warn"), (1, 8, "warn"), (4, 8, "ok"), (1, 2, "ok")]
)
def test_threads(threads: int, usable: int, level: str) -> None:
    assert doctor.check_threads(threads, usable, 8).level == level


@pytest.mark.parametrize(("free", "level"), [(50.0, "ok"), (0.5, "warn"), (0.05, "fail")])
def test_disk(free: float, level: str) -> None:
    finding = doctor.check_disk(Path("data"), free)
    assert finding.level == level
    assert ("ALEXNET_EDU_DATA" in finding.advice) == (level != "ok")


@pytest.mark.parametrize(("gigabytes", "level"), [(None, "ok"), (16.0, "ok"), (2.0, "warn")])
def test_memory(gigabytes: float | None, level: str) -> None:
    assert doctor.check_memory(gigabytes).level == level


@pytest.mark.parametrize(
    ("versions", "manager", "level", "words"),
    [
        (PACKAGES, "5.0.16", "ok", "live in JupyterLab"),
        ({**PACKAGES, "ipywidgets": None}, "5.0.16", "warn", "ipywidgets not installed"),
        (PACKAGES, None, "warn", "no widget manager"),
        ({**PACKAGES, "ipywidgets": "7.8.1"}, "5.0.16", "warn", "ipywidgets 7.8.1"),
        (PACKAGES, "3.1.0", "warn", "the manager 3.1.0"),
    ],
)
def test_widgets(versions: dict[str, str | None], manager: str | None, level: str, words: str) -> None:
    finding = doctor.check_widgets(versions, manager)
    assert finding.level == level
    assert words in finding.text


def test_a_kernel_of_another_python_is_told() -> None:
    assert doctor.check_kernel("python", "/env/bin/python").level == "ok"
    assert doctor.check_kernel("/env/bin/python", "/env/bin/python").level == "ok"
    other = doctor.check_kernel("/opt/conda/bin/python", "/env/bin/python")
    assert other.level == "warn"
    assert "/opt/conda/bin/python" in other.text


@pytest.mark.parametrize(("word", "level"), [("", "ok"), ("quick", "ok"), ("fast", "fail")])
def test_scale(word: str, level: str) -> None:
    finding = doctor.check_scale(word)
    assert finding.level == level
    if level == "fail":
        assert "'fast'" in finding.text
        assert "quick, laptop, gpu, paper" in finding.advice


def test_data_without_cifar10_says_what_to_type(tmp_path: Path) -> None:
    found = data.DataStatus(tmp_path, "ALEXNET_EDU_DATA", 10**10, (), ("a pack is damaged",))
    missing, problem = doctor.check_data(found)
    assert missing.level == problem.level == "warn"
    assert "alexnet-edu data cifar10" in missing.advice
    assert problem.text == "a pack is damaged"


def test_a_damaged_cifar10_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "cifar10.safetensors").write_bytes(b"half a pack")
    found = data.DataStatus(tmp_path, "ALEXNET_EDU_DATA", 10**10, (), ("a pack is damaged",))
    damaged, problem = doctor.check_data(found)
    assert (damaged.level, problem.level) == ("fail", "warn")
    assert "experiments stop" in damaged.text


def test_worst() -> None:
    levels: tuple[doctor.Level, ...] = ("ok", "fail", "warn")
    findings = [doctor.Finding(level, "topic", "text") for level in levels]
    assert [doctor.worst(findings[:n]) for n in range(4)] == ["ok", "ok", "fail", "fail"]


def test_this_machine() -> None:
    findings = list(doctor.examine())
    topics = [f.topic for f in findings]
    expected = "Python torch device cores numbers memory disk data widgets scale"
    assert set(expected.split()) <= set(topics)
    assert [f for f in findings if f.level == "fail"] == []
    assert "quick, by ALEXNET_EDU_SCALE" in [f.text for f in findings if f.topic == "scale"]


def test_a_report_tells_no_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        doctor.check_disk(ROOT / "data", 50.0),
        doctor.check_kernel(sys.executable, str(Path.home() / "env" / "python")),
    ]
    text = doctor.report(found)
    assert str(ROOT) not in text
    assert str(Path.home()) not in text
    assert "50.0 GB free at data" in text
    monkeypatch.setattr(Path, "home", lambda: Path("/"))  # the slashes stay
    assert "a/b" in doctor.report([doctor.Finding("ok", "disk", "free at a/b")])


def test_speaks_where_torch_is_broken(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libtorch_cpu.so: cannot open')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    code += "from alexnet_edu import cli; sys.exit(cli.main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be imported: OSError: libtorch_cpu.so" in done.stdout
    assert "data      not looked at" in done.stdout
    assert "Traceback" not in done.stderr
