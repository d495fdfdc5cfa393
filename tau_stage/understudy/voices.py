"""Real speech: one neural voice (hibari-tts, Apache-2.0), given ten different pitches and vocal tracts.

The network's documented ONNX interface gives a pitch curve and spectral envelopes per 12.5 ms, from which sound is made
(hibari README, "ONNX interface"). Scaling the pitch and stretching the envelope apart keeps low voices intelligible:
recognised words were wrong in 9 % for ``ash`` and ``cedar`` this way, in 65 % and 79 % when the finished sound was
slowed down and resampled. The engine's version is pinned for this reason.
"""

from __future__ import annotations

import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.errors import UsageError
from tau_stage.understudy.performer import Delivery, Performance, Phrase
from tau_stage.understudy.sounds import finished, joined, moment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Timbre:
    """One voice: factors on the engine's own pitch and vocal tract."""

    pitch: float
    tract: float


TIMBRES = {
    "alloy": Timbre(0.85, 0.95),
    "ash": Timbre(0.52, 0.84),
    "ballad": Timbre(0.60, 0.88),
    "coral": Timbre(1.00, 1.00),
    "echo": Timbre(0.55, 0.90),
    "sage": Timbre(1.10, 1.03),
    "shimmer": Timbre(1.18, 1.06),
    "verse": Timbre(0.68, 0.92),
    "marin": Timbre(0.95, 1.05),
    "cedar": Timbre(0.48, 0.80),
}
"""The ten voices of the realtime models; nobody knows their real figures, these make them different."""


def timbre(voice: str) -> Timbre:
    """A voice's timbre; one that is not known gets its own, made from its name.

    >>> timbre("ash")
    Timbre(pitch=0.52, tract=0.84)
    >>> timbre("voice_of_mine") == timbre("voice_of_mine") != timbre("voice_of_yours")
    True
    """
    if voice in TIMBRES:
        return TIMBRES[voice]
    dice = zlib.crc32(voice.encode())
    return Timbre(0.5 + (dice % 71) / 100, 0.82 + (dice // 71 % 25) / 100)


class Voices:
    """Speaks in any voice. The engine is loaded with the first word, once, and used by one thread at a time.

    The same performance, voice and seed give the same samples, in any process.

    Args:
        seed: Of the engine's noise.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._engine: Any = None
        self._turn = threading.Lock()

    def speak(self, performance: Performance, voice: str) -> Pcm:
        """The sound of a performance, at 24 kHz: -23 dBFS RMS, a little more or less by direction, peaks below -1 dBFS.

        Raises:
            UsageError: The engine is not installed.
        """
        import numpy as np

        dice = np.random.default_rng(self._seed)
        with self._turn:
            parts = [
                self._phrase(part, performance.delivery, timbre(voice), dice)
                if isinstance(part, Phrase)
                else moment(part.kind, dice)
                for part in performance.parts
            ]
        return Pcm.from_array(finished(joined(parts), performance.delivery.gain_db), RATE)

    def _phrase(self, phrase: Phrase, delivery: Delivery, who: Timbre, dice: np.random.Generator) -> Sound:
        import numpy as np

        engine = self._load()
        sounds = [np.zeros(0, np.float32)]
        for phonemes in engine.phonemize(phrase.text):
            ids = engine.ids(phonemes)
            if len(ids) > 2:
                speed = min(max(delivery.rate * phrase.rate, 0.5), 2.0)
                sounds.append(self._sound(ids, speed, delivery, who, dice))
        loudness = np.float32(10 ** (phrase.gain_db / 20))
        return np.concatenate(sounds) * loudness

    def _sound(self, ids: list[int], speed: float, delivery: Delivery, who: Timbre, dice: np.random.Generator) -> Sound:
        import numpy as np
        from hibari import dsp

        given = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed], np.float32)}
        voiced, turn, noise, free, phase, pitch = (part[0] for part in self._engine.sess.run(None, given))
        voiced, turn, noise, free = (_stretched(part, who.tract) for part in (voiced, turn, noise, free))
        if delivery.whispered:
            noise = np.logaddexp(noise, voiced - 1.0).astype(np.float32)
            pitch = np.zeros_like(pitch)
        pitch = pitch * np.float32(who.pitch * delivery.pitch)
        sound: Sound = dsp.synth(voiced, turn, noise, free, phase, pitch, dice)
        return sound

    def _load(self) -> Any:
        if self._engine is None:
            try:
                from hibari import Hibari
            except ImportError:
                hint = "pip install 'tau-stage[understudy]'"
                raise UsageError("the understudy has no voice: hibari-tts is not installed", hint) from None
            self._engine = Hibari()
        return self._engine


def _stretched(envelope: Sound, tract: float) -> Sound:
    """A spectral envelope, frequencies by frames, stretched along frequency: a longer tract has lower formants."""
    import numpy as np

    bins = len(envelope)
    at = np.clip(np.arange(bins) / tract, 0, bins - 1)
    below = at.astype(int)
    share = (at - below)[:, None].astype(np.float32)
    stretched: Sound = envelope[below] * (1 - share) + envelope[np.minimum(below + 1, bins - 1)] * share
    return stretched
