"""The exercises of notebook 07."""

from __future__ import annotations

import torch
from torch import Tensor

from alexnet_edu.exercises.judge import Exercise, number, same_function
from alexnet_edu.model.architecture import count, variant
from alexnet_edu.studies.kernels import colour_share, pictures, tuning

FIELDS = {size.name: size.receptive_field for size in count(variant("paper"))}  # pixels a side


def _kernels(seed: int = 7, count: int = 12, side: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, side, side, generator=generator, dtype=torch.float64)


def _own_scale(kernels: Tensor) -> Tensor:
    return pictures(kernels, "each").permute(0, 3, 1, 2).double()


def _share_as_large(own: Tensor, null: Tensor) -> Tensor:
    return (1 + (null >= own).sum().double()) / (1 + len(null))


def _waves() -> list[tuple[Tensor, ...]]:
    """Grey sine waves of several frequencies and directions, each (h, w)."""
    down, right = torch.meshgrid(*(torch.arange(11, dtype=torch.float64),) * 2, indexing="ij")
    turns = ((0.0, 0.25), (0.125, 0.0), (0.1875, 0.1875), (0.0625, -0.25), (0.3125, 0.125))
    return [(torch.cos(2 * torch.pi * (u * right + v * down)),) for u, v in turns]


def _frequency(wave: Tensor) -> Tensor:
    return tuning(wave.expand(1, 3, *wave.shape)).frequency[0]


def _angular(wave: Tensor) -> Tensor:
    return 2 * torch.pi * _frequency(wave)


def _with_mean(wave: Tensor) -> Tensor:
    """The frequency on a grid as coarse as the kernel itself."""
    power = torch.fft.fft2(wave).abs().square()
    steps = torch.fft.fftfreq(len(wave), dtype=torch.float64)
    peak = int(power.argmax())
    return torch.hypot(steps[peak // len(wave)], steps[peak % len(wave)])


_DEALS: list[tuple[Tensor, ...]] = [
    (torch.tensor(0.3, dtype=torch.float64), torch.arange(0, 1, 0.01, dtype=torch.float64)),
    (torch.tensor(2.0, dtype=torch.float64), torch.rand(99, dtype=torch.float64)),
    (torch.tensor(0.5, dtype=torch.float64), torch.tensor([0.5, 0.5, 0.1], dtype=torch.float64)),
]

EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "07.1",
        number(
            FIELDS["conv3"],
            tolerance=1e-6,
            faults={
                FIELDS["conv2"]: "that is what a kernel of conv2 sees; conv3 reads its pooled maps",
                FIELDS["conv4"]: "that is what a kernel of conv4 sees",
                11 + 5 + 3: "sides do not add up: behind strides a step is many pixels",
                3: "that is how many outputs of the layer below it sees, not pixels",
                67: "that is what one pooled output of conv2 sees; conv3 reads 3 × 3 of them",
            },
        ),
        (
            "Go up from the image: the side grows by (kernel − 1) times the distance of two inputs.",
            "11; 11 + 2·4 = 19 after pooling, where neighbours are 8 pixels apart; conv2: 19 + 4·8 = 51.",
        ),
        "A kernel of conv3 can know about almost half of the image's side, one of conv1 about a twentieth.",
    ),
    Exercise(
        "07.2",
        same_function(
            colour_share,
            [
                (_kernels(),),
                (torch.ones(1, 3, 5, 5, dtype=torch.float64),),
                (
                    torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)
                    .view(1, 3, 1, 1)
                    .expand(1, 3, 4, 4)
                    .clone(),
                ),
            ],
            faults=[
                (lambda k: 1 - colour_share(k), "that is the share on the grey axis"),
                (
                    lambda k: 1 - k.mean(1).square().sum((1, 2)) / k.square().sum((1, 2, 3)),
                    "the mean of three equal channels stands three times in the kernel: 3 Σ mean²",
                ),
                (
                    lambda k: (
                        1 - 3 * k.mean((1, 2, 3)).square() * k[0, 0].numel() / k.square().sum((1, 2, 3))
                    ),
                    "the mean is over the three channels at each place, not over the places too",
                ),
                (
                    lambda k: colour_share(k).sqrt(),
                    "that is a share of lengths; energy is their square",
                ),
            ],
        ),
        (
            "The grey part of a kernel has at each place the mean of the three channels, three times.",
            "1 − 3·Σ mean² / Σ w²; the mean over channels, the sums over everything in a kernel.",
        ),
        "Grey kernels have 0, those that are blind to grey images 1, random ones 2/3 on the mean.",
    ),
    Exercise(
        "07.3",
        same_function(
            _frequency,
            _waves(),
            faults=[
                (_angular, "that is in radians; a cycle is 2π"),
                (lambda w: 64 * _frequency(w), "that counts cycles in 64 pixels; divide by 64"),
                (lambda w: 1 / _frequency(w), "that is the wavelength, pixels a cycle"),
                (_with_mean, "pad the kernel with zeros to 64 × 64 first: fft2(w, s=(64, 64))"),
            ],
        ),
        (
            "torch.fft.fft2(w, s=(64, 64)).abs() and torch.fft.fftfreq(64); where is the maximum?",
            "The frequency of a peak at (row, column) is hypot(fftfreq[row], fftfreq[column]).",
        ),
        "Padding does not add knowledge, only points in between: the peak is found more finely.",
    ),
    Exercise(
        "07.4",
        same_function(
            _share_as_large,
            _DEALS,
            faults=[
                (
                    lambda own, null: (null >= own).double().mean(),
                    "the columns as they are could have been dealt too: count them as well, (1 + …)/(1 + n)",
                ),
                (
                    lambda own, null: (1 + (null > own).sum().double()) / (1 + len(null)),
                    "deals that are just as far apart count too: ≥, not >",
                ),
                (lambda own, null: 1 - _share_as_large(own, null), "that is the share of smaller ones"),
                (lambda own, null: (null >= own).sum().double(), "that is a number of deals, not a share"),
            ],
        ),
        (
            "How many of the random differences are at least as large as the network's own?",
            "(1 + that many) / (1 + all of them): the given deal is one of those that could have come.",
        ),
        "So p is never 0: with 4,000 deals nothing below 1/4001 can be said.",
    ),
    Exercise(
        "07.5",
        same_function(
            _own_scale,
            [(_kernels(8),), (_kernels(9, 3, 5) * torch.tensor([0.1, 1.0, 5.0]).view(3, 1, 1, 1) + 0.3,)],
            faults=[
                (
                    lambda k: pictures(k, "global").permute(0, 3, 1, 2).double(),
                    "that is one scale for all: first give every kernel mean 0 and standard deviation 1",
                ),
                (
                    lambda k: (
                        (k - k.amin((1, 2, 3), keepdim=True))
                        / (k.amax((1, 2, 3), keepdim=True) - k.amin((1, 2, 3), keepdim=True))
                    ),
                    "the minimum and maximum are those of all kernels, after each was standardized",
                ),
            ],
        ),
        (
            "Mean and standard deviation of a kernel: over its channels and its places, (1, 2, 3).",
            "Divide by the root of the mean square (unbiased=False); then (x − min) / (max − min) of all.",
        ),
        "It shows faint kernels as clearly as strong ones: a picture of shapes, not of sizes.",
    ),
)
