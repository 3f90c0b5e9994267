"""Settings that every test and every notebook under nbval shares."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
REAL_IMAGES = "ALEXNET_EDU_REAL_IMAGES"

# Set here, before anything imports torch, and in the environment, because the kernels that
# nbval starts inherit it.
os.environ["ALEXNET_EDU_SCALE"] = os.environ.get("ALEXNET_EDU_SCALE") or "quick"
os.environ.setdefault("ALEXNET_EDU_OFFLINE", "1")  # whatever a test asks for, it does not fetch CIFAR-10
if not os.environ.get("ALEXNET_EDU_DATA"):
    # Nothing that a test or a notebook writes, or finds from an earlier time, is the user's.
    os.environ["ALEXNET_EDU_DATA"] = tempfile.mkdtemp(prefix="alexnet-edu-")
    atexit.register(shutil.rmtree, os.environ["ALEXNET_EDU_DATA"], ignore_errors=True)
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores
for name in ("RUNS", "RESULTS", "WEIGHTS"):  # what is recorded, not what the user has recorded
    os.environ.pop(f"ALEXNET_EDU_{name}", None)


def pytest_configure(config: pytest.Config) -> None:
    """Makes `pytest --nbval notebooks/` mean the same from any folder and for any user."""
    if not config.getoption("nbval_sanitize_with", None):
        # The option on the command line is relative to the working directory.
        config.option.nbval_sanitize_with = str(ROOT / "tests" / "nbval_sanitize.cfg")
    if config.getoption("nbval", False) or config.getoption("nbval_lax", False):
        from notebooks import shielded

        empty = tempfile.mkdtemp(prefix="ipython-")
        atexit.register(shutil.rmtree, empty, ignore_errors=True)
        environment = shielded(os.environ, Path(empty))
        os.environ.clear()
        os.environ.update(environment)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for photographs can be chosen by `-m real_images`."""
    for item in items:
        if "real_images" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_images)


@pytest.fixture(autouse=True, scope="session")
def _draw_without_a_screen() -> None:
    import matplotlib

    matplotlib.use("Agg")


@pytest.fixture(scope="session")
def real_images() -> Path:
    """The folder that ALEXNET_EDU_REAL_IMAGES names; skips where it names none."""
    named = os.environ.get(REAL_IMAGES, "")
    if not named:
        pytest.skip(f"{REAL_IMAGES} names no folder of images")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"{REAL_IMAGES}={named!r} is not a folder")
    return folder
