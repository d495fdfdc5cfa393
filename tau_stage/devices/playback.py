"""Playback: what is laid on the timeline is played in its order, as soon as it is known."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import anyio
import numpy as np

from tau_stage.audio import RATE, Pcm, faded
from tau_stage.devices.sound_cards import Loudspeaker
from tau_stage.take import FADE, Bed

SLACK = RATE  # samples kept of what was played, on top of what waits


class Playback:
    """Plays on a loudspeaker, if there is one; else does nothing.

    It follows the timeline while sound can be had in time. A sound that belongs over one that is still waiting is mixed
    into it; one that comes too late for its place is heard at once. While a microphone is open, time goes by itself:
    everything is heard in the order in which it comes.
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
        """Play a sound, or a piece of it, from a sample of the timeline on; None is after all that was played."""
        if self._loudspeaker is None or not audio:
            return
        if self._chorus is not None and at is not None:
            self._chorus.append((audio, at))
            return
        at = self._end if at is None or self._is_free else at
        self.pad_to(at)
        if at < self._end:
            audio, at = self._mix_in(audio, at)
        self._append(audio)

    def pad_to(self, at: int) -> None:
        """Play silence up to a sample of the timeline, if nothing was played there yet."""
        if self._loudspeaker is not None and not self._is_free and at > self._end:
            self._append(Pcm.silence(at - self._end))

    def voice(self, at: Callable[[], int] | None = None) -> Voice:
        """Make a voice that is heard while it speaks; ``at`` tells the sample of the timeline it begins at."""
        voice = Voice(self, at)
        if self.is_on:
            self._voices.append(voice)
        return voice

    @contextmanager
    def together(self) -> Iterator[None]:
        """Collect what comes inside with a place on the timeline, and play it at once when the block ends."""
        self._chorus = []
        try:
            yield
        finally:
            parts, self._chorus = self._chorus, None
        if parts:
            first = min(at for _, at in parts)
            self.play(mix((audio, at - first) for audio, at in parts), first)

    @contextmanager
    def in_real_time(self, end: Callable[[], int]) -> Iterator[None]:
        """Play everything in the block in the order in which it comes, and go on at the sample that ``end`` tells."""
        self._is_free = True
        try:
            yield
        finally:
            self._is_free = False
            self.skip_to(end())

    def skip_to(self, at: int) -> None:
        """Go on at a sample of the timeline: what is before it was heard in the room."""
        self._end = at

    # ---- what is not

    def mute(self) -> None:
        """Throw away what was not heard yet, and mute everybody who speaks: somebody interrupts them."""
        for voice in self._voices:
            voice.mute()
        self._voices.clear()
        self._unheard()

    def rewind(self, samples: int) -> None:
        """Throw away the last samples that were played, as far as they were not heard yet."""
        unheard = self._unheard()
        kept = unheard[: max(0, len(unheard) - samples)]
        self._end -= len(unheard) - len(kept)
        self._put(kept)

    # ---- beds

    def begin_bed(self, stem: str, audio: Pcm, at: int) -> None:
        """Lay a bed under everything from a sample of the timeline on."""
        if self.is_on and audio:
            self.pad_to(at)
            self._beds.begin(stem, audio)

    def end_bed(self, stem: str) -> None:
        """End a bed with a fade."""
        self._beds.end(stem)

    # ---- its pace

    async def wait_until_heard(self, next_at: int | None = None) -> None:
        """Wait until everything so far was heard; the pause before the next sound begins meanwhile."""
        if self._loudspeaker is None:
            return
        rest_s = self._loudspeaker.waiting_s
        if next_at is not None:
            self.pad_to(next_at)
        await anyio.sleep(rest_s)

    async def wait_until(self, at: int) -> None:
        """Wait until everything up to a sample of the timeline was heard, pauses and all."""
        self.pad_to(at)
        await self.wait_until_heard()

    # ---- inside

    def play_voices(self) -> None:
        """Play the voices one after another, each to its end."""
        while self._voices and self._voices[0].play_ready():
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
        """Take from the loudspeaker what was not heard."""
        if self._loudspeaker is None:
            return Pcm()
        start = max(0, len(self._played) - 2 * self._loudspeaker.flush())
        unheard = Pcm(bytes(self._played[start:]))
        del self._played[start:]
        return unheard

    def _mix_in(self, audio: Pcm, at: int) -> tuple[Pcm, int]:
        """Mix a sound into what was not heard yet. Return what is left of it, and where that begins."""
        unheard = self._unheard()
        place = max(0, len(unheard) - (self._end - at))
        over = unheard[place:]
        self._put(Pcm.join([unheard[:place], mix([(over, 0), (audio[: len(over)], 0)])]))
        self._end = at + len(over)
        return audio[len(over) :], self._end


class Voice:
    """Somebody who is heard while speaking, when those before have finished."""

    def __init__(self, playback: Playback, at: Callable[[], int] | None = None) -> None:
        self._playback = playback
        self._at = at
        self._start: int | None = None
        self._given = 0
        self._waiting: list[Pcm] = []
        self._is_done = False
        self._is_muted = not playback.is_on

    def append(self, audio: Pcm) -> None:
        """Take a piece of sound that has come."""
        if not self._is_muted:
            self._waiting.append(audio)
            self._playback.play_voices()

    def restart(self) -> None:
        """Start anew: what was not heard yet never is."""
        self._waiting.clear()
        if self._given:
            self._playback.rewind(self._given)
        self._given = 0

    def finish(self) -> None:
        """Say that no more will come."""
        self._is_done = True
        self._playback.play_voices()

    def mute(self) -> None:
        """Play nothing more of it."""
        self._is_muted = True
        self._waiting.clear()

    def play_ready(self) -> bool:
        """Play what has come. Return whether that is all."""
        if self._waiting and self._start is None and self._at is not None:
            self._start = self._at()
        for audio in self._waiting:
            self._playback.play(audio, None if self._start is None else self._start + self._given)
            self._given += len(audio)
        self._waiting.clear()
        return self._is_done


class Beds:
    """What lies under everything that is played."""

    def __init__(self) -> None:
        self._beds: dict[str, Bed[Pcm]] = {}
        self._fading: dict[str, int] = {}

    def begin(self, stem: str, audio: Pcm) -> None:
        """Begin a bed."""
        self._beds[stem] = Bed(audio)
        self._fading.pop(stem, None)

    def end(self, stem: str) -> None:
        """End a bed. What was played cannot be made softer any more: it fades under what comes next."""
        if stem in self._beds:
            self._fading[stem] = FADE

    def under(self, audio: Pcm) -> Pcm:
        """Lay all beds under what is played next."""
        if not self._beds:
            return audio
        return mix([(audio, 0), *((self._next(stem, len(audio)), 0) for stem in list(self._beds))])

    def _next(self, stem: str, samples: int) -> Pcm:
        left = self._fading.get(stem)
        if left is None:
            return _taken(self._beds[stem], samples)
        piece = _taken(self._beds[stem], min(left, samples))
        self._fading[stem] = left - len(piece)
        if left == len(piece):
            del self._beds[stem], self._fading[stem]
        return faded(piece, left / FADE, (left - len(piece)) / FADE)


def mix(parts: Iterable[tuple[Pcm, int]]) -> Pcm:
    """Lay sounds over each other, each from a sample on. What does not fit is clipped.

    >>> mix([(Pcm.silence(2), 0), (Pcm.silence(2), 3)]) == Pcm.silence(5)
    True
    """
    parts = list(parts)
    out = np.zeros(max((at + len(audio) for audio, at in parts), default=0), np.int32)
    for audio, at in parts:
        out[at : at + len(audio)] += audio.array
    return Pcm.from_array(out.clip(-32_768, 32_767).astype(np.int16))


def _taken(bed: Bed[Pcm], samples: int) -> Pcm:
    parts: list[Pcm] = []
    while samples > 0:
        parts.append(bed.next(samples))
        samples -= len(parts[-1])
    return Pcm.join(parts)
