"""Sound written to a file as it is wanted: its kind, its loudness, and a true peak that it does not exceed.

What is told of a file is measured in the file, decoded. A lossy file's peaks are not where they were, and what was
limited is not as loud as it was: what does not fit is written again, otherwise gained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from tau_stage import audio
from tau_stage.audio import Loudness
from tau_stage.errors import TakeError
from tau_stage.scene import MOST_KBPS, FileOptions
from tau_stage.take.reading import open_sound, sound_errors

Samples = NDArray[np.floating]
Source = Callable[[], Iterator[Samples]]  # a sound from its beginning, full scale at 1, at the rate of the file

FORMATS = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3"}
SUBTYPES = {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}
LOSSLESS = ("wav", "flac")
WITH_SIZE = ("wav", "mp3")
BLOCK = 1 << 16
CLOSE_ENOUGH_LU = 0.1
MARGIN_DB = 0.4
"""Peaks are kept so much below the ceiling: one that lies between what a meter looks at is higher than it says. Ours
looks at four times the rate and misses 0.3 dB of some consonants (0.7 dB at most: BS.1770-4, Annex 2, attachment 1)."""

BETWEEN_DB = 1.0
"""How much higher the values between samples are, as a rule; where they are higher still, the written file says so."""

ATTEMPTS = 8
LEVEL_ATTEMPTS = 5
LEAST_KBPS_WITH_SIZE = 64  # LAME writes no size into an MP3 of fewer: its frames have no room for it

LEAST_YIELD = 0.25
LOUDEST_GAIN_DB = 90.0  # more would make a single step of 16 bit a voice

MIX_AGAIN = "the rest of the take is complete; free some disk space, then run tau-stage report"


@dataclass(frozen=True, slots=True)
class Master:
    """A file as it is to be written.

    Attributes:
        final: The file; its draft is written.
        wanted: What it is to be like.
        bits: Of WAV and FLAC.
    """

    final: Path
    wanted: FileOptions
    kind: str
    bits: str
    rate: int
    channels: int = 1


@dataclass(frozen=True, slots=True)
class Mastered:
    """What is in a file that was written.

    Attributes:
        gain_db: How much louder it is than its source.
        limited: Whether peaks were kept down.
    """

    found: Loudness
    gain_db: float = 0.0
    limited: bool = False

    @property
    def peak_dbtp(self) -> float:
        """The true peak; that of silence is -120."""
        return audio.SILENCE_DBFS if self.found.peak_dbtp is None else self.found.peak_dbtp

    def level(self, wanted: FileOptions) -> float | None:
        """Return how loud it is, as it was asked for; None where it is below what can be told."""
        return _level(self.found, wanted)

    def _missed_level(self, wanted: FileOptions) -> Iterator[str]:
        level, tolerance = self.level(wanted), wanted.tolerance
        if wanted.level and tolerance is not None and (level is None or abs(level - wanted.level.decibels) > tolerance):
            is_so = "is too quiet to measure" if level is None else f"has {level:.1f} {wanted.level.unit}"
            yield f"{is_so}, expected {wanted.level} within {tolerance:g} dB"

    def missed(self, wanted: FileOptions) -> list[str]:
        """Tell what is not as it must be, a phrase each."""
        found, problems = self.found, [*self._missed_level(wanted)]
        if wanted.ceiling is not None and self.peak_dbtp > wanted.ceiling:
            problems.append(f"has peaks of {self.peak_dbtp:.1f} dBTP, above the maximum of {wanted.ceiling:g} dBTP")
        floor = found.floor_dbfs
        if wanted.noise_floor is not None and floor is not None and floor > wanted.noise_floor:
            problems.append(f"has a noise floor of {floor:.1f} dB, above the maximum of {wanted.noise_floor:g} dB")
        return problems


@dataclass(frozen=True, slots=True)
class _Setting:
    """How a source is made loud; ``before`` is another gain, and the level that came of it."""

    gain_db: float
    ceiling_db: float = 0.0
    limited: bool = False
    before: tuple[float, float] | None = None


def write_master(draft: Path, source: Source, master: Master) -> Mastered | None:
    """Write a sound to a draft, with silence at its ends, as loud as it is wanted; None where it is silent.

    The source is read once to measure it and once to write; again, where limiting, gating or a codec has changed what
    was measured.

    Raises:
        TakeError: The source cannot be read, or the draft cannot be written.
    """
    wanted = master.wanted

    def padded() -> Iterator[Samples]:
        shape = () if master.channels == 1 else (master.channels,)
        yield from _silence(round(wanted.head * master.rate), shape)
        yield from source()
        yield from _silence(round(wanted.tail * master.rate), shape)

    setting = _first_setting(padded, master)
    if setting is None:
        return None
    for attempt in range(1, ATTEMPTS + 1):
        found = _write(draft, _gained(padded, setting, master), master)
        better = _better(setting, found, wanted, only_peaks=attempt >= LEVEL_ATTEMPTS)
        if better is None or attempt == ATTEMPTS:
            break
        setting = better
    return Mastered(found, setting.gain_db, setting.limited)


def _silence(samples: int, shape: tuple[int, ...]) -> Iterator[Samples]:
    for start in range(0, samples, BLOCK):
        yield np.zeros((min(BLOCK, samples - start), *shape), np.float32)


def _level(found: Loudness, wanted: FileOptions) -> float | None:
    return found.rms_dbfs if wanted.level and wanted.level.unit == "dB RMS" else found.lufs


def _first_setting(source: Source, master: Master) -> _Setting | None:
    """Find the first setting from the source as it is; one that is below the gate is measured louder."""
    wanted, target = master.wanted, master.wanted.level
    if wanted.ceiling is None:
        return _Setting(0.0)
    found = _metered(source(), master, true_peak=target is None)
    peak = found.peak_dbtp
    if peak is None:
        return None
    ceiling = wanted.ceiling - MARGIN_DB
    if target is None:
        return _Setting(0.0, ceiling, limited=peak > ceiling)
    level = _level(found, wanted)
    if level is None or peak + target.decibels - level > ceiling - BETWEEN_DB:
        found = _metered(source(), master, gain_db=-peak if level is None else 0.0)
        level, peak = _level(found, wanted), peak if found.peak_dbtp is None else found.peak_dbtp
    if level is None:  # a click, and nothing else
        return _Setting(min(ceiling - peak, LOUDEST_GAIN_DB), ceiling)
    gain = min(target.decibels - level, LOUDEST_GAIN_DB)
    if peak + gain <= ceiling:
        return _Setting(gain, ceiling)
    return _Setting(gain, ceiling, limited=True, before=(ceiling - peak, level + ceiling - peak))


def _better(setting: _Setting, found: Loudness, wanted: FileOptions, *, only_peaks: bool) -> _Setting | None:
    """Find a setting that comes nearer to what is wanted; None if this one is near enough.

    After some attempts ``only_peaks`` count: a lossy file's peaks are not where they were.
    """
    if wanted.ceiling is None or found.peak_dbtp is None:
        return None
    over = max(0.0, found.peak_dbtp - wanted.ceiling)
    level = _level(found, wanted)
    missing = 0.0 if level is None or not wanted.level else wanted.level.decibels - level
    if only_peaks:
        missing = -over - MARGIN_DB if over else 0.0
    if not over and abs(missing) <= CLOSE_ENOUGH_LU:
        return None
    gain = min(setting.gain_db + missing / _yield(setting, level), LOUDEST_GAIN_DB)
    if gain == setting.gain_db and not over:
        return None
    ceiling = setting.ceiling_db - (over + MARGIN_DB if over and setting.limited else 0.0)
    limited = setting.limited or over > 0 or found.peak_dbtp + missing > ceiling
    return _Setting(gain, ceiling, limited, None if level is None else (setting.gain_db, level))


def _yield(setting: _Setting, level: float | None) -> float:
    """Measure how much louder it gets for each decibel more; less than one where peaks are kept down."""
    if setting.before is None or level is None:
        return 1.0
    gain, former = setting.before
    more = setting.gain_db - gain
    return 1.0 if abs(more) < CLOSE_ENOUGH_LU else min(1.0, max(LEAST_YIELD, (level - former) / more))


def _gained(source: Source, setting: _Setting, master: Master) -> Iterator[Samples]:
    """Yield a source gained, and limited if it must be."""
    factor = 10 ** (setting.gain_db / 20)
    blocks = (block * factor for block in source())
    if not setting.limited:
        yield from blocks
        return
    limiter = audio.Limiter(master.rate, setting.ceiling_db, master.channels)
    for block in blocks:
        yield limiter.feed(block)
    yield limiter.finish()


def _metered(blocks: Iterator[Samples], master: Master, gain_db: float = 0.0, *, true_peak: bool = True) -> Loudness:
    meter = audio.Meter(master.rate, gain_db, master.channels, true_peak=true_peak, levels=True)
    for block in blocks:
        meter.feed(block)
    return meter.result()


def _new_file(draft: Path, master: Master, subtype: str | None) -> soundfile.SoundFile:
    kbps = master.wanted.bitrate
    level, mode = (None, None) if kbps is None else (_compression_level(kbps, master.rate), "CONSTANT")
    return soundfile.SoundFile(
        draft,
        "w",
        master.rate,
        master.channels,
        subtype=subtype,
        format=FORMATS[master.kind],
        compression_level=level,
        bitrate_mode=mode,
    )


def _refuse_unfinished(draft: Path, samples: int, length: int, master: Master) -> None:
    """Refuse a file that has not all of its samples, or no whole header."""
    final, kind, kbps = str(master.final), master.kind, master.wanted.bitrate
    if samples < length or (kind in LOSSLESS and samples > length):
        raise TakeError(final, f"has {samples} samples, expected {length}", MIX_AGAIN)
    has_size = kind in WITH_SIZE and not (kbps and kbps < LEAST_KBPS_WITH_SIZE)
    if has_size and not audio.tells_its_size(draft):
        raise TakeError(final, "could not be written completely", MIX_AGAIN)


def _write(draft: Path, blocks: Iterator[Samples], master: Master) -> Loudness:
    """Write all blocks, and measure what is in the file then."""
    final = master.final
    subtype = SUBTYPES[master.bits] if master.kind in LOSSLESS else None
    length = 0
    with sound_errors(final, MIX_AGAIN):
        made = _new_file(draft, master, subtype)
    with made:
        for block in blocks:
            with sound_errors(final, MIX_AGAIN):
                made.write(audio.as_samples(block * audio.FULL_SCALE) if subtype == "PCM_16" else block)
            length += len(block)
    with sound_errors(final, MIX_AGAIN), open_sound(draft, name=final, channels=master.channels) as file:
        _refuse_unfinished(draft, file.frames, length, master)
        found = _metered(file.blocks(BLOCK, dtype="float32"), master)
    if subtype == "FLOAT":
        audio.forget_time(draft)
    return replace(found, samples=length)


def _compression_level(kbps: int, rate: int) -> float:
    """Return what libsndfile calls a bit rate: 0 is the most that MP3 has at a rate, and towards 1 the least."""
    least, most = (32, MOST_KBPS[48_000]) if rate >= 32_000 else (8, MOST_KBPS[24_000])
    return min(0.999, (most - kbps) / (most - least))
