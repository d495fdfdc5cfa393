"""WAV files: 16-bit, mono or stereo, valid for every reader at every moment of their writing."""

from __future__ import annotations

import errno
import os
import struct
import wave
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from tau_stage.audio.loudness import faded
from tau_stage.audio.pcm import RATE, Pcm, Stereo
from tau_stage.audio.random_access import BINARY, read_at, write_at

HEADER_BYTES = 44

LONGEST_SAMPLES = (0xFFFFFFFF - 36) // 2  # samples of the longest WAV file, of all its channels: its sizes have 32 bits
NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # where a link stands, nothing is written through it


def header(samples: int, rate: int, channels: int = 1) -> bytes:
    """Make the canonical 44 bytes before ``samples`` of each channel of 16 bit (Microsoft RIFF specification, 1991)."""
    width = 2 * channels
    size = width * samples
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, width * rate, width, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + fmt + struct.pack("<4sI", b"data", size)


class WavWriter:
    """Appends audio to a WAV file whose header is current after every append, so that a killed process leaves it whole.

    The file is made, or emptied. With ``header_lag`` the header may be that many samples behind the sound: what a
    killed process leaves is whole up to there. Audio of another rate or number of channels is a ``ValueError``; a full
    disk, or a file that would be larger than 4 GiB, is an ``OSError``: what was written before stays valid.
    """

    def __init__(self, path: Path, rate: int = RATE, channels: int = 1, *, header_lag: int = 0) -> None:
        self.path = path
        self.rate = rate
        self.channels = channels
        self._width = 2 * channels
        self.samples = self._told = 0
        self._header_lag = header_lag
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | NO_LINK | BINARY, 0o644)
        write_at(self._file, header(0, rate, channels), 0)
        os.lseek(self._file, 0, os.SEEK_END)

    def append(self, audio: Pcm | Stereo) -> None:
        """Add audio at the end."""
        self._refuse_what_differs(audio)
        self._refuse_more_than_fits(len(audio))
        rest = memoryview(audio.data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self.samples += len(audio)
        if self.samples - self._told > self._header_lag:
            self._tell_size()

    def silence(self, samples: int) -> None:
        """Add silence at the end; it costs no writing."""
        self._refuse_more_than_fits(samples)
        self.samples += samples
        os.ftruncate(self._file, self._place(self.samples))
        os.lseek(self._file, 0, os.SEEK_END)
        self._tell_size()

    def _tell_size(self) -> None:
        if self._told != self.samples:
            write_at(self._file, header(self.samples, self.rate, self.channels), 0)
            self._told = self.samples

    def _place(self, sample: int) -> int:
        return HEADER_BYTES + self._width * sample

    def _refuse_what_differs(self, audio: Pcm | Stereo) -> None:
        if audio.rate != self.rate:
            raise ValueError(f"{self.path} is at {self.rate} Hz, but the audio is at {audio.rate} Hz")
        if audio.channels != self.channels:
            raise ValueError(f"{self.path} has {self.channels} channels, but the audio has {audio.channels}")

    def _refuse_more_than_fits(self, samples: int) -> None:
        if (self.samples + samples) * self.channels > LONGEST_SAMPLES:
            raise OSError(
                errno.EFBIG,
                "a WAV file can hold at most 4 GiB, which is about one day of mono audio at 24 kHz",
                str(self.path),
            )

    def overlay(self, at: int, audio: Pcm | Stereo) -> None:
        """Add audio to what is there from a sample on, clipped to 16 bit; what reaches further is appended."""
        if at > self.samples:
            raise ValueError(f"{self.path} has {self.samples} samples, so it has no sample {at}")
        self._refuse_what_differs(audio)
        over = audio[: self.samples - at]
        if over:
            there = np.frombuffer(read_at(self._file, len(over.data), self._place(at)), dtype="<i2").astype(np.int32)
            both = np.clip(there + over.array.ravel(), -32768, 32767).astype("<i2")
            write_at(self._file, both.tobytes(), self._place(at))
        if rest := audio[len(over) :]:
            os.lseek(self._file, 0, os.SEEK_END)
            self.append(rest)

    def fade_out(self, samples: int) -> None:
        """Let the last samples become silent."""
        samples = min(samples, self.samples)
        place = self._place(self.samples - samples)
        last = (Pcm if self.channels == 1 else Stereo)(read_at(self._file, self._width * samples, place), self.rate)
        write_at(self._file, faded(last, 1.0, 0.0).data, place)

    def close(self) -> None:
        """Bring everything to the disk and close; closing twice is harmless."""
        if self._file >= 0:
            self._tell_size()
            os.fsync(self._file)
            self.leave()

    def leave(self) -> None:
        """Close, and wait for no disk; closing twice is harmless."""
        if self._file >= 0:
            self._tell_size()
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def read_wav(path: Path) -> Pcm:
    """Read the audio of a mono 16-bit WAV file; another kind of file is a ``ValueError``."""
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                held = f"{file.getnchannels()} channels of {8 * file.getsampwidth()} bits"
                raise ValueError(f"{path}: {held}, but 16-bit mono is required")
            data = file.readframes(file.getnframes())
            return Pcm(data[: len(data) // 2 * 2], file.getframerate())  # half a file may end in half a sample
    except (wave.Error, EOFError, RuntimeError) as error:  # of a chunk that is longer than the file, without words
        raise ValueError(f"{path}: not a WAV file ({str(error) or 'damaged'})") from None
