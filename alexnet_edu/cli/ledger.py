"""The commands of the ledger: what it says, and how trainings on ImageNet are added to it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alexnet_edu.cli import command, option
from alexnet_edu.cli.commands import say

if TYPE_CHECKING:
    from alexnet_edu.imagenet.evaluate import Judgement


@dataclass(frozen=True)
class Claims:
    """id: one claim, in full. section: such as 3.1, 3, abstract, "Fig. 1". notebook: such as 01. json: as a
    list of objects.
    """

    id: str | None = option(None, place=True, metavar="ID")
    section: str | None = option(None, metavar="3.1")
    notebook: str | None = option(None, metavar="01")
    json: bool = False


@command(
    "claims",
    "the ledger: each claim of the paper, and what came out here",
    Claims,
    more="""\
The verdicts follow from the recorded numbers:
  holds               as the paper says, in what was counted or measured here
  partly              a part of it, or a small version of what the paper did on ImageNet
  does not hold here  measured, and not as the paper says
  not decided         measured, and the intervals are too wide to tell
  exact, measured     there is a value, and nothing that judges it
  needs ImageNet      only the full training can tell
  not measured yet, nothing to measure, damaged record
""",
)
def _claims(wanted: Claims) -> None:
    import json

    from alexnet_edu.ledger import table

    one = wanted.id is not None
    claims = (
        [table.claim_named(wanted.id)]
        if wanted.id is not None
        else table.chosen(wanted.section, wanted.notebook)
    )
    if wanted.json:
        print(json.dumps([table.as_object(claim) for claim in claims], indent=1, ensure_ascii=False))
    else:
        print(table.detail(claims[0], _width()) if one else table.lines(claims, _width()))


@dataclass(frozen=True)
class Evidence:
    """runs: folders of trainings that have finished. data: prepared images, to average the networks of these
    runs. device: auto, cpu, cuda, mps.
    """

    runs: tuple[Path, ...] = option(place=True, metavar="RUN")
    data: Path | None = None
    device: str = "auto"


@command(
    "claims add",
    "fill in the claims that need ImageNet, from finished trainings",
    Evidence,
    kept="The record is as it was.",
    more="`alexnet-edu claims ID` says which trainings a claim needs, and how they judge it. Other images,\n"
    "other recipes and unfinished trainings are refused, with the reason.",
)
def _add(wanted: Evidence) -> None:
    from alexnet_edu.ledger import table, trainings

    rows = [trainings.row_of(folder) for folder in wanted.runs]
    trainings.distinct(rows)
    if wanted.data is not None:
        trainings.average_name(rows)  # before hours are spent
        rows.append(trainings.average_of(rows, _averaged(wanted)))
    path = trainings.add(rows)
    say(f"{', '.join(row['variant'] for row in rows)}: {path}")
    claims = [
        claim for claim in table.CLAIMS if set(claim.imagenet.get("of", ())) & {r["variant"] for r in rows}
    ]
    print(table.lines(claims, _width()))


def _averaged(wanted: Evidence) -> Judgement:
    """The errors of the runs' last networks, averaged."""
    from alexnet_edu.files import DataError
    from alexnet_edu.imagenet import checkpoint
    from alexnet_edu.imagenet.distributed import device_of
    from alexnet_edu.imagenet.evaluate import judge, network_of
    from alexnet_edu.imagenet.prepared import open_prepared

    assert wanted.data is not None
    prepared = open_prepared(wanted.data)
    networks = []
    for folder in wanted.runs:
        if not (steps := checkpoint.saved_steps(folder)):
            raise DataError(f"{folder} holds no checkpoint: its network is needed for the average")
        networks.append(network_of(checkpoint.load(checkpoint.path_of(folder, steps[-1])), prepared.wnids))
    return judge(networks, prepared, device=device_of(wanted.device))


def _width() -> int:
    return max(60, min(120, shutil.get_terminal_size((80, 40)).columns))
