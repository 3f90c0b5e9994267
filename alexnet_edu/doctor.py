"""What works on this machine, and what to do about the rest: `alexnet-edu doctor`.

Only the standard library is imported at the top: the doctor must speak where torch is missing or broken.
Each check takes what it judges as arguments; `examine` gathers them.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from alexnet_edu.environment import SCALES

if TYPE_CHECKING:
    from alexnet_edu.data.cifar10 import DataStatus

Level = Literal["ok", "warn", "fail"]
LEVELS: tuple[Level, ...] = ("ok", "warn", "fail")

CHECKOUT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON, NEWEST_TRIED = (3, 11), (3, 13)
DISK_NEEDED = 1.0  # GB: the CIFAR-10 archive, its unpacked batches and the pack, with room for runs
MEMORY_NEEDED = 4.0  # GB: CIFAR-10 in memory, two runs side by side, and a browser
WIDGET_MAJORS = {"ipywidgets": "8", "jupyterlab_widgets": "3", "the manager": "5"}  # that fit each other
WIDGET_PACKAGES = ("jupyterlab", "ipywidgets", "jupyterlab_widgets", "ipykernel")
REPAIR = "run `make setup`, or `pip install -e .` in the environment you use"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. advice: what to do; empty where nothing is to be done."""

    level: Level
    topic: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.level:4s}  {self.topic:8s}  {self.text}"
        return line + (f"\n{'':16s}-> {self.advice}" if self.advice else "")


def examine() -> Iterator[Finding]:
    """Everything the doctor looks at, in the order in which it is shown."""
    yield check_python(sys.version_info[:3], sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ)
    yield (torch := check_torch(*_torch_versions(), _import_error("torch"), _import_error("torchvision")))
    if torch.level == "ok":
        yield from _devices()
    yield check_memory(_memory())
    yield from _data(torch.level == "ok")
    yield check_widgets(_versions(WIDGET_PACKAGES), _widget_manager_version())
    yield from _kernel()
    yield check_scale(os.environ.get("ALEXNET_EDU_SCALE", ""))


def report(findings: Iterable[Finding] | None = None) -> str:
    """The findings as text that may be shown to others; by default those of this machine.

    Folders are given from the checkout or the home folder on: a saved notebook must not tell whose machine
    it was.
    """
    text = "\n".join(map(str, examine() if findings is None else findings))
    text = text.replace(f"{CHECKOUT}{os.sep}", "").replace(str(CHECKOUT), ".")
    home = str(Path.home())
    return text if home == os.sep else text.replace(home, "~")  # some containers live in the root


def worst(findings: Iterable[Finding]) -> Level:
    """The gravest level among the findings; "ok" if there are none."""
    return max((f.level for f in findings), key=LEVELS.index, default="ok")


# --- Python and torch -----------------------------------------------------------------


def check_python(version: Sequence[int], in_environment: bool) -> Finding:
    """version: (major, minor, micro). in_environment: a venv or conda environment is active."""
    text = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if tuple(version[:2]) < OLDEST_PYTHON:
        advice = "install Python 3.11, 3.12 or 3.13 and make the environment anew"
        return Finding("fail", "Python", text, advice)
    if tuple(version[:2]) > NEWEST_TRIED:
        return Finding("warn", "Python", text, "newer than what was tried; if something fails, use 3.13")
    if not in_environment:
        return Finding("warn", "Python", text + ", the system's own", "`make setup` makes one of its own")
    return Finding("ok", "Python", text)


def check_torch(
    versions: Mapping[str, str | None], required: str | None, torch_error: str, vision_error: str
) -> Finding:
    """versions: installed torch and torchvision. required: the torch that torchvision was built for.

    The errors are what importing them raised, empty if nothing.
    """
    torch, vision = versions["torch"], versions["torchvision"]
    if torch is None or torch_error:
        text = f"{torch} cannot be imported: {torch_error}" if torch else "not installed"
        return Finding("fail", "torch", text, REPAIR)
    if vision is None:
        advice = REPAIR + "; without it there is no download of CIFAR-10"
        return Finding("warn", "torch", f"torch {torch}, no torchvision", advice)
    pair = f"torch {torch}, torchvision {vision}"
    if required is not None and torch.split("+")[0] != required:
        text = f"{pair}: this torchvision was built for torch {required}"
        return Finding("fail", "torch", text, f"`pip install torch=={required}`, or {REPAIR}")
    if vision_error:
        advice = "reinstall both together: `pip install --force-reinstall torch torchvision`"
        return Finding("fail", "torch", f"{pair}: {vision_error}", advice)
    return Finding("ok", "torch", f"{pair}, which match")


def _torch_versions() -> tuple[dict[str, str | None], str | None]:
    versions = _versions(("torch", "torchvision"))
    needs = importlib.metadata.requires("torchvision") or () if versions["torchvision"] else ()
    exact = [line.replace(" ", "") for line in needs if line.replace(" ", "").startswith("torch==")]
    return versions, exact[0].removeprefix("torch==").split(";")[0] if exact else None


def _versions(names: Iterable[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _import_error(name: str) -> str:
    """What goes wrong on `import name`, in one line; empty if nothing does."""
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken binary raises RuntimeError, OSError, AttributeError …
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


# --- what computes --------------------------------------------------------------------


def _devices() -> Iterator[Finding]:
    import torch

    from alexnet_edu.environment import cpu_model, has_fast_bfloat16, usable_cores

    yield Finding("ok", "device", f"CPU: {cpu_model()}")
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    for name in gpus:
        try:
            free, total = torch.cuda.mem_get_info(name)
        except RuntimeError as error:
            text = f"{name} cannot be used: {str(error).splitlines()[0]}"
            yield Finding("warn", "device", text, "free the GPU, or update its driver; the CPU still works")
            continue
        text = f"{name}: {torch.cuda.get_device_name(name)}, {total / 1e9:.1f} GB, {free / 1e9:.1f} GB free"
        yield Finding("ok", "device", text)
    if torch.backends.mps.is_available():
        yield Finding("ok", "device", "mps: Apple GPU, shares the machine's memory")
    yield check_threads(torch.get_num_threads(), usable_cores(), os.cpu_count() or 1)
    fast = [name for name in ("cpu", *gpus) if has_fast_bfloat16(torch.device(name))]
    slow = [name for name in ("cpu", *gpus) if name not in fast]
    text = f"bfloat16 on {', '.join(fast)}" if fast else "float32 everywhere"
    text += f"; float32 on {', '.join(slow)}" if fast and slow else ""
    yield Finding("ok", "numbers", f'training computes in {text} (precision "auto")')


def check_threads(threads: int, usable: int, cores: int) -> Finding:
    """threads: what torch uses; usable: cores this process may use; cores: all there are."""
    text = f"{cores} cores, {usable} usable, torch uses {threads} threads"
    if threads > usable:
        return Finding("warn", "cores", text, f"set OMP_NUM_THREADS={usable}: more threads only wait")
    if threads < usable // 2:
        return Finding("warn", "cores", text, "unset OMP_NUM_THREADS to use all cores")
    return Finding("ok", "cores", text)


def _memory() -> float | None:
    try:
        import psutil
    except ImportError:  # a broken environment is what the doctor is asked about
        return None
    return psutil.virtual_memory().total / 1e9


def check_memory(gigabytes: float | None) -> Finding:
    """gigabytes: the machine's memory, 10⁹ bytes; None if unknown."""
    if gigabytes is None:
        return Finding("ok", "memory", f"not known without psutil; {MEMORY_NEEDED:.0f} GB are enough")
    if gigabytes < MEMORY_NEEDED:
        advice = "close other programs, and use scale quick if a kernel dies"
        return Finding("warn", "memory", f"{gigabytes:.1f} GB", advice)
    return Finding("ok", "memory", f"{gigabytes:.1f} GB")


# --- disk and data --------------------------------------------------------------------


def check_disk(folder: Path, free: float) -> Finding:
    """free: GB (10⁹ bytes) on the disk of `folder`."""
    text = f"{free:.1f} GB free at {folder}"
    advice = "free some space, or keep the data elsewhere by ALEXNET_EDU_DATA=/another/folder"
    if free < 0.2:
        return Finding("fail", "disk", text, advice)
    if free < DISK_NEEDED:
        return Finding("warn", "disk", f"{text}; {DISK_NEEDED:.0f} GB are needed with CIFAR-10", advice)
    return Finding("ok", "disk", text)


def _data(torch_works: bool) -> Iterator[Finding]:
    if not torch_works:
        yield Finding("warn", "data", "not looked at: that needs torch and torchvision", "mend torch first")
        return
    from alexnet_edu.data import cifar10 as data
    from alexnet_edu.files import DataError

    try:
        status = data.status()
    except DataError as error:
        yield Finding("fail", "data", str(error))
        return
    yield check_disk(status.folder, status.free / 1e9)
    yield from check_data(status)


def check_data(status: DataStatus) -> list[Finding]:
    """status: what is in the data folder."""
    texts = {
        p.path.stem: f"{p.train:,} training and {p.test:,} test images, {p.source}" for p in status.packs
    }
    lines = [Finding("ok", "data", f"{name}: {text}") for name, text in texts.items()]
    place = f"{status.folder} ({status.reason})"
    make_it = "`alexnet-edu data cifar10` (download, 170 MB) or `alexnet-edu data import PATH`"
    if status.damaged_cifar10:
        text = f"the CIFAR-10 in {place} is damaged: experiments stop"
        lines.append(Finding("fail", "data", text, f"delete the file named below, then {make_it}"))
    elif not status.has_cifar10:
        text = f"no CIFAR-10 in {place}: experiments use the synthetic stand-in"
        lines.append(Finding("warn", "data", text, make_it))
    return lines + [Finding("warn", "data", problem) for problem in status.problems]


# --- notebooks ------------------------------------------------------------------------


def check_widgets(versions: Mapping[str, str | None], manager: str | None) -> Finding:
    """versions: of WIDGET_PACKAGES. manager: version of the extension that JupyterLab will load."""
    have = ", ".join(f"{name} {version}" for name, version in versions.items() if version is not None)
    if missing := [name for name, version in versions.items() if version is None]:
        text = f"{', '.join(missing)} not installed; training works, notebooks do not"
        return Finding("warn", "widgets", text, REPAIR)
    if manager is None:
        text = f"{have}, but JupyterLab has no widget manager: sliders stay pictures"
        advice = "`pip install --force-reinstall jupyterlab_widgets`, then reload the page"
        return Finding("warn", "widgets", text, advice)
    given = {**versions, "the manager": manager}
    wrong = [f"{n} {given[n]}" for n, m in WIDGET_MAJORS.items() if str(given[n]).split(".")[0] != m]
    if wrong:
        text = f"{have}, manager {manager}: {', '.join(wrong)} was not tried with the others"
        advice = "`pip install --upgrade jupyterlab ipywidgets jupyterlab_widgets`"
        return Finding("warn", "widgets", text, advice)
    return Finding("ok", "widgets", f"{have}, manager {manager}: live in JupyterLab")


def _widget_manager_version() -> str | None:
    """Version of the first widget manager on JupyterLab's search path."""
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        return None
    for folder in jupyter_path("labextensions"):
        package = Path(folder, "@jupyter-widgets", "jupyterlab-manager", "package.json")
        try:
            return str(json.loads(package.read_text(encoding="utf-8"))["version"])
        except (OSError, ValueError, KeyError):
            continue
    return None


def _kernel() -> Iterator[Finding]:
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        return
    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        yield Finding("warn", "kernel", "JupyterLab would find no kernel named python3", REPAIR)
        return
    yield check_kernel(command, sys.executable)


def check_kernel(command: str, executable: str) -> Finding:
    """command: what starts the kernel "python3"; executable: the Python that is running.

    A bare `python` is the Python that runs JupyterLab; an absolute path may be any other.
    """
    if Path(command).name == command or Path(command) == Path(executable):
        return Finding("ok", "kernel", f"notebooks run in {executable}")
    text = f"notebooks would run in {command}, not in {executable}"
    advice = "start by `make lab`, or remove that kernel: `jupyter kernelspec remove python3`"
    return Finding("warn", "kernel", text, advice)


def check_scale(word: str) -> Finding:
    """word: what ALEXNET_EDU_SCALE holds; empty if it is not set."""
    if word == "":
        return Finding("ok", "scale", "laptop, the default (ALEXNET_EDU_SCALE is not set)")
    if word not in SCALES:
        advice = f"set it to one of {', '.join(SCALES)}, or unset it"
        return Finding("fail", "scale", f"ALEXNET_EDU_SCALE={word!r} is not a scale", advice)
    return Finding("ok", "scale", f"{word}, by ALEXNET_EDU_SCALE")
