"""Search among binary codes: packed to bytes, compared by how many bits differ.

faiss does it by the processor's own instructions for bits. The same by one matrix product of −1 and +1 is
the check on it, and the way where faiss is not installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet_edu import paper

ENGINES = ("faiss", "torch")
BLOCK = 25_000_000  # distances held at a time

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class FoundCodes:
    """bits: (Q, k) int64, how many bits differ, ascending; index: (Q, k) int64, places in the gallery."""

    bits: Tensor
    index: Tensor


def pack(codes: Tensor) -> Bytes:
    """Codes (N, bits) bool as bytes (N, bits / 8), the first bit the highest. ValueError for other shapes."""
    if codes.ndim != 2 or codes.dtype != torch.bool or codes.shape[1] % 8:
        raise ValueError(f"codes must be (N, a multiple of 8) bool, got {tuple(codes.shape)} {codes.dtype}")
    return np.packbits(codes.numpy(), axis=1)


def unpack(packed: Bytes) -> Tensor:
    """What `pack` made, as bool (N, bits)."""
    return torch.from_numpy(np.unpackbits(packed, axis=1)).bool()


def hamming(x: Tensor, y: Tensor) -> Tensor:
    """In how many bits codes differ: (Q, bits) and (N, bits) bool -> (Q, N) float32, whole numbers.

    With −1 and +1 for the bits, u · v = bits − 2 · (bits that differ). Up to 2²⁴ bits float32 is exact.
    """
    u, v = 2 * x.float() - 1, 2 * y.float() - 1
    return (x.shape[1] - u @ v.T) / 2


def search_codes(
    queries: Tensor, gallery: Tensor, k: int = paper.FIGURE4_NEIGHBOURS, *, engine: str = "faiss"
) -> FoundCodes:
    """The k codes of the gallery that differ from each query in the fewest bits.

    queries: (Q, bits), gallery: (N, bits), bool. Many codes are equally far, and of these the engines take
    whichever come first: shuffle a gallery that lies in class order before you count classes.
    Raises ValueError for other shapes, k, or an unknown engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; choose one of {', '.join(ENGINES)}")
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"codes must be (Q, bits) and (N, bits), got {tuple(queries.shape)} and {tuple(gallery.shape)}"
        )
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k must be from 1 to {len(gallery)}, the size of the gallery; got {k!r}")
    if engine == "torch":
        return _by_products(queries, gallery, k)
    bits, index = binary_index(pack(gallery)).search(pack(queries), k)
    return FoundCodes(torch.from_numpy(bits).long(), torch.from_numpy(index).long())


def _by_products(queries: Tensor, gallery: Tensor, k: int) -> FoundCodes:
    parts = []
    for block in queries.split(max(1, BLOCK // len(gallery))):
        # A tie goes to the lower place: it is added as a fraction of a bit.
        keys = hamming(block, gallery).double() + torch.arange(len(gallery)) / len(gallery)
        parts.append(keys.topk(k, 1, largest=False, sorted=True))
    keys = torch.cat([part.values for part in parts])
    return FoundCodes(keys.floor().long(), torch.cat([part.indices for part in parts]))


def binary_index(packed: Bytes) -> Any:
    """faiss's exact index of packed codes, (N, bits / 8): `.search(queries, k)` gives bits and places."""
    import faiss  # takes a while, and only codes need it

    index = faiss.IndexBinaryFlat(8 * packed.shape[1])
    index.add(np.ascontiguousarray(packed))
    return index
