"""How loud sound is to a listener, and how far its peaks reach.

Loudness is gated K-weighted power and true peak the highest value between the samples, as in ITU-R BS.1770-4 (2015);
a programme is brought to one loudness as in EBU R 128 (2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyebur128 import MeasurementMode, R128State, get_loudness_global, get_true_peak

GATING_BLOCK_S = 0.4
"""What BS.1770 measures at once; a shorter sound is measured with silence after it."""

RUN = 1 << 16
"""Samples measured in one go: the meter keeps a copy at four times the rate."""


@dataclass(frozen=True, slots=True)
class Loudness:
    """What a meter says.

    Attributes:
        lufs: Integrated loudness, gated; None where all is below the gate of -70 LUFS.
        peak_dbtp: True peak in dB relative to full scale; None for digital silence.
    """

    lufs: float | None
    peak_dbtp: float | None
    samples: int


class Meter:
    """Measures sound, mono or stereo, that comes in blocks of any length.

    The power of both channels counts, as the recommendation has it: the same sound on both is 3 LU louder than on one.

    It keeps some 30 bytes for each tenth of a second, a megabyte for an hour: gating looks at all of them.

    Args:
        rate: Samples per second.
        gain_db: Measures as if the sound were so much louder; what is told is without it. Sound below the gate is heard
            so.
        channels: 1 or 2.

    >>> import numpy as np
    >>> meter = Meter(24_000)
    >>> meter.feed(np.sin(2 * np.pi * 997 * np.arange(48_000) / 24_000))
    >>> found = meter.result()
    >>> round(found.lufs, 1), round(found.peak_dbtp, 1), found.samples
    (-3.0, 0.0, 48000)
    """

    def __init__(self, rate: int, gain_db: float = 0.0, channels: int = 1) -> None:
        self._channels = channels
        self._state = R128State(channels, rate, MeasurementMode.MODE_I | MeasurementMode.MODE_TRUE_PEAK)
        self._gain_db = gain_db
        self._block = math.ceil(GATING_BLOCK_S * rate)
        self._samples = 0

    def feed(self, block: NDArray[np.floating]) -> None:
        """Measure what comes next.

        Args:
            block: One dimension in mono, samples by channels in stereo, full scale at 1; values beyond it are measured
                as they are.
        """
        self._samples += len(block)
        louder = block * 10 ** (self._gain_db / 20)
        for start in range(0, len(block), RUN):
            run = np.ascontiguousarray(louder[start : start + RUN], dtype=np.float64)
            self._state.add_frames(run.ravel(), len(run))

    def result(self) -> Loudness:
        """Return what was measured; nothing can be fed any more."""
        missing = self._block - self._samples
        if missing > 0:
            self._state.add_frames(np.zeros(missing * self._channels), missing)
        lufs = get_loudness_global(self._state)
        peak = max(get_true_peak(self._state, channel) for channel in range(self._channels))
        return Loudness(
            lufs - self._gain_db if math.isfinite(lufs) else None,
            20 * math.log10(peak) - self._gain_db if peak > 0 else None,
            self._samples,
        )


def gain_for(found: Loudness, target_lufs: float) -> float:
    """Compute the decibels that bring a sound to a loudness.

    Raises:
        ValueError: It is below the gate: measure it louder first.

    >>> gain_for(Loudness(-30.0, -6.0, 24_000), -16.0)
    14.0
    """
    if found.lufs is None:
        raise ValueError("sound below the gate has no loudness")
    return target_lufs - found.lufs
