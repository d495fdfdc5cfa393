"""The sounds of a server: on disk, each once, however many players heard it; and the words of those spoken lately.

Memory does not grow with them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tau_stage.audio import RATE, Pcm, read_at, rms_dbfs, write_at
from tau_stage.environment import cache_folder

BLOCK = 2**20  # bytes read at once


@dataclass(slots=True, weakref_slot=True, eq=False)
class BlobStore:
    """Keeps sounds in a file that nobody else sees, gone with the server; in memory where the disk is full."""

    _file: int = -1
    _memory: bytearray | None = None
    _known: dict[tuple[bytes, int], BlobRef] = field(default_factory=dict)
    _end: int = 0

    def put(self, audio: Pcm) -> BlobRef:
        """Keep a sound."""
        if known := self._known.get((hashlib.sha256(audio.data).digest(), audio.rate)):
            return known
        entry = self.entry(len(audio), audio.rate)
        entry.append(audio)
        return entry.finish()

    def entry(self, samples: int, rate: int = RATE) -> BlobWriter:
        """Keep a sound that comes in parts, and has so many samples in all."""
        if self._file < 0:
            self._open()
        self._end += 2 * samples
        return BlobWriter(BlobRef(self, self._end - 2 * samples, samples, rate))

    def read(self, place: int, size: int) -> bytes:
        """Read some bytes of what was kept."""
        if self._memory is not None:
            return bytes(self._memory[place : place + size])
        return read_at(self._file, size, place)

    def write(self, place: int, data: bytes) -> None:
        """Write some bytes of an entry."""
        if self._memory is None:
            try:
                return write_at(self._file, data, place)
            except OSError:
                self._memory = bytearray(read_at(self._file, self._end, 0).ljust(self._end, b"\0"))
        self._memory.extend(bytes(max(0, place + len(data) - len(self._memory))))
        self._memory[place : place + len(data)] = data
        return None

    def settle(self, digest: bytes, written: BlobRef) -> BlobRef:
        """Return where a sound stands that was written. If it was there already, free its place where that can be."""
        known = self._known.setdefault((digest, written.rate), written)
        if known is not written and self._end == written.place + 2 * written.samples:
            self._end = written.place
        return known

    def _open(self) -> None:
        self._file, name = tempfile.mkstemp(prefix="tau-stage-")
        Path(name).unlink()
        weakref.finalize(self, os.close, self._file)


class BlobWriter:
    """A place in a store that is being filled."""

    def __init__(self, place: BlobRef) -> None:
        self._whole = place
        self._at = place.place
        self._digest = hashlib.sha256()

    def append(self, audio: Pcm) -> None:
        """Write the next part."""
        self._whole.blobs.write(self._at, audio.data)
        self._at += len(audio.data)
        self._digest.update(audio.data)

    def finish(self) -> BlobRef:
        """Return the sound, whole."""
        return self._whole.blobs.settle(self._digest.digest(), self._whole)


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A sound in a store; its ``place`` is the byte where it begins."""

    blobs: BlobStore
    place: int
    samples: int
    rate: int

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, span: slice) -> BlobRef:
        start, stop, _ = span.indices(self.samples)
        return BlobRef(self.blobs, self.place + 2 * start, max(0, stop - start), self.rate)

    @property
    def pcm(self) -> Pcm:
        """The sound itself."""
        return Pcm(self.blobs.read(self.place, 2 * self.samples), self.rate)

    @property
    def digest(self) -> bytes:
        """SHA-256 of its bytes."""
        found = hashlib.sha256()
        for block in self._blocks():
            found.update(block)
        return found.digest()

    def holds(self, data: bytes) -> bool:
        """Tell whether some bytes are in it."""
        return any(data in block for block in self._blocks(len(data)))

    def _blocks(self, overlap: int = 0) -> Iterator[bytes]:
        """Read its bytes, block by block, each with some bytes of the next one."""
        for at in range(0, 2 * self.samples, BLOCK):
            yield self.blobs.read(self.place + at, min(BLOCK + overlap, 2 * self.samples - at))


def read_bytes(audio: Pcm | BlobRef, at: int, size: int) -> bytes:
    """Read some bytes of a sound, wherever it is kept."""
    if isinstance(audio, Pcm):
        return audio.data[at : at + size]
    return audio.blobs.read(audio.place + at, max(0, min(size, 2 * audio.samples - at)))


def load_pcm(audio: Pcm | BlobRef) -> Pcm:
    """Load a sound into memory, wherever it is kept."""
    return audio if isinstance(audio, Pcm) else audio.pcm


MOST_BYTES = 128 * 2**20  # of all sounds of a cache: 45 minutes
LONGEST_S = 60  # of a sound that is cached: it is read and written whole


@dataclass(frozen=True, slots=True)
class SoundCache:
    """Sounds that can be made again, in files that outlive the process; those that were used lately stay.

    A file has a digest of its sound before it: what was not written whole, or has changed since, is not taken. Where
    the folder cannot be read or written, nothing is cached.

    >>> SoundCache(Path("/dev/null/none")).load(b"a line", BlobStore()) is None
    True
    """

    folder: Path
    most_bytes: int = MOST_BYTES

    @classmethod
    def of_user(cls) -> SoundCache | None:
        """Return the one of this process's user; None where it has no place."""
        folder = cache_folder(os.environ)
        return cls(folder / "speech") if folder else None

    def load(self, key: bytes, blobs: BlobStore) -> BlobRef | None:
        """Put the sound of a key into a store; None where there is none."""
        file = self._file(key)
        try:
            data = file.read_bytes()
            os.utime(file)
        except OSError:
            return None
        digest, sound = data[:_DIGEST], data[_DIGEST:]
        return blobs.put(Pcm(sound)) if hashlib.sha256(sound).digest() == digest else None

    def save(self, key: bytes, sound: BlobRef) -> None:
        """Keep the sound of a key: all of it or nothing, whoever else writes it at the same time."""
        if sound.samples > LONGEST_S * RATE:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            number, draft = tempfile.mkstemp(dir=self.folder)
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(sound.digest + sound.pcm.data)
                Path(draft).replace(self._file(key))
            except OSError:
                Path(draft).unlink(missing_ok=True)
            self._prune()
        except OSError:
            return

    def _file(self, key: bytes) -> Path:
        return self.folder / f"{hashlib.sha256(key).hexdigest()}.pcm"

    def _prune(self) -> None:
        """Delete what was not used for longest, until the rest is small enough."""
        with os.scandir(self.folder) as found:
            files = sorted(((entry.stat(), entry.path) for entry in found), key=lambda each: each[0].st_mtime_ns)
        excess = sum(facts.st_size for facts, _ in files) - self.most_bytes
        for facts, path in files:
            if excess <= 0:
                return
            Path(path).unlink(missing_ok=True)
            excess -= facts.st_size


_DIGEST = hashlib.sha256().digest_size

KEPT = 256  # lines remembered; the oldest go first
PROBE = RATE // 8
INAUDIBLE = "[inaudible]"


class KnownClip(NamedTuple):
    """A sound and its words."""

    audio: BlobRef
    words: str


@dataclass(slots=True)
class KnownSpeech:
    """Lines spoken lately, and the words of each. The sounds are on disk."""

    _lines: OrderedDict[bytes, KnownClip] = field(default_factory=OrderedDict)
    _taught: dict[bytes, KnownClip] = field(default_factory=dict)
    _blobs: BlobStore = field(default_factory=BlobStore)

    def teach(self, audio: Pcm, words: str) -> None:
        """Learn the words of a sound from outside; it is never forgotten."""
        kept = self._blobs.put(audio)
        self._taught[kept.digest] = KnownClip(kept, words)

    def add(self, audio: Pcm | BlobRef, words: str) -> None:
        """Remember a line that was spoken; nothing is remembered where the disk is full."""
        try:
            kept = audio if isinstance(audio, BlobRef) else self._blobs.put(audio)
        except OSError:
            return
        key = kept.digest
        self._lines[key] = KnownClip(kept, words)
        self._lines.move_to_end(key)
        while len(self._lines) > KEPT:
            self._lines.popitem(last=False)

    def words(self, audio: Pcm) -> str:
        """Find the words of a sound, if a known line is in it; else ``[inaudible]``.

        An eighth of a second of its loudest stretch is looked for, sample by sample.
        """
        key = hashlib.sha256(audio.data).digest()
        if known := self._taught.get(key) or self._lines.get(key):
            return known.words
        spans = [audio[at : at + PROBE] for at in range(0, max(1, len(audio) - PROBE), PROBE)]
        probe = max(spans, key=rms_dbfs)
        if len(probe) < PROBE or rms_dbfs(probe) < -60:
            return INAUDIBLE
        lines = (*self._taught.values(), *reversed(self._lines.values()))
        return next((line.words for line in lines if line.audio.holds(probe.data)), INAUDIBLE)
