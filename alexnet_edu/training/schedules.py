"""When the learning rate falls (§5): the paper's rule of thumb, and what the notes of 2012 say.

The paper divides the rate by ten whenever the validation error stops improving, three times.
In 2012 a person watched the error and edited a file. `PlateauSchedule` is that person as a
function of the errors seen so far and of nothing else, so a run that was killed goes on exactly;
`LOGGED` holds the epochs at which the authors really did it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class PlateauSchedule:
    """The rate falls to a tenth when the validation error has stopped improving.

    patience: how many measurements in a row may pass without a new best by more than `margin`.
    margin: as a share (0.001 is 0.1 points), 0 or more. most: so many falls; §5 has three.
    """

    patience: int = 2
    margin: float = 0.0
    most: int = 3

    def __post_init__(self) -> None:
        if self.patience < 1 or self.most < 0 or not (math.isfinite(self.margin) and self.margin >= 0):
            raise ValueError(
                "patience must be at least 1, most and margin 0 or more, got "
                f"patience={self.patience!r}, most={self.most!r}, margin={self.margin!r}"
            )

    def falls(self, errors: Sequence[float]) -> list[int]:
        """After which measurements (1 is the first) the rate falls. errors: in their order, 0–1.

        After a fall the best error so far stays the mark to beat, and patience starts anew.
        A value that is no number is no improvement.
        """
        falls: list[int] = []
        best, waited = math.inf, 0
        for count, error in enumerate(errors, start=1):
            if error < best - self.margin:
                best, waited = error, 0
            else:
                waited += 1
            if waited == self.patience and len(falls) < self.most:
                falls.append(count)
                waited = 0
        return falls


@dataclass(frozen=True)
class LoggedSchedule:
    """What was done by hand during one run of 2012, in epochs.

    rate: ε at the start. drops: when ε was divided by ten. stop: where the run ended.
    conv1_slower, conv1_frozen: when conv1's own rate fell to a tenth, and to 0. noise_off: when
        the colour noise was switched off; "near" 67 in the notes. None: not noted.
    source: the file of the release whose last lines say so.
    """

    name: str
    drops: tuple[float, ...]
    stop: float
    source: str
    rate: float = 0.01
    conv1_slower: float | None = None
    conv1_frozen: float | None = None
    noise_off: float | None = None

    def at(self, epoch: float) -> float:
        """ε (of the weights of all layers but conv1) at an epoch."""
        return self.rate / 10 ** sum(epoch >= drop for drop in self.drops)

    def conv1_at(self, epoch: float) -> float:
        """ε of conv1's weights at an epoch."""
        if self.conv1_frozen is not None and epoch >= self.conv1_frozen:
            return 0.0
        slower = self.conv1_slower is not None and epoch >= self.conv1_slower
        return self.at(epoch) / (10 if slower else 1)

    def compressed(self, epochs: float) -> LoggedSchedule:
        """The same in so many epochs. Raises ValueError unless that is a positive number."""
        if not (math.isfinite(epochs) and epochs > 0):
            raise ValueError(f"a schedule lasts a positive number of epochs, got {epochs!r}")
        share = epochs / self.stop
        moments = ("conv1_slower", "conv1_frozen", "noise_off")
        noted = {name: share * getattr(self, name) for name in moments if getattr(self, name) is not None}
        drops = tuple(share * drop for drop in self.drops)
        return replace(self, name=f"{self.name} in {epochs:g} epochs", drops=drops, stop=epochs, **noted)


_BY_HAND = {"conv1_slower": 67.0, "conv1_frozen": 72.0, "noise_off": 67.0}
LOGGED = {
    schedule.name: schedule
    for schedule in (
        LoggedSchedule("145", (25, 51, 79), 91, "layer-params-145.cfg", **_BY_HAND),
        LoggedSchedule("145-2010", (23, 51, 78), 93, "layer-params-145-2010.cfg", **_BY_HAND),
        LoggedSchedule("147", (23, 51, 79), 90, "layer-params-147.cfg"),
        LoggedSchedule("148", (22, 44, 86), 97, "layer-params-148.cfg"),
    )
}
