"""ImageNet in every layout gives one list; every wrong layout gives a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from alexnet_edu.data.archives import read_file
from alexnet_edu.data.folders import import_images
from alexnet_edu.files import DataError
from alexnet_edu.imagenet.sources import OFFICIAL, TRAIN_TAR, VAL_TAR, Source, class_names, find_source
from tests.imagenet_files import (
    DEVKIT,
    WNIDS,
    devkit_files,
    flat,
    jpeg,
    named_by_wnid,
    tar,
    tar_each_class,
    tar_of_tars,
    tiny_imagenet,
    training,
    under,
    validation,
    write_folder,
    write_folders,
    write_tars,
)

TRAIN, VAL = training(), validation()
TRUTH = {name.split("/")[1]: name.split("/")[0] for name in VAL}  # file name -> wnid
KAGGLE = "ImageId,PredictionString\n" + "".join(
    f"{name.removesuffix('.JPEG')},{wnid} 1 2 3 4 {wnid} 5 6 7 8\n" for name, wnid in TRUTH.items()
)
NAME_WNID = "".join(f"{name} {wnid}\n" for name, wnid in TRUTH.items())
NAME_INDEX = "".join(f"{name}\t{WNIDS.index(wnid)}\n" for name, wnid in TRUTH.items())


CLASSES = under("train", TRAIN) | under("val", VAL)
FLAT = under("train", TRAIN) | under("val", flat(VAL))
LAYOUTS: dict[str, dict[str, bytes]] = {
    "class folders": CLASSES,
    "ILSVRC/Data/CLS-LOC": under("ILSVRC/Data/CLS-LOC", FLAT)
    | {"LOC_val_solution.csv": KAGGLE.encode(), "ILSVRC/ImageSets/CLS-LOC/val.txt": b"x 1\n"},
    "flat, unpacked kit": FLAT | under(DEVKIT, devkit_files(VAL)) | {"README.txt": b""},
    "flat, Kaggle's table": FLAT | {"LOC_val_solution.csv": KAGGLE.encode()},
    "flat, name wnid": FLAT | {"val.txt": NAME_WNID.encode()},
    "flat, name index": FLAT | {"val_labels.txt": NAME_INDEX.encode()},
    "training, validation": under("training", TRAIN) | under("validation", VAL),
    "Train, Val, one folder around": under("m/Train", TRAIN) | under("m/Val", VAL) | {"m/noisy.csv": b"x"},
    "folders named like the tars": under("ILSVRC2012_img_train", TRAIN) | under("ILSVRC2012_img_val", VAL),
    "faces blurred": under("train_blurred", TRAIN) | under("val_blurred", VAL),
    "another folder inside": under("seg_train/seg_train", TRAIN) | under("seg_test/seg_test", VAL),
    "what systems leave": CLASSES | {"train/n01440764/Thumbs.db": b"x", "train/@eaDir/x.JPEG": b"x"},
    "inner tars": under("train", tar_each_class(TRAIN)) | under("val", tar_each_class(VAL)),
    "inner tars, flat": under("train", tar_each_class(TRAIN))
    | {"val/ILSVRC2012_img_val.tar": tar(flat(VAL)), "LOC_val_solution.csv": KAGGLE.encode()},
    "train.tar, val.tar": {"train.tar": tar(under("train", TRAIN)), "val.tar": tar(under("val", VAL))},
    "flat, truth among the images": FLAT | {"val/ground_truth.txt": NAME_WNID.encode()},
}


def contents(source: Source) -> dict[str, dict[str, bytes]]:
    """split -> name -> bytes, in the order of the list."""
    return {split: {e.name: read_file(e.file) for e in entries} for split, entries in source.splits.items()}


def refused(root: Path, truth: Path | None = None) -> str:
    with pytest.raises(DataError) as caught:
        find_source(root, truth)
    return str(caught.value)


@pytest.mark.parametrize("layout", ["tars", *LAYOUTS])
def test_every_layout_gives_the_same_list(tmp_path: Path, layout: str) -> None:
    root = tmp_path / "imagenet"
    source = find_source(
        write_tars(root, TRAIN, VAL) if layout == "tars" else write_folder(root, LAYOUTS[layout])
    )
    assert contents(source) == {"train": TRAIN, "val": VAL}
    for split, files in (("train", TRAIN), ("val", VAL)):
        labels = {name: WNIDS.index(name.split("/")[0]) for name in sorted(files)}
        assert [(e.name, e.label) for e in source.splits[split]] == list(labels.items())
    assert [c.wnid for c in source.classes] == [c.name for c in source.classes] == list(WNIDS)
    assert source.label == "imagenet"
    assert (source.problems, source.notes) == ([], [])
    plain = find_source(write_folder(tmp_path / "plain", CLASSES))
    assert source.fingerprint() == plain.fingerprint()


IN_PARTS = {f"train.X{WNIDS.index(name[:9]) + 1}/{name}": data for name, data in TRAIN.items()}
HALVES = [dict(list(named_by_wnid(TRAIN).items())[start::2]) for start in (0, 1)]
NAMED = {
    split: {f"{name[-14:-5]}/{name}": data for name, data in named_by_wnid(files).items()}
    for split, files in (("train", TRAIN), ("val", VAL))
}
OTHERS: dict[str, tuple[dict[str, bytes], dict[str, dict[str, bytes]], list[str]]] = {
    "several parts": (IN_PARTS | under("val.X", VAL), {"train": TRAIN, "val": VAL}, ["train.X3/"]),
    "wnids in names": (
        under("train", named_by_wnid(TRAIN)) | under("val", named_by_wnid(VAL)) | {"README.md": b""},
        NAMED,
        [],
    ),
    "wnids in names, tars": (
        {f"data/train_images_{i}.tar": tar(half) for i, half in enumerate(HALVES)}
        | {"data/val_images.tar": tar(named_by_wnid(VAL)), "data/test_images.tar": b"not read"}
        | {"classes.py": b""},
        NAMED,
        ["data/train_images_1/", "data/test_images.tar (1 files) is not read"],
    ),
    "the official folder": (
        {TRAIN_TAR: tar_of_tars(TRAIN), VAL_TAR: tar(flat(VAL)), "LOC_val_solution.csv": KAGGLE.encode()}
        | {"ILSVRC2012_img_train_t3.tar": b"not read", "val_images.tar.gz": b"not read"},
        {"train": TRAIN, "val": VAL},
        ["ILSVRC2012_img_train_t3.tar", "val_images.tar.gz"],
    ),
    "tars beside what came out of them": (
        CLASSES | {"train/n01440764.tar": b"not read", TRAIN_TAR: b"not read"},
        {"train": TRAIN, "val": VAL},
        [TRAIN_TAR],
    ),
    "test images without classes": (
        under("ILSVRC/Data/CLS-LOC", CLASSES | {"test/ILSVRC2012_test_00000001.JPEG": b""})
        | {f"ILSVRC/Annotations/CLS-LOC/train/{name}.xml": b"" for name in TRAIN},
        {"train": TRAIN, "val": VAL},
        ["ILSVRC/Data/CLS-LOC/test/ (1 files) is not read"],
    ),
    "Fall 2011": ({"fall11_whole.tar": tar_of_tars(TRAIN)}, {"train": TRAIN}, ["--hold-out 0.05"]),
    "notes beside classes": (TRAIN | {"docs/a.txt": b""}, {"train": TRAIN}, ["--hold-out 0.05"]),
}


@pytest.mark.parametrize("layout", OTHERS)
def test_what_people_have_goes_in_and_the_rest_is_named(tmp_path: Path, layout: str) -> None:
    files, expected, notes = OTHERS[layout]
    source = find_source(write_folder(tmp_path, files))
    assert contents(source) == expected
    assert [c.wnid for c in source.classes] == list(WNIDS)
    assert [part in note for part, note in zip(notes, source.notes, strict=True)] == [True] * len(notes)


@pytest.mark.parametrize("around", ["", "tiny-imagenet-200/"])
def test_tiny_imagenet_as_it_is_downloaded(tmp_path: Path, around: str) -> None:
    files = {f"{around}{name}": data for name, data in tiny_imagenet(TRAIN, VAL).items()}
    source = find_source(write_folder(tmp_path, files))
    images = {
        split: {n: d for n, d in all_.items() if "boxes" not in n} for split, all_ in contents(source).items()
    }
    assert images == {"train": {n.replace("/", "/images/"): d for n, d in TRAIN.items()}, "val": VAL}
    assert source.notes == [f"{around}test/ (1 files) is not read."]


def test_a_tar_of_class_tars_is_a_training_split(tmp_path: Path) -> None:
    write_folder(tmp_path, {"fall11_whole.tar": tar_of_tars(TRAIN)})
    assert contents(find_source(tmp_path / "fall11_whole.tar")) == {"train": TRAIN}


def test_a_share_of_each_class_is_held_out(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "a", TRAIN | {"n03333333/one.JPEG": jpeg(1)})
    source = find_source(root, hold_out=0.5)
    train, val = ({e.name: e.label for e in source.splits[split]} for split in ("train", "val"))
    assert sorted(val.values()) == [0, 0, 1, 1, 2, 2], "the class of one image keeps it"
    assert train.keys() | val.keys() == {e.name for e in find_source(root).splits["train"]}
    assert train.keys().isdisjoint(val)
    prints = [find_source(root, hold_out=share).fingerprint() for share in (None, 0.5, 0.25, 0.5)]
    assert prints[1] == prints[3]
    assert len(set(prints)) == 3
    with pytest.raises(DataError, match="6 validation images"):
        find_source(write_folder(tmp_path / "b", CLASSES), hold_out=0.5)


def test_a_named_truth_is_never_passed_over(tmp_path: Path) -> None:
    """It counts before the folders; and where there is nothing for it, that is an error."""
    turned = {name: WNIDS[(WNIDS.index(wnid) + 1) % 3] for name, wnid in TRUTH.items()}
    (tmp_path / "t.txt").write_text("".join(f"{name} {wnid}\n" for name, wnid in turned.items()))
    source = find_source(write_folder(tmp_path / "a", CLASSES), tmp_path / "t.txt")
    assert {e.name.split("/")[1]: WNIDS[e.label] for e in source.splits["val"]} == turned
    assert "t.txt" in refused(write_folder(tmp_path / "b", TRAIN), tmp_path / "t.txt")


REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "folders of classes": (under("a", TRAIN) | under("b", VAL), "a, b hold the same folders (n01440764,"),
    "further down": (under("amazon/images", TRAIN) | under("dslr/images", VAL), "amazon, dslr hold the same"),
    "several sets": (under("x", CLASSES) | under("y", CLASSES), "several sets of images: x/, y/"),
    "splits without classes": ({"train/1.jpg": b"", "test/2.jpg": b""}, "test, train"),
    "one split only": ({"all.tar": tar_of_tars(TRAIN), VAL_TAR: tar(flat(VAL))}, "ILSVRC2012_img_val, all"),
    "compressed tars": ({"data/train_images_0.tar.gz": b"", "data/README.md": b""}, "gunzip"),
    "parquet": ({f"data/train-0000{i}-of-00294.parquet": b"" for i in range(9)}, "9 files that are not read"),
    "records": ({"train-00000-of-01024": b""}, "train-00000-of-01024"),
    "zips": ({"Imagenet32_train.zip": b""}, "Imagenet32_train.zip"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_understood_is_named(tmp_path: Path, kind: str) -> None:
    files, quoted = REFUSED[kind]
    root = write_folder(tmp_path, files)
    assert quoted in refused(root)
    with pytest.raises(DataError) as caught:
        import_images(root, progress=False)
    assert quoted in str(caught.value)


@pytest.mark.parametrize("layout", ["tars", "train/ alone", "class folders"])
def test_without_validation_images_it_is_said(tmp_path: Path, layout: str) -> None:
    if layout == "class folders":
        write_folder(tmp_path, TRAIN)
    else:
        (write_tars if layout == "tars" else write_folders)(tmp_path, TRAIN, None)
    source = find_source(tmp_path)
    assert contents(source) == {"train": TRAIN}
    assert len(source.notes) == 1


def test_the_fingerprint_follows_names_and_sizes(tmp_path: Path) -> None:
    name = f"{WNIDS[0]}/{WNIDS[0]}_0.JPEG"
    renamed = {("n01440764/other.JPEG" if n == name else n): data for n, data in TRAIN.items()}
    files = {"a": TRAIN, "b": TRAIN, "shorter": TRAIN | {name: b"x"}, "renamed": renamed}
    prints = {key: find_source(write_folder(tmp_path / key, f)).fingerprint() for key, f in files.items()}
    assert prints["a"] == prints["b"]
    assert len(set(prints.values())) == 3


# --- the classes --------------------------------------------------------------------------


def test_training_and_validation_must_have_the_same_classes(tmp_path: Path) -> None:
    other = {name.replace(WNIDS[0], "n99999999"): data for name, data in VAL.items()}
    message = refused(write_folders(tmp_path, TRAIN, other))
    assert f"{WNIDS[0]} (4 files)" in message
    assert "n99999999 (2 files)" in message


def test_names_and_counts_of_exactly_the_classes_of_the_paper(tmp_path: Path) -> None:
    first, last, count = OFFICIAL
    inner = [f"n{1_440_765 + i:08d}" for i in range(count - 2)]
    wnids = [first, *inner, last]
    names = class_names(wnids)
    assert (len(names), names[0], names[-1]) == (1000, "tench", "toilet tissue")
    for others in ([first, *inner[1:], last], [first, *["x"] * 998, last], ["cat", "dog"]):
        assert class_names(others) == others
    write_folder(tmp_path, {TRAIN_TAR: tar({f"{w}.tar": tar({f"{w}_0.JPEG": b""}) for w in wnids})})
    (note,) = [note for note in find_source(tmp_path).notes if "1,281,167" in note]
    assert "1,000" in note


def test_loose_files_are_listed_and_empty_folders_spoken_of(tmp_path: Path) -> None:
    write_folders(tmp_path / "a", TRAIN | {"loose.JPEG": jpeg(1)}, VAL | {"lost.JPEG": jpeg(2)})
    (tmp_path / "a" / "train" / "n07777777").mkdir()
    source = find_source(tmp_path / "a")
    assert [line[:2] for line in source.problems] == [("train", "loose.JPEG"), ("val", "lost.JPEG")]
    assert ["n07777777" in note for note in source.notes] == [True]
    inside = {f"{w}.tar": tar({f"{w}_0.JPEG": jpeg(0)}) for w in WNIDS}
    harm = tar(inside | {"readme.txt": b"hello", "../evil": b""})
    source = find_source(write_folder(tmp_path / "b", {TRAIN_TAR: harm}))
    assert [line[:2] for line in source.problems] == [("train", "../evil"), ("train", "readme.txt")]


# --- the ground truth ---------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Validation images in one folder, and no truth beside them."""
    return write_folder(tmp_path / "imagenet", FLAT)


def test_a_truth_may_be_named(root: Path, tmp_path: Path) -> None:
    """A text file, and a development kit by its folder or its truth."""
    assert "--truth FILE" in refused(root)
    (tmp_path / "mine.txt").write_text(NAME_WNID)
    kit = write_folder(tmp_path / "kit", devkit_files(VAL))
    in_kit = kit / "data" / "ILSVRC2012_validation_ground_truth.txt"
    for truth in (tmp_path / "mine.txt", kit, in_kit):
        assert contents(find_source(root, truth))["val"] == VAL
    assert "nowhere.txt" in refused(root, tmp_path / "nowhere.txt")


def test_images_that_the_truth_does_not_know_are_listed(root: Path, tmp_path: Path) -> None:
    lines = NAME_WNID.splitlines()
    (tmp_path / "truth.txt").write_text("\n".join([*lines[1:], "absent.JPEG n01440764", ""]))
    source = find_source(root, tmp_path / "truth.txt")
    assert [line[:2] for line in source.problems] == [("val", lines[0].split()[0])]
    assert ["absent" in note for note in source.notes] == [True]


@pytest.mark.parametrize(
    ("name", "text", "quoted"),
    [
        ("t.txt", "", "t.txt"),
        ("t.txt", "ILSVRC2012_val_00000001.JPEG\n", "line 1 is 'ILSVRC2012_val_00000001.JPEG'"),
        ("t.txt", "a n01440764\nb 3\n", "line 2 is 'b 3', but there are 3 classes"),
        ("t.txt", "a n01440764\n", "none of the 6 images"),
        ("t.txt", NAME_WNID.replace(WNIDS[0], "n99999999"), "n99999999"),
        ("t.csv", "ImageId,PredictionString\na\n", "line 2 is 'a'"),
    ],
)
def test_a_truth_of_no_use_is_quoted(root: Path, tmp_path: Path, name: str, text: str, quoted: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert quoted in refused(root, tmp_path / name)


def test_damaged_kits(root: Path, tmp_path: Path) -> None:
    kit = write_folder(tmp_path / "kit", devkit_files(VAL))
    truth = kit / "data" / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text("1\n77\n")
    assert "line 2 of ILSVRC2012_validation_ground_truth.txt is '77'" in refused(root, kit)
    (kit / "data" / "meta.mat").write_bytes(b"no mat at all")
    assert f"meta.mat of {kit}" in refused(root, kit)
    truth.unlink()
    assert truth.name in refused(root, kit)
    packed = tmp_path / "kit.tar.gz"
    packed.write_bytes(tar({"other": b""}, mode="w:gz"))
    assert "meta.mat" in refused(root, packed)
    packed.write_bytes(packed.read_bytes()[:20])
    assert packed.name in refused(root, packed)


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
