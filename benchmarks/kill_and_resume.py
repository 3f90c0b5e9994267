"""SIGKILL at random moments: whatever is hit, the training that goes on ends with the same bits.

    python benchmarks/kill_and_resume.py [--kills 20] [--parallel single] [--seed 0]

Trains a narrow network for some steps once without interruption, and then again and again killing
it after a random time: while it starts, in the middle of a step, while a checkpoint is being written
(one after every step), while it judges. Each time the same command resumes it. The preparation before
it is killed as well; its images are real photographs where `ALEXNET_EDU_REAL_IMAGES` names
a folder with some, else generated ones. Runs on processors, where the bits are the same again.

Most killed trainings go on under another name of the machine, or on another machine: process.json is
rewritten as that one would find it. What was heard of elsewhere just now must be refused; --force goes on.

The last lines are figures: kills, how many hit what, and the largest difference at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch

from alexnet_edu.files import PARTIAL
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet import runs

SETTINGS = ("--narrow", "16", "--batch-size", "16", "--rate", "0.003", "--precision", "float32")
OFTEN = (
    "--save-every",
    "1",
    "--log-every",
    "1",
    "--rehearsal-steps",
    "0",
    "--workers",
    "1",
    "--device",
    "cpu",
)
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
LIMIT_S = 900
PLACES = HERE, RENAMED, LONG_AGO, JUST_NOW = (
    "here",
    "here, under another name",
    "elsewhere, two minutes ago",
    "elsewhere, just now: refused, then forced",
)


@dataclass
class Tally:
    """kills: how many hit what. moved: where the training went on."""

    kills: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)


def command(data: Path, folder: Path, parallel: str, epochs: float) -> list[str]:
    launch = [] if parallel == "single" else list(TWO)
    head = [sys.executable, *launch, "-m", "alexnet_edu.cli", "train", "--parallel", parallel]
    where = ["--data", str(data), "--folder", str(folder), "--epochs", str(epochs), "--resume", "auto"]
    return [*head, *where, *SETTINGS, *OFTEN]


def start(words: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, env=environment, start_new_session=True, **pipes)  # type: ignore[call-overload]


def kill(process: subprocess.Popen[bytes]) -> None:
    """It and all that it has started; torchrun's processes are in groups of their own."""
    for pid in descendants(process.pid):
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(pid, signal.SIGKILL)
    process.wait()
    if process.stderr is not None:
        process.stderr.close()


def descendants(pid: int) -> list[int]:
    """The process itself first, then its children and theirs; Linux only."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def finished(process: subprocess.Popen[bytes]) -> None:
    _, error = process.communicate(timeout=LIMIT_S)
    if process.returncode != 0:
        raise SystemExit(f"it ended with {process.returncode}:\n{error.decode(errors='replace')}")


# --- preparing --------------------------------------------------------------------------------


def sources(folder: Path, images: int) -> Path:
    """Class folders of JPEGs, real ones if there are any: (train, val) of a few classes."""
    given = os.environ.get("ALEXNET_EDU_REAL_IMAGES")
    archive = Path(given or "") / "imagenet-samples.zip"
    if given and archive.exists():
        with zipfile.ZipFile(archive) as opened:
            names = [n for n in opened.namelist() if n.lower().endswith((".jpg", ".jpeg"))][:images]
            for i, name in enumerate(names):
                _put(folder, i, opened.read(name))
        return folder
    import simplejpeg

    generator = torch.Generator().manual_seed(0)
    for i in range(images):
        coarse = torch.rand(1, 3, 8, 8, generator=generator) * 255
        picture = torch.nn.functional.interpolate(coarse, size=(300, 400), mode="bilinear")[0]
        rows = picture.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        _put(folder, i, simplejpeg.encode_jpeg(rows, 90))
    return folder


def _put(folder: Path, i: int, data: bytes) -> None:
    split = "val" if i % 6 == 5 else "train"
    path = folder / split / f"n{i // 6 % 5:08d}" / f"{i}.JPEG"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def prepare(
    source: Path, target: Path, draws: random.Random, kills: int, tally: Tally, whole_s: float = 0.0
) -> float:
    """Prepares with so many kills on the way, then to the end, which took so many seconds.

    whole_s: seconds that an uninterrupted preparation takes.
    """
    call = "import sys; from pathlib import Path; from alexnet_edu.imagenet.prepare import prepare; "
    call += "prepare(Path(sys.argv[1]), Path(sys.argv[2]), workers=1, shard_images=4, progress=False)"
    words = [sys.executable, "-c", call, str(source), str(target)]  # the command, with smaller files
    for _ in range(kills):
        process = start(words)
        try:
            process.wait(timeout=draws.uniform(0.2, 1.0) * whole_s)
        except subprocess.TimeoutExpired:
            begun = bool(list(target.glob("*.safetensors*")))
            tally.kills["preparation" if begun else "preparation, before its first file"] += 1
        kill(process)
    began = time.monotonic()
    finished(start(words))
    return time.monotonic() - began


# --- training ---------------------------------------------------------------------------------


def interrupted(words: list[str], folder: Path, draws: random.Random, kills: int, tally: Tally) -> None:
    """Starts and kills until so many kills have hit a running training, then lets it end."""
    done, more = 0, list[str]()
    while done < kills:
        old = set(half_written(folder))  # left by an earlier kill
        process = start([*words, *more])
        before = len(run_log.read(folder / run_log.METRICS))
        _until_something_happens(process, folder, before, draws, old)
        if process.poll() is not None:  # it was quicker than the kill
            finished(process)
            return
        kill(process)
        tally.kills[_hit(folder, old)] += 1
        place = PLACES[done % len(PLACES)]
        more = moved(words, folder, place)
        tally.moved[place] += 1
        done += 1
    finished(start([*words, *more]))


def moved(words: list[str], folder: Path, place: str) -> list[str]:
    """Makes the killed training one of another place, and gives the options with which it goes on here."""
    path = folder / runs.PROCESS
    if place == HERE or not path.exists():
        return []
    process = json.loads(path.read_text())
    elsewhere = {} if place == RENAMED else {"machine": "another"}
    path.write_text(json.dumps(process | {"host": "another-name"} | elsewhere))
    if place == LONG_AGO:
        then = time.time() - runs.SILENT_S - 1
        os.utime(path, (then, then))
    if place != JUST_NOW:
        return []
    refused = start(words)
    _, error = refused.communicate(timeout=LIMIT_S)
    if refused.returncode == 0 or b"another-name" not in error:
        raise SystemExit(f"a training that may live elsewhere was not refused:\n{error.decode()}")
    return [runs.FORCE]


def _until_something_happens(
    process: subprocess.Popen[bytes], folder: Path, before: int, draws: random.Random, old: set[Path]
) -> None:
    """Waits for a few new lines of the log, so that most kills hit the training and not its start."""
    wanted = before + draws.choice((0, 1, 2, 3, 4))
    began = time.monotonic()
    while process.poll() is None and len(run_log.read(folder / run_log.METRICS)) < wanted:
        time.sleep(0.005)
        if time.monotonic() - began > LIMIT_S:
            raise SystemExit("nothing happened for too long")
        if wanted - before <= 0 and time.monotonic() - began > 0.5:
            return
    if draws.random() < 0.5:  # half of the time: wait for a checkpoint that is being written
        while process.poll() is None and not set(half_written(folder)) - old:
            if time.monotonic() - began > LIMIT_S:
                raise SystemExit("no checkpoint was written for too long")
    else:
        time.sleep(draws.uniform(0.0, 0.4))


def half_written(folder: Path) -> list[Path]:
    """Checkpoints that a writer has not finished, or was killed at."""
    return list(folder.glob(f"*{PARTIAL}*"))


def _hit(folder: Path, old: set[Path]) -> str:
    """What the kill interrupted, from what it left behind."""
    if set(half_written(folder)) - old:
        return "a checkpoint being written"
    rows = run_log.read(folder / run_log.METRICS)
    last = rows[-1]["kind"] if rows else "nothing"
    return {"start": "the first step", "step": "saving, or judging", "checkpoint": "a step"}.get(last, last)


def difference(a: Path, b: Path) -> float:
    """The largest over all weights and velocities of the last and the best; all else must be equal."""
    (one, _), (two, _) = checkpoints.newest(a), checkpoints.newest(b)
    if one is None or two is None:
        raise SystemExit("a run has left no checkpoint")
    best = [checkpoints.load(folder / checkpoints.BEST) for folder in (a, b)]
    pairs = ((one, two), best)
    for x, y in pairs:
        for name in ("step", "evaluations", "recipe"):
            if x.state[name] != y.state[name]:
                raise SystemExit(f"{name} differs: {x.state[name]} and {y.state[name]}")
    return max(float((x.tensors[k] - y.tensors[k]).abs().max()) for x, y in pairs for k in x.tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--parallel", choices=("single", "columns", "data"), default="single")
    parser.add_argument("--epochs", type=float, default=14)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draws, tally = random.Random(options.seed), Tally()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = sources(root / "source", options.images)
        whole_s = prepare(source, root / "whole", draws, 0, tally)
        in_preparation = min(5, options.kills // 4)
        prepare(source, root / "killed", draws, in_preparation, tally, whole_s)
        same = _checksums(root / "whole") == _checksums(root / "killed")
        finished(start(command(root / "whole", root / "run", options.parallel, options.epochs)))
        words = command(root / "killed", root / "killed run", options.parallel, options.epochs)
        interrupted(words, root / "killed run", draws, options.kills - in_preparation, tally)
        largest = difference(root / "run", root / "killed run")
    for what, count in sorted(tally.kills.items()):
        print(f"killed {count:3d} times: {what}")
    for place, count in sorted(tally.moved.items()):
        print(f"went on {count:3d} times: {place}")
    print(f"prepared files equal: {same}")
    print(f"figure kills {sum(tally.kills.values())}")
    print(f"figure largest_difference {largest:g}")
    if largest or not same:
        raise SystemExit("the bits differ")


def _checksums(folder: Path) -> list[str]:
    manifest = json.loads((folder / "manifest.json").read_text())
    return [shard["sha256"] for split in manifest["splits"].values() for shard in split["shards"]]


if __name__ == "__main__":
    main()
