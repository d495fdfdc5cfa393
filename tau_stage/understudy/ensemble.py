"""All voices of the understudy behind one actor; speech is made off the event loop, piece by piece."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import anyio.to_thread

from tau_stage.understudy.actor import Cue, Spoken
from tau_stage.understudy.fair_queue import FairQueue
from tau_stage.understudy.performer import decide
from tau_stage.understudy.shelf import Shelf, Shelved
from tau_stage.understudy.voices import Voices


class Ensemble:
    """Decides what to say and says it, in a thread. Lines that are spoken at the same time take turns by pieces.

    Args:
        voices: The engine; loaded with the first word.
    """

    def __init__(self, voices: Voices | None = None) -> None:
        self._voices = voices or Voices()
        self._shelf = Shelf()
        self._queue = FairQueue()

    async def speak(self, cue: Cue) -> Spoken:
        """Say something; the words alone where no sound is wanted.

        Raises:
            NoVoice: There is no voice for its script.
        """
        performance = decide(cue)
        if not cue.aloud:
            return Spoken(performance.transcript, None)
        turns, audio = 0, None
        with closing(self._voices.pieces(performance, cue.voice, self._shelf)) as pieces:
            while audio is None:
                async with self._queue.turn(turns, len(performance.transcript)):
                    audio = await anyio.to_thread.run_sync(_advance, pieces)
                turns += 1
        return Spoken(performance.transcript, audio)


def _advance(pieces: Generator[None, None, Shelved]) -> Shelved | None:
    """Make the next piece; the whole line after the last."""
    try:
        return next(pieces)
    except StopIteration as end:
        line: Shelved = end.value
        return line
