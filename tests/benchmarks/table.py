"""The rows of the table: what each counts, what is wanted of it, and what came of it."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.benchmarks.bench import LIMIT, NODE, OPENAI, OURS, Bench, Measured, node_folder

HEAD = "| row | figure | unit | limit | openai | node | tau-stage | goal | reached | × limit |"


@dataclass(frozen=True)
class Figure:
    """One figure of a row.

    Attributes:
        unit: Of its values.
        at_most: What is wanted.
        at_least: What is wanted, where more is better.
        limit: What nothing can surpass, where it is known; else it is measured.
        share: Which of the values stands in the table: the median, or how many of them are not greater.
    """

    unit: str
    at_most: float | None = None
    at_least: float | None = None
    limit: float | None = None
    share: float = 0.5

    @property
    def goal(self) -> str:
        """What is wanted, in words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return "" if self.at_least is None else f"at least {self.at_least:g}"

    def is_reached(self, value: float) -> bool | None:
        """Tell whether a value is what is wanted; None, if nothing is."""
        if self.at_most is not None:
            return value <= self.at_most
        return None if self.at_least is None else value >= self.at_least

    def value(self, values: list[float]) -> float:
        """Return the value that stands in the table."""
        if self.share == 0.5:
            return statistics.median(values)
        return sorted(values)[min(len(values) - 1, int(self.share * len(values)))]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        measure: Gives the values of all figures.
        figures: By name.
    """

    measure: Callable[[Bench], Measured]
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class Result:
    """What came of a row.

    Attributes:
        name: Of the row.
        problems: What has failed, by contender.
    """

    name: str
    row: Row
    measured: Measured
    problems: Mapping[str, str]

    def lines(self) -> Iterator[str]:
        """Write the row's figures as lines of a table in Markdown."""
        for name, figure in self.row.figures.items():
            values = self.values(name)
            ours, limit = values.get(OURS), values.get(LIMIT)
            reached = None if ours is None else figure.is_reached(ours)
            cells = [
                self.name,
                name,
                figure.unit,
                _shown(limit),
                self._peer(OPENAI, values),
                self._peer(NODE, values),
                "failed" if ours is None else _shown(ours),
                figure.goal,
                "" if reached is None else "yes" if reached else "no",
                f"{ours / limit:.1f}" if ours is not None and limit else "",
            ]
            yield f"| {' | '.join(cells)} |"

    def values(self, name: str) -> dict[str, float]:
        """Return what stands in the table for a figure, by contender."""
        figure = self.row.figures[name]
        found = {who: figure.value(values) for who, values in self.measured.get(name, {}).items()}
        return found if figure.limit is None else {LIMIT: figure.limit} | found

    def data(self) -> dict[str, Any]:
        """Return everything that is known."""
        figures = {
            name: {
                "unit": figure.unit,
                "goal": figure.goal,
                "table": (values := self.values(name)),
                "reached": figure.is_reached(values[OURS]) if OURS in values else None,
                "values": self.measured.get(name, {}),
            }
            for name, figure in self.row.figures.items()
        }
        return {"figures": figures, "problems": dict(self.problems)}

    def _peer(self, who: str, values: Mapping[str, float]) -> str:
        if who in values:
            return _shown(values[who])
        if who in self.problems:
            return "failed"
        others = set().union(*self.measured.values()) if self.measured else set()
        return "not installed" if who == NODE and OPENAI in others and not node_folder() else ""


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def machine() -> dict[str, Any]:
    """Return where and when this is measured, and how busy the machine is."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [line.partition(":")[2].strip() for line in _lines(cpuinfo) if line.startswith("model name")]
    packages = ("tau-stage", "websockets", "openai", "anyio", "pydantic", "numpy", "hibari-tts")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "model": models[0] if models else platform.processor(),
        "load": os.getloadavg(),
        "python": sys.version.split()[0],
        "node": bool(node_folder()),
        "packages": {name: metadata.version(name) for name in packages},
    }


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def write_json(path: Path, about: Mapping[str, Any], results: list[Result]) -> None:
    """Write all figures, with every value."""
    rows = {result.name: result.data() for result in results}
    path.write_text(json.dumps({"machine": about, "rows": rows}, indent=2) + "\n", encoding="utf-8")
