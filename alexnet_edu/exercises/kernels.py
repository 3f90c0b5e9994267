"""The exercises of notebook 07."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Function, Judge, normal
from alexnet_edu.studies.kernels import colour_share, pictures, tuning

OPPONENT = torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)  # red against green
MANY, FEW = normal(7, (12, 3, 7, 7), (3, 3, 5, 5))
DIFFERENT = FEW * torch.tensor([0.1, 1.0, 5.0]).view(3, 1, 1, 1) + 0.3  # in size


def _grey_energy(kernels: Tensor) -> Tensor:
    return kernels.mean(1).square().sum((1, 2)) / kernels.square().sum((1, 2, 3))


def _waves() -> list[tuple[Tensor]]:
    """Grey sine waves of several frequencies and directions, each (h, w)."""
    down, right = torch.meshgrid(torch.arange(11.0), torch.arange(11.0), indexing="ij")
    turns = ((0.0, 0.25), (0.125, 0.0), (0.1875, 0.1875), (0.0625, -0.25), (0.3125, 0.125))
    return [(torch.cos(2 * torch.pi * (u * right + v * down)),) for u, v in turns]


def _frequency(wave: Tensor) -> Tensor:
    return tuning(wave.expand(1, 3, *wave.shape)).frequency[0]


def _unpadded_frequency(wave: Tensor) -> float:
    power = torch.fft.fft2(wave).abs().square()
    steps = torch.fft.fftfreq(len(wave)).tolist()
    return math.hypot(*(steps[i] for i in divmod(int(power.argmax()), len(wave))))


def _p_value(own: Tensor, null: Tensor) -> Tensor:
    return (1 + (null >= own).sum()) / (1 + len(null))


def _each_scaled(kernels: Tensor) -> Tensor:
    low, high = kernels.amin((1, 2, 3), keepdim=True), kernels.amax((1, 2, 3), keepdim=True)
    return (kernels - low) / (high - low)


JUDGES: dict[str, Judge] = {
    "07.2": Function(
        colour_share,
        [(MANY,), (torch.ones(1, 3, 5, 5),), (OPPONENT,)],
        {
            "that is the share on the grey axis": lambda k: 1 - colour_share(k),
            "the mean of three equal channels stands three times in the kernel: 3 Σ mean²": (
                lambda k: 1 - _grey_energy(k)
            ),
            "the mean is over the three channels at each place, not over the places too": (
                lambda k: 1 - 3 * _grey_energy(k.mean((2, 3), keepdim=True).expand_as(k))
            ),
            "that is a share of lengths; energy is their square": lambda k: colour_share(k).sqrt(),
        },
    ),
    "07.3": Function(
        _frequency,
        _waves(),
        {
            "that is in radians; a cycle is 2π": lambda w: 2 * torch.pi * _frequency(w),
            "that counts cycles in 64 pixels; divide by 64": lambda w: 64 * _frequency(w),
            "that is the wavelength, pixels a cycle": lambda w: 1 / _frequency(w),
            "pad the kernel with zeros to 64 × 64 first: fft2(w, s=(64, 64))": _unpadded_frequency,
        },
    ),
    "07.4": Function(
        _p_value,
        [
            (torch.tensor(0.3), torch.arange(0, 1, 0.01)),
            (torch.tensor(2.0), torch.linspace(0, 1, 99)),
            (torch.tensor(0.5), torch.tensor([0.5, 0.5, 0.1])),
        ],
        {
            "the columns as they are could have been dealt too: count them as well, (1 + …)/(1 + n)": (
                lambda own, null: (null >= own).double().mean()
            ),
            "deals that are just as far apart count too: ≥, not >": (
                lambda own, null: (1 + (null > own).sum()) / (1 + len(null))
            ),
            "that is the share of smaller ones": lambda own, null: 1 - _p_value(own, null),
            "that is a number of deals, not a share": lambda own, null: (null >= own).sum(),
        },
    ),
    "07.5": Function(
        lambda k: pictures(k, "each").permute(0, 3, 1, 2),
        [(MANY,), (DIFFERENT,)],
        {
            "that is one scale for all: first give every kernel mean 0 and standard deviation 1": (
                lambda k: pictures(k, "global").permute(0, 3, 1, 2)
            ),
            "the minimum and maximum are those of all kernels, after each was standardized": _each_scaled,
        },
    ),
}
