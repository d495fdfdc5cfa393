"""The chunks of a WAV file: what it tells beside its sound, read, and put behind the sound of a file that is finished.

Chunks hold marks, where a file comes from, and what it belongs to. A chunk is named by its four characters; a ``LIST``
by these and its type: ``LISTadtl``.

Sources: Microsoft and IBM, *Multimedia Programming Interface and Data Specifications 1.0*, 1991 (RIFF, ``cue ``,
``adtl``); EBU Tech 3285 (``bext``) and EBU R 98 (its coding history); the iXML specification 3.0.
"""

from __future__ import annotations

import os
import re
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from tau_stage.audio.pcm import RATE
from tau_stage.audio.random_access import BINARY, read_at, write_at

CUE, ADTL, BEXT, IXML = b"cue ", b"LISTadtl", b"bext", b"iXML"
ORIGINATOR = "tau-stage"
BEXT_VERSION = 1

_MOST = 0xFFFFFFFF
_PLAIN = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th", "ı": "i", "⁄": "/"}
    | dict(zip("øØłŁđĐðÐ·•", "oOlLdDdD--", strict=True))
    | dict.fromkeys("‘’‚‛′", "'")
    | dict.fromkeys("“”„‟″«»", '"')
    | dict.fromkeys("‐‑‒–—―−", "-")
)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Mark:
    """A named stretch of a file; a number that does not fit into 32 bit is a ``ValueError``."""

    sample: int
    samples: int
    label: str

    def __post_init__(self) -> None:
        if not (0 <= self.sample <= _MOST and 0 <= self.samples <= _MOST):
            raise ValueError(
                f"mark {self.label!r} at {self.sample}, {self.samples} samples long, does not fit into a WAV file"
            )


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file comes from.

    Its ``reference`` is unlike that of any other; its first ``sample`` lies there on the common timeline. How it was
    made is its ``history``, as ``coding_history`` writes it.
    """

    description: str
    reference: str
    at: datetime
    sample: int = 0
    history: str = ""


@dataclass(frozen=True, slots=True)
class Slate:
    """What a file belongs to. Its ``tape`` is the roll or day, its ``tracks`` its channels; ``own`` only we know."""

    project: str
    scene: str
    take: str
    tape: str
    note: str
    rate: int
    tracks: Sequence[str]
    own: Mapping[str, str] = field(default_factory=dict)
    bits: int = 16


def cue_chunks(marks: Iterable[Mark]) -> dict[bytes, bytes]:
    """Make the chunks of marks: ``cue `` with the places, ``LISTadtl`` with labels (UTF-8) and lengths.

    Marks are numbered from 1 in the order of their places. All labels stand before all lengths: libsndfile 1.2 and
    FFmpeg 5 read no further than the first ``ltxt``.
    """
    placed = sorted(marks, key=lambda mark: mark.sample)
    if not placed:
        return {}
    points, labels, lengths = [struct.pack("<I", len(placed))], [], []
    for number, mark in enumerate(placed, start=1):
        points.append(struct.pack("<II4sIII", number, mark.sample, b"data", 0, 0, mark.sample))
        label = mark.label.replace("\0", " ").encode(errors="replace") + b"\0"
        labels.append(chunk(b"labl", struct.pack("<I", number) + label))
        lengths.append(chunk(b"ltxt", struct.pack("<II4sHHHH", number, mark.samples, b"rgn ", 0, 0, 0, 0)))
    return {CUE: b"".join(points), ADTL: b"".join(labels + lengths)}


def bext_chunk(origin: Origin) -> bytes:
    """Return the ``bext`` chunk of EBU Tech 3285, version 1: ASCII of fixed lengths; what is longer is cut.

    A first sample before 0, or that does not fit into 64 bit, is a ``ValueError``.
    """
    if not 0 <= origin.sample < 1 << 64:
        raise ValueError(f"time reference {origin.sample} does not fit into 64 bits")
    texts = (plain(origin.description), ORIGINATOR, plain(origin.reference), _date(origin), _time(origin))
    fixed = struct.pack(
        "<256s32s32s10s8sQH64x190x", *(text.encode("ascii") for text in texts), origin.sample, BEXT_VERSION
    )
    return fixed + origin.history.encode("ascii", "replace") + b"\0"


def coding_history(rate: int, told: str, channels: int = 1, bits: int = 16) -> str:
    r"""Return one line of a coding history as EBU R 98 has it; its free text holds no comma and no line break.

    >>> coding_history(24_000, "synthetic speech, voice ash")
    'A=PCM,F=24000,W=16,M=mono,T=synthetic speech; voice ash\r\n'
    """
    mode = "stereo" if channels == 2 else "mono"
    return f"A=PCM,F={rate},W={bits},M={mode},T={plain(told).replace(',', ';')}\r\n"


def ixml_chunk(slate: Slate, origin: Origin) -> bytes:
    """Return the ``iXML`` chunk, version 3.0; characters that XML cannot hold become U+FFFD."""
    root = ET.Element("BWFXML")
    top = {"PROJECT": slate.project, "SCENE": slate.scene, "TAKE": slate.take, "TAPE": slate.tape, "NOTE": slate.note}
    _told(root, {"IXML_VERSION": "3.0", **top, "FILE_UID": origin.reference})
    low, high = str(origin.sample & _MOST), str(origin.sample >> 32)
    rate = str(slate.rate)
    speed = {"FILE_SAMPLE_RATE": rate, "AUDIO_BIT_DEPTH": str(slate.bits), "DIGITIZER_SAMPLE_RATE": rate}
    since = "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT"
    stamp = {f"{since}_HI": high, f"{since}_LO": low, "TIMESTAMP_SAMPLE_RATE": rate}
    _told(ET.SubElement(root, "SPEED"), speed | stamp)
    tracks = ET.SubElement(root, "TRACK_LIST")
    _told(tracks, {"TRACK_COUNT": str(len(slate.tracks))})
    for number, name in enumerate(map(str, slate.tracks), start=1):
        place = {"CHANNEL_INDEX": str(number), "INTERLEAVE_INDEX": str(number), "NAME": name}
        _told(ET.SubElement(tracks, "TRACK"), place)
    _told(ET.SubElement(root, "BEXT"), _bext_copies(origin, low, high))
    if slate.own:
        _told(ET.SubElement(root, "TAU_STAGE"), slate.own)
    text: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return text


def plain(text: str) -> str:
    """Write a text as a line of printable 7-bit ASCII: accents go, quotes and dashes become simple, others ``?``."""
    known = unicodedata.normalize("NFKD", text.translate(_PLAIN)).translate(_PLAIN)
    letters = "".join(letter for letter in known if not unicodedata.combining(letter))
    return re.sub(r"[\x00-\x1f\x7f]+", " ", letters.encode("ascii", "replace").decode("ascii"))


def chunk(name: bytes, payload: bytes) -> bytes:
    """Return a whole chunk: name, size, payload, and a byte more where the payload's length is odd.

    What is no name, or does not fit into 4 GiB, is a ``ValueError``.
    """
    if len(name) != (8 if name.startswith(b"LIST") else 4):
        raise ValueError(f"{name!r} is not a valid chunk name")
    name, payload = name[:4], name[4:] + payload
    if len(payload) > _MOST:
        raise ValueError(f"chunk {name!r} would be longer than 4 GiB")
    return struct.pack("<4sI", name, len(payload)) + payload + b"\0" * (len(payload) % 2)


def _bext_copies(origin: Origin, low: str, high: str) -> dict[str, str]:
    return {
        "BWF_DESCRIPTION": origin.description,
        "BWF_ORIGINATOR": ORIGINATOR,
        "BWF_ORIGINATOR_REFERENCE": origin.reference,
        "BWF_ORIGINATION_DATE": _date(origin),
        "BWF_ORIGINATION_TIME": _time(origin),
        "BWF_TIME_REFERENCE_LOW": low,
        "BWF_TIME_REFERENCE_HIGH": high,
        "BWF_VERSION": str(BEXT_VERSION),
        "BWF_CODING_HISTORY": origin.history,
    }


def _date(origin: Origin) -> str:
    return origin.at.strftime("%Y-%m-%d")


def _time(origin: Origin) -> str:
    return origin.at.strftime("%H:%M:%S")


def _told(parent: ET.Element, texts: Mapping[str, str]) -> None:
    for tag, text in texts.items():
        ET.SubElement(parent, tag).text = _NOT_XML.sub("\ufffd", text)


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
