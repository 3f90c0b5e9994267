"""A record is read as it was written, and its readers are right; publishing loses nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from alexnet_edu.files import DataError, write_json
from alexnet_edu.studies.record import Record, load, of_rows, publish, spread, table, table_by_rate, write

MADE: dict[str, Any] = {
    "commits": ["abc"],
    "dates": ["2026-01-02"],
    "hardware": ["a machine"],
    "torch": ["2.0"],
    "threads": [1],
    "precision": ["float32"],
    "data": {"source": "CIFAR-10", "synthetic": False, "images": 50_000, "fingerprint": "f"},
}


def record(synthetic: bool = False, fingerprint: str = "f", **errors: dict[float, list[float]]) -> Record:
    """variant -> rate -> last test error of each seed; the first rate is the chosen one."""
    runs: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for name, by_rate in errors.items():
        for rate, lasts in by_rate.items():
            for seed, error in enumerate(lasts, start=1):
                about = {"variant": name, "title": f"the {name}", "parameters": 1_000}
                chosen = rate == next(iter(by_rate))
                curves += [
                    {"run": len(runs), "epoch": epoch, "test_error": test, "train_error": test / 2}
                    | {"cpu_seconds": 10 * epoch}
                    for epoch, test in ((1.0, 0.9), (2.0, error))
                ]
                runs.append(about | {"chosen": chosen, "rate": rate, "seed": seed})
    data = MADE["data"] | {"synthetic": synthetic, "fingerprint": fingerprint}
    settings = {"epochs": 2, "drops": [1.5]}
    return of_rows("made", "by hand", settings, MADE | {"data": data}, {"runs": runs, "curves": curves})


BOTH = record(a={0.1: [0.30, 0.32], 0.2: [0.24, 0.24]}, b={0.2: [0.20, 0.22], 0.1: [0.21, 0.21]})


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(BOTH, tmp_path / "made.json")
    again = load("made", tmp_path)
    assert (again.settings, again.provenance) == (BOTH.settings, BOTH.provenance)
    for name, frame in BOTH.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], frame, check_like=True)
    assert list(again.runs["test_error"]) == [0.30, 0.32, 0.24, 0.24, 0.20, 0.22, 0.21, 0.21]
    assert set(again.curves) >= {"variant", "title", "rate", "chosen", "seed", "epoch"}


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"experiment": "norms"}', '{"experiment": "made"}'])
def test_what_is_no_record_is_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"made\.json is not there"):
        load("made", tmp_path)
    (tmp_path / "made.json").write_text(content)
    with pytest.raises(DataError, match=r"made\.json.*git checkout data/results"):
        load("made", tmp_path)


def test_a_record_with_a_broken_table_is_refused(tmp_path: Path) -> None:
    parts = {"experiment": "made", "title": "", "settings": {}, "provenance": {}}
    write_json(tmp_path / "made.json", parts | {"tables": {"runs": {"rate": [1], "seed": [1, 2]}}})
    with pytest.raises(DataError, match=r"made\.json is damaged"):
        load("made", tmp_path)


def test_variants_are_compared_at_the_chosen_rates_and_at_one() -> None:
    assert BOTH.shared_rates() == {0.1: ["a", "b"], 0.2: ["a", "b"]}
    assert [BOTH.rate(name) for name in BOTH.variants] == [0.1, 0.2]
    assert BOTH.values("a") == [0.30, 0.32]
    assert BOTH.values("a", "gap") == pytest.approx([0.15, 0.16])
    assert BOTH.gap("a", "b").value == pytest.approx(10)
    assert BOTH.at_rate(0.1).gap("a", "b").value == pytest.approx(10)
    assert BOTH.at_rate(0.2).gap("a", "b").value == pytest.approx(3)
    assert BOTH.paired_gap("a", "b").low == pytest.approx(10)  # ten points under either seed
    assert BOTH.gap("a", "b").low < 10  # type: ignore[operator]
    assert set(BOTH.of(chosen=True, variant=["b"]).runs["variant"]) == {"b"}


def test_tables_have_a_line_for_each_variant_and_rate() -> None:
    first, second = table(BOTH).splitlines()[2:]
    assert first.split()[2:6] == ["1,000", "0.1", "2", "31.00%"]
    assert second.endswith("10.0")  # 20 seconds for two epochs
    lines = table_by_rate(BOTH, "b").splitlines()[2:]
    assert [line.split()[2:4] for line in lines[::3]] == [["0.1", "*"], ["0.2", "*"]]
    assert all("*" not in line for line in lines[1:3])
    assert lines[0].endswith(BOTH.at_rate(0.1).gap("a", "b").signed)
    assert (spread([0.25, 0.27]), spread([0.25])) == ("26.00% ± 1.41", "25.00%")
    assert "2 epochs, ε / 10 after 1.5; 50,000 images of CIFAR-10" in BOTH.origin()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (record(a={0.1: [0.3, 0.3]}), ""),
        (record(a={0.2: [0.3, 0.3]}, b={0.1: [0.2]}), ""),
        (record(a={0.1: [0.3]}), r"it holds more, a \(2 runs\)"),
        (record(b={0.1: [0.3, 0.2]}), r"it holds more, a \(2 runs\)"),
        (record(fingerprint="g", a={0.1: [0.3, 0.3]}), "on other images"),
        (record(synthetic=True, a={0.1: [0.3, 0.3]}), "stand-in"),
    ],
)
def test_publishing_never_loses_anything(
    made: Record, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("ALEXNET_EDU_RESULTS", str(tmp_path / "results"))
    published = tmp_path / "results" / "made.json"
    write(record(a={0.1: [0.5, 0.5]}), published)
    before = published.read_bytes()
    path = publish(made, tmp_path / "runs" / "ablations")
    assert path == (tmp_path / "runs" / "ablations-made.json" if reason else published)
    assert (published.read_bytes() == before) == bool(reason)
    pd.testing.assert_frame_equal(load("made", path.parent).runs if not reason else made.runs, made.runs)
    assert bool(re.search(reason or "left as it is", capsys.readouterr().out)) == bool(reason)
    assert publish(made, tmp_path / "runs", tmp_path / "own.json") == tmp_path / "own.json"


def test_some_variants_join_those_that_are_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALEXNET_EDU_RESULTS", str(tmp_path))
    write(record(a={0.1: [0.5, 0.4]}, b={0.1: [0.3, 0.2]}), tmp_path / "made.json")
    made = record(c={0.2: [0.1]}, b={0.2: [0.6, 0.7, 0.8]})
    assert publish(made, tmp_path / "runs", part=True) == tmp_path / "made.json"
    found = load("made")
    assert found.variants == ["a", "c", "b"]
    assert [found.values(name) for name in found.variants] == [[0.5, 0.4], [0.1], [0.6, 0.7, 0.8]]
    last = found.curves.groupby("run")["test_error"].last()
    assert list(last) == list(found.runs["test_error"])
    fewer = record(b={0.1: [0.3]})
    assert publish(fewer, tmp_path / "runs", part=True) != tmp_path / "made.json"
    other = record(fingerprint="g", d={0.1: [0.3]})
    assert publish(other, tmp_path / "runs", part=True) != tmp_path / "made.json"
    longer = replace(record(d={0.1: [0.3]}), settings={"epochs": 99})
    assert publish(longer, tmp_path / "runs", part=True) != tmp_path / "made.json"
