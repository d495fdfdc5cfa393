"""Words from the sound itself, by a recogniser that is none of the provider's: PocketSphinx, which brings its model.

It is small, runs without a network at four times the speed of speech, and errs in words that sound alike. So it is not
asked whether every word is right, but whether a line is *that line*: nearer to its own words than to any other line's,
by letters, and not further from them than a bound (``recognition.py``). Of eighty lines in the understudy's ten
voices, all are nearest to their own words; the furthest is 0.52 from them, and no other line is nearer than 0.66.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tau_stage.errors import UsageError
from tau_stage.take.model import Performed, Take

if TYPE_CHECKING:
    from tau_stage.audio.pcm import Pcm

RATE = 16_000


class Recogniser:
    """Hears English.

    Raises:
        UsageError: PocketSphinx is not installed.
    """

    def __init__(self) -> None:
        require_recogniser()
        from pocketsphinx import Decoder

        self._decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def words(self, sound: Pcm) -> str:
        """Recognise what is said; empty where nothing can be made out."""
        import numpy as np
        import soxr

        samples = soxr.resample(sound.array.astype(np.float32) / 32768, sound.rate, RATE)
        self._decoder.start_utt()
        self._decoder.process_raw((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return str(found.hypstr) if found else ""


def require_recogniser() -> None:
    """Refuse to go on where there is no recogniser; nothing is loaded.

    Raises:
        UsageError: PocketSphinx is not installed.
    """
    if find_spec("pocketsphinx") is None:
        hint = "pip install 'tau-stage[check]'"
        raise UsageError("nothing here recognises speech: pocketsphinx is not installed", hint)


def recognised(take: Take, sound_of: Callable[[Performed], Pcm]) -> dict[str, str]:
    """Let a recogniser hear each line whose words stood in the scene; return its words by the line's id.

    Args:
        take: What was performed.
        sound_of: Gives the sound of a line that has a file.

    Raises:
        UsageError: There is no recogniser.
        TakeError: A sound cannot be read.
    """
    recogniser = Recogniser()
    lines = (line for line in take.lines if line.scripted and line.asked and line.file)
    return {line.id: recogniser.words(sound_of(line)) for line in lines}
