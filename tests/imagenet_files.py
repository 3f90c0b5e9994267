"""ImageNet in small: a few generated JPEGs in every form in which the real one comes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

WNIDS = ("n01440764", "n01443537", "n02105855")
DEVKIT = "ILSVRC2012_devkit_t12"


def picture(seed: int, size: tuple[int, int] = (48, 40), mode: str = "RGB") -> PilImage.Image:
    """A smooth picture of its own colours. size: width and height."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return PilImage.fromarray(coarse).resize(size, PilImage.Resampling.BILINEAR).convert(mode)


def encoded(image: PilImage.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(seed: int, size: tuple[int, int] = (48, 40), **options: object) -> bytes:
    return encoded(picture(seed, size), **options)


def training(each: int = 4) -> dict[str, bytes]:
    """ "<wnid>/<wnid>_<number>.JPEG" -> bytes, `each` of every class."""
    return {
        f"{wnid}/{wnid}_{i}.JPEG": jpeg(100 * c + i, (40 + 7 * i, 52 - 5 * i))
        for c, wnid in enumerate(WNIDS)
        for i in range(each)
    }


def validation() -> dict[str, bytes]:
    """The same for six validation images, whose order of names is not that of their classes."""
    return {f"{WNIDS[(2 * k) % 3]}/ILSVRC2012_val_{k:08d}.JPEG": jpeg(900 + k) for k in range(1, 7)}


def flat(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same files without their class folders."""
    return {name.rsplit("/", 1)[-1]: data for name, data in files.items()}


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def tar(files: Mapping[str, bytes], kind: int = tarfile.GNU_FORMAT, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=kind) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_of_tars(files: Mapping[str, bytes], kind: int = tarfile.GNU_FORMAT) -> bytes:
    return tar(tar_each_class(files, kind), kind)


def tar_each_class(files: Mapping[str, bytes], kind: int = tarfile.GNU_FORMAT) -> dict[str, bytes]:
    """ "<wnid>.tar" -> its images, as the official tar of training images holds them."""
    classes: dict[str, dict[str, bytes]] = {}
    for name, data in files.items():
        wnid, base = name.split("/")
        classes.setdefault(wnid, {})[base] = data
    return {f"{wnid}.tar": tar(inside, kind) for wnid, inside in classes.items()}


def named_by_wnid(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """As Hugging Face kept them: no class folders, the wnid at the end of each name."""
    return {
        f"{name.split('/')[1].removesuffix('.JPEG')}_{name.split('/')[0]}.JPEG": data
        for name, data in files.items()
    }


def tiny_imagenet(train: Mapping[str, bytes], val: Mapping[str, bytes]) -> dict[str, bytes]:
    """As Stanford's zip unpacks."""
    images = {f"train/{name.replace('/', '/images/')}": data for name, data in train.items()}
    boxes = {f"train/{wnid}/{wnid}_boxes.txt": b"x.JPEG\t0\t0\t63\t63\n" for wnid in WNIDS}
    lines = "".join(f"{name.split('/')[1]}\t{name.split('/')[0]}\t0\t32\t44\t62\n" for name in val)
    heap = {f"val/images/{name}": data for name, data in flat(val).items()}
    others = {"val/val_annotations.txt": lines.encode(), "test/images/test_0.JPEG": jpeg(5), "wnids.txt": b""}
    return images | boxes | heap | others


def under(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in files.items()}


def devkit_files(val: Mapping[str, bytes]) -> dict[str, bytes]:
    """meta.mat and the ground truth, with the kit's own numbers: not the order of the wnids."""
    from scipy.io import savemat  # type: ignore[import-untyped]

    numbers = {wnid: number for number, wnid in zip((2, 3, 1), WNIDS, strict=True)}
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children"]
    rows = [(numbers[w], w, f"words of {w}", "gloss", 0) for w in WNIDS] + [(4, "n00001740", "entity", "", 3)]
    synsets = np.array(rows, dtype=[(name, object) for name in fields])
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets.reshape(-1, 1)})
    lines = [str(numbers[name.split("/")[0]]) for name in sorted(val, key=lambda name: name.split("/")[1])]
    return {
        "data/meta.mat": meta.getvalue(),
        "data/ILSVRC2012_validation_ground_truth.txt": ("\n".join(lines) + "\n").encode(),
    }


def write_tars(root: Path, train: Mapping[str, bytes], val: Mapping[str, bytes] | None) -> Path:
    """The three official files."""
    files = {"ILSVRC2012_img_train.tar": tar_of_tars(train)}
    if val is not None:
        kit = {f"{DEVKIT}/{name}": data for name, data in devkit_files(val).items()}
        files["ILSVRC2012_img_val.tar"] = tar(flat(val))
        files[f"{DEVKIT}.tar.gz"] = tar(kit, mode="w:gz")
    return write_folder(root, files)


def write_folders(root: Path, train: Mapping[str, bytes], val: Mapping[str, bytes] | None) -> Path:
    """train/<wnid>/… and val/<wnid>/…."""
    splits = {"train": train, "val": val or {}}
    return write_folder(
        root, {f"{s}/{name}": data for s, files in splits.items() for name, data in files.items()}
    )


def damaged_files(count: int) -> dict[str, bytes]:
    """Cut short, bits flipped, heads overwritten, bytes taken out or put in; the same every time."""
    rng = np.random.default_rng(2012)
    wholes = [jpeg(i, (24 + i, 20), progressive=i % 3 == 0) for i in range(5)]
    wholes.append(encoded(picture(6, (24, 24)), "PNG"))
    files = {}
    for k in range(count):
        data = bytearray(wholes[k % len(wholes)])
        at = int(rng.integers(0, len(data)))
        if k % 5 == 0:
            del data[at:]
        elif k % 5 == 1:
            for place in rng.integers(0, len(data), int(rng.integers(1, 20))):
                data[place] ^= 1 << int(rng.integers(8))
        elif k % 5 == 2:
            length = int(rng.integers(1, 40))
            data[:length] = rng.bytes(length)
        elif k % 5 == 3:
            del data[at : at + int(rng.integers(1, 60))]
        else:
            data[at:at] = rng.bytes(int(rng.integers(1, 60)))
        files[f"{WNIDS[k % 3]}/{k:04d}.JPEG"] = bytes(data)
    return files
