"""The chunks of a WAV file on the disk: reading them, and putting some behind the sound of a file that is finished.

Source: Microsoft and IBM, *Multimedia Programming Interface and Data Specifications 1.0*, 1991.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tau_stage.audio.chunks import chunk
from tau_stage.audio.pcm import RATE
from tau_stage.audio.random_access import BINARY, read_at, write_at

LARGEST = 0xFFFFFFFF  # bytes that a RIFF file can hold after its first eight: 4 GiB
LONGEST_MP3_HEADER = 64  # bytes of an MP3 up to what tells its size, and a little more


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where the payload of a chunk lies. The type of a ``LIST`` is a part of its name, and not of its payload."""

    name: bytes
    begin: int
    end: int

    @property
    def after(self) -> int:
        """First byte of what follows."""
        return self.end + self.end % 2


@contextmanager
def _opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    file = os.open(path, flags | BINARY)
    try:
        yield file
    finally:
        os.close(file)


def read_chunks(path: Path) -> dict[bytes, bytes]:
    """Return the payloads of a WAV file's chunks, all but the sound's; of several with one name, the first.

    Another kind of file, or a damaged one, is a ``ValueError``.
    """
    with _opened(path) as file:
        return dict(reversed([(part.name, _payload(file, part)) for part in _chunks(file, path) if not _sound(part)]))


@dataclass(frozen=True, slots=True)
class Shape:
    """How a WAV file holds its sound: samples per second, channels, and bits of each sample."""

    rate: int = RATE
    channels: int = 1
    bits: int = 16


def read_shape(path: Path) -> Shape:
    """Tell how a WAV file holds its sound; another kind of file, or a damaged one, is a ``ValueError``."""
    told = read_chunks(path).get(b"fmt ", b"")
    if len(told) < 16:
        raise ValueError(f"{path}: a WAV file without a fmt chunk")
    _, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", told)
    return Shape(rate, channels, bits)


def tells_its_size(path: Path) -> bool:
    """Tell whether the header of a WAV or an MP3 was written to the end: until then it tells of another size, or none.

    An MP3 tells it in its first frame, as LAME writes it; nothing may stand before that.
    """
    with _opened(path) as file:
        head = read_at(file, LONGEST_MP3_HEADER, 0)
        if head[:1] == b"\xff":
            return _mp3_size(head) == os.fstat(file).st_size
        return len(head) >= 8 and _size(file) == os.fstat(file).st_size


def _mp3_size(head: bytes) -> int | None:
    for start in (13, 21, 36):  # behind the header and side information of a frame, by version and channels
        name, flags, _frames, size = struct.unpack_from(">4sIII", head.ljust(LONGEST_MP3_HEADER, b"\0"), start)
        if name in (b"Xing", b"Info") and flags & 3 == 3:
            return int(size)
    return None


def append_chunks(path: Path, chunks: Mapping[bytes, bytes]) -> None:
    """Put chunks behind the sound of a finished WAV file, in place of those of the same names that are there.

    The sound is never touched, nor the format before it. The file is whole at every moment: new bytes lie outside of it
    until its size is told anew, which is one write of four bytes. As FFmpeg reads beyond that size, they pass for junk
    until all are there. What is there already is not written again.

    Nobody else may be writing the file.

    Raises:
        ValueError: It is another kind of file or a damaged one, a chunk of that name stands before the sound, or the
            file would be larger than 4 GiB. It is as it was.
        OSError: It cannot be written. Its sound is whole; chunks that were behind it may be gone.
    """
    with _opened(path, os.O_RDWR) as file:
        parts = list(_chunks(file, path))
        sound = next((number for number, part in enumerate(parts) if _sound(part)), None)
        if sound is None:
            raise ValueError(f"{path}: a WAV file without audio data")
        if fixed := {part.name for part in parts[: sound + 1]} & set(chunks):
            raise ValueError(f"{path}: {b', '.join(sorted(fixed)).decode('latin-1')} comes before the audio data")
        kept = [chunk(part.name, _payload(file, part)) for part in parts[sound + 1 :] if part.name not in chunks]
        _put(file, path, parts[sound], b"".join([*kept, *(chunk(*named) for named in chunks.items())]))


def forget_time(path: Path) -> None:
    """Take the time out of the ``PEAK`` chunk of a WAV file, where it has one: two files of one sound are the same."""
    with _opened(path, os.O_RDWR) as file:
        for part in _chunks(file, path):
            if part.name == b"PEAK":
                write_at(file, bytes(4), part.begin + 4)


def _put(file: int, path: Path, sound: Chunk, tail: bytes) -> None:
    begin = sound.after
    if begin + len(tail) - 8 > LARGEST:
        raise ValueError(f"{path}: with {len(tail)} bytes of marks it would exceed 4 GiB, the limit of a WAV file")
    size, there = _size(file), os.fstat(file).st_size
    if size == begin + len(tail) == there and read_at(file, len(tail), begin) == tail:
        return
    if size > begin:
        _set_size(file, begin)
        os.fsync(file)
    os.ftruncate(file, begin)
    if not tail:
        return
    try:
        write_at(file, struct.pack("<4sI", b"JUNK", len(tail) - 8) + tail[8:], begin)
        os.fsync(file)
    except OSError:
        os.ftruncate(file, begin)
        raise
    write_at(file, tail[:8], begin)
    _set_size(file, begin + len(tail))


def _chunks(file: int, path: Path) -> Iterator[Chunk]:
    begins = read_at(file, 12, 0)
    if len(begins) < 12 or (begins[:4], begins[8:]) != (b"RIFF", b"WAVE"):
        raise ValueError(f"{path}: not a WAV file")
    at, end = 12, _size(file)
    if os.fstat(file).st_size < end:
        raise ValueError(f"{path}: truncated; its header specifies {end} bytes")
    while at + 8 <= end:
        name, size = struct.unpack("<4sI", read_at(file, 8, at))
        part = Chunk(name, at + 8, at + 8 + size)
        if part.end > end:
            raise ValueError(f"{path}: chunk {name.decode('latin-1')!r} is longer than the file")
        yield Chunk(name + read_at(file, 4, at + 8), at + 12, part.end) if name == b"LIST" and size >= 4 else part
        at = part.after


def _sound(part: Chunk) -> bool:
    return part.name == b"data"


def _payload(file: int, part: Chunk) -> bytes:
    return read_at(file, part.end - part.begin, part.begin)


def _size(file: int) -> int:
    return int(struct.unpack("<I", read_at(file, 4, 4))[0]) + 8


def _set_size(file: int, size: int) -> None:
    write_at(file, struct.pack("<I", size - 8), 4)
