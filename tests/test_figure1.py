"""Runs, searches and records of Figure 1, on a few generated images."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu import files as json_files
from alexnet_edu.data.images import Images
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.studies import engine as experiments
from alexnet_edu.studies import figure1
from alexnet_edu.studies.engine import (
    Bench,
    Condition,
    Record,
    Spec,
    from_json,
    read_records,
    run_together,
    to_json,
)
from alexnet_edu.studies.figure1 import CONDITIONS, Study, best_rate, run_study, search_rate
from alexnet_edu.studies.rates import next_rate
from alexnet_edu.training.loop import Point, Run

TINY = Condition("tiny", "tiny", "standardized", "scaled", channels=(8, 8, 8))


def images() -> Images:
    """Two classes told apart by their mean colour, in noise: learnable within an epoch."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(600) % 2
    noise = 40 * torch.randn(600, 3, 16, 16, generator=generator)
    shift = 25 * (labels * 2 - 1).view(-1, 1, 1, 1) * torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1)
    pixels = (128 + noise + shift).clamp(0, 255).to(torch.uint8)
    return Images(pixels, labels, ("red", "green"), "generated for a test", synthetic=True)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(images(), tmp_path / "runs")


def spec(**changes: Any) -> Spec:
    return replace(Spec("relu", 0.01, 1, TINY, precision="float32", batch_size=50), **changes)


def made_up(rate: float, epochs: float | None, lowest: float = 0.2, status: str = "reached") -> Record:
    """A record whose curve crosses 25% after `epochs` epochs, or stays at `lowest` > 25%."""
    errors = [0.9, lowest] if epochs is None else [0.9, 0.25]
    ends = [0.0, epochs or 10.0]
    points = [Point(int(e * 10), e, x, x, 1.0, e, e) for e, x in zip(ends, errors, strict=True)]
    return Record(Spec("tanh", rate, 0, CONDITIONS["2012"]), Run(points, status), {}, {})


def test_inputs_are_what_the_condition_says(bench: Bench) -> None:
    batch = bench.images.pixels
    raw, standardized = bench.prepare("raw")(batch), bench.prepare("standardized")(batch)
    torch.testing.assert_close(raw.mean(0), torch.zeros(3, 16, 16), atol=1e-3, rtol=0)
    assert 30 < raw.std().item() < 60
    assert standardized.std().item() == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ValueError, match="unknown input scale 'centred'"):
        bench.prepare("centred")


def test_a_run_is_kept_and_costs_nothing_the_second_time(bench: Bench) -> None:
    first = bench.run(spec(), 2)
    again = bench.run(spec(), 2)
    assert (first.run.resumed_at, again.run.resumed_at) == (0, 24)
    assert again.run.points == first.run.points
    (read,) = read_records(bench.runs_dir or Path())
    assert read == from_json(json.loads(json.dumps(to_json(first))))
    assert read.spec == spec()


def test_a_run_goes_on_where_a_shorter_one_stopped(bench: Bench, tmp_path: Path) -> None:
    bench.run(spec(), 1)
    longer = bench.run(spec(), 2)
    fresh = Bench(images(), None).run(spec(), 2)
    assert longer.run.resumed_at == 12
    numbers = [[(p.iteration, p.train_error, p.loss, p.extra) for p in r.run.points] for r in (longer, fresh)]
    assert numbers[0] == numbers[1]


def test_a_run_keeps_where_its_earlier_part_was_made(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for commit, epochs in (("aaaa", 1), ("bbbb", 2), ("bbbb", 3)):
        made = {"commit": commit, "hardware": "h", "date": "d"}
        monkeypatch.setattr(experiments, "provenance", lambda device, made=made: dict(made))
        record = bench.run(spec(), epochs)
    assert record.provenance["commit"] == "bbbb"
    assert [part["commit"] for part in record.provenance["earlier"]] == ["aaaa"]
    (read,) = read_records(bench.runs_dir or Path())
    assert read.provenance == record.provenance


def test_a_run_that_is_killed_leaves_its_curve(bench: Bench) -> None:
    def killed(run: Run) -> None:
        raise SystemError("as good as kill -9: nothing after this is executed")

    with pytest.raises(SystemError):
        bench.run(spec(), 2, on_point=killed)
    (read,) = read_records(bench.runs_dir or Path())
    assert (read.run.status, len(read.run.points)) == ("running", 1)


def test_a_diverged_run_is_not_trained_again(bench: Bench) -> None:
    first = bench.run(spec(learning_rate=1e6), 2)
    assert first.run.status == "diverged"
    path = bench.path(first.spec)
    assert path is not None
    before = path.stat().st_mtime_ns
    again = bench.run(spec(learning_rate=1e6), 2)
    assert str(again.run.points) == str(first.run.points)  # they hold NaN
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"spec": {}}'])
def test_a_damaged_curve_is_named(bench: Bench, content: str) -> None:
    bench.run(spec(), 0.5)
    path = bench.path(spec())
    assert path is not None
    path.write_text(content)
    for read in (lambda: bench.run(spec(), 1), lambda: read_records(path.parent)):
        with pytest.raises(ValueError, match=f"{path.name} is damaged .*Delete it"):
            read()
    path.unlink()
    assert bench.run(spec(), 0.5).run.resumed_at == 6


def test_what_changes_the_curve_changes_the_file_and_words_do_not(bench: Bench) -> None:
    paths = {
        bench.path(spec()),
        bench.path(spec(seed=2)),
        bench.path(spec(learning_rate=0.02)),
        bench.path(spec(activation="tanh")),
        bench.path(spec(condition=replace(TINY, init="cuda-convnet"))),
        bench.path(spec(precision="bfloat16")),
        bench.path(spec(), "cuda"),
    }
    assert len(paths) == 7
    assert bench.path(spec(condition=replace(TINY, title="other words"))) in paths
    other = Bench(bench.images.subset(torch.arange(500)), bench.runs_dir)
    assert other.path(spec()) not in paths


def test_every_point_holds_the_layers_from_the_input_up(bench: Bench) -> None:
    last = bench.run(spec(), 1).run.last
    assert last is not None
    assert set(last.extra) >= {"saturated", "gradient_norm", "input_std"}
    assert all(len(row) == 3 and all(math.isfinite(x) for x in row) for row in last.extra.values())


def test_runs_side_by_side_equal_runs_alone(bench: Bench) -> None:
    jobs = [(spec(), 1.0), (spec(activation="tanh"), 1.0)]
    together = run_together(bench, jobs, workers=2, progress=False)
    for record, (alone, epochs) in zip(together, jobs, strict=True):
        expected = Bench(images(), None).run(alone, epochs)
        assert record.spec.activation == alone.activation
        errors = [[p.train_error for p in r.run.points] for r in (record, expected)]
        assert errors[0] == pytest.approx(errors[1], abs=0.01)


def test_an_interrupt_stops_all_runs_and_keeps_them(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = experiments._show_news, []

    def interrupted(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        if not calls and any((bench.runs_dir or Path()).glob("*.json")):
            calls.append(1)
            raise KeyboardInterrupt

    monkeypatch.setattr(experiments, "_show_news", interrupted)
    jobs = [(spec(), 5_000.0), (spec(activation="tanh"), 5_000.0)]
    records = run_together(bench, jobs, workers=2, progress=False)
    assert [r.run.status for r in records] == ["interrupted"] * 2
    measured = [len(r.run.points) for r in records]
    assert sum(measured) > 0
    monkeypatch.setattr(experiments, "_show_news", real)
    again = run_together(bench, [(s, 1.0) for s, _ in jobs], workers=2, progress=False)
    assert all(len(r.run.points) >= n for r, n in zip(again, measured, strict=True))


def test_rates_lie_on_the_grid() -> None:
    assert [next_rate(0.01, k) for k in (-3, -2, -1, 0, 1, 2, 3)] == [
        0.001,
        0.002,
        0.005,
        0.01,
        0.02,
        0.05,
        0.1,
    ]
    with pytest.raises(ValueError, match=r"0\.03 is not on the grid"):
        next_rate(0.03, 1)


def test_the_search_walks_to_the_fastest_rate_and_gives_up_slower_ones() -> None:
    epochs = {0.001: 30.0, 0.002: 20.0, 0.005: 12.0, 0.01: 15.0, 0.02: 40.0}
    allowed: list[tuple[float, float]] = []

    def run(s: Spec, max_epochs: float) -> Record:
        allowed.append((s.learning_rate, max_epochs))
        reached = epochs[s.learning_rate] <= max_epochs
        return made_up(s.learning_rate, epochs[s.learning_rate] if reached else None, 0.3)

    found = search_rate(Study("2012", "tanh", 0.001, seeds=1, max_epochs=50), run)
    assert best_rate(found) == 0.005
    assert allowed == [(0.001, 50), (0.002, 30), (0.005, 20), (0.01, 12)]


def test_a_search_goes_down_while_no_rate_has_learned_anything() -> None:
    tried: list[float] = []

    def run(s: Spec, max_epochs: float) -> Record:
        tried.append(s.learning_rate)
        return made_up(s.learning_rate, None, 0.4 if s.learning_rate <= 0.001 else 0.9, "limit")

    found = search_rate(Study("2012", "abs-tanh", 0.01, seeds=1, max_epochs=5), run)
    assert best_rate(found) == 0.001
    assert tried == [0.01, 0.02, 0.005, 0.002, 0.001, 0.0005]


def test_the_best_rate_is_the_fastest_then_the_lowest_then_not_the_diverged() -> None:
    assert best_rate([made_up(0.1, 8), made_up(0.2, 7), made_up(0.5, None, 0.26)]) == 0.2
    assert best_rate([made_up(0.1, None, 0.4), made_up(0.2, None, 0.3)]) == 0.2
    assert best_rate([made_up(0.1, None, 0.4, "limit"), made_up(0.2, None, 0.3, "diverged")]) == 0.1


def test_a_study_from_search_to_summary(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains for real: a record, its ratio, and the same record after a second call."""
    studies = (Study("tiny", "relu", 0.005, 2, 12), Study("tiny", "tanh", 0.01, 2, 12))
    monkeypatch.setitem(figure1.CONDITIONS, "tiny", TINY)
    monkeypatch.setattr(figure1, "STUDIES", studies)
    monkeypatch.setattr(figure1, "MOST_RATES", 1)
    lines: list[str] = []
    check = (spec(activation="tanh", learning_rate=0.01, batch_size=128), 1.0)
    monkeypatch.setattr(figure1, "PRECISION_CHECK", check)
    figure1.record(bench, workers=2, say=lines.append)
    assert bench.runs_dir is not None
    made = figure1.assemble(bench.runs_dir)
    assert [c["activation"] for c in made["cells"]] == ["relu", "tanh"]
    for cell in made["cells"]:
        assert [run["spec"]["seed"] for run in cell["runs"]] == [1, 2]
        assert cell["rate"] in [row["learning_rate"] for row in cell["search"]]
    (row,) = made["summary"]
    slow, fast = (figure1.crossings(cell, "epoch") for cell in (made["cells"][1], made["cells"][0]))
    assert row["epochs"]["value"] == pytest.approx(sum(slow) / sum(fast), abs=1e-3)  # type: ignore[arg-type]
    assert row["epochs"]["low"] <= row["epochs"]["value"] <= row["epochs"]["high"]
    count = len(lines)
    figure1.record(bench, workers=1, say=lines.append)
    assert len(lines) == count + 2  # nothing trained again, only "finished …"
    assert figure1.assemble(bench.runs_dir) == made


def test_the_quick_live_run_shows_relu_ahead_of_tanh() -> None:
    found = figure1.run_live(
        Bench(synthetic_images(2_000, 100).train, None), "quick", {"relu": 9.0, "tanh": 9.0}, progress=False
    )
    errors = {name: r.run.points[-1].train_error for name, r in found.items()}
    assert errors["relu"] < 0.6 < errors["tanh"]
    assert {r.spec.learning_rate for r in found.values()} == {0.0005, 0.002}  # not those passed in


def test_precisions_are_compared_run_by_run(bench: Bench) -> None:
    runs = [bench.run(spec(precision=p), 1) for p in ("float32", "bfloat16")]
    alone = bench.run(spec(precision="float32", seed=2), 1)
    (row,) = figure1.compare_precisions([*runs, alone])
    assert (row["seed"], row["epochs"]) == (1, [0.5, 1.0])
    assert row["float32"] == [p.running_error for p in runs[0].run.points]
    assert row["bfloat16"] == [p.running_error for p in runs[1].run.points]


def test_a_run_that_never_gets_there_gives_a_lower_bound() -> None:
    def cell(activation: str, epochs: list[float | None]) -> dict[str, Any]:
        runs = [to_json(made_up(0.01, e, 0.4)) for e in epochs]
        return {"condition": "2012", "title": "t", "activation": activation, "max_epochs": 40, "runs": runs}

    (row,) = figure1.summarize([cell("relu", [5, 5]), cell("tanh", [30, None])])
    assert (row["epochs"], row["at_least"]) == (None, 7.0)
    assert "at least 7.0" in figure1.ratios_table({"summary": [row]})
    (row,) = figure1.summarize([cell("relu", [5.6, 5.6]), cell("tanh", [30, None])])
    assert row["at_least"] == 6.2  # 35 / 5.6 = 6.25: a bound is never rounded up
    (row,) = figure1.summarize([cell("relu", [5, None]), cell("tanh", [30, 30])])
    assert (row["epochs"], row["at_least"], row["relu_not_within"]) == (None, None, 40)
    assert "ReLU not within 40" in figure1.ratios_table({"summary": [row]})


def _made_up_study(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """The runs of one study of ReLU with three seeds."""
    monkeypatch.setattr(figure1, "STUDIES", (Study("2012", "relu", 0.01, 3, 40),))
    data = {"fingerprint": "f", "source": "made up", "synthetic": True, "images": 1}
    made = {"commit": "c", "date": "d", "hardware": "h", "torch": "t", "threads": 1}
    runs = [made_up(0.01, 5 + seed) for seed in range(4)]
    condition = CONDITIONS["2012"]
    return [
        replace(r, spec=Spec("relu", 0.01, i, condition, "float32"), data=data, provenance=made)
        for i, r in enumerate(runs)
    ]


def _keep(folder: Path, records: list[Record]) -> None:
    for i, record in enumerate(records):
        json_files.write_json(folder / f"{i}.json", to_json(record))


def test_a_condition_with_a_new_title_keeps_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _keep(tmp_path, _made_up_study(monkeypatch))
    retitled = replace(CONDITIONS["2012"], title="new words")
    monkeypatch.setitem(figure1.CONDITIONS, "2012", retitled)
    (cell,) = figure1.assemble(tmp_path)["cells"]
    assert {cell["title"], *(run["spec"]["condition"]["title"] for run in cell["runs"])} == {"new words"}
    monkeypatch.setitem(figure1.CONDITIONS, "2012", replace(retitled, init="scaled"))
    with pytest.raises(ValueError, match="no finished study"):
        figure1.assemble(tmp_path)


def test_runs_on_two_kinds_of_devices_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = _made_up_study(monkeypatch)
    elsewhere = [replace(r, device="cuda") for r in records]
    _keep(tmp_path, records[:3] + elsewhere[1:2])  # three seeds, but one of them twice
    with pytest.raises(ValueError, match="no finished study"):
        figure1.assemble(tmp_path)
    _keep(tmp_path, records + elsewhere[1:3])
    (cell,) = figure1.assemble(tmp_path)["cells"]
    assert [(run["spec"]["seed"], run["device"]) for run in cell["runs"]] == [(s, "cpu") for s in (1, 2, 3)]


def test_studying_an_unknown_condition_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no study has condition \['2013'\].*2012/tanh"):
        figure1.choose_studies(["2013"], None)


def test_a_study_passes_an_interrupt_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(figure1.CONDITIONS, "tiny", TINY)
    with pytest.raises(KeyboardInterrupt):
        run_study(bench, Study("tiny", "relu", 0.01, 1, 3), stop=lambda: True)


def test_records_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not there"):
        figure1.load_record(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"experiment": "fig')
    with pytest.raises(ValueError, match="is damaged"):
        figure1.load_record(tmp_path / "half.json")
    (tmp_path / "other.json").write_text('{"experiment": "lrn"}')
    with pytest.raises(ValueError, match="is not a record of 'figure1'"):
        figure1.load_record(tmp_path / "other.json")
    for wrong in ("[1]", '{"experiment": "figure1"}'):
        (tmp_path / "other.json").write_text(wrong)
        with pytest.raises(ValueError, match="is not a record of 'figure1'"):
            figure1.load_record(tmp_path / "other.json")
    with pytest.raises(ValueError, match="no finished study"):
        figure1.assemble(tmp_path / "empty")
