"""WAV files: 16-bit mono, valid for every reader at every moment of their writing."""

from __future__ import annotations

import errno
import os
import struct
import wave
from pathlib import Path
from types import TracebackType
from typing import Self

from tau_stage.audio.level import faded
from tau_stage.audio.pcm import RATE, Pcm

HEADER_BYTES = 44

LONGEST_SAMPLES = (0xFFFFFFFF - 36) // 2
"""Samples of the longest WAV file: its sizes have 32 bits."""

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""Where a link stands, nothing is written through it."""


def header(samples: int, rate: int) -> bytes:
    """The canonical 44 bytes before ``samples`` of mono 16-bit audio (Microsoft RIFF specification, 1991).

    >>> len(header(0, 24_000))
    44
    """
    size = 2 * samples
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + fmt + struct.pack("<4sI", b"data", size)


class WavWriter:
    """Appends audio to a WAV file whose header is current after every append, so that a killed process leaves it whole.

    Args:
        path: Created, or emptied.
        rate: Samples per second; audio of another rate is refused.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path, rate: int = RATE) -> None:
        self.path = path
        self.rate = rate
        self.samples = 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | NO_LINK, 0o644)
        os.write(self._file, header(0, rate))

    def append(self, audio: Pcm) -> None:
        """Add audio at the end.

        Raises:
            ValueError: It has another rate.
            OSError: The disk is full, or the file would be larger than 4 GiB; what was written before stays valid.
        """
        if audio.rate != self.rate:
            raise ValueError(f"{self.path} is at {self.rate} Hz, the audio at {audio.rate} Hz")
        self._refuse_more_than_fits(len(audio))
        rest = memoryview(audio.data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self.samples += len(audio)
        os.pwrite(self._file, header(self.samples, self.rate), 0)

    def silence(self, samples: int) -> None:
        """Add silence at the end; it costs no writing.

        Raises:
            OSError: The disk is full, or the file would be larger than 4 GiB.
        """
        self._refuse_more_than_fits(samples)
        self.samples += samples
        os.ftruncate(self._file, HEADER_BYTES + 2 * self.samples)
        os.lseek(self._file, 0, os.SEEK_END)
        os.pwrite(self._file, header(self.samples, self.rate), 0)

    def _refuse_more_than_fits(self, samples: int) -> None:
        if self.samples + samples > LONGEST_SAMPLES:
            raise OSError(errno.EFBIG, "a WAV file holds at most 4 GiB, a day at 24 kHz", str(self.path))

    def overlay(self, at: int, audio: Pcm) -> None:
        """Add audio to what is there from a sample on; what reaches further is appended.

        Sums that do not fit into 16 bit are clipped.

        Raises:
            ValueError: It would begin after the end.
            OSError: The disk is full.
        """
        import numpy as np

        if at > self.samples:
            raise ValueError(f"{self.path} has {self.samples} samples, none at {at}")
        over = audio[: self.samples - at]
        if over:
            place = HEADER_BYTES + 2 * at
            there = np.frombuffer(os.pread(self._file, 2 * len(over), place), dtype="<i2").astype(np.int32)
            both = np.clip(there + over.array, -32768, 32767).astype("<i2")
            os.pwrite(self._file, both.tobytes(), place)
        if rest := audio[len(over) :]:
            os.lseek(self._file, 0, os.SEEK_END)
            self.append(rest)

    def fade_out(self, samples: int) -> None:
        """Let the last samples become silent.

        Raises:
            OSError: The file cannot be written.
        """
        samples = min(samples, self.samples)
        place = HEADER_BYTES + 2 * (self.samples - samples)
        last = Pcm(os.pread(self._file, 2 * samples, place), self.rate)
        os.pwrite(self._file, faded(last, 1.0, 0.0).data, place)

    def close(self) -> None:
        """Bring everything to the disk and close; closing twice is harmless."""
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def read_wav(path: Path) -> Pcm:
    """The audio of a mono 16-bit WAV file.

    Raises:
        ValueError: It is another kind of file.
        OSError: It cannot be read.
    """
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise ValueError(
                    f"{path}: {file.getnchannels()} channels of {8 * file.getsampwidth()} bit, not mono 16 bit"
                )
            data = file.readframes(file.getnframes())
            return Pcm(data[: len(data) // 2 * 2], file.getframerate())  # half a file may end in half a sample
    except (wave.Error, EOFError, RuntimeError) as error:  # of a chunk that is longer than the file, without words
        raise ValueError(f"{path}: not a WAV file ({str(error) or 'damaged'})") from None
