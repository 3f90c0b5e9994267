"""Colour PCA (§4.1): the directions, the noise along them, and what is left alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from alexnet_edu.data.augment import CACHED, STRENGTHS, ColorPCA

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs() -> Tensor:
    """uint8 (40, 3, 7, 9) whose colours are correlated, as those of photographs are."""
    mix = torch.tensor([[50.0, 10.0, 0.0], [40.0, -5.0, 6.0], [30.0, 8.0, -7.0]], dtype=torch.float64)
    hidden = torch.randn(40, 7, 9, 3, generator=generator(1), dtype=torch.float64)
    return (120 + hidden @ mix.T).clamp(0, 255).round().to(torch.uint8).permute(0, 3, 1, 2).contiguous()


IMAGES = photographs()
PCA = ColorPCA.fit(IMAGES)


# --- the directions -----------------------------------------------------------------------


@pytest.mark.parametrize("batches", [None, (40,), (1, 2, 37), (13, 0, 27), (39, 1)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_directions_are_those_of_the_covariance(
    batches: tuple[int, ...] | None, layout: torch.memory_format
) -> None:
    """At once and in uneven batches, to 1e-10 relative of the direct computation."""
    images = IMAGES.contiguous(memory_format=layout)
    fitted = ColorPCA.fit(images if batches is None else (part for part in images.split(list(batches))))
    colors = IMAGES.permute(0, 2, 3, 1).reshape(-1, 3).double()
    covariance = torch.cov(colors.T, correction=0)
    values = torch.linalg.eigvalsh(covariance).flip(0)
    torch.testing.assert_close(fitted.mean, colors.mean(0), rtol=1e-10, atol=0)
    torch.testing.assert_close(fitted.eigenvalues, values, rtol=1e-10, atol=0)
    p, scale = fitted.eigenvectors, values[0].item()
    torch.testing.assert_close(p @ torch.diag(values) @ p.T, covariance, rtol=0, atol=1e-10 * scale)
    torch.testing.assert_close(p.T @ p, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-12)


def test_grey_images_have_one_direction() -> None:
    """And rounding leaves no negative variance."""
    fitted = ColorPCA.fit(IMAGES[:, :1].expand(-1, 3, -1, -1))
    assert (fitted.eigenvalues >= 0).all()
    assert fitted.eigenvalues[1] < 1e-9 * fitted.eigenvalues[0]
    expected = torch.full((3,), 3**-0.5, dtype=torch.float64)
    torch.testing.assert_close(fitted.eigenvectors[:, 0].abs(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("images", [IMAGES[:0], [IMAGES[:0]], [], IMAGES * math.nan, IMAGES * math.inf])
def test_no_pixels_or_no_numbers_have_no_directions(images: Tensor | list[Tensor]) -> None:
    with pytest.raises(ValueError, match=r"at least one pixel, got none|not a finite number"):
        ColorPCA.fit(images)


@pytest.mark.parametrize("shape", [(4, 1, 5, 5), (3, 5, 5), (4, 5, 5, 3)])
def test_images_that_are_not_rgb_are_refused(shape: tuple[int, ...]) -> None:
    for use in (ColorPCA.fit, PCA.apply):
        with pytest.raises(ValueError, match=", ".join(map(str, shape))):
            use(torch.zeros(shape))


# --- the noise ----------------------------------------------------------------------------


def test_the_shifts_have_the_covariance_of_the_formula() -> None:
    """Within 4.5 standard errors, and no mean: 9 entries fail by chance once in 15,000 seeds.

    The error of a normal sample's second moments is √((Σii Σjj + Σij²) / n).
    """
    draws, p = 200_000, PCA.eigenvectors
    expected = p @ torch.diag((0.1 * PCA.strengths()) ** 2) @ p.T  # P diag(s² σ²) Pᵀ
    shifts = PCA.shifts(draws, generator(3), std=0.1)
    variances = expected.diagonal()
    error = ((torch.outer(variances, variances) + expected**2) / draws).sqrt()
    assert ((shifts.T @ shifts / draws - expected).abs() < 4.5 * error).all()
    assert (shifts.mean(0).abs() < 4.5 * (variances / draws).sqrt()).all()


@pytest.mark.parametrize("kind", STRENGTHS)
def test_a_shift_is_the_formula_of_the_paper(kind: str) -> None:
    """[p1 p2 p3] [α1 s1, α2 s2, α3 s3]ᵀ, image by image, with the generator's own α."""
    alpha = 0.1 * torch.randn(5, 3, generator=generator(4), dtype=torch.float64)
    s, p = PCA.strengths(kind), PCA.eigenvectors
    by_hand = torch.stack([sum(a[i] * s[i] * p[:, i] for i in range(3)) for a in alpha])
    torch.testing.assert_close(PCA.shifts(5, generator(4), kind=kind), by_hand, rtol=1e-12, atol=1e-12)


def test_each_strength_is_what_it_is_called() -> None:
    assert torch.equal(PCA.strengths(), PCA.eigenvalues.sqrt())
    assert torch.equal(PCA.strengths("eigenvalues"), PCA.eigenvalues)
    unit = ColorPCA.fit(IMAGES / 255.0)  # pixels of 0–1, whose eigenvalues are 255² times smaller
    torch.testing.assert_close(PCA.strengths("eigenvalues of 0–1"), 255 * unit.eigenvalues, rtol=1e-5, atol=0)
    with pytest.raises(ValueError, match="'variances'"):
        PCA.strengths("variances")


# --- images -------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float64])
def test_every_image_gets_one_shift_for_all_of_its_pixels(
    layout: torch.memory_format, kind: torch.dtype
) -> None:
    """Pixels of 0–255 and shifts in float32 are exact to 1e-4; the layout stays."""
    images = IMAGES.to(kind).contiguous(memory_format=layout)
    out = PCA.apply(images, 0.1, generator(6))
    expected = PCA.shifts(len(images), generator(6))
    added = (out.double() - images.double()).permute(0, 2, 3, 1)
    torch.testing.assert_close(added, expected[:, None, None].expand_as(added), rtol=0, atol=1e-4)
    assert out.is_contiguous(memory_format=layout)
    assert len(expected.unique(dim=0)) == len(images)
    assert torch.equal(images, IMAGES.to(kind)), "the images are left as they were"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parts_of_a_large_batch_are_parts_of_one_answer(layout: torch.memory_format) -> None:
    """More values than are worked on at a time; a view that is not dense; both as by the formula."""
    large = torch.randint(0, 256, (11, 3, 200, 180), dtype=torch.uint8, generator=generator(8))
    large = large.contiguous(memory_format=layout)
    assert large.numel() > 4 * CACHED
    for images in (large, large[:, :, 5:150, 20:170]):
        shifts = PCA.shifts(11, generator(9)).float()
        plain = (images.float() + shifts[:, :, None, None]) / 1.1
        assert torch.equal(PCA.apply(images, 0.1, generator(9), divisor=1.1), plain)


def test_values_may_leave_the_range_and_no_noise_changes_nothing() -> None:
    strong = PCA.apply(IMAGES, 2.0, generator(11))
    assert strong.min() < 0
    assert strong.max() > 255
    assert torch.equal(PCA.apply(IMAGES, 0.0, generator()), IMAGES.float())
    assert PCA.apply(IMAGES[:0], 0.1, generator()).shape == (0, 3, 7, 9)


def test_the_generator_decides_and_torchs_own_is_used_without_one() -> None:
    first, other = (PCA.apply(IMAGES, 0.1, generator(seed)) for seed in (1, 2))
    assert not torch.equal(first, other)
    torch.manual_seed(1)
    assert torch.equal(PCA.apply(IMAGES, 0.1), first)


@pytest.mark.parametrize(
    "options", [{"std": -0.1}, {"std": math.inf}, {"divisor": 0.0}, {"divisor": -1.0}, {"divisor": math.nan}]
)
def test_strengths_and_divisors_that_are_none_are_quoted(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=str(*options.values())):
        PCA.apply(IMAGES, **options)
