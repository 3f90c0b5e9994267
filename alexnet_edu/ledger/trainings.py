"""Trainings on ImageNet as evidence: which ones a claim asks for, and the rule of its verdict.

`claims.toml` says for each claim that needs ImageNet which trainings it compares ("of") and with what
("near", "below", "gain"). `add` keeps the errors of finished trainings in `data/results/imagenet.json`;
what is not one of those trainings is refused before.
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
from alexnet_edu.environment import joint_provenance, results_dir
from alexnet_edu.imagenet import log as run_log
from alexnet_edu.imagenet.cost import DAY, DEVICES, OFFICIAL_COUNTS, operations, seconds
from alexnet_edu.ledger.claims import HOLDS, Claim, Figures, judged
from alexnet_edu.model.architecture import variant
from alexnet_edu.studies.statistics import Interval, welch

Row = dict[str, Any]

RECORD = "imagenet"
FALL_2011 = "the weights of a training on the ImageNet of fall 2011"
TRAININGS: dict[str, dict[str, Any]] = {  # name -> what differs from the paper's recipe
    "paper": {},
    "one_gpu": {"variant": "one_gpu"},
    "no_lrn": {"variant": "no_lrn"},
    "plain_pooling": {"variant": "plain_pooling"},
    "no_conv3": {"variant": "no_conv3"},
    "no_conv4": {"variant": "no_conv4"},
    "no_conv5": {"variant": "no_conv5"},
    "no_colours": {"noise": 0.0},
    "pretrained": {"variant": "conv6", "start": FALL_2011},
    "paper-2010": {},
    "fall2009": {"variant": "conv6"},
}
IMAGES = {  # of a training, where not those of ILSVRC 2012: in words
    "paper-2010": "ILSVRC 2010, with its test images in place of the validation images",
    "fall2009": "the ImageNet of fall 2009, half of it held out",
}
AVERAGES = {"five": {"paper": 5}, "seven": {"paper": 5, "pretrained": 2}}  # of how many of which
SCHEDULES = ("plateau", "run145")  # §5's rule, and what the log has
FREE = {"seed", "schedule", "epochs", "evaluations", "patience", "margin"}  # what a claim leaves open
FREE_IN_TUNING = {*FREE, "rate", "start"}
TEST_IMAGES_2010 = 150_000  # of ILSVRC 2010, prepared as its validation images
OTHER_IMAGES = "Not comparable: other images."
SMALLER = "Not comparable: the images of 2012, but not the paper's network or recipe."
NEAR, NEARISH = 1.0, 3.0  # points of top-1 error
PEAK_SHARE = 0.35  # what the paper's five days come to on two GTX 580


# --- which training it is -------------------------------------------------------------------------


def reservation(start: Row) -> str:
    """Why errors cannot be compared with the paper's; "" where they can. start: a line of the run's log."""
    if start["classes"] != paper.CLASSES or start["images"] != OFFICIAL_COUNTS:
        return OTHER_IMAGES
    recipe = start["recipe"]
    as_paper = {**recipe, "variant": "paper"} if recipe["variant"] == "run145" else recipe
    return SMALLER if _differing(as_paper, "paper") else ""


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
    if classes == paper.CLASSES and 1_200_000 <= train <= 1_300_000 and val == TEST_IMAGES_2010:
        return ["paper-2010"]
    if classes == paper.FALL2009_CLASSES and abs(train + val - paper.FALL2009_IMAGES) < 100_000:
        return ["fall2009"]
    if classes == paper.CLASSES and images == OFFICIAL_COUNTS:
        return [name for name in TRAININGS if name not in IMAGES]
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
    if name not in IMAGES and recipe["epochs"] != usual.epochs:  # the paper gives them for ILSVRC alone
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

    def refuse(reason: str) -> ValueError:
        return ValueError(f"{str(folder)!r} fills in no claim: {reason}")

    try:
        name = training_of(start)
    except ValueError as error:
        raise refuse(str(error)) from error
    if final is None or middle is None:
        raise refuse("it has not finished (no errors by ten patches yet)")
    unread = start["images"]["val"] - final["images"]
    unread += sum(str(row.get("text", "")).endswith("It is left out.") for row in rows)
    if unread > 0:
        raise refuse(f"{unread:,} of its images could not be read")
    recipe = start["recipe"]
    errors = {"top1": final["top1"], "top5": final["top5"]}
    errors |= {"middle_top1": middle["top1"], "middle_top5": middle["top5"]}
    if not all(map(math.isfinite, errors.values())):
        raise refuse("its errors are no numbers")
    about = {"variant": name, "title": recipe["schedule"], "rate": recipe["rate"], "chosen": True}
    about |= {"seed": recipe["seed"], "epochs": recipe["epochs"], "networks": 1}
    return about | errors | _origin([row for row in rows if row["kind"] == "start"], rows[-1]["time"])


def _origin(starts: Sequence[Row], time: float) -> Row:
    """Where a training ran, which may have been resumed elsewhere; what `joint_provenance` asks of a run."""

    def every(key: str) -> str:
        return ", ".join(dict.fromkeys(str(start.get(key, "unknown")) for start in starts))

    devices = dict.fromkeys(f"{s['processes']} × {s['device_name']} ({s['parallel']})" for s in starts)
    return {
        **{key: every(key) for key in ("commit", "torch", "precision")},
        "date": datetime.datetime.fromtimestamp(time, datetime.UTC).date().isoformat(),
        "hardware": ", ".join(devices),
        "threads": 1,
    }


def average_name(rows: Sequence[Row]) -> str:
    """The key of AVERAGES that networks make. Raises ValueError where no claim asks for their average."""
    have = Counter(row["variant"] for row in rows)
    for name, wanted in AVERAGES.items():
        if have == wanted:
            return name

    def text(counts: dict[str, int]) -> str:
        return " + ".join(f"{count} × {name}" for name, count in sorted(counts.items()))

    papers = "; ".join(map(text, AVERAGES.values()))
    raise ValueError(f"no claim asks for an average of {text(have)}; the paper's are {papers}")


def average_of(rows: Sequence[Row], errors: Any) -> Row:
    """The row of an average. errors: of the averaged predictions, on all validation images."""
    name = average_name(rows)
    if errors.images != OFFICIAL_COUNTS["val"]:
        raise ValueError(
            f"the average was judged on {errors.images:,} images, not {OFFICIAL_COUNTS['val']:,}"
        )
    first = min(rows, key=lambda row: (row["variant"], row["seed"]))
    middle = {"middle_top1": math.nan, "middle_top5": math.nan}
    about = {"variant": name, "networks": len(rows), "top1": errors.top1, "top5": errors.top5}
    return {**first, **about, **middle}


def distinct(rows: Sequence[Row]) -> dict[tuple[Any, ...], Row]:
    """Rows by training, schedule and seed. Raises ValueError where two are the same."""
    found = {(row["variant"], row["title"], row["seed"]): row for row in rows}
    if len(found) < len(rows):
        listed = Counter((row["variant"], row["title"], row["seed"]) for row in rows).most_common(1)[0][0]
        raise ValueError("two of these runs are {} by {!r} with the seed {}: name each once".format(*listed))
    return found


def add(rows: Sequence[Row]) -> Path:
    """Puts rows into the record, each in place of one of the same training, schedule and seed; its path."""
    from alexnet_edu.studies import record as records

    path = results_dir() / f"{RECORD}.json"
    kept = records.load(RECORD).runs.to_dict("records") if path.exists() else []
    every = list((distinct(kept) | distinct(rows)).values())
    made: dict[str, Any] = {
        **joint_provenance(every),
        "precision": sorted({row["precision"] for row in every}),
    }
    made |= {"threads": [], "data": {"source": "ImageNet", "synthetic": False}}
    records.write(records.of_rows(RECORD, "Trainings on ImageNet", {}, made, {"runs": every}), path)
    return path


# --- the verdict ------------------------------------------------------------------------------------


def figures(claim: Claim, runs: Any) -> Figures | None:
    """The words and the verdict from the record's runs; None where not all that a claim asks for is there.

    Only trainings by one schedule are compared: §5's rule where all are there, else that of the log.
    """
    names = claim.imagenet["of"]
    for schedule in SCHEDULES:
        rows = runs[runs["title"] == schedule]
        if set(names) <= set(rows["variant"]):
            break
    else:
        return None
    groups = {name: rows[rows["variant"] == name] for name in names}
    count = ", ".join(f"{len(group)} × {name}" for name, group in groups.items())
    if "gain" in claim.imagenet:
        words, verdict = _gained(claim, groups)
    else:
        words, verdict = _reached(claim, groups[names[0]])
    return {"text": f"on ImageNet {words} ({count}; {schedule})", "verdict": verdict}


def _reached(claim: Claim, group: Any) -> tuple[str, str]:
    top1, top5 = (100 * fmean(group[name]) for name in ("top1", "top5"))
    whole, part = limits(claim)
    return str(paper.Errors(top1, top5)), judged(top1 <= whole, top1 <= part)


def limits(claim: Claim) -> tuple[float, float]:
    """Up to which top-1 error a claim holds, and holds in part.

    near: NEAR points above the paper's, and NEARISH; where "against" names what it is compared with, at most
    a quarter of that distance, and half of it. below: half of the paper's lead, and any lead.
    """
    rule = claim.imagenet
    if "below" in rule:
        best, ours = published_top1(rule["below"]), published_top1(rule["near"])
        return (best + ours) / 2, best
    published = published_top1(rule["near"])
    if "against" in rule:
        apart = abs(published_top1(rule["against"]) - published)
        return published + min(NEAR, apart / 4), published + min(NEARISH, apart / 2)
    return published + NEAR, published + NEARISH


def _gained(claim: Claim, groups: dict[str, Any]) -> tuple[str, str]:
    """By how much the first group's error lies below each of the others.

    Clear where the interval says so, which takes two seeds a side, and half of the published gain is there.
    """
    rule = claim.imagenet
    first, *others = groups
    if rule.get("patches"):
        both = groups[first]
        gaps = {"the middle patch": [b - a for a, b in zip(both["top1"], both["middle_top1"], strict=True)]}
        gains = {name: Interval(100 * fmean(each), 100 * min(each)) for name, each in gaps.items()}
    else:
        percent = {name: [100 * error for error in group["top1"]] for name, group in groups.items()}
        gains = {name: welch(percent[name], percent[first]) for name in others}
    words = ", ".join(
        f"{abs(gain.value):.1f} points {'better' if gain.value > 0 else 'worse'} than {name}"
        for name, gain in gains.items()
    )
    if any(gain.low is None for gain in gains.values()):
        words += "; one network each, so luck is not measured"
    clear = all(gain.low is not None and gain.low > 0 for gain in gains.values())
    least = min(gain.value for gain in gains.values())
    whole = clear and least >= published_top1(rule["gain"]) / 2
    return words, HOLDS if whole else judged(False, least > 0)


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
    if "gain" in rule:
        half = published_top1(rule["gain"]) / 2
        each = "each of the others" if len(rule["of"]) > 2 else "the other"
        clear = "" if rule.get("patches") else ", and the interval excludes 0 (two seeds each or more)"
        return (
            f"better than {each} by {half:.2f} points of top-1 error or more{clear}: holds; by less: partly"
        )
    whole, part = limits(claim)
    return f"top-1 error up to {whole:.1f}%: holds; up to {part:.1f}%: partly"


def commands(claim: Claim) -> list[str]:
    """What to type to fill in a claim that needs ImageNet; none for others."""
    rule = claim.imagenet
    if not rule:
        return []
    members = [(name, seed) for name in rule["of"] for name, n in _members(name).items() for seed in range(n)]
    folders = [f"runs/{name}-{seed}" for name, seed in members]
    lines = [_train(name, seed, folder) for (name, seed), folder in zip(members, folders, strict=True)]
    average = " --data DIR" if set(rule["of"]) & set(AVERAGES) else ""
    where = [f"DIR: {IMAGES[name]}" for name in rule["of"] if name in IMAGES]
    if any(name == "pretrained" for name, _ in members):
        where.append(f"FALL2011.safetensors: {FALL_2011}, by --variant conv6")
    return [*lines, f"alexnet-edu claims add {' '.join(folders)}{average}", *where]


def _members(name: str) -> dict[str, int]:
    return AVERAGES.get(name, {name: 1})


def _train(name: str, seed: int, folder: str) -> str:
    changes = {**TRAININGS[name], **({"seed": seed} if seed else {})}
    options = [f"--{key} {value}" for key, value in changes.items() if key != "start"]
    options += ["--start-from FALL2011.safetensors", "--rate 0.001"] if "start" in changes else []
    options += ["--schedule run145"] if name == "paper-2010" else []  # its test images may not set the rate
    return " ".join(["alexnet-edu train --data DIR --folder", folder, *options])


def cost(claim: Claim) -> str:
    """What these trainings take, by arithmetic; "" where there are none."""
    if not claim.imagenet:
        return ""
    members = [name for each in claim.imagenet["of"] for name, n in _members(each).items() for _ in range(n)]
    wanted = sum(map(_operations, members))
    old = DEVICES[paper.GPU_NAME]
    days = seconds(wanted, old.float32, PEAK_SHARE, paper.GPUS) / DAY
    trainings = "1 training" if len(members) == 1 else f"{len(members)} trainings"
    before = " after the pre-training" if "pretrained" in members else ""
    return (
        f"{trainings}{before}, {wanted:.2g} operations: {days:.1f} days at {PEAK_SHARE:.0%} of the peak of "
        f"{paper.GPUS} {old.name}"
    )


def _operations(name: str) -> float:
    large = name == "fall2009"
    classes = paper.FALL2009_CLASSES if large else paper.CLASSES
    table = variant(TRAININGS[name].get("variant", "paper"), classes)
    return operations(table, images=paper.FALL2009_IMAGES // 2) if large else operations(table)
