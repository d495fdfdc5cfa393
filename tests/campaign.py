"""A campaign: scenes on bad days, and runs that are killed. Whatever happens, nothing that was paid for is lost.

``python -m tests.campaign --seeds 500 --kills 100`` performs a scene per seed on an understudy whose faults are drawn
from the seed, stops it at an instant drawn from the seed, and goes on with it until its scene is over; and it kills
(SIGKILL) as many runs of a process, and resumes them. After each it looks at what was left. Figures are printed, and of
whatever is wrong, the seed.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import get_args

import anyio
import anyio.from_thread
import numpy as np
import soundfile
import trio
from anyio.streams.memory import MemoryObjectReceiveStream
from trio.testing import MockClock

from tau_stage.errors import StageError, unwrapped
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import Plan
from tau_stage.session import Deadlines
from tau_stage.stage.events import Event
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import read_journal
from tau_stage.take.records import PAID
from tau_stage.take.reuse import OVER
from tau_stage.take.take_model import Take
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.in_memory_stage import Playhouse, plan_of
from tests.support.tone_voice import Tones

HUNG_S = 60
"""Real seconds after which a performance counts as one that hangs."""

MOST_RUNS = 6
"""A scene that is not over after so many runs, without faults and a stop in the end, never will be."""

IMPATIENT = Deadlines(opening_s=3, request_s=3, response_s=4, closing_s=1)
SAYINGS = ["Good evening.", "Is it?", "It was.", "Now then, where were we?", "I had an umbrella, once.", "No."]


# ---- what is drawn


def drawn_scene(draw: random.Random) -> str:
    """A scene of a few players and steps."""
    names = ["ann", "bob", "cid", "dot"][: draw.randint(2, 4)]
    voices = dict(zip(names, ("ash", "sage", "coral", "verse"), strict=False))
    ways = ["", ", hears_as: text", ", hearing: stream", ", hearing: stream, label_speakers: true"]
    cast = (f"{name}: {{voice: {voices[name]}{draw.choice(ways)}}}" for name in names)
    lost = draw.choice(["reopen", "continue", "stop"])
    hearing = draw.choice(["", "hearing: stream\n"])
    head = f"{hearing}players: {{{', '.join(cast)}}}\nlimits: {{start_rate: 100/s, on_lost_player: {lost}}}\nlines:\n"
    return head + "".join(f"  - {drawn_step(draw, names)}\n" for _ in range(draw.randint(3, 9)))


def drawn_step(draw: random.Random, names: Sequence[str]) -> str:
    """One step, most often a line."""
    who, other = draw.sample(list(names), 2)
    words = draw.choice(SAYINGS)
    steps = [f"{{{who}: '{words}'}}"] * 6
    steps += [
        f"{{{who}: '(softly) {words}'}}",
        f"{{{who}: '{words}', takes: 2}}",
        f"{{{who}: '{words}', to: [{other}]}}",
        f"{{{who}: , improvise: answer the others}}",
        f"{{together: [{{{who}: '{words}'}}, {{{other}: '{draw.choice(SAYINGS)}'}}]}}",
        f"{{improvise: {{players: [{who}, {other}], about: the rain, turns: 2}}}}",
        f"{{prompt: {{{who}: be brief}}}}",
        "{pause: 1s}",
        "{sfx: sounds/door.wav}",
    ]
    return draw.choice(steps)


def drawn_faults(draw: random.Random) -> list[fault.Fault]:
    """One to four things that go wrong."""
    plain: list[fault.Fault] = [order for name, order in fault.PLAIN.items() if name != "quota"]
    strikes: list[fault.Fault] = [
        fault.Strike(what, where, draw.choice([None, 1, 2, 3]), draw.randint(1, 3))
        for what in get_args(fault.What)
        for where in get_args(fault.Where)
    ]
    failing: list[fault.Fault] = [
        fault.FailResponses(draw.randint(1, 3), code) for code in ("rate_limit_exceeded", "server_error")
    ]
    return [draw.choice(draw.choice([strikes, strikes, plain, failing])) for _ in range(draw.randint(1, 4))]


# ---- what must hold


def violations(folder: TakeFolder, plan: Plan, take: Take, understudy: Understudy) -> Iterator[str]:
    """What is wrong with a take whose scene came to its end."""
    journal = read_journal(folder.journal)
    ids = [line.id for line in take.lines]
    if repeated := [name for name, count in Counter(ids).items() if count > 1]:
        yield f"lines that are there more than once: {repeated}"
    lost = {fact.line for fact in journal if isinstance(fact, record.LineLost)}
    passed = all(line.improvised for line in plan.lines)
    if take.ended == "incomplete" and not ((lost or passed) and not any(line.said for line in take.lines)):
        yield f"ended incomplete, and not because every line was lost: {take.problem}"
    planned = [line.id for line in plan.lines]
    if missing := [name for name in planned if name not in ids and name not in lost]:
        yield f"lines that are not there: {missing}"
    at = {line.id: line.offset_samples for line in take.lines}
    in_turn = sorted((name for name in planned if name in at), key=at.__getitem__)
    if in_turn != [name for name in planned if name in in_turn]:
        yield f"lines out of order: {in_turn}, not {[name for name in planned if name in in_turn]}"
    yield from wrong_sounds(folder, take)
    yield from wrong_money(journal, understudy)
    yield from wrong_hearing(journal, take, understudy)
    if leftovers := [path.name for path in folder.path.rglob("*.part*")]:
        yield f"left behind: {leftovers}"


def wrong_sounds(folder: TakeFolder, take: Take) -> Iterator[str]:
    """Stems and lines that do not agree, or cannot be read."""
    stems = {path.stem: sound(path) for path in folder.stems.glob("*.wav")}
    if len({len(stem) for stem in stems.values()}) > 1:
        yield f"stems of several lengths: { {name: len(stem) for name, stem in stems.items()} }"
    for line in take.lines:
        if line.file is None:
            continue
        spoken = sound(folder.path / line.file)
        stem = stems[line.player][line.offset_samples :][: len(spoken)]
        if len(spoken) != line.samples or not np.array_equal(spoken, stem):
            yield f"the stem does not have line {line.id} as its file has it"


def wrong_hearing(journal: Sequence[record.Record], take: Take, understudy: Understudy) -> Iterator[str]:
    """Lines that are told to be heard, and that no conversation of their hearer has, sample for sample, as an item."""
    if any("assumed to have succeeded" in warning for warning in take.warnings):  # the server says nothing
        return
    players = {fact.session: fact.player for fact in record.of_type(journal, record.PlayerOpened)}
    held = {
        (players.get(f"sess_{visit.number:04}"), sound.sha256)
        for visit in understudy.visits
        for sound in visit.heard.values()
    }
    for line in take.lines:
        for hearing in line.hearers:
            if hearing.by != "text" and hearing.took_s is not None and (hearing.player, hearing.sha256) not in held:
                yield f"{hearing.player} has not heard line {line.id}, {hearing.by}"


def sound(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    samples, rate = soundfile.read(path, dtype="int16")
    if rate != 24_000:
        raise ValueError(f"{path}: {rate} Hz")
    return np.asarray(samples)


def wrong_money(journal: Sequence[record.Record], understudy: Understudy) -> Iterator[str]:
    """What was counted twice, or is not on the bill of who was to be paid."""
    bills = [Usage.from_wire(wire) for visit in understudy.visits for wire in visit.bill.values()]
    paid = [fact for fact in journal if isinstance(fact, PAID)]
    told = [fact for fact in paid if isinstance(fact, record.LineSpoken | record.TakeKept | record.ToolTurn)]
    ids = [fact.response for fact in told if fact.usage != Usage()]  # a take that became the line was paid for before
    if repeated := [name for name, count in Counter(ids).items() if name and count > 1]:
        yield f"responses that were counted twice: {repeated}"
    total = sum((fact.usage for fact in paid), Usage())
    bill = sum(bills, Usage())
    if total.audio_out > bill.audio_out or total.text_out > bill.text_out:
        yield f"more was counted than was billed: {total} of {bill}"


# ---- bad days, on a clock of their own


async def bad_day(seed: int, out: Path, done: Counter[str]) -> list[str]:
    """One scene, its faults and its interruptions; what is wrong afterwards."""
    draw = random.Random(seed)
    plan = plan_of(drawn_scene(draw))
    house = Playhouse(out, drawn_faults(draw), judges=False)
    again: TakeFolder | None = None
    for run in range(MOST_RUNS):
        if run >= MOST_RUNS - 2:
            house.understudy.faults = ()
        stop_at = draw.choice([None, draw.randint(2, 40)]) if run < MOST_RUNS - 1 else None
        take = await one_run(house, plan, again, stop_at=stop_at, draw=draw)
        again = house.folder
        if take and take.ended in OVER:
            done[f"takes that ended {take.ended}"] += 1
            done.update(told_of(house.journal))
            return list(violations(again, plan, take, house.understudy))
        done["runs stopped" if take is None or take.ended == "interrupted" else "runs failed"] += 1
        done["lines kept from them"] += len(lines_in(house.journal))
    return [f"is not over after {MOST_RUNS} runs: {take and (take.ended, take.problem)}"]


def lines_in(journal: Sequence[record.Record]) -> set[str]:
    """The lines that are finished."""
    return {fact.line for fact in journal if isinstance(fact, record.LineSpoken)}


def told_of(journal: Sequence[record.Record]) -> Iterator[str]:
    """What happened in a take whose scene came to its end, each by its name."""
    for fact in journal:
        match fact:
            case record.LineSpoken():
                yield "lines performed"
            case record.LineAgain(interrupted=True):
                yield "lines cut and performed again"
            case record.LineAgain() | record.LineFailed() | record.OpeningRefused() | record.PlayerLost():
                yield "faults that struck"
            case record.LineMissed():
                yield "faults that struck"
            case record.LineHeard():
                yield f"lines heard by {fact.by}"
            case _:
                pass


async def one_run(
    house: Playhouse, plan: Plan, again: TakeFolder | None, *, stop_at: int | None, draw: random.Random
) -> Take | None:
    """One performance until it ends, or is stopped after so many news: in order, or at once."""
    gently, stop = draw.random() < 0.5, anyio.Event()
    take: Take | None = None
    news, watch = anyio.create_memory_object_stream[Event](10_000)
    async with anyio.create_task_group() as group, news:
        if stop_at is not None:
            group.start_soon(_stop, stop_at, watch, stop if gently else None, group.cancel_scope)
        take = await house.perform(plan, deadlines=IMPATIENT, again=again, stop=stop, watch=news)
        group.cancel_scope.cancel()
    watch.close()
    return take


async def _stop(
    after: int, watch: MemoryObjectReceiveStream[Event], event: anyio.Event | None, scope: anyio.CancelScope
) -> None:
    for _ in range(after):
        await watch.receive()
    if event:
        event.set()
    else:
        scope.cancel()


def judged(seed: int, done: Counter[str]) -> list[str]:
    """One seed, from its scene to its violations; what never ends is one, too."""
    with tempfile.TemporaryDirectory() as out, alarm(HUNG_S):
        try:
            with unwrapped():
                return trio.run(bad_day, seed, Path(out), done, clock=MockClock(autojump_threshold=0))
        except TimeoutError:
            return [f"hangs: {HUNG_S} s are over"]
        except StageError as error:
            return [f"{type(error).__name__}: {error}"]


@contextmanager
def alarm(after_s: int) -> Iterator[None]:
    """A TimeoutError after so many real seconds, whatever the virtual clock says."""

    def ring(_signal: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(after_s)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ---- kill -9

KILLED = """
scene: Killed
pause: 300ms
players: {ann: {voice: ash}, bob: {voice: sage}, cid: {voice: coral}}
limits: {start_rate: 100/s}
lines:
  - ann: Good evening to you all.
  - bob: (gruffly) Is it?
  - {prompt: {cid: be brief}}
  - cid: It was, until now.
  - {sfx: door.wav}
  - together: [{ann: Who is there?}, {bob: Who is there?}]
  - cid: Nobody.
  - {ann: , improvise: answer cid}
  - {pause: 1s}
  - bob: "Then who knocked?"
    takes: 2
  - cid: The rain.
"""


class Kills:
    """Runs that are killed, and go on.

    Args:
        top: An empty folder.
        url: Where an understudy listens.
        understudy: It.
    """

    def __init__(self, top: Path, url: str, understudy: Understudy) -> None:
        self._top = top
        self._url = url
        self._understudy = understudy
        self._scene = top / "killed.yaml"
        self._scene.write_text(KILLED)
        soundfile.write(top / "door.wav", np.zeros(12_000, np.int16) + 900, 24_000)
        self._whole = self._performed(top / "whole", kill_at=None)
        journal = (self._whole / "journal.jsonl").read_bytes()
        self._beginning, self._size = journal.index(b"\n") + 1, len(journal)
        self._takes = {line.id: line.takes for line in plan_of(KILLED.replace("door.wav", "sounds/door.wav")).lines}

    def kill(self, seed: int, done: Counter[str]) -> list[str]:
        """One run that is killed, perhaps once more while it goes on, and resumed; what is wrong afterwards."""
        draw = random.Random(seed)
        out = self._top / f"kill-{seed}"
        folder = self._performed(out, kill_at=draw.randrange(self._beginning, self._size))
        problems: list[str] = []
        for kill_at in (draw.choice([None, draw.randrange(self._size)]), None):
            journal = read_journal(folder / "journal.jsonl")
            spoken = lines_in(journal)
            done["runs killed"] += not any(isinstance(fact, record.TakeEnded) for fact in journal)
            done["lines kept from them"] += len(spoken)
            left = sum(takes for name, takes in self._takes.items() if name not in spoken)
            self._understudy.visits.clear()
            self._run("resume", str(folder), journals=partial(folder.glob, "journal.jsonl"), kill_at=kill_at)
            asked = sum(len(visit.bill) for visit in self._understudy.visits)
            if asked > left:
                problems.append(f"{asked} responses were paid where {left} were left: {sorted(spoken)} were finished")
        done.update(told_of(read_journal(folder / "journal.jsonl")))
        problems += self._differences(folder)
        shutil.rmtree(out)
        return problems

    def _performed(self, out: Path, kill_at: int | None) -> Path:
        journals = partial(out.glob, "killed/*Z-*/journal.jsonl")
        self._run("run", str(self._scene), "--out", str(out), journals=journals, kill_at=kill_at)
        (journal,) = journals()
        return journal.parent

    def _run(self, *words: str, journals: Callable[[], Iterator[Path]], kill_at: int | None) -> None:
        """Run tau-stage; kill it as soon as one of the journals that there are has so many bytes."""
        command = [sys.executable, "-m", "tau_stage", *words, "--endpoint", self._url, "--quiet"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            while process.poll() is None and kill_at is not None:
                if any(path.stat().st_size >= kill_at for path in journals()):
                    process.kill()
                    break
                time.sleep(0.0005)
            _, said = process.communicate(timeout=HUNG_S)
            if process.returncode not in (0, -signal.SIGKILL):
                raise RuntimeError(f"exit {process.returncode}: {said}")

    def _differences(self, folder: Path) -> Iterator[str]:
        """What is not as in a run that nobody disturbed."""
        for kind in ("stems", "lines"):
            wanted = {path.name: sound(path).tobytes() for path in (self._whole / kind).iterdir()}
            files = [path for path in (folder / kind).iterdir() if ".attempt-" not in path.name]
            there = {path.name: sound(path).tobytes() for path in files}
            if wanted.keys() != there.keys():
                yield f"{kind}: {sorted(there)} are there, not {sorted(wanted)}"
            yield from (f"{kind}/{name} differs" for name in wanted if there.get(name) != wanted[name])
        whole, take = (Take.model_validate_json((path / "take.json").read_bytes()) for path in (self._whole, folder))
        told = {"id", "number", "said", "offset_samples", "samples", "sha256"}
        wished, found = ({line.id: line.model_dump(include=told) for line in each.lines} for each in (whole, take))
        yield from (f"line {name} is another" for name in {**wished, **found} if wished.get(name) != found.get(name))
        yield from wrong_sounds(TakeFolder(folder), take)


# ---- the campaign


def main() -> int:
    """Run it; 1, where anything is wrong."""
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # who is killed says no goodbye
    reader = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    reader.add_argument("--seeds", type=int, default=500, help="how many scenes with faults")
    reader.add_argument("--kills", type=int, default=100, help="how many runs are killed")
    reader.add_argument("--first", type=int, default=1, help="the first seed")
    wish = reader.parse_args()
    seeds = range(wish.first, wish.first + wish.seeds)
    failed = fought("scenes with faults", seeds, judged)
    with served(Understudy(Tones(), keeps_visits=True)) as (url, understudy), tempfile.TemporaryDirectory() as top:
        kills = Kills(Path(top), url, understudy)
        failed += fought("runs killed", range(wish.first, wish.first + wish.kills), kills.kill)
    return 1 if failed else 0


def fought(what: str, seeds: range, fight: Callable[[int, Counter[str]], list[str]]) -> int:
    """Go through seeds, and tell; how many are wrong."""
    began, failed, done = time.monotonic(), 0, Counter[str]()
    for seed in seeds:
        if problems := fight(seed, done):
            failed += 1
            sys.stdout.write("".join(f"seed {seed}: {problem}\n" for problem in problems))
    took_s = time.monotonic() - began
    sys.stdout.write(f"{len(seeds)} {what} in {took_s:.1f} s, {failed} with violations\n")
    sys.stdout.write("".join(f"  {count} {name}\n" for name, count in sorted(done.items())))
    sys.stdout.flush()
    return failed


@contextmanager
def served(understudy: Understudy) -> Iterator[tuple[str, Understudy]]:
    """An understudy in a thread of its own."""
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_understudy(understudy)) as url,
    ):
        yield url, understudy


if __name__ == "__main__":
    sys.exit(main())
