"""Runs style, types, tests and notebooks, and sums up.

    python tools/run_checks.py                  what a newcomer runs: all but the rare and slow tests
    python tools/run_checks.py all              with these: the browser, the fault campaigns, compilations
    python tools/run_checks.py lint types       some steps

A step that fails does not keep the next from running. The exit status is 0 if all passed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A process for each core; a file, and so a notebook, is never split between two of them.
PYTEST = ["pytest", "-q", "--nbval", "-n", "logical", "--dist", "loadfile"]
STEPS: dict[str, list[list[str]]] = {
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."]],
    "types": [["mypy"]],
    "tests": [[*PYTEST, "-m", "not slow and not browser", "tests/", "notebooks/"]],
    "all": [[*PYTEST, "tests/", "notebooks/"]],
}
USUAL = ("lint", "types", "tests")
NO_TESTS = 5  # pytest's exit status when it collected nothing


def run_step(commands: Sequence[Sequence[str]]) -> bool:
    """Runs the commands of one step; True if all of them succeeded."""
    passed = True
    for command in commands:
        print(f"\n$ {' '.join(command)}", flush=True)
        done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False)
        if done.returncode == NO_TESTS:
            print("Nothing was collected: that counts as a failure.", flush=True)
        passed = passed and done.returncode == 0
    return passed


def summary(results: dict[str, tuple[bool, float]]) -> str:
    """One line for each step: passed or FAILED, and its seconds."""
    lines = [
        f"  {'passed' if passed else 'FAILED'}  {name:10s} {seconds:6.0f} s"
        for name, (passed, seconds) in results.items()
    ]
    total = sum(seconds for _, seconds in results.values())
    failed = [name for name, (passed, _) in results.items() if not passed]
    verdict = f"FAILED: {', '.join(failed)}" if failed else "All passed"
    return "\n".join(["", *lines, f"{verdict} ({total:.0f} s)."])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the steps named, or the usual ones; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"any of {', '.join(STEPS)}")
    chosen = parser.parse_args(arguments).steps or list(USUAL)
    if unknown := [s for s in chosen if s not in STEPS]:
        parser.error(f"there is no step {unknown[0]!r}; choose from {', '.join(STEPS)}")
    results = {}
    for name in chosen:
        start = time.perf_counter()
        passed = run_step(STEPS[name])
        results[name] = (passed, time.perf_counter() - start)
    print(summary(results), flush=True)
    return 0 if all(passed for passed, _ in results.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
