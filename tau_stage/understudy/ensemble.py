"""All voices of the understudy behind one actor; speech is made off the event loop."""

from __future__ import annotations

import anyio.to_thread

from tau_stage.understudy.actor import Cue, Spoken
from tau_stage.understudy.performer import decide
from tau_stage.understudy.voices import Voices


class Ensemble:
    """Decides what to say and says it, in a thread.

    Args:
        voices: The engine; loaded with the first word.
    """

    def __init__(self, voices: Voices | None = None) -> None:
        self._voices = voices or Voices()

    async def speak(self, cue: Cue) -> Spoken:
        """Say something; the words alone where no sound is wanted."""
        performance = decide(cue)
        if not cue.aloud:
            return Spoken(performance.transcript, None)
        audio = await anyio.to_thread.run_sync(self._voices.speak, performance, cue.voice)
        return Spoken(performance.transcript, audio)
