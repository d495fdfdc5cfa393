"""What the input buffer of a session holds, on the client's side: to know later what an item sounded like."""

from __future__ import annotations

from dataclasses import dataclass, field

from tau_stage.audio.pcm import RATE, Pcm

KEPT_S = 5.0
"""Sound kept while nobody speaks: more than any prefix that turn detection reaches back for."""


@dataclass(slots=True)
class InputBuffer:
    """Sound appended and not yet made an item. Its memory does not grow while turn detection hears nothing.

    Attributes:
        begins: Where it begins, in samples since the session began.
    """

    begins: int = 0
    _sounds: list[Pcm] = field(default_factory=list)
    _samples: int = 0
    _spoken: dict[str, tuple[int, int | None]] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Seconds that it holds."""
        return self._samples / RATE

    def append(self, audio: Pcm) -> None:
        """Add sound that was sent."""
        self._sounds.append(audio)
        self._samples += len(audio)

    def forget_silence(self) -> None:
        """Let go of what lies further back than any prefix; for sessions whose turns are detected."""
        too_much = self._samples - round(KEPT_S * RATE)
        while not self._spoken and self._sounds and len(self._sounds[0]) <= too_much:
            first = self._sounds.pop(0)
            self.begins += len(first)
            self._samples -= len(first)
            too_much -= len(first)

    def started(self, item_id: str, start_ms: int) -> None:
        """Note that speech began."""
        self._spoken[item_id] = (start_ms, None)

    def stopped(self, item_id: str, end_ms: int) -> None:
        """Note that speech ended."""
        start_ms, _ = self._spoken.get(item_id, (0, None))
        self._spoken[item_id] = (start_ms, end_ms)

    def heard_ms(self, item_id: str) -> tuple[int, int | None] | None:
        """Tell where an item was heard, if turn detection told."""
        return self._spoken.get(item_id)

    def committed(self, item_id: str) -> Pcm | None:
        """Take the sound of the item that was made of the buffer; the buffer is empty then."""
        whole = Pcm.join(self._sounds)
        span = self._spoken.pop(item_id, None)
        if span:
            start, end = (None if ms is None else ms * RATE // 1000 - self.begins for ms in span)
            sound = whole[max(0, start or 0) : end if end is None else max(0, end)]
            keep = whole[end or len(whole) :]
        else:
            sound, keep = whole, Pcm()
        self.begins += len(whole) - len(keep)
        self._sounds, self._samples = [keep] if keep else [], len(keep)
        return sound or None

    def clear(self) -> None:
        """Clear the buffer."""
        self.begins += self._samples
        self._sounds, self._samples = [], 0
        self._spoken.clear()
