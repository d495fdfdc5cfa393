"""A run that is killed, or whose disk fails, at every system call that changes a file; and what `resume` makes of it.

``python -m tests.crashes`` performs a scene with a mix, packed stems, trimmed lines, a page, expectations and several
takes of a line, and records it. Each such call of that run is tried once with each fault: the process is killed before
it (``kill``), it fails once (``error``), or it and all later ones that need room fail (``full``). The run is resumed
then. Whatever is not as in a run that nobody disturbed is printed; figures follow.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import soundfile

from tau_stage.audio.riff import read_chunks
from tau_stage.cassette.format import verify_cassette
from tau_stage.cassette.recorder import UNFINISHED, is_whole
from tau_stage.errors import CassetteError
from tau_stage.protocol.usage import Usage
from tau_stage.take import records as record
from tau_stage.take.folder import followed
from tau_stage.take.journal import read_journal
from tau_stage.take.records import PAID
from tau_stage.understudy.server import Understudy
from tests.campaign import served
from tests.support.syscalls import Call, Fault, can_trace, traced
from tests.support.tone_voice import Tones, write_tone

SCENE = """
scene: A crash
players: {ann: {voice: ash}, bob: {voice: sage}}
limits: {start_rate: 100/s}
lines:
  - {bed: door.wav}
  - ann: Good evening to you all.
  - bob: Is it?
    takes: 3
  - {sfx: door.wav}
  - ann: It was.
deliver: {mix: {loudness: -18 LUFS}, stems: packed, lines: {trim: true}, rate: 48 kHz}
expect: {length: 540s..600s}
"""
NO_FAULT = Fault("kill", first=10**9)
MEMORY = Path("/dev/shm")  # noqa: S108 - as fast as it can be, where there is one
OUR_BUG = 70
RED = 1
"""The exit code of a run whose expectation fails, as this one's does."""

ROOM = ("write", "pwrite64", "writev", "pwritev", "openat", "mkdir", "ftruncate", "fallocate", "sendfile")
"""What fails where a disk is full."""

FAULTS = {
    "kill": lambda number: Fault("kill", number),
    "error": lambda number: Fault(errno.EIO, number, number),
    "full": lambda number: Fault(errno.ENOSPC, number, names=ROOM),
}


# ---- a process that is watched


@dataclass(frozen=True, slots=True)
class Left:
    """What came of a command.

    Attributes:
        code: Its exit code; negative, a signal's number.
        said: What it printed.
        calls: Its calls, as far as they were counted.
        struck: Those that a fault has struck.
    """

    code: int
    said: str
    calls: tuple[Call, ...]
    struck: tuple[Call, ...]


class Runner:
    """Runs tau-stage in forks of a process that has everything imported.

    Args:
        connection: To that process.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, *words: object, home: Path, fault: Fault | None = None) -> Left:
        """Run one command in a folder; calls that change files below it are looked at."""
        self._connection.send(([str(word) for word in words], home, fault or NO_FAULT))
        told: Left = self._connection.recv()
        return told

    def run_inside(self, *words: object, home: Path) -> None:
        """Run one command in the process itself, so that its forks need not load what it has loaded."""
        self._connection.send(([str(word) for word in words], home, None))
        self._connection.recv()


@contextmanager
def runner() -> Iterator[Runner]:
    """Such a process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.preloaded"])
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    process.start()
    try:
        yield Runner(ours)
    finally:
        ours.send(None)
        process.join()


def _serve(connection: Connection) -> None:
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "TAU_STAGE_ENDPOINT", "TAU_STAGE_API_KEY"):
        os.environ.pop(name, None)
    with tempfile.TemporaryFile("w+") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        while (wish := connection.recv()) is not None:
            words, home, fault = wish
            os.ftruncate(said.fileno(), 0)
            os.lseek(said.fileno(), 0, os.SEEK_SET)
            os.chdir(home)
            if fault is None:
                connection.send(_main(words))
                continue
            found = traced(partial(_main, words), home, fault)
            os.lseek(said.fileno(), 0, os.SEEK_SET)
            connection.send(
                Left(found.code, os.read(said.fileno(), 100_000).decode(), tuple(found.calls), tuple(found.struck))
            )


def _main(words: Sequence[str]) -> int:
    from tau_stage.cli.main import main

    try:
        main(words)
    except SystemExit as left:
        return int(left.code or 0)
    return OUR_BUG


# ---- what a folder holds, but for what differs between any two runs

MEASURED = {
    "started", "sessions", "opened_s", "first_audio_s", "first_words_s", "took_s", "heard_at_s", "response", "at_s",
    "first_audio", "session", "id_of_take",
}  # fmt: skip
"""Ids, dates and latencies, by their keys in JSON."""

PAID_FOR = {"usage", "cost", "attempts", "failed_attempts", "warnings", "opening_attempts", "costs"}
"""What a line that was cut has cost, and that it was."""

SHOWN_CHARACTERS = 160
SHOWN = re.compile(
    r"[0-9a-f]{32}|\d{8}T\d{6}Z-[0-9a-f]{6}|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\+00:00)?)?|\d{8}|\d\d:\d\d:\d\d"
    r"|[A-Z][a-z]+day \d+ [A-Z][a-z]+ \d{4}, \d\d:\d\d UTC|(sess|resp|item)_\w+|[\d.,]+ m?s\b|at \d+:\d\d\.\d"
)
"""Ids, dates and latencies, as people read them."""

TELLS_THE_CUT = ("report.html", "cost.json", "sheet.csv", "journal.jsonl", "session.rpp")
"""Files that tell what a line that was cut has cost, or have its first sound."""


def contents(folder: Path, *, was_cut: bool) -> dict[str, object]:
    """What a take's folder holds, by name; of a take that was cut, without the cut and its costs."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not (was_cut and (name in TELLS_THE_CUT or ".attempt-" in name)):
            found[name] = _content(path, was_cut=was_cut)
    return found


def _content(path: Path, *, was_cut: bool) -> object:
    if path.suffix == ".wav":
        samples, rate = soundfile.read(path, dtype="int32")
        marks = {name.decode(): SHOWN.sub("-", data.decode("latin-1")) for name, data in read_chunks(path).items()}
        return {"rate": rate, "samples": samples.tobytes(), **marks}
    if path.suffix == ".json":
        return _without(json.loads(path.read_bytes()), MEASURED | (PAID_FOR if was_cut else set()))
    if path.suffix == ".jsonl":
        # when a hearer acknowledges a line is its own affair: before the next line begins, or after
        facts = read_journal(path)
        heard = sorted((fact.line, fact.hearer) for fact in facts if isinstance(fact, record.LineHeard))
        return {"heard": heard, "facts": [fact.type for fact in facts if not isinstance(fact, record.LineHeard)]}
    return path.read_bytes() if path.suffix == ".mp3" else SHOWN.sub("-", path.read_text())


def _differing(a: object, b: object) -> Iterator[str]:
    """In what two contents differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            yield from (f" in {key}{what}" for what in _differing(a.get(key), b.get(key)))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for number, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from (f"[{number}]{what}" for what in _differing(one, other))
    elif isinstance(a, str) and isinstance(b, str) and a != b:
        pair = next((pair for pair in zip(a.splitlines(), b.splitlines(), strict=False) if pair[0] != pair[1]), (a, b))
        yield f": {pair[0][:SHOWN_CHARACTERS]!r}, not {pair[1][:SHOWN_CHARACTERS]!r}"
    elif a != b:
        yield f": {str(a)[:60]}, not {str(b)[:60]}"


def _without(part: Any, keys: set[str]) -> Any:
    if isinstance(part, dict):
        return {name: _without(value, keys) for name, value in part.items() if name not in keys}
    return [_without(value, keys) for value in part] if isinstance(part, list) else part


# ---- one crash


class Crashes:
    """Runs that meet a fault, and are resumed.

    Args:
        top: An empty folder.
        runner: Runs commands.
        url: Where an understudy listens.
        understudy: It.
        scene: What is performed.

    Attributes:
        url: Where the understudy listens.
        understudy: It.
        calls: Those of a run that nobody disturbs.
        take: What that run has left.
    """

    def __init__(self, top: Path, runner: Runner, url: str, understudy: Understudy, scene: str = SCENE) -> None:
        self._top = top
        self._runner = runner
        self.url = url
        self.understudy = understudy
        self._before = top / "before"
        self._before.mkdir()
        (self._before / "crash.yaml").write_text(scene)
        write_tone(self._before / "door.wav")
        self.run(self._before, "run", "crash.yaml", "--record", "cassettes")
        shutil.rmtree(self._before / "takes")
        self._whole = self.copy("whole")
        left = self.run(self._whole, "run", "crash.yaml", "--record", "cassettes")
        if left.code != RED:
            raise RuntimeError(f"exit {left.code}: {left.said}")
        self.calls = left.calls
        (self.take,) = takes_in(self._whole)
        runner.run_inside("report", self.take, home=self.copy("warm"))

    def copy(self, name: str, before: Path | None = None) -> Path:
        """A folder as it is before a run, or another one."""
        home = self._top / name
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(before or self._before, home, symlinks=True)
        return home

    def run(self, home: Path, *words: object, fault: Fault | None = None) -> Left:
        """Run a command in a folder; who performs, does so at the understudy."""
        more = ("--endpoint", self.url, "--quiet") if words[0] in ("run", "resume", "retake") else ()
        return self._runner.run(*words, *more, home=home, fault=fault)

    def crash(self, fault: Fault, done: Counter[str], *, other_way: bool) -> list[str]:
        """One run that meets a fault, and its resumption; what is wrong afterwards.

        Args:
            fault: What it meets.
            done: Figures.
            other_way: Whether ``run --resume`` goes on with it, not ``resume``.
        """
        self.understudy.visits.clear()
        home = self.copy("crashed")
        left = self.run(home, "run", "crash.yaml", "--record", "cassettes", fault=fault)
        problems = list(self.after_the_fault(home, left, fault))
        takes = takes_in(home)
        for take in takes:
            os.utime(take, (0, 0))  # it is some time ago
        begun = [take for take in takes if any(isinstance(fact, record.TakeBegan) for fact in facts_of(take))]
        spoken = finished(facts_of(begun[0])) if begun else Counter()
        billed = self.billed()
        if begun and not other_way:
            again = self.run(home, "resume", begun[0].relative_to(home))
        else:
            again = self.run(home, "run", "crash.yaml", "--resume")
        done["takes that had begun"] += bool(begun)
        done["line takes kept"] += spoken.total()
        if again.code != RED:
            return [*problems, f"exit {again.code} after it was resumed: {again.said}"]
        if len(takes_in(home)) != 1:
            return [*problems, f"{[take.name for take in takes_in(home)]} are there"]
        (take,) = takes_in(home)
        wanted = WANTED - spoken
        if (more := self.billed() - billed) != wanted.total():
            problems.append(f"{more} responses were paid after it, and {dict(wanted)} were left")
        problems += self._money(facts_of(take))
        problems += self._differences(take)
        self._runner.run_inside("cassette", "prune", "cassettes", home=home)
        problems += left_over(home)
        problems += broken_cassette(home)
        return problems

    def after_the_fault(self, home: Path, left: Left, fault: Fault) -> Iterator[str]:
        """What is wrong in a folder where a command has met a fault."""
        if fault.effect != "kill" and left.code not in (0, RED, 2, 3):
            yield f"exit {left.code}: {left.said}"
        if "Traceback" in left.said:
            yield left.said
        if (link := home / "takes/crash/latest").is_symlink() and not link.exists():
            yield "latest is broken"
        yield from broken_cassette(home)

    def billed(self) -> int:
        """How many responses were billed since the understudy's visits were forgotten."""
        return sum(len(visit.bill) for visit in self.understudy.visits)

    def _money(self, facts: Sequence[record.Record]) -> Iterator[str]:
        """Each response that was billed is booked once, or stands for one whose usage nobody was told."""
        booked = Counter(fact.response for fact in facts if isinstance(fact, NAMED) and fact.usage != Usage())
        if twice := [name for name, count in booked.items() if count > 1]:
            yield f"booked twice: {twice}"
        untold = sum(fact.usage.untold for fact in facts if isinstance(fact, PAID))
        billed = {name for visit in self.understudy.visits for name in visit.bill}
        if strange := booked.keys() - billed:
            yield f"booked, and never billed: {strange}"
        if len(billed - booked.keys()) > untold:
            yield f"{len(billed - booked.keys())} responses were billed and not booked, and {untold} stand for them"

    def _differences(self, take: Path) -> Iterator[str]:
        was_cut = any(isinstance(fact, record.TakeResumed) for fact in facts_of(take))
        wanted, there = (contents(folder, was_cut=was_cut) for folder in (self.take, take))
        yield from (f"{name} is missing" for name in wanted if name not in there)
        yield from (f"{name} is there" for name in there if name not in wanted)
        for name in wanted.keys() & there.keys():
            yield from (f"{name} differs{what}" for what in _differing(wanted[name], there[name]))
        if facts_of(take)[-1].type != "take_delivered":
            yield "the journal does not end with the delivery"
        if not followed(take.parent / "latest").samefile(take):
            yield "latest is not the take"


NAMED = record.LineSpoken | record.TakeKept | record.ToolTurn
WANTED = Counter({"ann-1": 1, "bob-1": 3, "ann-2": 1})
"""How many takes of each line there are in the end."""


def takes_in(home: Path) -> list[Path]:
    """The folders of takes."""
    return sorted(home.glob("takes/crash/2*"))


def facts_of(take: Path) -> list[record.Record]:
    """A take's journal, as far as it goes."""
    return read_journal(take / "journal.jsonl") if (take / "journal.jsonl").exists() else []


def finished(facts: Sequence[record.Record]) -> Counter[str]:
    """How many takes of each line have ended."""
    ended = {(fact.line, fact.take) for fact in facts if isinstance(fact, record.LineSpoken | record.TakeKept)}
    return Counter(line for line, _ in ended)


def left_over(home: Path) -> Iterator[str]:
    """Files that nobody needs."""
    for path in home.rglob("*"):
        is_whole_recording = any(is_whole(each) for each in (path, *path.parents) if UNFINISHED in each.name)
        is_of_a_test = ".tau-stage" in path.parts and ".part" not in path.name
        if not is_of_a_test and (path.name.startswith(".") or ".part" in path.name) and not is_whole_recording:
            yield f"left over: {path.relative_to(home)}"


def broken_cassette(home: Path) -> Iterator[str]:
    """What is wrong with the cassette that stands under the scene's name."""
    try:
        verify_cassette(home / "cassettes/crash")
    except CassetteError as error:
        yield f"the cassette: {error}"


# ---- verbs that change what is there


@dataclass(frozen=True, slots=True)
class Verb:
    """A command on what a run has left.

    Attributes:
        words: The command; TAKE stands for the take.
        resumes: Whether `resume` of what it was making goes on with it, where that had begun.
        rewrites: Whether it changes the take itself, so that its journal tells of each try.
    """

    words: tuple[str, ...]
    resumes: bool = False
    rewrites: bool = False


CUT = 150
"""At which call the run is killed that is resumed."""

VERBS = {
    "retake": Verb(("retake", "TAKE", "ann-1"), resumes=True),
    "pick": Verb(("pick", "TAKE", "bob-1", "PICKED"), rewrites=True),
    "test": Verb(("test", "crash.yaml")),
    "run --resume": Verb(("run", "crash.yaml", "--resume"), rewrites=True),
}


class VerbCrashes:
    """A command that meets a fault, and is given again.

    Args:
        crashes: Holds a finished run, and its cassette.
        name: Of the command.

    Attributes:
        calls: Those of the command, where nobody disturbs it.
    """

    def __init__(self, crashes: Crashes, name: str) -> None:
        self._crashes = crashes
        self._verb = VERBS[name]
        self._before = crashes.copy(f"before-{name}")
        fault = Fault("kill", CUT) if name == "run --resume" else None
        crashes.run(self._before, "run", "crash.yaml", fault=fault)
        self._whole = self._copy(f"whole-{name}")
        left = self._try(self._whole)
        if left.code != RED:
            raise RuntimeError(f"{name}: exit {left.code}: {left.said}")
        self.calls = left.calls

    def crash(self, fault: Fault, done: Counter[str], *, other_way: bool) -> list[str]:
        """Give the command, which meets a fault, and give it again; what is wrong afterwards.

        Args:
            fault: What it meets.
            done: Figures.
            other_way: Whether the command is given again where `resume` could go on.
        """
        crashes, before = self._crashes, takes_in(self._before)
        crashes.understudy.visits.clear()
        home = self._copy("crashed")
        left = self._try(home, fault)
        problems = list(crashes.after_the_fault(home, left, fault))
        problems += self._unlike_before(home, before)
        for take in takes_in(home):
            os.utime(take, (0, 0))
        begun = [take for take in takes_in(home) if take.name not in {old.name for old in before}]
        begun = [take for take in begun if any(isinstance(fact, record.TakeBegan) for fact in facts_of(take))]
        spoken, billed = self._spoken(home), crashes.billed()
        done["takes that had begun"] += bool(begun)
        if self._verb.resumes and not other_way and begun:
            again = crashes.run(home, "resume", begun[0].relative_to(home))
        else:
            for take in begun if self._verb.resumes else ():
                shutil.rmtree(take)
            again = self._try(home)
        if again.code != RED:
            return [*problems, f"exit {again.code} at the second try: {again.said}"]
        wanted = self._spoken(self._whole) - (Counter() if other_way and self._verb.resumes else spoken)
        if (more := crashes.billed() - billed) != wanted.total():
            problems.append(f"{more} responses were paid after it, and {dict(wanted)} were left")
        problems += self._unlike_whole(home)
        problems += broken_cassette(home)
        return [*problems, *left_over(home)]

    def _copy(self, name: str) -> Path:
        return self._crashes.copy(name, self._before)

    def _try(self, home: Path, fault: Fault | None = None) -> Left:
        (take,) = takes_in(self._before)
        places = {"TAKE": f"takes/crash/{take.name}", "PICKED": str(self._other(take))}
        return self._crashes.run(home, *(places.get(word, word) for word in self._verb.words), fault=fault)

    def _other(self, take: Path) -> int:
        """A take of the line that is not the line."""
        lines = json.loads((take / "take.json").read_text())["lines"] if (take / "take.json").exists() else []
        picked = next((line["take"] for line in lines if line["id"] == "bob-1"), 1)
        return 1 if picked != 1 else 2

    def _spoken(self, home: Path) -> Counter[str]:
        """What takes of lines have ended in a folder that were not there before."""
        known = sum((finished(facts_of(take)) for take in takes_in(self._before)), Counter[str]())
        if self._verb.resumes:  # into a take of its own, which takes the others over
            (old,) = takes_in(self._before)
            new = [take for take in takes_in(home) if take.name != old.name]
            facts = [fact for take in new for fact in facts_of(take) if isinstance(fact, NAMED)]
            return Counter(fact.line for fact in facts if isinstance(fact, record.LineSpoken) and fact.line == "ann-1")
        return sum((finished(facts_of(take)) for take in takes_in(home)), Counter[str]()) - known

    def _unlike_before(self, home: Path, before: Sequence[Path]) -> Iterator[str]:
        """What is no longer as it was, of that which the command does not change."""
        for old in before if not self._verb.rewrites else ():
            was, there = contents(old, was_cut=False), contents(home / old.relative_to(self._before), was_cut=False)
            yield from (f"{name} of the former take has changed" for name in was if was[name] != there.get(name))

    def _unlike_whole(self, home: Path) -> Iterator[str]:
        for place in ("takes/crash", ".tau-stage/takes/crash"):
            ours, wanted = (self._in_order(folder / place) for folder in (home, self._whole))
            if len(ours) != len(wanted):
                yield f"{len(ours)} takes in {place}, not {len(wanted)}"
                continue
            for take, other in zip(ours, wanted, strict=True):
                yield from self._differences(other, take)
            latest = [followed(folder / place / "latest") for folder in (home, self._whole)]
            if wanted and latest[1].exists() and ours.index(latest[0].resolve()) != wanted.index(latest[1].resolve()):
                yield f"latest in {place} is another take"

    def _in_order(self, takes: Path) -> list[Path]:
        """Takes in the order in which they were made; those of one second have no order by name."""
        before = {take.name for take in takes_in(self._before)}
        return sorted(takes.glob("2*"), key=lambda take: (take.name not in before, take.name))

    def _differences(self, wanted: Path, there: Path) -> Iterator[str]:
        was_cut = any(isinstance(fact, record.TakeResumed) for fact in facts_of(there))
        a, b = (contents(folder, was_cut=was_cut) for folder in (wanted, there))
        if self._verb.rewrites:
            a.pop("journal.jsonl", None), b.pop("journal.jsonl", None)
        yield from (f"{name} is missing" for name in a if name not in b)
        yield from (f"{name} is there" for name in b if name not in a)
        for name in a.keys() & b.keys():
            yield from (f"{name} differs{what}" for what in _differing(a[name], b[name]))


# ---- all of them


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the work: every so many-th call, from one on."""

    first: int
    each: int
    faults: tuple[str, ...]
    verbs: tuple[str, ...] = ()


def tried(share: Share) -> tuple[int, list[str], Counter[str]]:
    """Try a part of all crashes: how many, what is wrong, and figures."""
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # who is killed says no goodbye
    count, problems, done = 0, list[str](), Counter[str]()
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as top,
        runner() as runs,
        served(Understudy(Tones(), keeps_visits=True)) as (url, understudy),
    ):
        crashes = Crashes(Path(top), runs, url, understudy)
        tries: list[tuple[str, Crashes | VerbCrashes]] = [(verb, VerbCrashes(crashes, verb)) for verb in share.verbs]
        for (verb, each), name in product(tries or [("run", crashes)], share.faults):
            counted = [call for call in each.calls if FAULTS[name](1).counts(call)]
            for number in range(share.first, len(counted) + 1, share.each):
                call = counted[number - 1]
                where = f"{verb}: {name} {number} ({call.name} {'/'.join(call.path.parts[-2:])})"
                found = each.crash(FAULTS[name](number), done, other_way=number % 2 == 0)
                problems += [f"{where}: {problem}" for problem in found]
                sys.stdout.write("".join(f"{where}: {problem}\n" for problem in found))
                sys.stdout.flush()
                count += 1
                done[f"{verb}: {name} at {call.name}"] += 1
    return count, problems, done


def main() -> int:
    """Try them; 1, where anything is wrong."""
    reader = argparse.ArgumentParser(prog="python -m tests.crashes", description=__doc__)
    reader.add_argument("--each", type=int, default=1, help="try every so many-th call")
    reader.add_argument("--first", type=int, default=1, help="from which on")
    reader.add_argument("--jobs", type=int, default=2, help="how many at once")
    reader.add_argument("--fault", action="append", choices=[*FAULTS], help="default: all")
    reader.add_argument(
        "--verb", action="append", choices=[*VERBS], help="a command that meets it; default: run --record"
    )
    wish = reader.parse_args()
    if not can_trace():
        sys.stdout.write("processes cannot be traced here: this needs Linux on x86-64\n")
        return 0
    faults, verbs = tuple(wish.fault or FAULTS), tuple(wish.verb or ())
    shares = [Share(wish.first + wish.each * job, wish.each * wish.jobs, faults, verbs) for job in range(wish.jobs)]
    done = Counter[str]()
    with ProcessPoolExecutor(wish.jobs, multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(tried, shares))
    for _, _, figures in results:
        done.update(figures)
    count, wrong = sum(count for count, _, _ in results), sum(len(problems) for _, problems, _ in results)
    sys.stdout.write(f"{count} crashes, {wrong} problems\n")
    sys.stdout.write("".join(f"  {number} {name}\n" for name, number in sorted(done.items())))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
