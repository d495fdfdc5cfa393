"""What the understudies of one house have said: so that one can write down what it hears another say."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from tau_stage.audio.level import rms_dbfs
from tau_stage.audio.pcm import RATE, Pcm

KEPT = 256
"""Lines remembered; the oldest go first."""

PROBE = RATE // 8
INAUDIBLE = "[inaudible]"


@dataclass(slots=True)
class Library:
    """Lines spoken lately, and the words of each."""

    _lines: OrderedDict[bytes, str] = field(default_factory=OrderedDict)
    _taught: dict[bytes, str] = field(default_factory=dict)

    def teach(self, audio: Pcm, words: str) -> None:
        """A sound from outside, and its words: it is never forgotten."""
        self._taught[audio.data] = words

    def add(self, audio: Pcm, words: str) -> None:
        """A line was spoken."""
        self._lines[audio.data] = words
        self._lines.move_to_end(audio.data)
        while len(self._lines) > KEPT:
            self._lines.popitem(last=False)

    def words(self, audio: Pcm) -> str:
        """The words of a sound, if a known line is in it; else ``[inaudible]``.

        An eighth of a second of its loudest stretch is looked for, sample by sample.
        """
        for known in (self._taught, self._lines):
            if audio.data in known:
                return known[audio.data]
        spans = [audio[at : at + PROBE] for at in range(0, max(1, len(audio) - PROBE), PROBE)]
        probe = max(spans, key=rms_dbfs)
        if len(probe) < PROBE or rms_dbfs(probe) < -60:
            return INAUDIBLE
        lines = (*self._taught.items(), *reversed(self._lines.items()))
        return next((words for line, words in lines if probe.data in line), INAUDIBLE)
