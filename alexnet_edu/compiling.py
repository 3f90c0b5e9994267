"""`torch.compile`, where this machine can: for a whole network, or for its normalizations alone.

The rest of AlexNet is products of large matrices, which libraries do better than a compiler. The
normalization of §3.3 is a dozen passes over memory that become one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from alexnet_edu.layers import LocalResponseNorm

WHAT = ("norms", "network")


class CannotCompile(RuntimeError):
    """`torch.compile` does not work here; the message says why, and what to do."""


def check(device: torch.device | str) -> None:
    """Compiles a trifle for the device: some seconds, for torch must get its compiler ready anyway.

    Raises CannotCompile where that fails: no C++ compiler for a processor, no Triton for a GPU, a
    folder for what is compiled that cannot be written to.
    """
    try:
        with _no_word_of_cuda(torch.device(device)):
            torch.compile(_trifle)(torch.ones(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        needed = (
            "a C++ compiler (g++ or clang; on Windows the Build Tools of Visual Studio; named by CXX)"
            if torch.device(device).type == "cpu"
            else "Triton and a GPU that it knows"
        )
        raise CannotCompile(
            f"torch.compile does not work on {device} here: {reason}. It needs {needed}, and a temporary "
            "folder to write to. Without --compile everything works too, the normalization less quickly"
        ) from error


@contextmanager
def _no_word_of_cuda(device: torch.device) -> Iterator[None]:
    """torch warns, once, where it finds CUDA's compiler and no GPU; a processor does not mind."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    before = logger.level
    if device.type == "cpu":
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _trifle(x: Tensor) -> Tensor:
    return x * 2 + 1


def compile_norms(model: nn.Module) -> int:
    """From now on every `LocalResponseNorm` of the model runs compiled; how many there are.

    The first step of each size of maps then takes some seconds more. Raises CannotCompile, and
    changes nothing, where compiling does not work on the device of the model's first parameter.
    """
    norms = [module for module in model.modules() if isinstance(module, LocalResponseNorm)]
    if norms:
        check(next((p.device for p in model.parameters()), torch.device("cpu")))
    for norm in norms:
        norm.compiled = True
    return len(norms)
