"""What the understudies of one house have said: so that one can write down what it hears another say."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from tau_stage.audio.level import rms_dbfs
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.understudy.shelf import Shelf, Shelved

KEPT = 256
"""Lines remembered; the oldest go first."""

PROBE = RATE // 8
INAUDIBLE = "[inaudible]"


class Known(NamedTuple):
    """A sound and its words."""

    audio: Shelved
    words: str


@dataclass(slots=True)
class Library:
    """Lines spoken lately, and the words of each. The sounds are on disk."""

    _lines: OrderedDict[bytes, Known] = field(default_factory=OrderedDict)
    _taught: dict[bytes, Known] = field(default_factory=dict)
    _shelf: Shelf = field(default_factory=Shelf)

    def teach(self, audio: Pcm, words: str) -> None:
        """A sound from outside, and its words: it is never forgotten."""
        kept = self._shelf.put(audio)
        self._taught[kept.digest] = Known(kept, words)

    def add(self, audio: Pcm | Shelved, words: str) -> None:
        """A line was spoken; where the disk is full it is not remembered."""
        try:
            kept = audio if isinstance(audio, Shelved) else self._shelf.put(audio)
        except OSError:
            return
        key = kept.digest
        self._lines[key] = Known(kept, words)
        self._lines.move_to_end(key)
        while len(self._lines) > KEPT:
            self._lines.popitem(last=False)

    def words(self, audio: Pcm) -> str:
        """The words of a sound, if a known line is in it; else ``[inaudible]``.

        An eighth of a second of its loudest stretch is looked for, sample by sample.
        """
        key = hashlib.sha256(audio.data).digest()
        for known in (self._taught, self._lines):
            if key in known:
                return known[key].words
        spans = [audio[at : at + PROBE] for at in range(0, max(1, len(audio) - PROBE), PROBE)]
        probe = max(spans, key=rms_dbfs)
        if len(probe) < PROBE or rms_dbfs(probe) < -60:
            return INAUDIBLE
        lines = (*self._taught.values(), *reversed(self._lines.values()))
        return next((line.words for line in lines if line.audio.holds(probe.data)), INAUDIBLE)
