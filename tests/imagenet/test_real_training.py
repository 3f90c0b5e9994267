"""The whole way on real photographs: prepared, trained by two processes, judged."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from alexnet_edu.cli import main
from alexnet_edu.imagenet import checkpoint as checkpoints
from alexnet_edu.imagenet import log as run_log

IMAGES = Path(os.environ.get("ALEXNET_EDU_REAL_IMAGES", "nowhere")) / "tiny-imagenet-20.zip"
CLASSES, TRAIN, VAL = 4, 120, 25  # of 20 classes with 200 and 50 images each
SETTINGS = ("--narrow", "8", "--batch-size", "16", "--rate", "0.01", "--schedule", "constant")
SETTINGS += ("--device", "cpu", "--precision", "float32", "--log-every", "5", "--rehearsal-steps", "5")
EPOCHS = 4
TIMEOUT_S = 600

pytestmark = [
    pytest.mark.real_images,
    pytest.mark.slow,
    pytest.mark.skipif(not IMAGES.exists(), reason="ALEXNET_EDU_REAL_IMAGES names no folder with the images"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared by the command, from the layout that ImageNet has."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("prepared")
    with zipfile.ZipFile(IMAGES) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".JPEG"))
        classes = sorted({name.split("/")[1] for name in names})[:CLASSES]
        for split, most in (("train", TRAIN), ("val", VAL)):
            for wnid in classes:
                own = [n for n in names if n.startswith(f"{split}/{wnid}/")][:most]
                for name in own:
                    path = source / split / wnid / Path(name).name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.read(name))
    assert main(["data", "imagenet", "--from", str(source), "--to", str(target), "--workers", "1"]) == 0
    assert main(["data", "imagenet", "--to", str(target), "--verify"]) == 0
    return target


@pytest.mark.parametrize("parallel", ["columns", "data"])
def test_it_learns_and_is_judged(
    data: Path, tmp_path: Path, parallel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, "-m", "alexnet_edu.cli", "train", "--parallel", parallel, *SETTINGS]
    command += ["--data", str(data), "--folder", str(tmp_path), "--epochs", str(EPOCHS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, text=True, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ten patches: validation error" in done.stdout

    rows = run_log.read(tmp_path / run_log.METRICS)
    losses = [row["loss"] for row in rows if row["kind"] == "step"]
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 0.2  # chance is ln 4 = 1.39
    evaluations = [row for row in rows if row["kind"] == "evaluation"]
    assert [row["epoch"] for row in evaluations] == list(range(1, EPOCHS + 1))
    assert min(row["top1"] for row in evaluations) < 0.70  # chance is 0.75

    best = str(tmp_path / checkpoints.BEST)
    assert main(["evaluate", best, "--data", str(data), "--patches", "10", "--device", "cpu"]) == 0
    assert "one network, 10 patches: top-1 error" in capsys.readouterr().out
