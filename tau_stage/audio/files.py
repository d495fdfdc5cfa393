"""Sound from files that people bring: any format, rate and number of channels."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock, Thread
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from tau_stage.audio.formats import as_samples, at_rate, joined
from tau_stage.audio.loudness import AUDIBLE_DBFS, dbfs
from tau_stage.audio.pcm import FULL_SCALE, RATE, Pcm, Stereo
from tau_stage.errors import LFS_HINT, LFS_LARGEST, LFS_PROBLEM, UsageError, is_lfs_pointer

LONGEST_S = 3600  # an hour at 24 kHz is 173 MB in memory
SLOWEST_HZ = 1000
READABLE = "supported audio files are WAV, FLAC, OGG and MP3, with any sample rate, bit depth and number of channels"
BLOCK_SAMPLES = 1 << 20
CANCELLED_DB = 20.0  # a mix of channels that is so much softer than they are is not what they sound like
_CHATTER = (b"[src/libmpg123/", b"Note:", b"Warning:")
_NO_REASON = (
    "",
    "Unspecified internal error",
    "File does not exist or is not a regular file (possibly a pipe?)",  # what is left of an MP3 has no whole frame
)
"""What libsndfile says of a file when it does not know what is wrong with it."""

_standard_error = Lock()


@dataclass(frozen=True, slots=True)
class Survey:
    """What a sound file holds, as far as it can be read.

    Peak and level (root mean square) are those of its mono mix, over full scale too; the others are the root mean
    square of all its channels, and the highest sample of any.
    """

    rate: int
    channels: int
    frames: int
    peak_dbfs: float
    level_dbfs: float
    channels_dbfs: float
    loudest_dbfs: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever made the file should know, as the ends of sentences that begin with its name."""
        if self.channels_dbfs < AUDIBLE_DBFS and self.peak_dbfs < AUDIBLE_DBFS:
            return ("is silent",)
        if self.level_dbfs < self.channels_dbfs - CANCELLED_DB:
            lost = f"{self.channels_dbfs - self.level_dbfs:.0f} dB"
            return (
                f"is {lost} quieter in mono because its channels cancel each other out: invert one, or use only one",
            )
        return ()


@dataclass(frozen=True, slots=True)
class Playable:
    """A sound file as a scene plays it: as players hear it, in mono, and as it is laid on its stem."""

    heard: Pcm
    laid: Pcm | Stereo


def read_playable(path: Path, gain_db: float = 0.0, *, stereo: bool = False) -> Playable:
    """Read a sound file as a scene plays it, at 24 kHz, as ``read_audio`` does.

    Where its stem has two channels, a file of two keeps them; any other is the same on both.
    """
    heard = read_audio(path, gain_db)
    if not stereo:
        return Playable(heard, heard)
    return Playable(heard, _both(path, gain_db) if survey(path).channels == 2 else Stereo.of(heard, heard))


def _both(path: Path, gain_db: float) -> Stereo:
    """Read left and right of a file; what would be over full scale on either makes both softer."""
    factor = _factor(gain_db, survey(path).loudest_dbfs)
    with _opened(path) as file:
        blocks = (block * factor for block in _blocks(path, file))
        at_24_khz = at_rate(blocks, file.samplerate, RATE, 2)
        return Stereo(b"".join(as_samples(block).astype("<i2").tobytes() for block in at_24_khz))


def read_audio(path: Path, gain_db: float = 0.0) -> Pcm:
    """Read the sound of a file as mono 16-bit audio at 24 kHz: channels averaged, resampled where it must be.

    A file that is that already comes back sample for sample. Only what can be read of it is its sound, whatever its
    header tells. What would be over full scale, gain included, makes the whole sound softer until it fits.

    Raises:
        UsageError: The file is missing, is no sound, holds none, or lasts longer than an hour.
    """
    factor = _factor(gain_db, survey(path).peak_dbfs)
    with _opened(path) as file:
        return joined((block.mean(axis=1) * factor for block in _blocks(path, file)), file.samplerate)


def _factor(gain_db: float, peak_dbfs: float) -> float:
    """Compute the factor of samples with full scale at 1 for 16-bit sound, none of it over full scale."""
    return FULL_SCALE * 10 ** (min(gain_db, -peak_dbfs) / 20)


def survey(path: Path) -> Survey:
    """Read a sound file to its end, and keep nothing but what is told of it; a file that has not changed is read once.

    It raises what ``read_audio`` does.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}", READABLE) from None
    return _surveyed(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def _surveyed(path: Path, _changed: int, _size: int) -> Survey:
    frames, peak, loudest, power, powers = 0, 0.0, 0.0, 0.0, 0.0
    with _opened(path) as file:
        for block in _blocks(path, file):
            mono = block.mean(axis=1, dtype=np.float64)
            frames += len(block)
            peak = max(peak, float(np.max(np.abs(mono))))
            loudest = max(loudest, float(np.max(np.abs(block))))
            power += float(np.square(mono).sum())
            powers += float(np.square(block, dtype=np.float64).sum())
        rate, channels = file.samplerate, file.channels
    if frames * RATE < rate:
        raise UsageError(f"{path}: the file contains no audio", "record or export it again")
    levels = (peak, (power / frames) ** 0.5, (powers / frames / channels) ** 0.5, loudest)
    return Survey(rate, channels, frames, *(dbfs(level * FULL_SCALE) for level in levels))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        if not path.is_file():
            raise UsageError(f"{path}: not a file", READABLE)
        if not path.stat().st_size:
            raise UsageError(f"{path}: the file is empty", "record or export it again")
        with path.open("rb") as raw, quiet_decoder():
            if is_lfs_pointer(raw.read(LFS_LARGEST)):
                raise UsageError(f"{path}: {LFS_PROBLEM}", LFS_HINT)
            raw.seek(0)
            with _decoder(path, raw) as file:
                if file.samplerate < SLOWEST_HZ:
                    told = f"a sample rate of {file.samplerate} Hz is too low for speech"
                    raise UsageError(f"{path}: {told}", READABLE)
                yield file
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", READABLE) from None
    except (RuntimeError, TypeError, ValueError) as error:  # libsndfile's own, a headerless file, a null in the name
        raise UsageError(f"{path}: cannot read this file as audio ({_reason(error)})", READABLE) from None


def _reason(error: Exception) -> str:
    reason = str(getattr(error, "error_string", error)).rstrip(".")
    return "it is damaged or truncated" if reason in _NO_REASON else reason


@contextmanager
def _decoder(path: Path, raw: BinaryIO) -> Iterator[Any]:
    """Make a decoder of an open file. Of an MP3 that does not tell its length it reads what comes, up to the end.

    libsndfile would take the bit rate of the first frame for that of all, and stop where the sound would end then.
    """
    with soundfile.SoundFile(raw) as file:
        start = _without_length(path) if file.format == "MP3" else None
        if start is None:
            yield file
            return
    with _piped(path, start) as number, soundfile.SoundFile(number, closefd=False) as file:
        yield file


def _without_length(path: Path) -> int | None:
    """Tell where the sound of an MP3 begins that has no header of Xing, LAME or VBRI; None for one that has."""
    from mutagen import MutagenError
    from mutagen.mp3 import MP3, BitrateMode

    try:
        info: Any = MP3(path).info
    except MutagenError:
        return None
    return int(info.frame_offset) if info.bitrate_mode == BitrateMode.UNKNOWN else None


@contextmanager
def _piped(path: Path, start: int) -> Iterator[int]:
    """Open a pipe through which a file runs from some byte on: what has no known end has no length."""
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(OSError), path.open("rb") as source, os.fdopen(writing, "wb") as pipe:
            source.seek(start)
            shutil.copyfileobj(source, pipe)  # ends with an error where nobody reads any more

    writer = Thread(target=write, name="sound")
    writer.start()
    try:
        yield reading
    finally:
        os.close(reading)
        writer.join()


def _blocks(path: Path, file: Any) -> Iterator[NDArray[np.float32]]:
    """Yield what can be read of a file, frame by channel; floats that are no numbers are silence."""
    frames = 0
    buffer = np.empty((max(1, BLOCK_SAMPLES // file.channels), file.channels), np.float32)
    while len(block := file.read(out=buffer)):
        frames += len(block)
        if frames > LONGEST_S * file.samplerate:
            raise UsageError(f"{path}: the audio is longer than an hour", "split it into shorter files")
        yield np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)


@contextmanager
def quiet_decoder() -> Iterator[None]:
    """Keep what the MP3 decoder writes to standard error from there: it writes past Python, and about nothing wrong.

    What others write there meanwhile comes when this is over.
    """
    with _standard_error:
        try:
            there = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        with tempfile.TemporaryFile() as kept:
            try:
                os.dup2(kept.fileno(), 2)
                yield
            finally:
                with suppress(OSError, ValueError, AttributeError):
                    sys.stderr.flush()
                os.dup2(there, 2)
                os.close(there)
                kept.seek(0)
                for line in kept:
                    if line.strip() and not line.startswith(_CHATTER):
                        os.write(2, line)
