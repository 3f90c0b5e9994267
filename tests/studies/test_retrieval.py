"""The study of retrieval: its numbers are those of its parts, it goes on where it was, its record is read."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from alexnet_edu.studies import retrieval
from alexnet_edu.studies.neighbours import as_vectors, nearest, precision_at_k
from alexnet_edu.studies.record import Record, load, write
from alexnet_edu.studies.retrieval import Searched
from tests.studies.samples import TINY, retrieval_record, tiny_images, tiny_network


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """As it is read from its file."""
    folder = tmp_path_factory.mktemp("record")
    write(retrieval_record(), folder / "retrieval.json")
    return load("retrieval", folder)


def test_the_training_images_are_shuffled_and_whole() -> None:
    images = tiny_images()
    searched = Searched.of(images, 40)
    assert not torch.equal(searched.train.labels, images.train.labels)
    assert torch.equal(searched.train.labels.sort().values, images.train.labels.sort().values)
    assert len(searched.sample.unique()) == 40
    assert len(Searched.of(images, 1000).sample) == len(images.test)


def test_precisions_are_those_of_a_search_by_hand(made: Record) -> None:
    images, network = tiny_images(), tiny_network(2)

    def by_hand(train: torch.Tensor, test: torch.Tensor) -> float:
        index = nearest(test.double(), train.double(), 6).index
        return precision_at_k(index, images.test.labels, images.train.labels).mean().item()

    pixels = by_hand(as_vectors(images.train.pixels), as_vectors(images.test.pixels))
    assert retrieval.precisions(made, retrieval.PIXELS) == pytest.approx([pixels], abs=1e-3)
    train, test = (network.features(part.pixels) for part in (images.train, images.test))
    assert retrieval.precisions(made, network.hidden)[1] == pytest.approx(by_hand(train, test), abs=1e-3)
    classes = made.of(variant="features", seed=2).tables["classes"]["precision"]  # ten images of each
    assert fmean(classes) == pytest.approx(by_hand(train, test), abs=1e-3)
    center, sample = train.mean(0), Searched.of(images, TINY.sample).sample
    directions = [(x - center) / (x - center).norm(dim=1, keepdim=True) for x in (train, test[sample])]
    index = (directions[1] @ directions[0].T).topk(6, 1).indices
    by_angle = precision_at_k(index, images.test.labels[sample], images.train.labels).mean().item()
    assert made.of(variant="features").runs["by_angle"][1] == pytest.approx(by_angle, abs=2e-3)


def test_the_record_has_every_code(made: Record) -> None:
    for source, groups in (("features", 2), ("pixels", 1)):
        for bits in TINY.bits:
            assert len(retrieval.code_values(made, source, "auto-encoder", bits)) == groups
            assert len(retrieval.code_values(made, source, "random", bits, "recall")) == 2 * groups
    codes = made.tables["codes"]
    assert codes[["precision", "recall"]].stack().between(0, 1).all()
    assert (codes["error"].notna() == (codes["kind"] == "auto-encoder")).all()
    counts = {kind: len(retrieval.code_values(made, "features", kind, 8)) for kind in retrieval.KINDS}
    assert counts == {"auto-encoder": 2, "itq": 4, "pca": 2, "random": 4}
    learned, planes = (
        retrieval.code_values(made, "features", kind, 8) for kind in ("auto-encoder", "random")
    )
    assert retrieval.lead(made, 8)[0] == pytest.approx(100 * (learned[0] - fmean(planes[:2])))


def test_every_layer_is_searched_with_random_weights_too(made: Record) -> None:
    rows = made.rows("untrained", seed=2)
    assert list(rows["layer"]) == retrieval.layers(made)
    network, other = tiny_network(2), tiny_network(1)
    drawn = [retrieval.untrained(each, 5).stages.state_dict() for each in (network, other)]
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
    assert not torch.equal(
        drawn[0]["conv1.weights.weight"], network.stages.state_dict()["conv1.weights.weight"]
    )


def test_guesses_are_held_against_chance(made: Record) -> None:
    images, network = tiny_images(), tiny_network(1)
    stripes = retrieval.kinds(images.test.classes)
    assert 0 < stripes.sum() < len(stripes)
    run = made.of(variant="features").runs.iloc[0]
    guesses = network.outputs_of(images.test.pixels, network.layers)[network.layers[-1]].argsort(
        1, descending=True
    )
    wrong = guesses[:, 0] != images.test.labels
    same = stripes[guesses[:, 0]] == stripes[images.test.labels]
    assert run["mistakes"] == pytest.approx(same[wrong].float().mean().item(), abs=1e-6)
    assert 0 < run["seconds_chance"] < 1


def test_batches_find_about_what_is_expected(made: Record) -> None:
    rows = made.rows("batches", seed=1).to_dict("records")
    assert [row["batches"] for row in rows] == [16, 30]  # not fewer than are kept, nor more than images
    for row in rows:
        assert row["shuffled"] == pytest.approx(row["expected"], abs=0.7)
        assert 1 <= row["in_order"] <= 16
    first = made.of(variant="features").runs.iloc[0]
    assert 0 <= first["nearer_low"] <= first["nearer_median"] <= first["nearer_high"] <= 1


def test_a_study_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the second network: the first one and the pixels are not measured again."""
    network, measured = retrieval.network_part, []

    def part(net: Any, seed: int, *rest: Any) -> retrieval.Rows:
        measured.append(seed)
        if measured == [1, 2]:
            raise KeyboardInterrupt
        return network(net, seed, *rest)

    monkeypatch.setattr(retrieval, "network_part", part)
    networks = {seed: tiny_network(seed) for seed in (1, 2)}

    def make() -> Record:
        return retrieval.record(networks, tiny_images(), TINY, tmp_path, workers=1, say=lambda _: None)

    with pytest.raises(KeyboardInterrupt):
        make()
    assert make().runs.equals(retrieval_record().runs)
    assert measured == [1, 2, 2]
