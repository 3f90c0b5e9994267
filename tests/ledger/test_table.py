"""The ledger in a notebook, in a terminal and as objects."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from alexnet_edu.ledger import table as module
from alexnet_edu.ledger.claims import CLAIMS, HOLDS, NOT_HERE, Check, claim_named
from alexnet_edu.ledger.ours import Ours
from alexnet_edu.ledger.table import chosen, table, verdict, word

RESULTS = Path(__file__).resolve().parents[2] / "data" / "results"


class Cells(HTMLParser):
    """The text of each table cell; fails on a tag that was not meant to be there."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"table", "thead", "tbody", "tr", "th", "td", "details", "summary"}, tag
        if tag == "tr":
            self.rows.append([])
        elif tag in {"th", "td"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.rows[-1][-1] += data


TRICKY = "<script>alert('x')</script> a | b\n*c* & `d`"


def test_html_escapes_and_takes_its_colours_from_the_page() -> None:
    text = verdict(["relu-6x", "depth"], {"relu-6x": TRICKY})._repr_html_()
    parser = Cells()
    parser.feed(text)
    header, first, second = parser.rows
    assert header == ["claim", "verdict", "paper", "2012 log", "ours", "why"]
    assert first[1:3] == ["✔ holds", "6 times faster to 25% training error"]
    assert "times" in first[4]
    assert "recorded 20" in first[4]
    assert first[5] == TRICKY
    assert second[4:] == ["not measured yet", ""]
    assert re.findall(r"[a-z-]*(?:color|background)[^;\"]*", text) == ["color: inherit"]


def test_verdict_refuses_what_it_cannot_show() -> None:
    with pytest.raises(ValueError, match="at least one"):
        verdict([])
    with pytest.raises(ValueError, match="lrn-gain"):
        verdict(["relu-6x"], {"lrn-gain": "no row of its own"})


def test_a_damaged_record_is_named_in_its_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXNET_EDU_RESULTS", str(tmp_path))
    shutil.copy(RESULTS / "pooling.json", tmp_path / "figure1.json")
    assert "figure1.json" in verdict(["relu-6x"]).rows[0].ours
    assert word(claim_named("relu-6x")) == "damaged record"


# --- the word ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "found", "expected"),
    [
        (("small",), HOLDS, "holds"),
        (("imagenet", "small"), HOLDS, "partly"),  # a small version
        (("imagenet", "small"), NOT_HERE, "does not hold here"),
        (("imagenet",), HOLDS, "needs ImageNet"),
        (("small",), None, "measured"),
        (("exact",), None, "exact"),
        (("small",), "nothing", "not measured yet"),
        (("imagenet", "small"), "nothing", "needs ImageNet"),
        ((), "nothing", "nothing to measure"),
    ],
)
def test_the_word_follows_from_what_was_found(
    check: tuple[Check, ...], found: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = None if found == "nothing" else Ours("a value", "", None, found)
    monkeypatch.setattr(module, "ours", lambda claim_id: measured)
    assert word(replace(CLAIMS[0], check=check)) == expected


@pytest.mark.parametrize(
    ("claim_id", "expected"),
    [
        ("size-params", "holds"),
        ("fig2-neurons", "partly"),
        ("conv-share", "does not hold here"),
        ("relu-6x", "holds"),
        ("specialization", "partly"),
        ("table2-1", "needs ImageNet"),
        ("sgd-rule", "exact"),
    ],
)
def test_the_words_of_today(claim_id: str, expected: str) -> None:
    assert word(claim_named(claim_id)) == expected


# --- in a terminal ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("3.4", {"pool-overlap", "pool-overfit"}),
        ("§3.4", {"pool-overlap", "pool-overfit"}),
        ("abstract", {"size-params", "size-neurons"}),
        ("fig. 4", {"top5-panel", "neighbours"}),
        ("1", {"conv-share", "depth"}),
        ("3", {claim.id for claim in CLAIMS if claim.section.startswith("3.")}),
    ],
)
def test_the_claims_of_a_section(section: str, expected: set[str]) -> None:
    assert {claim.id for claim in chosen(section)} == expected


@pytest.mark.parametrize("notebook", [1, "1", "01", "01_relu_vs_tanh"])
def test_the_claims_of_a_notebook(notebook: str | int) -> None:
    assert [claim.id for claim in chosen(notebook=notebook)] == ["relu-6x", "relu-several", "relu-saturate"]


@pytest.mark.parametrize(
    ("section", "notebook", "quoted"), [("9.9", None, "'9.9'"), (None, "12", "'12'"), ("4", 1, "'4'")]
)
def test_what_is_not_there_is_quoted(section: str | None, notebook: str | int | None, quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        chosen(section, notebook)


@pytest.mark.parametrize("width", [60, 200])
def test_the_table_holds_every_claim_and_keeps_to_its_width(width: int) -> None:
    text = table(width=width).splitlines()
    assert max(map(len, text)) <= width
    assert {line.split()[1] for line in text if line.startswith("id ")} == {claim.id for claim in CLAIMS}
