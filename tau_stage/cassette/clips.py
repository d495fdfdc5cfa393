"""The sounds of a cassette: FLAC files named by the hash of their samples, each stored once."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import pybase64

from tau_stage.errors import LFS_HINT, LFS_LARGEST, LFS_PROBLEM, CassetteError, is_lfs_pointer

FOLDER = "audio"
NAME = re.compile(r"[0-9a-f]{64}")
DELTAS = frozenset({"response.output_audio.delta", "response.audio.delta"})
"""Events whose ``delta`` is sound, in either dialect."""

DECODED = 8  # clips kept decoded while they are replayed

Event = dict[str, Any]
"""An event, as the wire has it, or as a cassette has it: with references for its sounds."""

Keys = tuple[str, ...]  # the keys that lead to a part of an event, from outside

AudioT = TypeVar("AudioT")


class ClipRef(Event):
    """Where a sound is: its ``clip``, and its bytes ``from`` and ``to``, where it is a part."""


def map_strings(
    value: Any, change: Callable[[str, Keys], object], dropped: Collection[str] = (), keys: Keys = ()
) -> Any:
    """Put something else for the strings of an event, but for those of references, and leave out some fields."""
    if isinstance(value, str):
        return change(value, keys)
    if isinstance(value, list):
        return [map_strings(inner, change, dropped, keys) for inner in value]
    if isinstance(value, dict) and not isinstance(value, ClipRef):  # it learns later what it stands for
        items = value.items()
        return {key: map_strings(inner, change, dropped, (*keys, key)) for key, inner in items if key not in dropped}
    return value


def replace_audio(event: Event, swap: Callable[[AudioT], object], wanted: type[AudioT]) -> Event:
    """Put something else for the sounds of an event, where what is a sound is ``wanted``: ``str`` or ``dict``.

    >>> replace_audio({"type": "input_audio_buffer.append", "audio": "AAA="}, len, str)
    {'type': 'input_audio_buffer.append', 'audio': 4}
    """
    if event.get("type") in DELTAS:
        delta = event.get("delta")
        return event | {"delta": swap(delta)} if isinstance(delta, wanted) else event
    return {name: _swapped(inner, name, swap, wanted) for name, inner in event.items()}


def _swapped(value: object, key: str, swap: Callable[[AudioT], object], wanted: type[AudioT]) -> object:
    if key == "audio" and isinstance(value, wanted) and (wanted is str or "clip" in cast("Event", value)):
        return swap(value)
    if isinstance(value, dict):
        return {name: _swapped(inner, name, swap, wanted) for name, inner in value.items()}
    if isinstance(value, list):
        return [_swapped(inner, key, swap, wanted) for inner in value]
    return value


def refs_in(event: Event) -> list[Event]:
    """Return the sounds that a cassette's event speaks of."""
    found: list[Event] = []
    replace_audio(event, found.append, dict)
    return found


@dataclass(slots=True)
class ClipBuilder:
    """Sound that comes in pieces, each of which keeps its bounds: one clip in the end."""

    data: bytearray = field(default_factory=bytearray)
    refs: list[ClipRef] = field(default_factory=list)

    def add(self, piece: bytes) -> ClipRef:
        """Add one more piece; its reference learns its clip when all are kept."""
        start = len(self.data)
        self.data += piece
        ref = ClipRef({"clip": "", "from": start, "to": len(self.data)})
        self.refs.append(ref)
        return ref


class ClipWriter:
    """Where the sounds of a recording wait until it is whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rates: dict[str, int] = {}
        self._problem: OSError | None = None

    def keep(self, data: bytes, rate: int) -> str:
        """Keep it, and return the sound's name; half a sample at its end is filled up.

        A disk that fails does not end the performance, which is paid for: it is told when the recording is finished.
        """
        data += bytes(len(data) % 2)
        name = sha256(data).hexdigest()
        if name not in self._rates:
            self._rates[name] = rate
            try:
                (self._folder / name).write_bytes(data)
            except OSError as error:
                self._problem = self._problem or error
        return name

    def keep_whole(self, coded: str, rate: int) -> ClipRef:
        """Keep a sound in base64, and return where it is."""
        data = pybase64.b64decode(coded)
        name = self.keep(data, rate)
        return ClipRef({"clip": name} | ({"from": 0, "to": len(data)} if len(data) % 2 else {}))

    def keep_clip(self, clip: ClipBuilder, rate: int) -> None:
        """Keep a clip that is whole, and tell its pieces where they are."""
        name = self.keep(bytes(clip.data), rate)
        for ref in clip.refs:
            ref["clip"] = name
        if len(clip.refs) == 1 and not len(clip.data) % 2:
            del clip.refs[0]["from"], clip.refs[0]["to"]

    def deliver(self, folder: Path) -> None:
        """Write every sound as FLAC, or raise an ``OSError``; libsndfile does not always say that a disk failed."""
        import numpy as np
        import soundfile

        if self._problem:
            raise self._problem
        clips = Clips(folder.parent)
        for name, rate in sorted(self._rates.items()):
            raw, file = self._folder / name, folder / f"{name}.flac"
            samples = np.frombuffer(raw.read_bytes(), dtype="<i2")
            try:
                soundfile.write(file, samples, rate, subtype="PCM_16", compression_level=1.0)
                clips.bytes_of({"clip": name})
            except (RuntimeError, AssertionError, CassetteError):
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(file)) from None
            raw.unlink()


class Clips:
    """The sounds of a cassette that is replayed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._whole = lru_cache(DECODED)(self._decode)

    def bytes_of(self, ref: Event) -> bytes:
        """Read a sound's bytes; a ``CassetteError`` tells of a clip that is missing or damaged, or has no such part."""
        name = str(ref.get("clip"))
        data = self._whole(name)
        start, end = ref.get("from", 0), ref.get("to", len(data))
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start <= end <= len(data)):
            raise CassetteError(
                str(self.file(name)),
                f"has {len(data)} bytes, but an event refers to bytes {start} to {end}",
                RECORD_AGAIN,
            )
        return data[start:end]

    def is_same(self, ref: Event, data: bytes) -> bool:
        """Tell whether a sound is the one that a reference means."""
        if "from" not in ref:
            return ref.get("clip") == sha256(data).hexdigest()
        return self.bytes_of(ref) == data

    def file(self, name: str) -> Path:
        """Tell where a clip lies."""
        return self._folder / f"{name}.flac"

    def _decode(self, name: str) -> bytes:
        import soundfile

        file = self._checked(name)
        try:
            samples, _ = soundfile.read(file, dtype="int16")
            data: bytes = samples.astype("<i2").tobytes()
        except (OSError, RuntimeError, ValueError, MemoryError) as error:  # a header may tell of any length
            raise _damaged(file, error) from None
        if sha256(data).hexdigest() != name:
            raise CassetteError(str(file), "the clip is damaged: its samples do not match its name", RECORD_AGAIN)
        return data

    def measure(self, name: str) -> tuple[float, int]:
        """Measure a clip's seconds, and the bytes of its file; a ``CassetteError`` tells that it is not whole."""
        import soundfile

        file = self._checked(name)
        try:
            return soundfile.info(file).duration, file.stat().st_size
        except (OSError, RuntimeError) as error:
            raise _damaged(file, error) from None

    def _checked(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise CassetteError(str(self._folder), f"{name!r} is not a valid clip name", RECORD_AGAIN)
        file = self.file(name)
        if not file.is_file():
            raise CassetteError(str(file), "the clip is missing", RECORD_AGAIN)
        if file.stat().st_size <= LFS_LARGEST:
            refuse_lfs_pointer(file, file.read_bytes())
        return file

    def names(self) -> Iterator[str]:
        """Yield every clip that is there."""
        yield from filter(NAME.fullmatch, sorted(file.stem for file in self._folder.glob("*.flac")))


def refuse_lfs_pointer(file: Path, data: bytes) -> None:
    """Refuse what Git LFS has not fetched, with a ``CassetteError``: it is no part of a cassette."""
    if is_lfs_pointer(data):
        raise CassetteError(str(file), LFS_PROBLEM, LFS_HINT)


def _damaged(file: Path, error: Exception) -> CassetteError:
    reason = str(getattr(error, "error_string", error)).rstrip(".")
    return CassetteError(str(file), f"the clip is damaged ({reason})", RECORD_AGAIN)


RECORD_AGAIN = "restore it from version control, or record the scene again with --record"
