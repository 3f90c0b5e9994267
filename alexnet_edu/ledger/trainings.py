"""Trainings on ImageNet as evidence: which ones a claim asks for, and the rule of its verdict.

`claims.toml` says for each claim that needs ImageNet which trainings it compares ("of") and with what
("near", "gain"). `add` reads the log of a finished training, refuses what is not one of those, and keeps the
errors in `data/results/imagenet.json`.
"""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from alexnet_edu import paper
from alexnet_edu.environment import results_dir
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet.cost import DAY, DEVICES, OFFICIAL_COUNTS, operations, seconds
from alexnet_edu.ledger.claims import Claim, Figures, judged
from alexnet_edu.model.architecture import variant

Row = dict[str, Any]

RECORD = "imagenet"
TRAININGS: dict[str, dict[str, Any]] = {  # name -> what differs from the paper's recipe
    "paper": {},
    "run145": {"variant": "run145"},
    "one_gpu": {"variant": "one_gpu"},
    "no_lrn": {"variant": "no_lrn"},
    "plain_pooling": {"variant": "plain_pooling"},
    "no_conv3": {"variant": "no_conv3"},
    "no_conv4": {"variant": "no_conv4"},
    "no_conv5": {"variant": "no_conv5"},
    "no_colours": {"noise": 0.0},
    "pretrained": {"variant": "conv6", "start": "the weights of a training on the ImageNet of fall 2011"},
    "paper-2010": {},
    "fall2009": {"variant": "conv6"},
}
AVERAGES = {"five": {"paper": 5}, "seven": {"paper": 5, "pretrained": 2}}  # of how many of which
FREE = {"seed", "schedule", "epochs", "evaluations", "patience", "margin"}  # what a claim leaves open
FREE_IN_TUNING = {*FREE, "rate", "start"}
SCHEDULES = ("plateau", "run145")  # §5's rule, and what the log has
TEST_IMAGES_2010 = 150_000  # of ILSVRC 2010, prepared as its validation images
OTHER_IMAGES = "Not comparable: other images, and another number of classes."
SMALLER = "Not comparable: the images of 2012, but not the paper's network or recipe."
PEAK_SHARE = 0.35  # what the paper's five days come to on two GTX 580


# --- which training it is -------------------------------------------------------------------------


def reservation(start: Row) -> str:
    """Why errors cannot be compared with the paper's; "" where they can. start: a line of the run's log."""
    if start["classes"] != paper.CLASSES or start["images"] != OFFICIAL_COUNTS:
        return OTHER_IMAGES
    recipe = start["recipe"]
    return "" if recipe["variant"] in ("paper", "run145") and recipe["narrow"] == 1 else SMALLER


def training_of(start: Row) -> str:
    """The key of TRAININGS that a run is. Raises ValueError, with the reason, where no claim asks for it."""
    names = _on_these_images(start)
    differing = {name: _differing(start["recipe"], name) for name in names}
    asked = start["recipe"]["variant"]
    name = min(names, key=lambda n: (TRAININGS[n].get("variant", "paper") != asked, len(differing[n])))
    if differing[name]:
        raise ValueError(
            f"no claim asks for this training; nearest is {name!r}, and {', '.join(differing[name])}"
        )
    return name


def _on_these_images(start: Row) -> list[str]:
    """The trainings on images of these numbers. Raises ValueError where they are not ImageNet."""
    classes, images = start["classes"], start["images"]
    train, val = images.get("train", 0), images.get("val", 0)
    million = 1_200_000 <= train <= 1_300_000
    if classes == paper.CLASSES and million and val == TEST_IMAGES_2010:
        return ["paper-2010"]
    if classes == paper.FALL2009_CLASSES:
        return ["fall2009"]
    if classes == paper.CLASSES and images == OFFICIAL_COUNTS:
        return [name for name in TRAININGS if name not in ("paper-2010", "fall2009")]
    wanted = "{train:,} training and {val:,} validation images".format(**OFFICIAL_COUNTS)
    raise ValueError(
        f"its images are not ImageNet: {train:,} training and {val:,} validation images of {classes:,} "
        f"classes, where ILSVRC 2012 has {wanted} of {paper.CLASSES:,}"
    )


def _differing(recipe: Row, name: str) -> list[str]:
    """In what a recipe differs from that of a training, in words."""
    from alexnet_edu.imagenet.recipe import Recipe

    changes = TRAININGS[name]
    free = FREE_IN_TUNING if "start" in changes else FREE
    usual = Recipe(schedule=recipe["schedule"])
    wanted = usual.identity() | changes
    found = [
        f"{key} is {recipe.get(key)!r}, not {value!r}"
        for key, value in wanted.items()
        if key not in free and recipe.get(key) != value
    ]
    if "start" in changes:
        return found if recipe["start"] else [*found, f"it does not start from {changes['start']}"]
    if recipe["epochs"] != usual.epochs:
        found.append(f"it has {recipe['epochs']:g} epochs, not {usual.epochs:g}")
    if recipe["schedule"] not in SCHEDULES:
        found.append(f"its schedule is {recipe['schedule']!r}, not {' or '.join(SCHEDULES)}")
    return found


# --- from a run to the record ----------------------------------------------------------------------


def row_of(folder: Path) -> Row:
    """What the record keeps of a finished training. Raises ValueError, with why, where it cannot count."""
    rows = run_log.read(folder / run_log.METRICS)
    start, final, middle = (run_log.last(rows, kind) for kind in ("start", "final", "evaluation"))
    if start is None:
        raise ValueError(f"no training has begun in {str(folder)!r}: name the folder of a run")
    try:
        name = training_of(start)
    except ValueError as error:
        raise ValueError(f"{str(folder)!r} fills in no claim: {error}") from error
    if final is None or middle is None:
        raise ValueError(
            f"{str(folder)!r} fills in no claim: it has not finished (no errors by ten patches yet)"
        )
    unread = start["images"]["val"] - final["images"]
    if unread > 0:
        raise ValueError(f"{str(folder)!r} fills in no claim: {unread:,} validation images could not be read")
    recipe = start["recipe"]
    return {
        "variant": name,
        "title": f"{recipe['variant']}, {recipe['schedule']}",
        "rate": recipe["rate"],
        "chosen": True,
        "seed": recipe["seed"],
        "epochs": recipe["epochs"],
        "top1": final["top1"],
        "top5": final["top5"],
        "middle_top1": middle["top1"],
        "middle_top5": middle["top5"],
        "networks": 1,
        "parallel": f"{start['parallel']}, {start['processes']} × {start['device_name']}",
        **_origin(start, rows[-1]["time"]),
    }


def _origin(start: Row, time: float) -> Row:
    """What `joint_provenance` asks of a run."""
    return {
        "commit": start.get("commit", "unknown"),
        "date": datetime.datetime.fromtimestamp(time, datetime.UTC).date().isoformat(),
        "hardware": start["device_name"],
        "torch": start.get("torch", "unknown"),
        "threads": start["processes"],
        "precision": start["precision"],
    }


def average_of(rows: Sequence[Row], errors: Any) -> Row:
    """The row of an average. errors: of the averaged predictions.

    Raises ValueError where no claim asks for it.
    """
    have = Counter(row["variant"] for row in rows)
    for name, wanted in AVERAGES.items():
        if have == wanted:
            about = {"variant": name, "title": f"{len(rows)} networks averaged", "networks": len(rows)}
            return {
                **rows[-1],
                **about,
                "top1": errors.top1,
                "top5": errors.top5,
                "middle_top1": math.nan,
                "middle_top5": math.nan,
            }
    listed = " + ".join(f"{count} × {name}" for name, count in sorted(have.items()))
    papers = "; ".join(" + ".join(f"{n} × {name}" for name, n in each.items()) for each in AVERAGES.values())
    raise ValueError(f"no claim asks for an average of {listed}; the paper's are {papers}")


def add(rows: Sequence[Row]) -> Path:
    """Puts rows into the record, each in place of one of the same training and seed; gives its path."""
    from alexnet_edu.environment import joint_provenance
    from alexnet_edu.studies import record as records

    path = results_dir() / f"{RECORD}.json"
    kept = records.load(RECORD).runs.to_dict("records") if path.exists() else []
    new = {(row["variant"], row["seed"]) for row in rows}
    every = [row for row in kept if (row["variant"], row["seed"]) not in new] + list(rows)
    made: dict[str, Any] = {
        **joint_provenance(every),
        "precision": sorted({row["precision"] for row in every}),
    }
    made["data"] = {"source": "ImageNet", "synthetic": False}
    title = "Trainings on ImageNet"
    records.write(records.of_rows(RECORD, title, {}, made, {"runs": every}), path)
    return path


# --- the verdict ------------------------------------------------------------------------------------


def figures(claim: Claim, runs: Any) -> Figures | None:
    """The words and the verdict from the record's runs; None where not all that a claim asks for is there."""
    rule = claim.imagenet
    if not rule or not set(rule["of"]) <= set(runs["variant"]):
        return None
    groups = {name: runs[runs["variant"] == name] for name in rule["of"]}
    top1 = {name: 100 * fmean(group["top1"]) for name, group in groups.items()}
    count = ", ".join(f"{len(group)} × {name}" for name, group in groups.items())
    first, *others = rule["of"]
    if "near" in rule:
        published = published_top1(rule["near"])
        above = top1[first] - published
        five = 100 * fmean(groups[first]["top5"])
        text = f"{paper.Errors(top1[first], five)} on ImageNet ({count})"
        return {"text": text, "verdict": judged(above <= NEAR, above <= NEARISH)}
    if rule.get("patches"):
        worse = {"the middle patch": 100 * fmean(groups[first]["middle_top1"])}
    else:
        worse = {name: top1[name] for name in others}
    gains = {name: error - top1[first] for name, error in worse.items()}
    listed = ", ".join(f"{gain:.1f} points before {name}" for name, gain in gains.items())
    least = min(gains.values())
    whole = least >= published_top1(rule["gain"]) / 2
    return {"text": f"{listed} on ImageNet, top-1 ({count})", "verdict": judged(whole, least > 0)}


NEAR, NEARISH = 1.0, 3.0  # points of top-1 error


def published_top1(words: str) -> float:
    """The top-1 figure of a name in `paper.py`, or of a difference: "WITHOUT_TEN_PATCHES - CNN_2010"."""
    values = [getattr(paper, word.strip()) for word in words.split(" - ")]
    first, *rest = (getattr(value, "top1", value) for value in values)
    return float(first - sum(rest))


def rule_in_words(claim: Claim) -> str:
    """How trainings on ImageNet would judge a claim; "" where they do not."""
    rule = claim.imagenet
    if not rule:
        return ""
    if "near" in rule:
        published = published_top1(rule["near"])
        return f"top-1 at most {NEAR:g} point above {published:.1f}%: holds; {NEARISH:g} points: partly"
    published = published_top1(rule["gain"])
    return f"at least half of the {published:.1f} points of top-1 error: holds; some of them: partly"


def commands(claim: Claim) -> list[str]:
    """What to type to fill in a claim that needs ImageNet; none for others."""
    rule = claim.imagenet
    if not rule:
        return []
    lines, folders = [], []
    for name in rule["of"]:
        members = AVERAGES.get(name, {name: 1})
        for member, count in members.items():
            for seed in range(count):
                folder = f"runs/{member}" + (f"-{seed}" if count > 1 else "")
                folders.append(folder)
                lines.append(_train(member, seed, folder))
    average = any(name in AVERAGES for name in rule["of"])
    lines.append(f"alexnet-edu claims add {' '.join(folders)}{' --data DIR' if average else ''}")
    return lines


def _train(name: str, seed: int, folder: str) -> str:
    changes = {**TRAININGS[name], **({"seed": seed} if seed else {})}
    options = [f"--{key} {value}" for key, value in changes.items() if key != "start"]
    options += ["--start-from FALL2011.safetensors", "--rate 0.001"] if "start" in changes else []
    return " ".join(["alexnet-edu train --data DIR --folder", folder, *options])


def cost(claim: Claim) -> str:
    """What these trainings take, by arithmetic; "" where there are none."""
    rule = claim.imagenet
    if not rule:
        return ""
    count = sum(sum(AVERAGES.get(name, {name: 1}).values()) for name in rule["of"])
    wanted = operations(variant("paper"))
    old, new = DEVICES[paper.GPU_NAME], DEVICES["A100"]
    days = seconds(wanted, old.float32, PEAK_SHARE, paper.GPUS) / DAY
    hours = 24 * seconds(wanted, new.peak("bfloat16"), PEAK_SHARE) / DAY
    trainings = "1 training" if count == 1 else f"{count} trainings, each"
    return (
        f"{trainings} {wanted:.2g} operations at {PEAK_SHARE:.0%} of the peak: {days:.1f} days on "
        f"{paper.GPUS} {old.name}, {hours:.1f} hours on an {new.name} that is fed fast enough"
    )
