"""Damaged files: each is refused by its name, or read as it was written; never read as something else.

    python benchmarks/damage.py [--files 1000] [--seed 0]

Writes a file of each kind that the package reads back, harms a copy of it (cut short, a bit flipped, a
range zeroed, bytes added or taken out) and reads that as the package does. The last lines are figures: how
many were refused, how many were read right, and how many wrong, which ends with an error.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simplejpeg
import torch
from safetensors.torch import load_file

from alexnet_edu.data.images import load_pack, save_pack
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.environment import weights_dir
from alexnet_edu.files import DataError, checked, read_json, write_json, write_tensors
from alexnet_edu.imagenet.prepare import prepare
from alexnet_edu.imagenet.prepared import open_prepared, verify
from alexnet_edu.studies.networks import load_weights
from alexnet_edu.training import checkpoint

Draws = random.Random


# --- harms ------------------------------------------------------------------------------------


def cut_short(data: bytearray, draws: Draws) -> bytearray:
    return data[: draws.randrange(len(data))]


def bit_flipped(data: bytearray, draws: Draws) -> bytearray:
    data[_place(data, draws)] ^= 1 << draws.randrange(8)
    return data


def range_zeroed(data: bytearray, draws: Draws) -> bytearray:
    start = _place(data, draws)
    stop = min(len(data), start + draws.choice((1, 16, 512, 4096)))
    data[start:stop] = bytes(stop - start)
    return data


def bytes_added(data: bytearray, draws: Draws) -> bytearray:
    start = draws.choice((_place(data, draws), len(data)))
    return data[:start] + draws.randbytes(draws.choice((1, 100))) + data[start:]


def bytes_lost(data: bytearray, draws: Draws) -> bytearray:
    start = _place(data, draws)
    return data[:start] + data[start + draws.choice((1, 100)) :]


def _place(data: bytearray, draws: Draws) -> int:
    """Half of the time in the first kilobyte, where the head is."""
    return draws.randrange(min(len(data), draws.choice((1024, len(data)))))


HARMS = (cut_short, bit_flipped, range_zeroed, bytes_added, bytes_lost)


# --- files ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A file, and what it means to whoever reads it: to be compared."""

    path: Path
    read: Callable[[], Any]


def kinds(folder: Path) -> dict[str, Kind]:
    """One of each kind, written in `folder`."""
    tensors = {"model.w": torch.arange(3000.0).reshape(30, 100), "velocity.w": torch.ones(30, 100)}
    saved, weights, pack, plain = (folder / name for name in ("checkpoint", "weights", "pack", "plain.json"))
    checkpoint.save(saved, tensors, {"step": 7, "errors": [0.25, 0.5]})
    shutil.copy(weights_dir() / "stand-in.safetensors", weights)
    metadata = checked(weights)[1]
    write_tensors(weights, {k: t.numpy() for k, t in load_file(weights).items()}, metadata, sealed=True)
    save_pack(synthetic_images(20, 10), pack)
    write_json(plain, {"numbers": list(range(100)), "text": "words"}, sealed=True)
    prepared = _prepared(folder)
    found = {
        "checkpoint": Kind(saved, lambda: _contents(saved)),
        "weights": Kind(weights, lambda: _weights(weights)),
        "image pack": Kind(pack, lambda: _pack(pack)),
        "JSON": Kind(plain, lambda: read_json(plain, sealed=True)),
    }
    for name in ("train-00000.safetensors", "statistics.safetensors", "manifest.json"):
        found[f"prepared {name}"] = Kind(prepared / name, lambda: _prepared_set(prepared))
    return found


def _prepared(folder: Path) -> Path:
    for i in range(12):
        path = folder / "source" / ("val" if i % 3 == 2 else "train") / f"n{i % 2:08d}" / f"{i}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(
            0, 256, (4, 5, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(i)
        )
        large = pixels.repeat_interleave(70, 0).repeat_interleave(60, 1)
        path.write_bytes(simplejpeg.encode_jpeg(large.numpy(), 90))
    prepare(folder / "source", folder / "prepared", workers=1, progress=False)
    return folder / "prepared"


def _contents(path: Path) -> Any:
    saved = checkpoint.load(path)
    return saved.state, checkpoint.fingerprint(saved.tensors)


def _weights(path: Path) -> Any:
    network = load_weights(path)
    tensors = {**network.stages.state_dict(), "mean": network.prepare.mean}  # type: ignore[attr-defined]
    kept = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    return network.title, network.classes, dict(network.facts), checkpoint.fingerprint(kept)


def _pack(path: Path) -> Any:
    images = load_pack(path)
    return [
        (each.classes, each.source, each.synthetic, each.fingerprint())
        for each in (images.train, images.test)
    ]


def _prepared_set(root: Path) -> Any:
    opened = open_prepared(root)
    if problems := verify(root):
        raise DataError(problems[0])
    return opened.manifest


# --- the campaign -----------------------------------------------------------------------------


def outcome(
    kind: Kind, whole: bytes, right: Any, harm: Callable[[bytearray, Draws], bytearray], draws: Draws
) -> str:
    """ "refused", "read right", "read WRONG", or what was raised that does not name the file."""
    kind.path.write_bytes(harm(bytearray(whole), draws))
    try:
        return "read right" if kind.read() == right else "read WRONG"
    except DataError as error:
        return "refused" if kind.path.name in str(error) else f"nameless: {error}"
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"
    finally:
        kind.path.write_bytes(whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.files < 1:
        parser.error(f"--files must be at least 1, got {options.files}")
    draws, tally = Draws(options.seed), Counter[tuple[str, str, str]]()
    with tempfile.TemporaryDirectory() as name:
        there = kinds(Path(name))
        wholes = {kind: (each.path.read_bytes(), each.read()) for kind, each in there.items()}
        for i in range(options.files):
            kind, harm = list(there)[i % len(there)], draws.choice(HARMS)
            tally[kind, harm.__name__, outcome(there[kind], *wholes[kind], harm, draws)] += 1
    for (kind, harm, what), count in sorted(tally.items()):
        print(f"{kind:32} {harm.replace('_', ' '):14} {count:4d} {what}")
    totals = Counter[str]()
    for (_, _, what), count in tally.items():
        totals[what if what in ("refused", "read right") else "wrong"] += count
    for what in ("refused", "read right", "wrong"):
        print(f"figure {what.replace(' ', '_')} {totals[what]}")
    if totals["wrong"]:
        raise SystemExit("a damaged file was not recognized")


if __name__ == "__main__":
    main()
