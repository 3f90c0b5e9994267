"""Notebook 06: the arithmetic of the full training, and what its pictures say."""

from __future__ import annotations

from alexnet_edu import paper
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.imagenet.cost import DAY, TRAINING_IMAGES
from alexnet_edu.lessons import imagenet
from alexnet_edu.lessons.imagenet import cost_explorer, in_words


def test_a_slow_feed_holds_up_those_that_wait_for_it_alone() -> None:
    words = cost_explorer(feed=5000).alt
    days = paper.EPOCHS * TRAINING_IMAGES / 5000 / DAY
    assert words.count(in_words(days)) == 3
    assert "GTX 580 (2010) 5.0 days" in words


def test_the_pictures_say_what_the_numbers_are() -> None:
    images = synthetic_images(20, 10)
    assert (
        "falls 3 times in 91 epochs, conv1 is frozen from 72, the biases keep 0.02"
        in imagenet.schedule_2012()[1]
    )
    sets = {10: [[0.9, 0.8], [0.9, 0.7]], 20: [[0.9, 0.8], [0.8, 0.8]]}
    figure, words = imagenet.false_falls([0.9, 0.8], sets, {10: 2, 20: 1}, images, guess=1.5)
    assert "the rule lowers the rate on 1 of 2 sets of 20 images; with 20, on 1" in words
    assert any("your guess: 1.5" in text.get_text() for text in figure.axes[1].texts)
    assert (
        "other weights: 75.0% validation error, 70.0%"
        in imagenet.resumed([0.9, 0.7], [0.9, 0.75], 1, False, images)[1]
    )
