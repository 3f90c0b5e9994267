"""Whether a record is still what its study asks for, as it is defined now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from alexnet_edu.studies import ensemble_record, ensembles, figure1, retrieval, specialization
from alexnet_edu.studies.ablations import STUDIES
from alexnet_edu.studies.record import Record
from alexnet_edu.studies.study import Study, settings_of


def changed(record: Record) -> str:
    """Which settings have changed and which runs are missing, in words; "" where the record is current.

    A network that was redefined under its old name goes unnoticed, and so do times and other measurements
    that have no settings.
    """
    name = record.experiment
    studies = STUDIES | {figure1.STUDY.name: figure1.STUDY}
    if name in studies:
        return _settings(settings_of(studies[name]), record.settings) or _runs(_wanted(studies[name]), record)
    if name == specialization.EXPERIMENT:
        return _runs({c.name: c.seeds for c in specialization.conditions().values()}, record)
    plans: dict[str, Any] = {
        ensemble_record.EXPERIMENT: ensembles.Plan(),
        retrieval.EXPERIMENT: retrieval.Plan(),
    }
    if name in plans:
        plan = {key: value for key, value in asdict(plans[name]).items() if key != "codes"}
        return _settings(plan, record.settings.get("plan", {}))
    return ""


def _wanted(study: Study) -> dict[str, int]:
    return {variant.name: variant.seeds or study.seeds for variant in study.variants}


def _settings(wanted: Mapping[str, Any], have: Mapping[str, Any]) -> str:
    different = [
        f"{key} was {have.get(key)}, is {value}"
        for key, value in json.loads(json.dumps(dict(wanted))).items()
        if have.get(key) != value
    ]
    return "; ".join(different)


def _runs(wanted: Mapping[str, int], record: Record) -> str:
    """Which variants have fewer runs at their own rate than the study asks for."""
    runs = record.runs[record.runs["chosen"]] if "chosen" in record.runs else record.runs
    have = Counter(runs["variant"])
    few = [f"{name} has {have[name]} of {count} runs" for name, count in wanted.items() if have[name] < count]
    return "; ".join(few)
