"""Rules of the house that no linter knows: sizes, floors, clocks, terminals."""

import ast
import re
import tomllib
from pathlib import Path

TOP = Path(__file__).parent.parent
MODULES = sorted((TOP / "tau_stage").rglob("*.py"))


def test_every_dependency_has_a_floor() -> None:
    """It is what CI installs at its oldest end."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    assert [each for each in wanted if not re.fullmatch(r"[\w.-]+(\[\w+\])?(>=|==)[\w.]+(; .+)?", each)] == []


CLOCKS = {"time", "monotonic", "perf_counter", "process_time", "thread_time", "getrusage", "times", "default_timer"}
"""Of ``time``, ``os``, ``resource`` and ``timeit``; ``_ns`` or not."""

MEASURING = {"batch_workers.py", "benchmarks", "campaign.py", "fuzz.py", "hour.py", "linear.py", "suite_time.py"}
"""They print how long something took; nothing depends on it."""


MAY_READ = re.compile(rf"\b(?:time|os|resource|timeit)(?:\.(?:{'|'.join(CLOCKS)})| import)")


def clocks_read(code: str) -> list[int]:
    """The lines that read how late it is, or how long a processor has worked."""
    lines = []
    for node in ast.walk(ast.parse(code)) if MAY_READ.search(code) else ():
        match node:
            case ast.Attribute(value=ast.Name(id="time" | "os" | "resource" | "timeit"), attr=name):
                names = [name]
            case ast.ImportFrom(module="time" | "os" | "resource" | "timeit"):
                names = [alias.name for alias in node.names]
            case _:
                continue
        lines += [node.lineno for name in names if name.removesuffix("_ns") in CLOCKS]
    return lines


def test_no_test_reads_a_clock() -> None:
    """A busy machine is slow: what must not take long is counted in steps, and what must end has its time limit."""
    tests = [path for path in sorted((TOP / "tests").rglob("*.py")) if not MEASURING & set(path.parts)]
    assert [f"{path}:{line}" for path in tests for line in clocks_read(path.read_text())] == []
    for read in ("time.monotonic()", "from time import sleep, perf_counter_ns", "x = os.times"):
        assert clocks_read(f"\n{read}") == [2]
    assert clocks_read("import time\ntime.sleep(1)\nos.environ") == []


def test_only_one_module_makes_a_terminal() -> None:
    """It makes printable what is shown; another draws plain text for it. Ruff refuses ``print`` elsewhere."""
    makers = [path for path in MODULES if "import Console\n" in path.read_text() or "Console(" in path.read_text()]
    assert [path.name for path in makers] == ["printing.py", "tables.py"]
