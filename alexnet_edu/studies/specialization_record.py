"""The recorded study of the two columns read: what each condition found.

Record in, numbers and tables out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alexnet_edu.studies.record import Record
from alexnet_edu.studies.statistics import PooledTest, p_text

if TYPE_CHECKING:
    import pandas as pd

EXPERIMENT = "specialization"


def pooled_test(record: Record, condition: str, measure: str = "colour", snapshot: int = -1) -> PooledTest:
    """What all networks of a condition say together, at one of its snapshots, the last one by default."""
    rows = over_training(record, condition, measure).drop(columns=["variant", "epoch", "measure"])
    values = rows.to_dict("records")[snapshot]
    return PooledTest(**{str(name): value for name, value in values.items()})


def over_training(record: Record, condition: str, measure: str = "colour") -> pd.DataFrame:
    """The rows of the table "pooled" of a condition and measure, one a snapshot: "epoch", "mean", …

    Raises ValueError, with what there is, for another condition or measure.
    """
    return record.rows("pooled", variant=condition, measure=measure)


def columns_of(record: Record, condition: str, measure: str = "colour") -> pd.DataFrame:
    """Rows with "seed", "first" and "second", the columns' means, and "p", one for each network."""
    rows = record.of(variant=condition).tables["columns"]
    return rows[rows["measure"] == measure]


def _titles(record: Record) -> dict[str, str]:
    conditions = record.tables["conditions"]
    return dict(zip(conditions["variant"], conditions["title"], strict=True))


def table(record: Record, measure: str = "colour") -> str:
    """Each condition in a line: its networks, how far their columns differ, and by chance; as text."""
    width = max(map(len, _titles(record).values())) + 2
    head = (
        f"{'condition':<{width}}{'networks':>9}{'test error':>12}{'difference':>12}{'by chance (95%)':>24}"
        f"{'effect':>8}{'p':>10}{'clear':>7}"
    )
    lines = [head, "-" * len(head)]
    for name, title in _titles(record).items():
        test = pooled_test(record, name, measure)
        error = record.of(variant=name).runs["test_error"].mean()
        chance = f"{test.chance:.3f} [{test.low:.3f}, {test.high:.3f}]"
        p = p_text(test.p, record.settings["permutations"])
        lines.append(
            f"{title:<{width}}{test.networks:>9}{error:>12.1%}{test.mean:>12.3f}{chance:>24}"
            f"{test.effect:>8.2f}{p:>10}{test.clear:>4}/{test.networks}"
        )
    return "\n".join(lines)


def measures_table(record: Record) -> str:
    """Each condition and measure: mean difference over the mean by chance, with its p; as text."""
    titles = record.tables["conditions"].set_index("variant")["title"]
    names = list(record.tables["pooled"]["measure"].unique())
    width = max(map(len, titles)) + 2
    head = f"{'times chance (p)':<{width}}" + "".join(f"{name:>20}" for name in names)
    lines = [head, "-" * len(head)]
    for condition, title in _titles(record).items():
        cells = ""
        for name in names:
            test = pooled_test(record, condition, name)
            p = p_text(test.p, record.settings["permutations"])
            cells += f"{f'{test.mean / test.chance:.2f} ({p})':>20}"
        lines.append(f"{title:<{width}}{cells}")
    return "\n".join(lines)


def origin(record: Record) -> str:
    """One sentence: when, where, on what the record was made, and how long it takes."""
    made, runs = record.provenance, record.runs
    return (
        f"recorded {', '.join(made['dates'])} at commit {', '.join(made['commits'])} on "
        f"{', '.join(made['hardware'])} (torch {', '.join(made['torch'])}, {', '.join(made['precision'])}); "
        f"{len(runs)} networks, {runs['cpu_seconds'].sum() / 3600:.1f} hours of one core; repeated by "
        f"`alexnet-edu experiment {EXPERIMENT}`; data: {made['data']['source']}"
    )
