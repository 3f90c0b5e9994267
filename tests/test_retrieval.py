"""The study of retrieval: its numbers are those of its parts, it goes on where it was, its record is read."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu import cli
from alexnet_edu.files import write_json
from alexnet_edu.retrieval_commands import place
from alexnet_edu.studies import retrieval as retrieval_study
from alexnet_edu.studies import retrieval_records as records
from alexnet_edu.studies.neighbours import as_vectors, nearest, precision_at_k
from alexnet_edu.studies.retrieval import Searched
from tests.retrieval_sample import TINY, sample_record, tiny_images, tiny_network


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return sample_record()


def test_the_training_images_are_shuffled_and_whole() -> None:
    images = tiny_images()
    searched = Searched.of(images, 40)
    assert not torch.equal(searched.train.labels, images.train.labels)
    assert torch.equal(searched.train.labels.sort().values, images.train.labels.sort().values)
    assert len(searched.sample.unique()) == 40
    assert len(Searched.of(images, 1000).sample) == len(images.test)


def test_precisions_are_those_of_a_search_by_hand(made: dict[str, Any]) -> None:
    images = tiny_images()
    train, test = as_vectors(images.train.pixels), as_vectors(images.test.pixels)
    index = nearest(test.double(), train.double(), 6).index
    by_hand = precision_at_k(index, images.test.labels, images.train.labels).mean().item()
    assert made["pixels"]["precision"] == pytest.approx(by_hand, abs=1e-3)
    network = tiny_network(2)
    features = [network.features(part.pixels) for part in (images.train, images.test)]
    index = nearest(features[1], features[0], 6).index
    by_hand = precision_at_k(index, images.test.labels, images.train.labels).mean().item()
    assert records.precisions(made, network.hidden)[1] == pytest.approx(by_hand, abs=1e-3)
    center = features[0].mean(0)
    directions = [(x - center) / (x - center).norm(dim=1, keepdim=True) for x in features]
    sample = Searched.of(images, TINY.sample).sample
    nearest_by_angle = (directions[1][sample] @ directions[0].T).topk(6, 1).indices
    by_angle = precision_at_k(nearest_by_angle, images.test.labels[sample], images.train.labels).mean().item()
    assert made["networks"][1]["by_angle"] == pytest.approx(by_angle, abs=2e-3)
    mean = statistics.fmean(made["networks"][1]["classes"])  # ten images of each class
    assert mean == pytest.approx(by_hand, abs=1e-3)


def test_the_record_has_every_code(made: dict[str, Any]) -> None:
    for source, groups in (("features", 2), ("pixels", 1)):
        for bits in TINY.bits:
            assert len(records.code_values(made, source, "auto-encoder", bits)) == groups
            assert len(records.code_values(made, source, "random", bits, "recall")) == 2 * groups
    assert len(records.means(made, "features", "random")) == 2
    for row in made["networks"][0]["codes"]:
        assert 0 <= row["precision"] <= 1
        assert 0 <= row["recall"] <= 1
        assert ("error" in row) == (row["kind"] == "auto-encoder")


def test_batches_find_about_what_is_expected(made: dict[str, Any]) -> None:
    assert [row["batches"] for row in made["batches"]] == [
        16,
        30,
    ]  # fewer than are kept, more than images: no
    for row in made["batches"]:
        assert row["shuffled"] == pytest.approx(row["expected"], abs=0.7)
        assert 1 <= row["in_order"] <= 16


def test_lead_and_closeness(made: dict[str, Any]) -> None:
    leads = records.lead(made, 8)
    learned = records.code_values(made, "features", "auto-encoder", 8)
    drawn = records.code_values(made, "features", "random", 8)
    assert leads[0] == pytest.approx(100 * (learned[0] - statistics.fmean(drawn[:2])))
    assert len(leads) == 2
    assert 0 <= records.closeness(made) <= 1
    ranks = made["networks"][0]["pixel_ranks"]
    assert ranks["low"] <= ranks["median"] <= ranks["high"]


def test_tables_say_it_all(made: dict[str, Any]) -> None:
    table = records.layer_table(made)
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["pixels", *tiny_network().layers]
    assert "fc5" in next(line for line in table.splitlines() if "<- last hidden layer" in line)
    lines = records.code_table(made).splitlines()
    assert [line.split()[:2] for line in lines[3:5]] == [["8", "1"], ["16", "2"]]
    assert "(1,024 bytes)" in lines[-1]
    assert len({len(line) for line in lines[1:]}) == 1
    assert "2 networks, 100 test images against 300 training images" in records.origin(made)


def test_bad_questions_are_told(made: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no layer 'fc9'; there are conv1"):
        records.precisions(made, "fc9")
    with pytest.raises(ValueError, match="got 'sounds', 'random'"):
        records.code_values(made, "sounds", "random", 8)
    with pytest.raises(ValueError, match="codes have 8, 16 bits; got 9"):
        records.code_values(made, "features", "random", 9)


def test_a_study_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the second network: the first one and the pixels are not measured again."""
    network, measured = retrieval_study.network_part, []

    def part(net: Any, seed: int, *rest: Any) -> dict[str, Any]:
        measured.append(seed)
        if seed == 2 and measured.count(2) == 1:
            raise KeyboardInterrupt
        return network(net, seed, *rest)

    monkeypatch.setattr(retrieval_study, "network_part", part)
    networks = {seed: tiny_network(seed) for seed in (1, 2)}
    said: list[str] = []

    def make() -> dict[str, Any]:
        return retrieval_study.record(networks, tiny_images(), TINY, tmp_path, workers=1, say=said.append)

    with pytest.raises(KeyboardInterrupt):
        make()
    found = make()
    assert measured == [1, 2, 2]
    assert said == ["finished pixels", "finished network-seed1", "finished network-seed2"]
    assert found["networks"] == sample_record()["networks"]


def test_a_record_is_written_and_read(tmp_path: Path, made: dict[str, Any]) -> None:
    write_json(tmp_path / "retrieval.json", made)
    found = records.load_record(tmp_path / "retrieval.json")
    assert found == json.loads(json.dumps(made))
    with pytest.raises(ValueError, match="experiment retrieval` makes it anew"):
        records.load_record(tmp_path / "other.json")


def test_no_network_no_record() -> None:
    with pytest.raises(ValueError, match="at least one network"):
        retrieval_study.assembled({}, [], tiny_images(), TINY)


def test_the_stand_in_never_takes_the_place_of_a_record(
    tmp_path: Path, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALEXNET_EDU_RESULTS", str(tmp_path))
    published, own = tmp_path / "retrieval.json", tmp_path / "runs" / "retrieval.json"
    assert place(True, made, own.parent) == own
    assert place(False, made, own.parent) == published
    write_json(published, made)
    assert place(False, made, own.parent) == published
    other = sample_record()
    other["provenance"]["data"]["fingerprint"] = "another"
    assert place(False, other, own.parent) == own
    assert "made on other images" in capsys.readouterr().out


def test_the_command_refuses_a_folder_as_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["experiment", "retrieval", "--output", str(tmp_path)]) == 2
    assert "is a folder; name a file in it" in capsys.readouterr().err
