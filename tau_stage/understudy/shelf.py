"""The sounds of a house, on disk and each once, however many players heard it: memory does not grow with them."""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path

from tau_stage.audio.pcm import Pcm


@dataclass(slots=True, weakref_slot=True)
class Shelf:
    """Keeps sounds in a file that nobody else sees, and that is gone with the house."""

    _file: int = -1
    _places: dict[bytes, int] = field(default_factory=dict)
    _end: int = 0

    def put(self, audio: Pcm) -> Shelved:
        """Keep a sound.

        >>> shelf = Shelf()
        >>> shelf.put(Pcm.silence(100))[:40].pcm == Pcm.silence(40)
        True
        """
        key = hashlib.sha256(audio.data).digest()
        if key not in self._places:
            if self._file < 0:
                self._open()
            os.pwrite(self._file, audio.data, self._end)
            self._places[key] = self._end
            self._end += len(audio.data)
        return Shelved(self, self._places[key], len(audio), audio.rate)

    def read(self, place: int, size: int) -> bytes:
        """Some bytes of what was kept."""
        return os.pread(self._file, size, place)

    def _open(self) -> None:
        self._file, name = tempfile.mkstemp(prefix="tau-stage-")
        Path(name).unlink()
        weakref.finalize(self, os.close, self._file)


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
