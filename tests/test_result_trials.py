"""The networks of §6 in small: which images each sees, what it starts from, and that it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from alexnet_edu.data.images import ImageSet
from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.files import write_json
from alexnet_edu.model.architecture import count
from alexnet_edu.studies import ensembles as result_study
from alexnet_edu.studies import result_records
from alexnet_edu.studies.ablations import build
from alexnet_edu.studies.result_trials import (
    KINDS,
    NotTrained,
    Plan,
    Task,
    Trials,
    columns_net,
    member_tasks,
    of_classes,
    problem_tasks,
    split,
    take_over,
)

TINY = Plan(
    networks=2, epochs=1, problems=1, few=4, source_epochs=1, few_epochs=1, plain=2, starred=1, rate=0.01
)
RATES = {"plain": 0.01, "sixth": 0.02, "starred": 0.005}


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return synthetic_images(200, 60)


@pytest.fixture(scope="module")
def recorded(images: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Trials:
    """A whole study of a tiny plan, kept in a folder of its own."""
    trials = Trials(TINY, images, tmp_path_factory.mktemp("runs"))
    result_study.record(trials, say=lambda _: None)
    return trials


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
    assert len({tuple(split(p)[0]) for p in range(7)}) == 7


def test_images_of_some_classes_are_numbered_anew(images: ImageSet) -> None:
    found = of_classes(images.test, [7, 2])
    assert found.classes == (images.test.classes[7], images.test.classes[2])
    first = (images.test.labels == 7).nonzero().squeeze(1)
    assert torch.equal(found.pixels[found.labels == 0], images.test.pixels[first])
    assert len(found) == int(((images.test.labels == 7) | (images.test.labels == 2)).sum())


def test_few_images_are_the_same_for_all_networks_of_a_problem_and_apart_from_the_judge(
    images: ImageSet,
) -> None:
    trials = Trials(TINY, images, None)
    tasks = result_study.tasks_of(trials, 1, RATES)
    few = [trials.trained_on(tasks[kind][0]) for kind in ("plain", "sixth", "long", "starred")]
    assert all(torch.equal(one.pixels, few[0].pixels) for one in few)
    assert few[0].labels.bincount().tolist() == [TINY.few] * 5
    searching = Task("x", 1, 0.01, 1, problem=1, searching=True)
    held_out = {x.numpy().tobytes() for x in trials.judged_on(searching).pixels}
    assert not held_out & {x.numpy().tobytes() for x in few[0].pixels}
    source = tasks["source"][0]
    assert set(trials.trained_on(source).classes).isdisjoint(few[0].classes)
    assert trials.judged_on(source).classes == trials.trained_on(source).classes


def test_the_longer_run_takes_as_many_steps_as_both_parts_of_the_pre_trained_one() -> None:
    plan = Plan()
    tasks = problem_tasks(plan, 2, RATES, 25_000, 2_500)
    assert {kind: len(group) for kind, group in tasks.items()} == {
        "source": 2, "plain": 5, "sixth": 1, "long": 1, "starred": 2, "starred-long": 1
    }  # fmt: skip
    long, star = tasks["long"][0], tasks["starred"][0]
    assert star.after is not None
    assert long.epochs * 2_500 == star.epochs * 2_500 + star.after.epochs * 25_000
    again = tasks["starred-long"][0]
    assert (again.epochs, again.rate, again.after) == (long.epochs, star.rate, star.after)
    assert (long.rate, star.rate, star.after.rate) == (RATES["sixth"], RATES["starred"], plan.rate)
    seeds = [task.seed for group in tasks.values() for task in group]
    assert len({t.seed for t in tasks["source"]} & {t.seed for k in KINDS for t in tasks[k]}) == 0
    assert min(seeds) > max(task.seed for task in member_tasks(plan))


def test_all_weights_but_the_classifiers_are_taken_over() -> None:
    before, model = (build(columns_net(True), 24, 5, seed) for seed in (1, 2))
    drawn = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    take_over(before, model)
    for name, tensor in model.state_dict().items():
        kept = drawn if name.startswith("stages.fc6.") else before.state_dict()
        assert torch.equal(tensor, kept[name]), name


def test_fine_tuning_starts_where_pre_training_ended(images: ImageSet, tmp_path: Path) -> None:
    trials = Trials(TINY, images, tmp_path)
    source = Task("source", 5, 0.01, 1, True, 1, True)
    _, before = trials.trained(source)
    still = Task("still", 6, 1e-12, 1, True, 1, after=source)
    _, after = trials.trained(still)
    assert torch.allclose(after.state_dict()["stages.conv1.weights.weight"], _first(before), atol=1e-6)


def _first(model: torch.nn.Module) -> torch.Tensor:
    return model.state_dict()["stages.conv1.weights.weight"]


def test_a_study_is_taken_up_where_it_was_left(recorded: Trials) -> None:
    assert recorded.runs_dir is not None
    before = {path: path.stat().st_mtime_ns for path in recorded.runs_dir.iterdir()}
    result_study.record(recorded, say=lambda _: None)
    assert {path: path.stat().st_mtime_ns for path in recorded.runs_dir.iterdir()} == before


def test_the_record_holds_conditions_and_numbers(recorded: Trials, tmp_path: Path) -> None:
    record = result_study.assemble(recorded, result_study.kept(recorded))
    assert record["plan"]["few"] == TINY.few
    assert record["parameters"] == {"plain": 628_234, "sixth": 665_162}
    assert set(record["search"]) == set(KINDS)
    assert [run["seed"] for run in record["members"]["runs"]] == [1, 2]
    (problem,) = record["problems"]
    assert sorted(problem["source"] + problem["target"]) == sorted(recorded.images.train.classes)
    assert {kind: len(runs) for kind, runs in problem["runs"].items()} == {
        "source": 1, "plain": 2, "sixth": 1, "long": 1, "starred": 1, "starred-long": 1
    }  # fmt: skip
    assert problem["runs"]["starred"][0]["rate"] == result_study.best(record["search"]["starred"])
    assert all(0 <= error <= 1 for error in problem["mixed"]["ten"]["2+1"])
    assert record["provenance"]["data"]["synthetic"]
    write_json(tmp_path / "results.json", record)
    assert result_records.load_record(tmp_path / "results.json")["plan"] == record["plan"]


def test_what_is_not_kept_is_told_and_not_trained(images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(NotTrained, match=r"problem0-plain-search-0\.005 is not in .*experiment results"):
        result_study.kept(Trials(TINY, images, tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_live_run_keeps_nothing_and_gives_the_same_kind_of_record(images: ImageSet) -> None:
    plan = Plan(
        networks=2, epochs=1, problems=1, few=2, source_epochs=1, few_epochs=1, plain=1, starred=1, rate=0.01
    )
    record, outcomes = result_study.run_live(Trials(plan, images, None), RATES)
    assert outcomes["member-2"].probabilities.shape == (10, len(images.test), 10)
    assert record["search"] == {}
    assert record["problems"][0]["runs"]["source"][0]["images"] == len(images.train) // 2
    assert len(record["members"]["patches"]["ten"]) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [({"networks": 1}, "at least 2 networks, got networks=1"), ({"few": 0}, "few must be at least 1, got 0")],
)
def test_plans_without_anything_to_compare_are_refused(change: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Plan(**change)


def test_a_stopped_study_says_so(images: ImageSet, tmp_path: Path) -> None:
    trials = Trials(TINY, images, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        trials.outcome(member_tasks(TINY)[0], stop=lambda: True)
    assert not list(tmp_path.glob("*.json"))
