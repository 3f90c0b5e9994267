"""What a training says while it goes on: lines of the log, lines on the screen, events of TensorBoard.

Only the first process speaks. A line that cannot be written does not end a run of days.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from alexnet_edu.imagenet import log as run_log

MAX_LISTED = 20  # unreadable images that are named in the log; all are in the checkpoint


class Journal:
    """Of the run in `folder`. speaks: whether this process does. tensorboard: write its events, too.

    Raises ValueError where TensorBoard is wanted and not installed.
    """

    def __init__(
        self, folder: Path, speaks: bool, say: Callable[[str], None], tensorboard: bool = False
    ) -> None:
        self.path, self._speaks, self._say = folder / run_log.METRICS, speaks, say
        self._events = _writer(folder) if tensorboard and speaks else None
        self.unreadable: set[str] = set()

    def log(self, kind: str, **values: Any) -> None:
        """One line of the log."""
        if not self._speaks:
            return
        try:
            run_log.append(self.path, kind, **values)
        except OSError as error:
            self.speak(f"warning: a line of the log was not written ({error})")
        if self._events is not None and "step" in values:
            for name, value in values.items():
                if isinstance(value, float):
                    self._events.add_scalar(f"{kind}/{name}", value, values["step"])

    def speak(self, line: str) -> None:
        """One line for the person who looks on."""
        if self._speaks:
            self._say(line)

    def warn(self, sentence: str, **values: Any) -> None:
        """To both."""
        self.log("warning", text=sentence, **values)
        self.speak(f"warning: {sentence}")

    def name(self, sentences: Iterable[str], step: int) -> None:
        """Says once of each image that it cannot be read; its gradient is 0."""
        for sentence in sorted(set(sentences) - self.unreadable):
            self.unreadable.add(sentence)
            if len(self.unreadable) <= MAX_LISTED:
                self.log("warning", step=step, text=f"{sentence} It is left out.")

    def forget_after(self, step: int) -> None:
        """Takes out of the log what will be done again."""
        if self._speaks:
            run_log.forget_after(self.path, step)

    def close(self) -> None:
        if self._events is not None:
            self._events.close()


def _writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError("--tensorboard needs its package: pip install tensorboard") from error
    return SummaryWriter(str(folder / "tensorboard"))


def memory_used(device: torch.device) -> int:
    """Bytes: the most that this process has held on its GPU, or in the machine's memory; 0 if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
