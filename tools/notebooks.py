"""Keeps `notebooks/*.ipynb` and their text pairs together, and executes them.

    python tools/notebooks.py sync              text -> notebooks; outputs of unchanged cells stay
    python tools/notebooks.py pull 01           notebook -> text, after editing in JupyterLab
    python tools/notebooks.py execute 01        top to bottom in a fresh kernel, outputs saved
    python tools/notebooks.py check             what the tests demand of every pair

The text in `notebooks/src` (percent format) is the source of truth. The pairing lives
here and not in a `jupytext.toml`: JupyterLab refuses to open a notebook that was edited
elsewhere when it finds one, which would be a trap for students.

The id of a cell is a digest of its text. So it changes only with the text, and a cell
whose id does not fit was edited in JupyterLab: `sync` then stops instead of losing it.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
NBVAL_TAGS = {"nbval-ignore-output", "nbval-check-output", "nbval-skip", "nbval-raises-exception"}
NOT_EXECUTED = {"nbval-skip", "skip-execution"}
SCALES = ("quick", "laptop", "gpu", "paper")
TIME_LIMIT = 7200  # seconds for one notebook, whatever happens inside

CellKey = tuple[str, str, tuple[str, ...]]  # type, source, tags


class NotebookError(Exception):
    """A pair cannot be synchronised or executed; the message says what to do."""


@dataclass(frozen=True)
class Pair:
    """One notebook and its text. name: `01_relu_vs_tanh`, `solutions/01_relu_vs_tanh`."""

    name: str
    folder: Path = NOTEBOOKS

    @property
    def notebook(self) -> Path:
        return self.folder / f"{self.name}.ipynb"

    @property
    def source(self) -> Path:
        return self.folder / "src" / f"{self.name}.py"


def find_pairs(folder: Path = NOTEBOOKS) -> list[Pair]:
    """Every notebook and every text below `folder`, in the order of their names."""
    sources = {p.relative_to(folder / "src").with_suffix("") for p in (folder / "src").rglob("*.py")}
    notebooks = {p.relative_to(folder).with_suffix("") for p in folder.rglob("*.ipynb")}
    visible = {p for p in sources | notebooks if ".ipynb_checkpoints" not in p.parts}
    return [Pair(p.as_posix(), folder) for p in sorted(visible)]


def choose_pairs(names: Sequence[str], folder: Path = NOTEBOOKS) -> list[Pair]:
    """The pairs that `names` mean: a full name or its beginning ("01", "solutions/01").

    No names mean all pairs. Raises NotebookError for a name that fits nothing.
    """
    pairs = find_pairs(folder)
    if not names:
        return pairs
    chosen: list[Pair] = []
    for name in names:
        stem = name.removeprefix("notebooks/").removeprefix("src/").removesuffix(".ipynb").removesuffix(".py")
        found = [p for p in pairs if p.name == stem] or [p for p in pairs if p.name.startswith(stem)]
        if not found:
            have = ", ".join(p.name for p in pairs) or "none yet"
            raise NotebookError(f"There is no notebook {name!r}. There are: {have}.")
        chosen += [p for p in found if p not in chosen]
    return chosen


# --- text and cells -------------------------------------------------------------------


def read_source(path: Path) -> NotebookNode:
    """The notebook that a text in percent format describes, without outputs."""
    parsed = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    return clean_notebook([_without_outputs(cell) for cell in parsed.cells])


def read_notebook(path: Path) -> NotebookNode:
    """A saved notebook, as nbformat 4."""
    return nbformat.read(path, as_version=4)


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Writes the file so that it is either whole or as before."""
    nbformat.validate(notebook)
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")
    partial.replace(path)


def clean_notebook(cells: Sequence[NotebookNode]) -> NotebookNode:
    """A notebook of these cells with stable ids and with nothing that varies by machine."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": dict(KERNELSPEC)}, cells=list(cells))
    for cell, name in zip(notebook.cells, cell_ids(cells), strict=True):
        tags = cell.metadata.get("tags")
        cell.id = name
        cell.metadata = nbformat.from_dict({"tags": list(tags)} if tags else {})
        if cell.get("outputs"):
            cell.outputs = [output for output in cell.outputs if not _dead_widget(output)]
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return notebook


def _dead_widget(output: NotebookNode) -> bool:
    """Whether an output is a widget without a picture, such as a progress bar.

    The model behind a saved view died with its kernel: only its picture is of use, and the
    text of a bar is that of its beginning.
    """
    data = output.get("data", {})
    return WIDGET_VIEW in data and not any(kind.startswith(("image/", "text/html")) for kind in data)


def cell_ids(cells: Iterable[NotebookNode]) -> list[str]:
    """For each cell 12 hex digits of its type and text, numbered where a text repeats."""
    seen: dict[str, int] = {}
    names = []
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        names.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return names


def cell_key(cell: NotebookNode) -> CellKey:
    """What must be equal in both halves of a pair."""
    return cell.cell_type, cell.source, tuple(cell.metadata.get("tags", ()))


def _without_outputs(cell: NotebookNode) -> NotebookNode:
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    return cell


# --- sync and pull --------------------------------------------------------------------


def sync(pair: Pair, *, force: bool = False) -> bool:
    """Brings the notebook to its text; True if the file changed.

    A cell whose text and tags are the same keeps its outputs. Raises NotebookError where
    there is no text, or where the notebook was edited in JupyterLab and not `force`.
    """
    if not pair.source.exists():
        raise NotebookError(
            f"{pair.notebook} has no text. Run `python tools/notebooks.py pull {pair.name}` to make it, "
            "or delete the notebook."
        )
    wanted = read_source(pair.source)
    if not pair.notebook.exists():
        write_notebook(wanted, pair.notebook)
        return True
    present = read_notebook(pair.notebook)
    if edited := [] if force else edited_cells(present, wanted):
        raise NotebookError(
            f"{pair.notebook} was edited in Jupyter (cell {edited[0]}). Run `python tools/notebooks.py pull "
            f"{pair.name}` to take the edit into the text, or `sync --force {pair.name}` to drop it."
        )
    keep_outputs(present.cells, wanted.cells)
    before = pair.notebook.read_text(encoding="utf-8")
    if before == nbformat.writes(wanted) + "\n":
        return False
    write_notebook(wanted, pair.notebook)
    return True


def edited_cells(present: NotebookNode, wanted: NotebookNode) -> list[int]:
    """Numbers of the cells that are not in `wanted` and that this tool did not write."""
    known = {cell_key(cell)[:2] for cell in wanted.cells}
    return [
        number
        for number, (cell, name) in enumerate(zip(present.cells, cell_ids(present.cells), strict=True))
        if cell.source.strip() and cell.get("id") != name and cell_key(cell)[:2] not in known
    ]


def keep_outputs(old: Sequence[NotebookNode], new: Sequence[NotebookNode]) -> None:
    """Moves outputs and execution counts from `old` to the cells of `new` that are the same."""
    matcher = difflib.SequenceMatcher(
        None, [cell_key(c) for c in old], [cell_key(c) for c in new], autojunk=False
    )
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            source, target = old[block.a + offset], new[block.b + offset]
            if source.cell_type == "code":
                target.outputs, target.execution_count = source.outputs, source.execution_count


def pull(pair: Pair) -> bool:
    """Writes the text from the notebook, after an edit in JupyterLab; True if it changed."""
    if not pair.notebook.exists():
        raise NotebookError(f"There is no {pair.notebook} to take a text from.")
    notebook = clean_notebook(read_notebook(pair.notebook).cells)
    bare = nbformat.v4.new_notebook(cells=notebook.cells)
    text = jupytext.writes(bare, fmt={"extension": ".py", "format_name": "percent"}, config=None)
    body = _without_header(text)
    if pair.source.exists() and pair.source.read_text(encoding="utf-8") == body:
        return False
    pair.source.parent.mkdir(parents=True, exist_ok=True)
    pair.source.write_text(body, encoding="utf-8", newline="\n")
    return True


def _without_header(text: str) -> str:
    """`text` without jupytext's front matter: the format is named here, nowhere else."""
    lines = text.splitlines(keepends=True)
    if lines and lines[0].strip() == "# ---":
        end = next(i for i, line in enumerate(lines[1:], 1) if line.strip() == "# ---")
        lines = lines[end + 1 :]
    return "".join(lines).lstrip("\n")


# --- execution ------------------------------------------------------------------------


def execute(pair: Pair, scale: str, limit: float = TIME_LIMIT) -> float:
    """Runs the notebook in a process of its own, saves it, and returns the seconds it took.

    Raises NotebookError after `limit` seconds or when a cell fails; the file is then as
    it was. The process is there because a client that hangs cannot time itself out.
    """
    sync(pair)
    start = time.perf_counter()
    process = multiprocessing.get_context("spawn").Process(target=_execute_here, args=(pair, scale))
    process.start()
    try:
        process.join(limit)
        if process.is_alive():
            raise NotebookError(f"{pair.name} was stopped after {limit:.0f} s; the file is as it was.")
    finally:
        if process.is_alive():
            process.terminate()
            process.join(10)
            process.kill()
    if process.exitcode != 0:
        raise NotebookError(f"{pair.name} failed at scale {scale} (see above); the file is as it was.")
    return time.perf_counter() - start


def _execute_here(pair: Pair, scale: str) -> None:
    from nbclient.exceptions import CellExecutionError

    try:
        notebook = run_cells(read_notebook(pair.notebook), pair.notebook.parent, scale)
    except CellExecutionError as error:
        print(re.sub(r"\x1b\[[0-9;]*m", "", str(error)), file=sys.stderr)  # without colours
        raise SystemExit(1) from None
    write_notebook(notebook, pair.notebook)


def run_cells(notebook: NotebookNode, folder: Path, scale: str) -> NotebookNode:
    """Executes every cell in a fresh kernel of this Python; returns the cleaned notebook.

    Neither kernels that the user has installed nor the user's settings take part.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    for cell in notebook.cells:
        _without_outputs(cell)
    own = KernelSpecManager(kernel_dirs=[])  # leaves the kernel of this very interpreter
    with tempfile.TemporaryDirectory(prefix="ipython-", ignore_cleanup_errors=True) as profile:
        client = NotebookClient(
            notebook,
            km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=own),
            timeout=None,
            startup_timeout=120,
            extra_arguments=["--IPKernelApp.log_level=40"],  # errors only; it warns of its own socket
            record_timing=False,
            coalesce_streams=True,
            store_widget_state=False,
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(env=shielded({**os.environ, "ALEXNET_EDU_SCALE": scale}, Path(profile)))
    return clean_notebook(notebook.cells)


def shielded(environment: Mapping[str, str], empty: Path) -> dict[str, str]:
    """The environment for a kernel that shows the same whoever runs it.

    empty: a folder for an IPython profile and a matplotlibrc in place of the user's. A file that IPython
    starts with, warnings, and the width of the terminal are the user's own affair, too. The backend of
    figures is for the kernel to choose.
    """
    of_the_user = {"MPLBACKEND", "PYTHONSTARTUP", "PYTHONWARNINGS", "COLUMNS", "LINES"}
    (empty / "matplotlibrc").touch()
    kept = {name: value for name, value in environment.items() if name not in of_the_user}
    return kept | {"IPYTHONDIR": str(empty), "MATPLOTLIBRC": str(empty / "matplotlibrc")}


# --- check ----------------------------------------------------------------------------


def problems(pair: Pair) -> list[str]:
    """Everything that is wrong with a pair, one line each; empty if it is as it should be."""
    for path in (pair.source, pair.notebook):
        if not path.exists():
            return [f"{pair.name}: {path.relative_to(pair.folder)} is missing; run `make sync`"]
    notebook, wanted = read_notebook(pair.notebook), read_source(pair.source)
    found = [
        *_difference(notebook.cells, wanted.cells),
        *_metadata_problems(notebook),
        *_execution_problems(notebook),
        *_output_problems(notebook, needs_picture="/" not in pair.name),
        *_draw_problems(notebook),
    ]
    return [f"{pair.name}: {line}" for line in found]


def _difference(have: Sequence[NotebookNode], wanted: Sequence[NotebookNode]) -> Iterator[str]:
    for number, (a, b) in enumerate(zip(have, wanted, strict=False)):
        if cell_key(a) != cell_key(b):
            yield (
                f"cell {number} differs from its text ({_first_words(a)}, {_first_words(b)}); run `make sync`"
            )
            return
    if len(have) != len(wanted):
        yield f"{len(have)} cells, but the text has {len(wanted)}; run `make sync`"


def _first_words(cell: NotebookNode) -> str:
    return repr(f"{cell.cell_type} {sorted(cell.metadata.get('tags', ()))} {cell.source}"[:60])


def _metadata_problems(notebook: NotebookNode) -> Iterator[str]:
    if notebook.metadata != {"kernelspec": KERNELSPEC}:
        yield f"metadata is {dict(notebook.metadata)}, expected the kernelspec alone; run `make sync`"
    for number, cell in enumerate(notebook.cells):
        if set(cell.metadata) - {"tags"}:
            yield f"cell {number} has metadata {sorted(cell.metadata)}, expected tags alone; run `make sync`"
        if unknown := {t for t in cell.metadata.get("tags", ()) if t.startswith("nbval")} - NBVAL_TAGS:
            yield f"cell {number} has the tag {sorted(unknown)}, which nbval does not know"
    if [c.get("id") for c in notebook.cells] != cell_ids(notebook.cells):
        yield "the ids of the cells are not those that `make sync` gives"


def _execution_problems(notebook: NotebookNode) -> Iterator[str]:
    code = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    code = [c for c in code if not NOT_EXECUTED & set(c.metadata.get("tags", ()))]
    counts = [c.execution_count for c in code]
    if counts != list(range(1, len(code) + 1)):
        yield f"execution counts are {counts}, expected 1 to {len(code)}; run `make notebooks`"
    for cell in code:
        failed = [o for o in cell.outputs if o.output_type == "error"]
        if failed and not {"raises-exception", "nbval-raises-exception"} & set(cell.metadata.get("tags", ())):
            yield f"In [{cell.execution_count}] failed: {failed[0].ename}: {failed[0].evalue}"


def _output_problems(notebook: NotebookNode, *, needs_picture: bool) -> Iterator[str]:
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    if needs_picture and not any(
        kind.startswith("image/") or "data:image/" in str(value)
        for o in outputs
        for kind, value in o.get("data", {}).items()
    ):
        yield "no output holds a picture"
    if notebook.metadata.get("widgets"):
        yield "widget state is saved, which hides the pictures elsewhere; run `make sync`"
    machine = (str(ROOT), str(Path.home()), "ipykernel_")
    for output in outputs:
        text = str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
        if trace := [m for m in machine if m in text]:
            yield f"an output names a path of the machine ({trace[0]}): {text[:80]!r}"


def _draw_problems(notebook: NotebookNode) -> Iterator[str]:
    """A fresh kernel draws other numbers each time: what nbval compares may not hang on them."""
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", ()))
        if cell.cell_type != "code" or "nbval-ignore-output" in tags or not cell.get("outputs"):
            continue
        calls = [
            node for node in ast.walk(ast.parse(_without_magics(cell.source))) if isinstance(node, ast.Call)
        ]
        if any(ast.unparse(call.func) == "torch.manual_seed" for call in calls):
            continue
        for call in calls:
            drawn = re.fullmatch(r"torch\.(rand\w*|bernoulli|multinomial|normal)", ast.unparse(call.func))
            if drawn and "generator" not in {keyword.arg for keyword in call.keywords}:
                yield f"In [{cell.execution_count}] prints what hangs on {drawn[0]} without a seed"


def _without_magics(source: str) -> str:
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in source.splitlines())


# --- command line ---------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 if all went well, 1 otherwise."""
    options = _parser().parse_args(arguments)
    try:
        pairs = choose_pairs(options.names)
        if options.command == "check":
            lines = [line for pair in pairs for line in problems(pair)]
            print("\n".join(lines) or f"{len(pairs)} notebooks are as they should be.")
            return 1 if lines else 0
        for pair in pairs:
            print(_act(options, pair), flush=True)
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _act(options: Any, pair: Pair) -> str:
    if options.command == "execute":
        seconds = execute(pair, options.scale, options.limit)
        return f"{pair.name}: executed at scale {options.scale} in {seconds:.0f} s"
    changed = sync(pair, force=options.force) if options.command == "sync" else pull(pair)
    return f"{pair.name}: {'written' if changed else 'unchanged'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("sync", "pull", "execute", "check"):
        command = commands.add_parser(name)
        command.add_argument(
            "names", nargs="*", metavar="NAME", help="such as 01 or solutions/01; all if none"
        )
        if name == "sync":
            command.add_argument("--force", action="store_true", help="drop edits made in JupyterLab")
        if name == "execute":
            default = os.environ.get("ALEXNET_EDU_SCALE") or "laptop"
            command.add_argument("--scale", choices=SCALES, default=default)
            command.add_argument("--limit", type=float, default=TIME_LIMIT, help="seconds for one notebook")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
