"""Every claim of the paper that can be checked, read from `claims.toml`; what was measured is in `ours`."""

from __future__ import annotations

import datetime
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

from alexnet_edu import paper

Check = Literal["exact", "small", "imagenet"]

NOTEBOOKS = {
    "00": "start here",
    "01": "ReLU against tanh",
    "02": "local response normalization",
    "03": "overlapping pooling",
    "04": "colour PCA, crops, reflections",
    "05": "two GPUs",
    "06": "ImageNet training",
    "07": "kernels",
    "08": "neighbours",
    "09": "dropout",
    "10": "initialization",
    "10b": "the update rule",
    "11": "results: ten patches, ensembles, pre-training",
}
NEEDS_IMAGENET = "Needs the ImageNet training images."
HOLDS, PARTLY, NOT_HERE, UNDECIDED = "holds", "partly", "does not hold here", "not decided"
Figures = dict[str, Any]  # what the texts of a claim name; "verdict" where a rule judges it


@dataclass(frozen=True)
class Claim:
    """One thing that the paper says and that can be checked.

    section: where the paper says it ("abstract", "3.1", "3.5, Fig. 2").
    statement: the claim in our own words; paper: its figures.
    log: what the authors' notes and source of 2012 say about it, with run or file.
    check: "exact", arithmetic or an identity; "small", an experiment on small data;
        "imagenet", needs the 1.2 million training images. Empty: nothing to check.
    notebook: number of the notebook that treats it, a key of `NOTEBOOKS`.
    how: how it is checked, in words.
    ours: the text for what was found here, and where its figures come from (`claims.toml`, `ours.py`).
    imagenet: which trainings on ImageNet it compares, and with what (`trainings.py`).
    """

    id: str
    section: str
    statement: str
    paper: str
    log: str
    check: tuple[Check, ...]
    notebook: str
    how: str
    ours: Mapping[str, Any]
    imagenet: Mapping[str, Any]


class Logged(NamedTuple):
    """A result in the authors' notes: error rates as fractions, and on which images."""

    top1: float
    top5: float
    on: str

    def __str__(self) -> str:
        return f"{self.top1:.6f} / {self.top5:.6f}"


_FILE: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
RUNS_2012 = {name: Logged(*values) for name, values in _FILE["runs"].items()}
DATES_2012: dict[str, datetime.date] = _FILE["dates"]  # of some runs
BEFORE_THE_CONTEST = tuple(_FILE["before_the_contest"])


def log_gain(better: str, worse: str, digits: int = 3) -> str:
    """By how many points run `better` beats run `worse`, as "top-1 / top-5"."""
    a, b = RUNS_2012[better], RUNS_2012[worse]
    if a.on != b.on:
        raise ValueError(f"runs {better} ({a.on}) and {worse} ({b.on}) were not tested on the same images")
    return f"{100 * (b.top1 - a.top1):.{digits}f} / {100 * (b.top5 - a.top5):.{digits}f}"


def _sums() -> SimpleNamespace:
    """Figures that follow from the published ones; work in millions, bytes in MB (10⁶)."""
    parameters = sum(layer.parameters for layer in paper.LAYERS)
    work = sum(layer.multiply_adds for layer in paper.LAYERS)
    classifier = paper.LAYERS[-1].multiply_adds  # on the first GPU only
    column = {layer.name: layer.outputs // paper.GPUS for layer in paper.LAYERS}
    sent = {"pool2": 13**2 * column["conv2"], "pool3": 6**2 * column["conv5"], "fc6": column["fc6"]}
    offsets = paper.IMAGE_SIDE - paper.INPUT_SIDE + 1
    return SimpleNamespace(
        published_millions=paper.PARAMETERS // 10**6,
        parameters=parameters,
        neurons=sum(layer.neurons for layer in paper.LAYERS),
        figure2=" – ".join(f"{n:,}" for n in (paper.INPUT_NEURONS, *paper.FIGURE2_NEURONS)),
        figure2_neurons=sum(paper.FIGURE2_NEURONS),
        share={layer.name: layer.parameters / parameters for layer in paper.LAYERS},
        gpu_mebibytes=1024 * paper.GPU_MEMORY_GB,
        work=work / 1e6,
        work_of_busier_gpu=((work - classifier) // paper.GPUS + classifier) / 1e6,
        work_one_gpu=sum(layer.multiply_adds for layer in paper.ONE_GPU_LAYERS) / 1e6,
        sent={name: 4 * paper.BATCH_SIZE * values / 1e6 for name, values in sent.items()},
        gradients=4 * parameters / 1e6,
        offsets=offsets,
        crops=2 * offsets**2,
        before_the_contest=", ".join(BEFORE_THE_CONTEST),
        fall2009_millions=paper.FALL2009_IMAGES / 1e6,
    )


FIGURES: dict[str, Any] = {
    "p": paper,
    "run": SimpleNamespace(**RUNS_2012),
    "gain": SimpleNamespace(
        two_gpus=log_gain("145-2010", "145-half"),
        exchange=log_gain("145", "150", 2),
        lrn=log_gain("145", "148"),
        overlap=log_gain("145", "147"),
    ),
    "sums": _sums(),
}


def _claim(claim_id: str, entry: dict[str, Any]) -> Claim:
    own = {"check": tuple(entry["check"]), **{key: entry.get(key, {}) for key in ("ours", "imagenet")}}
    texts = {key: text.format(**FIGURES) for key, text in entry.items() if key not in own}
    need = NEEDS_IMAGENET if "imagenet" in entry["check"] else ""
    texts["how"] = f"{need} {texts.get('how', '')}".strip()
    return Claim(id=claim_id, **own, **texts)


CLAIMS: tuple[Claim, ...] = tuple(_claim(*item) for item in _FILE["claims"].items())
_BY_ID = {claim.id: claim for claim in CLAIMS}


def claim_named(claim_id: str) -> Claim:
    """The claim of that id. Raises ValueError, with the nearest ids, where there is none."""
    if claim_id not in _BY_ID:
        near = difflib.get_close_matches(claim_id, _BY_ID, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "`alexnet-edu claims` lists them all"
        raise ValueError(f"there is no claim {claim_id!r}; {hint}")
    return _BY_ID[claim_id]


def judged(whole: bool, part: bool = False) -> str:
    """The verdict where all of the claim is so, or part of it."""
    return HOLDS if whole else PARTLY if part else NOT_HERE
