"""Spoil one field of one event that a server sends, in every way, and see what a session and a performance make of it.

``python -m tests.wire_mutations`` spoils every field of every known event; ``--every N`` takes each Nth. Nothing may
end a session or leave as an error that is not ours, and no sound and no usage that had come may be lost.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from trio.testing import MockClock

from tau_stage.errors import StageError
from tau_stage.protocol.config import conducted
from tau_stage.protocol.conversation import Response
from tau_stage.scene.plan import PlayerPlan
from tau_stage.session import Deadlines, Tool, open_session
from tau_stage.transport import Transport
from tau_stage.understudy.server import Understudy
from tests.backstage import connected
from tests.playhouse import Playhouse
from tests.tones import Tones, tone
from tests.wire import MISSING, SAMPLES, Change, changes, spoilt

QUICK = Deadlines(opening_s=2, request_s=3, response_s=4, closing_s=1)

BEFORE = "response.output_item.added"
"""An event of a type that the understudy does not send comes before the first of this type."""

SOUND = "response.output_audio.delta"

SCENE = """
players: {ann: {voice: ash}, bob: {voice: sage}}
lines:
  - ann: Hello there, everybody.
  - bob: Good evening.
  - ann: And good night.
limits: {opening: 2s, hearing: 3s, silence: 4s}
"""


@dataclass(frozen=True, slots=True)
class Spoil:
    """One field of the first event of one type is changed.

    Attributes:
        kind: The type.
        change: What is changed.
        added: The event as it is added, where the understudy sends none of the type.
    """

    kind: str
    change: Change
    added: dict[str, Any] | None = None

    def __str__(self) -> str:
        path, value = self.change
        return f"{self.kind}: {'.'.join(map(str, path))} is {'missing' if value is MISSING else json.dumps(value)}"

    @property
    def loses_sound(self) -> bool:
        """Whether a response cannot be whole with it."""
        return self.kind == SOUND and self.change[0] == ("delta",)


class Spoiling:
    """A transport that spoils what comes in.

    Args:
        inner: Where events come from.
        spoil: What is spoilt; None leaves everything as it is.
    """

    def __init__(self, inner: Transport, spoil: Spoil | None) -> None:
        self.received: list[bytes] = []
        self._inner = inner
        self._spoil = spoil
        self._waiting: list[bytes] = []

    async def send(self, frame: bytes) -> None:
        await self._inner.send(frame)

    async def receive(self) -> bytes:
        if self._waiting:
            return self._waiting.pop()
        frame = await self._inner.receive()
        self.received.append(frame)
        spoil = self._spoil
        if spoil is None:
            return frame
        kind = json.loads(frame)["type"]
        if spoil.added is not None and kind == BEFORE:
            self._spoil, self._waiting = None, [frame]
            return json.dumps(spoilt(spoil.added, spoil.change)).encode()
        if kind == spoil.kind:
            self._spoil = None
            return json.dumps(spoilt(json.loads(frame), spoil.change)).encode()
        return frame

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
        seen: The first event of each type.
    """

    problems: list[str] = field(default_factory=list)
    samples: int = 0
    tokens: int = 0
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)


Run = Callable[[Spoil | None], Awaitable[Outcome]]


async def converse(spoil: Spoil | None) -> Outcome:
    """Hold one conversation: words, sound, an item that is cut and one that is deleted."""
    outcome = Outcome()
    responses: list[Response] = []
    lights = Tool("lights", "The listener wants the lights on.", {"type": "object", "properties": {}}, lambda: "on")
    try:
        async with connected(Understudy(Tones()), judged=False) as socket:
            transport = Spoiling(socket.inner, spoil)
            wanted = conducted(voice="ash", tools=(lights.told,))
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
    outcome.tokens = sum(response.usage.audio_out + response.usage.text_out for response in responses)
    return outcome


class SpoiltHouse(Playhouse):
    """A house in which the first session's events are spoilt."""

    def __init__(self, tmp_path: Path, spoil: Spoil | None) -> None:
        super().__init__(tmp_path, judges=False)
        self._spoil = spoil
        self.transports: list[Spoiling] = []

    @asynccontextmanager
    async def _connect(self, player: PlayerPlan) -> AsyncIterator[Transport]:
        async with super()._connect(player) as transport:
            self.transports.append(Spoiling(transport, self._spoil if not self.transports else None))
            yield self.transports[-1]


async def perform(spoil: Spoil | None) -> Outcome:
    """Perform a scene."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as place:
        house = SpoiltHouse(Path(place), spoil)
        take = await house.perform(SCENE, deadlines=QUICK)
        if take.ended != "complete":
            outcome.problems.append(f"the take is {take.ended}: {take.problem}")
        if any(player.opening_attempts > 1 for player in take.players):
            outcome.problems.append("a session was opened again")
        if any("opened again" in warning for warning in take.warnings):
            outcome.problems.append("a player was lost")
        spoken = [(line.samples, line.usage.audio_out + line.usage.text_out) for line in take.lines]
        outcome.samples = sum(samples for samples, _ in spoken)
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


async def judge(run: Run, every: int, first: int = 0) -> tuple[Counter[str], list[str]]:
    """Run with each Nth change.

    Returns:
        How often what went wrong, and each case of it.
    """
    whole = await run(None)
    found: Counter[str] = Counter()
    cases: list[str] = []
    for spoil in itertools.islice(spoils(whole.seen), first, None, every):
        found["runs"] += 1
        outcome = await run(spoil)
        problems = outcome.problems
        if outcome.samples < whole.samples and not spoil.loses_sound:
            problems = [*problems, f"{whole.samples - outcome.samples} samples were lost"]
        if outcome.tokens < whole.tokens and spoil.kind != "response.done":
            problems = [*problems, "usage was lost"]
        cases += [f"{spoil}: {problem}" for problem in problems]
        found["problems"] += len(problems)
    return found, cases


async def main(every: int) -> None:
    runs: tuple[Run, ...] = (converse, perform)
    for run in runs:
        found, cases = await judge(run, every)
        print(f"{getattr(run, '__name__', run)}: {found['runs']} runs, {found['problems']} problems", *cases, sep="\n")  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take each Nth change only")
    clock = {"clock": MockClock(autojump_threshold=0)}
    anyio.run(main, parser.parse_args().every, backend="trio", backend_options=clock)
