"""Draws the pictures that the README and the guide show, from the recorded results.

    python tools/figures.py     writes docs/figure1.png

Nothing is measured here, and no number is typed in: without a record there is no picture.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from alexnet_edu import paper
from alexnet_edu.lessons import relu
from alexnet_edu.show.plots import STYLES
from alexnet_edu.studies import figure1
from alexnet_edu.studies.record import Record, load

DOCS = Path(__file__).resolve().parent.parent / "docs"


def draw_figure1(record: Record) -> Figure:
    """Learning curves under the conditions of 2012 beside the ratios under all conditions."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.2), width_ratios=(1, 1))
    for name in ("tanh", "relu"):
        for seed, curve in record.of(variant=f"2012 {name}").curves.groupby("seed"):
            label = f"{STYLES[name].label}, our seeds" if seed == 1 else None
            relu.learning_curve(left, curve["epoch"], curve["train_error"], name, label=label, thin=True)
    published = {"relu": paper.APPROXIMATE_RELU_CROSSING_EPOCH, "tanh": paper.APPROXIMATE_TANH_CROSSING_EPOCH}
    relu.mark_published(left, published, figure1.TARGET_ERROR)
    relu.finish_learning_curves(left, figure1.TARGET_ERROR, "Figure 1 on real CIFAR-10 (recorded)")
    ratios = record.tables["ratios"]
    rows = ratios[ratios["numerator"] == "tanh"]
    relu.draw_ratios(right, rows, paper.RELU_SPEEDUP, "How many times slower is tanh? (recorded)")
    figure.tight_layout()
    return figure


def main() -> None:
    draw_figure1(load("figure1")).savefig(DOCS / "figure1.png", dpi=110, metadata={"Software": None})
    print(f"wrote {DOCS / 'figure1.png'}")


if __name__ == "__main__":
    main()
