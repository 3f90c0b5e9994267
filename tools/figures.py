"""Draws the pictures that the README shows, from the recorded results.

    python tools/figures.py     writes docs/figure1.png and docs/scoreboard.png

Nothing is measured here, and no number is typed in: without a record there is no picture.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from alexnet_edu.lessons import ledger, relu
from alexnet_edu.show.explorer import stacked
from alexnet_edu.show.plots import png
from alexnet_edu.studies.record import load

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    record = load("figure1")
    drawings = relu.figure_1(record), relu.factors(record)
    (DOCS / "figure1.png").write_bytes(stacked([png(*drawing) for drawing in drawings]))
    verdicts = PngInfo()
    verdicts.add_text("verdicts", json.dumps(ledger.verdicts()))  # by which a test sees whether it is current
    Image.open(io.BytesIO(png(*ledger.scoreboard()))).save(DOCS / "scoreboard.png", pnginfo=verdicts)
    print(f"wrote {DOCS / 'figure1.png'} and {DOCS / 'scoreboard.png'}")


if __name__ == "__main__":
    main()
