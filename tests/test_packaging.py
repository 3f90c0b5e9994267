"""What stands in several places agrees: pyproject, conda environment, workflow, licence."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
CONDA: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
REQUIREMENTS: list[str] = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]


def name_of(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_conda_takes_all_but_python_from_pyproject() -> None:
    python, pip, by_pip = CONDA["dependencies"]
    assert python.removeprefix("python").split(",")[0] == PROJECT["requires-python"]
    assert (pip, by_pip) == ("pip", {"pip": ["-e .[dev]"]})


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_requirement_has_a_lower_bound_and_no_upper_one(requirement: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", requirement), requirement


def imported_packages(folder: Path) -> set[str]:
    """Top-level names that the Python files of a folder import."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize(("folder", "extra"), [("alexnet_edu", False), ("tools", True), ("tests", True)])
def test_what_is_imported_is_required(folder: str, extra: bool) -> None:
    required = {name_of(r) for r in (REQUIREMENTS if extra else PROJECT["dependencies"])}
    scripts = {path.stem for name in ("tools", "benchmarks") for path in (ROOT / name).glob("*.py")}
    ours = {"alexnet_edu", "conftest", "tests"} | scripts
    brought = {"jupyter_core", "jupyter_client", "ipython", "traitlets"}  # by JupyterLab and ipywidgets
    others = {
        name
        for name in imported_packages(ROOT / folder)
        if name not in sys.stdlib_module_names and name.lower() not in ours | brought
    }
    named = {"faiss": "faiss-cpu", "pil": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
    missing = {n for n in others if named.get(n.lower(), n.lower().replace("_", "-")) not in required}
    assert missing == set()


def test_the_workflow_tries_every_system_and_the_ends_of_the_range() -> None:
    jobs = WORKFLOW["jobs"]
    oldest = PROJECT["requires-python"].removeprefix(">=")
    for job in ("make", "windows"):
        assert jobs[job]["strategy"]["matrix"]["python"] == [oldest, "3.13"]
    systems = {*jobs["make"]["strategy"]["matrix"]["os"], jobs["windows"]["runs-on"]}
    assert systems == {"ubuntu-latest", "macos-latest", "windows-latest"}
    steps = " ".join(step.get("run", "") for step in jobs["oldest"]["steps"])
    assert "--resolution lowest-direct" in steps


def test_every_room_is_packed() -> None:
    packages = {path.parent.relative_to(ROOT) for path in (ROOT / "alexnet_edu").rglob("__init__.py")}
    listed = SETUPTOOLS["packages"]
    assert sorted(listed) == sorted({".".join(p.parts) for p in packages} | {"alexnet_edu.recorded"})


def test_no_photograph_and_no_archive_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    kinds = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".zip", ".tar", ".gz", ".npz", ".pkl")
    drawn = {"docs/figure1.png", "docs/scoreboard.png"}  # by tools/figures.py, from recorded numbers
    found = [name for name in listed.stdout.splitlines() if name.lower().endswith(kinds)]
    assert sorted(set(found) - drawn) == []
