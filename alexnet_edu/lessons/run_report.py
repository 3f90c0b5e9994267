"""The end of a full training as a table: the paper, the log of 2012, and this run, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alexnet_edu import paper
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet.rehearsal import duration
from alexnet_edu.imagenet.sources import OFFICIAL_COUNTS
from alexnet_edu.ledger.claims import RUNS_2012
from alexnet_edu.ledger.table import Row, Verdict
from alexnet_edu.training.schedules import LOGGED

OTHER_IMAGES = "Not comparable: other images, and another number of classes."
SMALLER = "Not comparable: the images of 2012, but not the paper's network or recipe."
NOT_YET = "not reached yet"


def report(folder: Path, note: str = "") -> Verdict:
    """The table of the run in `folder`, finished or not. note: what its images are, where not ImageNet.

    Raises ValueError where nothing was trained there.
    """
    rows = run_log.read(folder / run_log.METRICS)
    start = run_log.last(rows, "start")
    if start is None:
        raise ValueError(f"no training has begun in {folder}: start one there, or name another folder")
    why = _reservation(start)
    about = _provenance(rows, start, note)
    ten, middle = run_log.last(rows, "final"), run_log.last(rows, "evaluation")
    run, centre = RUNS_2012["145"], RUNS_2012["145-2010 centre"]
    table2, footnote = f"{paper.CNN_2012_VALIDATION} (validation)", f"{paper.WITHOUT_TEN_PATCHES} (2010 test)"
    return Verdict(
        (
            Row(
                "6, Table 2",
                "Top-1 / top-5 error by ten patches",
                table2,
                f"145: {run}",
                _errors(ten),
                about,
                why,
            ),
            Row(
                "6",
                "The same by the middle patch alone",
                footnote,
                f"145-2010: {centre}",
                _errors(middle),
                "",
                why and f"{why} The paper and the log have it for 2010 only.",
            ),
            _rate_row(rows, start),
            _length_row(rows, start),
            _time_row(rows, start),
        )
    )


def _reservation(start: dict[str, Any]) -> str:
    """Why the errors cannot be compared with the paper's; "" where they can."""
    if start["classes"] != paper.CLASSES or start["images"] != OFFICIAL_COUNTS:
        return OTHER_IMAGES
    recipe = start["recipe"]
    return "" if recipe["variant"] in ("paper", "run145") and recipe["narrow"] == 1 else SMALLER


def _provenance(rows: list[dict[str, Any]], start: dict[str, Any], note: str) -> str:
    images, recipe = start["images"], start["recipe"]
    width = "" if recipe["narrow"] == 1 else f", {recipe['narrow']} times narrower"
    counts = f"{images.get('train', 0):,} training and {images.get('val', 0):,} validation images"
    title = f"{note}: " if note else ""
    return f"{title}{counts} in {start['classes']:,} classes; variant {recipe['variant']}{width}"


def _errors(row: dict[str, Any] | None) -> str:
    return NOT_YET if row is None else str(paper.Errors(100 * row["top1"], 100 * row["top5"]))


def _rate_row(rows: list[dict[str, Any]], start: dict[str, Any]) -> Row:
    recipe, log = start["recipe"], LOGGED["145"]
    falls = run_log.falls(rows)
    found = f"fell after epoch {', '.join(f'{e:.0f}' for e in falls)}" if falls else "has not fallen"
    return Row(
        "5",
        "The learning rate",
        f"{paper.LEARNING_RATE:g}, divided by {paper.LEARNING_RATE_DIVISOR} when the validation error "
        f"stalls, {paper.LEARNING_RATE_DROPS} times",
        f"145: at epochs {', '.join(f'{e:g}' for e in log.drops)}",
        f"{recipe['rate']:g}, {found} ({recipe['schedule']})",
        "",
        "The rule is that of the paper; in 2012 a person applied it.",
    )


def _length_row(rows: list[dict[str, Any]], start: dict[str, Any]) -> Row:
    last = run_log.last(rows, "step")
    epoch, step = (last["epoch"], last["step"]) if last is not None else (0.0, 0)
    batch = start["recipe"]["batch_size"]
    return Row(
        "5",
        "How long",
        f"about {paper.EPOCHS} epochs with batches of {paper.BATCH_SIZE}",
        f"145: {LOGGED['145'].stop:g} epochs",
        f"{epoch:.0f} of {start['recipe']['epochs']:g} epochs, {step:,} updates with batches of {batch}",
        "",
    )


def _time_row(rows: list[dict[str, Any]], start: dict[str, Any]) -> Row:
    last = run_log.last(rows, "step")
    took = duration(last["seconds"]) if last is not None else NOT_YET
    device = f"{start['processes']} × {start['device_name']}"
    first, to = paper.TRAINING_DAYS
    return Row(
        "5",
        "Time of the steps",
        f"{first}–{to} days on two {paper.GPU_NAME} {paper.GPU_MEMORY_GB} GB",
        "no times are noted",
        f"{took}, {start['parallel']}, {device}",
        "",
        "Evaluations are not counted.",
    )
