"""Crops, reflections, turns and noise: which pixels come out, and how often."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from alexnet_edu.data import augment
from alexnet_edu.data.augment import (
    NOISE,
    STEPS,
    TEN_PATCHES,
    ColorPCA,
    Preparation,
    add_noise,
    center_crop,
    composed,
    random_affine,
    random_crop_and_flip,
    random_vertical_flip,
    ten_crop,
)
from alexnet_edu.data.synthetic import synthetic_images


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


COUNTED = torch.arange(2 * 3 * 6 * 7).reshape(2, 3, 6, 7).to(torch.uint8)


@pytest.mark.parametrize("size", [0, 9])
def test_a_crop_that_does_not_fit_is_refused(size: int) -> None:
    images = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match=f"cannot crop {size} × {size} pixels out of images of shape"):
        center_crop(images, size)
    with pytest.raises(ValueError, match=f"cannot crop {size} × {size}"):
        random_crop_and_flip(images, size, torch.Generator())
    with pytest.raises(ValueError, match=f"cannot crop {size} × {size}"):
        ten_crop(images, size)


def test_places_and_directions_are_equally_likely() -> None:
    """Pearson's χ² over 9 · 2 outcomes: 17 degrees of freedom, 40.8 is passed once in a thousand."""
    image = torch.arange(25, dtype=torch.uint8).reshape(1, 1, 5, 5)
    crops = random_crop_and_flip(image.expand(9_000, 1, 5, 5), 3, generator(1))
    each, counts = crops.flatten(1).unique(dim=0, return_counts=True)
    assert len(counts) == 18
    assert ((counts - 500.0) ** 2 / 500).sum() < 40.8
    assert torch.equal(crops, random_crop_and_flip(image.expand(9_000, 1, 5, 5), 3, generator(1)))
    windows = image[0, 0].unfold(0, 3, 1).unfold(1, 3, 1).flatten(0, 1)
    every = torch.cat([windows, windows.flip(2)]).flatten(1)
    assert torch.equal(each, every.unique(dim=0))


def test_without_reflections_rows_run_from_left_to_right() -> None:
    images = torch.arange(49, dtype=torch.uint8).reshape(1, 1, 7, 7).expand(200, 1, 7, 7)
    crops = random_crop_and_flip(images, 4, generator(), flip=False).int()
    assert (crops[..., 1:] - crops[..., :-1] == 1).all()
    both = random_crop_and_flip(images, 4, generator()).int()
    assert set((both[:, 0, 0, 1] - both[:, 0, 0, 0]).tolist()) == {1, -1}


@pytest.mark.parametrize(("count", "shared"), [(96, 32), (70, 32), (5, 8), (4, 1)])
def test_images_in_a_row_share_a_draw(count: int, shared: int) -> None:
    """All images are the same here: within a run all crops are equal, and the runs differ."""
    images = torch.arange(400, dtype=torch.int32).reshape(1, 1, 20, 20).expand(count, 1, 20, 20)
    crops = random_crop_and_flip(images, 9, generator(3), shared=shared)
    assert crops.shape == (count, 1, 9, 9)
    runs = crops.split(shared)
    assert all(torch.equal(run, run[:1].expand_as(run)) for run in runs)
    assert len({run[0].numpy().tobytes() for run in runs}) == math.ceil(count / shared)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_gathered_crops_equal_those_of_the_loop(
    layout: torch.memory_format, view: bool, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of accelerators and of small crops, and that of large ones: the same pixels, type, layout."""
    images = torch.randint(0, 256, (40, channels, 11, 13), dtype=torch.uint8, generator=generator())
    images = images.contiguous(memory_format=layout)
    images = images[3:, :, 1:10, 2:12] if view else images
    used: list[str] = []
    for name in ("_gather", "_copy"):
        way = getattr(augment, name)
        monkeypatch.setattr(augment, name, lambda *args, way=way: (used.append(way.__name__), way(*args))[1])
    gathered = random_crop_and_flip(images, 7, generator(5))
    monkeypatch.setattr(augment, "SMALL", channels * 49 - 1)
    looped = random_crop_and_flip(images, 7, generator(5))
    assert used == ["_gather", "_copy"]
    assert torch.equal(gathered, looped)
    assert gathered.dtype == looped.dtype == torch.uint8
    for crops in (gathered, looped):
        assert crops.is_contiguous(memory_format=layout)


def test_crops_of_pixels_that_are_computed_pass_gradients_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for small in (0, 10_000):
        monkeypatch.setattr(augment, "SMALL", small)
        images = torch.zeros(5, 3, 6, 6, requires_grad=True)
        random_crop_and_flip(images, 4, generator()).sum().backward()
        assert images.grad is not None
        assert images.grad.sum().item() == 5 * 3 * 16


def test_no_images_give_no_crops_and_no_image_shares_none() -> None:
    assert random_crop_and_flip(COUNTED[:0], 4, generator()).shape == (0, 3, 4, 4)
    with pytest.raises(ValueError, match="shared=0"):
        random_crop_and_flip(COUNTED, 4, generator(), shared=0)


# --- ten patches --------------------------------------------------------------------------


def test_ten_patches_lie_in_the_order_of_their_names() -> None:
    image = torch.arange(30).reshape(1, 1, 5, 6)
    expected = {  # the top left pixel of each patch of 3 × 3, row by row
        "top left": [[0, 1, 2], [6, 7, 8], [12, 13, 14]],
        "top right": [[3, 4, 5], [9, 10, 11], [15, 16, 17]],
        "centre": [[7, 8, 9], [13, 14, 15], [19, 20, 21]],
        "bottom left": [[12, 13, 14], [18, 19, 20], [24, 25, 26]],
        "bottom right": [[15, 16, 17], [21, 22, 23], [27, 28, 29]],
    }
    patches = dict(zip(TEN_PATCHES, ten_crop(image, 3)[0, :, 0].tolist(), strict=True))
    for name, patch in expected.items():
        assert patches[name] == patch, name
        assert patches[f"{name}, mirrored"] == [row[::-1] for row in patch], name
    both = ten_crop(COUNTED, 4)
    assert (both.shape, both.dtype) == ((2, 10, 3, 4, 4), torch.uint8)
    assert torch.equal(both[1], ten_crop(COUNTED[1:], 4)[0])
    assert torch.equal(both[:, 2], center_crop(COUNTED, 4))


# --- what the paper did not use -----------------------------------------------------------

RECTANGLE = torch.rand(4, 3, 9, 14, generator=generator(9)) * 255
Draw = Callable[..., torch.Tensor]


def always(angle: float, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on `random_affine` draws these, as shares of the largest angle and scale, -1 to 1."""

    def rand(*shape: int, **_: object) -> torch.Tensor:
        assert shape[0] == 2
        return torch.tensor([[(angle + 1) / 2], [(size + 1) / 2]]).expand(*shape)

    monkeypatch.setattr(torch, "rand", rand)


def test_no_turn_and_no_scaling_is_the_identity() -> None:
    """To 0.01 of 255 grey levels: the grid's coordinates are rounded in float32."""
    same = random_affine(RECTANGLE, generator())
    assert same.dtype == torch.float32
    torch.testing.assert_close(same, RECTANGLE, rtol=0, atol=1e-2)


@pytest.mark.parametrize(("share", "turns"), [(1.0, 1), (-1.0, -1)])
def test_a_right_angle_is_rot90(share: float, turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    square = RECTANGLE[:, :, :, :9]
    always(share, 0.0, monkeypatch)
    turned = random_affine(square, generator(), degrees=90)
    torch.testing.assert_close(turned, torch.rot90(square, turns, (2, 3)), rtol=0, atol=1e-2)


def test_a_rectangle_is_turned_in_pixels_not_in_its_own_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its middle 9 × 9 pixels would be those of the turned square; 15 columns put them on whole pixels."""
    images = torch.rand(1, 1, 9, 15, generator=generator(2)) * 255
    always(1.0, 0.0, monkeypatch)
    middle = random_affine(images, generator(), degrees=90)[:, :, :, 3:12]
    torch.testing.assert_close(middle, torch.rot90(images[:, :, :, 3:12], 1, (2, 3)), rtol=0, atol=1e-2)


@pytest.mark.parametrize("share", [1.0, -1.0, 0.0])
def test_scaling_lies_between_its_bounds(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a ramp that has value x at x pixels from the middle, a magnified image has x / factor there."""
    x = (torch.arange(21.0) - 10).expand(1, 1, 21, 21)
    always(0.0, share, monkeypatch)
    factor = 1.25**share
    moved = random_affine(x, generator(), scale=1.25)
    inside = slice(3, 18)  # 7 · 1.25 pixels reach no further than the edge
    torch.testing.assert_close(moved[..., inside, inside], x[..., inside, inside] / factor, rtol=0, atol=1e-3)


def test_each_image_has_its_own_turn_within_the_bounds() -> None:
    """The slope of a ramp tells the angle; all lie in ±20°, and they fill most of it."""
    ramp = (torch.arange(15.0) - 7).expand(300, 1, 15, 15)
    moved = random_affine(ramp, generator(4), degrees=20)
    across, down = (moved[:, 0, 7, 9] - moved[:, 0, 7, 5]), (moved[:, 0, 9, 7] - moved[:, 0, 5, 7])
    angles = torch.rad2deg(torch.atan2(-down, across))
    assert angles.abs().max() <= 20 + 1e-3
    assert angles.max() > 18
    assert angles.min() < -18
    assert abs(angles.mean()) < 4 * 20 / math.sqrt(3 * 300)  # 4 standard errors of a uniform mean
    assert torch.equal(moved, random_affine(ramp, generator(4), degrees=20))


@pytest.mark.parametrize(
    ("options", "quoted"),
    [({"degrees": -1.0}, "-1.0"), ({"degrees": 181.0}, "181.0"), ({"scale": 0.5}, "0.5")],
)
def test_turns_and_scales_out_of_bounds_are_quoted(options: dict[str, float], quoted: str) -> None:
    with pytest.raises(ValueError, match=f"expected 0–180 degrees and a scale of at least 1.*{quoted}"):
        random_affine(RECTANGLE, generator(), **options)


def test_about_half_stand_on_their_heads() -> None:
    images = torch.arange(6, dtype=torch.uint8).reshape(1, 1, 3, 2).expand(1_000, 1, 3, 2)
    out = random_vertical_flip(images, generator(6))
    assert out.dtype == torch.uint8
    upset = (out == images.flip(2)).all((1, 2, 3))
    assert (upset | (out == images).all((1, 2, 3))).all()
    assert abs(int(upset.sum()) - 500) < 4 * math.sqrt(250)  # 4 standard deviations


def test_noise_has_its_strength_and_no_mean() -> None:
    images = torch.full((20, 3, 40, 40), 100, dtype=torch.uint8)
    noise = add_noise(images, generator(7), std=10.0) - 100
    count = noise.numel()
    assert noise.dtype == torch.float32
    assert abs(noise.mean()) < 4 * 10 / math.sqrt(count)
    assert noise.std().item() == pytest.approx(10, rel=4 / math.sqrt(2 * count))
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(add_noise(images, generator(7), std=0.0), images.float())
    with pytest.raises(ValueError, match=r"the noise must be 0 or more, got -1\.0"):
        add_noise(images, generator(), std=-1.0)


# --- several steps ------------------------------------------------------------------------

PHOTOS = torch.randint(0, 256, (12, 3, 10, 10), dtype=torch.uint8, generator=generator(8))
COLORS = ColorPCA.fit(PHOTOS)


def test_steps_are_done_in_their_order_whatever_the_order_they_are_named_in() -> None:
    """All of them, against the same calls one after the other with one generator."""
    g = generator(11)
    x = random_affine(PHOTOS, g, degrees=15)
    x = random_affine(x, g, scale=1.25)
    x = random_vertical_flip(x, g)
    x = random_crop_and_flip(x, 6, g)
    x = COLORS.apply(x, 0.1, g)
    x = add_noise(x, g, std=NOISE)
    for steps in (STEPS, STEPS[::-1]):
        assert torch.equal(composed(steps, 6, COLORS)(PHOTOS, generator(11)), x)


def alone(step: str) -> torch.Tensor:
    """What one step by itself does with the middle 6 × 6 pixels, or with the whole image."""
    g, middle = generator(12), center_crop(PHOTOS, 6)
    found = {
        "rotate": lambda: center_crop(random_affine(PHOTOS, g, degrees=15), 6),
        "scale": lambda: center_crop(random_affine(PHOTOS, g, scale=1.25), 6),
        "upside-down": lambda: center_crop(random_vertical_flip(PHOTOS, g), 6),
        "crop": lambda: random_crop_and_flip(PHOTOS, 6, g, flip=False),
        "flip": lambda: random_crop_and_flip(middle, 6, g),
        "colour": lambda: COLORS.apply(middle, 0.1, g),
        "noise": lambda: add_noise(middle, g, std=NOISE),
    }
    return found[step]()


@pytest.mark.parametrize("step", STEPS)
def test_each_step_by_itself(step: str) -> None:
    out = composed([step], 6, COLORS)(PHOTOS, generator(12))
    assert torch.equal(out, alone(step))
    assert not torch.equal(out.float(), center_crop(PHOTOS, 6).float())
    assert torch.equal(composed((), 6)(PHOTOS, generator()), center_crop(PHOTOS, 6))


def test_unknown_steps_and_missing_colours_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown augmentation 'cutout'; there are rotate, scale"):
        composed(("crop", "cutout"), 6)
    with pytest.raises(ValueError, match=r"'colour' needs the principal directions: ColorPCA\.fit"):
        composed(("colour",), 6)


def test_crops_drawn_before_are_those_drawn_on_the_way() -> None:
    """So a process can draw for a whole batch and cut out only its own share."""
    images = torch.randint(256, (7, 3, 20, 18), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    at_once = augment.random_crop_and_flip(images, 12, torch.Generator().manual_seed(5))
    crops = augment.draw_crops(7, (8, 6), torch.Generator().manual_seed(5))
    parts = [augment.crop_and_flip(images[s:t], 12, crops.rows(s, t)) for s, t in ((0, 3), (3, 7))]
    assert torch.equal(torch.cat(parts), at_once)
    with pytest.raises(ValueError, match="there are 2 images, but 7 places"):
        augment.crop_and_flip(images[:2], 12, crops)


# --- what a network reads -----------------------------------------------------------------

TRAIN = synthetic_images(80, 10, size=16).train


@pytest.mark.parametrize("side", [16, 13, 12])
@pytest.mark.parametrize("standardized", [True, False])
def test_a_network_reads_the_middle_minus_the_middle_of_the_mean(side: int, standardized: bool) -> None:
    prepare = Preparation.of(TRAIN, side, standardized=standardized)
    first = (16 - side) // 2
    part = slice(first, first + side)
    centred = TRAIN.pixels.float() - TRAIN.pixels.float().mean(0)
    expected = centred[:, :, part, part] / (centred.std().item() if standardized else 1.0)
    assert torch.equal(prepare(TRAIN.pixels), expected)
    assert torch.equal(prepare(TRAIN.pixels[:, :, part, part]), expected), "cropped already"
    assert torch.equal(prepare(TRAIN.pixels[:, :, part]), expected), "not square"
    with pytest.raises(ValueError, match=r"out of images of shape \(80, 3, 11, 16\)"):
        prepare(TRAIN.pixels[:, :, :11])


@pytest.mark.parametrize(
    ("shape", "std", "side", "quoted"),
    [
        ((3, 16, 16), 1.0, 17, r"at least 17 pixels a side; got \(3, 16, 16\)"),
        ((3, 16, 16), 1.0, 0, "at least 0 pixels"),
        ((1, 16, 16), 1.0, 12, r"got \(1, 16, 16\)"),
        ((3, 16, 16), math.nan, 12, "got nan"),
    ],
)
def test_what_cannot_be_a_mean_image_is_refused(
    shape: tuple[int, ...], std: float, side: int, quoted: str
) -> None:
    with pytest.raises(ValueError, match=quoted):
        Preparation(torch.zeros(shape), std, side)
