"""The study of §6: which images each network sees, what it starts from, and the numbers that come out."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.model.architecture import count
from alexnet_edu.studies import ensemble_numbers as numbers
from alexnet_edu.studies import ensemble_record as results
from alexnet_edu.studies import ensembles
from alexnet_edu.studies.engine import NotTrained, Runs
from alexnet_edu.studies.ensembles import Plan, columns_net, member_runs, problem_runs, split
from alexnet_edu.studies.record import Record, load, write
from alexnet_edu.training.predictions import average, top_errors
from tests.results_sample import sample_record

TINY = Plan(networks=2, epochs=1, problems=1, few=4, source_epochs=1, few_epochs=1, plain=2, rate=0.01)
TINY = replace(TINY, starred=1)
RATES = {"plain": 0.01, "sixth": 0.02, "starred": 0.005}
IMAGES = synthetic_images(200, 60)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A whole study of a tiny plan, kept in a folder of its own."""
    runs = Runs(IMAGES, tmp_path_factory.mktemp("runs"))
    ensembles.train(TINY, runs, workers=2, say=lambda _: None)
    return runs


# --- the runs -------------------------------------------------------------------------------------


def test_the_network_has_two_columns_that_meet_where_the_paper_says() -> None:
    plain, sixth = columns_net(False), columns_net(True)
    assert [plain.groups(layer) for layer in plain.layers] == [1, 2, 1, 1, 1, 1]
    assert [layer.name for layer in sixth.layers] == ["conv1", "conv2", "conv3", "conv6", "fc4", "fc5", "fc6"]
    totals = [sum(size.parameters for size in count(table)) for table in (plain, sixth)]
    assert totals == [628_234, 628_234 + 64 * 64 * 9 + 64]


def test_splits_come_in_pairs_and_cover_all_classes() -> None:
    for problem in (1, 3, 5):
        source, target = split(problem)
        assert sorted(source + target) == list(range(10))
        assert split(problem + 1) == (target, source)
    assert len({split(p)[0] for p in range(7)}) == 7


def test_few_images_are_the_same_for_all_networks_of_a_problem_and_apart_from_the_judge() -> None:
    runs = Runs(IMAGES, None)
    kinds = problem_runs(TINY, 1, RATES, IMAGES)
    few = [runs.setting(kinds[kind][0]) for kind in ("plain", "sixth", "long", "starred")]
    assert all(torch.equal(one.train.pixels, few[0].train.pixels) for one in few)
    assert few[0].train.labels.bincount().tolist() == [TINY.few] * 5
    held_out, trained_on = ({x.numpy().tobytes() for x in i.pixels} for i in (few[0].held_out, few[0].train))
    assert not held_out & trained_on
    source = runs.setting(kinds["source"][0])
    assert set(source.train.classes).isdisjoint(few[0].train.classes)
    assert source.judged.classes == source.train.classes
    assert len(source.train) == 100


def test_the_longer_run_takes_as_many_steps_as_both_parts_of_the_pre_trained_one() -> None:
    plan, many = Plan(few=5, plain=3), synthetic_images(500, 10)
    kinds = problem_runs(plan, 2, RATES, many)
    counts = {"source": 2, "plain": 3, "sixth": 1, "long": 1, "starred": 2, "starred-long": 1}
    assert {kind: len(group) for kind, group in kinds.items()} == counts
    long, star, again = (kinds[kind][0] for kind in ("long", "starred", "starred-long"))
    assert star.after is not None
    assert long.epochs * 25 == pytest.approx(star.epochs * 25 + star.after.epochs * 250)
    assert (again.epochs, again.after) == (long.epochs, star.after)
    rates = [run.config.learning_rate for run in (long, star, again, star.after)]
    assert rates == [RATES["sixth"], RATES["starred"], RATES["starred"], plan.rate]
    seeds = {kind: {run.config.seed for run in group} for kind, group in kinds.items()}
    assert not seeds["source"] & (seeds["plain"] | seeds["starred"])
    assert min(set().union(*seeds.values())) > max(run.config.seed for run in member_runs(plan))


# --- trained and recorded -------------------------------------------------------------------------


def test_a_study_costs_nothing_the_second_time(recorded: Runs) -> None:
    before = {path: path.stat().st_mtime_ns for path in recorded.folder.iterdir()}
    ensembles.train(TINY, recorded, workers=1, say=lambda _: None)
    assert {path: path.stat().st_mtime_ns for path in recorded.folder.iterdir()} == before


def test_the_record_holds_conditions_and_numbers(recorded: Runs, tmp_path: Path) -> None:
    write(ensembles.assemble(TINY, recorded), tmp_path / "results.json")
    record = load("results", tmp_path)
    assert record.settings["parameters"] == {"plain": 628_234, "sixth": 665_162}
    assert list(record.of(variant="member").runs["seed"]) == [1, 2]
    (problem,) = record.settings["problems"]
    assert sorted(problem["source"] + problem["target"]) == sorted(IMAGES.train.classes)
    counts = record.of(problem=1).runs["variant"].value_counts().to_dict()
    assert counts == {"source": 1, "plain": 2, "sixth": 1, "long": 1, "starred": 1, "starred-long": 1}
    searches = record.tables["searches"]
    best = searches[searches["variant"] == "starred"].sort_values("held_out_error")["rate"].iloc[0]
    assert record.of(variant="starred").runs["rate"].tolist() == [best]
    assert all(0 <= error <= 1 for error in results.mixed_errors(record, 2, 1)[0])
    assert record.is_synthetic


def test_what_is_not_kept_is_told_and_not_trained(tmp_path: Path) -> None:
    with pytest.raises(NotTrained, match=r"problem0-plain-search-0\.005"):
        ensembles.assemble(TINY, Runs(IMAGES, tmp_path))
    assert not list(tmp_path.iterdir())


# --- predictions as numbers -----------------------------------------------------------------------


def predictions(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(*shape, generator=generator, dtype=torch.float64)).softmax(-1)


LABELS = torch.arange(40) % 5


def test_views_are_the_patches_of_the_paper_in_their_order() -> None:
    assert numbers.VIEWS["centre and its reflection"] == (2, 7)
    networks = predictions(3, 10, 40, 5)
    assert torch.equal(numbers.viewed(networks, "centre"), networks[:, 2])
    torch.testing.assert_close(numbers.viewed(networks, "ten"), networks.mean(1))


def test_every_subset_is_there_once() -> None:
    networks = predictions(5, 40, 5)
    rows = numbers.subsets(networks, LABELS)
    sizes = [row["size"] for row in rows]
    assert [sizes.count(k) for k in range(1, 6)] == [math.comb(5, k) for k in range(1, 6)]
    chosen = list(itertools.combinations(range(5), 2)).index((1, 3))
    expected = (networks[[1, 3]].mean(0).argmax(1) != LABELS).double().mean().item()
    assert rows[5 + chosen]["error"] == pytest.approx(expected)


def test_averaged_logits_are_the_geometric_mean() -> None:
    logits = torch.randn(4, 40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shifted = logits + torch.randn(4, 40, 1, dtype=torch.float64)  # a shift of all logits changes nothing
    torch.testing.assert_close(numbers.logits_averaged(shifted.softmax(2)), logits.mean(0).softmax(1))


def test_an_average_can_be_right_where_every_member_is_wrong() -> None:
    members = torch.tensor([[[0.45, 0.50, 0.05]], [[0.45, 0.05, 0.50]]])
    gain = numbers.gain(members.expand(2, 3, 3), torch.tensor([0, 0, 1]))
    expected = {"rescued": 2 / 3, "lost": 0, "members": (1 + 1 + 0.5) / 3, "average": 1 / 3}
    assert {name: gain[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert gain["average_loss"] < gain["members_loss"]


def test_the_standard_error_is_that_of_the_difference() -> None:
    networks = predictions(3, 40, 5)
    each = torch.stack([top_errors(p, LABELS, 1) for p in networks]).mean(0)
    difference = top_errors(average(networks), LABELS, 1) - each
    gain = numbers.gain(networks, LABELS)
    assert gain["standard_error"] == pytest.approx(difference.std().item() / 40**0.5, abs=1e-6)
    assert gain["average"] - gain["members"] == pytest.approx(difference.mean().item(), abs=2e-6)


def test_agreement_of_the_same_and_of_strangers() -> None:
    assert numbers.agreement(predictions(1, 40, 5).expand(3, 40, 5)) == 1
    assert numbers.agreement(predictions(6, 40, 5)) < 0.5


def test_searched_coefficients_are_no_worse_where_they_were_searched() -> None:
    halves = numbers.searched_weights(predictions(3, 40, 5), LABELS)
    assert len(halves) == 2
    assert all(half["searched_here"] <= half["equal_here"] for half in halves)
    assert halves[0]["equal_here"] == halves[1]["equal_there"]
    assert numbers.searched_weights(predictions(3, 40, 5), LABELS) == halves


def test_differences_are_of_the_same_images() -> None:
    kinds = {n: predictions(k, 40, 5, seed=k) for n, k in (("plain", 3), ("starred", 2), ("sixth", 1))}
    rows = {(r["name"], r["baseline"]): r for r in numbers.differences(kinds, LABELS)}
    assert len(rows) == 5 * 4  # of three kinds, five and seven
    five = top_errors(average(kinds["plain"]), LABELS, 1)
    change = five - torch.stack([top_errors(p, LABELS, 1) for p in kinds["plain"]]).mean(0)
    row = rows["five", "plain"]
    assert row["difference"] == pytest.approx(change.mean().item(), abs=1e-6)
    assert row["standard_error"] == pytest.approx(change.std().item() / 40**0.5, abs=1e-6)
    assert rows["plain", "five"]["difference"] == -row["difference"]


# --- the record read ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record() -> Record:
    return sample_record(images=100)


def test_parts_of_a_record_agree(record: Record) -> None:
    ten = results.view_errors(record, "ten")
    assert ten == results.subset_errors(record, 1)
    assert len(results.subset_errors(record, 5)) == math.comb(10, 5)
    assert results.view_gap(record, "ten").value == pytest.approx(
        100 * (sum(ten) - sum(results.view_errors(record, "centre"))) / 10
    )
    group = results.groups(record, "ten")[0]
    assert results.subset_errors(record, 5)[0] == group["average"]
    assert results.group_gaps(record)[0].value == pytest.approx(100 * (group["average"] - group["members"]))
    assert results.mixed_errors(record, 1, 0)[1] == results.network_errors(record, "plain", 2)
    assert results.row_errors(record, "1 CNN") == pytest.approx(results.kind_errors(record, "plain"))
    (gap, _), (back, _) = (results.gaps(record, *pair) for pair in (("five", "plain"), ("plain", "five")))
    assert (gap.value, gap.low) == pytest.approx((-back.value, -back.high))  # type: ignore[operator]
