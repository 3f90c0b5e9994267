"""What layers keep for the backward pass, and what functions move."""

from __future__ import annotations

import torch
from torch import nn

from alexnet_edu.model.layers import LocalResponseNorm, MapResponseNorm
from alexnet_edu.studies.costs import kept_bytes, moved_bytes


def test_bytes_kept_for_the_backward_pass() -> None:
    x = torch.randn(2, 6, 9, 9)
    assert kept_bytes(LocalResponseNorm(), x) == kept_bytes(MapResponseNorm(), x) == 1.0
    assert kept_bytes(nn.Identity(), x) == 0.0
    assert kept_bytes(nn.ReLU(), x) == 1.0
    assert kept_bytes(nn.LocalResponseNorm(5), x) > 2.0


def test_what_the_steps_of_a_function_move() -> None:
    x = torch.rand(2, 8, 5, 5)
    assert moved_bytes(lambda x: x + 1, x) == 2.0
    assert moved_bytes(lambda x: x + x, x) == 3.0
    assert moved_bytes(lambda x: x.flatten()[::2].view(-1), x) == 0.0
    assert moved_bytes(lambda x: x.double(), x) == 3.0
    assert moved_bytes(lambda x: x.clone().add_(1), x) == 2.0 + 2.0
    assert moved_bytes(nn.LocalResponseNorm(5), x) > 10
