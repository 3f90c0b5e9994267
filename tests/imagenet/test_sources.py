"""ImageNet in every layout gives one list; every wrong layout gives a message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alexnet_edu.data.archives import read_file
from alexnet_edu.files import DataError
from alexnet_edu.imagenet.sources import OFFICIAL, TRAIN_TAR, VAL_TAR, Source, class_names, find_source
from tests.imagenet_files import (
    DEVKIT,
    WNIDS,
    devkit_files,
    flat,
    jpeg,
    tar,
    training,
    validation,
    write_folder,
    write_folders,
    write_tars,
)

TRAIN, VAL = training(), validation()
KAGGLE = "ImageId,PredictionString\n" + "".join(
    f"{name.split('/')[1].removesuffix('.JPEG')},{name.split('/')[0]} 1 2 3 4 {name.split('/')[0]} 5 6 7 8\n"
    for name in VAL
)
NAME_WNID = "".join(f"{name.split('/')[1]} {name.split('/')[0]}\n" for name in VAL)
NAME_INDEX = "".join(f"{name.split('/')[1]}\t{WNIDS.index(name.split('/')[0])}\n" for name in VAL)


def contents(source: Source) -> dict[str, dict[str, bytes]]:
    """split -> name -> bytes, in the order of the list."""
    return {split: {e.name: read_file(e.file) for e in entries} for split, entries in source.splits.items()}


def refused(root: Path, truth: Path | None = None) -> str:
    with pytest.raises(DataError) as caught:
        find_source(root, truth)
    return str(caught.value)


def kaggle_folders(root: Path) -> Path:
    inside = root / "ILSVRC" / "Data" / "CLS-LOC"
    write_folder(inside / "train", TRAIN)
    write_folder(inside / "val", flat(VAL))
    write_folder(inside / "test", {"ILSVRC2012_test_00000001.JPEG": b""})
    write_folder(
        root, {"LOC_val_solution.csv": KAGGLE.encode(), "ILSVRC/ImageSets/CLS-LOC/val.txt": b"x 1\n"}
    )
    return root


def flat_with(name: str, data: bytes, where: str = "") -> Callable[[Path], Path]:
    def build(root: Path) -> Path:
        write_folder(root / "train", TRAIN)
        write_folder(root / "val", flat(VAL))
        return write_folder(root, {f"{where}{name}": data})

    return build


def flat_with_kit(root: Path) -> Path:
    write_folder(root, {f"{DEVKIT}/{name}": data for name, data in devkit_files(VAL).items()})
    return flat_with("README.txt", b"")(root)


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "tars": lambda root: write_tars(root, TRAIN, VAL),
    "class folders": lambda root: write_folders(root, TRAIN, VAL),
    "ILSVRC/Data/CLS-LOC": kaggle_folders,
    "flat, unpacked kit": flat_with_kit,
    "flat, Kaggle's table": flat_with("LOC_val_solution.csv", KAGGLE.encode()),
    "flat, name wnid": flat_with("val.txt", NAME_WNID.encode()),
    "flat, name index": flat_with("val_labels.txt", NAME_INDEX.encode()),
    "flat, truth among the images": flat_with("ground_truth.txt", NAME_WNID.encode(), "val/"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_list(tmp_path: Path, layout: str) -> None:
    source = find_source(LAYOUTS[layout](tmp_path / "imagenet"))
    assert contents(source) == {"train": TRAIN, "val": VAL}
    for split, files in (("train", TRAIN), ("val", VAL)):
        assert [e.name for e in source.splits[split]] == sorted(files)
        assert [e.label for e in source.splits[split]] == [
            WNIDS.index(n.split("/")[0]) for n in sorted(files)
        ]
    assert [c.wnid for c in source.classes] == [c.name for c in source.classes] == list(WNIDS)
    assert source.label == "imagenet"
    assert (source.problems, source.notes) == ([], [])
    plain = find_source(write_folders(tmp_path / "plain", TRAIN, VAL))
    assert source.fingerprint() == plain.fingerprint()


@pytest.mark.parametrize("layout", ["tars", "train/ alone", "class folders"])
def test_without_validation_images_it_is_said(tmp_path: Path, layout: str) -> None:
    if layout == "class folders":
        write_folder(tmp_path, TRAIN)
    else:
        (write_tars if layout == "tars" else write_folders)(tmp_path, TRAIN, None)
    source = find_source(tmp_path)
    assert contents(source) == {"train": TRAIN}
    (note,) = source.notes
    assert "no validation images" in note


def test_a_truth_may_be_named(tmp_path: Path) -> None:
    write_folders(tmp_path / "imagenet", TRAIN, None)
    write_folder(tmp_path / "imagenet" / "val", flat(VAL))
    assert "--truth FILE" in refused(tmp_path / "imagenet")
    (tmp_path / "mine.txt").write_text(NAME_WNID)
    assert contents(find_source(tmp_path / "imagenet", tmp_path / "mine.txt"))["val"] == VAL


def test_the_fingerprint_follows_names_and_sizes(tmp_path: Path) -> None:
    before = find_source(write_folder(tmp_path / "a", TRAIN)).fingerprint()
    assert find_source(write_folder(tmp_path / "b", TRAIN)).fingerprint() == before
    name = f"{WNIDS[0]}/{WNIDS[0]}_0.JPEG"
    assert find_source(write_folder(tmp_path / "c", TRAIN | {name: b"x"})).fingerprint() != before
    (tmp_path / "b" / name).rename(tmp_path / "b" / WNIDS[0] / "other.JPEG")
    assert find_source(tmp_path / "b").fingerprint() != before


# --- the classes --------------------------------------------------------------------------


def test_training_and_validation_must_have_the_same_classes(tmp_path: Path) -> None:
    other = {name.replace(WNIDS[0], "n99999999"): data for name, data in VAL.items()}
    message = refused(write_folders(tmp_path, TRAIN, other))
    assert f"{WNIDS[0]} (4 files)" in message
    assert "n99999999 (2 files)" in message


def test_names_in_words_for_exactly_the_classes_of_the_paper() -> None:
    first, last, count = OFFICIAL
    inner = [f"n{1_440_765 + i:08d}" for i in range(count - 2)]
    names = class_names([first, *inner, last])
    assert (len(names), names[0], names[-1]) == (1000, "tench", "toilet tissue")
    assert class_names([first, *inner[1:], last]) == [first, *inner[1:], last]
    assert class_names([first, *["x"] * 998, last])[0] == first
    assert class_names(["cat", "dog"]) == ["cat", "dog"]


def test_another_number_of_files_than_the_paper_s_is_said(tmp_path: Path) -> None:
    first, last, count = OFFICIAL
    wnids = [first, *(f"n{1_440_765 + i:08d}" for i in range(count - 2)), last]
    write_folder(tmp_path, {TRAIN_TAR: tar({f"{w}.tar": tar({f"{w}_0.JPEG": b""}) for w in wnids})})
    assert "The train split has 1,000 files; ILSVRC 2012 has 1,281,167." in find_source(tmp_path).notes


def test_loose_files_are_listed_and_empty_folders_spoken_of(tmp_path: Path) -> None:
    write_folders(tmp_path / "a", TRAIN | {"loose.JPEG": jpeg(1)}, VAL | {"lost.JPEG": jpeg(2)})
    (tmp_path / "a" / "train" / "n07777777").mkdir()
    source = find_source(tmp_path / "a")
    why = "lies in no class folder"
    assert source.problems == [("train", "loose.JPEG", why), ("val", "lost.JPEG", why)]
    assert source.notes == ["Folders without files are no classes: train/ n07777777."]
    inside = {f"{w}.tar": tar({f"{w}_0.JPEG": jpeg(0)}) for w in WNIDS}
    harm = tar(inside | {"readme.txt": b"hello", "../evil": b""})
    source = find_source(write_folder(tmp_path / "b", {TRAIN_TAR: harm}))
    assert [line[:2] for line in source.problems] == [("train", "../evil"), ("train", "readme.txt")]


# --- the ground truth ---------------------------------------------------------------------


def with_truth(tmp_path: Path, text: str, name: str = "truth.txt") -> tuple[Path, Path]:
    root = flat_with("README.txt", b"")(tmp_path / "imagenet")
    (tmp_path / name).write_text(text, encoding="utf-8")
    return root, tmp_path / name


def test_images_that_the_truth_does_not_know_are_listed(tmp_path: Path) -> None:
    lines = NAME_WNID.splitlines()
    source = find_source(*with_truth(tmp_path, "\n".join([*lines[1:], "absent.JPEG n01440764", ""])))
    assert source.problems == [("val", lines[0].split()[0], "is not in the ground truth truth.txt")]
    assert source.notes == ["truth.txt names 1 images that are not there: absent."]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.txt", "", "names no image"),
        ("t.txt", "ILSVRC2012_val_00000001.JPEG\n", "line 1 is 'ILSVRC2012_val_00000001.JPEG'"),
        ("t.txt", "a n01440764\nb 3\n", "line 2 is 'b 3', but there are 3 classes"),
        ("t.txt", "a n01440764\n", "knows none of the 6 validation images"),
        ("t.txt", NAME_WNID.replace(WNIDS[0], "n99999999"), "n99999999"),
        ("t.csv", "ImageId,PredictionString\na\n", "line 2 is 'a'"),
    ],
)
def test_a_truth_that_says_nothing_useful(tmp_path: Path, name: str, text: str, message: str) -> None:
    assert message in refused(*with_truth(tmp_path, text, name))


def test_a_truth_that_is_not_there(tmp_path: Path) -> None:
    root, _ = with_truth(tmp_path, "")
    assert "nowhere.txt" in refused(root, tmp_path / "nowhere.txt")


def test_a_kit_may_be_named_by_its_truth_or_its_folder(tmp_path: Path) -> None:
    root, _ = with_truth(tmp_path, "")
    kit = write_folder(tmp_path / "kit", devkit_files(VAL))
    for truth in (kit, kit / "data" / "ILSVRC2012_validation_ground_truth.txt"):
        assert contents(find_source(root, truth))["val"] == VAL


def test_damaged_kits(tmp_path: Path) -> None:
    root, _ = with_truth(tmp_path, "")
    kit = write_folder(tmp_path / "kit", devkit_files(VAL))
    truth = kit / "data" / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text("1\n77\n")
    assert "line 2 of ILSVRC2012_validation_ground_truth.txt is '77'" in refused(root, kit)
    (kit / "data" / "meta.mat").write_bytes(b"no mat at all")
    assert f"meta.mat of {kit} is damaged" in refused(root, kit)
    truth.unlink()
    assert "holds no ILSVRC2012_validation_ground_truth.txt" in refused(root, kit)
    packed = tmp_path / "kit.tar.gz"
    packed.write_bytes(tar({"other": b""}, mode="w:gz"))
    assert "holds no meta.mat and no ILSVRC2012_validation" in refused(root, packed)
    packed.write_bytes(packed.read_bytes()[:20])
    assert "kit.tar.gz cannot be read" in refused(root, packed)


@pytest.mark.parametrize("name", ["", "x.zip", "empty/", VAL_TAR, "val/n01440764/a.JPEG", "train/n1/a.JPEG"])
def test_wrong_places_are_named(tmp_path: Path, name: str) -> None:
    """Nothing there, a file, an empty folder, validation alone, a single class."""
    root = tmp_path / "imagenet"
    if name.endswith("/"):
        root.mkdir()
    elif name == "x.zip":
        root.write_bytes(b"")
    elif name:
        write_folder(root, {name: b""})
    assert "imagenet" in refused(root)
