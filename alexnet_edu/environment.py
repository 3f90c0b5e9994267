"""What a run depends on outside the code: its scale, the machine, the commit. Loads torch only when asked."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
RESULTS_VARIABLE = "ALEXNET_EDU_RESULTS"
WEIGHTS_VARIABLE = "ALEXNET_EDU_WEIGHTS"
SCALES = ("quick", "laptop", "gpu", "paper")
VARIABLE = "ALEXNET_EDU_SCALE"
PRECISIONS = ("auto", "float32", "bfloat16")


def current_scale() -> str:
    """The scale chosen by ALEXNET_EDU_SCALE, "laptop" where it is empty.

    Raises ValueError, with the allowed words, when the variable holds another one.
    """
    return check_scale(os.environ.get(VARIABLE, "") or "laptop")


def check_scale(word: str) -> str:
    """`word` itself if it is a scale; otherwise a ValueError that names the four."""
    if word not in SCALES:
        raise ValueError(f"{VARIABLE}={word!r} is not a scale; choose one of {', '.join(SCALES)}")
    return word


def at_scale(quick: T, laptop: T, gpu: T | None = None, paper: T | None = None) -> T:
    """The value for the current scale; a scale without one takes that of the next smaller one."""
    gpu = laptop if gpu is None else gpu
    values = {"quick": quick, "laptop": laptop, "gpu": gpu, "paper": gpu if paper is None else paper}
    return values[current_scale()]


def in_checkout() -> bool:
    """Whether the package is imported from a checkout, and not from where a wheel was installed."""
    return (ROOT / "pyproject.toml").exists() and (ROOT / "data").is_dir()


def results_dir() -> Path:
    """The folder of recorded results: ALEXNET_EDU_RESULTS, or what came with the package."""
    return _came_along("results", RESULTS_VARIABLE)


def weights_dir() -> Path:
    """The folder of the shipped networks: ALEXNET_EDU_WEIGHTS, or what came with the package."""
    return _came_along("weights", WEIGHTS_VARIABLE)


def _came_along(name: str, variable: str) -> Path:
    """`data/<name>` of a checkout; a wheel holds the same as `alexnet_edu/recorded/<name>`."""
    if chosen := os.environ.get(variable):
        return Path(chosen).expanduser()
    return (ROOT / "data" if in_checkout() else Path(__file__).resolve().parent / "recorded") / name


def provenance(device: torch.device | str = "cpu") -> dict[str, Any]:
    """What a reader needs to judge and repeat a run, as plain JSON values."""
    import torch

    return {
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "hardware": hardware(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.split("+")[0],
        "python": platform.python_version(),
        "system": platform.system(),
    }


def joint_provenance(origins: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Where the runs of one record come from: each different value of their `provenance` once, sorted.

    "commits", "dates", "hardware", "torch", "threads", each a list.
    """
    plural = {"commits": "commit", "dates": "date"} | {n: n for n in ("hardware", "torch", "threads")}
    every = list(origins)
    return {name: sorted({origin[key] for origin in every}) for name, key in plural.items()}


def commit() -> str:
    """The short commit of the checkout, "+changes" if it differs; "unknown" outside git."""
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "alexnet_edu")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+changes" if changed else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def hardware(device: torch.device | str = "cpu") -> str:
    """The device in words: model and, for a CPU, the number of cores."""
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{cpu_model()}, {os.cpu_count()} cores"


def usable_cores() -> int:
    """How many cores this process may use (an affinity mask may leave fewer than there are)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    return cpu_fact("model name") or platform.processor() or platform.machine()


def cpu_fact(name: str) -> str:
    """What Linux says of the first processor, such as its "flags"; empty elsewhere."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(name):
                return line.split(":", 1)[1].strip()
    return ""


# --- precision and memory ---------------------------------------------------------------------


def resolve_precision(precision: str, device: torch.device | str = "cpu") -> str:
    """What "auto" means on this device: "bfloat16" where the hardware computes in it."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(device) else "float32"


def has_fast_bfloat16(device: torch.device | str) -> bool:
    """Whether the device multiplies bfloat16 in hardware (an emulation would be slower)."""
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = cpu_fact("flags").split() if device.type == "cpu" else []
    return "avx512_bf16" in flags or "amx_bf16" in flags


@contextlib.contextmanager
def autocast(device: torch.device | str, precision: str) -> Iterator[None]:
    """Convolutions and matrix products in bfloat16 if `precision` comes to that."""
    import torch

    device = torch.device(device)
    enabled = resolve_precision(precision, device) == "bfloat16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
        yield


def keep_freed_memory() -> None:
    """Asks glibc to keep freed blocks instead of returning them to the system.

    Every step frees and asks again for activations of several MB. By default glibc maps
    and unmaps such blocks each time, and the page faults cost about a quarter of the
    training time on a CPU (`benchmarks/cifar_training.py` measures it), and more with the
    paper's network, whose largest activations lie above the 32 MiB up to which blocks can be
    told to come from the heap: so no block at all is mapped.
    """
    if platform.system() != "Linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block is mapped, so all come from the heap
        libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: do not shrink the heap
        libc.mallopt(-2, 256 << 20)  # M_TOP_PAD: grow it by 256 MiB at a time


def memory_used(device: torch.device | str) -> int:
    """Bytes: the most that this process has held on its GPU, or in the machine's memory; 0 if unknown."""
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_free(device: torch.device | str) -> int:
    """Bytes of the GPU that are free, or of the machine's memory that can still be had."""
    import psutil
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
