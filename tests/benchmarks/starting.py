"""Programs as a user starts them: CPU of verbs, a whole run, and scenes a minute."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp

from tests.benchmarks.bench import LIMIT, OURS, TOP, Bench, Measured
from tests.benchmarks.table import Figure, Row

HELLO = str(TOP / "scenes" / "hello.yaml")
VERBS = {"--help": ["--help"], "validate": ["validate", HELLO], "plan": ["plan", HELLO]}
SCENES_AT_ONCE = 8


def start(bench: Bench) -> Measured:
    """Measure each verb, and beside it a Python that does nothing."""

    def work() -> dict[str, list[float]]:
        found = {}
        for verb, words in VERBS.items():
            found[verb] = [1e3 * bench.program(*words).cpu_s for _ in range(bench.size(5, 1))]
        return found

    def limit() -> dict[str, list[float]]:
        nothing = [1e3 * bench.run([sys.executable, "-c", "pass"]).cpu_s for _ in range(bench.size(5, 1))]
        return dict.fromkeys(VERBS, nothing)

    for words in VERBS.values():
        bench.program(*words)  # its modules are compiled
    return bench.in_turn({LIMIT: limit, OURS: work})


def run(bench: Bench) -> Measured:
    """Measure the first thing that a user runs, from its start to its end."""

    def work() -> dict[str, list[float]]:
        cost = bench.program("run", HELLO, "--quiet", "--out", mkdtemp(dir=bench.folder))
        return {"wall clock": [cost.wall_s], "CPU": [cost.cpu_s]}

    if not bench.is_tiny:
        work()
    return bench.in_turn({OURS: work})


def throughput(bench: Bench) -> Measured:
    """Measure how long a run of several scenes takes."""
    text = (TOP / "scenes" / ("hello.yaml" if bench.is_tiny else "umbrella.yaml")).read_text("utf-8")
    title = next(line for line in text.splitlines() if line.startswith("scene:"))
    files = []
    for number in range(count := bench.size(SCENES_AT_ONCE, 1)):
        files.append(Path(bench.folder) / f"scene-{number}.yaml")
        files[-1].write_text(text.replace(title, f"scene: Scene {number}"), "utf-8")

    def work() -> dict[str, list[float]]:
        found = {}
        for jobs in (1, 4):
            words = ("--jobs", str(jobs), "--quiet", "--out", mkdtemp(dir=bench.folder))
            cost = bench.program("run", *map(str, files), *words)
            found[f"--jobs {jobs}"] = [60 * count / cost.wall_s]
        return found

    return bench.in_turn({OURS: work}, rounds=2)


START = {
    "start": Row(
        start,
        {verb: Figure("ms CPU", at_most=goal) for verb, goal in zip(VERBS, (100, 150, 250), strict=True)},
    ),
    "run": Row(run, {"wall clock": Figure("s", at_most=1.5), "CPU": Figure("s")}),
}
SCENES = {
    "scenes": Row(
        throughput,
        {"--jobs 1": Figure("a minute", at_least=100), "--jobs 4": Figure("a minute", at_least=180)},
    ),
}
