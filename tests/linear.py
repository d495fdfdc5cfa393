"""Time and memory of every parser over hostile inputs: ``python -m tests.linear [NAME...]`` prints a table.

Sizes double from 10 KB to 1 MB. Each is read in a process of its own, and given up after ``PATIENCE_S`` of CPU time:
a busy machine changes nothing. The growth is the exponent of the last two sizes that took long enough to be measured: 1
is linear, 2 is quadratic.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tau_stage.errors import StageError
from tests.support.growing_inputs import SHAPES

SIZES = (10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 1_000_000)
PATIENCE_S = 20
MEASURED_S = 0.03
"""Below it, a time says more about the machine than about the parser."""

LINEAR = 1.3
MOST_MEMORY = 6_000_000_000


@dataclass(frozen=True)
class Run:
    """One parser on one input.

    Attributes:
        size: Of the input, in bytes.
        seconds: None where it was given up.
        megabytes: What it took at most beyond what was there before.
    """

    size: int
    seconds: float | None
    megabytes: float


def _read(name: str, size: int, to: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        parse = SHAPES[name](size, Path(folder))
        given = math.ceil(time.process_time()) + PATIENCE_S
        resource.setrlimit(resource.RLIMIT_CPU, (given, given))  # the kernel kills it then
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        try:
            parse()
        except StageError as error:
            _told(error)
        except MemoryError:
            return
        seconds = time.process_time() - began
        to.send((seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def _told(error: StageError) -> None:
    """Say an error, as the command line would."""
    for each in (error, *getattr(error, "also", ())):
        str(each)


def measure(name: str, size: int) -> Run:
    """Read one input in a process of its own."""
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_read, args=(name, size, theirs))
    process.start()
    theirs.close()
    try:
        seconds, megabytes = ours.recv()
    except EOFError:
        seconds, megabytes = None, 0.0
    process.kill()
    process.join()
    return Run(size, seconds, megabytes)


def runs(name: str) -> list[Run]:
    """A parser on all sizes, up to the first that it does not finish."""
    found: list[Run] = []
    for size in SIZES:
        found.append(measure(name, size))
        if found[-1].seconds is None:
            break
    return found


def exponent(found: list[Run], figure: Callable[[Run], float | None], least: float) -> float | None:
    """How a figure grows with the size: over the last factor of four in which it can be measured."""
    told = [(run.size, value) for run in found if (value := figure(run)) is not None and value >= least]
    if len(told) < 2:
        return None
    (first, low), (last, high) = told[max(-3, -len(told))], told[-1]
    return math.log(high / low) / math.log(last / first)


def _row(name: str, found: list[Run]) -> tuple[str, ...]:
    seconds = exponent(found, lambda run: run.seconds, MEASURED_S)
    memory = exponent(found, lambda run: run.megabytes, 16)
    done = [run for run in found if run.seconds is not None]
    last = done[-1] if done else found[-1]
    shown = [f"{1000 * run.seconds:.0f}" if run.seconds is not None else f">{1000 * PATIENCE_S:.0f}" for run in found]
    cells = [*shown, *[""] * (len(SIZES) - len(shown))]
    gave_up = found[-1].seconds is None
    grows = "too long" if gave_up else "-" if seconds is None else f"{seconds:.2f}"
    worse = gave_up or max(seconds or 0, memory or 0) > LINEAR
    return (
        name,
        *cells,
        grows,
        f"{last.megabytes:.0f}",
        "-" if memory is None else f"{memory:.2f}",
        "WORSE" if worse else "",
    )


def table(names: list[str]) -> Iterator[str]:
    """The rows of the table in Markdown: milliseconds by size, growth, megabytes of the last size, their growth."""
    head = ("parser: shape", *(f"{size // 1000} KB" for size in SIZES), "growth", "MB", "growth of MB", "")
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for name in names:
        yield f"| {' | '.join(_row(name, runs(name)))} |"


def main(wanted: list[str]) -> None:
    """Print the table of the shapes whose names hold one of the words given, or of all."""
    names = [name for name in SHAPES if not wanted or any(word in name for word in wanted)]
    for row in table(names):
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
