"""Local response normalization and the whole network: time and memory against PyTorch's own.

    python benchmarks/lrn.py [--rounds 5] [--batch 32] [--threads 2] [--part layer network memory]

The layers take turns in one process, one call of each a round. Each network has a process of
its own, because the setting of the allocator holds for a whole process; they take turns, too.
Memory is measured in processes of its own, as what the process grew by at its peak.
See `benchmarks/README.md` for what the variants are.

The last lines are `ratio NAME VALUE`: the median over the rounds of the ratio of two times
from the same round, or the ratio of two peaks. Above 1 means that the first one named is
faster or leaner.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import alexnet  # type: ignore[import-untyped]
from turns import Child, Measure, median_ratio, take_turns

from alexnet_edu.environment import keep_freed_memory
from alexnet_edu.model import compiling
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import variant
from alexnet_edu.model.layers import compile_norms, local_response_norm

SHAPES = {"96x55x55": (96, 55, 55), "256x27x27": (256, 27, 27)}  # the paper's two
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PARTS = ("layer", "network", "memory")
STATUS = Path("/proc/self/status")
Call = Callable[[], object]


def pytorchs(x: Tensor) -> Tensor:
    """PyTorch's own, with the constants of §3.3 and the authors' α/n; on a processor in float32 only."""
    return F.local_response_norm(x.float(), 5, 1e-4, 0.75, 2.0).to(x.dtype)


def ours(x: Tensor) -> Tensor:
    return local_response_norm(x, convention="code")


def ours_compiled(x: Tensor) -> Tensor:
    return local_response_norm(x, convention="code", compiled=True)


def timed(call: Call) -> Measure:
    """The call as a function that says how many seconds it took."""

    def measure() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return measure


# --- the layer alone --------------------------------------------------------------------------


def forward(norm: Callable[[Tensor], Tensor], x: Tensor) -> Call:
    def call() -> object:
        with torch.no_grad():
            return norm(x)

    return call


def both_ways(norm: Callable[[Tensor], Tensor], x: Tensor) -> Call:
    x, g = x.clone().requires_grad_(), torch.ones_like(x)
    return lambda: torch.autograd.grad(norm(x), x, g)


def time_layers(batch: int, rounds: int) -> dict[str, float]:
    """Ratios for each shape, type, layout and direction; a table of times on the way."""
    found: dict[str, float] = {}
    norms = {"torch.nn": pytorchs, "ours": ours, "ours, compiled": ours_compiled}
    print(f"{'milliseconds':46}" + "".join(f"{name:>16}" for name in norms))
    for shape_name, shape in SHAPES.items():
        for dtype_name, dtype in DTYPES.items():
            for layout_name, layout in LAYOUTS.items():
                x = 50 * torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
                x = x.to(dtype).to(memory_format=layout)
                for way, make in (("forward", forward), ("forward+backward", both_ways)):
                    calls = {name: timed(make(norm, x)) for name, norm in norms.items()}
                    times = take_turns(calls, rounds)
                    row = f"{shape_name} {dtype_name} {layout_name} {way}"
                    cells = "".join(f"{1e3 * statistics.median(times[n]):>16.1f}" for n in norms)
                    print(f"{row:<46}{cells}", flush=True)
                    key = row.replace(" ", "_").replace("+", "_")
                    found[f"eager_{key}"] = median_ratio(times, "torch.nn", "ours")
                    found[f"compiled_{key}"] = median_ratio(times, "torch.nn", "ours, compiled")
    return found


# --- the whole network --------------------------------------------------------------------------


def network(norm: str) -> AlexNet:
    """The paper's network with "ours", "compiled", "torch.nn" or "none" as its normalization."""
    model = AlexNet(replace(variant("paper"), lrn="code"), generator=torch.Generator().manual_seed(0))
    if norm == "compiled":
        compile_norms(model)
    elif norm != "ours":
        for name in ("conv1", "conv2"):
            model.stages[name].lrn = _PerColumn() if norm == "torch.nn" else nn.Identity()
    return model


class _PerColumn(nn.Module):  # on half of the maps each, as ours
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([pytorchs(half) for half in x.chunk(2, dim=1)], dim=1)


def training_step(model: nn.Module, images: Tensor, dtype: torch.dtype, layout: torch.memory_format) -> Call:
    """One step of SGD with momentum on the same batch, again and again."""
    model = model.train().to(memory_format=layout)  # type: ignore[call-overload]
    images = images.contiguous(memory_format=layout)
    labels = torch.zeros(len(images), dtype=torch.int64)
    optimizer = torch.optim.SGD(model.parameters(), 1e-6, momentum=0.9, weight_decay=5e-4)

    def call() -> object:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = F.cross_entropy(model(images).float(), labels)
        optimizer.zero_grad()
        loss.backward()
        return optimizer.step()

    return call


@dataclass(frozen=True)
class Network:
    """One way to train a network. norm: as in `network`, or "torchvision" for its own network.

    fast: channels-last bfloat16, else contiguous float32. keep: freed memory is kept, as
    `training.loop.fit` asks for; else the allocator is as it comes. whole: all of it through `torch.compile`.
    """

    title: str
    norm: str
    fast: bool
    keep: bool
    whole: bool = False


NETWORKS = {
    "ours": Network("ours, channels-last bfloat16, freed memory kept", "ours", True, True),
    "norms": Network("the same, its norms compiled", "compiled", True, True),
    "plain": Network("torch.nn's norm, plain float32, as it comes", "torch.nn", False, False),
    "torch_nn": Network("torch.nn's norm, otherwise as ours", "torch.nn", True, True),
    "torchvision": Network("torchvision's alexnet (no norm), otherwise as ours", "torchvision", True, True),
    "torchvision_whole": Network("the same through torch.compile", "torchvision", True, True, True),
    "bare": Network("ours without any norm", "none", True, True),
}
STEP_RATIOS = {
    "step_vs_plain_float32": ("plain", "ours"),
    "step_with_compiled_norms_vs_plain_float32": ("plain", "norms"),
    "step_vs_torch_nn_otherwise_the_same": ("torch_nn", "ours"),
    "step_vs_torchvision_otherwise_the_same": ("torchvision", "ours"),
    "step_with_compiled_norms_vs_torchvision": ("torchvision", "norms"),
    "step_with_compiled_norms_vs_compiled_torchvision": ("torchvision_whole", "norms"),
    "step_without_norm_vs_torchvision": ("torchvision", "bare"),
}


def prepare_step(chosen: Network, batch: int, threads: int) -> Measure:
    """Makes the network; the returned function takes one step and says how many seconds it took."""
    torch.set_num_threads(threads)
    if chosen.keep:
        keep_freed_memory()
    images = 60 * torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    dtype = torch.bfloat16 if chosen.fast else torch.float32
    layout = torch.channels_last if chosen.fast else torch.contiguous_format
    model: nn.Module = alexnet() if chosen.norm == "torchvision" else network(chosen.norm)
    if chosen.whole:
        model.compile()
    return timed(training_step(model, images, dtype, layout))


def time_networks(batch: int, rounds: int, threads: int) -> dict[str, float]:
    """Ratios of whole training steps; the images per second on the way."""
    children: dict[str, Child] = {}
    try:
        for name, chosen in NETWORKS.items():
            children[name] = Child(chosen.title, prepare_step, chosen, batch, threads)
        times = take_turns({name: child.ask for name, child in children.items()}, rounds)
    finally:
        for child in children.values():
            child.close()
    print(f"\n{'images per second of training':<54}{'median':>8}{'slowest':>9}{'fastest':>9}")
    for name, seconds in times.items():
        speeds = [batch / s for s in seconds]
        cells = "".join(f"{x:>9.1f}" for x in (statistics.median(speeds), min(speeds), max(speeds)))
        print(f"{NETWORKS[name].title:<53}{cells}")
    return {name: median_ratio(times, above, below) for name, (above, below) in STEP_RATIOS.items()}


# --- memory ---------------------------------------------------------------------------------------


MEASURED = {"torch.nn": pytorchs, "ours": ours, "compiled": ours_compiled}


def _grown(norm: str, shape: tuple[int, ...], batch: int, answer: multiprocessing.SimpleQueue[int]) -> None:
    """What the peak of this process grows by in one forward and backward pass, in bytes."""
    torch.set_num_threads(1)
    function = MEASURED[norm]
    compiles = norm == "compiled"  # for maps of this size and any number of images
    both_ways(function, torch.randn(*((compiling.FEWEST, *shape) if compiles else (1, 8, 4, 4))))()
    x = torch.randn(batch, *shape).requires_grad_()
    g = torch.ones_like(x)
    _forget_peak()
    before = _peak()
    torch.autograd.grad(function(x), x, g)
    answer.put(_peak() - before)


def _peak() -> int:
    """The most memory that this process has held, in bytes; on Linux since `_forget_peak`."""
    if STATUS.exists():
        (line,) = (x for x in STATUS.read_text().splitlines() if x.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _forget_peak() -> None:
    """Starts the peak anew from what is held now; elsewhere the imports' own peak counts as held."""
    if STATUS.exists():
        (STATUS.parent / "clear_refs").write_text("5")


def measure_memory(batch: int) -> dict[str, float]:
    """Ratios of the peaks at both shapes, in float32."""
    context, found = multiprocessing.get_context("spawn"), {}
    print("\npeak beyond input and its gradient's seed, in sizes of the input")
    for name, shape in SHAPES.items():
        grown = {}
        for norm in MEASURED:
            answer = context.SimpleQueue()
            process = context.Process(target=_grown, args=(norm, shape, batch, answer))
            process.start()
            process.join()
            if process.exitcode != 0:
                raise SystemExit(f"measuring the memory of {norm} failed with {process.exitcode}")
            grown[norm] = answer.get()
        size = 4 * batch * shape[0] * shape[1] * shape[2]
        print(f"{name:12}" + "".join(f"{norm}: {grown[norm] / size:.1f}   " for norm in grown))
        if min(grown.values()) <= 0:
            raise SystemExit(f"with {batch} images the peak lies below that of the imports; take more")
        found[f"peak_{name}_float32"] = grown["torch.nn"] / grown["ours"]
        found[f"peak_compiled_{name}_float32"] = grown["torch.nn"] / grown["compiled"]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="calls counted per variant")
    parser.add_argument("--batch", type=int, default=32, help="images per batch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="which parts to measure")
    chosen = parser.parse_args(arguments)
    if min(chosen.rounds, chosen.batch, chosen.threads) < 1:
        parser.error("--rounds, --batch and --threads must be at least 1")
    torch.set_num_threads(chosen.threads)
    python = sys.version.split()[0]
    print(f"batch {chosen.batch}, {chosen.threads} threads, torch {torch.__version__}, Python {python}")
    ratios: dict[str, float] = {}
    if "memory" in chosen.part:
        ratios |= measure_memory(chosen.batch)
    if "layer" in chosen.part:
        ratios |= time_layers(chosen.batch, chosen.rounds)
    if "network" in chosen.part:
        ratios |= time_networks(chosen.batch, chosen.rounds, chosen.threads)
    for name, value in ratios.items():
        print(f"ratio {name} {value:.2f}")


if __name__ == "__main__":
    main()
