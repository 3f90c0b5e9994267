from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from queue import Queue

import pytest
import torch
from torch import Tensor

from alexnet_edu.data import augment
from alexnet_edu.files import DataError
from alexnet_edu.imagenet.feed import NO_LABEL, Batch, Feed, Partner, Views, share
from alexnet_edu.imagenet.prepared import PreparedSet, Split


def _seen(feed: Feed, first: int, last: int) -> list[Batch]:
    with closing(feed.batches(first, last)) as batches:
        return [replace(batch, pixels=batch.pixels.clone()) for batch in batches]


@pytest.mark.parametrize(("total", "world"), [(14, 1), (14, 2), (14, 3), (2, 3), (0, 2)])
def test_shares_cover_each_row_once(total: int, world: int) -> None:
    shares = [share(total, rank, world) for rank in range(world)]
    assert [row for start, stop in shares for row in range(start, stop)] == list(range(total))
    assert max(t - s for s, t in shares) - min(t - s for s, t in shares) <= 1


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_image_is_used_once_an_epoch_whatever_the_processes(images: PreparedSet, world: int) -> None:
    feeds = [Feed(images.split("train"), batch_size=17, rank=r, world=world, workers=1) for r in range(world)]
    each = feeds[0].steps_per_epoch
    assert each == 3  # 17 + 17 + 14
    for epoch in range(2):
        used = [feed.rows(epoch * each + step)[0] for step in range(each) for feed in feeds]
        assert sorted(torch.cat(used).tolist()) == list(range(48))
    assert not torch.equal(feeds[0].order(0), feeds[0].order(1))
    assert Feed(images.split("train"), seed=None).order(1).tolist() == list(range(48))


def test_processes_together_see_the_batches_of_one(images: PreparedSet) -> None:
    train = images.split("train")
    alone = _seen(Feed(train, batch_size=17), 1, 4)
    pair = [_seen(Feed(train, batch_size=17, rank=r, world=2), 1, 4) for r in (0, 1)]
    for whole, first, second in zip(alone, *pair, strict=True):
        assert torch.equal(whole.pixels, torch.cat([first.pixels, second.pixels]))
        assert torch.equal(whole.labels, torch.cat([first.labels, second.labels]))
        assert (first.stop, second.stop, whole.total) == (second.start, whole.total, len(whole.index))


def test_going_on_in_the_middle_of_an_epoch_repeats_and_skips_nothing(images: PreparedSet) -> None:
    feed = Feed(images.split("train"), batch_size=10, workers=3)
    whole = _seen(feed, 0, 12)
    parts = _seen(feed, 0, 7) + _seen(Feed(images.split("train"), batch_size=10), 7, 12)
    assert [b.step for b in parts] == list(range(12))
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(whole, parts, strict=True))


def test_pixels_and_labels_are_those_of_the_split(images: PreparedSet) -> None:
    train = images.split("train")
    for batch in _seen(Feed(train, batch_size=5), 0, 4):
        assert batch.pixels.is_contiguous(memory_format=torch.channels_last)
        for row, index in enumerate(batch.index.tolist()):
            assert torch.equal(batch.pixels[row], train.decode(index))
            assert batch.labels[row] == train.labels[index]


class _Broken(Split):
    """Images 3 and 40 cannot be read. decoded: which were tried."""

    def __init__(self, like: Split) -> None:
        super().__init__(like.name, like._shards, like.side)
        self.decoded: list[int] = []

    def decode_into(self, index: int, out: object) -> None:
        self.decoded.append(index)
        if index in (3, 40):
            raise DataError(f"image {index} is damaged")
        super().decode_into(index, out)  # type: ignore[arg-type]


def test_images_that_cannot_be_read_lose_their_label_and_are_named(images: PreparedSet) -> None:
    feed = Feed(_Broken(images.split("train")), batch_size=16, workers=2)
    batches = _seen(feed, 0, 3)
    assert all(bool((b.pixels[b.labels == NO_LABEL] == 0).all()) for b in batches)
    lost = torch.cat([b.index[b.labels == NO_LABEL] for b in batches])
    assert sorted(lost.tolist()) == [3, 40]
    named = [sentence for batch in batches for sentence in batch.unreadable]
    assert sorted(named) == ["image 3 is damaged", "image 40 is damaged"]


@pytest.mark.parametrize("batch_size", [17, 47])
def test_partners_decode_each_image_once_and_both_have_the_batches_of_one(
    images: PreparedSet, batch_size: int
) -> None:
    """Odd batches, a last one of a single row, unreadable images; two threads stand for the processes."""
    ways: tuple[Queue[Tensor], Queue[Tensor]] = (Queue(), Queue())

    def partner(rank: int) -> Partner:
        def swap(mine: Tensor, theirs: Tensor) -> None:
            ways[rank].put(mine.clone())
            theirs.copy_(ways[1 - rank].get(timeout=60))

        return Partner(rank, swap)

    train = images.split("train")
    alone = Feed(_Broken(train), batch_size=batch_size)
    pair = [Feed(_Broken(train), batch_size=batch_size, partner=partner(r), workers=2) for r in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        both = pool.map(lambda feed: _seen(feed, 0, feed.steps_per_epoch), pair)
    for whole, first, second in zip(_seen(alone, 0, alone.steps_per_epoch), *both, strict=True):
        for batch in (first, second):
            assert torch.equal(batch.pixels, whole.pixels)
            assert torch.equal(batch.labels, whole.labels)
            assert (batch.start, batch.stop, batch.total) == (0, whole.total, whole.total)
        assert first.unreadable + second.unreadable == whole.unreadable
    decoded = [feed.split.decoded for feed in pair if isinstance(feed.split, _Broken)]
    assert sorted(decoded[0] + decoded[1]) == list(range(48))


def test_processes_of_one_machine_share_its_cores(
    images: PreparedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alexnet_edu.imagenet.feed.usable_cores", lambda: 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert Feed(images.split("train")).workers == 4


def test_ending_early_leaves_no_thread_behind_and_a_split_without_images_is_refused(
    images: PreparedSet,
) -> None:
    batches = Feed(images.split("train"), batch_size=4, workers=2).batches(0, 12)
    next(batches)
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]
    with pytest.raises(DataError, match="'train'"):
        Feed(Split("train", [], 256))


# --- what the network sees --------------------------------------------------------------------


def _batch(images: PreparedSet, rank: int = 0, world: int = 1) -> Batch:
    return _seen(Feed(images.split("train"), batch_size=9, rank=rank, world=world), 0, 1)[0]


def test_the_view_is_crop_plus_colour_minus_the_middle_of_the_mean(images: PreparedSet) -> None:
    views, batch = Views(images), _batch(images)
    generator = torch.Generator().manual_seed(4)
    cut = augment.random_crop_and_flip(batch.pixels, 224, generator)
    shifts = images.colors.shifts(9, generator)
    expected = cut.double() + shifts[:, :, None, None] - images.mean_image[None, :, 16:240, 16:240].double()
    seen = views.train(batch, 4)
    assert seen.shape == (9, 3, 224, 224)
    assert seen.dtype == torch.float32
    assert torch.allclose(seen.double(), expected, atol=1e-4)
    assert torch.allclose(views.train(batch, 4, divisor=1.1) * 1.1, seen, atol=1e-3)
    plain = views.train(batch, 4, noise=0.0)
    assert torch.equal(plain, cut.float() - images.mean_image[None, :, 16:240, 16:240])


def test_draws_do_not_depend_on_how_a_batch_is_shared(images: PreparedSet) -> None:
    views = Views(images)
    whole = views.train(_batch(images), 7)
    parts = [views.train(_batch(images, rank, 2), 7) for rank in (0, 1)]
    assert torch.equal(torch.cat(parts), whole)
    (none,) = _seen(Feed(images.split("train"), batch_size=1, rank=1, world=2), 0, 1)
    assert (none.start, none.stop, none.total) == (1, 1, 1)
    assert views.train(none, 0).shape == (0, 3, 224, 224)


def test_the_middle_patch_and_the_ten(images: PreparedSet) -> None:
    views, pixels = Views(images), _batch(images).pixels
    ten = torch.stack(list(views.patches(pixels, 10)), dim=1)
    assert ten.shape == (9, 10, 3, 224, 224)
    assert torch.equal(next(views.patches(pixels, 1)), views.centre(pixels))
    with pytest.raises(ValueError, match="got 9"):
        list(views.patches(pixels, 9))
    assert torch.equal(ten[:, 2], views.centre(pixels))
    mean = images.mean_image[None, :, 16:240, 16:240]
    assert torch.equal(ten[:, 5] + mean, (ten[:, 0] + mean).flip(3))  # mirrored before the mean is taken off
