"""Which images an experiment gets: real CIFAR-10, a download, or the stand-in.

1. The packed CIFAR-10 in the data folder, however it got there.
2. Otherwise, where someone sits before the screen, a download.
3. Otherwise the synthetic stand-in, with one line that says why and what to type.

At scale `quick` it is always a small stand-in, so that what tests and saved outputs show
never depends on which data a machine has.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import urllib.error
from dataclasses import dataclass
from pathlib import Path

from alexnet_edu.data.folders import CIFAR10_CLASSES, CIFAR10_COUNTS, import_images
from alexnet_edu.data.images import ImageSet, PackInfo, load_pack, pack_info, save_pack
from alexnet_edu.data.official import read_official
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.environment import ROOT, check_scale, current_scale, in_checkout
from alexnet_edu.files import PARTIAL, DataError

FOLDER_VARIABLE = "ALEXNET_EDU_DATA"
RUNS_VARIABLE = "ALEXNET_EDU_RUNS"
OFFLINE_VARIABLE = "ALEXNET_EDU_OFFLINE"
HOME = Path.home() / ".alexnet-edu"
CIFAR10_NAME = "cifar10"
TIMEOUT_SECONDS = 20  # without a word from the server
STAND_IN = {"quick": (2_000, 500), "other": (10_000, 2_000)}  # train, test

_failed_download: str | None = None  # why; so that one session waits for a dead network once


# --- where things are --------------------------------------------------------------------


def data_dir() -> Path:
    """The folder for data: ALEXNET_EDU_DATA, else the checkout's, else one in the home folder.

    It need not exist yet. Raises DataError when the variable names something else.
    """
    if chosen := os.environ.get(FOLDER_VARIABLE, ""):
        path = Path(chosen).expanduser()
        if path.exists() and not path.is_dir():
            raise DataError(f"{FOLDER_VARIABLE}={chosen!r} is not a folder. Name one, or unset it.")
        return path
    return ROOT / "data" if in_checkout() else HOME


def runs_dir() -> Path:
    """The folder for runs and checkpoints: ALEXNET_EDU_RUNS, else one of this user's own.

    That is the checkout's `data/runs` where it can be written, else one in the home folder;
    never ALEXNET_EDU_DATA, which a whole class may share. It need not exist yet.
    """
    if chosen := os.environ.get(RUNS_VARIABLE, ""):
        return Path(chosen).expanduser()
    mine = in_checkout() and os.access(ROOT / "data", os.W_OK)
    return (ROOT / "data" if mine else HOME) / "runs"


def pack_path(name: str = CIFAR10_NAME) -> Path:
    """Where the pack of that name is, or would be."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise DataError(f"{name!r} is not the name of a pack; names look like {CIFAR10_NAME!r}.")
    return data_dir() / "packs" / f"{name}.safetensors"


# --- the policy ---------------------------------------------------------------------------


def load_cifar10(scale: str | None = None) -> ImageSet:
    """CIFAR-10, or the stand-in where it cannot be had (`.synthetic` tells which).

    scale: one of `environment.SCALES`; None takes the current one. At "quick" the result is the
        small stand-in (2,000 and 500 images), whatever is on disk, and nothing is said.

    It is fetched only where someone can watch (a notebook or a terminal), never with ALEXNET_EDU_OFFLINE set.
    Prints one line to stderr when the stand-in (10,000 and 2,000 images) had to do.
    Raises DataError when there is a pack but it is damaged: that is not passed over.
    """
    scale = current_scale() if scale is None else check_scale(scale)
    if scale == "quick":
        return synthetic_images(*STAND_IN["quick"])
    if pack_path().exists():
        return load_pack(pack_path())
    global _failed_download
    if _may_download():
        try:
            return load_pack(download_cifar10())
        except DataError as error:
            _failed_download = str(error).split(". ")[0]
    why = _failed_download or "there is no CIFAR-10 in the data folder"
    print(
        f"Using the synthetic stand-in: {why}. For the real images type `alexnet-edu data cifar10` "
        "(download) or `alexnet-edu data import PATH` (a folder or zip that you have).",
        file=sys.stderr,
    )
    return synthetic_images(*STAND_IN["other"])


def load_images(name: str) -> ImageSet:
    """Any imported pack by its name, as `alexnet-edu data status` lists it.

    Raises DataError, with the names there are, when there is none so called.
    """
    path = pack_path(name)
    if not path.exists():
        there = sorted(p.stem for p in path.parent.glob("*.safetensors"))
        raise DataError(
            f"There is no pack {name!r}; there are: {', '.join(there) or 'none'}. "
            "`alexnet-edu data import PATH` makes one."
        )
    return load_pack(path)


def _may_download() -> bool:
    if os.environ.get(OFFLINE_VARIABLE) or _failed_download is not None:
        return False
    return "ipykernel" in sys.modules or hasattr(sys, "ps1") or sys.stderr.isatty()


# --- getting CIFAR-10 ---------------------------------------------------------------------


def download_cifar10() -> Path:
    """Fetches the official CIFAR-10 (170 MB), checks its hashes, packs it; the pack's path.

    A pack that is there already is left alone. An interrupted call can simply be repeated:
    a download that is whole is not fetched again, one that was cut short is. Shows a
    progress bar. Raises DataError, with what to do instead, when it cannot be fetched.
    """
    from torchvision.datasets import CIFAR10  # type: ignore[import-untyped]  # takes seconds
    from torchvision.datasets.utils import download_url  # type: ignore[import-untyped]

    path = pack_path()
    if path.exists():
        pack_info(path)  # raises where it is damaged
        return path
    folder = data_dir() / "downloads"
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        download_url(CIFAR10.url, folder, CIFAR10.filename, CIFAR10.tgz_md5)
    except (urllib.error.URLError, OSError, RuntimeError, RecursionError) as error:
        raise DataError(
            f"CIFAR-10 could not be downloaded ({connection_fault(error) or error}). Try again when there is "
            "a network and 400 MB of free disk; or get the images any other way, as the official archive, or "
            "a folder or zip of train/<class>/… and test/<class>/…, and type `alexnet-edu data import PATH`. "
            "Until then everything runs on the synthetic stand-in."
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    images = read_official(folder / CIFAR10.filename)
    assert images is not None  # its MD5 was compared
    save_pack(images, path)
    (folder / CIFAR10.filename).unlink(missing_ok=True)
    return path


def connection_fault(error: Exception) -> str | None:
    """What went wrong with the connection, without an address; None where the error is another."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it holds the connection
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"no connection: {error.reason}"
    if isinstance(error, TimeoutError):
        return f"no answer for {TIMEOUT_SECONDS} seconds"
    return None


# --- what the command line calls ------------------------------------------------------------


def run_download() -> str:
    """`alexnet-edu data cifar10`: fetches and packs; says in words what is there now."""
    there = pack_path().exists()
    info = pack_info(download_cifar10())
    return ("CIFAR-10 is there already: " if there else "Packed: ") + info.text()


def run_import(
    path: Path, *, size: int | None = 32, force: bool = False, seed: int = 0, progress: bool = True
) -> str:
    """`alexnet-edu data import PATH`: imports, packs, and returns the report for the terminal.

    Ten classes named like those of CIFAR-10 at 32 × 32 become the pack that notebooks use;
    anything else becomes a pack named after the folder or zip. Importing the same images
    again changes nothing; other images replace a pack only with `force`.
    Raises DataError as `import_images` and `save_pack` do, and when a pack is in the way.
    """
    report = import_images(Path(path), size=size, seed=seed, progress=progress)
    name = _pack_name(report.images, Path(path))
    target = pack_path(name)
    lines = [report.text()]
    if name == CIFAR10_NAME and (len(report.images.train), len(report.images.test)) != CIFAR10_COUNTS:
        lines.append(
            f"The classes are CIFAR-10's but the counts are not ({CIFAR10_COUNTS[0]:,} and "
            f"{CIFAR10_COUNTS[1]:,}): results will not be comparable with the recorded ones."
        )
    if not force and target.exists():
        old = pack_info(target)
        if old.fingerprints == (report.images.train.fingerprint(), report.images.test.fingerprint()):
            return "\n".join([*lines, f"These images are packed already: {target}."])
        raise DataError(
            f"{target} exists and holds other images ({old.text()}). Add --force to replace them."
        )
    save_pack(report.images, target)
    use = "load_cifar10()" if name == CIFAR10_NAME else f"load_images({name!r})"
    return "\n".join([*lines, f"Packed: {target} ({target.stat().st_size / 1e6:.0f} MB); read by {use}."])


def _pack_name(images: ImageSet, path: Path) -> str:
    if images.train.classes == CIFAR10_CLASSES and images.train.pixels.shape[2:] == (32, 32):
        return CIFAR10_NAME
    stem = re.sub(r"\.(zip|tar|tar\.gz|tgz)$", "", path.resolve().name, flags=re.IGNORECASE)
    name = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._") or "images"
    return f"{name}-images" if name == CIFAR10_NAME else name


@dataclass(frozen=True)
class DataStatus:
    """What data is where.

    folder: the data folder. reason: why that one. free: bytes free there.
    packs: those that can be read. problems: a sentence for each thing that is not right.
    """

    folder: Path
    reason: str
    free: int
    packs: tuple[PackInfo, ...]
    problems: tuple[str, ...]

    @property
    def has_cifar10(self) -> bool:
        """Whether experiments at laptop scale and above will see real images."""
        return any(p.path.stem == CIFAR10_NAME for p in self.packs)

    @property
    def damaged_cifar10(self) -> bool:
        """Whether there is a pack of CIFAR-10 that cannot be read, so that experiments stop."""
        return not self.has_cifar10 and (self.folder / "packs" / f"{CIFAR10_NAME}.safetensors").exists()

    def text(self) -> str:
        """For a terminal: several lines, no line break at the end."""
        lines = [f"Data folder: {self.folder} ({self.reason}; {self.free / 1e9:.1f} GB free)"]
        lines.extend(f"  {p.path.stem}: {p.text()}" for p in self.packs)
        if self.damaged_cifar10:
            lines.append("  The CIFAR-10 that is here is damaged: experiments stop until it is mended.")
        elif not self.has_cifar10:
            lines.append(
                "  No CIFAR-10: experiments use the synthetic stand-in. Type `alexnet-edu data cifar10` "
                "(download, 170 MB) or `alexnet-edu data import PATH`."
            )
        return "\n".join([*lines, *(f"  Problem: {p}" for p in self.problems)])


def status() -> DataStatus:
    """Looks at the data folder, reading only the heads of packs (milliseconds)."""
    folder = data_dir()
    packs, problems = [], []
    for path in sorted((folder / "packs").glob("*.safetensors")):
        try:
            packs.append(pack_info(path))
        except DataError as error:
            problems.append(str(error))
    for partial in sorted((folder / "packs").glob(f"*{PARTIAL}*")):
        problems.append(
            f"{partial} is being written, or was left by a write that was killed; it is never read."
        )
    existing = next(p for p in (folder, *folder.resolve().parents) if p.exists())
    place = "in the checkout" if folder == ROOT / "data" else "in the home folder"
    reason = FOLDER_VARIABLE if os.environ.get(FOLDER_VARIABLE) else place
    return DataStatus(folder, reason, shutil.disk_usage(existing).free, tuple(packs), tuple(problems))
