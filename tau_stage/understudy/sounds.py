"""Sounds that are no words, and the last touch: joins without clicks, one level for all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tau_stage.audio import RATE
from tau_stage.understudy.delivery import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

LEVEL_DBFS = -23.0
CEILING_DBFS = -1.5
GATE_DBFS = -45.0
EDGE_S = 0.06
FADE_S = 0.01

BLOCK = 2**17
"""Samples that are brought to their level at once."""

MEMORY_BYTES = 2**19
"""Of a line that is made in memory; a longer one is made on disk."""

LENGTHS_S: dict[Kind, float] = {"breath": 0.35, "sigh": 0.6, "cough": 0.45, "laugh": 0.7, "pause": 0.4}
BANDS_HZ: dict[Kind, tuple[float, float]] = {
    "breath": (800, 5000),
    "sigh": (400, 2500),
    "cough": (250, 3500),
    "laugh": (300, 3000),
    "pause": (0, 0),
}


def make_moment(kind: Kind, dice: np.random.Generator) -> Sound:
    """Make a breath, a sigh, a cough, a laugh or a pause of shaped noise."""
    import numpy as np

    samples = round(LENGTHS_S[kind] * RATE)
    if kind == "pause":
        return np.zeros(samples, np.float32)
    time = np.arange(samples) / samples
    shapes = {
        "breath": np.sin(np.pi * time) ** 1.5 * 0.05,
        "sigh": np.sin(np.pi * time**0.5) * 0.08,
        "cough": (np.exp(-12 * time) + 0.7 * np.exp(-14 * np.abs(time - 0.5))) * 0.25,
        "laugh": np.maximum(0, np.sin(2 * np.pi * 4 * time)) ** 2 * (1 - time) * 0.15,
    }
    low, high = BANDS_HZ[kind]
    spectrum = np.fft.rfft(dice.standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / RATE)
    noise = np.fft.irfft(spectrum * ((hertz > low) & (hertz < high)), samples)
    sound: Sound = (noise / np.abs(noise).max() * shapes[kind] * 3).astype(np.float32)
    return sound


def trim_edges(sound: Sound, *, first: bool = True, last: bool = True) -> Sound:
    """Cut the long silent edges off a phrase, or a piece of one, and fade it in and out so that no join clicks."""
    return _fade(_cut_silence(sound, first=first, last=last), first=first, last=last)


class SampleFile:
    """Samples of a line that is being made: its samples are in memory while they are few, else on disk."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed by ``close``
        self.samples = 0

    def append(self, sound: Sound) -> None:
        """Add a piece."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(sound.tobytes())
        self.samples += len(sound)

    def blocks(self) -> Iterator[Sound]:
        """Read all samples, block by block."""
        import numpy as np

        for at in range(0, self.samples, BLOCK):
            self._file.seek(4 * at)
            yield np.frombuffer(self._file.read(4 * BLOCK), np.float32)

    def replace(self, number: int, sound: Sound) -> None:
        """Put something in the place of a block."""
        self._file.seek(4 * BLOCK * number)
        self._file.write(sound.tobytes())

    def close(self) -> None:
        """Close and forget it."""
        self._file.close()


def bring_to_level(line: SampleFile, gain_db: float = 0.0) -> Iterator[None]:
    """Bring a line to its level: -23 dBFS RMS over all of it, and no sample above -1.5 dBFS; a long one in steps.

    Louder peaks are bent, not cut: above half the ceiling a hyperbolic tangent brings them under it. The direction adds
    ``gain_db`` to the level.
    """
    import numpy as np

    ceiling = 10 ** (CEILING_DBFS / 20)
    for _ in range(3):
        power = sum(float(np.sum(block.astype(np.float64) ** 2)) for block in line.blocks()) / max(line.samples, 1)
        if power == 0.0:
            return
        factor = np.float32(10 ** ((LEVEL_DBFS + gain_db) / 20) / power**0.5)
        for number, block in enumerate(line.blocks()):
            sound = block * factor
            over = np.abs(sound) > ceiling / 2
            bent = np.sign(sound) * ceiling / 2 * (1 + np.tanh(2 * np.abs(sound) / ceiling - 1))
            line.replace(number, np.where(over, bent, sound).astype(np.float32))
        if line.samples > BLOCK:
            yield


def _cut_silence(sound: Sound, *, first: bool, last: bool) -> Sound:
    """Cut off silence at its edges but for 60 ms."""
    import numpy as np

    loud = np.flatnonzero(np.abs(sound) > 10 ** (GATE_DBFS / 20) * 0.3)
    if not len(loud):
        return sound
    edge = round(EDGE_S * RATE)
    return sound[max(0, loud[0] - edge) if first else 0 : loud[-1] + edge if last else len(sound)]


def _fade(sound: Sound, *, first: bool, last: bool) -> Sound:
    import numpy as np

    length = min(round(FADE_S * RATE), len(sound) // 2)
    if not length:
        return sound
    ramp = np.linspace(0, 1, length, dtype=np.float32)
    faded = sound.copy()
    if first:
        faded[:length] *= ramp
    if last:
        faded[-length:] *= ramp[::-1]
    return faded
