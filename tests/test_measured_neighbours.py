"""What the ledger says of retrieval follows the record."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from alexnet_edu.files import write_json
from alexnet_edu.ledger.ours import RecordError, ours
from alexnet_edu.studies import retrieval_records as records
from tests.retrieval_sample import sample_record


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALEXNET_EDU_RESULTS", str(tmp_path))
    return tmp_path


def said(folder: Path, claim: str, record: dict[str, Any]) -> str:
    write_json(folder / "retrieval.json", record)
    found = ours(claim)
    assert found is not None
    return found.value


def test_the_words_follow_the_record(folder: Path) -> None:
    record = sample_record(synthetic=False)
    record["networks"][0]["top1_error"], record["networks"][1]["top1_error"] = 0.2, 0.3
    text = said(folder, "top5-panel", record)
    assert "the most probable one for 75.0%" in text
    assert "100 test images, 2 networks;" in text
    record["pixels"]["precision"] = 0.25
    for network, value in zip(record["networks"], (0.7, 0.8), strict=True):
        network["layers"]["fc5"], network["pixel_ranks"]["median"] = value, 0.3
    text = said(folder, "neighbours", record)
    assert "of 6 nearest training images 75.0% have the query's class" in text
    assert "25.0% by pixels" in text
    assert "30% of the training images are nearer in pixels" in text
    learned = statistics.fmean(records.code_values(record, "features", "auto-encoder", 8))
    text = said(folder, "binary-codes", record)
    assert f"8 bits {100 * learned:.1f}% (random planes" in text
    assert "exact search in features 75.0%" in text
    assert "stand-in" not in text


def test_the_stand_in_is_named(folder: Path) -> None:
    for claim in ("top5-panel", "neighbours", "binary-codes"):
        assert "on the synthetic stand-in" in said(folder, claim, sample_record())


def test_a_record_of_another_kind_is_told(folder: Path) -> None:
    record = sample_record()
    record["experiment"] = "results"
    with pytest.raises(RecordError, match="'results' is not 'retrieval'"):
        said(folder, "neighbours", record)
    record = sample_record()
    record["networks"] = []
    with pytest.raises(RecordError, match="no networks"):
        said(folder, "binary-codes", record)


def test_without_a_record_nothing_is_said(folder: Path) -> None:
    assert ours("neighbours") is None
