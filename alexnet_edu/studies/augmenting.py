"""What augmentation costs: seconds of a batch beside those of a training step of the paper's network (§4.1).

Once in turn, and once with the next batch made in another thread meanwhile (`convdata_jpeg.py` 104-115).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alexnet_edu import paper
from alexnet_edu.data.augment import STRENGTHS, ColorPCA, random_crop_and_flip
from alexnet_edu.data.images import Images
from alexnet_edu.environment import joint_provenance, keep_freed_memory, provenance
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.studies.record import Record, of_rows

EXPERIMENT, TITLE = "augmenting", "What augmentation costs"
SIDE = 256  # of the prepared images (§2)


def augmented(images: Tensor, colors: ColorPCA, generator: torch.Generator) -> Tensor:
    """uint8 (N, 3, 256, 256) -> float32 (N, 3, 224, 224), channels-last: crops, reflections, colour PCA."""
    crops = random_crop_and_flip(images, paper.INPUT_SIDE, generator)
    return colors.apply(crops, paper.COLOR_PCA_STD, generator)


def record(images: Images, batch: int = 128, *, rounds: int = 5, seed: int = 0) -> Record:
    """The directions of the colours of `images`, and medians of seconds over so many rounds.

    Table "colours": each direction, its eigenvalue, and by how much each kind of `STRENGTHS` moves along it.
    Table "seconds": "augment", a batch made; "step", a training step; "in turn", both, one after the other;
    "side by side", a step while another thread makes the next batch.
    """
    colors = ColorPCA.fit(images.pixels)
    directions = zip(colors.eigenvalues.tolist(), colors.eigenvectors.T.tolist(), strict=True)
    strengths = {kind: colors.strengths(kind).tolist() for kind in STRENGTHS}
    rows = [
        {"eigenvalue": value, **dict(zip(("red", "green", "blue"), vector, strict=True))}
        | {kind: sizes[place] for kind, sizes in strengths.items()}
        for place, (value, vector) in enumerate(directions)
    ]
    seconds = [{"what": name, "seconds": s} for name, s in _seconds(colors, batch, rounds, seed).items()]
    data = {"source": images.source, "synthetic": images.synthetic, "images": len(images)}
    made = joint_provenance([provenance()]) | {"precision": ["float32"], "data": data}
    return of_rows(EXPERIMENT, TITLE, {"batch": batch}, made, {"colours": rows, "seconds": seconds})


def _seconds(colors: ColorPCA, batch: int, rounds: int, seed: int) -> dict[str, float]:
    keep_freed_memory()
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randint(0, 256, (batch, SIDE, SIDE, 3), dtype=torch.uint8, generator=generator)
    pixels = raw.permute(0, 3, 1, 2)  # as they lie in memory: channels last
    labels = torch.randint(paper.CLASSES, (batch,), generator=generator)
    net = AlexNet("paper", generator=generator).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=paper.MOMENTUM)

    def make() -> Tensor:
        return augmented(pixels, colors, generator)

    def step(x: Tensor) -> None:
        loss = F.cross_entropy(net(x - 120.0), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def beside(loader: ThreadPoolExecutor, waiting: Future[Tensor]) -> Future[Tensor]:
        following = loader.submit(make)  # the other buffer, filled during the step
        step(waiting.result())
        return following

    taken: dict[str, list[float]] = {"augment": [], "step": [], "in turn": [], "side by side": []}
    fixed = make()
    step(fixed)
    with ThreadPoolExecutor(1) as loader:
        waiting = loader.submit(make)
        for _ in range(rounds):
            taken["augment"].append(_timed(make))
            taken["step"].append(_timed(lambda: step(fixed)))
            taken["in turn"].append(_timed(lambda: step(make())))
            waiting.result()  # the first of them is ready before the clock starts
            start = time.perf_counter()
            waiting = beside(loader, waiting)
            waiting.result()
            taken["side by side"].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def gradient_spread(
    model: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    prepare: Callable[[Tensor], Tensor],
    size: int,
    *,
    shared: int,
    draws: int = 40,
    seed: int = 0,
) -> float:
    """How much the crops alone move a batch's gradient: its variance over its mean's squared length.

    pixels: (N, 3, H, W) uint8, always the same images; each draw crops and mirrors them anew, `shared`
    images in a row alike. Both parts are estimated without bias from `draws` draws, at least 2.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    total, squares = None, 0.0
    for _ in range(draws):
        crops = random_crop_and_flip(pixels, size, generator, shared=shared)
        loss = F.cross_entropy(model(prepare(crops)), labels)
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]).double()
        total = gradient if total is None else total + gradient
        squares += gradient.square().sum().item()
    assert total is not None
    mean = (total / draws).square().sum().item()
    variance = (squares - draws * mean) / (draws - 1)
    return variance / (mean - variance / draws)
