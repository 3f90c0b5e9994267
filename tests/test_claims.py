"""The ledger against the paper's figures, and the way from a record to a table."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from alexnet_edu import paper
from alexnet_edu.environment import results_dir
from alexnet_edu.ledger import claims as ledger
from alexnet_edu.ledger import ours as measured
from alexnet_edu.ledger import table as claims
from alexnet_edu.ledger.claims import CLAIMS, RUNS_2012
from alexnet_edu.ledger.ours import COUNTS
from alexnet_edu.paper import TARGET_TRAINING_ERROR
from alexnet_edu.studies import figure1
from alexnet_edu.studies.convergence import epochs_to

IDS = [
    "size-params",
    "size-neurons",
    "fig2-neurons",
    "conv-share",
    "size-224",
    "memory-3gb",
    "relu-6x",
    "relu-several",
    "relu-saturate",
    "two-gpu-gain",
    "two-gpu-time",
    "two-gpu-comm",
    "connectivity",
    "lrn-gain",
    "lrn-cifar",
    "lrn-formula",
    "pool-overlap",
    "pool-overfit",
    "aug-2048",
    "aug-needed",
    "aug-free",
    "ten-crop",
    "pca-gain",
    "pca-formula",
    "dropout-iters",
    "dropout-geomean",
    "sgd-rule",
    "wd-trains",
    "init",
    "lr-schedule",
    "table1",
    "table2-1",
    "table2-5",
    "table2-1s",
    "table2-7s",
    "fall2009",
    "kernels",
    "specialization",
    "top5-panel",
    "neighbours",
    "binary-codes",
    "depth",
    "no-pretrain",
]

# The figures of the paper, copied once more from the list of its claims.
FIGURES: dict[str, list[float]] = {
    "size-params": [60],
    "size-neurons": [650_000],
    "fig2-neurons": [150_528, 253_440, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000],
    "conv-share": [1],
    "size-224": [224, 224, 11, 11, 4],
    "memory-3gb": [3],
    "relu-6x": [6, 25],
    "two-gpu-gain": [1.7, 1.2],
    "lrn-gain": [1.4, 1.2],
    "lrn-cifar": [13, 11],
    "lrn-formula": [2, 5, 1e-4, 0.75],
    "pool-overlap": [0.4, 0.3, 3, 2, 2],
    "aug-2048": [2048],
    "ten-crop": [37.5, 17.0, 10, 39.0, 18.3],
    "pca-gain": [1],
    "pca-formula": [0, 0.1],
    "dropout-iters": [0.5, 2],
    "dropout-geomean": [0.5],
    "sgd-rule": [0.9, 0.0005, 128],
    "init": [0, 0.01, 1],
    "lr-schedule": [0.01, 10, 3, 90, 5, 6],
    "table1": [37.5, 17.0, 47.1, 28.2, 45.7, 25.7],
    "table2-1": [40.7, 18.2],
    "table2-5": [5, 38.1, 16.4, 16.4],
    "table2-1s": [39.0, 16.6],
    "table2-7s": [7, 36.7, 15.4, 15.3, 26.2],
    "fall2009": [67.4, 40.9, 10_184, 8.9, 78.1, 60.9],
    "kernels": [96, 11, 11, 3],
    "top5-panel": [5, 8],
    "neighbours": [5, 6],
    "binary-codes": [4096],
    "depth": [2],
}


def numbers(text: str) -> list[float]:
    """Numbers that stand alone: not the 1 of top-1, the 2 of conv2, the 580 of the card's name."""
    text = text.replace(paper.GPU_NAME, "")
    found = re.findall(r"(?<![\w.\-])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?", text)
    return [float(whole.replace(",", "") + fraction) for whole, fraction in found]


def constants() -> set[float]:
    """All figures in `paper`, also as percent or in millions."""
    found: set[float] = set()

    def add(value: object) -> None:
        if isinstance(value, tuple):
            for item in value:
                add(item)
        elif isinstance(value, int | float):
            found.update((float(value), round(value * 100, 6), value / 1e6))

    for name, value in vars(paper).items():
        if name.isupper():
            add(value)
    return found


def test_every_claim_is_there_once() -> None:
    assert Counter(claim.id for claim in CLAIMS) == Counter(IDS)
    assert len(IDS) == len(set(IDS)) == 43


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_entries_are_well_formed(claim: claims.Claim) -> None:
    part = r"(abstract|footnote|\d(\.\d)?|Fig\. \d( left| right)?|Table \d)"
    assert re.fullmatch(rf"{part}(, {part})*", claim.section)
    assert claim.notebook in ledger.NOTEBOOKS
    assert set(claim.check) <= {"exact", "small", "imagenet"}
    assert len(set(claim.check)) == len(claim.check)
    assert bool(claim.check) == (claim.id != "no-pretrain")
    assert claim.statement.endswith(".")
    assert claim.how.endswith(".")
    assert claim.paper
    assert claim.log


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_figures_are_those_of_the_paper(claim: claims.Claim) -> None:
    assert numbers(claim.paper) == FIGURES.get(claim.id, [])
    assert set(numbers(claim.paper)) <= constants() | {0.0, 1.0}  # N(0, …), biases of 1


def test_every_notebook_treats_a_claim() -> None:
    assert {claim.notebook for claim in CLAIMS} == set(ledger.NOTEBOOKS)


def test_published_tables_are_the_logged_runs_rounded() -> None:
    published = {
        "145-2010": paper.CNN_2010,
        "145-2010 centre": paper.WITHOUT_TEN_PATCHES,
        "145": paper.CNN_2012_VALIDATION,
        "146-2012-2011": paper.PRETRAINED_CNN_VALIDATION,
    }
    for run, errors in published.items():
        logged = RUNS_2012[run]
        assert errors == (round(100 * logged.top1, 1), round(100 * logged.top5, 1))
    gains = {
        ("145-2010", "145-half"): paper.TWO_GPU_GAIN,
        ("145", "148"): paper.LRN_GAIN,
        ("145", "147"): paper.POOL_GAIN,
    }
    for (better, worse), gain in gains.items():
        assert ledger.log_gain(better, worse, digits=1) == f"{gain.top1} / {gain.top5}"


def test_logged_rates_are_whole_numbers_of_wrong_images() -> None:
    images = {"2012 validation": paper.VALIDATION_IMAGES, "2010 test": paper.TEST_IMAGES}
    for run in RUNS_2012.values():
        if run.on in images:
            # The notes print six decimals, which is coarser than one of 150,000 images.
            for rate in (run.top1, run.top5):
                assert abs(round(rate * images[run.on]) / images[run.on] - rate) <= 0.5e-6


def test_gains_from_different_images_are_refused() -> None:
    with pytest.raises(ValueError, match="145-half"):
        ledger.log_gain("145", "145-half")


@pytest.mark.parametrize(
    ("claim_id", "figures"),
    [
        ("size-params", ["60,965,224"]),
        ("size-neurons", ["659,272"]),
        ("fig2-neurons", ["290,400"]),
        ("conv-share", ["1.45%", "1.09%"]),
        ("two-gpu-time", ["724.4M", "364.3M", "391.5M"]),
        ("two-gpu-comm", ["11.08 MB", "2.36 MB", "1.05 MB", "60 MB", "244 MB"]),
        ("two-gpu-gain", ["1.695 / 1.230"]),
        ("lrn-gain", ["1.370 / 1.152"]),
        ("pool-overlap", ["0.394 / 0.300"]),
        ("connectivity", ["1.16 / 1.12"]),
        ("aug-2048", ["33×33×2 = 2178"]),
        ("memory-3gb", ["3206 MiB", "3072"]),
    ],
)
def test_the_log_column(claim_id: str, figures: list[str]) -> None:
    for figure in figures:
        assert figure in claims.claim_named(claim_id).log


def test_bytes_between_the_gpus_add_up_to_sixty_megabytes() -> None:
    _, conv2, _, _, conv5, fc6, fc7, _ = paper.LAYERS
    one_way = [x.outputs // 2 * side**2 for x, side in ((conv2, 13), (conv5, 6), (fc6, 1))]
    values = 2 * sum(one_way) + fc7.outputs // 2  # the last hidden half goes one way only
    assert round(2 * 4 * paper.BATCH_SIZE * values / 1e6) == 60


def test_figure_1_rows_say_that_2012_left_no_tanh_run() -> None:
    for claim_id in ("relu-6x", "relu-several", "relu-saturate"):
        assert "no tanh run" in claims.claim_named(claim_id).log


# --- records ----------------------------------------------------------------------------


def column(text: str, index: int) -> str:
    """All words of one column of a text table."""
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    return " ".join(" ".join(c[index] for c in cells if len(c) > index).split())


def run(epochs: float | None, seed: int) -> dict[str, Any]:
    """A run whose training error falls in a line and reaches 25% at `epochs`, or never."""
    half = epochs if epochs is not None else 50.0
    low = 0.20 if epochs is not None else 0.30
    # From 0.9 at the start, through 0.30 just before the crossing, to `low` just after it.
    epoch = [0.0, half - 0.25, half + 0.25]
    return {
        "spec": {"seed": seed},
        "status": "reached" if epochs is not None else "limit",
        "curve": {
            "epoch": epoch,
            "train_error": [0.9, 0.30, low],
            "cpu_seconds": [60 * e for e in epoch],
        },
    }


def cell(condition: str, activation: str, epochs: list[float | None]) -> dict[str, Any]:
    return {
        "condition": condition,
        "title": figure1.CONDITIONS[condition].title,
        "activation": activation,
        "rate": 0.002,
        "max_epochs": 60.0,
        "search": [],
        "runs": [run(e, seed) for seed, e in enumerate(epochs, 1)],
    }


def figure1_record(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """A record as `figure1.assemble` writes it, from invented curves."""
    return {
        "experiment": "figure1",
        "target_error": 0.25,
        "cells": cells,
        "summary": figure1.summarize(cells),
        "provenance": {
            "commits": ["0123456789ab"],
            "dates": ["2026-01-02", "2026-01-03"],
            "hardware": ["A processor, 2 cores"],
            "precision": ["float32"],
            "data": {"source": "test images", "synthetic": False, "images": 50_000},
        },
    }


FULL = [
    cell("2012", "relu", [5.0, 6.0]),
    cell("2012", "tanh", [33.0, 33.0]),
    cell("standardized", "relu", [4.0, 5.0]),
    cell("standardized", "tanh", [9.0, 9.0]),
    cell("modern", "relu", [5.0, 5.0]),
    cell("modern", "tanh", [8.0, 8.0]),
    cell("narrow", "relu", [10.0, 10.0]),
    cell("narrow", "tanh", [None, 40.0]),
]

Write = Callable[[Any], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Puts a record (or raw text) into an empty results folder."""
    monkeypatch.setenv("ALEXNET_EDU_RESULTS", str(tmp_path))

    def write(record: Any) -> Path:
        path = tmp_path / measured.FIGURE1
        path.write_text(record if isinstance(record, str) else json.dumps(record), encoding="utf-8")
        return path

    return write


def test_without_a_record_nothing_is_measured(write: Write) -> None:
    measured = {claim_id for claim_id in IDS if claims.ours(claim_id) is not None}
    assert measured == set(COUNTS)  # what is counted needs no record
    rows = claims.verdict([claim_id for claim_id in IDS if claim_id not in COUNTS]).rows
    assert {row.ours for row in rows} == {claims.NOT_MEASURED, claims.NOTHING_TO_MEASURE}
    assert not any(numbers(row.ours) or row.provenance for row in rows)


def test_what_is_counted_comes_from_the_layer_table() -> None:
    values = {claim_id: claims.ours(claim_id).value for claim_id in COUNTS}  # type: ignore[union-attr]
    assert values["size-params"] == "60,965,224"
    assert values["size-neurons"] == "659,272"
    assert values["fig2-neurons"].startswith("150,528 – 290,400 – 186,624")
    assert "conv3 1.45%, conv4 1.09%" in values["conv-share"]
    assert values["size-224"] == "1 + 53.25: 54 rounded down, 55 rounded up"


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXNET_EDU_RESULTS", str(tmp_path / "nowhere"))
    assert results_dir() == tmp_path / "nowhere"
    assert claims.ours("relu-6x") is None


def test_results_dir_is_the_checkouts_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALEXNET_EDU_RESULTS", raising=False)
    assert results_dir() == Path(__file__).resolve().parent.parent / "data" / "results"


def test_six_times(write: Write) -> None:
    path = write(figure1_record(FULL))
    result = claims.ours("relu-6x")
    assert result is not None
    assert result.value == (
        "6.0 times [5.5, 6.6] in epochs (2012 conditions, 2 seeds); 1.6 under modern conditions"
    )
    assert result.provenance == (
        "recorded 2026-01-02 to 2026-01-03, commit 0123456789ab; A processor, 2 cores; float32; "
        "50,000 images of test images"
    )
    assert result.record == path


def test_several(write: Write) -> None:
    write(figure1_record(FULL))
    result = claims.ours("relu-several")
    assert result is not None
    assert result.value == (
        "in epochs: 6.0 times [5.5, 6.6] (2012: raw pixels, N(0, 0.01)); "
        "at least 5.0 times (2012, half as many kernels)"
    )


def test_one_network_cannot_show_what_depends_on_the_network(write: Write) -> None:
    write(figure1_record(FULL[:2]))
    assert claims.ours("relu-several") is None
    assert claims.ours("relu-6x") is not None


def test_saturate(write: Write) -> None:
    write(figure1_record(FULL))
    result = claims.ours("relu-saturate")
    assert result is not None
    assert result.value == (
        "epochs to 25% on raw and on standardized inputs: ReLU 5.5 and 4.5; tanh 33.0 and 9.0"
    )


def test_saturate_says_how_many_runs_arrived(write: Write) -> None:
    write(figure1_record([cell("2012", "relu", [5.0, None]), cell("standardized", "relu", [4.0, 4.0])]))
    result = claims.ours("relu-saturate")
    assert result is not None
    assert result.value.endswith("ReLU (1 of 2 runs reached it) and 4.0")


def test_no_ratio_where_relu_did_not_arrive(write: Write) -> None:
    write(figure1_record([cell("2012", "relu", [5.0, None]), cell("2012", "tanh", [33.0, 33.0])]))
    result = claims.ours("relu-6x")
    assert result is not None
    assert result.value.startswith("no ratio, for ReLU did not always reach 25%")


def test_unequal_numbers_of_seeds_are_told(write: Write) -> None:
    write(figure1_record([cell("2012", "relu", [5.0, 5.0, 5.0]), cell("2012", "tanh", [30.0, 30.0])]))
    result = claims.ours("relu-6x")
    assert result is not None
    assert "2 tanh and 3 ReLU seeds" in result.value


def test_crossings_are_those_of_the_study() -> None:
    for each in FULL:
        ours = [epochs_to(r["curve"], TARGET_TRAINING_ERROR) for r in each["runs"]]
        assert ours == figure1.crossings(each, "epoch")


def test_the_networks_are_conditions_of_the_study() -> None:
    assert set(measured.NETWORKS) | {"2012", "standardized", "modern"} <= set(figure1.CONDITIONS)
    base = figure1.CONDITIONS["2012"]
    for name in measured.NETWORKS:
        condition = figure1.CONDITIONS[name]
        assert (condition.input_scale, condition.init) == (base.input_scale, base.init)


def test_synthetic_images_are_told(write: Write) -> None:
    record = figure1_record(FULL)
    record["provenance"]["data"]["synthetic"] = True
    write(record)
    for claim_id in ("relu-6x", "relu-several", "relu-saturate"):
        result = claims.ours(claim_id)
        assert result is not None
        assert result.value.endswith("; on the synthetic stand-in")


def test_another_target_is_not_the_papers_claim(write: Write) -> None:
    write({**figure1_record(FULL), "target_error": 0.4})
    assert claims.ours("relu-6x") is None
    assert claims.ours("relu-saturate") is None


def damaged() -> list[tuple[str, Any, str]]:
    whole = figure1_record(FULL)
    text = json.dumps(whole)
    value = json.loads(text)
    value["summary"][0]["epochs"]["value"] = "6"
    negative = json.loads(text)
    negative["summary"][0]["epochs"]["low"] = -1.0
    return [
        ("empty", "", "damaged"),
        ("cut", text[: len(text) // 2], "damaged"),
        ("nan", text.replace("0.002", "NaN"), "NaN"),
        ("list", "[1, 2]", "holds a list"),
        ("other", {**whole, "experiment": "figure4"}, "'figure4'"),
        ("keys", {k: v for k, v in whole.items() if k != "summary"}, "summary"),
        ("provenance", {**whole, "provenance": {}}, "data"),
        ("null", {**whole, "summary": None}, "TypeError"),
        ("words", value, "'6'"),
        ("negative", negative, "-1.0"),
    ]


@pytest.mark.parametrize(("record", "reason"), [d[1:] for d in damaged()], ids=[d[0] for d in damaged()])
def test_a_damaged_record_is_a_message(write: Write, record: Any, reason: str) -> None:
    path = write(record)
    with pytest.raises(claims.RecordError) as caught:
        claims.ours("relu-6x")
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    shown = claims.verdict(["relu-6x"])
    assert shown.rows[0].ours == caught.value.brief
    assert "figure1.json cannot be read" in shown.rows[0].ours
    assert str(path.parent) not in shown._repr_html_()
    assert caught.value.brief in column(claims.table(notebook=1), 4)


def test_a_folder_in_place_of_the_record(write: Write, tmp_path: Path) -> None:
    (tmp_path / measured.FIGURE1).mkdir()
    with pytest.raises(claims.RecordError, match=r"figure1\.json cannot be read"):
        claims.ours("relu-6x")


def test_bytes_that_are_no_text(write: Write) -> None:
    write("").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(claims.RecordError, match="damaged"):
        claims.ours("relu-6x")


def test_the_published_record_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALEXNET_EDU_RESULTS", raising=False)
    for claim_id, (file, _) in measured.READERS.items():
        assert (results_dir() / file).exists()
        found = claims.ours(claim_id)
        assert found is not None
        assert found.provenance


def test_unknown_claims() -> None:
    for call in (claims.claim_named, claims.ours, claims.verdict):
        with pytest.raises(ValueError, match=r"'relu-7x'.*relu-6x"):
            call("relu-7x")
    with pytest.raises(ValueError, match="alexnet-edu claims"):
        claims.ours("§§")


# --- tables -----------------------------------------------------------------------------


class Cells(HTMLParser):
    """The text of each table cell; fails on a tag that was not meant to be there."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"table", "thead", "tbody", "tr", "th", "td", "br", "small"}, tag
        if tag == "tr":
            self.rows.append([])
        elif tag in {"th", "td"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.rows[-1][-1] += data


TRICKY = "<script>alert('x')</script> a | b\n*c* & `d`"


def test_html_escapes_and_takes_its_colours_from_the_page(write: Write) -> None:
    write(figure1_record(FULL))
    text = claims.verdict(["relu-6x", "wd-trains"], {"relu-6x": TRICKY})._repr_html_()
    parser = Cells()
    parser.feed(text)
    header, first, second = parser.rows
    assert header == ["claim", "paper", "2012 log", "ours", "why"]
    assert first[1] == "6 times faster to 25% training error"
    assert first[3].startswith("6.0 times [5.5, 6.6]")
    assert "recorded 2026-01-02" in first[3]
    assert first[4] == TRICKY
    assert second[3:] == [claims.NOT_MEASURED, ""]
    assert re.findall(r"[a-z-]*(?:color|background)[^;\"]*", text) == ["color: inherit"]


def test_markdown_keeps_one_row_per_claim(write: Write) -> None:
    text = claims.verdict(["relu-6x", "sgd-rule"], {"relu-6x": TRICKY})._repr_markdown_()
    lines = text.splitlines()
    assert len(lines) == 4
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == 6
    assert r"a \| b \*c\* &amp; \`d\`" in lines[2]
    assert "<script>" not in text


def test_text_is_aligned_and_complete(write: Write) -> None:
    write(figure1_record(FULL))
    lines = repr(claims.verdict(["relu-6x", "relu-several"], {"relu-6x": "because"})).splitlines()
    assert max(map(len, lines)) <= 120
    bars = [i for i, character in enumerate(lines[1]) if character == "+"]
    assert len(bars) == 4
    for line in filter(None, lines[:1] + lines[2:]):
        found = [i for i, character in enumerate(line) if character == "|"]
        assert found == bars[: len(found)]
    words = column("\n".join(lines), 3)
    assert "6.0 times [5.5, 6.6] in epochs" in words
    assert "recorded 2026-01-02 to 2026-01-03" in words


def test_the_same_ledger_gives_the_same_text(write: Write) -> None:
    write(figure1_record(FULL))
    for show in (repr, claims.Verdict._repr_html_, claims.Verdict._repr_markdown_):
        assert show(claims.verdict(IDS)) == show(claims.verdict(IDS))
    assert claims.table() == claims.table()


def test_verdict_refuses_what_it_cannot_show() -> None:
    with pytest.raises(ValueError, match="at least one"):
        claims.verdict([])
    with pytest.raises(ValueError, match="lrn-gain"):
        claims.verdict(["relu-6x"], {"lrn-gain": "no row of its own"})


def ids_in(text: str) -> set[str]:
    first = [line.split("|")[0].strip() for line in text.splitlines()]
    return {word for word in first if word in IDS}


def test_table_holds_every_claim() -> None:
    text = claims.table()
    assert ids_in(text) == set(IDS)
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("3.4", {"pool-overlap", "pool-overfit"}),
        ("§3.4", {"pool-overlap", "pool-overfit"}),
        ("abstract", {"size-params", "size-neurons"}),
        ("fig. 4", {"top5-panel", "neighbours"}),
        ("1", {"conv-share", "depth"}),
    ],
)
def test_table_of_a_section(section: str, expected: set[str]) -> None:
    assert ids_in(claims.table(section)) == expected


def test_table_of_a_whole_chapter() -> None:
    chapter = {claim.id for claim in CLAIMS if claim.section.startswith("3.")}
    assert ids_in(claims.table("3")) == chapter
    assert len(chapter) == 15


@pytest.mark.parametrize("notebook", [1, "1", "01", "01_relu_vs_tanh"])
def test_table_of_a_notebook(notebook: str | int) -> None:
    assert ids_in(claims.table(notebook=notebook)) == {"relu-6x", "relu-several", "relu-saturate"}


def test_table_refuses_what_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"'9\.9'.*3\.1"):
        claims.table("9.9")
    with pytest.raises(ValueError, match="'12'"):
        claims.table(notebook="12")
    with pytest.raises(ValueError, match="in notebook 01"):
        claims.table("4", notebook=1)
    with pytest.raises(ValueError, match="59"):
        claims.table(width=59)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_table_keeps_to_its_width(width: int) -> None:
    assert max(map(len, claims.table(width=width).splitlines())) <= width


def test_the_ledger_needs_no_torch() -> None:
    code = "import sys; import alexnet_edu.ledger.table; sys.exit('torch' in sys.modules)"
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ, check=False)
    assert done.returncode == 0
