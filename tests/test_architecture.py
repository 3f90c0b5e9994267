"""Who may import whom: `docs/architecture.md` says it, the code is held to it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "alexnet_edu"
PICTURE = ROOT / "docs" / "architecture.md"
ANYTHING = "anything"

Arrows = dict[str, set[str]]


def arrows_of_source(text: str, modules: set[str]) -> set[str]:
    """The modules of the package that a source imports, wherever the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            base = f"alexnet_edu.{base}".rstrip(".") if node.level else base
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        inside = [name.split(".")[1] for name in names if name.startswith("alexnet_edu.")]
        found |= {name for name in inside if name in modules}
    return found


def arrows_of_package() -> Arrows:
    """module -> the modules of the package that it imports."""
    files = {path.stem: path for path in PACKAGE.glob("*.py")}
    return {
        name: arrows_of_source(path.read_text(encoding="utf-8"), set(files)) - {name}
        for name, path in files.items()
    }


def arrows_of_picture(text: str) -> Arrows:
    """The arrows in the block ```arrows of a document: `module -> a, b`, `-> nothing`, `-> anything`."""
    block = re.search(r"^```arrows\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert block is not None, "docs/architecture.md has no block ```arrows"
    arrows: Arrows = {}
    for line in block.group(1).splitlines():
        left, arrow, right = line.partition("->")
        assert arrow, f"not an arrow: {line!r}"
        targets = {word.strip() for word in right.split(",")}
        for name in left.split(","):
            assert name.strip() not in arrows, f"{name.strip()} stands twice in the picture"
            arrows[name.strip()] = targets - {"nothing"}
    return arrows


REAL = arrows_of_package()
DRAWN = arrows_of_picture(PICTURE.read_text(encoding="utf-8"))


def forbidden(real: Arrows, drawn: Arrows) -> list[str]:
    """Arrows in the code that the picture does not have."""
    return [
        f"{name} -> {target}"
        for name, targets in sorted(real.items())
        for target in sorted(targets)
        if ANYTHING not in drawn.get(name, set()) and target not in drawn.get(name, set())
    ]


def test_every_module_is_in_the_picture_and_the_reverse() -> None:
    assert sorted(DRAWN) == sorted(REAL)


def test_no_arrow_that_the_picture_does_not_have() -> None:
    assert forbidden(REAL, DRAWN) == []


def test_the_table_of_rooms_is_complete() -> None:
    rooms = set(re.findall(r"^\| `(\w+)` \|", PICTURE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert sorted(rooms | {"__init__"}) == sorted(REAL)


def test_the_picture_has_no_arrow_that_the_code_does_not_have() -> None:
    drawn = {name: targets - {ANYTHING} for name, targets in DRAWN.items()}
    assert forbidden(drawn, REAL) == []


def test_no_cycle() -> None:
    try:
        TopologicalSorter(REAL).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import alexnet_edu.train", {"train"}),
        ("from alexnet_edu import images, __version__", {"images"}),
        ("from alexnet_edu.images import Images", {"images"}),
        ("from .images import Images", {"images"}),
        ("from . import train", {"train"}),
        ("def f():\n    from alexnet_edu import train", {"train"}),
        ("import torch\nimport alexnet_edu_other.train", set()),
    ],
)
def test_finds_imports_in_every_form(source: str, expected: set[str]) -> None:
    assert arrows_of_source(source, {"train", "images"}) == expected


def test_a_forbidden_arrow_is_found() -> None:
    assert forbidden({"train": {"images"}}, {"train": set()}) == ["train -> images"]
    assert forbidden({"cli": {"images"}}, {"cli": {ANYTHING}}) == []


def test_train_knows_no_model_and_no_data() -> None:
    assert REAL["train"] == {"schedules", "sgd"}
    assert REAL["schedules"] == REAL["sgd"] == set()


def test_only_widgets_imports_ipywidgets() -> None:
    users = [
        path.stem
        for path in PACKAGE.glob("*.py")
        if re.search(r"^\s*(import|from) ipywidgets", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert users == ["widgets"]


NO_NOTEBOOK = """
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
    importlib.import_module(f"alexnet_edu.{name}")
print("imported", len(sys.argv) - 1)
"""


def test_training_needs_neither_jupyter_nor_matplotlib() -> None:
    """A GPU server has torch and little else; training and recording must work there."""
    modules = ["train", "cifar_net", "experiments", "figure1", "images", "data", "cli", "doctor"]
    done = subprocess.run(
        [sys.executable, "-c", NO_NOTEBOOK, *modules], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"imported {len(modules)}"
