"""What this project measured for the claims of §6.1 about kernels; `measured` has the others.

Importing this module makes its readers known; `claims` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alexnet_edu.ledger.ours import on_stand_in, reads
from alexnet_edu.studies import specialization_records as records

FILE = f"{records.EXPERIMENT}.json"


def _of(record: Mapping[str, Any]) -> None:
    if record["experiment"] != records.EXPERIMENT:
        raise ValueError(f"experiment {record['experiment']!r} is not {records.EXPERIMENT!r}")


@reads("kernels", FILE)
def _read_kernels(record: dict[str, Any]) -> str | None:
    _of(record)
    part = records.condition(record, "paper")
    kinds = part["kinds"]
    side = part["kernel"]
    return (
        f"small version, kernels of {side}×{side}×3: {kinds['striped']:.0%} prefer one direction, "
        f"{kinds['blobs']:.0%} are coloured blobs; median frequency {kinds['grey_frequency']:.2f} cycles a "
        f"pixel of grey ones, {kinds['coloured_frequency']:.2f} of coloured ones "
        f"({len(part['runs'])} networks on CIFAR-10{on_stand_in(record)})"
    )


@reads("specialization", FILE)
def _read_specialization(record: dict[str, Any]) -> str | None:
    _of(record)
    said = []
    for name, words in (("paper", "columns as in the paper"), ("joint", "none"), ("apart", "no exchange")):
        test = records.pooled_test(record, name)
        p = records.p_text(test.p, record["deals"])
        said.append(
            f"{words}: clear in {test.clear} of {test.networks}, {test.mean / test.chance:.1f} times chance "
            f"(p {p if p.startswith('<') else f'= {p}'})"
        )
    return f"small version on CIFAR-10, colour by column, {'; '.join(said)}{on_stand_in(record)}"
