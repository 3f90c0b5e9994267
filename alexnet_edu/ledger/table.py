"""The ledger as people see it: claim | paper | 2012 log | ours, in notebooks, in a terminal, as JSON."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alexnet_edu.files import DataError
from alexnet_edu.ledger import trainings
from alexnet_edu.ledger.claims import CLAIMS as CLAIMS
from alexnet_edu.ledger.claims import HOLDS, NOT_HERE, NOTEBOOKS, PARTLY, Claim
from alexnet_edu.ledger.claims import claim_named as claim_named
from alexnet_edu.ledger.ours import ours

NOT_MEASURED = "not measured yet"
NOTHING_TO_MEASURE = "nothing to measure"
NEEDS_IMAGENET = "needs ImageNet"
HEADERS = ("claim", "verdict", "paper", "2012 log", "ours", "why")
SIGNS = {HOLDS: "✔", "exact": "✔", PARTLY: "◐", NOT_HERE: "✘"}  # of a verdict; "○" of any other


@dataclass(frozen=True)
class Row:
    """One line of a table; all cells are plain text. provenance: "" where nothing is measured."""

    section: str
    claim: str
    verdict: str
    paper: str
    log: str
    ours: str
    provenance: str
    why: str = ""


def _row(claim: Claim, why: str = "") -> Row:
    """The claim with what was measured; a damaged record is named in its cell."""
    value, source = NOT_MEASURED if claim.check else NOTHING_TO_MEASURE, ""
    judged = word(claim)
    try:
        if (measured := ours(claim.id)) is not None:
            value, source = measured.value, measured.provenance
    except DataError as error:
        value = str(error)
    return Row(claim.section, claim.statement, judged, claim.paper, claim.log, value, source, why)


@dataclass(frozen=True)
class Verdict:
    """The table that ends a notebook: claim | verdict | paper | 2012 log | ours | why.

    Shows itself in JupyterLab, on GitHub and as text, in the colours of where it is shown.
    """

    rows: tuple[Row, ...]

    def __repr__(self) -> str:
        return "\n\n".join(_text(dict(zip(HEADERS, _text_cells(row), strict=True)), 120) for row in self.rows)

    def _repr_html_(self) -> str:
        style = 'style="text-align: left; vertical-align: top; white-space: normal"'
        head = "".join(f'<th scope="col" {style}>{header}</th>' for header in HEADERS)
        body = []
        for row in self.rows:
            cells = [html.escape(cell) for cell in _cells(row)]
            if row.provenance:
                cells[4] += f"<details><summary>measured</summary>{html.escape(row.provenance)}</details>"
            body.append("<tr>" + "".join(f"<td {style}>{cell}</td>" for cell in cells) + "</tr>")
        rows = "\n".join(body)
        opening = '<table style="color: inherit">'
        return f"{opening}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def verdict(ids: Iterable[str], why: Mapping[str, str] | None = None) -> Verdict:
    """The table of some claims, in the order given.

    why: id -> the reason for a difference, as plain text. Raises ValueError for an unknown
    claim, for no claim at all, and for a reason whose claim is not in the table.
    """
    chosen = [claim_named(i) for i in ([ids] if isinstance(ids, str) else ids)]
    reasons = dict(why or {})
    if not chosen:
        raise ValueError("a verdict needs at least one claim, got none")
    stray = sorted(set(reasons) - {claim.id for claim in chosen})
    if stray:
        raise ValueError(f"`why` speaks of {', '.join(stray)}, but the table does not hold that claim")
    return Verdict(tuple(_row(claim, reasons.get(claim.id, "")) for claim in chosen))


# --- all claims, or one, in a terminal -------------------------------------------------------------


def word(claim: Claim) -> str:
    """The verdict on a claim, in a word or two; it follows from what was found, and nobody types it.

    What a small version shows of a claim about ImageNet is a part of it at most. "exact" and "measured":
    there is a value, and no rule that judges it.
    """
    try:
        found = ours(claim.id)
    except DataError:
        return "damaged record"
    if found is not None and found.imagenet:
        return str(found.verdict)
    if claim.check == ("imagenet",) or (found is None and "imagenet" in claim.check):
        return NEEDS_IMAGENET
    if found is None:
        return NOT_MEASURED if claim.check else NOTHING_TO_MEASURE
    if found.verdict is None:
        return "exact" if claim.check == ("exact",) else "measured"
    return PARTLY if found.verdict == HOLDS and "imagenet" in claim.check else found.verdict


def chosen(section: str | None = None, notebook: str | int | None = None) -> list[Claim]:
    """The claims of a section and of a notebook.

    section: "3", "3.1", "abstract", "Fig. 1" …: only claims made there; "3" takes 3.1 too.
    notebook: 1, "01" or "01_relu_vs_tanh": only claims that this notebook treats.
    Raises ValueError where nothing is left.
    """
    number = None if notebook is None else str(notebook).split("_")[0].zfill(2)
    if number is not None and number not in NOTEBOOKS:
        raise ValueError(
            f"no claim belongs to notebook {notebook!r}; those with claims: {', '.join(NOTEBOOKS)}"
        )
    claims = [claim for claim in CLAIMS if number in (None, claim.notebook) and _made_in(claim, section)]
    if not claims:
        places = sorted({part for claim in CLAIMS for part in claim.section.split(", ")})
        where = "" if number is None else f" in notebook {number}"
        raise ValueError(f"no claim of section {section!r}{where}; sections are {'; '.join(places)}")
    return claims


def lines(claims: Sequence[Claim], width: int) -> str:
    """One line a claim, at most `width` characters: id, verdict, and as much of the claim as fits."""
    words = {claim.id: word(claim) for claim in claims}
    first, second = (max(map(len, texts)) for texts in (words.keys(), words.values()))
    left = max(20, width - first - second - 4)
    return "\n".join(
        f"{claim.id:{first}}  {words[claim.id]:{second}}  {_cut(claim.statement, left)}".rstrip()
        for claim in claims
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{_wrap(text, width - 2)[0]} …"


def as_object(claim: Claim) -> dict[str, str]:
    """All that the ledger says of a claim, by names; the lesson is its notebook."""
    row = _row(claim)
    return {
        "id": claim.id,
        "verdict": row.verdict,
        "section": claim.section,
        "claim": claim.statement,
        "paper": claim.paper,
        "log": claim.log,
        "ours": row.ours,
        "provenance": row.provenance,
        "check": " + ".join(claim.check),
        "how": claim.how,
        "lesson": claim.notebook,
        "rule": trainings.rule_in_words(claim),
        "takes": trainings.cost(claim),
        "commands": "\n".join(trainings.commands(claim)),
    }


def detail(claim: Claim, width: int) -> str:
    """`as_object`, wrapped for a terminal, and what the record behind it lacks by now."""
    lesson = f"{claim.notebook} {NOTEBOOKS[claim.notebook]}"
    return _text(as_object(claim) | {"lesson": lesson, "outdated": _outdated(claim)}, width)


def _outdated(claim: Claim) -> str:
    from alexnet_edu.studies import record, stale

    try:
        found = ours(claim.id)
        return stale.changed(record.load(found.record.stem)) if found and found.record else ""
    except DataError:
        return ""  # it is named in its cell


def _text(texts: Mapping[str, str], width: int) -> str:
    """Each text behind its name, wrapped; those that are empty left out."""
    wrapped = {
        name: [part for line in text.splitlines() for part in _wrap(line, width - 12)]
        for name, text in texts.items()
        if text
    }
    gap = "\n" + " " * 12
    return "\n".join(f"{name:11s} {gap.join(parts)}" for name, parts in wrapped.items())


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


def table(section: str | None = None, notebook: str | int | None = None, *, width: int = 120) -> str:
    """The claims that `chosen` gives in all detail, at most `width` characters wide."""
    return "\n\n".join(detail(claim, width) for claim in chosen(section, notebook))


def _made_in(claim: Claim, section: str | None) -> bool:
    if section is None:
        return True
    wanted = section.removeprefix("§").strip().lower()
    return any(
        part == wanted or part.startswith((wanted + ".", wanted + " "))
        for part in claim.section.lower().split(", ")
    )


def _place(section: str) -> str:
    """ "3.1, Fig. 1" -> "§3.1, Fig. 1"; "abstract, 4" -> "abstract, §4"."""
    return ", ".join(f"§{part}" if part[0].isdigit() else part for part in section.split(", "))


def _cells(row: Row) -> tuple[str, ...]:
    badge = f"{SIGNS.get(row.verdict, '○')} {row.verdict}" if row.verdict else ""
    return (f"{row.claim} ({_place(row.section)})", badge, row.paper, row.log, row.ours, row.why)


def _text_cells(row: Row) -> list[str]:
    """The cells with the provenance in line, for text."""
    cells = list(_cells(row))
    cells[4] += f" ({row.provenance})" if row.provenance else ""
    return cells
