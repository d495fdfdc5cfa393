"""Sounds over each other, while they are played."""

from __future__ import annotations

from collections.abc import Iterable

from tau_stage.audio.level import faded
from tau_stage.audio.pcm import Pcm
from tau_stage.take.stems import FADE, Bed


class Beds:
    """What lies under everything that is played."""

    def __init__(self) -> None:
        self._beds: dict[str, Bed] = {}
        self._fading: dict[str, int] = {}

    def begin(self, stem: str, audio: Pcm) -> None:
        """A bed begins."""
        self._beds[stem] = Bed(audio)
        self._fading.pop(stem, None)

    def end(self, stem: str) -> None:
        """A bed ends. What was played cannot be made softer any more: it fades under what comes next."""
        if stem in self._beds:
            self._fading[stem] = FADE

    def under(self, audio: Pcm) -> Pcm:
        """What is played next, with all beds under it."""
        if not self._beds:
            return audio
        return mixed([(audio, 0), *((self._next(stem, len(audio)), 0) for stem in list(self._beds))])

    def _next(self, stem: str, samples: int) -> Pcm:
        left = self._fading.get(stem)
        if left is None:
            return _taken(self._beds[stem], samples)
        piece = _taken(self._beds[stem], min(left, samples))
        self._fading[stem] = left - len(piece)
        if left == len(piece):
            del self._beds[stem], self._fading[stem]
        return faded(piece, left / FADE, (left - len(piece)) / FADE)


def mixed(parts: Iterable[tuple[Pcm, int]]) -> Pcm:
    """Sounds over each other, each from a sample on; what does not fit is clipped.

    >>> mixed([(Pcm.silence(2), 0), (Pcm.silence(2), 3)]) == Pcm.silence(5)
    True
    """
    import numpy as np

    parts = list(parts)
    mix = np.zeros(max((at + len(audio) for audio, at in parts), default=0), np.int32)
    for audio, at in parts:
        mix[at : at + len(audio)] += audio.array
    return Pcm.from_array(mix.clip(-32_768, 32_767).astype(np.int16))


def _taken(bed: Bed, samples: int) -> Pcm:
    parts: list[Pcm] = []
    while samples > 0:
        parts.append(bed.next(samples))
        samples -= len(parts[-1])
    return Pcm.join(parts)
