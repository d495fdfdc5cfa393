"""A campaign of batches: workers are killed while they perform, and nothing that was finished is performed again.

``python -m tests.batch_campaign --scenes 40 --workers 4 --every 2`` performs a batch on an understudy at the pace of
speech, and kills (SIGKILL) one of its workers every so many seconds, until the batch is done. Then it looks at what was
left, and at what the understudy was asked for. Figures are printed, and whatever is wrong.

``--engine`` says who performs it: ``workers``, ``dask`` (a cluster of this machine), ``scheduler`` (a cluster that is
there), or ``shards`` (plain processes, each with a part, which are started again when they are killed). A line that was
begun since the last kill is waited for before the next one, as a slow machine may finish none in that time.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from os import environ, kill
from pathlib import Path
from socket import create_connection, create_server

from tau_stage.take import fold, read_journal
from tau_stage.take import records as record
from tau_stage.understudy.server import Understudy, Visit
from tests.campaign import served
from tests.support.batches import Asked
from tests.support.processes import descendants, is_alive, until

LINES = 6
SESSIONS = 8
"""That a gate allows at once."""

PROGRAM = (sys.executable, "-m", "tau_stage")
HUNG_S = 1800
OVER_BUDGET = 4
MILLION = 1_000_000

SCENE = """
limits: {{start_rate: 100/s}}
players: {{ann: {{voice: ash}}, bob: {{voice: sage}}}}
lines:
{lines}
"""


def write_scenes(home: Path, number: int) -> None:
    """Scenes of which no two lines have the same words."""
    (home / "scenes").mkdir()
    for scene in range(number):
        lines = (f"  - {'ann' if line % 2 else 'bob'}: Scene {scene} has a line {line}." for line in range(LINES))
        (home / "scenes" / f"scene-{scene:03d}.yaml").write_text(SCENE.format(lines="\n".join(lines)))
    (home / "batch.yaml").write_text("scenes: [scenes/*.yaml]\n")


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to nobody: else a client may dial itself."""
    while True:
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), create_server(("127.0.0.1", port)):
            return port


Start = Callable[[Sequence[str]], "subprocess.Popen[bytes]"]


class CampaignGate:
    """A gate in a process of its own, which is killed and started again at its port."""

    def __init__(self, start: Start, budget: Decimal | None) -> None:
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._start = start
        self.budget = budget
        self._seen = 0
        self.process = self._started()

    def was_seen_twice(self) -> bool:
        """Look whether it listens; tell whether it did before, too: a slow machine takes a while to start it."""
        with suppress(OSError), create_connection(("127.0.0.1", self._port), 1.0):
            self._seen += 1
        return self._seen > 1

    def kill(self) -> None:
        """Kill it, and start it again."""
        self._seen = 0
        self.process.kill()
        self.process.wait()
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        words = ("gate", "--port", str(self._port), "--sessions", str(SESSIONS), "--state", "gate.json")
        limit = () if self.budget is None else ("--budget", f"${self.budget}")
        return self._start([*PROGRAM, *words, *limit])


def is_tracker(pid: int) -> bool:
    """Whether a process only looks after what others leave behind, as Python starts one."""
    with suppress(OSError):
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return True


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """How many spans of time lie over one another at most."""
    changes = sorted([(end, -1) for _, end in spans] + [(begin, 1) for begin, _ in spans])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def crowding(visits: Sequence[Visit], figures: Counter[str]) -> Iterator[str]:
    """What is wrong with how many openings were under way at once, and how many sessions."""
    ended = [(visit, visit.closed_at) for visit in visits if visit.closed_at is not None]
    openings = most_at_once([(visit.opened_at, visit.ready_at or closed) for visit, closed in ended])
    crowd = most_at_once([(visit.opened_at, closed) for visit, closed in ended])
    figures["openings at once"], figures["sessions at once"], figures["openings"] = openings, crowd, len(visits)
    if openings > 1:
        yield f"{openings} openings were under way at once"
    if crowd > SESSIONS:
        yield f"{crowd} sessions were open at once"


@dataclass
class BatchCampaign:
    """One batch whose workers are killed.

    Attributes:
        home: A folder of its own.
        url: Of the understudy.
        options: Of ``tau-stage batch run``.
        every_s: Seconds between two kills.
        most: Kills in all.
        gate_every_s: Seconds between two kills of a gate of their own; 0: the batch has one inside.
        shards: Plain processes, each with a part of the batch, instead of one command for all.
        cluster: Processes whose workers perform it.
        budget: Of the gate, at first: when it is spent, the batch goes on without one.
        begun: Tells how many lines were begun so far: after each kill, another one is waited for.
        figures: What has happened.
    """

    home: Path
    url: str
    options: tuple[str, ...]
    every_s: float
    most: int = 1_000
    gate_every_s: float = 0.0
    seed: int = 1
    shards: int = 0
    cluster: Sequence[int] = ()
    budget: Decimal | None = None
    begun: Callable[[], int] | None = None
    figures: Counter[str] = field(default_factory=Counter)
    _workers: set[int] = field(default_factory=set)

    def run(self) -> None:
        """Perform the batch to its end, and kill workers and gates meanwhile."""
        left = {name: value for name, value in environ.items() if not name.endswith("_API_KEY")}
        left |= {"TAU_STAGE_GATE_TOKEN": "open sesame"}
        with (self.home / "log.txt").open("wb") as log:

            def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
                return subprocess.Popen(command, cwd=self.home, env=left, stdout=log, stderr=log)

            gate = CampaignGate(start, self.budget) if self.gate_every_s or self.budget is not None else None
            try:
                code = self._perform(start, gate)
                if gate and code == OVER_BUDGET and gate.budget is not None:
                    self.figures["millionths spent of the budget"] = int(self.spent() * MILLION)
                    self.figures["millionths over it"] = int((self.spent() - gate.budget) * MILLION)
                    gate.budget = None
                    gate.kill()
                    code = self._perform(start, gate)
            finally:
                if gate:
                    gate.process.kill()
                    gate.process.wait()
        self.figures["exit code"] = code

    def _perform(self, start: Start, gate: CampaignGate | None) -> int:
        """Run all commands to their ends; the worst of their exit codes."""
        common = ["--endpoint", self.url, *self.options, *(["--gate", gate.address] if gate else [])]
        parts = [["--shard", f"{part}/{self.shards}"] for part in range(1, self.shards + 1)] or [[]]
        commands = [[*PROGRAM, "batch", "run", "batch.yaml", *common, *part] for part in parts]
        running = [*map(start, commands)]
        try:
            while self.figures["waits"] * self.every_s < HUNG_S:
                self._wait(running)
                if all(process.returncode is not None and process.returncode >= 0 for process in running):
                    break
                for number, process in enumerate(running):
                    if process.returncode is not None and process.returncode < 0:
                        running[number] = start(commands[number])
                self._kill(running, gate)
        finally:
            for process in running:
                process.kill()
                process.wait()
        return max(process.returncode for process in running)

    def _wait(self, running: Sequence[subprocess.Popen[bytes]]) -> None:
        """Wait for the next kill, or until all commands have ended."""
        self.figures["waits"] += 1
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.every_s / len(running))

    def _kill(self, running: Sequence[subprocess.Popen[bytes]], gate: CampaignGate | None) -> None:
        past_s = self.figures["waits"] * self.every_s
        is_due = self.gate_every_s and past_s // self.gate_every_s > self.figures["gates killed"]
        if gate and gate.was_seen_twice() and is_due:
            gate.kill()
            self.figures["gates killed"] += 1
        victims = self._victims(running)
        begun = self.begun() if self.begun else self.figures["waits"]
        if victims and self.figures["killed"] < self.most and begun > self.figures["begun"]:
            with suppress(ProcessLookupError):
                kill(random.Random(f"{self.seed} {self.figures['waits']}").choice(victims), signal.SIGKILL)
                self.figures["killed"] += 1
            self.figures["begun"] = begun

    def _victims(self, running: Sequence[subprocess.Popen[bytes]]) -> list[int]:
        """Whoever performs, and who forks workers."""
        if self.shards:
            return [process.pid for process in running if process.poll() is None]
        roots = self.cluster or [process.pid for process in running]
        found = {each for root in roots for each in descendants(root) if not is_tracker(each)}
        self._workers |= found  # they work on when who has forked them is killed, and are nobody's descendants
        return sorted(each for each in self._workers if is_alive(each))

    def overrun(self, lines: int) -> Iterator[str]:
        """What is wrong with what was spent of a budget: more is too much than so many lines, which were under way."""
        if self.budget is None:
            return
        self.figures["millionths in all"] = int(self.spent() * MILLION)
        if "millionths over it" not in self.figures:
            yield "the budget was never spent"
        dearest = self.spent() / (self.figures["scenes"] * LINES) * 3
        if self.figures["millionths over it"] > dearest * lines * MILLION:
            yield f"the budget was overrun by {self.figures['millionths over it']} millionths of a dollar"

    def spent(self) -> Decimal:
        """What all takes have cost, as far as it is written down."""
        journals = map(read_journal, (self.home / "out" / "takes").rglob("2*/journal.jsonl"))
        return sum((fold(journal).cost.known for journal in journals if journal), Decimal(0))  # one may not have begun

    def problems(self, asked: Counter[str]) -> Iterator[str]:
        """What is wrong with what was left, and with what the understudy was asked for."""
        if self.figures["exit code"]:
            yield f"exit code {self.figures['exit code']}: {(self.home / 'log.txt').read_text()[-2000:]}"
        scenes = [path.stem for path in sorted((self.home / "scenes").glob("*.yaml"))]
        for scene in scenes:
            result = self.home / "out" / "jobs" / "scenes" / f"{scene}.json"
            told = json.loads(result.read_bytes()) if result.exists() else {}
            if (told.get("state"), told.get("lines")) != ("done", LINES):
                yield f"{scene} is {told.get('state')}, with {told.get('lines')} lines"
            yield from self._repeated(scene, asked)
        self.figures["scenes"] = len(scenes)
        self.figures["asked"] = sum(asked.values())
        if left := [*(self.home / "out" / "claims").rglob("*.json")]:
            yield f"claims are left: {left}"

    def _repeated(self, scene: str, asked: Counter[str]) -> Iterator[str]:
        """Lines that were performed again though they were finished, or asked for more often than is written down."""
        spoken, cut, words = Counter[str](), Counter[str](), dict[str, str]()
        for journal in (self.home / "out" / "takes" / "scenes" / scene).glob("2*/journal.jsonl"):
            for fact in read_journal(journal):
                if isinstance(fact, record.LineSpoken):
                    spoken[fact.line] += not fact.former
                    words[fact.line] = fact.asked
                elif isinstance(fact, record.LineAgain):
                    cut[fact.line] += 1
        for line, times in spoken.items():
            if times != 1:
                yield f"{scene}: {line} was finished {times} times"
            if asked[words[line]] > 1 + cut[line]:
                yield f"{scene}: {line} was asked for {asked[words[line]]} times, and cut {cut[line]} times"
            self.figures["cut"] += cut[line]


@contextmanager
def cluster(folder: Path, workers: int, threads: int) -> Iterator[tuple[str, list[int]]]:
    """A scheduler of Dask and workers, as a cluster has them; its address, and the process that keeps the workers."""
    left = {name: value for name, value in environ.items() if not name.endswith("_API_KEY")}
    file = folder / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    serving = [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file]
    working = [*dask, "worker", "--scheduler-file", file, "--nworkers", workers, "--nthreads", threads]
    quiet = subprocess.DEVNULL
    processes = [
        subprocess.Popen([str(word) for word in command], cwd=folder, env=left, stdout=quiet, stderr=quiet)
        for command in (serving, [*working, "--no-dashboard"])
    ]
    try:
        until(lambda: file.exists() and file.read_text().rstrip().endswith("}"))  # it is there before it is written
        yield json.loads(file.read_text())["address"], [processes[1].pid]
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(30)


def vary(home: Path, url: str, number: int, asked: Asked, options: Sequence[str]) -> tuple[Counter[str], list[str]]:
    """Perform variants of a scene of three lines, interrupt that, perform the rest; figures, and what is wrong."""
    moods = ", ".join(f"mood-{variant}" for variant in range(number))
    spoken = zip(("ann", "bob", "ann"), ("One", "Two", "Three"), strict=True)
    lines = "".join(f"  - {player}: '{word} when ${{mood}}.'\n" for player, word in spoken)
    (home / "scene.yaml").write_text(f"vars: {{mood: calm}}\n{SCENE.format(lines=lines)}")
    (home / "batch.yaml").write_text(f"scenes: scene.yaml\nmatrix: {{mood: [{moods}]}}\n")
    command = (*PROGRAM, "batch", "run", "batch.yaml", "--endpoint", url, *options)
    figures = Counter[str]()
    for run in ("interrupted", "again"):
        with (
            (home / "log.txt").open("wb") as log,
            subprocess.Popen(command, cwd=home, stdout=log, stderr=log) as process,
        ):
            while process.poll() is None:
                done = sum(asked.words.values()) * 100 // (number * 3)
                figures[f"{run}: kB of memory at {done // 10 * 10} %"] = _memory_kb(process.pid)
                if run == "interrupted" and done >= 40:
                    process.send_signal(signal.SIGINT)
                    process.wait()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
        figures[f"{run}: exit code"] = process.returncode
    problems = [f"{words} was asked for {times} times" for words, times in asked.words.items() if times > 1]
    figures["lines"] = len(asked.words)
    return figures, problems


def _memory_kb(pid: int) -> int:
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
    return 0


def main() -> int:
    """Perform a campaign, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--workers", type=int, default=4, help="0, with --variants: one process")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two kills")
    parser.add_argument("--gate-every", type=float, default=0.0, help="seconds between two kills of a gate of its own")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variants", type=int, help="instead, perform so many variants, and interrupt that once")
    parser.add_argument("--engine", choices=("workers", "dask", "scheduler", "shards"), default="workers")
    parser.add_argument("--budget", type=Decimal, help="of the gate, at first; then the batch goes on without one")
    given = parser.parse_args()
    asked = Asked()
    has_gate = given.gate_every > 0 or given.budget is not None
    understudy = Understudy(asked, pace=None if given.variants else 2.0, keeps_visits=has_gate)
    with tempfile.TemporaryDirectory() as folder, served(understudy) as (url, _), ExitStack() as opened:
        home = Path(folder)
        if given.variants:
            workers = ("--workers", str(given.workers)) if given.workers else ()
            return _tell(*vary(home, url, given.variants, asked, (*workers, "--jobs", str(given.jobs))))
        write_scenes(home, given.scenes)
        campaign = BatchCampaign(home, url, (), given.every, seed=given.seed, gate_every_s=given.gate_every)
        campaign.begun, campaign.budget = lambda: len(asked.words), given.budget
        match given.engine:
            case "workers":
                campaign.options = ("--workers", str(given.workers), "--jobs", str(given.jobs))
            case "dask":
                campaign.options = ("--cluster", "local", "--workers", str(given.workers), "--jobs", str(given.jobs))
            case "scheduler":
                address, campaign.cluster = opened.enter_context(cluster(home, given.workers, given.jobs))
                campaign.options = ("--cluster", address)
            case "shards":
                campaign.options, campaign.shards = ("--jobs", str(given.jobs)), given.workers
        campaign.run()
        problems = [*campaign.problems(asked.words)]
        problems += crowding(understudy.visits, campaign.figures) if has_gate else []
        problems += campaign.overrun(given.workers * given.jobs)
    return _tell(campaign.figures, problems)


def _tell(figures: Counter[str], problems: list[str]) -> int:
    sys.stdout.write("\n".join([*(f"{name}: {count}" for name, count in figures.items()), *problems]) + "\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
