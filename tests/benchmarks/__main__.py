"""Measure the table of performance: ``python -m tests.benchmarks [ROW...] [--rounds N] [--json FILE]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.bench import Bench
from tests.benchmarks.rows import ROWS, measured
from tests.benchmarks.table import HEAD, machine, write_json


def main(typed: Sequence[str] | None = None) -> None:
    """Print each row as soon as it is measured."""
    words = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.partition(":")[0])
    words.add_argument("rows", nargs="*", metavar="ROW", help=f"all, or some of: {', '.join(ROWS)}")
    words.add_argument("--rounds", type=int, default=3, help="how often contenders take their turns (3)")
    words.add_argument("--long", action="store_true", help="perform a whole hour, where a tenth is scaled otherwise")
    words.add_argument(
        "--minutes", type=float, default=1.0, help="how long memory is watched where sessions go on and on (1)"
    )
    words.add_argument("--json", type=Path, metavar="FILE", help="write all values here, too")
    words.add_argument(
        "--profile", type=Path, metavar="FOLDER", help="tell here where the time goes; the table is void"
    )
    given = words.parse_args(typed)
    if unknown := [name for name in given.rows if name not in ROWS]:
        words.error(f"there is no row {unknown[0]!r}: take some of {', '.join(ROWS)}")
    if given.profile:
        given.profile.mkdir(parents=True, exist_ok=True)
    about, results = machine(), []
    _say(", ".join(f"{name} {value}" for name, value in about.items()))
    _say(f"\n{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}")
    for name in given.rows or ROWS:
        with tempfile.TemporaryDirectory(prefix="tau-stage-bench-") as folder:
            profiles = given.profile / name if given.profile else None
            result = measured(
                name, Bench(Path(folder), given.rounds, is_long=given.long, minutes=given.minutes, profiles=profiles)
            )
        results.append(result)
        _say("\n".join(result.lines()))
        if given.json:
            write_json(given.json, about, results)
    for result in results:
        for who, problem in result.problems.items():
            _say(f"\n{result.name}: {who} failed: {problem}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
