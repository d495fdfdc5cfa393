"""How loud sound is."""

from __future__ import annotations

import math

from tau_stage.audio.pcm import Pcm

SILENCE_DBFS = -120.0


def rms_dbfs(audio: Pcm) -> float:
    """Root mean square level in dB relative to full scale (32768); nothing at all is -120.

    >>> rms_dbfs(Pcm.silence(10))
    -120.0
    """
    return _dbfs(float((audio.array.astype("float64") ** 2).mean()) ** 0.5) if audio else SILENCE_DBFS


def peak_dbfs(audio: Pcm) -> float:
    """Highest sample in dB relative to full scale; nothing at all is -120."""
    import numpy as np

    return _dbfs(float(np.max(np.abs(audio.array.astype("int32"))))) if audio else SILENCE_DBFS


def _dbfs(amplitude: float) -> float:
    return max(SILENCE_DBFS, 20 * math.log10(amplitude / 32768)) if amplitude > 0 else SILENCE_DBFS


def faded(audio: Pcm, start: float, end: float) -> Pcm:
    """A sound whose loudness goes from one factor to another, each from 0 to 1.

    >>> import numpy as np
    >>> faded(Pcm.from_array(np.full(4, 1000, np.int16)), 1.0, 0.0).array.tolist()
    [1000, 750, 500, 250]
    """
    import numpy as np

    ramp = np.clip(np.linspace(start, end, len(audio), endpoint=False), 0.0, 1.0)
    return Pcm.from_array(np.round(audio.array * ramp).astype(np.int16), audio.rate)
