"""The shape of a sound, small enough for a page: the lowest and the highest sample of each short span."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

PER_SECOND = 24
FEWEST, MOST = 8, 600
HEIGHT = 80
"""Of the drawing; its width is the number of spans."""

_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Peaks:
    """What of a sound is drawn.

    Attributes:
        lows: The lowest sample of each span.
        highs: The highest.
        problem: Why it is not drawn, or not to its end; or empty.
    """

    lows: tuple[int, ...] = ()
    highs: tuple[int, ...] = ()
    problem: str = ""

    @property
    def loudest(self) -> int:
        """The largest sample, whatever its sign."""
        return max((*self.highs, *(-low for low in self.lows)), default=0)

    def path(self, loudest: int = 0) -> str:
        """Draw a closed path for SVG, ``HEIGHT`` high and as wide as there are spans.

        Args:
            loudest: The sample that reaches the edge; 0 takes the sound's own.

        >>> Peaks((-4, 0), (4, 2)).path()
        'M0 40L0 1 1 20 2 20 2 40 1 40 0 79Z'
        """
        if not self.highs:
            return ""
        unit = (HEIGHT / 2 - 1) / max(1, loudest or self.loudest)
        tops = [round(HEIGHT / 2 - unit * high) for high in (*self.highs, self.highs[-1])]
        feet = [round(HEIGHT / 2 - unit * low) for low in (*self.lows, self.lows[-1])]
        points = [*enumerate(tops), *reversed([*enumerate(feet)])]
        return f"M0 {HEIGHT // 2}L" + " ".join(f"{x} {y}" for x, y in points) + "Z"


def peaks(path: Path, samples: int, start: int = 0) -> Peaks:
    """Measure the shape of a span of a mono 16-bit WAV file, which is read block by block; never an error.

    Args:
        path: The file.
        samples: How many the span should have.
        start: Where it begins.
    """
    import numpy as np

    lows: list[int] = []
    highs: list[int] = []
    read = 0
    try:
        with path.open("rb") as raw, wave.open(raw) as file:
            channels = file.getnchannels()
            if channels > 2 or file.getsampwidth() != 2:
                return Peaks(problem="is not 16 bit, mono or stereo")
            if not (rate := file.getframerate()):
                return Peaks(problem="is no WAV file")
            size = max(1, -(-samples // min(MOST, max(FEWEST, PER_SECOND * samples // rate))))
            file.setpos(min(start, file.getnframes()))
            while read < samples:
                data = file.readframes(min(size * max(1, _BLOCK // size), samples - read))
                whole = len(data) // (2 * channels) * 2 * channels
                block = np.frombuffer(data[:whole], dtype="<i2").reshape(-1, channels)
                if not len(block):
                    break
                edges = np.arange(0, len(block), size)
                lows += np.minimum.reduceat(block.min(axis=1), edges).tolist()
                highs += np.maximum.reduceat(block.max(axis=1), edges).tolist()
                read += len(block)
    except OSError as error:
        return Peaks(problem="is missing" if isinstance(error, FileNotFoundError) else _reason(error))
    except (wave.Error, EOFError, RuntimeError):  # the last of a chunk that is longer than the file
        return Peaks(problem="is no WAV file")
    short = f"is cut short: {read / rate:.2f} s of {samples / rate:.2f} s are there" if read < samples else ""
    return Peaks(tuple(lows), tuple(highs), short)


def _reason(error: OSError) -> str:
    return f"cannot be read ({(error.strerror or str(error)).lower()})"
