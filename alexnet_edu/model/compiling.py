"""`torch.compile`, where this machine can: which parts, whether it works, and functions of batches.

Most of AlexNet is products of large matrices, which libraries do better than a compiler. The
normalization of §3.3 is a dozen passes over memory that become one.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

WHAT = ("norms", "network")
FEWEST = 6  # images that a compiled function of a batch takes; for fewer torch would make another
MOST_VARIANTS = 64  # of one function: sizes of maps, times types, times layouts; torch's own limit is 8


class CannotCompile(RuntimeError):
    """`torch.compile` does not work here; the message says why, and what to do."""

    def __init__(self, device: torch.device, error: Exception) -> None:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        needed = (
            "a C++ compiler (g++ or clang; on Windows the Build Tools of Visual Studio; named by CXX)"
            if device.type == "cpu"
            else "Triton and a GPU that it knows"
        )
        super().__init__(
            f"torch.compile does not work on {device} here: {reason.strip()}. It needs {needed}, and a "
            "temporary folder to write to. Uncompiled everything works too, the normalization less quickly"
        )


def check(device: torch.device | str) -> None:
    """Compiles a trifle for the device: some seconds, for torch must get its compiler ready anyway.

    Raises CannotCompile where that fails: no C++ compiler for a processor, no Triton for a GPU, a
    folder for what is compiled that cannot be written to.
    """
    device = torch.device(device)
    logger = logging.getLogger("torch.utils.cpp_extension")
    before = logger.level
    if device.type == "cpu":  # torch warns where it finds CUDA's compiler and no GPU
        logger.setLevel(logging.ERROR)
    try:
        torch.compile(_trifle)(torch.ones(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        raise CannotCompile(device, error) from error
    finally:
        logger.setLevel(before)


def _trifle(x: Tensor) -> Tensor:
    return x * 2 + 1


@functools.cache
def for_batches(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of tensors (N, …), compiled once for all N of at least `FEWEST`.

    Once for each type, layout and size of what stands behind N, that is, and each setting; where
    torch is left to itself, two sizes of maps make it expect any size, which is much slower.
    The tensors are taken as constants: no gradient flows through the result. Calls of it raise
    CannotCompile where compiling fails.
    """
    compiled = torch.compile(function, dynamic=False, fullgraph=True)

    def call(x: Tensor, *more: Any) -> Tensor:
        # What is marked is an alias: the caller's own tensors may go into compiled code elsewhere.
        aliases = [a.detach() if isinstance(a, Tensor) else a for a in (x, *more)]
        for alias in aliases:
            if isinstance(alias, Tensor):
                torch._dynamo.mark_dynamic(alias, 0, min=FEWEST)
        try:
            with torch._dynamo.config.patch(recompile_limit=MOST_VARIANTS):
                return compiled(*aliases)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            raise CannotCompile(x.device, error) from error

    return call
