"""Nearest neighbours: exact by torch and by faiss, and by binary codes, time and memory.

    python benchmarks/neighbours.py [--rounds 5] [--images 50000] [--dimensions 4096] [--bits 256]

100 queries, the six nearest of 50,000 random vectors of 4096 numbers, as the paper's last hidden layer has
(the content does not matter to the time of an exact search). Codes are of random planes. An index is built
once and not counted; neither is the coding of the gallery, but that of the queries is. All take turns in
one process. See `benchmarks/README.md`.

The last lines are `ratio NAME VALUE`: the median over the rounds of the ratio of two times from the same
round, or a ratio of bytes. Above 1 means that the first one named is faster or smaller.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import faiss  # type: ignore[import-untyped]
import torch
from torch import Tensor
from turns import Measure, median_ratio, take_turns

from alexnet_edu.studies.codes import binary_index, hamming, pack, random_coder
from alexnet_edu.studies.neighbours import nearest

K = 6
QUERIES = 100


def timed(call: Callable[[], object]) -> Measure:
    """The call as a function that says how many seconds it took."""

    def measure() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return measure


def variants(gallery: Tensor, queries: Tensor, bits: int) -> dict[str, Callable[[], Tensor]]:
    """name -> a search that gives places in the gallery, (Q, K)."""
    flat = faiss.IndexFlatL2(gallery.shape[1])
    flat.add(gallery.numpy())
    coder = random_coder(gallery, bits, seed=0)
    codes = coder(gallery)
    binary = binary_index(codes)
    signs = 2 * codes.float() - 1

    def by_product() -> Tensor:
        u = 2 * coder(queries).float() - 1
        return (u @ signs.T).topk(K, 1).indices

    return {
        "torch.cdist": lambda: torch.cdist(queries, gallery).topk(K, 1, largest=False).indices,
        "ours": lambda: nearest(queries, gallery, K).index,
        "faiss flat": lambda: torch.from_numpy(flat.search(queries.numpy(), K)[1]),
        "codes, product": by_product,
        "codes, faiss": lambda: torch.from_numpy(binary.search(pack(coder(queries)), K)[1]),
    }


def check_that_they_agree(found: dict[str, Tensor], gallery: Tensor, queries: Tensor, bits: int) -> None:
    """Exact searches find the same; those of codes find codes that are as near. Raises SystemExit if not."""
    exact = {name: index.sort(1).values for name, index in found.items() if not name.startswith("codes")}
    for name, index in exact.items():
        if (index == exact["ours"]).double().mean() < 0.99:  # float32 may swap two that are equally far
            raise SystemExit(f"{name} and ours find other neighbours")
    coder = random_coder(gallery, bits, seed=0)
    distances = hamming(coder(queries), coder(gallery))
    far = [distances.gather(1, found[name]).sort(1).values for name in ("codes, product", "codes, faiss")]
    if not torch.equal(*far):
        raise SystemExit("faiss and the product find codes that are not equally near")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="searches counted per variant")
    parser.add_argument("--images", type=int, default=50_000, help="vectors that are searched")
    parser.add_argument("--dimensions", type=int, default=4096, help="numbers of a vector")
    parser.add_argument("--bits", type=int, default=256, help="of a code")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    if min(chosen.rounds, chosen.images - K, chosen.dimensions, chosen.threads) < 1:
        parser.error(f"--rounds, --dimensions and --threads must be at least 1, --images above {K}")
    torch.set_num_threads(chosen.threads)
    faiss.omp_set_num_threads(chosen.threads)
    print(
        f"{QUERIES} queries, {chosen.images:,} vectors of {chosen.dimensions}, {chosen.threads} threads, "
        f"torch {torch.__version__}, faiss {faiss.__version__}, Python {sys.version.split()[0]}"
    )
    generator = torch.Generator().manual_seed(0)
    gallery = torch.randn(chosen.images, chosen.dimensions, generator=generator)
    queries = torch.randn(QUERIES, chosen.dimensions, generator=generator)
    searches = variants(gallery, queries, chosen.bits)
    found = {name: search() for name, search in searches.items()}
    check_that_they_agree(found, gallery, queries, chosen.bits)
    measured = take_turns({name: timed(search) for name, search in searches.items()}, chosen.rounds)
    for name, seconds in measured.items():
        print(f"{name:16} {1000 * sorted(seconds)[len(seconds) // 2]:9.1f} ms")
    for name, above, below in (
        ("ours_against_cdist", "torch.cdist", "ours"),
        ("faiss_flat_against_ours", "ours", "faiss flat"),
        ("codes_against_ours", "ours", "codes, faiss"),
        ("codes_against_faiss_flat", "faiss flat", "codes, faiss"),
        ("codes_by_faiss_against_product", "codes, product", "codes, faiss"),
    ):
        print(f"ratio {name} {median_ratio(measured, above, below):.2f}")
    print(f"ratio bytes {32 * chosen.dimensions / chosen.bits:.2f}")


if __name__ == "__main__":
    main()
