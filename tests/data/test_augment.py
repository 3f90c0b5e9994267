"""Crops, reflections, turns and noise: which pixels come out, and how often."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

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
    crop_and_flip,
    draw_crops,
    random_affine,
    random_crop_and_flip,
    random_vertical_flip,
    ten_crop,
)
from alexnet_edu.data.synthetic import synthetic_images


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(*shape: int, seed: int = 8) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(seed))


PHOTOS = random_images(12, 3, 10, 10)
COLORS = ColorPCA.fit(PHOTOS)
TRAIN = synthetic_images(80, 10, size=16).train


# --- crops and reflections ----------------------------------------------------------------


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
    unflipped = random_crop_and_flip(image.expand(200, 1, 5, 5), 3, generator(), flip=False).int()
    assert (unflipped.diff(dim=3) == 1).all()


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
    images = random_images(40, channels, 11, 13).contiguous(memory_format=layout)
    images = images[3:, :, 1:10, 2:12] if view else images
    gathered = random_crop_and_flip(images, 7, generator(5))
    monkeypatch.setattr(augment, "SMALL", channels * 49 - 1)
    monkeypatch.setattr(augment, "_gather", lambda *_: pytest.fail("not one by one"))
    looped = random_crop_and_flip(images, 7, generator(5))
    assert torch.equal(gathered, looped)
    assert gathered.dtype == looped.dtype == torch.uint8
    for crops in (gathered, looped):
        assert crops.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("small", [0, 10_000])
def test_crops_pass_gradients_on(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "SMALL", small)
    images = torch.zeros(5, 3, 6, 6, requires_grad=True)
    random_crop_and_flip(images, 4, generator()).sum().backward()
    assert images.grad is not None
    assert images.grad.sum().item() == 5 * 3 * 16


def test_crops_drawn_before_are_those_drawn_on_the_way() -> None:
    """So a process can draw for a whole batch and cut out only its own share."""
    images = random_images(7, 3, 20, 18)
    crops = draw_crops(7, (8, 6), generator(5))
    parts = [crop_and_flip(images[s:t], 12, crops.rows(s, t)) for s, t in ((0, 3), (3, 7))]
    assert torch.equal(torch.cat(parts), random_crop_and_flip(images, 12, generator(5)))
    assert random_crop_and_flip(images[:0], 4, generator()).shape == (0, 3, 4, 4)
    with pytest.raises(ValueError, match="2 images, but 7 places"):
        crop_and_flip(images[:2], 12, crops)
    with pytest.raises(ValueError, match="shared=0"):
        draw_crops(7, (8, 6), generator(), shared=0)


@pytest.mark.parametrize("size", [0, 11])
def test_a_crop_that_does_not_fit_is_refused(size: int) -> None:
    for crop in (center_crop, ten_crop, lambda x, size: random_crop_and_flip(x, size, generator())):
        with pytest.raises(ValueError, match=f"{size} × {size} pixels out of .*12, 3, 10, 10"):
            crop(PHOTOS, size)


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
    every = ten_crop(PHOTOS, 4)
    assert (every.shape, every.dtype) == ((12, 10, 3, 4, 4), torch.uint8)
    assert torch.equal(every[1:], ten_crop(PHOTOS[1:], 4))
    assert torch.equal(every[:, 2], center_crop(PHOTOS, 4))


# --- what the paper did not use -----------------------------------------------------------

RECTANGLE = torch.rand(4, 3, 9, 15, generator=generator(9)) * 255


def always(angle: float, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on `random_affine` draws these, as shares of the largest angle and scale, -1 to 1."""
    draws = torch.tensor([[(angle + 1) / 2], [(size + 1) / 2]])
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: draws.expand(*shape))


def test_no_turn_and_no_scaling_is_the_identity() -> None:
    """To 0.01 of 255 grey levels: the grid's coordinates are rounded in float32."""
    same = random_affine(RECTANGLE, generator())
    assert same.dtype == torch.float32
    torch.testing.assert_close(same, RECTANGLE, rtol=0, atol=1e-2)


@pytest.mark.parametrize("turns", [1, -1])
def test_a_right_angle_is_rot90(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the middle 9 × 9 pixels of a rectangle, too: it is turned in pixels, not in its own units."""
    always(turns, 0.0, monkeypatch)
    middle = RECTANGLE[..., 3:12]
    for turned in (
        random_affine(middle, generator(), degrees=90),
        random_affine(RECTANGLE, generator(), degrees=90)[..., 3:12],
    ):
        torch.testing.assert_close(turned, torch.rot90(middle, turns, (2, 3)), rtol=0, atol=1e-2)


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


@pytest.mark.parametrize("options", [{"degrees": -1.0}, {"degrees": 181.0}, {"scale": 0.5}])
def test_turns_and_scales_out_of_bounds_are_quoted(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=str(*options.values())):
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
    with pytest.raises(ValueError, match=r"-1\.0"):
        add_noise(images, generator(), std=-1.0)


# --- several steps ------------------------------------------------------------------------

CALLS = {
    "rotate": lambda x, g: random_affine(x, g, degrees=15),
    "scale": lambda x, g: random_affine(x, g, scale=1.25),
    "upside-down": random_vertical_flip,
    "crop": lambda x, g: random_crop_and_flip(x, 6, g, flip=False),
    "flip": lambda x, g: random_crop_and_flip(center_crop(x, 6), 6, g),
    "colour": lambda x, g: COLORS.apply(x, 0.1, g),
    "noise": lambda x, g: add_noise(x, g, std=NOISE),
}


@pytest.mark.parametrize("steps", [STEPS, STEPS[::-1]])
def test_steps_are_done_in_their_order_whatever_the_order_they_are_named_in(steps: tuple[str, ...]) -> None:
    """All of them, against the same calls one after the other with one generator."""
    g, x = generator(11), PHOTOS
    for step in ("rotate", "scale", "upside-down"):
        x = CALLS[step](x, g)
    x = random_crop_and_flip(x, 6, g)
    for step in ("colour", "noise"):
        x = CALLS[step](x, g)
    assert torch.equal(composed(steps, 6, COLORS)(PHOTOS, generator(11)), x)


@pytest.mark.parametrize("step", STEPS)
def test_each_step_by_itself(step: str) -> None:
    out = composed([step], 6, COLORS)(PHOTOS, generator(12))
    whole = step in ("rotate", "scale", "upside-down", "crop")
    alone = CALLS[step](PHOTOS if whole else center_crop(PHOTOS, 6), generator(12))
    assert torch.equal(out, center_crop(alone, 6))
    assert not torch.equal(out.float(), center_crop(PHOTOS, 6).float())


def test_no_steps_crop_and_unknown_steps_and_missing_colours_are_refused() -> None:
    assert torch.equal(composed((), 6)(PHOTOS, generator()), center_crop(PHOTOS, 6))
    for steps, quoted in ((("crop", "cutout"), "cutout"), (("colour",), r"ColorPCA\.fit")):
        with pytest.raises(ValueError, match=quoted):
            composed(steps, 6)


# --- what a network reads -----------------------------------------------------------------


@pytest.mark.parametrize("side", [16, 13, 12])
def test_a_network_reads_the_middle_minus_the_middle_of_the_mean(side: int) -> None:
    prepare = Preparation.of(TRAIN, side)
    first = (16 - side) // 2
    part = slice(first, first + side)
    centred = TRAIN.pixels.float() - TRAIN.pixels.float().mean(0)
    expected = centred[:, :, part, part] / centred.std().item()
    assert torch.equal(prepare(TRAIN.pixels), expected)
    assert torch.equal(prepare(TRAIN.pixels[:, :, part, part]), expected), "cropped already"
    assert torch.equal(prepare(TRAIN.pixels[:, :, part]), expected), "not square"
    raw = Preparation(prepare.mean, 1.0, side)
    assert torch.equal(raw(TRAIN.pixels), centred[:, :, part, part])
    with pytest.raises(ValueError, match=r"\(80, 3, 11, 16\)"):
        prepare(TRAIN.pixels[:, :, :11])


@pytest.mark.parametrize(
    ("shape", "std", "side", "quoted"),
    [
        ((3, 16, 16), 1.0, 17, r"17 pixels a side; got \(3, 16, 16\)"),
        ((3, 16, 16), 1.0, 0, "0 pixels"),
        ((1, 16, 16), 1.0, 12, r"got \(1, 16, 16\)"),
        ((3, 16, 16), math.nan, 12, "got nan"),
    ],
)
def test_what_cannot_be_a_mean_image_is_refused(
    shape: tuple[int, ...], std: float, side: int, quoted: str
) -> None:
    with pytest.raises(ValueError, match=quoted):
        Preparation(torch.zeros(shape), std, side)
