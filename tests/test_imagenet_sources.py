"""ImageNet in every layout gives one list; every wrong layout gives a message."""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from alexnet_edu.data.decode import UnreadableFile
from alexnet_edu.files import DataError
from alexnet_edu.imagenet.sources import (
    OFFICIAL,
    TRAIN_TAR,
    VAL_TAR,
    Entry,
    Source,
    SourceChanged,
    class_names,
    find_source,
    read_entry,
)
from alexnet_edu.imagenet.tars import TarListing, flat_tar
from tests.imagenet_files import (
    DEVKIT,
    WNIDS,
    devkit_files,
    flat,
    jpeg,
    tar,
    tar_of_tars,
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
    return {split: {e.name: read_entry(e) for e in entries} for split, entries in source.splits.items()}


def refused(root: Path, truth: Path | None = None) -> str:
    with pytest.raises(DataError) as caught:
        find_source(root, truth)
    return str(caught.value)


def kaggle_folders(root: Path) -> Path:
    inside = root / "ILSVRC" / "Data" / "CLS-LOC"
    write_folder(inside / "train", TRAIN)
    write_folder(inside / "val", flat(VAL))
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


@pytest.mark.parametrize("layout", ["tars", "class folders"])
def test_without_validation_images_it_is_said(tmp_path: Path, layout: str) -> None:
    (write_tars if layout == "tars" else write_folders)(tmp_path, TRAIN, None)
    source = find_source(tmp_path)
    assert list(source.splits) == ["train"]
    (note,) = source.notes
    assert "There is no " in note


def test_a_folder_of_class_folders_is_for_training_alone(tmp_path: Path) -> None:
    source = find_source(write_folder(tmp_path / "mine", TRAIN))
    assert contents(source) == {"train": TRAIN}
    (note,) = source.notes
    assert note.startswith("mine holds class folders and no train/")


def test_a_truth_may_be_named(tmp_path: Path) -> None:
    write_folders(tmp_path / "imagenet", TRAIN, None)
    write_folder(tmp_path / "imagenet" / "val", flat(VAL))
    message = refused(tmp_path / "imagenet")
    assert "lie in no class folders, and there is no ground truth beside them" in message
    assert "--truth FILE" in message
    (tmp_path / "mine.txt").write_text(NAME_WNID)
    assert contents(find_source(tmp_path / "imagenet", tmp_path / "mine.txt"))["val"] == VAL


def test_the_fingerprint_follows_names_and_sizes(tmp_path: Path) -> None:
    before = find_source(write_folder(tmp_path / "a", TRAIN)).fingerprint()
    assert find_source(write_folder(tmp_path / "b", TRAIN)).fingerprint() == before
    name = f"{WNIDS[0]}/{WNIDS[0]}_0.JPEG"
    assert find_source(write_folder(tmp_path / "c", TRAIN | {name: b"x"})).fingerprint() != before
    (tmp_path / "b" / name).rename(tmp_path / "b" / WNIDS[0] / "other.JPEG")
    assert find_source(tmp_path / "b").fingerprint() != before


# --- tars ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_tars_of_every_form_are_read(tmp_path: Path, kind: int) -> None:
    path = tmp_path / TRAIN_TAR
    path.write_bytes(tar_of_tars(TRAIN, kind))
    assert contents(find_source(tmp_path))["train"] == TRAIN


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_long_name_in_a_tar(tmp_path: Path, kind: int) -> None:
    files = {f"{'long' * 50}_{i}.JPEG": jpeg(i) for i in range(2)}
    path = tmp_path / "flat.tar"
    path.write_bytes(tar(files, kind))
    found = flat_tar(path, TarListing())
    assert {name: read_entry(Entry(name, 0, place)) for name, place in found} == files


def test_what_is_no_image_in_a_tar_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "flat.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("folder", tarfile.DIRTYPE), ("link.JPEG", tarfile.SYMTYPE), (".DS_Store", b"0")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "elsewhere"
            archive.addfile(info)
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("./a.JPEG"))
    listing = TarListing()
    assert [name for name, _ in flat_tar(path, listing)] == ["a.JPEG"]
    assert listing.problems == [
        ("flat.tar/link.JPEG", "is no regular file"),
        ("flat.tar/a.JPEG", "the name occurs twice in the tar: the first counts"),
    ]


def test_a_file_beside_the_tars_of_classes_is_listed(tmp_path: Path) -> None:
    inside = {f"{w}.tar": tar({f"{w}_0.JPEG": jpeg(0)}) for w in WNIDS}
    write_folder(tmp_path, {TRAIN_TAR: tar(inside | {"readme.txt": b"hello"})})
    assert find_source(tmp_path).problems == [("train", f"{TRAIN_TAR}/readme.txt", "is no tar of a class")]


def test_a_tar_that_was_cut_short(tmp_path: Path) -> None:
    whole = tar_of_tars(TRAIN)
    for length in (len(whole) // 2, 700, 100):
        (tmp_path / TRAIN_TAR).write_bytes(whole[:length])
        message = refused(tmp_path)
        assert TRAIN_TAR in message
        assert "fetch it again" in message
    (tmp_path / TRAIN_TAR).write_bytes(b"no tar at all" * 1000)
    assert "there is no head of a tar at byte 0" in refused(tmp_path)


def test_a_tar_that_ends_without_its_mark_is_spoken_of(tmp_path: Path) -> None:
    """Cut between two classes, a tar cannot be told from a whole one but by the mark at its end."""
    classes = {f"{w}.tar": tar({f"{w}_0.JPEG": jpeg(0)}) for w in WNIDS}
    lengths = [512 + len(data) for data in classes.values()]
    (tmp_path / TRAIN_TAR).write_bytes(tar(classes)[: sum(lengths[:2])])
    source = find_source(tmp_path)
    assert len(source.classes) == 2
    assert any(f"{TRAIN_TAR} has no mark at its end: it may have been cut short" in n for n in source.notes)


# --- the classes --------------------------------------------------------------------------


def test_training_and_validation_must_have_the_same_classes(tmp_path: Path) -> None:
    other = {name.replace(WNIDS[0], "n99999999"): data for name, data in VAL.items()}
    message = refused(write_folders(tmp_path, TRAIN, other))
    assert "do not have the same classes (3 and 3)" in message
    assert f"only in training: {WNIDS[0]}; only in validation: n99999999" in message


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    message = refused(write_folder(tmp_path, {"train/n01440764/a.JPEG": jpeg(0)}))
    assert "training images of 1 class (n01440764); two are needed" in message


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
    write_folder(tmp_path, {f"train/{w}/{w}_0.JPEG": b"" for w in wnids})
    assert "The train split has 1,000 files; ILSVRC 2012 has 1,281,167." in find_source(tmp_path).notes


def test_loose_files_are_listed_and_empty_folders_spoken_of(tmp_path: Path) -> None:
    write_folders(tmp_path, TRAIN | {"loose.JPEG": jpeg(1)}, VAL | {"lost.JPEG": jpeg(2)})
    (tmp_path / "train" / "n07777777").mkdir()
    source = find_source(tmp_path)
    assert source.problems == [
        ("train", "loose.JPEG", "lies in no class folder"),
        ("val", "lost.JPEG", "lies in no class folder"),
    ]
    assert source.notes == ["Folders without files are no classes: train/ n07777777."]


# --- the ground truth ---------------------------------------------------------------------


def with_truth(tmp_path: Path, text: str, name: str = "truth.txt") -> tuple[Path, Path]:
    root = tmp_path / "imagenet"
    write_folder(root / "train", TRAIN)
    write_folder(root / "val", flat(VAL))
    (tmp_path / name).write_text(text, encoding="utf-8")
    return root, tmp_path / name


def test_images_that_the_truth_does_not_know_are_listed(tmp_path: Path) -> None:
    lines = NAME_WNID.splitlines()
    source = find_source(*with_truth(tmp_path, "\n".join([*lines[1:], "absent.JPEG n01440764", ""])))
    assert source.problems == [("val", lines[0].split()[0], "is not in the ground truth truth.txt")]
    assert source.notes == ["truth.txt names 1 images that are not there: absent."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no image"),
        ("ILSVRC2012_val_00000001.JPEG\n", "line 1 is 'ILSVRC2012_val_00000001.JPEG', not `name wnid`"),
        ("a n01440764\nb 3\n", "line 2 is 'b 3', but there are 3 classes: an index goes from 0 to 2"),
        ("a n01440764\n", "knows none of the 6 validation images"),
        (NAME_WNID.replace(WNIDS[0], "n99999999"), "only in validation: n99999999"),
    ],
)
def test_a_truth_that_says_nothing_useful(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(*with_truth(tmp_path, text))


def test_a_table_that_is_not_kaggle_s(tmp_path: Path) -> None:
    assert "line 2 is 'a', not `name,wnid …`" in refused(
        *with_truth(tmp_path, "ImageId,PredictionString\na\n", "t.csv")
    )


def test_a_truth_that_is_not_there(tmp_path: Path) -> None:
    root, _ = with_truth(tmp_path, "")
    assert "nowhere.txt cannot be read" in refused(root, tmp_path / "nowhere.txt")


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
    assert "there is no ILSVRC2012_validation_ground_truth.txt" in refused(root, kit)
    packed = tmp_path / "kit.tar.gz"
    packed.write_bytes(tar({"other": b""}, mode="w:gz"))
    assert "holds no meta.mat and no ILSVRC2012_validation" in refused(root, packed)
    packed.write_bytes(packed.read_bytes()[:20])
    assert "kit.tar.gz cannot be read" in refused(root, packed)


def test_without_scipy_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_tars(tmp_path, TRAIN, VAL)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    message = refused(root)
    assert "needs scipy: `pip install scipy`" in message
    assert "--truth" in message


# --- wrong paths, and files that change ------------------------------------------------------


def test_wrong_paths(tmp_path: Path) -> None:
    assert f"there is nothing at {tmp_path / 'nowhere'}" in refused(tmp_path / "nowhere")
    (tmp_path / "file.zip").write_bytes(b"")
    assert "file.zip is no folder" in refused(tmp_path / "file.zip")
    (tmp_path / "empty").mkdir()
    assert "empty holds no files. Expected is one folder of images per class." in refused(tmp_path / "empty")


@pytest.mark.parametrize("half", [VAL_TAR, "val/n01440764/a.JPEG"])
def test_validation_alone_is_refused(tmp_path: Path, half: str) -> None:
    assert "there is nothing to train on" in refused(write_folder(tmp_path, {half: b""}))


def test_a_file_that_changes_after_it_was_listed_is_no_fault_of_the_image(tmp_path: Path) -> None:
    source = find_source(write_folder(tmp_path, TRAIN))
    gone, longer, shorter = source.splits["train"][:3]
    Path(gone.place.path).unlink()
    Path(longer.place.path).write_bytes(b"x" * (longer.place.size + 1))
    Path(shorter.place.path).write_bytes(b"x" * (shorter.place.size - 1))
    for entry, message in (
        (gone, "was there when it was listed and is gone"),
        (longer, "no longer has the bytes of"),
        (shorter, "no longer has the bytes of"),
    ):
        with pytest.raises(SourceChanged, match=message):
            read_entry(entry)


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")
def test_links_to_nothing_and_pipes_are_unreadable(tmp_path: Path) -> None:
    write_folder(tmp_path, TRAIN)
    (tmp_path / WNIDS[0] / "a_link.JPEG").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / WNIDS[0] / "a_pipe.JPEG")
    entries = [e for e in find_source(tmp_path).splits["train"] if "/a_" in e.name]
    assert len(entries) == 2
    for entry in entries:
        with pytest.raises(UnreadableFile, match="is no regular file, or a link to nothing"):
            read_entry(entry)
