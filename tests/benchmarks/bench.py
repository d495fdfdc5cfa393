"""What every benchmark stands on: processes for servers and contenders, and contenders that take turns."""

from __future__ import annotations

import json
import os
import pstats
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tests.benchmarks.processes import LoggedEvent, call
from tests.support.forked import ForkedPython

TOP = Path(__file__).parent.parent.parent
PATIENCE_S = 600
PROFILED = 40
"""Functions that a profile lists, by their own time and by that of all they call."""

OURS, LIMIT, OPENAI, NODE = "tau-stage", "limit", "openai", "node"
Measured = dict[str, dict[str, list[float]]]
"""Values by figure and contender."""


class Failed(Exception):
    """A contender has not done its work."""


class Cost(NamedTuple):
    """What a program took: seconds by the clock and of processors."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Server:
    """A server in another process.

    Attributes:
        port: Where it listens.
    """

    port: int
    _process: subprocess.Popen[str] | ForkedPython
    _errors: Path

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    @property
    def process(self) -> int:
        """Its process."""
        return self._process.pid

    def log(self) -> list[LoggedEvent]:
        """Return what it has logged since it was last asked."""
        return [LoggedEvent(*event) for event in self.ask("log")]

    def ask(self, order: str) -> Any:
        """Give it an order; return its answer.

        Raises:
            Failed: It has ended.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise Failed(_last_lines(self._errors.read_text()))
        return json.loads(answer)


@dataclass(frozen=True)
class Bench:
    """How benchmarks are run.

    Attributes:
        folder: Where they write.
        rounds: How often contenders take their turns.
        is_tiny: Whether each does as little as there is, in this process where it can: to see that it works.
        is_long: Whether what is scaled otherwise is done as it is.
        minutes: How long memory is watched where sessions go on and on.
        profiles: How the files begin that tell where each process of Python spends its time; None: there are none.
        problems: What has failed, by contender.
    """

    folder: Path
    rounds: int = 3
    is_tiny: bool = False
    is_long: bool = False
    minutes: float = 1.0
    profiles: Path | None = None
    problems: dict[str, str] = field(default_factory=dict)

    def size(self, usual: int, tiny: int) -> int:
        """Return how much is done."""
        return tiny if self.is_tiny else usual

    def in_turn(self, contenders: Mapping[str, Callable[[], Mapping[str, list[float]]]], rounds: int = 0) -> Measured:
        """Let each contender do its work in each round, and gather its values; one that fails is left out."""
        found: Measured = defaultdict(lambda: defaultdict(list))
        for _ in range(1 if self.is_tiny else min(rounds or self.rounds, self.rounds)):
            for name, work in contenders.items():
                if name in self.problems or (name == NODE and not node_folder()):
                    continue
                try:
                    values = work()
                except (Failed, subprocess.SubprocessError) as error:
                    self.problems[name] = str(error)
                    continue
                for figure, each in values.items():
                    found[figure][name] += each
        return {figure: dict(by_name) for figure, by_name in found.items()}

    def call(self, function: Callable[..., Any], *arguments: object, core: int | None = 1) -> Any:
        """Call a function in a process of its own, on another core than the servers; async ones run to their end.

        ``core`` is None where it may use all of them.

        Raises:
            Failed: It has not answered.
        """
        if self.is_tiny:
            return call(function, arguments)
        command = _command(function, *arguments, core=core)
        if not self.profiles:
            return self._answer(command)
        answer = self._answer([*command, str(self._stats)])
        self._write_profile(function.__name__)
        return answer

    def node(self, *arguments: object) -> Any:
        """Run the peer that is written for node.

        Raises:
            Failed: It has not answered.
        """
        return self._answer(["node", str(Path(__file__).with_name("node_peer.cjs")), *map(str, arguments)])

    def program(self, *words: str) -> Cost:
        """Run tau-stage as a user does, without a key.

        Raises:
            Failed: It has failed.
        """
        if self.is_tiny:
            return _run_here(words)
        if not self.profiles:
            return self.run([sys.executable, "-m", "tau_stage", *words])
        cost = self.run([sys.executable, "-m", "cProfile", "-o", str(self._stats), "-m", "tau_stage", *words])
        self._write_profile(words[0].strip("-"))
        return cost

    def run(self, command: list[str]) -> Cost:
        """Run a program to its end.

        Raises:
            Failed: It has failed.
        """
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            command, cwd=TOP, env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise Failed(f"{' '.join(command[1:4])}: {_last_lines(done.stderr or done.stdout)}")
        return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    @contextmanager
    def serving(self, function: Callable[..., Any], *arguments: object, core: int | None = 0) -> Iterator[Server]:
        """Run a server in a process of its own, on the first core; None: on all of them."""
        told = self.folder / f"{function.__name__}.txt"
        command = _command(function, *arguments, core=core)
        with told.open("w+") as errors, self._started(command, errors) as process:
            try:
                assert process.stdout
                port = process.stdout.readline()
                if not port:
                    raise Failed(f"{function.__name__}: {_last_lines(told.read_text())}")
                yield Server(json.loads(port), process, told)
            finally:
                process.kill()

    def _started(self, command: list[str], errors: TextIO) -> subprocess.Popen[str] | ForkedPython:
        if self.is_tiny:
            module = command.index("-m")
            return ForkedPython(*command[module:], cwd=TOP, env=environment(), stderr=errors.fileno())
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=TOP, env=environment(), stdin=pipe, stdout=pipe, stderr=errors, text=True)

    @property
    def _stats(self) -> Path:
        return self.folder / "profile.stats"

    def _write_profile(self, name: str) -> None:
        assert self.profiles
        with self.profiles.with_name(f"{self.profiles.name}-{name}.txt").open("w", encoding="utf-8") as text:
            stats = pstats.Stats(str(self._stats), stream=text)
            stats.sort_stats("tottime").print_stats(PROFILED)
            stats.sort_stats("cumtime").print_stats(PROFILED)

    def _answer(self, command: list[str]) -> Any:
        done = subprocess.run(
            command, cwd=TOP, env=environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        if done.returncode or not done.stdout.strip():
            raise Failed(_last_lines(done.stderr))
        return json.loads(done.stdout.strip().splitlines()[-1])


def _run_here(words: Sequence[str]) -> Cost:
    from tau_stage.cli.main import main

    try:
        main(words)
    except SystemExit as left:
        if left.code:
            raise Failed(f"{' '.join(words)}: exit {left.code}") from left
    return Cost(1, 1)


def _last_lines(told: str) -> str:
    return " / ".join(told.strip().splitlines()[-3:])


def _command(function: Callable[..., Any], *arguments: object, core: int | None) -> list[str]:
    named = f"{function.__module__}:{function.__name__}"
    told = "" if core is None else str(core)
    return [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.processes", told, named, json.dumps(arguments)]


@cache
def node_folder() -> str:
    """Return where node finds its package ``ws``; empty, if one of them is not installed."""
    try:
        command = ["node", "-p", "require.resolve('ws')"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def environment() -> dict[str, str]:
    """Return the environment of programs: without keys and the speech of other runs, with modules that are compiled."""
    left = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    left.pop("PYTHONDONTWRITEBYTECODE", None)
    left["XDG_CACHE_HOME"] = os.devnull
    return {"PYTHONPYCACHEPREFIX": str(TOP / ".pytest_cache" / "bytecode")} | left
