"""The study of the columns as a record: what a reader finds is what was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from alexnet_edu.files import DataError
from alexnet_edu.studies import specialization
from alexnet_edu.studies import specialization_records as records
from alexnet_edu.studies.kernels import colour_share, compare_columns, pooled
from tests import kernels_sample


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    return kernels_sample.sample(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def record(made: tuple[dict[str, Any], Path]) -> dict[str, Any]:
    return made[0]


def test_a_reader_of_the_kernels_finds_the_numbers_of_the_record(made: tuple[dict[str, Any], Path]) -> None:
    record, path = made
    kernels = specialization.load_kernels(path)
    assert {name: list(each) for name, each in kernels.items()} == {"paper": [1, 2, 3], "joint": [1, 2, 3]}
    for name, each in kernels.items():
        for (seed, own), (first, second, p) in zip(
            each.items(), records.columns_of(record, name), strict=True
        ):
            assert own.shape == (8, 3, 5, 5)
            test = compare_columns(colour_share(own), seed=seed)
            assert (test.first, test.second, test.p) == pytest.approx((first, second, p), abs=1e-4)
        again = pooled([colour_share(own) for own in each.values()])
        assert records.pooled_test(record, name) == again


def test_energy_counts_in_its_own_measure(record: dict[str, Any]) -> None:
    alike, by_energy = (records.columns_of(record, "paper", m) for m in ("colour", "colour by energy"))
    assert alike != by_energy
    assert all(0 <= share <= 1 for first, second, _ in by_energy for share in (first, second))


def test_it_holds_the_looks_and_says_where_it_is_from(record: dict[str, Any]) -> None:
    part = records.condition(record, "joint")
    assert part["looks"] == [0, 1, 2, 4]
    assert len(part["pooled"]["colour"]) == 4
    assert records.pooled_test(record, "joint", look=0).networks == 3
    text = records.origin(record)
    assert "6 networks" in text
    assert "alexnet-edu experiment specialization" in text
    json.dumps(record)


def test_the_table_has_a_line_for_each_condition(record: dict[str, Any]) -> None:
    lines = records.table(record).splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["as in the paper", "nothing kept"]
    assert "by chance" in lines[0]
    assert all(line.endswith("/3") for line in lines[2:])


def test_all_measures_stand_in_one_table(record: dict[str, Any]) -> None:
    lines = records.measures_table(record).splitlines()
    assert lines[0].split("  ")[0] == "times chance (p)"
    assert lines[0].split()[-4:] == ["by", "energy", "hue", "frequency"]
    test = records.pooled_test(record, "joint", "frequency")
    assert lines[-1].endswith(f"{test.mean / test.chance:.2f} ({records.p_text(test.p, record['deals'])})")


def test_a_p_value_that_is_as_small_as_it_can_be_is_written_as_a_bound() -> None:
    assert records.p_text(1 / 4001, 4000) == "< 0.0005"
    assert records.p_text(0.0123, 4000) == "0.012"
    assert records.p_text(1.0, 4000) == "1"


def test_other_conditions_and_measures_are_refused_with_those_there_are(record: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'wide'; choose from paper, joint"):
        records.condition(record, "wide")
    with pytest.raises(
        ValueError, match="no measure 'shape'; there are colour, colour by energy, hue, frequency"
    ):
        records.pooled_test(record, "paper", "shape")


def test_a_study_that_was_cut_short_is_assembled_of_what_is_there(tmp_path: Path) -> None:
    chosen = kernels_sample.conditions(2)
    folder = tmp_path / "runs"
    specialization.run(chosen[0], kernels_sample.IMAGES, 2, folder)
    record = specialization.assemble(
        chosen, lambda _: kernels_sample.IMAGES, folder, tmp_path / "k.safetensors"
    )
    assert [part["name"] for part in record["conditions"]] == ["paper"]
    assert [run["seed"] for run in record["conditions"][0]["runs"]] == [2]


def test_nothing_finished_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no network of the study is finished"):
        specialization.assemble(
            kernels_sample.conditions(1), lambda _: kernels_sample.IMAGES, tmp_path, tmp_path / "k"
        )
    assert not (tmp_path / "k").exists()


def test_damaged_and_missing_kernels_are_told(made: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there are no kernels at .*git checkout"):
        specialization.load_kernels(tmp_path / "none.safetensors")
    whole = made[1].read_bytes()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="cut short"):
        specialization.load_kernels(broken)
    broken.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match="has changed since it was written"):
        specialization.load_kernels(broken)


def test_kernels_of_columns_that_divide_colour_are_found() -> None:
    """The whole chain on kernels that are as the paper says: one column grey, one in colour."""
    generator = torch.Generator().manual_seed(0)
    nets = []
    for _ in range(5):
        kernels = torch.randn(16, 3, 7, 7, generator=generator)
        kernels[:8] = kernels[:8].mean(1, keepdim=True) + 0.2 * kernels[:8]
        nets.append(kernels)
    found = pooled([specialization.measures(k)["colour"][0] for k in nets])
    assert found.clear == 5
    assert found.p < 0.001
    assert found.mean > found.high
