"""`alexnet-edu two-gpus check`: whether two GPUs, or two processes, train like one, and how fast."""

from __future__ import annotations

import itertools
import re
import signal
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from alexnet_edu import paper
from alexnet_edu.environment import hardware
from alexnet_edu.model.architecture import count, narrow, variant
from alexnet_edu.two_gpus import check
from alexnet_edu.two_gpus.check import SAVED, Case, compare_devices
from alexnet_edu.two_gpus.traffic import sent_each_way

EQUAL = 1e-10  # differences in float64 up to here are rounding
IF_IT_HANGS = {
    "cpu": "GLOO_SOCKET_IFNAME=lo, where gloo has chosen a network that does not answer",
    "cuda": "NCCL_P2P_DISABLE=1, where GPUs cannot reach each other's memory (IOMMU, virtual machines); "
    "NCCL_SHM_DISABLE=1, where /dev/shm is small (containers); NCCL_SOCKET_IFNAME=lo, where NCCL has "
    "chosen a network that does not answer; NCCL_DEBUG=INFO says what it does",
}
Line = tuple[bool, str, str]  # whether it is as it should be, what was looked at, what came out
Runner = Callable[[str, Case], list[dict[str, Any]]]


def report(
    device: str = "auto",
    say: Callable[[str], None] = print,
    *,
    divisor: int = 8,
    run: Runner = check.run,
) -> bool:
    """Says a line for each thing that was looked at, and gives whether all is well.

    device: "cuda", "cpu", or "auto", which is "cuda" where there are two GPUs. divisor: of the network
    whose equality is checked. run: starts the two ranks.
    Raises ValueError for "cuda" where there are not two GPUs.
    """
    there = torch.cuda.device_count()
    if device == "cuda" and there < 2:
        names = "".join(f", {torch.cuda.get_device_name(i)}" for i in range(there))
        raise ValueError(f"two GPUs are needed, but torch sees {there}{names}; choose --device cpu")
    if device == "auto":
        device = "cuda" if there >= 2 else "cpu"
    all_well = True
    with tempfile.TemporaryDirectory() as folder:
        case = Case("float64", steps=10, divisor=divisor, updates=5, device=device, folder=folder)
        for well, about, text in _examined(case, run):
            say(f"{'ok' if well else 'FAIL':6}{about:13}{text}")
            all_well &= well
    say("All is well." if all_well else "Not all is well: do not train here before every line says ok.")
    return all_well


def _examined(case: Case, run: Runner) -> Iterator[Line]:
    devices = ("cuda:0", "cuda:1") if case.device == "cuda" else ("cpu", "cpu")
    names = " and ".join(dict.fromkeys(hardware(name) for name in devices))
    yield True, "machine", f"{case.device}: {names}; torch {torch.__version__}"
    options = {name: getattr(case, name) for name in ("dtype", "divisor", "updates", "device")}
    yield _equality("two devices", case, [compare_devices(devices, **options)], ("from 0", "from 1"))
    ranks = run("first", case)
    failed = _failure(ranks)
    yield (
        (False, "two ranks", failed)
        if failed
        else _equality("two ranks", case, ranks, ("forward", "backward"))
    )
    if not failed:
        yield from _lost(case, run)
        yield _bandwidth([rank["exchange"] for rank in ranks])
    yield True, "transport", _transport(case)
    if case.device == "cuda":
        yield True, "peer access", "yes" if torch.cuda.can_device_access_peer(0, 1) else "no"
        yield from _throughput(case, run)
    else:
        yield True, "throughput", "not run: that needs two GPUs"
    yield True, "if it hangs", IF_IT_HANGS[case.device]


def _equality(form: str, case: Case, found: list[dict[str, Any]], ways: tuple[str, str]) -> Line:
    """Differences in float64, and whether what was sent is what the arithmetic says."""
    worst = {what: max(each[what] for each in found) for what in ("logits", "gradients", "weights")}
    sizes = sent_each_way(narrow(variant("paper"), case.divisor), case.batch)
    wanted = {f"{name} {way}": 2 * n for name, n in sizes.items() for way in ways}  # float64
    sent = all(each["sent"].get(name) == n for each in found for name, n in wanted.items())
    text = ", ".join(f"{what} differ by {off:.0g}" for what, off in worst.items())
    well = sent and all(each[what] < EQUAL for each in found for what in worst)  # not where it is no number
    counted = "bytes sent as by arithmetic" if sent else f"bytes sent {found[0]['sent']}, not {wanted}"
    return well, form, f"against one, {case.updates} steps in float64: {text}; {counted}"


def _lost(case: Case, run: Runner) -> Iterator[Line]:
    """Rank 1 is killed in a training, which then goes on from its checkpoint."""
    survivor, victim = run("lose", case)
    ended = survivor["message"].split(" (")[0] or f"exit status {survivor['returncode']}"
    killed = victim["returncode"] == -signal.SIGKILL and survivor["returncode"] != 0
    yield killed, "lost rank", f"rank 1 was killed in step {SAVED + 1}; rank 0 ended with: {ended}"
    ranks = run("resume", case)
    failed = _failure(ranks)
    if failed:
        yield False, "resumed", failed
        return
    off = max(rank["weights"] for rank in ranks)
    text = f"from step {SAVED}; after {case.updates} weights differ by {off:.0g} from those never interrupted"
    yield all(rank["weights"] < EQUAL for rank in ranks), "resumed", text


def _bandwidth(ranks: list[dict[str, Any]]) -> Line:
    size, seconds = ranks[0]["bytes"], max(statistics.median(rank["steps"]) for rank in ranks)
    step = 2 * sum(sent_each_way(variant("paper")).values())
    text = f"{size / 1e6:.2f} MB each way (conv3, batch {paper.BATCH_SIZE}) in {1e3 * seconds:.1f} ms: "
    speed, whole = size / seconds, 1e3 * step * seconds / size
    return (
        True,
        "exchange",
        f"{text}{speed / 1e9:.2f} GB/s, {whole:.0f} ms for the {step / 1e6:.1f} MB of a step",
    )


def _failure(ranks: list[dict[str, Any]]) -> str:
    """What the ranks that failed said, or ""."""
    failed = [rank for rank in ranks if rank["returncode"]]
    return "; ".join(f"rank {r['rank']}: {r['message'] or 'exit status'} {r['returncode']}" for r in failed)


def _transport(case: Case) -> str:
    if case.device == "cpu":
        return "gloo, over TCP"
    text = "".join(path.read_text(errors="replace") for path in Path(case.folder).glob("nccl.*"))
    return f"NCCL {'.'.join(map(str, torch.cuda.nccl.version()))}, {transport_in(text)}"


def transport_in(text: str) -> str:
    """How GPUs are connected, by the log of NCCL: "via P2P/CUMEM", "via SHM/direct/direct"."""
    ways = sorted(set(re.findall(r"\] (via \S+)", text)))
    return " and ".join(ways) or "which does not say how it connects them"


def _throughput(case: Case, run: Runner) -> Iterator[Line]:
    """Training of the paper's network, beside products of large matrices of the same type."""
    flop = 6 * sum(size.multiply_adds for size in count(variant("paper")))  # an image, both columns
    for dtype, batch in itertools.product(("float32", "bfloat16"), (128, 1024)):
        ranks = run("time", replace(case, dtype=dtype, batch=batch, divisor=1, folder=""))
        text = failed = _failure(ranks)
        if not failed:
            rate = batch / max(statistics.median(rank["steps"]) for rank in ranks)
            share = flop * rate / 2 / _peak(getattr(torch, dtype))
            text = f"{rate:,.0f} images/s, on each GPU {100 * share:.0f}% of what large matrix products reach"
        fits_not = "OutOfMemoryError" in failed  # of a batch that is too large nothing follows
        yield not failed or fits_not, "throughput", f"{dtype}, batch {batch}: {text}"


def _peak(dtype: torch.dtype, side: int = 8192) -> float:
    """FLOP a second of products of square matrices on the first GPU."""
    a, b = (torch.randn(side, side, device="cuda:0", dtype=dtype) for _ in range(2))
    return 2 * side**3 / min(check.seconds_of(lambda: torch.mm(a, b), Case(steps=10, device="cuda")))
