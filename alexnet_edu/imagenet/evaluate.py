"""Trained networks judged on prepared images: one or several, averaged, as Tables 1 and 2 count.

Each network's softmax outputs are averaged over ten patches (§4.1) and then over the networks
(§6), with weights if given (`avg-valid.py` searched for such). Batch by batch, so 50,000
images and seven networks need no more memory than a batch of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet.errors import judged, probabilities, sum_type
from alexnet_edu.imagenet.feed import Feed, Views
from alexnet_edu.imagenet.prepared import PreparedSet
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.training import predictions
from alexnet_edu.training.loop import CheckpointError

BATCH = 128
PATCHES = (1, 10)


@dataclass(frozen=True)
class Judgement:
    """Errors (0–1) and the mean loss in nats over the images that could be read.

    unreadable: how many could not. lines: of the contest, in the order of the split.
    """

    top1: float
    top5: float
    loss: float
    images: int
    unreadable: int
    patches: int
    networks: int
    lines: tuple[str, ...] = ()

    def text(self) -> str:
        """One line for a person."""
        of = "one network" if self.networks == 1 else f"{self.networks} networks averaged"
        views = "the middle patch" if self.patches == 1 else f"{self.patches} patches"
        missing = f"; {self.unreadable} could not be read" if self.unreadable else ""
        return (
            f"{of}, {views}: top-1 error {100 * self.top1:.2f}%, top-5 {100 * self.top5:.2f}%, "
            f"loss {self.loss:.4f} on {self.images:,} images{missing}"
        )


def load_network(path: Path, wnids: Sequence[str]) -> AlexNet:
    """The network of a checkpoint of `alexnet-edu train`, ready to judge images of these classes.

    Raises CheckpointError where the file is not one, or was trained on other classes.
    """
    found = checkpoints.load(path)
    return network_of(found, wnids)


def network_of(found: checkpoints.Checkpoint, wnids: Sequence[str] | None = None) -> AlexNet:
    """The network of a checkpoint that was read. wnids: the classes that it must have."""
    state: dict[str, Any] = found.state
    if "recipe" not in state or "classes" not in state:
        raise CheckpointError(f"{found.path} is no checkpoint of a full training")
    if wnids is not None and list(wnids) != state["classes"]:
        raise CheckpointError(
            f"{found.path} was trained on {len(state['classes'])} classes, and the images have "
            f"{len(wnids)}; they must be the same ones in the same order"
        )
    model = AlexNet(Recipe(**state["recipe"]).architecture(len(state["classes"])))
    try:
        model.load_state_dict(found.part("model"))
    except RuntimeError as error:
        raise CheckpointError(f"the weights in {found.path} do not fit their network ({error})") from error
    return model.eval()


@torch.no_grad()
def judge(
    networks: Sequence[AlexNet],
    prepared: PreparedSet,
    *,
    split: str = "val",
    patches: int = 10,
    weights: Sequence[float] | None = None,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    workers: int | None = None,
    contest: bool = False,
    each_batch: Callable[[int], None] = lambda done: None,
) -> Judgement:
    """The errors of the networks' averaged predictions.

    patches: 1, the middle one, or 10. weights: one for each network. contest: give the lines, too.
    each_batch: called with the number of images done. Raises ValueError for other numbers.
    """
    if patches not in PATCHES:
        raise ValueError(f"patches must be 1 or 10, got {patches!r}")
    if not networks:
        raise ValueError("there is no network to judge")
    device = torch.device(device)
    views = Views(prepared, networks[0].architecture.side, device)
    for network in networks:
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.eval()
    feed = Feed(prepared.split(split), batch_size=BATCH, seed=None, device=device, workers=workers)
    sums = torch.zeros(4, dtype=sum_type(device), device=device)
    seen, lines = 0, list[str]()
    with closing(feed.batches(0, feed.steps_per_epoch)) as batches:
        for batch in batches:
            each = [
                probabilities(network, views, batch.pixels, patches, precision, torch.float32)
                for network in networks
            ]
            found = predictions.average(torch.stack(each), weights)
            sums += judged(found, batch.labels)
            seen += len(batch.labels)
            if contest:
                lines += predictions.contest_lines(found.cpu())
            each_batch(len(batch.labels))
    loss, wrong1, wrong5, images = sums.tolist()
    count = max(1.0, images)
    return Judgement(
        wrong1 / count,
        wrong5 / count,
        loss / count,
        int(images),
        seen - int(images),
        patches,
        len(networks),
        tuple(lines),
    )
