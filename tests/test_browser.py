"""A reader in JupyterLab: opens a notebook, runs all cells, moves a slider, sees the picture change."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image

from notebooks import KERNELSPEC, shielded
from tests.explorers import EXPLORERS

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        if (found := shutil.which(name))
    ),
    None,
)
RUNBOOK = "further/06_runbook"  # nbval runs the others, without a browser
PAGE = "explorers"  # a notebook made here: the explorers of all lessons, a cell for each
RUN_LIMIT = 300  # seconds for all cells of one notebook, at scale quick
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
]

LAB_SETTINGS: dict[str, dict[str, Any]] = {
    # Every cell is in the page, not only those on the screen.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium or Chrome on the PATH"),
    # Playwright's own event loop and sockets are closed by its garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the Jupyter server did not answer:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notebooks without outputs in a folder of their own: what Lab saves leaves the checkout alone."""
    folder = tmp_path_factory.mktemp("lab") / "notebooks"
    (folder / "further").mkdir(parents=True)
    notebook = nbformat.read(ROOT / "notebooks" / f"{RUNBOOK}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / f"{RUNBOOK}.ipynb")
    first = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.explorers import of_networks, of_numbers"
    )
    cells = [f"{first}\nshown = of_numbers() | of_networks()\nlen(shown)"]
    cells += [f"shown[{name!r}]" for name in EXPLORERS]
    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNELSPEC})
    made.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(made, folder / f"{PAGE}.ipynb")
    return folder


@pytest.fixture(scope="module")
def server(copies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Jupyter server on this machine only, with none of the user's settings."""
    port, own = free_port(), tmp_path_factory.mktemp("jupyter")
    settings = {name: str(own / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    settings |= {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PATH": ""}
    for extension, values in LAB_SETTINGS.items():
        path = own / "settings" / f"{extension}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    command += [f"--ServerApp.root_dir={copies.parent}", "--allow-root"]
    command += [f"--LabApp.user_settings_dir={own / 'settings'}"]
    log = own / "server.log"
    environment = {
        **shielded(os.environ, own),
        **settings,
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_PATH": "",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/api", process, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


# The indicator says "idle" before there is a kernel at all, too.
KERNEL_IS_READY = """() => {
    const name = document.querySelector(".jp-Toolbar-kernelName");
    const idle = document.querySelector(".jp-Notebook-ExecutionIndicator[data-status=idle]");
    return idle !== null && name !== null && name.innerText.startsWith("Python 3");
}"""


@pytest.fixture
def lab(browser: Any, server: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A function that opens a notebook in JupyterLab and gives its page.

    Where ALEXNET_EDU_SCREENSHOTS names a folder, a picture of the page is left there.
    """
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)

    def open_notebook(name: str) -> Any:
        page.goto(f"{server}/lab/tree/notebooks/{name}.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        page.wait_for_function(KERNEL_IS_READY)
        return page

    yield open_notebook
    if folder := os.environ.get("ALEXNET_EDU_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder, f"{request.node.name}.png")))
    context.close()


def saved_cells(page: Any, path: Path) -> list[dict[str, Any]]:
    """The code cells that are not empty, as JupyterLab saves them now."""
    page.keyboard.press("Control+s")
    page.wait_for_timeout(500)
    while not (text := path.read_text(encoding="utf-8")).endswith("}\n"):  # it is being written
        page.wait_for_timeout(100)
    cells = json.loads(text)["cells"]
    return [c for c in cells if c["cell_type"] == "code" and "".join(c["source"]).strip()]


def run_all(page: Any, path: Path) -> list[dict[str, Any]]:
    """Run → Run All Cells; returns the code cells once each has run or one has failed."""
    page.click(".lm-MenuBar-itemLabel:text-is('Run')")
    page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
    deadline = time.monotonic() + RUN_LIMIT
    cells: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        page.wait_for_timeout(1000)
        cells = saved_cells(page, path)
        idle = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").count() > 0
        if idle and (all(c["execution_count"] for c in cells) or errors(cells)):
            return cells
    missing = sum(not c["execution_count"] for c in cells)
    pytest.fail(f"{missing} of {len(cells)} cells had not run after {RUN_LIMIT} s")


def errors(cells: list[dict[str, Any]]) -> list[str]:
    """What failed in cells that are not tagged to fail, one line for each."""
    return [
        f"In [{cell['execution_count']}] {output['ename']}: {output['evalue']}"
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "error" and "raises-exception" not in cell["metadata"].get("tags", ())
    ]


def press_the_buttons_of_a_dashboard(page: Any) -> None:
    """Start, a picture that changes by itself, Stop, Resume; whatever happens the training is stopped."""
    output = page.locator(".jp-OutputArea-output", has=page.locator("button", has_text="Start")).first
    picture = output.locator("img[alt]")

    def shows(words: str) -> int:
        """Waits until the picture says so; gives the step that it tells."""
        matched = re.compile(rf"{words}, step ([0-9,]+) of")
        deadline = time.monotonic() + RUN_LIMIT
        while (found := matched.search(picture.get_attribute("alt"))) is None:
            assert time.monotonic() < deadline, picture.get_attribute("alt")
            assert "finished" not in picture.get_attribute("alt")  # it must last longer than the clicks take
            page.wait_for_timeout(200)
        return int(found[1].replace(",", ""))

    def press(label: str) -> None:
        output.locator("button:enabled", has_text=label).click()

    output.scroll_into_view_if_needed()
    assert "not started" in picture.get_attribute("alt")
    press("Start")
    try:
        first = shows("running")
        while shows("running") <= first:
            page.wait_for_timeout(200)
        press("Stop")
        stopped = shows("stopped")
        assert stopped > first
        assert output.locator("button:enabled").all_inner_texts() == ["Resume"]
        press("Resume")
        while shows("running") <= stopped:
            page.wait_for_timeout(200)
    finally:
        if output.locator("button:enabled", has_text="Stop").count():
            press("Stop")
        shows("stopped")
    assert picture.evaluate("image => image.naturalWidth") > 0


IDLE = ("Patience", "Margin")  # of the rule of §5, which the explorer of schedules does not start with


def drive_every_widget(page: Any) -> int:
    """Every slider, list and box is moved in each output with a picture, which follows; how many outputs."""
    outputs = page.locator(".jp-OutputArea-output:has(img[alt]):has(.widget-slider, select, [type=checkbox])")
    for i in range(outputs.count()):
        output = outputs.nth(i)
        output.scroll_into_view_if_needed()
        picture = output.locator("img[alt]")
        for slider in output.locator(".widget-slider").all():
            if slider.locator(".widget-label").inner_text() in IDLE:
                continue
            handle, before = slider.locator(".noUi-handle"), picture.get_attribute("src")
            at_the_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
            handle.focus()
            page.keyboard.press("ArrowLeft" if at_the_end else "ArrowRight")
            changed(page, picture, before)
        for box in output.locator("[type=checkbox]").all():
            before = picture.get_attribute("src")
            box.click()
            changed(page, picture, before)
        for choose in output.locator("select").all():
            before = picture.get_attribute("src")
            chosen, count = choose.evaluate("list => [list.selectedIndex, list.length]")
            choose.select_option(index=(chosen + 1) % count)
            changed(page, picture, before)
        assert not output.locator("[role=alert]").count()
    return int(outputs.count())


def changed(page: Any, picture: Any, before: str) -> None:
    """Waits until the picture is another one, and drawn."""
    deadline = time.monotonic() + 60
    while picture.get_attribute("src") == before:
        assert time.monotonic() < deadline, f"the picture stays: {picture.get_attribute('alt')}"
        page.wait_for_timeout(100)
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def give_files_of_my_own(page: Any) -> None:
    """A photograph of the reader's, a file that is none, and back to the test images."""
    output = page.locator(
        ".jp-OutputArea-output", has=page.locator("button", has_text="Your own image")
    ).first
    picture = io.BytesIO()
    Image.radial_gradient("L").save(picture, "PNG")

    def give(name: str, content: bytes) -> None:
        with page.expect_file_chooser() as chooser:
            output.locator("button", has_text="Your own image").click()
        chooser.value.set_files([{"name": name, "mimeType": "image/png", "buffer": content}])

    give("gradient.png", picture.getvalue())
    output.locator("img[alt^='your image gradient.png']").wait_for()
    give("broken.png", picture.getvalue()[:99])
    alert = output.locator("[role=alert]")
    alert.wait_for()
    assert "'broken.png' cannot be read as a photograph" in alert.inner_text()
    output.locator(".widget-slider .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    output.locator("img[alt^='test image']").wait_for()


def test_every_control_of_every_explorer_moves_its_picture(lab: Any, copies: Path) -> None:
    page = lab(PAGE)
    assert errors(run_all(page, copies / f"{PAGE}.ipynb")) == []
    outputs = drive_every_widget(page)
    assert outputs == len(EXPLORERS)
    give_files_of_my_own(page)


def test_a_training_is_started_stopped_and_resumed(lab: Any, copies: Path) -> None:
    page = lab(RUNBOOK)
    assert errors(run_all(page, copies / f"{RUNBOOK}.ipynb")) == []
    press_the_buttons_of_a_dashboard(page)
