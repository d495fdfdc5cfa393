"""What can be measured of a take: figures of each line, and of the whole. Pure but for the sounds it is given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from tau_stage.audio import Meter, Pcm
from tau_stage.checks.voice_print import VoicePrint, voice_print
from tau_stage.errors import TakeError
from tau_stage.scene import Tolerances, Unit, expect
from tau_stage.take import Performed, Take, silences
from tau_stage.text import spoken_words

QUIET_DB = 40.0  # sound so far below a line's loudest moment is silence

MOMENT_S = 0.01
FULL_SCALE = 32_767


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was measured of a line, or of a whole take; None where there is nothing to measure."""

    length: float | None = None
    loudness: float | None = None  # integrated, in LUFS
    silence: float | None = None  # the longest silence within a line, in seconds
    clipping: int | None = None  # samples at full scale, two or more in a row
    first_audio: float | None = None  # seconds from the request to the first sound; of the whole, the longest
    dead_air: float | None = None  # seconds of silence in the recording before it; of the whole, the longest
    rate: float | None = None
    cost: float | None = None
    print: VoicePrint | None = None
    problem: str = ""


FROM_SOUND = ("loudness", "silence", "clipping", "print")  # figures that need the sound itself


@dataclass(frozen=True, slots=True)
class TakeMetrics:
    """All that was measured of a take: its lines by id, and the take as one."""

    lines: Mapping[str, Metrics]
    whole: Metrics


def measure(take: Take, sound_of: Callable[[Performed], Pcm]) -> TakeMetrics:
    """Measure a take; one line's sound is in memory at a time, and a ``TakeError`` of it is kept with the line."""
    whole = Meter(take.rate, true_peak=False)
    lines: dict[str, Metrics] = {}
    for line, dead_air in zip(take.lines, silences(take.lines), strict=True):
        try:
            sound = sound_of(line) if line.file is not None else None
        except TakeError as error:
            lines[line.id] = _figures(line, dead_air, None, f"{error.path}: {error.problem}")
            continue
        if sound:
            whole.feed(sound.array / 32768)
        lines[line.id] = _figures(line, dead_air, sound, "")
    return TakeMetrics(lines, _whole(take, lines.values(), whole))


def _figures(line: Performed, dead_air: float | None, sound: Pcm | None, problem: str) -> Metrics:
    return replace(
        _heard(sound) if sound else Metrics(),
        length=None if line.file is None else round(line.duration_s, 3),
        first_audio=_rounded(line.first_audio_s, 3),
        dead_air=_rounded(dead_air, 3),
        rate=_rate([line]),
        cost=_rounded(line.cost.total, 6),
        problem=problem,
    )


_known: dict[tuple[str, int], Metrics] = {}
MOST_KNOWN = 200  # sounds whose figures are kept


def _heard(sound: Pcm) -> Metrics:
    """Measure what the sound alone tells, once in a process: each take of a cassette has the same sounds."""
    key = sound.sha256, sound.rate
    if key not in _known:
        if len(_known) == MOST_KNOWN:
            _known.clear()
        meter = Meter(sound.rate, true_peak=False)
        meter.feed(sound.array / 32768)
        _known[key] = Metrics(
            loudness=_rounded(meter.result().lufs, 1),
            silence=_silence(sound),
            clipping=_clipping(sound),
            print=voice_print(sound),
        )
    return _known[key]


def _whole(take: Take, lines: Collection[Metrics], meter: Meter) -> Metrics:
    names = ("silence", "first_audio", "dead_air")
    known = {name: [value for each in lines if (value := getattr(each, name)) is not None] for name in names}
    clipped = [each.clipping for each in lines if each.clipping is not None]
    return Metrics(
        **{name: max(values, default=None) for name, values in known.items()},
        length=round(take.duration_s, 3),
        loudness=_rounded(meter.result().lufs, 1),
        clipping=sum(clipped) if clipped else None,
        rate=_rate(take.lines),
        cost=_rounded(take.cost.total, 6),
        problem=next(filter(None, (each.problem for each in lines)), ""),
    )


def _rate(lines: Sequence[Performed]) -> float | None:
    """Measure words per second; None where nobody speaks."""
    words, seconds = sum(len(spoken_words(line.said)) for line in lines), sum(line.duration_s for line in lines)
    return round(words / seconds, 2) if words and seconds else None


def _rounded(value: float | Decimal | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def _silence(sound: Pcm) -> float:
    """Measure the longest silence; all of it, where nothing sounds."""
    size = round(MOMENT_S * sound.rate)
    moments = len(sound) // size
    if not moments:
        return 0.0
    levels = np.abs(sound.array[: moments * size].astype(np.int32)).reshape(moments, size).max(axis=1)
    loud = np.flatnonzero(levels > max(1.0, levels.max() * 10 ** (-QUIET_DB / 20)))
    gaps = np.diff(np.concatenate(([-1], loud, [moments]))) - 1
    return round(float(gaps.max()) * MOMENT_S, 3)


def _clipping(sound: Pcm) -> int:
    """Count samples at full scale that have a neighbour there: one alone may be a peak that just fits."""
    samples = sound.array.astype(np.int32)
    full = np.concatenate(([False], np.abs(samples) >= FULL_SCALE, [False]))
    return int((full[1:-1] & (full[:-2] | full[2:])).sum())


@dataclass(frozen=True, slots=True)
class Limit:
    """How a figure is told, and how much it may differ: the larger of so many units, and of a share of the old one."""

    unit: Unit
    absolute: float
    relative: float = 0.0

    def changed(self, own: Tolerances | None, wide: Tolerances | None, name: str) -> Limit:
        """Return the limit as a line, or else the scene, changes it; a part that is not written stays."""
        limit = self
        for told in (wide, own):
            if told and (wish := getattr(told, name)):
                absolute = limit.absolute if wish.absolute is None else wish.absolute
                limit = Limit(limit.unit, absolute, limit.relative if wish.relative is None else wish.relative)
        return limit

    def allows(self, old: float, new: float) -> bool:
        """Tell whether a figure is as it was.

        >>> LIMITS["length"].allows(4.0, 4.3), LIMITS["length"].allows(4.0, 5.2)
        (True, False)
        """
        return abs(new - old) <= max(self.absolute, self.relative * abs(old)) + 1e-9


LIMITS = {
    "words": Limit(expect.SHARE, 0.0),
    "length": Limit(expect.SECONDS, 0.25, 0.1),
    "loudness": Limit(expect.LUFS, 1.5),
    "silence": Limit(expect.SECONDS, 0.3, 0.2),
    "clipping": Limit(expect.SAMPLES, 0.0),
    "first_audio": Limit(expect.SECONDS, 0.3, 0.5),
    "dead_air": Limit(expect.SECONDS, 0.05, 0.05),
    "rate": Limit(expect.PER_SECOND, 0.3, 0.1),
    "voice": Limit(expect.DISTANCE, 0.25),
    "cost": Limit(expect.DOLLARS, 0.00002, 0.25),
}
"""What is less than this nobody notices, or differs from one performance of a line to the next."""

COMPARED = tuple(name for name in LIMITS if name not in ("words", "voice"))  # those that a number tells
