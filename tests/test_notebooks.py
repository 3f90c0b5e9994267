"""Every notebook is in step with its text, executed from top to bottom, and clean."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

import notebooks as tool

PAIRS = tool.find_pairs()

TEXT = """# %% [markdown]
# # A title
#
# One sentence.

# %%
print("first")

# %% tags=["nbval-ignore-output"]
print("second")

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.show()
"""


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_notebook_is_as_it_should_be(pair: tool.Pair) -> None:
    assert tool.problems(pair) == []


@pytest.mark.parametrize("name", [p.name for p in PAIRS if "/" not in p.name])
def test_every_notebook_with_exercises_has_solutions(name: str) -> None:
    cells = tool.read_source(tool.Pair(name).source).cells
    if any("check(" in cell.source for cell in cells if cell.cell_type == "code"):
        assert tool.Pair(f"solutions/{name}_solutions") in PAIRS


SHOWN = [pair for pair in PAIRS if "show(*" in pair.source.read_text(encoding="utf-8")]


@pytest.mark.parametrize("pair", SHOWN, ids=lambda pair: pair.name)
def test_every_saved_picture_has_an_alternative_text(pair: tool.Pair) -> None:
    outputs = [o for c in tool.read_notebook(pair.notebook).cells for o in c.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    for output in pictures:
        assert output.metadata["image/png"]["alt"] == output.data["text/plain"]


@pytest.mark.parametrize("pair", [p for p in PAIRS if "solutions/" in p.name], ids=lambda pair: pair.name)
def test_every_solution_is_judged_right(pair: tool.Pair) -> None:
    # nbval compares these outputs with what the cells give; here they are held to be "right".
    checks = [c for c in tool.read_notebook(pair.notebook).cells if "\ncheck(" in f"\n{c.source}"]
    assert len(checks) >= 3
    for cell in checks:
        texts = [o.get("data", {}).get("text/plain", "") for o in cell.outputs]
        assert any(": right." in text for text in texts), cell.source


# --- the tool itself ------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path: Path) -> tool.Pair:
    """A pair of four cells, not executed."""
    made = tool.Pair("07_sample", tmp_path)
    made.source.parent.mkdir()
    made.source.write_text(TEXT, encoding="utf-8")
    tool.sync(made)
    return made


def pretend_executed(pair: tool.Pair) -> NotebookNode:
    """Gives every code cell a count and an output, the last one a picture."""
    notebook = tool.read_notebook(pair.notebook)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"output {count}\n")]
    code[-1].outputs = [nbformat.v4.new_output("display_data", data={"image/png": "AA==", "text/plain": "x"})]
    nbformat.write(notebook, pair.notebook)
    return notebook


def edit(pair: tool.Pair, old: str, new: str) -> None:
    text = pair.source.read_text(encoding="utf-8")
    assert old in text
    pair.source.write_text(text.replace(old, new), encoding="utf-8")


def test_sync_writes_cells_tags_and_magics(pair: tool.Pair) -> None:
    notebook = tool.read_notebook(pair.notebook)
    assert [c.cell_type for c in notebook.cells] == ["markdown", "code", "code", "code"]
    assert notebook.cells[0].source == "# A title\n\nOne sentence."
    assert notebook.cells[2].metadata == {"tags": ["nbval-ignore-output"]}
    assert notebook.cells[3].source.startswith("%matplotlib inline\n")
    assert notebook.metadata == {"kernelspec": tool.KERNELSPEC}


def test_sync_is_idempotent_and_reproducible(pair: tool.Pair, tmp_path: Path) -> None:
    first = pair.notebook.read_bytes()
    assert tool.sync(pair) is False
    pair.notebook.unlink()
    assert tool.sync(pair) is True
    assert pair.notebook.read_bytes() == first


@pytest.mark.parametrize(
    ("old", "new"),
    [('print("second")', 'print("another")'), ('# %% tags=["nbval-ignore-output"]', "# %%")],
)
def test_sync_keeps_outputs_of_unchanged_cells_only(pair: tool.Pair, old: str, new: str) -> None:
    pretend_executed(pair)
    edit(pair, old, new)
    assert any("differs from its text" in line for line in tool.problems(pair))
    assert tool.sync(pair) is True
    cells = tool.read_notebook(pair.notebook).cells
    assert cells[1].outputs[0].text == "output 1\n"
    assert cells[2].outputs == []
    assert cells[2].execution_count is None
    assert "image/png" in cells[3].outputs[0].data


def test_sync_refuses_to_lose_an_edit_made_in_jupyterlab(pair: tool.Pair) -> None:
    notebook = tool.read_notebook(pair.notebook)
    notebook.cells[1].source = 'print("written in Lab")'  # Lab keeps the id of an edited cell
    nbformat.write(notebook, pair.notebook)
    with pytest.raises(tool.NotebookError, match=r"was edited in Jupyter \(cell 1\).*pull 07_sample"):
        tool.sync(pair)
    assert tool.sync(pair, force=True) is True
    assert tool.read_notebook(pair.notebook).cells[1].source == 'print("first")'


def test_pull_takes_an_edit_into_the_text(pair: tool.Pair) -> None:
    notebook = tool.read_notebook(pair.notebook)
    notebook.cells[1].source = 'print("written in Lab")'
    nbformat.write(notebook, pair.notebook)
    assert tool.pull(pair) is True
    assert tool.read_source(pair.source).cells[1].source == 'print("written in Lab")'
    assert "jupytext" not in pair.source.read_text(encoding="utf-8")
    tool.sync(pair)
    assert [line for line in tool.problems(pair) if "differs" in line] == []


def fail(cell: NotebookNode) -> None:
    cell.outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda n: n.cells[1].update(execution_count=5), r"counts are \[5, 2, 3\], expected 1 to 3"),
        (lambda n: n.cells[2].update(execution_count=None), r"counts are \[1, None, 3\]"),
        (lambda n: fail(n.cells[1]), r"In \[1\] failed: ValueError: no"),
        (lambda n: n.cells[3].update(outputs=[]), "no output holds a picture"),
        (lambda n: n.cells[1].update(source="print('other')"), "cell 1 differs from its text"),
        (lambda n: n.cells.append(nbformat.v4.new_markdown_cell("more")), "5 cells, but the text has 4"),
        (lambda n: n.metadata.update(jupytext={"formats": "ipynb,py"}), "expected the kernelspec alone"),
        (lambda n: n.cells[1].metadata.update(execution={"a": "2012"}), r"cell 1 .* \['execution'\]"),
        (lambda n: n.cells[1].metadata.update(tags=["nbval-ignore"]), "nbval-ignore.*nbval does not know"),
        (lambda n: n.cells[1].outputs[0].update(text=f"{tool.ROOT}/notebooks: x"), "names a path"),
        (lambda n: n.cells[1].update(source="print(torch.rand(2))"), r"hangs on torch\.rand without a seed"),
    ],
)
def test_check_finds(pair: tool.Pair, damage: Callable[[NotebookNode], object], message: str) -> None:
    notebook = pretend_executed(pair)
    assert tool.problems(pair) == []
    damage(notebook)
    nbformat.write(notebook, pair.notebook)
    assert re.search(message, "\n".join(tool.problems(pair)))


@pytest.mark.slow
def test_execute_saves_outputs_that_are_in_order(pair: tool.Pair) -> None:
    edit(pair, 'print("first")', 'import os\nprint("scale", os.environ["ALEXNET_EDU_SCALE"])')
    tool.execute(pair, "quick", limit=120)
    assert tool.problems(pair) == []
    cells = tool.read_notebook(pair.notebook).cells
    assert cells[1].outputs[0].text == "scale quick\n"
    assert set(cells[3].outputs[0].data) == {"image/png", "text/plain"}


@pytest.mark.slow
def test_no_setting_of_a_user_reaches_a_notebook(pair: tool.Pair, tmp_path: Path) -> None:
    user = tmp_path / "user"
    (user / "profile_default" / "startup").mkdir(parents=True)
    (user / "matplotlibrc").write_text("figure.dpi: 150\n")
    for path in (user / "start.py", user / "profile_default" / "startup" / "start.py"):
        path.write_text("raise SystemExit('a start-up file of the user')")
    settings = {name: str(user) for name in ("MPLCONFIGDIR", "IPYTHONDIR", "MATPLOTLIBRC")}
    settings |= {"PYTHONSTARTUP": str(user / "start.py"), "COLUMNS": "20", "PYTHONWARNINGS": "default"}
    settings |= {"MPLBACKEND": "svg", "ALEXNET_EDU_RESULTS": str(user)}
    edit(
        pair,
        'print("first")',
        "import shutil, sys, matplotlib\nfrom alexnet_edu.environment import results_dir\n"
        "print(matplotlib.rcParams['figure.dpi'], shutil.get_terminal_size().columns, sys.warnoptions)\n"
        "print(results_dir().name)",
    )
    tool.execute(pair, "quick", limit=120)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest", "--nbval"]
    command += [str(pair.notebook), "--rootdir", str(tool.ROOT), "-c", str(tool.ROOT / "pyproject.toml")]
    done = subprocess.run(command, cwd=tool.ROOT, env=os.environ | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "limit", "quoted"),
    [("1 / 0", 120, "07_sample"), ("import time\ntime.sleep(600)", 5, "5 s")],
)
def test_execute_leaves_the_file_when_a_cell_fails_or_hangs(
    pair: tool.Pair, code: str, limit: int, quoted: str
) -> None:
    edit(pair, 'print("first")', code)
    tool.sync(pair)
    before = pair.notebook.read_bytes()
    with pytest.raises(tool.NotebookError, match=quoted):
        tool.execute(pair, "quick", limit=limit)
    assert pair.notebook.read_bytes() == before


def test_the_command_line_reports_and_fails(
    pair: tool.Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "choose_pairs", lambda names: [pair])
    assert tool.main(["sync"]) == 0
    assert capsys.readouterr().out == "07_sample: unchanged\n"
    assert tool.main(["check"]) == 1
    assert "execution counts" in capsys.readouterr().out
    pretend_executed(pair)
    assert tool.main(["check"]) == 0
    shutil.rmtree(pair.source.parent)
    assert tool.main(["sync"]) == 1
    assert "has no text" in capsys.readouterr().err


def test_a_saved_widget_is_its_picture_and_a_saved_bar_is_nothing() -> None:
    def shown(**data: str) -> NotebookNode:
        return nbformat.v4.new_output("display_data", {tool.WIDGET_VIEW: {}, **data})

    cell = nbformat.v4.new_code_cell("explorer()", metadata={"collapsed": True})
    picture, bar = shown(**{"image/png": "aGk=", "text/plain": "a curve"}), shown(**{"text/plain": "0 of 5"})
    cell.outputs = [bar, picture, nbformat.v4.new_output("stream", text="done")]
    (cleaned,) = tool.clean_notebook([cell]).cells
    assert [o.output_type for o in cleaned.outputs] == ["display_data", "stream"]
    assert set(cleaned.outputs[0].data) == {"image/png", "text/plain"}
    assert cleaned.metadata == {}
