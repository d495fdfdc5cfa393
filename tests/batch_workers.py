"""Show what a second process is worth to a batch: ``python -m tests.batch_workers [--scenes 64] [--rounds 2]``.

The understudy, in each worker, makes every word anew. One worker and two take their turns, each from its command to its
exit code. Where other programs use the cores, only the seconds of processors tell anything.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

LINES = 4
GOAL = 1.7

SCENE = """
limits: {{start_rate: 100/s}}
players: {{ann: {{voice: ash}}, bob: {{voice: sage}}}}
lines:
{lines}
"""

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2): who is left by its parent becomes a child of this process


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of the batch took: seconds until its exit code, and seconds of processors with all its processes."""

    wall_s: float
    cpu_s: float


def write_batch(home: Path, scenes: int) -> None:
    """Write scenes of which no two lines have the same words."""
    (home / "scenes").mkdir()
    for scene in range(scenes):
        says = "Scene {} has a line {}, and it says what it has to say."
        lines = (f"  - {'ann' if line % 2 else 'bob'}: {says.format(scene, line)}" for line in range(LINES))
        (home / "scenes" / f"scene-{scene:03d}.yaml").write_text(SCENE.format(lines="\n".join(lines)))


def perform(home: Path, workers: int, number: int) -> Run:
    """Perform all of it, with nothing that was made before.

    Raises:
        CalledProcessError: A job was not done.
    """
    (home / "batch.yaml").write_text(f"scenes: [scenes/*.yaml]\nstore: out-{number}\n")
    left = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    left |= {"XDG_CACHE_HOME": str(home / f"cache-{number}")}
    began, before = time.monotonic(), os.times()
    command = [sys.executable, "-m", "tau_stage", "batch", "run", "batch.yaml", "--quiet", "--workers", str(workers)]
    subprocess.run(command, cwd=home, env=left, check=True)
    wall_s = time.monotonic() - began
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(wall_s, cpu_s)


def main() -> int:
    """Print each run, and how much sooner two workers end than one; 1 where that is less than wanted."""
    words = argparse.ArgumentParser(prog="python -m tests.batch_workers", description=__doc__.partition(":")[0])
    words.add_argument("--scenes", type=int, default=192, help=f"of {LINES} lines each (192)")
    words.add_argument("--rounds", type=int, default=2, help="how often both take their turns (2)")
    given = words.parse_args()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    runs: dict[int, list[Run]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="tau-stage-workers-") as folder:
        write_batch(Path(folder), given.scenes)
        for number in range(2 * given.rounds):
            workers = 1 + number % 2
            run = perform(Path(folder), workers, number)
            runs[workers].append(run)
            sys.stdout.write(f"--workers {workers}: {run.wall_s:.1f} s, {run.cpu_s:.1f} s of processors\n")
            sys.stdout.flush()
    one, two = (median(run.wall_s for run in runs[workers]) for workers in (1, 2))
    sys.stdout.write(f"2 workers end {one / two:.2f} times as soon as 1 (at least {GOAL})\n")
    return one / two < GOAL


if __name__ == "__main__":
    sys.exit(main())
