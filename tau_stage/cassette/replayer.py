"""Replaying: a stage on which the providers are a cassette, and say again what they said, in the same order.

Theory of operation. The recording is one queue of everything that happened, whoever's it was. What is at its head is
due: an event of a server happens at the moment it did then, counted from ``_base``; one of a client, or the opening of
a connection, when the performance sends it. Everybody waits with ``wait_turn`` until all before has happened, and then
says so with ``happened``, which takes it from the queue and wakes the others: two runs of a scene see the same order.

A client may be late, as its tools are: then ``_base`` moves, and all that follows is as much later. It may send two
events of one connection in the other order: an event that was recorded later is taken when it comes, and its answer
waits for the missing one a moment only. What is sent must be what was sent (``event_diff``); else, or when what is due
does not come within ``PATIENCE_S``, the scene has parted from the cassette: whoever notices first raises
``CassetteDiffers``, and everybody else waits to be cancelled.

Run it on a virtual clock (``tau_stage.clock.VIRTUAL``): nobody waits, and every latency is as it was, to a millisecond.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from shlex import quote

import anyio
import anyio.lowlevel
import pybase64
from pydantic_core import from_json, to_json

from tau_stage.cassette import event_diff
from tau_stage.cassette.clips import RECORD_AGAIN, Event, replace_audio
from tau_stage.cassette.format import MANIFEST, REFUSAL, Cassette, CassetteEvent, load_cassette
from tau_stage.errors import CassetteDiffers, CassetteError, ConnectFailed, SessionClosed, Timeout
from tau_stage.gate import LocalGate
from tau_stage.protocol import Endpoint, endpoint
from tau_stage.scene import Plan, PlayerPlan
from tau_stage.session import Deadlines
from tau_stage.signals import Signal
from tau_stage.stage import Stage
from tau_stage.take import Take
from tau_stage.transport import Transport

PATIENCE_S = 20.0
"""How much later than it was recorded something may be sent; less than any deadline of a session's request."""

SLACK_S = 0.01  # how late something is before what was sent in its stead, on the same connection, is answered

TICK_S = 0.001

LATE_S = 0.005  # what is later than this moves everything after it: a tool may take its time


class Replay:
    """A cassette that plays the providers of one performance, on ``stage``."""

    def __init__(self, cassette: Cassette) -> None:
        self.cassette = cassette
        self.differs: CassetteDiffers | None = None
        self.stage = Stage(self._connect, self._provider_of, LocalGate(), Deadlines())
        self._left = deque(cassette.entries)
        self._done: set[int] = set()
        self._changed = Signal()
        self._base = -math.inf
        self._dials: dict[str, int] = {}

    @classmethod
    def of(cls, plan: Plan, folder: Path) -> Replay:
        """Replay a scene's cassette.

        Raises:
            CassetteError: There is none for it, or it is damaged.
        """
        path = folder / plan.slug
        if folder.is_file():
            hint = "pass a directory of cassettes; tau-stage run SCENE --record DIR creates one"
            raise CassetteError(str(folder), "is a file, not a directory of cassettes", hint)
        if not (path / MANIFEST).is_file():
            hint = f"record it with: tau-stage run {quote(plan.path)} --record {quote(str(folder))}"
            raise CassetteError(str(path), "no cassette found for this scene", hint)
        return cls(load_cassette(path))

    def finish(self, take: Take) -> None:
        """Make sure that the scene said all that was recorded: else raise a ``CassetteDiffers``."""
        if self.differs:
            raise self.differs
        left = (entry for entry in self.cassette.entries if entry.number not in self._done)
        missed = next((entry for entry in left if entry.kind in ("ask", "dial")), None)
        if take.ended in ("complete", "incomplete") and missed:
            raise self._missing(missed)

    def _provider_of(self, player: PlayerPlan) -> Endpoint:
        track = self.cassette.manifest.players.get(player.name)
        if track is None:
            raise self._difference(player.name, "", "player", "no player with that name", repr(player.name))
        try:
            place = endpoint(track.endpoint, track.dialect)
        except KeyError:
            problem = f"unknown endpoint {track.endpoint!r}"
            raise CassetteError(str(self.cassette.path), problem, RECORD_AGAIN) from None
        if player.endpoint and "://" not in player.endpoint and player.endpoint != track.endpoint:
            raise self._difference(player.name, "", "endpoint", repr(track.endpoint), repr(player.endpoint))
        return place

    # ---- the order of things

    def due(self, entry: CassetteEvent) -> float:
        """Tell when something happens, on the clock of the loop."""
        return self._base + entry.at_ms / 1000

    async def wait_turn(self, entry: CassetteEvent, socket: ReplayedTransport | None = None) -> None:
        """Wait until everything before it has happened; a ``SessionClosed`` says that the player has hung up."""
        while self._left and self._left[0] is not entry and entry.number not in self._done:
            first = self._left[0]
            if socket:
                socket.check()
            patience = math.inf
            if first.kind in ("ask", "dial"):
                late = anyio.current_time() - self.due(first)
                if late > SLACK_S and socket and socket.was_hasty(first, entry):
                    return
                if late > PATIENCE_S:
                    await self.diverge(self._missing(first))
                patience = (PATIENCE_S if late > SLACK_S else SLACK_S) - late + TICK_S
            with anyio.move_on_after(patience):
                await self._changed.wait()

    def happened(self, entry: CassetteEvent) -> None:
        """Note that something has happened; what comes late delays all that follows."""
        late = anyio.current_time() - self.due(entry)
        if entry.kind in ("ask", "dial") and late > LATE_S:
            self._base += math.ceil(late * 1000) / 1000
        self.skip([entry])

    def skip(self, entries: Iterable[CassetteEvent]) -> None:
        """Wait no more for some things."""
        self._done.update(entry.number for entry in entries)
        while self._left and self._left[0].number in self._done:
            self._left.popleft()
        self._changed.notify()

    # ---- differences

    async def diverge(self, difference: CassetteDiffers) -> None:
        """Note that the scene parted from the cassette: the first to notice raises it, the others wait for the end."""
        if self.differs is None:
            self.differs = difference
            raise difference
        await anyio.sleep_forever()

    def differing(self, player: str, asked: list[CassetteEvent], now: Event) -> CassetteDiffers:
        """Tell how an event differs from what was recorded."""
        lines = self.cassette.manifest.lines
        akin = next((entry.body for entry in asked if event_diff.is_counterpart(entry.body, now)), None)
        found = event_diff.first_difference(akin, now, self.cassette.clips.is_same) if akin else None
        if akin and found:
            return self._difference(player, event_diff.line_of(akin, lines), found.field, *found.shown())
        first = asked[0].body if asked else None
        line = event_diff.line_of(first, lines) if first else ""
        recorded, sent = event_diff.describe_event(first, lines), event_diff.describe_event(now, {})
        return self._difference(player, line, "conversation", recorded, sent)

    def _missing(self, entry: CassetteEvent) -> CassetteDiffers:
        lines = self.cassette.manifest.lines
        told = "a new session" if entry.kind == "dial" else event_diff.describe_event(entry.body, lines)
        return self._difference(entry.player, event_diff.line_of(entry.body, lines), "conversation", told, "nothing")

    def _difference(self, player: str, line: str, field: str, recorded: str, now: str) -> CassetteDiffers:
        return CassetteDiffers(str(self.cassette.path), player, line, field, recorded, now)

    # ---- connections

    async def _next_opening(self, player: str) -> list[CassetteEvent]:
        """Return what was recorded of the socket that a player opens now."""
        number = self._dials[player] = self._dials.get(player, 0) + 1
        entries = [entry for entry in self.cassette.entries if (entry.player, entry.socket) == (player, number)]
        if not entries or entries[0].kind != "dial":
            await self.diverge(self._difference(player, "", "opening", f"{number - 1}", f"{number}"))
        return entries

    @asynccontextmanager
    async def _connect(self, player: PlayerPlan) -> AsyncIterator[Transport]:
        if self._base == -math.inf:
            self._base = math.ceil(anyio.current_time() * 1000) / 1000
        dialled, *rest = await self._next_opening(player.name)
        if found := event_diff.first_difference(dialled.body, {"model": player.model}, self.cassette.clips.is_same):
            await self.diverge(self._difference(player.name, "", "model", *found.shown()))
        await self.wait_turn(dialled)
        self.happened(dialled)
        if not rest or rest[0].kind not in ("opened", "refused"):
            raise CassetteError(
                str(self.cassette.path), f"the recorded start of a session of {player.name} is incomplete", RECORD_AGAIN
            )
        outcome, *rest = rest
        await self.wait_turn(outcome)
        await anyio.sleep_until(self.due(outcome))
        self.happened(outcome)
        if outcome.kind == "refused":
            raise _refusal(outcome.body)
        transport = ReplayedTransport(self, player.name, rest)
        try:
            yield transport
        finally:
            transport.drop()


def _refusal(facts: Event) -> ConnectFailed | Timeout:
    if "waited_s" in facts:
        return Timeout(what=str(facts.get("what")), waited_s=float(facts["waited_s"]))
    return ConnectFailed(**{"reason": ""} | {key: facts[key] for key in REFUSAL if key in facts})


class ReplayedTransport:
    """One connection of a cassette."""

    def __init__(self, replay: Replay, player: str, entries: list[CassetteEvent]) -> None:
        self._replay = replay
        self._player = player
        self._clips = replay.cassette.clips
        self._to_send = [entry for entry in entries if entry.kind == "ask"]
        self._to_receive = deque(entry for entry in entries if entry.kind in ("told", "raw", "closed"))
        self._hasty: set[int] = set()
        self._names: dict[str, str] = {}
        self._closed: SessionClosed | None = None
        self._over = anyio.Event()

    def check(self) -> None:
        """Make sure that it is open: else raise a ``SessionClosed``."""
        if self._closed:
            raise self._closed.about()

    def was_hasty(self, missing: CassetteEvent, told: CassetteEvent) -> bool:
        """Tell whether something was sent before its turn and waits for its answer: two clips that changed places."""
        return told.kind != "ask" and any(missing.number < sent < told.number for sent in self._hasty)

    async def send(self, frame: bytes) -> None:
        """Send one frame; a ``CassetteDiffers`` tells that it is not what was sent when it was recorded."""
        self.check()
        now = replace_audio(from_json(frame), lambda coded: event_diff.SentAudio(pybase64.b64decode(coded)), str)
        same = (
            entry
            for entry in self._to_send
            if event_diff.first_difference(entry.body, now, self._clips.is_same) is None
        )
        entry = next(same, None)
        if entry is None:
            await self._replay.diverge(self._replay.differing(self._player, self._to_send, now))
            return
        is_next = entry is self._to_send[0]
        if not is_next:
            self._hasty.add(entry.number)
        self._to_send.remove(entry)
        self._names.update(event_diff.changed_ids(entry.body, now))
        try:
            if is_next:
                await self._replay.wait_turn(entry, self)
        finally:
            self._replay.happened(entry)
        await anyio.lowlevel.checkpoint()

    async def receive(self) -> bytes:
        """Return the next frame, when it came."""
        self.check()
        if not self._to_receive:
            await self._over.wait()
            self.check()
        entry = self._to_receive[0]
        await self._replay.wait_turn(entry, self)
        with anyio.move_on_after(max(0.0, self._replay.due(entry) - anyio.current_time())):
            await self._over.wait()
        self.check()
        self._to_receive.popleft()
        self._replay.happened(entry)
        if entry.kind == "closed":
            self._closed = SessionClosed(code=int(entry.body.get("code", 1006)), reason=str(entry.body.get("reason")))
            self.check()
        if entry.kind == "raw":
            return str(entry.body.get("frame")).encode()
        event = event_diff.replace_ids(entry.body, self._names) if self._names else entry.body
        return to_json(replace_audio(event, lambda ref: pybase64.b64encode(self._clips.bytes_of(ref)).decode(), dict))

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Hang up."""
        self._end(SessionClosed(code=code, reason=reason))
        await anyio.lowlevel.checkpoint()

    def drop(self) -> None:
        """Hang up without a word."""
        self._end(SessionClosed(code=1006, reason="the connection was lost"))

    def _end(self, closed: SessionClosed) -> None:
        self._closed = self._closed or closed
        self._over.set()
        self._replay.skip(self._to_receive)
