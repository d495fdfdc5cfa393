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
