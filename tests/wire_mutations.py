"""Spoil what a server sends, one field or one type of event at a time, and see what comes of it.

``python -m tests.wire_mutations`` holds conversations and performances. It spoils every field of every known event
(``--every N`` takes each Nth change), and lets the events of each type never come, come under another name, in
capitals, twice, one later, or after the end of their response. Nothing may end a session or leave as an error that is
not ours; no sound, no words and no usage that had come may be lost, and none may count twice.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import anyio
from trio.testing import MockClock

from tau_stage.errors import StageError
from tau_stage.protocol.client_events import conducted
from tau_stage.protocol.responses import Response
from tau_stage.scene.plan import PlayerPlan
from tau_stage.session import Deadlines, Tool, open_session
from tau_stage.transport import Transport
from tau_stage.understudy.server import Understudy
from tests.support.in_memory_stage import Playhouse
from tests.support.memory_server import connected
from tests.support.spoiled_events import MISSING, SAMPLES, Change, changes, spoilt
from tests.support.tone_voice import Tones, tone

QUICK = Deadlines(opening_s=2, request_s=3, response_s=4, closing_s=1)

BEFORE = "response.output_item.added"
"""An event of a type that the understudy does not send comes before the first of this type."""

SOUND = "response.output_audio.delta"
END = "response.done"

OPENING = ("session.created", "session.updated")

NEXT_S = 0.25
"""Seconds until an event that comes one later comes all the same."""

SCENE = """
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: Hello there, everybody.
  - bob: Good evening.
  - ann: And good night.
limits: {opening: 2s, hearing: 3s, silence: 4s}
"""


class Trouble(Protocol):
    """What goes wrong with what a server sends. One is made for each run."""

    def meets(self, frame: bytes, kind: str) -> list[bytes]:
        """The frames that come in the place of one."""

    @property
    def held(self) -> list[bytes]:
        """The frames that come when nothing else does; they are then not held any more."""

    @property
    def excuses(self) -> frozenset[str]:
        """What may be lost: ``sound``, ``words``, ``usage``, ``opening``; with ``more``, more may come than without."""


@dataclass(slots=True)
class Spoil:
    """One field of the first event of one type is changed.

    Attributes:
        kind: The type.
        change: What is changed.
        added: The event as it is added, where the understudy sends none of the type.
        is_done: Whether it was.
    """

    kind: str
    change: Change
    added: dict[str, Any] | None = None
    is_done: bool = False
    held: list[bytes] = field(default_factory=list)

    def __str__(self) -> str:
        path, value = self.change
        return f"{self.kind}: {'.'.join(map(str, path))} is {'missing' if value is MISSING else json.dumps(value)}"

    def meets(self, frame: bytes, kind: str) -> list[bytes]:
        if self.is_done or kind != (BEFORE if self.added else self.kind):
            return [frame]
        self.is_done = True
        changed = json.dumps(spoilt(self.added or json.loads(frame), self.change)).encode()
        return [changed, frame] if self.added else [changed]

    @property
    def excuses(self) -> frozenset[str]:
        if self.kind == SOUND and self.change[0] == ("delta",):
            return frozenset({"sound", "words"})
        return frozenset({"more", "usage"} if self.kind == END else {"more"})


WAYS = ("never", "under another name", "in capitals", "twice", "one later", "after the end")
"""How events of a type come."""


@dataclass(slots=True)
class Disorder:
    """All events of one type come otherwise than they should.

    Attributes:
        kind: The type.
        way: How they come.
    """

    kind: str
    way: str
    _held: list[bytes] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.kind} comes {self.way}"

    def meets(self, frame: bytes, kind: str) -> list[bytes]:
        if kind != self.kind:
            ready, self._held = (self._held, []) if self.way == "one later" or kind == END else ([], self._held)
            return [frame, *ready]
        match self.way:
            case "never":
                return []
            case "under another name":
                return [frame.replace(f'"{kind}"'.encode(), b'"another.name"', 1)]
            case "in capitals":
                return [frame.replace(f'"{kind}"'.encode(), f'"{kind.upper()}"'.encode(), 1)]
            case "twice":
                return [frame, frame]
            case _:
                before, self._held = self._held, [frame]
                if self.way == "after the end":
                    before, self._held = [], [*before, frame]
                return before

    @property
    def held(self) -> list[bytes]:
        ready, self._held = (self._held, []) if self.way == "one later" else ([], self._held)
        return ready

    @property
    def excuses(self) -> frozenset[str]:
        if self.way not in ("never", "under another name"):
            return frozenset()
        lost = {
            SOUND: {"sound", "words"},
            END: {"usage"},
            "session.created": {"opening"},
            "session.updated": {"opening"},
        }
        return frozenset(lost.get(self.kind, ()))


class Spoiling:
    """A transport that spoils what comes in.

    Args:
        inner: Where events come from.
        trouble: What goes wrong; None leaves everything as it is.
    """

    def __init__(self, inner: Transport, trouble: Trouble | None) -> None:
        self.received: list[bytes] = []
        self._inner = inner
        self._trouble = trouble
        self._waiting: list[bytes] = []

    async def send(self, frame: bytes) -> None:
        await self._inner.send(frame)

    async def receive(self) -> bytes:
        while not self._waiting:
            with anyio.move_on_after(NEXT_S) as patience:
                frame = await self._inner.receive()
            if patience.cancelled_caught:
                self._waiting = self._trouble.held if self._trouble else []
                continue
            self.received.append(frame)
            kind = json.loads(frame)["type"]
            self._waiting = self._trouble.meets(frame, kind) if self._trouble else [frame]
        return self._waiting.pop(0)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._inner.aclose(code, reason)

    def drop(self) -> None:
        self._inner.drop()


@dataclass(slots=True)
class Outcome:
    """What came of one run.

    Attributes:
        problems: What must not be.
        samples: Sound that was given out.
        tokens: Tokens that were counted as spoken or written.
        words: What was said.
        seen: The first event of each type.
    """

    problems: list[str] = field(default_factory=list)
    samples: int = 0
    tokens: int = 0
    words: str = ""
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)


Run = Callable[[Trouble | None], Awaitable[Outcome]]


async def converse(trouble: Trouble | None) -> Outcome:
    """Hold one conversation: words, sound, an item that is cut and one that is deleted."""
    outcome = Outcome()
    responses: list[Response] = []
    lights = Tool("lights", "The listener wants the lights on.", {"type": "object", "properties": {}}, lambda: "on")
    try:
        async with connected(Understudy(Tones()), judged=False) as socket:
            transport = Spoiling(socket.inner, trouble)
            wanted = conducted(voice="ash", tools=(lights.definition,))
            async with open_session(transport, wanted, deadlines=QUICK, tools=[lights]) as session:
                await session.user('Perform this line: "Hello there, everybody."')
                responses.append(await session.response())
                item = await session.create_audio(tone("ash", "Hello."))
                answer = next(iter(responses[0].item_ids), "")
                if answer in session.conversation.items:
                    await session.truncate(answer, 50)
                await session.delete_conversation_item(item.id)
                await session.user('Perform this line: "Good night."')
                responses.append(await session.response())
                if not session.is_open:
                    outcome.problems.append("the session ended")
            for frame in transport.received:
                outcome.seen.setdefault(json.loads(frame)["type"], json.loads(frame))
    except StageError as error:
        outcome.problems.append(f"the conversation ended: {error}")
    outcome.samples = sum(len(response.audio) for response in responses)
    outcome.words = " ".join(response.transcript for response in responses)
    outcome.tokens = sum(response.usage.audio_out + response.usage.text_out for response in responses)
    return outcome


class SpoiltHouse(Playhouse):
    """A house in which the first session's events are spoilt."""

    def __init__(self, tmp_path: Path, trouble: Trouble | None) -> None:
        super().__init__(tmp_path, judges=False)
        self._trouble = trouble
        self.transports: list[Spoiling] = []

    @asynccontextmanager
    async def _connect(self, player: PlayerPlan) -> AsyncIterator[Transport]:
        async with super()._connect(player) as transport:
            self.transports.append(Spoiling(transport, self._trouble if not self.transports else None))
            yield self.transports[-1]


async def perform(trouble: Trouble | None) -> Outcome:
    """Perform a scene."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as place:
        house = SpoiltHouse(Path(place), trouble)
        take = await house.perform(SCENE, deadlines=QUICK)
        if take.ended != "complete":
            outcome.problems.append(f"the take is {take.ended}: {take.problem}")
        if any(player.opening_attempts > 1 for player in take.players):
            outcome.problems.append(f"a session was opened again: {'; '.join(take.warnings)}")
        if any("reconnected" in warning for warning in take.warnings):
            outcome.problems.append("a player was lost")
        spoken = [(line.samples, line.usage.audio_out + line.usage.text_out) for line in take.lines]
        outcome.samples = sum(samples for samples, _ in spoken)
        outcome.words = " ".join(line.said for line in take.lines)
        outcome.tokens = sum(tokens for _, tokens in spoken)
        for transport in house.transports[:1]:
            for frame in transport.received:
                outcome.seen.setdefault(json.loads(frame)["type"], json.loads(frame))
    return outcome


def spoils(seen: dict[str, dict[str, Any]]) -> Iterator[Spoil]:
    """Every field of every known event, as a run sees it or as a sample has it."""
    for kind, sample in SAMPLES.items():
        added = None if kind in seen else {"type": kind, "event_id": "event_x", **sample}
        for change in changes(seen.get(kind) or added or {}):
            yield Spoil(kind, change, added)


def disorders(seen: dict[str, dict[str, Any]]) -> Iterator[Disorder]:
    """Every type of event that a run sees, in every disorder; only what is about a response can come after its end."""
    for kind, way in itertools.product(seen, WAYS):
        if way != "after the end" or (kind.startswith("response.") and kind != END):
            yield Disorder(kind, way)


async def judge(run: Run, every: int, first: int = 0) -> tuple[Counter[str], list[str]]:
    """Run with each Nth change of a field.

    Returns:
        How often what went wrong, and each case of it.
    """
    whole = await run(None)
    return await judged(run, itertools.islice(spoils(whole.seen), first, None, every), whole)


async def judge_disorder(run: Run, every: int = 1, first: int = 0) -> tuple[Counter[str], list[str]]:
    """Run with each Nth disorder of events.

    Returns:
        How often what went wrong, and each case of it.
    """
    whole = await run(None)
    return await judged(run, itertools.islice(disorders(whole.seen), first, None, every), whole)


async def judged(run: Run, troubles: Iterable[Trouble], whole: Outcome) -> tuple[Counter[str], list[str]]:
    """Run with each trouble, and compare with how it is without."""
    found: Counter[str] = Counter()
    cases: list[str] = []
    for trouble in troubles:
        found["runs"] += 1
        problems = problems_of(await run(trouble), whole, trouble.excuses)
        cases += [f"{trouble}: {problem}" for problem in problems]
        found["problems"] += len(problems)
    return found, cases


def problems_of(outcome: Outcome, whole: Outcome, excuses: frozenset[str]) -> list[str]:
    """What must not be."""
    if "opening" in excuses:
        return [told for told in outcome.problems if not any(f"no {kind}" in told for kind in OPENING)]
    problems = [told for told in outcome.problems if "sound" not in excuses or "incomplete" not in told]
    more = outcome.samples - whole.samples
    if "sound" not in excuses and (more < 0 or (more and "more" not in excuses)):
        problems.append(f"{more} samples more")
    if not excuses & {"words", "more"} and outcome.words != whole.words:
        problems.append(f"other words: {outcome.words}")
    if "usage" not in excuses and outcome.tokens < whole.tokens:
        problems.append("usage was lost")
    return problems


async def main(every: int) -> None:
    runs: tuple[Run, ...] = (converse, perform)
    for run in runs:
        name = getattr(run, "__name__", run)
        for found, cases in (await judge_disorder(run), await judge(run, every)):
            print(f"{name}: {found['runs']} runs, {found['problems']} problems", *cases, sep="\n")  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take each Nth change only")
    clock = {"clock": MockClock(autojump_threshold=0)}
    anyio.run(main, parser.parse_args().every, backend="trio", backend_options=clock)
