"""How loud sound is."""

from __future__ import annotations

import math

import numpy as np

from tau_stage.audio.pcm import Pcm, SoundT

SILENCE_DBFS = -120.0
AUDIBLE_DBFS = -70.0
"""What never gets louder than this cannot be heard."""
AUDIBLE_S = 0.01
"""Nor can what is shorter than this."""


def rms_dbfs(audio: Pcm) -> float:
    """Measure the root mean square level in dB relative to full scale (32768); nothing at all is -120.

    >>> rms_dbfs(Pcm.silence(10))
    -120.0
    """
    return dbfs(float((audio.array.astype("float64") ** 2).mean()) ** 0.5) if audio else SILENCE_DBFS


def peak_dbfs(audio: Pcm) -> float:
    """Measure the highest sample in dB relative to full scale; nothing at all is -120."""
    return dbfs(float(np.max(np.abs(audio.array.astype("int32"))))) if audio else SILENCE_DBFS


def is_audible(audio: Pcm) -> bool:
    """Tell whether anything of a sound can be heard: it is neither too short nor too quiet throughout.

    >>> import numpy as np
    >>> loud = Pcm.from_array(np.full(24_000, 1000, np.int16))
    >>> is_audible(loud), is_audible(loud[:48]), is_audible(Pcm.silence(24_000)), is_audible(Pcm())
    (True, False, False, False)
    """
    return audio.duration_s >= AUDIBLE_S and peak_dbfs(audio) >= AUDIBLE_DBFS


def dbfs(amplitude: float) -> float:
    """Convert a level of 16-bit samples to dB relative to full scale; nothing is -120."""
    return max(SILENCE_DBFS, 20 * math.log10(amplitude / 32768)) if amplitude > 0 else SILENCE_DBFS


def faded(audio: SoundT, start: float, end: float) -> SoundT:
    """Fade a sound from one factor of loudness to another, each from 0 to 1.

    >>> import numpy as np
    >>> faded(Pcm.from_array(np.full(4, 1000, np.int16)), 1.0, 0.0).array.tolist()
    [1000, 750, 500, 250]
    """
    ramp = np.clip(np.linspace(start, end, len(audio), endpoint=False), 0.0, 1.0)
    samples = np.round(audio.array.T * ramp).T
    return type(audio)(samples.astype("<i2").tobytes(), audio.rate)
