"""The performance aloud: what is laid on the timeline is played in its order, as soon as it is known."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.stage.loudspeaker import Loudspeaker
from tau_stage.stage.mixing import Beds, mixed

SLACK = RATE
"""Samples kept of what was played, on top of what waits."""


class Aloud:
    """Plays on a loudspeaker, if there is one; else does nothing.

    It follows the timeline while sound can be had in time. A sound that belongs over one that is still waiting is mixed
    into it; one that comes too late for its place is heard at once. While a microphone is open, time goes by itself:
    everything is heard in the order in which it comes.

    Args:
        loudspeaker: Where it is heard.
    """

    def __init__(self, loudspeaker: Loudspeaker | None = None) -> None:
        self._loudspeaker = loudspeaker
        self._end = 0
        self._played = bytearray()
        self._voices: deque[Voice] = deque()
        self._beds = Beds()
        self._chorus: list[tuple[Pcm, int]] | None = None
        self._is_free = False

    @property
    def is_on(self) -> bool:
        """Whether anybody can hear it."""
        return self._loudspeaker is not None

    # ---- what is played

    def play(self, audio: Pcm, at: int | None = None) -> None:
        """Let a sound be heard.

        Args:
            audio: All of it, or a piece.
            at: The sample of the timeline it begins at; None is after all that was played.
        """
        if self._loudspeaker is None or not audio:
            return
        if self._chorus is not None and at is not None:
            self._chorus.append((audio, at))
            return
        at = self._end if at is None or self._is_free else at
        self.reach(at)
        if at < self._end:
            audio, at = self._mix_in(audio, at)
        self._append(audio)

    def reach(self, at: int) -> None:
        """Play silence up to a sample of the timeline, if nothing was played there yet."""
        if self._loudspeaker is not None and not self._is_free and at > self._end:
            self._append(Pcm.silence(at - self._end))

    def voice(self, at: Callable[[], int] | None = None) -> Voice:
        """A voice that is heard while it speaks.

        Args:
            at: Tells the sample of the timeline it begins at; None is after all that was played.
        """
        voice = Voice(self, at)
        if self.is_on:
            self._voices.append(voice)
        return voice

    @contextmanager
    def together(self) -> Iterator[None]:
        """What has a place on the timeline and comes inside is heard at once, when all of it is there."""
        self._chorus = []
        try:
            yield
        finally:
            parts, self._chorus = self._chorus, None
        if parts:
            first = min(at for _, at in parts)
            self.play(mixed((audio, at - first) for audio, at in parts), first)

    @contextmanager
    def freely(self, end: Callable[[], int]) -> Iterator[None]:
        """Inside, time goes by itself.

        Args:
            end: Tells the sample of the timeline at which it is followed again.
        """
        self._is_free = True
        try:
            yield
        finally:
            self._is_free = False
            self.skip_to(end())

    def skip_to(self, at: int) -> None:
        """What is on the timeline before a sample needs no playing: it was heard in the room."""
        self._end = at

    # ---- what is not

    def hush(self) -> None:
        """Somebody speaks into it: what was not heard yet never is, and nobody who speaks is heard any more."""
        for voice in self._voices:
            voice.mute()
        self._voices.clear()
        self._unheard()

    def take_back(self, samples: int) -> None:
        """Let the last samples that were played not be heard, as far as they were not yet."""
        unheard = self._unheard()
        kept = unheard[: max(0, len(unheard) - samples)]
        self._end -= len(unheard) - len(kept)
        self._put(kept)

    # ---- beds

    def begin_bed(self, stem: str, audio: Pcm, at: int) -> None:
        """From a sample of the timeline on a bed lies under everything."""
        if self.is_on and audio:
            self.reach(at)
            self._beds.begin(stem, audio)

    def end_bed(self, stem: str) -> None:
        """A bed ends; it goes softly."""
        self._beds.end(stem)

    # ---- its pace

    async def heard(self, next_at: int | None = None) -> None:
        """Wait until everything so far was heard; the pause before the next sound begins meanwhile.

        Args:
            next_at: The sample of the timeline at which the next sound begins, as far as it is known.
        """
        if self._loudspeaker is None:
            return
        rest_s = self._loudspeaker.waiting_s
        if next_at is not None:
            self.reach(next_at)
        await anyio.sleep(rest_s)

    async def quiet(self, at: int) -> None:
        """Wait until everything up to a sample of the timeline was heard, pauses and all."""
        self.reach(at)
        await self.heard()

    # ---- inside

    def pump(self) -> None:
        """Voices are heard one after another, each to its end."""
        while self._voices and self._voices[0].speak():
            self._voices.popleft()

    def _append(self, audio: Pcm) -> None:
        if audio:
            self._end += len(audio)
            self._put(self._beds.under(audio))

    def _put(self, audio: Pcm) -> None:
        if self._loudspeaker is None or not audio:
            return
        self._loudspeaker.play(audio)
        self._played += audio.data
        spare = len(self._played) - 2 * (round(self._loudspeaker.waiting_s * RATE) + SLACK)
        del self._played[: max(0, spare)]

    def _unheard(self) -> Pcm:
        """Take back what was not heard."""
        if self._loudspeaker is None:
            return Pcm()
        start = max(0, len(self._played) - 2 * self._loudspeaker.flush())
        unheard = Pcm(bytes(self._played[start:]))
        del self._played[start:]
        return unheard

    def _mix_in(self, audio: Pcm, at: int) -> tuple[Pcm, int]:
        """Mix a sound into what was not heard yet; what is left of it, and where that begins."""
        unheard = self._unheard()
        place = max(0, len(unheard) - (self._end - at))
        over = unheard[place:]
        self._put(Pcm.join([unheard[:place], mixed([(over, 0), (audio[: len(over)], 0)])]))
        self._end = at + len(over)
        return audio[len(over) :], self._end


class Voice:
    """Somebody who is heard while speaking, when those before have finished.

    Args:
        aloud: Plays it.
        at: Tells the sample of the timeline it begins at; None is after all that was played.
    """

    def __init__(self, aloud: Aloud, at: Callable[[], int] | None = None) -> None:
        self._aloud = aloud
        self._at = at
        self._start: int | None = None
        self._given = 0
        self._waiting: list[Pcm] = []
        self._is_done = False
        self._is_muted = not aloud.is_on

    def sounded(self, audio: Pcm) -> None:
        """A piece of sound has come."""
        if not self._is_muted:
            self._waiting.append(audio)
            self._aloud.pump()

    def again(self) -> None:
        """It starts anew: what was not heard yet never is."""
        self._waiting.clear()
        if self._given:
            self._aloud.take_back(self._given)
        self._given = 0

    def done(self) -> None:
        """No more will come."""
        self._is_done = True
        self._aloud.pump()

    def mute(self) -> None:
        """Nothing that comes is heard any more."""
        self._is_muted = True
        self._waiting.clear()

    def speak(self) -> bool:
        """Play what has come; whether that is all."""
        if self._waiting and self._start is None and self._at is not None:
            self._start = self._at()
        for audio in self._waiting:
            self._aloud.play(audio, None if self._start is None else self._start + self._given)
            self._given += len(audio)
        self._waiting.clear()
        return self._is_done
