"""Imports go down: a room may use the rooms of lower floors only (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "alexnet_edu"
FLOORS = (
    {"paper", "environment", "files"},
    {"model", "data", "training"},
    {"two_gpus", "show"},
    {"imagenet"},
    {"studies"},
    {"ledger", "doctor"},
    {"lessons", "exercises"},
    {"cli", "notebook"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Libraries that belong to some rooms alone: training and recording work where they are missing.
AT_HOME = {
    "matplotlib": ("show/", "lessons/"),
    "ipywidgets": ("show/explorer.py", "lessons/"),
}
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports(source: str) -> list[str]:
    """The dotted names that a source imports, wherever the import stands; relative ones are refused."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports name the package, alexnet_edu"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def rooms_used(source: str) -> set[str]:
    """The rooms of the package that a source imports from."""
    return {name.split(".")[1] for name in imports(source) if name.startswith("alexnet_edu.")} - {
        "__version__"
    }


def room_of(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def test_every_name_at_the_top_has_a_floor() -> None:
    assert {room_of(file) for file in FILES} - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("file", [file for file in FILES if room_of(file) != "__init__"])
def test_imports_go_down(file: str) -> None:
    source = (PACKAGE / file).read_text(encoding="utf-8")
    own = room_of(file)
    assert [room for room in sorted(rooms_used(source) - {own}) if FLOOR[room] >= FLOOR[own]] == []


@pytest.mark.parametrize("file", FILES)
def test_drawing_stays_in_its_rooms(file: str) -> None:
    used = {name.split(".")[0] for name in imports((PACKAGE / file).read_text(encoding="utf-8"))}
    assert [lib for lib, homes in AT_HOME.items() if lib in used and not file.startswith(homes)] == []


def test_no_lesson_uses_another() -> None:
    for file in FILES:
        source = (PACKAGE / file).read_text(encoding="utf-8")
        if room_of(file) == "lessons":
            assert not [name for name in imports(source) if name.startswith("alexnet_edu.lessons.")], file


def test_training_knows_no_model_and_no_data() -> None:
    for file in FILES:
        if room_of(file) == "training":
            used = rooms_used((PACKAGE / file).read_text(encoding="utf-8"))
            assert used <= {"training", "files", "environment"}, file


BLOCKED = """
import sys

BLOCKED = {"ipywidgets", "jupyterlab", "jupyter_core", "jupyter_client", "notebook", "IPython",
           "ipykernel", "nbformat", "nbclient", "jupytext", "matplotlib"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Refuse())
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
print("imported", len(sys.argv) - 1)
"""


def test_training_needs_neither_jupyter_nor_matplotlib() -> None:
    """A GPU server has torch and little else; training and recording must work there."""
    above = ("show", "lessons", "exercises", "notebook", "__init__")
    modules = [
        "alexnet_edu." + f.removesuffix(".py").replace("/", ".") for f in FILES if room_of(f) not in above
    ]
    modules = [name.removesuffix(".__init__") for name in modules]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *modules], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"imported {len(modules)}"


@pytest.mark.parametrize(
    ("code", "late"),
    [
        ("import alexnet_edu", "torch pandas"),
        ("from alexnet_edu.cli import main; main(['--help'])", "torch pandas"),
        ("import alexnet_edu.notebook, alexnet_edu.lessons.neighbours", "torchvision torch._dynamo faiss"),
    ],
)
def test_the_door_opens_at_once(code: str, late: str) -> None:
    """What takes seconds to load is not loaded before it is needed."""
    heavy = f"import sys, atexit; atexit.register(lambda: print({set(late.split())} & set(sys.modules)));"
    done = subprocess.run([sys.executable, "-c", f"{heavy} {code}"], cwd=ROOT, capture_output=True, text=True)
    assert re.search(r"set\(\)\s*$", done.stdout), done.stdout + done.stderr
