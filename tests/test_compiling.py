"""Compiling asked for: what it changes, and what is said where it does not work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from alexnet_edu.imagenet.distributed import Single
from alexnet_edu.model import compiling
from alexnet_edu.model.architecture import variant
from alexnet_edu.model.compiling import CannotCompile, check
from alexnet_edu.model.layers import LocalResponseNorm, compile_norms
from tests.needs import needs_compiler
from tests.small import narrow


def norms(model: nn.Module) -> list[LocalResponseNorm]:
    return [module for module in model.modules() if isinstance(module, LocalResponseNorm)]


SIX = torch.randn(6, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that can compile; nothing here runs what would be compiled."""
    monkeypatch.setattr(compiling, "check", lambda device: None)


@pytest.mark.usefixtures("works")
def test_every_norm_of_a_network_and_only_those() -> None:
    group = Single(narrow(variant("paper")), torch.device("cpu"), seed=0)
    assert [norm.compiled for norm in norms(group.network)] == [False, False]
    assert compile_norms(group.network) == 2
    assert [norm.compiled for norm in norms(group.network)] == [True, True]
    assert "compiled=True" in str(norms(group.network)[0])
    assert compile_norms(nn.Linear(2, 2)) == 0


def test_where_it_does_not_work_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(function: object) -> object:
        raise RuntimeError("no backend\nand many lines more")

    group = Single(narrow(variant("paper")), torch.device("cpu"), seed=0)
    monkeypatch.setattr(torch, "compile", broken)
    message = r"does not work on cpu here: no backend\. It needs a C\+\+ compiler .* Uncompiled"
    for what in ("norms", "network"):
        with pytest.raises(CannotCompile, match=message) as caught:
            group.compile(what)
        assert "\n" not in str(caught.value)
    assert not any(norm.compiled for norm in norms(group.network))
    assert group.module is group.network


def test_what_is_no_part_is_quoted() -> None:
    group = Single(narrow(variant("paper")), torch.device("cpu"), seed=0)
    with pytest.raises(ValueError, match="'lrn' cannot be compiled; choose one of norms, network"):
        group.compile("lrn")


LAYER = """
import torch
from alexnet_edu.layers import local_response_norm
local_response_norm(torch.ones(6, 5, 2, 2), compiled=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", ["from alexnet_edu.model.compiling import check; check('cpu')", LAYER])
def test_without_a_compiler_it_says_what_is_missing(code: str, tmp_path: Path) -> None:
    found = {"CXX": str(tmp_path / "g++"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | found, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert "CannotCompile: torch.compile does not work on cpu here: InvalidCxxCompiler" in last
    assert "g++ or clang" in last


@pytest.mark.slow
@needs_compiler
def test_here_it_works_and_a_step_of_the_network_is_the_same() -> None:
    """If this fails on your machine, `--compile` does not work there; all else does."""
    check("cpu")
    outputs, gradients = [], []
    for compiled in (False, True):
        group = Single(narrow(variant("paper")), torch.device("cpu"), seed=0)
        if compiled:
            group.compile("norms")
        group.network.eval()  # no dropout
        y = group.module(SIX)
        y.square().sum().backward()
        outputs.append(y)
        gradients.append(group.network.weights("conv1").weight.grad)
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)
