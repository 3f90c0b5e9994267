"""The studies of §3.2 to §3.4: what is compared, and that a run can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.files import read_json, write_json
from alexnet_edu.model.architecture import count
from alexnet_edu.studies import laboratory as ablations
from alexnet_edu.studies.ablations import PATTERNS, STUDIES, Study, columns_net, parameters
from alexnet_edu.studies.laboratory import (
    Laboratory,
    assemble,
    best_rate,
    record,
    run_live,
    run_variant,
    search,
    shift_sensitivity,
    shifted,
)
from alexnet_edu.studies.record import (
    at_rate,
    find_cell,
    gap,
    interval,
    last,
    load_record,
    origin,
    paired_gap,
    shared_rates,
    spread,
    table,
    table_by_rate,
)

IMAGES = synthetic_images(400, 100, seed=1)
TRAIN, TEST = IMAGES.train, IMAGES.test


def tiny(name: str, **changes: Any) -> Study:
    settings = {"epochs": 1, "drops": (), "seeds": 2, "search_epochs": 0, **changes}
    study = STUDIES[name]
    return replace(study, variants=study.variants[:2], **settings)


# --- what is compared ---------------------------------------------------------------------


def test_only_the_part_in_question_differs() -> None:
    for name in ("norms", "pooling", "lrn-long"):
        counts = {v.name: parameters(v.network) for v in STUDIES[name].variants}
        expected = counts.pop("batch", 0)
        assert len(set(counts.values())) == 1, counts
        assert expected in (0, 89_578 + 2 * (32 + 32))  # a scale and a shift for each map


def test_patterns_of_exchange_have_equal_parameters() -> None:
    """Within 1% of the paper's place; the half network is smaller, as in §3.2."""
    counts = {v.name: parameters(v.network) for v in STUDIES["exchange"].variants}
    assert counts["conv3"] == 140_426
    for name in PATTERNS:
        assert counts[name] == pytest.approx(counts["conv3"], rel=0.01), name
    assert counts["half"] < 0.7 * counts["conv3"]


def test_columns_talk_where_the_pattern_says() -> None:
    for talk in PATTERNS.values():
        net = columns_net(talk)
        reads = {layer.name for layer in net.layers[1:-1] if layer.reads == "both"}
        assert reads == set(talk)
        for layer, size in zip(net.layers, count(net), strict=True):
            assert layer.std == pytest.approx((2 * layer.outputs / size.weights) ** 0.5)


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_every_variant_learns_something_of_every_parameter(name: str) -> None:
    lab = Laboratory(STUDIES[name], TRAIN, TEST, None)
    for variant in STUDIES[name].variants:
        net = lab.network(variant, seed=1)
        logits = net(lab.prepare(TRAIN.pixels[:8]))
        assert logits.shape == (8, 10)
        nn.functional.cross_entropy(logits, TRAIN.labels[:8]).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
        weights = [p for p in net.parameters() if p.dim() > 1]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in weights), variant.name


def test_inputs_are_what_the_study_says() -> None:
    raw = Laboratory(STUDIES["norms"], TRAIN, TEST, None)
    x = raw.prepare(TRAIN.pixels)
    assert x.mean(0).abs().max() < 1e-3
    standardized = Laboratory(STUDIES["exchange"], TRAIN, TEST, None).prepare(TRAIN.pixels)
    assert standardized.std() == pytest.approx(1.0, abs=1e-3)
    cropped = Laboratory(STUDIES["lrn-long"], TRAIN, TEST, None)
    assert torch.equal(cropped.prepare(TRAIN.pixels), x[:, :, 4:28, 4:28])
    assert torch.equal(cropped.prepare(TRAIN.pixels[:, :, 4:28, 4:28]), x[:, :, 4:28, 4:28])


# --- one run ----------------------------------------------------------------------------------


def test_a_search_never_sees_what_judges_it_and_a_run_sees_all(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, set[bytes]]] = []
    real = ablations.fit

    def spy(model: nn.Module, pixels: torch.Tensor, *rest: Any, **options: Any) -> Any:
        seen.append((len(pixels), {p.numpy().tobytes() for p in pixels}))
        return real(model, pixels, *rest, **options)

    judged: list[set[bytes]] = []
    real_error = ablations.error_rate

    def spy_error(model: nn.Module, pixels: torch.Tensor, *rest: Any, **options: Any) -> float:
        judged.append({p.numpy().tobytes() for p in pixels})
        return real_error(model, pixels, *rest, **options)

    monkeypatch.setattr(ablations, "fit", spy)
    monkeypatch.setattr(ablations, "error_rate", spy_error)
    study = tiny("pooling", search_epochs=0.5)
    lab = Laboratory(study, TRAIN, TEST, None)
    lab.run(study.variants[0], 0.001, 0, searching=True)
    lab.run(study.variants[0], 0.001, 1)
    assert [n for n, _ in seen] == [360, 400]
    assert len(judged[0]) == 40
    assert not judged[0] & seen[0][1]
    assert len(judged[-1]) == 100
    assert not judged[-1] & seen[1][1]


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    study = tiny("lrn-long", epochs=2)
    variant = study.variants[1]
    whole, _ = Laboratory(study, TRAIN, TEST, tmp_path / "whole").run(variant, 0.001, 1)
    lab = Laboratory(study, TRAIN, TEST, tmp_path / "parts")
    calls = iter([False] * 5 + [True])
    with pytest.raises(KeyboardInterrupt):
        lab.run(variant, 0.001, 1, stop=lambda: next(calls))
    resumed, _ = lab.run(variant, 0.001, 1)
    for name in ("train_error", "test_error", "running_error", "loss"):
        assert resumed["curve"][name] == whole["curve"][name], name
    assert resumed["nine_views"] == whole["nine_views"]
    assert lab.run(variant, 0.001, 1)[0] == resumed  # and costs nothing the third time
    (kept,) = (tmp_path / "parts").glob("*.json")
    write_json(kept, {k: v for k, v in resumed.items() if k not in ("shifted", "nine_views")})
    assert lab.run(variant, 0.001, 1)[0] == resumed  # killed before the last measurements
    assert read_json(kept) == resumed


def test_images_of_all_classes_are_shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test images may lie in the order of their classes, as in a folder that was imported."""
    order = TEST.labels.argsort()
    shifted_pixels: list[torch.Tensor] = []

    def spy(model: nn.Module, pixels: torch.Tensor, prepare: object) -> dict[str, float]:
        shifted_pixels.append(pixels)
        return {}

    monkeypatch.setattr(ablations, "shift_sensitivity", spy)
    monkeypatch.setattr(ablations, "SHIFTED_IMAGES", 50)
    study = tiny("pooling")
    Laboratory(study, TRAIN, TEST.subset(order), None).run(study.variants[0], 0.001, 1)
    labels = {p.numpy().tobytes(): int(y) for p, y in zip(TEST.pixels, TEST.labels, strict=True)}
    assert len({labels[p.numpy().tobytes()] for p in shifted_pixels[0]}) == 10


def test_rate_falls_at_the_drops(tmp_path: Path) -> None:
    rates: list[float] = []
    study = tiny("pooling", epochs=3, drops=(1.0, 2.0))
    lab = Laboratory(study, TRAIN, TEST, None)
    real = torch.optim.SGD.step

    def step(self: Any, *rest: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return real(self, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", step)
        lab.run(study.variants[0], 0.001, 1)
    assert rates == pytest.approx([0.001] * 4 + [0.0001] * 4 + [0.00001] * 4)


def test_shifted_images_repeat_their_edge() -> None:
    image = torch.arange(9).reshape(1, 1, 3, 3)
    assert shifted(image, 1, 0)[0, 0].tolist() == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    assert shifted(image, 0, -1)[0, 0].tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]


def test_sensitivity_counts_changed_predictions() -> None:
    class LeftHalf(nn.Module):
        """Class 1 if the left half is brighter than the right one."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            left = x[:, :, :, :4].mean((1, 2, 3)) - x[:, :, :, 4:].mean((1, 2, 3))
            return torch.stack([torch.zeros_like(left), left], 1)

    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    images[0, :, :, 3] = 200  # moves to the right half by one pixel to the right: 1 move of 4 matters
    images[1, :, :, 1] = 200  # no move matters
    found = shift_sensitivity(LeftHalf(), images, lambda b: b.float(), shifts=(1,))
    assert found == {"1": 0.25 * 0.5}


# --- the search, the record -------------------------------------------------------------------


def pretend(errors: Mapping[float, float], diverged: tuple[float, ...] = ()) -> Any:
    def run(rate: float) -> dict[str, Any]:
        status = "diverged" if rate in diverged else "limit"
        return {"rate": rate, "status": status, "curve": {"test_error": [0.9, errors.get(rate, 0.9)]}}

    return run


def test_the_search_ends_with_a_worse_rate_on_either_side() -> None:
    study = STUDIES["pooling"]
    tried = search(study, study.variants[0], pretend({0.002: 0.4, 0.005: 0.3, 0.01: 0.35, 0.001: 0.5}))
    assert [r["rate"] for r in tried] == [0.002, 0.005, 0.01]
    assert best_rate(tried) == 0.005


def test_a_diverged_rate_is_never_best() -> None:
    study = STUDIES["pooling"]
    tried = search(study, study.variants[0], pretend({0.002: 0.4, 0.005: 0.1, 0.001: 0.5}, (0.005,)))
    assert best_rate(tried) == 0.002


def test_a_study_becomes_a_record(tmp_path: Path) -> None:
    study = tiny("pooling", search_epochs=0.25)
    lab = Laboratory(study, TRAIN, TEST, tmp_path / "runs")
    said: list[str] = []
    record(lab, workers=2, say=said.append)
    finished = {line.split(" at ")[0] for line in said if "finished" in line}
    assert finished == {"finished pooling z2", "finished pooling z3"}
    made = assemble(study, tmp_path / "runs", lab.fingerprint)
    write_json(tmp_path / "pooling.json", made)
    read = load_record(tmp_path / "pooling.json", "pooling")
    assert [c["variant"] for c in read["cells"]] == ["z2", "z3"]
    cell = find_cell(read, "z3")
    assert [r["seed"] for r in cell["runs"]] == [1, 2]
    assert len(last(cell)) == 2
    assert all(0 <= x <= 1 for run in cell["runs"] for x in run["shifted"].values())
    assert {t["rate"] for t in cell["search"]} >= {cell["rate"]}
    assert "89,578" in table(read)
    assert "2 seeds" not in origin(read)
    assert study.title == read["title"]


def test_a_record_takes_whole_variants_alone(tmp_path: Path) -> None:
    study = tiny("pooling")
    lab = Laboratory(study, TRAIN, TEST, tmp_path)
    run_variant(lab, study.variants[0])
    lab.run(study.variants[1], study.variants[1].start_rate, 1)  # one of two seeds
    assert [c["variant"] for c in assemble(study, tmp_path, lab.fingerprint)["cells"]] == ["z2"]
    with pytest.raises(ValueError, match="holds no whole variant of the study 'norms'"):
        assemble(STUDIES["norms"], tmp_path, lab.fingerprint)


def test_variants_are_compared_at_one_rate(tmp_path: Path) -> None:
    """The searched rate alone says nothing about a part whose best rate differs."""
    study = tiny("pooling")
    chosen = {"z2": 0.002, "z3": 0.001}
    variants = tuple(replace(v, start_rate=chosen[v.name], more_rates=(0.001, 0.002)) for v in study.variants)
    study = replace(study, variants=variants)
    lab = Laboratory(study, TRAIN, TEST, tmp_path)
    record(lab, say=lambda _: None)
    made = assemble(study, tmp_path, lab.fingerprint)
    assert shared_rates(made) == {0.001: ["z2", "z3"], 0.002: ["z2", "z3"]}
    for cell in made["cells"]:
        assert cell["rate"] == chosen[cell["variant"]]
        assert {run["rate"] for run in cell["runs"]} == {cell["rate"]}
        (more,) = cell["more"]
        assert {run["rate"] for run in more["runs"]} == {more["rate"]} == {0.001, 0.002} - {cell["rate"]}
        assert [run["seed"] for run in more["runs"]] == [1, 2]
        assert all("provenance" not in run for run in more["runs"])
    assert [run["rate"] for run in find_cell(made, "z2", 0.001)["runs"]] == [0.001, 0.001]
    some = next(tmp_path.glob("pooling-z2-run-0.001-seed2-*.json"))
    write_json(some, read_json(some) | {"shifted_commit": "later"})
    commits = assemble(study, tmp_path, lab.fingerprint)["provenance"]["commits"]
    assert len(commits) == 2
    assert "later" in commits
    some.unlink()
    (cell, _) = assemble(study, tmp_path, lab.fingerprint)["cells"]
    assert cell["more"] == []  # a seed is missing


def test_the_gap_at_one_rate() -> None:
    made = made_of(a=[0.30, 0.32], b=[0.20, 0.22])
    for cell, rate, other in zip(made["cells"], (0.1, 0.2), (0.24, 0.21), strict=True):
        runs = [{"curve": {"test_error": [other], "train_error": [other]}}] * 2
        cell.update(
            rate=rate, title=cell["variant"], more=[{"rate": {0.1: 0.2, 0.2: 0.1}[rate], "runs": runs}]
        )
    assert gap(made, "a", "b").value == pytest.approx(10)
    assert gap(at_rate(made, 0.1), "a", "b").value == pytest.approx(10)  # a's own, b's other
    assert gap(at_rate(made, 0.2), "a", "b").value == pytest.approx(3)
    lines = table_by_rate(made, "b").splitlines()
    assert [line[:9].split() for line in lines[2:]] == [
        ["0.1", "*a"],
        ["0.1", "b"],
        ["0.2", "a"],
        ["0.2", "*b"],
    ]
    assert lines[2].endswith(interval(gap(at_rate(made, 0.1), "a", "b")))
    with pytest.raises(ValueError, match=r"'a' was not run at the learning rate 0.5; it was at 0.1, 0.2"):
        find_cell(made, "a", 0.5)
    with pytest.raises(ValueError, match=r"share the learning rate 0.5; shared rates: 0.1, 0.2"):
        at_rate(made, 0.5)


def test_a_live_run_gives_a_network_for_each_variant() -> None:
    lab = Laboratory(STUDIES["pooling"], TRAIN, TEST, None)
    found = run_live(lab, {"z2": 0.001, "z3": 0.001}, 1, batch_size=50)
    assert list(found) == ["z2", "z3"]
    for run, network in found.values():
        assert run["curve"]["epoch"] == [1.0]
        assert network(lab.prepare(TEST.pixels[:2])).shape == (2, 10)


def test_a_live_run_of_a_study_at_one_rate_keeps_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the study's rate never falls, it does not in a live run either; else at three quarters."""
    seen: dict[str, tuple[float, ...]] = {}
    real = ablations.Laboratory.config

    def spy(self: Laboratory, variant: Any, *rest: Any, **options: Any) -> Any:
        config = real(self, variant, *rest, **options)
        seen[f"{self.study.name} {variant.name}"] = config.drops
        return config

    monkeypatch.setattr(ablations.Laboratory, "config", spy)
    for name, variant in (("start", "ones"), ("schedule", "constant"), ("decay", "0")):
        run_live(Laboratory(STUDIES[name], TRAIN, TEST, None), {variant: 0.001}, 0.25, workers=1)
    assert seen == {"start ones": (), "schedule constant": (), "decay 0": (0.1875,)}


def test_where_a_record_comes_from_in_one_sentence() -> None:
    made = {
        "provenance": {
            "dates": ["2012-06-18"],
            "commits": ["abc"],
            "hardware": ["two cores"],
            "threads": [1],
            "torch": ["2"],
            "precision": ["float32"],
            "data": {"images": 45_000, "source": "CIFAR-10"},
        },
        "epochs": 10,
    }
    falls = "10 epochs of 45,000 images, ε / 10 after 8; data: CIFAR-10"
    assert origin({**made, "drops": [8.0]}).endswith(falls)
    assert origin({**made, "drops": []}).endswith("10 epochs of 45,000 images; data: CIFAR-10")


# --- reading ------------------------------------------------------------------------------------


def made_of(**errors: list[float]) -> dict[str, Any]:
    cells = [
        {
            "variant": name,
            "rate": 0.01,
            "runs": [{"curve": {"test_error": [1.0, e], "train_error": [1.0, e / 2]}} for e in es],
        }
        for name, es in errors.items()
    ]
    return {"cells": cells}


def test_the_gap_is_welchs_interval() -> None:
    """Welch (1947) by hand: 2 and 3 points of variance/n = 1/3 each, 4 degrees of freedom."""
    found = gap(made_of(a=[0.30, 0.31, 0.32], b=[0.20, 0.21, 0.22]), "a", "b")
    assert found.value == pytest.approx(10.0)
    assert found.high == pytest.approx(10 + 2.776 * (2 / 3) ** 0.5, rel=1e-3)
    assert gap(made_of(a=[0.3], b=[0.2]), "a", "b").low is None
    assert gap(made_of(a=[0.3, 0.3], b=[0.2, 0.2]), "a", "b").low == pytest.approx(10.0)
    assert last({"runs": made_of(a=[0.3])["cells"][0]["runs"]}, "gap") == [0.15]


def test_seed_by_seed_what_the_seed_does_to_both_cancels() -> None:
    """Differences of 1, 1 and 1.3 points: by hand, with two degrees of freedom."""
    made = made_of(a=[0.30, 0.40, 0.503], b=[0.29, 0.39, 0.49])
    for cell in made["cells"]:
        for seed, run in enumerate(cell["runs"], start=1):
            run["seed"] = seed
    found = paired_gap(made, "a", "b")
    assert found.value == pytest.approx(1.1)
    assert found.high == pytest.approx(1.1 + 4.303 * 0.1, rel=1e-3)
    assert gap(made, "a", "b").high > 10  # where the seeds' scatter does not cancel
    made["cells"][1]["runs"][2]["seed"] = 7
    with pytest.raises(ValueError, match=r"'a' was run with the seeds \[1, 2, 3\] and 'b' with \[1, 2, 7\]"):
        paired_gap(made, "a", "b")


def test_a_study_whose_name_begins_like_anothers_keeps_its_own_runs(tmp_path: Path) -> None:
    short = Study("two", "two", STUDIES["pooling"].variants[:1], 1, (), seeds=1, search_epochs=0)
    longer = replace(short, name="two-long", epochs=2)
    rate = short.variants[0].start_rate
    for study in (short, longer):
        lab = Laboratory(study, TRAIN, TEST, tmp_path)
        lab.run(study.variants[0], rate, 1)
    for study in (short, longer):
        (cell,) = assemble(study, tmp_path, lab.fingerprint)["cells"]
        assert [run["curve"]["epoch"][-1] for run in cell["runs"]] == [study.epochs]


def test_spread_in_words() -> None:
    assert spread([0.25, 0.27]) == "26.00% ± 1.41"
    assert spread([0.25]) == "25.00%"


def test_a_record_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="git checkout data/results"):
        load_record(tmp_path / "pooling.json", "pooling")
    write_json(tmp_path / "pooling.json", {"experiment": "norms"})
    with pytest.raises(ValueError, match="is not a record of 'pooling'"):
        load_record(tmp_path / "pooling.json", "pooling")
    (tmp_path / "pooling.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        load_record(tmp_path / "pooling.json", "pooling")
    with pytest.raises(ValueError, match="holds nothing about 'z9'; it holds a"):
        find_cell(made_of(a=[0.1]), "z9")
