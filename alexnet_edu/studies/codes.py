"""Short binary codes for vectors: learned by an auto-encoder, as §6.1 proposes, or by random planes.

The forward pass rounds each of `bits` tanh units to −1 or +1; the backward pass ignores the rounding (a
straight-through estimator). Codes are packed into bytes, and faiss counts the bits that differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from alexnet_edu import paper
from alexnet_edu.environment import autocast
from alexnet_edu.studies.neighbours import Neighbours

BITS = (32, 64, 128, 256)


@dataclass(frozen=True)
class CodeSettings:
    """How an auto-encoder for codes is made and trained, by Adam, its rate falling to 0 by a cosine.

    bits: of a code, a multiple of 8. hidden: units between vector and bottleneck, on each side.
    epochs: passes over the vectors. rate: the first rate. batch: vectors a step. precision: of the matrix
    products, "float32", or "bfloat16" where the processor has it (`resolve_precision`).
    """

    bits: int = 64
    hidden: int = 512
    epochs: int = 10
    rate: float = 1e-3
    batch: int = 250
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.bits < 8 or self.bits % 8:
            raise ValueError(f"a code has a multiple of 8 bits, at least 8; got {self.bits!r}")


@dataclass(frozen=True)
class Scale:
    """Vectors minus their mean, divided by one standard deviation for all: what a coder reads.

    mean: (D,) float32.
    """

    mean: Tensor
    std: float

    @classmethod
    def of(cls, vectors: Tensor) -> Scale:
        """vectors: (N, D) floating. Raises ValueError where they are all the same."""
        mean = vectors.mean(0)
        variance, _ = torch.var_mean(vectors - mean)
        if not torch.isfinite(variance) or variance <= 0:
            raise ValueError(f"vectors with the variance {variance.item():g} cannot be told apart")
        return cls(mean, variance.sqrt().item())

    def __call__(self, vectors: Tensor) -> Tensor:
        return (vectors - self.mean) / self.std


class BinaryAutoEncoder(nn.Module):
    """D numbers -> `bits` values of −1 or +1 -> D numbers; weights from N(0, 2 / fan-in), biases 0."""

    def __init__(self, dimensions: int, bits: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(dimensions, hidden), nn.ReLU(), nn.Linear(hidden, bits))
        self.decoder = nn.Sequential(nn.Linear(bits, hidden), nn.ReLU(), nn.Linear(hidden, dimensions))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, (2 / module.in_features) ** 0.5, generator=generator)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, D) -> its reconstruction from the code, (N, D)."""
        smooth = torch.tanh(self.encoder(x))  # (N, bits)
        code = smooth + (signs(smooth) - smooth).detach()  # the value of the sign, the slope of tanh
        return self.decoder(code)


def signs(x: Tensor) -> Tensor:
    """−1 or +1 in x's type; 0 counts as +1, so that nothing lies between."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


@dataclass(frozen=True)
class Coder:
    """Gives vectors their codes.

    scale: brings vectors into the form that `project` reads. project: (N, D) -> (N, bits); a bit is its sign.
    error: mean squared error of the reconstruction from codes, as a share of the variance; NaN where
    nothing is reconstructed.
    """

    bits: int
    scale: Scale
    project: Callable[[Tensor], Tensor]
    error: float = float("nan")

    @torch.no_grad()
    def __call__(self, vectors: Tensor, batch: int = 5_000) -> Tensor:
        """vectors: (N, D) -> codes (N, bits) bool."""
        return torch.cat([self.project(self.scale(part)) >= 0 for part in vectors.split(batch)])


def train_coder(vectors: Tensor, settings: CodeSettings, seed: int) -> Coder:
    """Trains an auto-encoder on vectors (N, D) float32; no label is used.

    Raises ValueError for vectors that cannot be told apart, RuntimeError where the loss is no number.
    """
    scale, generator = Scale.of(vectors), torch.Generator().manual_seed(seed)
    x = scale(vectors)
    model = BinaryAutoEncoder(x.shape[1], settings.bits, settings.hidden, generator)
    steps = -(-len(x) // settings.batch) * settings.epochs
    optimizer = torch.optim.Adam(model.parameters(), settings.rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    error = float("nan")
    for epoch in range(1, settings.epochs + 1):
        total = 0.0
        for index in torch.randperm(len(x), generator=generator).split(settings.batch):
            batch = x[index]
            with autocast("cpu", settings.precision):
                out = model(batch)
            loss = F.mse_loss(out.float(), batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        error = total / len(x)  # 1 is the variance
        if not error < float("inf"):
            raise RuntimeError(f"the auto-encoder's loss is {error} in epoch {epoch}; a lower rate helps")
    model.eval().requires_grad_(False)
    return Coder(settings.bits, scale, model.encoder, error)


def random_coder(vectors: Tensor, bits: int, seed: int) -> Coder:
    """Nothing learned but the mean: bit b is the side of a random plane through it, r_b · (x − mean) ≥ 0.

    The share of bits in which two vectors differ then tends to their angle divided by π.
    """
    scale = Scale.of(vectors)
    planes = torch.randn(vectors.shape[1], bits, generator=torch.Generator().manual_seed(seed))
    planes = planes.to(vectors.dtype)
    return Coder(bits, scale, lambda x: x @ planes)


def pca_coder(vectors: Tensor, bits: int) -> Coder:
    """Bit b is the sign along the direction of the b-th largest variance; there are at most D bits."""
    scale = Scale.of(vectors)
    axes = _principal(scale(vectors), bits)
    return Coder(bits, scale, lambda x: x @ axes)


def itq_coder(vectors: Tensor, bits: int, seed: int, rounds: int = 30) -> Coder:
    """PCA, then the rotation that brings the vectors near corners ±1 (ITQ; Gong and Lazebnik, 2011).

    With given corners the best rotation is that of a singular value decomposition, with a given rotation
    the best corners are the signs: so in turns, from a random rotation.
    """
    scale = Scale.of(vectors)
    axes = _principal(scale(vectors), bits)
    along = scale(vectors) @ axes
    random = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(bits, bits, generator=random)).Q
    for _ in range(rounds):
        u, _, v = torch.linalg.svd(along.T @ signs(along @ turn))
        turn = u @ v
    turned = axes @ turn
    return Coder(bits, scale, lambda x: x @ turned)


def _principal(x: Tensor, count: int) -> Tensor:
    """The directions of largest variance of vectors (N, D) with the mean 0: (D, count)."""
    return torch.linalg.eigh(x.T @ x).eigenvectors[:, -count:]


# --- search -----------------------------------------------------------------------------------


def hamming(x: Tensor, y: Tensor) -> Tensor:
    """In how many bits codes differ: (Q, bits) and (N, bits) bool -> (Q, N) float32, whole numbers.

    With −1 and +1 for the bits, u · v = bits − 2 · (bits that differ). Up to 2²⁴ bits float32 is exact.
    """
    u, v = 2 * x.float() - 1, 2 * y.float() - 1
    return (x.shape[1] - u @ v.T) / 2


def pack(codes: Tensor) -> NDArray[np.uint8]:
    """Codes (N, bits) bool as bytes (N, bits / 8), the first bit the highest."""
    return np.packbits(codes.numpy(), axis=1)


def binary_index(codes: Tensor) -> Any:
    """faiss's exact index of codes (N, bits): `.search(pack(queries), k)` gives bits and places."""
    import faiss  # takes a while, and only codes need it

    index = faiss.IndexBinaryFlat(codes.shape[1])
    index.add(pack(codes))
    return index


def search_codes(queries: Tensor, gallery: Tensor, k: int = paper.FIGURE4_NEIGHBOURS) -> Neighbours:
    """The k codes of the gallery that differ from each query in the fewest bits.

    queries: (Q, bits), gallery: (N, bits), bool. Many codes are equally far, and of these faiss takes
    whichever come first: shuffle a gallery that lies in class order before you count classes.
    Raises ValueError for another k.
    """
    if not 1 <= k <= len(gallery):  # faiss would fill up with -1, a place that indexing takes for the last
        raise ValueError(f"k must be from 1 to {len(gallery)}, the size of the gallery; got {k!r}")
    bits, index = binary_index(gallery).search(pack(queries), k)
    return Neighbours(torch.from_numpy(bits).long(), torch.from_numpy(index).long())
