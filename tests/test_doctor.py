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
PACKAGES: dict[str, str | None] = {"jupyterlab": "4.6.6", "ipywidgets": "8.1.9"}
PACKAGES |= {"jupyterlab_widgets": "3.0.17", "ipykernel": "7.4.0"}


@pytest.mark.parametrize(
    ("finding", "level", "words"),
    [
        (doctor.check_python((3, 10, 13), True), "fail", "3.10.13"),
        (doctor.check_python((3, 11, 0), True), "ok", "3.11.0"),
        (doctor.check_python((3, 14, 0), True), "warn", "3.14.0"),
        (doctor.check_python((3, 12, 3), False), "warn", "3.12.3"),
        (doctor.check_torch(GOOD, "2.15.0", "", ""), "ok", "which match"),
        (doctor.check_torch({**GOOD, "torch": "2.15.0+cpu"}, "2.15.0", "", ""), "ok", "which match"),
        (
            doctor.check_torch({**GOOD, "torch": "2.13.0+cpu"}, "2.15.0", "", ""),
            "fail",
            "for torch 2.15.0",
        ),
        (doctor.check_torch({**GOOD, "torch": None}, "2.15.0", "", ""), "fail", "not installed"),
        (doctor.check_torch({**GOOD, "torchvision": None}, None, "", ""), "warn", "no torchvision"),
        (doctor.check_torch(GOOD, "2.15.0", "OSError: libcudart", ""), "fail", "libcudart"),
        (doctor.check_torch(GOOD, "2.15.0", "", "operator torchvision::nms"), "fail", "torchvision::nms"),
        (doctor.check_threads(2, 2, 8), "ok", "2"),
        (doctor.check_threads(4, 8, 8), "ok", "4"),
        (doctor.check_threads(1, 2, 8), "ok", "1"),
        (doctor.check_threads(8, 2, 8), "warn", "8"),
        (doctor.check_threads(1, 8, 8), "warn", "1"),
        (doctor.check_disk(Path("data"), 50.0), "ok", "50.0 GB"),
        (doctor.check_disk(Path("data"), 0.5), "warn", "0.5 GB"),
        (doctor.check_disk(Path("data"), 0.05), "fail", "data"),
        (doctor.check_memory(None), "ok", ""),
        (doctor.check_memory(16.0), "ok", "16"),
        (doctor.check_memory(2.0), "warn", "2"),
        (doctor.check_widgets(PACKAGES, "5.0.16"), "ok", "JupyterLab"),
        (
            doctor.check_widgets({**PACKAGES, "ipywidgets": None}, "5.0.16"),
            "warn",
            "ipywidgets not",
        ),
        (doctor.check_widgets(PACKAGES, None), "warn", "no widget manager"),
        (doctor.check_widgets({**PACKAGES, "ipywidgets": "7.8.1"}, "5.0.16"), "warn", "ipywidgets 7.8.1"),
        (doctor.check_widgets(PACKAGES, "3.1.0"), "warn", "the manager 3.1.0"),
        (doctor.check_kernel("python", "/env/bin/python"), "ok", ""),
        (doctor.check_kernel("/env/bin/python", "/env/bin/python"), "ok", ""),
        (doctor.check_kernel("/conda/bin/python", "/env/bin/python"), "warn", "/conda/bin/python"),
        (doctor.check_scale(""), "ok", ""),
        (doctor.check_scale("quick"), "ok", "quick"),
        (doctor.check_scale("fast"), "fail", "'fast'"),
    ],
)
def test_findings_of_made_up_machines(finding: doctor.Finding, level: str, words: str) -> None:
    assert finding.level == level, finding
    assert words in finding.text
    assert level == "ok" or finding.advice


@pytest.mark.parametrize(("pack", "level"), [(None, "warn"), (b"half a pack", "fail")])
def test_cifar10_missing_or_damaged(pack: bytes | None, level: str, tmp_path: Path) -> None:
    if pack:
        (tmp_path / "packs").mkdir()
        (tmp_path / "packs" / "cifar10.safetensors").write_bytes(pack)
    status = data.DataStatus(tmp_path, "ALEXNET_EDU_DATA", 10**10, (), ("a pack is damaged",))
    cifar10, problem = doctor.check_data(status)
    assert (cifar10.level, problem.level, problem.text) == (level, "warn", "a pack is damaged")
    assert "alexnet-edu data cifar10" in cifar10.advice


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
