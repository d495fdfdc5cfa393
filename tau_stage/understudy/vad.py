"""Turn detection: where speech begins and ends in what is appended, by energy. Pure.

The parameters and their meaning are those of ``server_vad`` (OpenAI API reference, "Voice activity detection");
``semantic_vad`` is taken as a silence whose length its eagerness sets. The threshold of 0.5 stands for -45 dBFS, which
separates clean speech from silence; 0 and 1 are 20 dB below and above.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tau_stage.audio import RATE, Pcm, rms_dbfs
from tau_stage.protocol import JsonObject

FRAME_MS = 20
FRAME = RATE * FRAME_MS // 1000
STARTING_FRAMES = 3
"""Loud frames in a row that are speech; a click has fewer."""

PATIENCE_MS = {"low": 1600, "medium": 800, "auto": 800, "high": 400}


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """Speech began, so many milliseconds into the input, padding included."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """Speech ended; the turn reaches from ``from_ms`` to ``at_ms``."""

    from_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Nobody has spoken for too long."""

    from_ms: int
    at_ms: int


@dataclass(slots=True)
class TurnDetector:
    """Listens to the input in frames of 20 ms, as the session's ``turn_detection`` says."""

    settings: JsonObject
    heard_ms: int = 0
    _rest: Pcm = field(default_factory=Pcm)
    _loud: int = 0
    _quiet_ms: int = 0
    _since_ms: int | None = None
    _idle_from_ms: int = 0

    def feed(self, audio: Pcm) -> list[TurnStarted | TurnEnded | TimedOut]:
        """Listen to some more input, and tell what it makes of it."""
        self._rest = Pcm.join([self._rest, audio])
        found = []
        while len(self._rest) >= FRAME:
            frame, self._rest = self._rest[:FRAME], self._rest[FRAME:]
            self.heard_ms += FRAME_MS
            if news := self._frame(rms_dbfs(frame) > self._floor_dbfs):
                found.append(news)
        return found

    def idle_from_now(self) -> None:
        """Count the idle time from here: the answer is over."""
        self._idle_from_ms = self.heard_ms

    @property
    def _floor_dbfs(self) -> float:
        return -45 + 40 * ((self.settings.get("threshold") or 0.5) - 0.5)

    @property
    def _silence_ms(self) -> int:
        if self.settings["type"] == "semantic_vad":
            return PATIENCE_MS[self.settings.get("eagerness") or "auto"]
        return int(self.settings.get("silence_duration_ms") or 200)

    def _frame(self, is_loud: bool) -> TurnStarted | TurnEnded | TimedOut | None:
        self._loud = self._loud + 1 if is_loud else 0
        self._quiet_ms = 0 if is_loud else self._quiet_ms + FRAME_MS
        if self._since_ms is None:
            return self._start() if self._loud >= STARTING_FRAMES else self._idle()
        if self._quiet_ms < self._silence_ms:
            return None
        since, self._since_ms = self._since_ms, None
        self._idle_from_ms = self.heard_ms
        return TurnEnded(since, self.heard_ms)

    def _start(self) -> TurnStarted:
        padding = self.settings.get("prefix_padding_ms") or 0
        self._since_ms = max(0, self.heard_ms - STARTING_FRAMES * FRAME_MS - padding)
        return TurnStarted(self._since_ms)

    def _idle(self) -> TimedOut | None:
        limit = self.settings.get("idle_timeout_ms")
        if not limit or self.heard_ms - self._idle_from_ms < limit:
            return None
        idle_from, self._idle_from_ms = self._idle_from_ms, self.heard_ms
        return TimedOut(idle_from, self.heard_ms)
