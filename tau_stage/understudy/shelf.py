"""The sounds of a house, on disk and each once, however many players heard it: memory does not grow with them."""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tau_stage.audio.pcm import RATE, Pcm

BLOCK = 2**20
"""Bytes read at once."""


@dataclass(slots=True, weakref_slot=True)
class Shelf:
    """Keeps sounds in a file that nobody else sees, gone with the house; in memory where the disk is full."""

    _file: int = -1
    _memory: bytearray | None = None
    _places: dict[bytes, int] = field(default_factory=dict)
    _end: int = 0

    def put(self, audio: Pcm) -> Shelved:
        """Keep a sound.

        >>> shelf = Shelf()
        >>> shelf.put(Pcm.silence(100))[:40].pcm == Pcm.silence(40)
        True
        """
        entry = self.entry(len(audio), audio.rate)
        entry.append(audio)
        return entry.finish()

    def entry(self, samples: int, rate: int = RATE) -> ShelfEntry:
        """Keep a sound that comes in parts.

        Args:
            samples: Length of all of it.
            rate: Samples per second.
        """
        if self._file < 0:
            self._open()
        self._end += 2 * samples
        return ShelfEntry(self, self._end - 2 * samples, samples, rate)

    def read(self, place: int, size: int) -> bytes:
        """Some bytes of what was kept."""
        if self._memory is not None:
            return bytes(self._memory[place : place + size])
        return os.pread(self._file, size, place)

    def write(self, place: int, data: bytes) -> None:
        """Write some bytes of an entry."""
        if self._memory is None:
            try:
                self._write(place, data)
            except OSError:
                kept = os.pread(self._file, self._end, 0)
                self._memory = bytearray(kept.ljust(self._end, b"\0"))
            else:
                return
        self._memory.extend(bytes(max(0, place + len(data) - len(self._memory))))
        self._memory[place : place + len(data)] = data

    def _write(self, place: int, data: bytes) -> None:
        """Write all bytes: a system may take fewer at once."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._file, rest, place)
            place, rest = place + written, rest[written:]

    def settle(self, key: bytes, place: int, size: int) -> int:
        """Where a sound stands that was written: if it was there already, its place is free again where it can be."""
        known = self._places.setdefault(key, place)
        if known != place and self._end == place + size:
            self._end = place
        return known

    def _open(self) -> None:
        self._file, name = tempfile.mkstemp(prefix="tau-stage-")
        Path(name).unlink()
        weakref.finalize(self, os.close, self._file)


class ShelfEntry:
    """A place on a shelf that is being filled.

    Args:
        shelf: Which.
        place: Where it begins, in bytes.
        samples: Its length.
        rate: Samples per second.
    """

    def __init__(self, shelf: Shelf, place: int, samples: int, rate: int) -> None:
        self._shelf = shelf
        self._place = place
        self._samples = samples
        self._rate = rate
        self._at = place
        self._digest = hashlib.sha256()

    def append(self, audio: Pcm) -> None:
        """Write the next part."""
        self._shelf.write(self._at, audio.data)
        self._at += len(audio.data)
        self._digest.update(audio.data)

    def finish(self) -> Shelved:
        """The sound, whole."""
        place = self._shelf.settle(self._digest.digest(), self._place, 2 * self._samples)
        return Shelved(self._shelf, place, self._samples, self._rate)


@dataclass(frozen=True, slots=True)
class Shelved:
    """A sound on a shelf.

    Attributes:
        shelf: Which.
        place: Where it begins, in bytes.
        samples: Its length.
        rate: Samples per second.
    """

    shelf: Shelf
    place: int
    samples: int
    rate: int

    def __len__(self) -> int:
        """The number of samples."""
        return self.samples

    def __getitem__(self, span: slice) -> Shelved:
        """A span of samples."""
        start, stop, _ = span.indices(self.samples)
        return Shelved(self.shelf, self.place + 2 * start, max(0, stop - start), self.rate)

    @property
    def pcm(self) -> Pcm:
        """The sound itself."""
        return Pcm(self.shelf.read(self.place, 2 * self.samples), self.rate)

    @property
    def digest(self) -> bytes:
        """SHA-256 of its bytes."""
        found = hashlib.sha256()
        for block in self._blocks():
            found.update(block)
        return found.digest()

    def holds(self, data: bytes) -> bool:
        """Whether some bytes are in it."""
        return any(data in block for block in self._blocks(len(data)))

    def _blocks(self, overlap: int = 0) -> Iterator[bytes]:
        """Its bytes, block by block, each with some bytes of the next one."""
        for at in range(0, 2 * self.samples, BLOCK):
            yield self.shelf.read(self.place + at, min(BLOCK + overlap, 2 * self.samples - at))


def bytes_of(audio: Pcm | Shelved, at: int, size: int) -> bytes:
    """Some bytes of a sound, wherever it is kept.

    >>> len(bytes_of(Shelf().put(Pcm.silence(100)), 190, 40)), len(bytes_of(Pcm.silence(100), 0, 40))
    (10, 40)
    """
    if isinstance(audio, Pcm):
        return audio.data[at : at + size]
    return audio.shelf.read(audio.place + at, max(0, min(size, 2 * audio.samples - at)))


def whole(audio: Pcm | Shelved) -> Pcm:
    """A sound in memory, wherever it is kept."""
    return audio if isinstance(audio, Pcm) else audio.pcm
