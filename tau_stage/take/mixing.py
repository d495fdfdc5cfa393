"""The mix: all stems of a take in one file, at one loudness, never louder than its ceiling.

What is told of a mix is measured in what is in its file. WAV and FLAC are 24 bit: a take's sounds have 16, and a sum of
them at another gain would need dither to keep that; at 24 bit it needs none, silence stays silence, and two mixes of
one take are the same file.

In stereo a player's stem is panned, with the same power wherever it stands, and a sound's stem keeps its two channels,
3 dB down as what stands in the middle is. So left and right by √½, added, are the mono mix where nobody is panned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from tau_stage import audio
from tau_stage.audio import RATE, Loudness
from tau_stage.errors import TakeError, UsageError, os_reason
from tau_stage.scene import MOST_KBPS, Mix, picture_type, resolve_path
from tau_stage.take.atomic import guarded, whole_file
from tau_stage.take.folder import TakeFolder
from tau_stage.take.reading import open_sound, sound_errors
from tau_stage.take.take_model import Take

Samples = NDArray[np.floating]

KINDS = {".wav": ("WAV", "PCM_24"), ".flac": ("FLAC", "PCM_24"), ".ogg": ("OGG", "VORBIS"), ".mp3": ("MP3", None)}
LOSSLESS = (".wav", ".flac")
WITH_SIZE = (".wav", ".mp3")
BLOCK = 1 << 16
CLOSE_ENOUGH_LU = 0.1
MARGIN_DB = 0.4
"""Peaks are kept so much below the ceiling: one that lies between what a meter looks at is higher than it says. Ours
looks at four times the rate and misses 0.3 dB of some consonants (0.7 dB at most: BS.1770-4, Annex 2, attachment 1)."""

BETWEEN_DB = 1.0
"""How much higher the values between samples are, as a rule; where they are higher still, the written file says so."""

ATTEMPTS = 8
LOUDNESS_ATTEMPTS = 5
LEAST_KBPS_WITH_SIZE = 64  # LAME writes no size into an MP3 of fewer: its frames have no room for it

LEAST_YIELD = 0.25
LOUDEST_GAIN_DB = 90.0  # more would make a single step of 16 bit a voice

MIX_AGAIN = "the take is whole without it; make room, and mix again"


class SilentTake(TakeError):
    """There is nothing to mix."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """A mix that was made, as it is in its file, louder by ``gain_db`` than the sum of the stems.

    Its integrated loudness is None where all of it is below the gate; it is ``limited`` where peaks were kept down.
    """

    file: str
    lufs: float | None
    peak_dbtp: float
    gain_db: float
    limited: bool
    target_lufs: float
    seconds: float
    channels: int = 1

    def __str__(self) -> str:
        """Write its line in a summary."""
        lufs = "below the gate" if self.lufs is None else f"{self.lufs:.1f} LUFS"
        missed = self.lufs is None or abs(self.lufs - self.target_lufs) > 0.5
        note = f" (its peaks allow no more; asked for {self.target_lufs:g} LUFS)" if missed else ""
        stereo = "stereo, " if self.channels == 2 else ""
        return f"{self.file} {stereo}{lufs}, {self.peak_dbtp:.1f} dBTP{note}"


@dataclass(frozen=True, slots=True)
class StemFile:
    """A stem of a take; ``gains`` are of its own channels, or of its only one, on each channel of the mix."""

    path: Path
    channels: int
    gains: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Setting:
    """How a sum is made a mix; ``before`` is another gain, and the loudness that came of it."""

    gain_db: float
    ceiling_db: float
    limited: bool
    before: tuple[float, float] | None = None


def mix(folder: TakeFolder, take: Take, wanted: Mix, rate: int = RATE) -> Mixed:
    """Sum all stems of a take into one file, of as many channels as the take is delivered in.

    The stems are read block by block: once to measure, once to write; again, where limiting or gating has changed what
    was measured. A file of that name is replaced when the new one is whole.

    Raises:
        SilentTake: Its stems hold nothing but silence, or it has none.
        TakeError: A stem is missing, shorter than the take, or no sound; or the file cannot be written.
    """
    stems = stems_of(folder, take)
    if not stems:
        raise SilentTake(str(folder.path), "the take has no stems", "nobody was on stage: perform the scene again")
    setting = _first_setting(stems, take, wanted, rate)
    final = folder.path / wanted.file
    with guarded(final, MIX_AGAIN), whole_file(final) as draft:
        for attempt in range(1, ATTEMPTS + 1):
            blocks = _mixed(stems, take, setting, rate)
            found = _write(draft, final, blocks, rate, take.channels, wanted.bitrate)
            better = _better(setting, found, wanted, only_peaks=attempt >= LOUDNESS_ATTEMPTS)
            if better is None or attempt == ATTEMPTS:
                break
            setting = better
        if wanted.is_mp3:
            _tag(draft, take, wanted)
    return Mixed(
        file=wanted.file,
        lufs=found.lufs,
        peak_dbtp=_peak(found),
        gain_db=setting.gain_db,
        limited=setting.limited,
        target_lufs=wanted.loudness,
        seconds=found.samples / rate,
        channels=take.channels,
    )


def stems_of(folder: TakeFolder, take: Take) -> tuple[StemFile, ...]:
    """Return the files of a take's stems, of players and of sounds, each once."""
    named: dict[str, tuple[int, float]] = {player.stem: (1, player.pan) for player in take.players if player.stem}
    named |= {sound.stem: (take.channels, 0.0) for sound in take.sounds}
    return tuple(
        StemFile(folder.inside(name), channels, audio.pan_gains(pan) if take.channels == 2 else (1.0,))
        for name, (channels, pan) in named.items()
    )


def _first_setting(stems: tuple[StemFile, ...], take: Take, wanted: Mix, rate: int) -> _Setting:
    """Find the first setting from the sum as it is; one that is below the gate is measured louder."""
    plain = _Setting(0.0, 0.0, limited=False)
    found = _metered(_mixed(stems, take, plain, rate), rate, take.channels, true_peak=False)
    if found.peak_dbtp is None:
        raise SilentTake(str(stems[0].path.parent), "the take's stems are silent", "there is nothing to mix")
    ceiling = wanted.peak - MARGIN_DB
    if found.lufs is None:
        found = _metered(_mixed(stems, take, plain, rate), rate, take.channels, gain_db=-found.peak_dbtp)
    elif _peak(found) + audio.gain_for(found, wanted.loudness) > ceiling - BETWEEN_DB:
        found = _metered(_mixed(stems, take, plain, rate), rate, take.channels)
    peak = _peak(found)
    if found.lufs is None:  # a click, and nothing else
        return _Setting(min(ceiling - peak, LOUDEST_GAIN_DB), ceiling, limited=False)
    gain = min(audio.gain_for(found, wanted.loudness), LOUDEST_GAIN_DB)
    if peak + gain <= ceiling:
        return _Setting(gain, ceiling, limited=False)
    return _Setting(gain, ceiling, limited=True, before=(ceiling - peak, found.lufs + ceiling - peak))


def _peak(found: Loudness) -> float:
    return audio.SILENCE_DBFS if found.peak_dbtp is None else found.peak_dbtp


def _better(setting: _Setting, found: Loudness, wanted: Mix, *, only_peaks: bool) -> _Setting | None:
    """Find a setting that comes nearer to what is wanted; None if this one is near enough.

    After some attempts ``only_peaks`` count: a lossy file's peaks are not where they were.
    """
    over = max(0.0, _peak(found) - wanted.peak)
    missing = 0.0 if found.lufs is None else audio.gain_for(found, wanted.loudness)
    if only_peaks:
        missing = -over - MARGIN_DB if over else 0.0
    if not over and abs(missing) <= CLOSE_ENOUGH_LU:
        return None
    gain = min(setting.gain_db + missing / _yield(setting, found), LOUDEST_GAIN_DB)
    if gain == setting.gain_db and not over:
        return None
    ceiling = setting.ceiling_db - (over + MARGIN_DB if over and setting.limited else 0.0)
    limited = setting.limited or over > 0 or _peak(found) + missing > ceiling
    return _Setting(gain, ceiling, limited, None if found.lufs is None else (setting.gain_db, found.lufs))


def _yield(setting: _Setting, found: Loudness) -> float:
    """Measure how much louder it gets for each decibel more; less than one where peaks are kept down."""
    if setting.before is None or found.lufs is None:
        return 1.0
    gain, lufs = setting.before
    more = setting.gain_db - gain
    return 1.0 if abs(more) < CLOSE_ENOUGH_LU else min(1.0, max(LEAST_YIELD, (found.lufs - lufs) / more))


def _mixed(stems: tuple[StemFile, ...], take: Take, setting: _Setting, rate: int) -> Iterator[Samples]:
    """Yield the sum of the stems at the wanted rate, gained, and limited if it must be."""
    factor = 10 ** (setting.gain_db / 20)
    sums = _sums(stems, take.samples, take.channels)
    blocks = (block * factor for block in audio.at_rate(sums, RATE, rate, take.channels))
    if not setting.limited:
        yield from blocks
        return
    limiter = audio.Limiter(rate, setting.ceiling_db, take.channels)
    for block in blocks:
        yield limiter.feed(block)
    yield limiter.finish()


def _sums(stems: tuple[StemFile, ...], samples: int, channels: int) -> Iterator[NDArray[np.float32]]:
    """Yield the sum of the stems, full scale at 1, as long as the longest: in stereo, samples by channels."""
    with ExitStack() as opened:
        files = [opened.enter_context(open_sound(stem.path, samples, channels=stem.channels)) for stem in stems]
        gains = [np.array(stem.gains, np.float32) / np.float32(audio.FULL_SCALE) for stem in stems]
        for start in range(0, max(file.frames for file in files), BLOCK):
            total = np.zeros((BLOCK, channels), np.float32)
            longest = 0
            for stem, file, gain in zip(stems, files, gains, strict=True):
                with sound_errors(stem.path):
                    block = file.read(min(BLOCK, max(0, file.frames - start)), dtype="int16", always_2d=True)
                if block.any():
                    total[: len(block)] += block * gain
                longest = max(longest, len(block))
            yield total[:longest] if channels > 1 else total[:longest, 0]


def _metered(
    blocks: Iterator[Samples], rate: int, channels: int, gain_db: float = 0.0, *, true_peak: bool = True
) -> Loudness:
    meter = audio.Meter(rate, gain_db, channels, true_peak=true_peak)
    for block in blocks:
        meter.feed(block)
    return meter.result()


def _write(draft: Path, final: Path, blocks: Iterator[Samples], rate: int, channels: int, kbps: int | None) -> Loudness:
    """Write all blocks, and measure what is in the file then: what is kept as it is, while it is written."""
    is_lossless = final.suffix.lower() in LOSSLESS
    meter = audio.Meter(rate, channels=channels)
    length = 0
    kind, subtype = KINDS[final.suffix.lower()]
    level, mode = (None, None) if kbps is None else (_compression_level(kbps, rate), "CONSTANT")
    with sound_errors(final, MIX_AGAIN):
        made = soundfile.SoundFile(
            draft, "w", rate, channels, subtype=subtype, format=kind, compression_level=level, bitrate_mode=mode
        )
    with made:
        for block in blocks:
            with sound_errors(final, MIX_AGAIN):
                made.write(block)
            length += len(block)
            if is_lossless:
                meter.feed(block)
    with sound_errors(final, MIX_AGAIN), open_sound(draft, name=final, channels=channels) as file:
        if file.frames < length or (is_lossless and file.frames > length):
            raise TakeError(str(final), f"has {file.frames} samples, and should have {length}", MIX_AGAIN)
        has_size = final.suffix.lower() in WITH_SIZE and not (kbps and kbps < LEAST_KBPS_WITH_SIZE)
        if has_size and not audio.tells_its_size(draft):
            raise TakeError(str(final), "its end or its header could not be written", MIX_AGAIN)
        return meter.result() if is_lossless else _metered(file.blocks(BLOCK, dtype="float32"), rate, channels)


def _compression_level(kbps: int, rate: int) -> float:
    """Return what libsndfile calls a bit rate: 0 is the most that MP3 has at a rate, and towards 1 the least."""
    least, most = (32, MOST_KBPS[48_000]) if rate >= 32_000 else (8, MOST_KBPS[24_000])
    return min(0.999, (most - kbps) / (most - least))


def _tag(draft: Path, take: Take, wanted: Mix) -> None:
    """Write title, artist and cover into an MP3."""
    from mutagen import MutagenError
    from mutagen.id3 import APIC, ID3, TIT2, TPE1

    tags = ID3()
    tags.add(TIT2(encoding=3, text=wanted.title or take.scene.title))
    if wanted.artist:
        tags.add(TPE1(encoding=3, text=wanted.artist))
    if wanted.cover:
        mime, data = _read_cover(resolve_path(take.scene.path, wanted.cover))
        tags.add(APIC(encoding=3, mime=mime, type=3, desc="", data=data))
    try:
        tags.save(draft, v2_version=3)
    except MutagenError as error:
        failure = error.args[0] if error.args else error
        raise failure if isinstance(failure, OSError) else OSError(None, str(failure)) from None


def _read_cover(file: Path) -> tuple[str, bytes]:
    hint = "put the picture back beside the scene"
    try:
        data = file.read_bytes()
        return picture_type(data, str(file), len(data)), data
    except OSError as error:
        raise TakeError(str(file), f"the mix has no cover: {os_reason(error)}", hint) from None
    except UsageError:
        raise TakeError(str(file), "the mix has no cover: is no picture", hint) from None
