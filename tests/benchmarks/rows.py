"""All rows of the table, in its order."""

from __future__ import annotations

from collections.abc import Mapping

from tests.benchmarks import after, booth, dead_air, lines, loop, many_sessions, memory, receiving, speech, starting
from tests.benchmarks.bench import Bench
from tests.benchmarks.table import Result, Row

ROWS: Mapping[str, Row] = (
    lines.FAN_OUT
    | receiving.ROWS
    | lines.LINES
    | dead_air.ROWS
    | lines.ROUND_TRIPS
    | loop.ROWS
    | after.ROWS
    | starting.START
    | memory.ROWS
    | many_sessions.ROWS
    | booth.ROWS
    | starting.SCENES
    | speech.ROWS
)


def measured(name: str, bench: Bench) -> Result:
    """Measure one row."""
    return Result(name, ROWS[name], ROWS[name].measure(bench), bench.problems)
