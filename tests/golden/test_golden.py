"""Golden values: what the package said and computed, down to the bits of trained weights, kept in JSON files.

They are compared with what it says and computes now. Weights, and what is computed with them, are compared
exactly on a processor and with libraries like those that the files were made with (`environment.json`), and
to a thousandth elsewhere. Where a value is meant to change, write the files anew, from the repository's root:

    python tests/golden/test_golden.py --write [NAME …]
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch import distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a script has only its own folder

from alexnet_edu.data.synthetic import synthetic_images
from alexnet_edu.environment import results_dir, weights_dir
from alexnet_edu.studies.networks import SHIPPED, load_weights
from alexnet_edu.studies.specialization import KERNELS_FILE, load_kernels
from tests import imagenet_files
from tests.explorers import follow, of_networks, of_numbers

HERE = Path(__file__).resolve().parent
Found = dict[str, Any]
FAMILIES: dict[str, Callable[[], Found]] = {}  # name of the file -> what makes its value
ROUNDED: set[str] = set()  # families whose last digits depend on the processor


def golden(make: Callable[[], Found]) -> Callable[[], Found]:
    """Registers a function as the one that makes the file of its name."""
    FAMILIES[make.__name__] = make
    return make


def rounded(make: Callable[[], Found]) -> Callable[[], Found]:
    """The same, where the last digits depend on the processor."""
    ROUNDED.add(make.__name__)
    return golden(make)


def tensor(value: Tensor) -> str:
    """Digest of the float32 bytes, sum, and sum of the absolute values."""
    flat = value.detach().float().contiguous().flatten()
    digest = hashlib.sha256(flat.numpy().tobytes()).hexdigest()[:16]
    return f"tensor {digest} {flat.double().sum().item():.6g} {flat.double().abs().sum().item():.6g}"


def tensors(values: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: tensor(value) for name, value in sorted(values.items())}


def trained(weights: Mapping[str, Tensor], losses: list[float]) -> Found:
    return {"losses": losses, **tensors(weights)}


# --- what is said ----------------------------------------------------------------------------


@golden
def claims() -> Found:
    from alexnet_edu.ledger.table import CLAIMS, verdict

    rows = {claim.id: verdict([claim.id]).rows[0] for claim in CLAIMS}
    more = {c.id: {"check": list(c.check), "notebook": c.notebook, "how": c.how} for c in CLAIMS}
    return {name: asdict(row) | more[name] for name, row in rows.items()}


@golden
def exercises() -> Found:
    from alexnet_edu.exercises.check import EXERCISES

    return {name: len(exercise.hints) for name, exercise in EXERCISES.items()}


def shown(**explorers: Any) -> Found:
    """What widgets say at their defaults, and where their controls start; then each control is moved."""
    found = {}
    for name, explorer in explorers.items():
        assert explorer.error is None, explorer.error
        controls = {key: f"{c.description}: {c.value}" for key, c in explorer.controls.items()}
        found[name] = {"alt": explorer.alt, "controls": controls}
        follow(explorer)
    return found


@golden
def explorers() -> Found:
    """Those that show arithmetic and recorded values, and the dashboard of a training."""
    from alexnet_edu.imagenet.log import METRICS
    from alexnet_edu.lessons.runbook import dashboard

    judged: dict[str, Any] = {"top1": 0.75, "top5": 0.25, "loss": 2.1, "images": 12, "patches": 1}
    step = {"top1": 0.9, "top5": 0.5, "loss": 2.2, "rate": 0.01, "images_per_s": 30.0, "waited": 0.1}
    rows: list[dict[str, Any]] = [
        {"kind": "start", "step": 0, "steps": 8, "classes": 10, "steps_per_epoch": 4},
        *({"kind": "step", "step": i, "epoch": i / 4, "memory": [2**30], **step} for i in (2, 4, 6, 8)),
        *({"kind": "evaluation", "step": i, "epoch": i / 4, **judged} for i in (4, 8)),
        {"kind": "stop", "step": 8, "status": "finished"},
    ]
    with TemporaryDirectory() as parent:
        (folder := Path(parent) / "run").mkdir()  # its name stands in the picture
        lines = [json.dumps({**row, "time": 1.0 + i}) + "\n" for i, row in enumerate(rows)]
        (folder / METRICS).write_text("".join(lines))
        training = dashboard(folder, note="synthetic stand-in, not ImageNet")
        training.close()
    return shown(**of_numbers(), dashboard=training)


@rounded
def explorers_of_networks() -> Found:
    return shown(**of_networks())


# --- what is trained: five steps or so, in more than one epoch -------------------------------


@rounded
def weights_figure1() -> Found:
    from alexnet_edu.studies.engine import Runs
    from alexnet_edu.studies.figure1 import STUDY

    found = {}
    with TemporaryDirectory() as folder:
        runs = Runs(synthetic_images(90, 20), Path(folder))
        for variant in STUDY.variants:
            run = STUDY.run(variant, variant.start_rate, 1, epochs=1.5, precision="float32", batch_size=32)
            result = runs.train(run)
            kept = load_file(runs.path(run).with_suffix(".safetensors"))  # velocities, too
            found[variant.name] = trained(kept, result.column("loss"))
    return found


@rounded
def weights_studies() -> Found:
    """Every variant of every study: norms, pooling, columns, augmentation, dropout, the paper's rule."""
    from alexnet_edu.studies.ablations import STUDIES
    from alexnet_edu.studies.engine import Runs

    runs, found = Runs(synthetic_images(48, 12), None), {}
    for study in STUDIES.values():
        for variant in study.variants:
            run = study.run(variant, variant.start_rate, 1, epochs=1.5, batch_size=16)
            result = runs.train(run)
            found[f"{study.name} {variant.name}"] = trained(
                result.network.state_dict(), result.column("loss")
            )
    return found


@rounded
def weights_results() -> Found:
    """§6: members, networks from scratch, pre-trained and fine-tuned ones; and their ten patches."""
    from alexnet_edu.studies.engine import Runs
    from alexnet_edu.studies.ensembles import SEARCHED, Plan, all_runs

    plan = Plan(networks=2, epochs=2, problems=1, few=5, source_epochs=3, few_epochs=3, plain=2, starred=1)
    images, found = synthetic_images(160, 30), {}
    runs = Runs(images, None)
    for run in all_runs(plan, dict.fromkeys(SEARCHED, 0.02), images):
        result = runs.train(run)
        said = result.ends["probabilities"]
        weights = result.network.state_dict() | {"said": said}
        found[run.name.removeprefix("results-")] = trained(weights, result.column("loss"))
    return found


@rounded
def weights_kernels() -> Found:
    """Kernels over the training, codes of images, and the clinic's networks."""
    from alexnet_edu.model.architecture import CONNECTIONS, kernel_net
    from alexnet_edu.studies import clinic
    from alexnet_edu.studies.codes import CodeSettings, train_coder
    from alexnet_edu.studies.engine import Runs
    from alexnet_edu.studies.shipped import RECIPES, kernel_run, seeded, train_with_snapshots

    images = synthetic_images(200, 20)
    recipes = {name: kernel_run(name, kernel_net(name, kernels=16), 0.01, 2.5) for name in CONNECTIONS}
    old = kernel_net(norm=True, start="2012", kernels=16)
    recipes["2012"] = kernel_run("2012", old, 0.005, 2.5, inputs="raw")
    for name, recipe in RECIPES.items():
        recipes[name] = replace(recipe, epochs=2, config=replace(recipe.config, drops=(1,)))
    found = {}
    for name, recipe in recipes.items():
        made = train_with_snapshots(Runs(images, None), seeded(recipe, 1), (1, 3))
        snapshots = {f"look {step}": kernels for step, kernels in made.snapshots.items()}
        found[name] = trained(made.result.network.state_dict() | snapshots, [])
    vectors = images.train.pixels.flatten(1).float()
    coder = train_coder(vectors, CodeSettings(bits=16, hidden=32, epochs=2, batch=50), 1)
    found["codes"] = trained({"projected": coder.project(coder.scale(vectors))}, [coder.error])
    batch = clinic.batch_of(images.train)
    for setting in (clinic.Setting(), clinic.Setting("standardized", "he", "zeros", "adam")):
        model = clinic.build(setting, clinic.DIVISOR)
        losses = clinic.train(model, batch.scaled(setting.inputs), batch.labels, setting.rule, 3)
        found[f"clinic {setting.rule}"] = trained(model.state_dict(), losses)
    return found


@contextmanager
def prepared_folder() -> Iterator[Path]:
    """ImageNet in small, prepared: 12 training images of three classes, 6 for validation."""
    from alexnet_edu.imagenet.prepare import prepare

    with TemporaryDirectory() as name:
        source, target = Path(name) / "source", Path(name) / "prepared"
        imagenet_files.write_folders(source, imagenet_files.training(), imagenet_files.validation())
        prepare(source, target, workers=1, progress=False, shard_images=5, say=lambda _: None)
        yield target


@rounded
def prepared() -> Found:
    with prepared_folder() as folder:
        statistics = load_file(folder / "statistics.safetensors")
        files = [(p.name, p.read_bytes()) for p in sorted(folder.glob("*.safetensors"))]
        stored = {
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files},
            "statistics": tensors(statistics),
            "colours": {k: v.tolist() for k, v in statistics.items() if v.numel() < 10},
        }
    return {"jpeg": stored}


@rounded
def weights_imagenet() -> Found:
    """Six steps of each form that one process can do; two processes are compared with one elsewhere."""
    from alexnet_edu.imagenet import checkpoint as checkpoints
    from alexnet_edu.imagenet.distributed import Data, Single
    from alexnet_edu.imagenet.prepared import open_prepared
    from alexnet_edu.imagenet.recipe import Recipe, Running
    from alexnet_edu.imagenet.trainer import Training
    from alexnet_edu.model.architecture import CONV6, VARIANTS

    running = Running(precision="float32", workers=1, log_every=2, save_every=100)
    usual = Recipe(narrow=16, batch_size=5, epochs=2, rate=0.003, patience=1)
    recipes = {name: replace(usual, variant=name) for name in (*VARIANTS, CONV6)}
    recipes |= {
        "logged": replace(usual, variant="run145", schedule="run145", shared_crops=2),
        "data": usual,
        "fine-tuned": replace(usual, seed=1),
    }
    found: Found = {}
    with prepared_folder() as folder, TemporaryDirectory() as runs:
        images = open_prepared(folder)
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        try:
            for name, recipe in recipes.items():
                table, start = recipe.architecture(len(images.wnids)), None
                if name == "fine-tuned":
                    start, *_ = checkpoints.starting_weights(
                        checkpoints.path_of(Path(runs) / "paper", 6), table, 1
                    )
                group = (Data if name == "data" else Single)(table, torch.device("cpu"), recipe.seed)
                run = Path(runs) / name
                training = Training(recipe, images, group, run, running, start=start, say=lambda _: None)
                assert training.run() == "finished"
                kept = checkpoints.load(checkpoints.path_of(run, 6))
                found[name] = trained(kept.tensors, [each["loss"] for each in kept.state["evaluations"]])
        finally:
            dist.destroy_process_group()
    return found


# --- what is shipped and recorded --------------------------------------------------------------


@rounded
def shipped() -> Found:
    from alexnet_edu.studies.kernels import colour_share

    pixels, found = synthetic_images(10, 16, seed=5).test.pixels, {}
    for name in SHIPPED:
        network = load_weights(name)
        logits = network.outputs(pixels, network.layers[-1])
        found[name] = {
            "said": network.text(),
            "classes": logits.argmax(1).tolist(),
            "logits": logits[:3].flatten().tolist(),
            **tensors({"all logits": logits} | {f"look {s}": w for s, w in network.snapshots.items()}),
        }
    for condition, networks in load_kernels(weights_dir() / KERNELS_FILE).items():
        columns = [colour_share(kernels).chunk(2) for kernels in networks.values()]
        found[f"colour, {condition}"] = {"columns": [[c.mean().item() for c in pair] for pair in columns]}
    return found


@golden
def records() -> Found:
    """A digest of everything in each recorded study. What readers make of it stands in the claims."""
    found = {}
    for path in sorted(results_dir().glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        # 1.0 as 1: another format may not tell the two apart.
        text = json.dumps(plain(record, lambda x: int(x) if x == int(x) else f"{x:.10g}"), sort_keys=True)
        found[path.stem] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


# --- comparing -----------------------------------------------------------------------------------


def plain(value: Any, number: Callable[[float], Any] = lambda x: float(f"{x:.10g}")) -> Any:
    """As JSON has it. number: what is made of a float; ten digits of it by default."""
    if isinstance(value, Mapping):
        return {str(key): plain(each, number) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, number) for each in value]
    return number(value) if isinstance(value, float) else value


def environment() -> dict[str, Any]:
    """What the last digits of a computation depend on."""
    from alexnet_edu.environment import cpu_fact, cpu_model

    packages = ("torch", "numpy", "pillow", "simplejpeg", "torchvision")
    return {
        **{name: version(name) for name in packages},
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processor": f"{platform.machine()}, {cpu_model()}",
        "family": " ".join(cpu_fact(name) for name in ("cpu family", "model\t", "stepping")),
    }


@contextmanager
def settled() -> Iterator[None]:
    """One thread, and float32 wherever a study would choose bfloat16: it rounds by the processor."""
    from alexnet_edu import environment

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with mock.patch.object(environment, "has_fast_bfloat16", return_value=False):
            yield
    finally:
        torch.set_num_threads(threads)


def differences(found: Any, kept: Any, exact: bool, at: str = "") -> Iterator[str]:
    """Where two values differ, in words."""
    if isinstance(found, dict) and isinstance(kept, dict):
        if found.keys() != kept.keys():
            yield f"{at}: only then or only now {sorted(found.keys() ^ kept.keys())}"
        for key in kept:
            if key in found and (exact or key != "sha256"):
                yield from differences(found[key], kept[key], exact, f"{at}/{key}")
    elif isinstance(found, list) and isinstance(kept, list) and len(found) == len(kept):
        for place, pair in enumerate(zip(found, kept, strict=True)):
            yield from differences(*pair, exact, f"{at}/{place}")
    elif not _same(found, kept, exact):
        yield f"{at}: {found!r} was {kept!r}"


def _same(found: Any, kept: Any, exact: bool) -> bool:
    if isinstance(found, float) and isinstance(kept, float):
        return math.isclose(found, kept, rel_tol=1e-9 if exact else 1e-3, abs_tol=0.0 if exact else 1e-3)
    if exact or not (isinstance(found, str) and isinstance(kept, str)):
        return bool(found == kept)
    if kept.startswith("tensor "):
        pairs = zip(found.split()[2:], kept.split()[2:], strict=True)
        size = max(1.0, float(kept.split()[3]))  # biases are still near 0, and mostly rounding
        return all(abs(float(a) - float(b)) <= 1e-3 * size for a, b in pairs)
    return re.sub(r"[\d.,]+", "#", found) == re.sub(r"[\d.,]+", "#", kept)  # the words alone


def read(name: str) -> Found:
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FAMILIES)
def test_as_before(name: str) -> None:
    kept = read(name)
    with settled():
        made_like_this = read("environment") == environment()
        found = json.loads(json.dumps(plain(FAMILIES[name]())))
    wrong = list(differences(found, kept, made_like_this or name not in ROUNDED))
    assert not wrong, "\n".join([f"{len(wrong)} values of {name}.json are others now:", *wrong[:20]])


def write(names: list[str]) -> None:
    """Makes the files of these families, or of all and that of the environment if none is named."""
    with settled():
        if names and environment() != read("environment"):
            sys.exit("the other files were made on another machine, or by other versions: write all of them")
        values = {name: FAMILIES[name]() for name in names or FAMILIES} | {"environment": environment()}
    for name, value in values.items():
        text = json.dumps(plain(value), indent=1, ensure_ascii=False)
        text = re.sub(r"\[\n[^][{}]*\]", lambda m: re.sub(r"\n *", " ", m[0]), text)  # short lists in a line
        (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] != ["--write"]:
        sys.exit(__doc__)
    import matplotlib

    matplotlib.use("Agg")
    write(sys.argv[2:])
