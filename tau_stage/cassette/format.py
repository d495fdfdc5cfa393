"""A cassette's folder: ``cassette.json``, one file of events per player, and the sounds. See ``docs/cassettes.md``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from tau_stage.cassette.clips import FOLDER, RECORD_AGAIN, Clips, Event, refs_in, refuse_lfs_pointer
from tau_stage.errors import CassetteError, os_reason
from tau_stage.take import parse_document
from tau_stage.text import printable_json

FORMAT = 1  # the version of the format that this tau-stage writes and reads

MANIFEST = "cassette.json"
REFUSAL = ("reason", "status", "code", "close_code", "retry_after_s")  # what is kept of a ``ConnectFailed``

RECORD_IT = "record one with: tau-stage run SCENE --record DIR"
FILE = re.compile(r"[a-z0-9][a-z0-9-]*\.jsonl")

Kind = Literal["dial", "opened", "refused", "told", "raw", "ask", "closed"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(slots=True, eq=False)
class CassetteEvent:
    """One thing that happened between a player and its provider, ``at_ms`` after the first opening began.

    Numbers count all that happened from 1, sockets the player's connections. ``ask`` is a client's event, ``told`` a
    server's, ``raw`` a server's frame that is none.
    """

    number: int
    at_ms: int
    player: str
    socket: int
    kind: Kind
    body: Event

    def encode(self, codec: DeltaCodec) -> bytes:
        """Write it as one line of the player's file.

        >>> CassetteEvent(2, 31, "clerk", 1, "opened", {}).encode(DeltaCodec())
        b'{"n":2,"ms":31,"opened":{}}'
        """
        socket = {} if self.socket == 1 else {"socket": self.socket}
        short = codec.encode(self.socket, self.body) if self.kind == "told" else None
        body: Event = short or {str(self.kind): self.body}
        return printable_json(to_json({"n": self.number, "ms": self.at_ms, **socket, **body}).decode()).encode()

    @classmethod
    def decode(cls, player: str, line: Event, codec: DeltaCodec) -> CassetteEvent:
        """Read a line of a player's file; a ``KeyError`` or ``ValueError`` tells that it is no event."""
        number, at_ms, socket = int(line["n"]), int(line["ms"]), int(line.get("socket", 1))
        if (body := codec.decode(socket, line)) is not None:
            return cls(number, at_ms, player, socket, "told", body)
        kind = next(filter(line.__contains__, KINDS), None)
        if kind is None or not isinstance(line[kind], dict):
            raise ValueError("it has no content")
        if kind == "told":
            codec.learn(socket, line[kind])
        return cls(number, at_ms, player, socket, kind, line[kind])


class PlayerTrack(BaseModel, frozen=True, extra="forbid"):
    """One player's conversation: its file, where it was had, how many events it holds, and their hash."""

    file: str
    endpoint: str
    dialect: str
    events: int
    sha256: str


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """``cassette.json``; ``recording`` is a number of its own, which the journal of the take holds too."""

    cassette: int = FORMAT
    tau_stage: str
    title: str
    slug: str
    recording: str = ""
    players: dict[str, PlayerTrack]
    lines: dict[str, str]


@dataclass(frozen=True, slots=True)
class Cassette:
    """A recorded performance of one scene: everything that happened, in order, and its sounds."""

    path: Path
    manifest: Manifest
    entries: Sequence[CassetteEvent]
    clips: Clips

    @property
    def wanted_clips(self) -> list[str]:
        """The clips that its events speak of, each once."""
        return list(dict.fromkeys(str(ref["clip"]) for ref in self.refs))

    @property
    def refs(self) -> Iterator[Event]:
        """The sounds that its events speak of, in order."""
        return chain.from_iterable(refs_in(entry.body) for entry in self.entries if entry.kind in ("ask", "told"))


def cassettes_in(folder: Path) -> list[Path]:
    """Return the cassettes in a folder, or the folder itself if it is one.

    Raises:
        CassetteError: There is none.
    """
    if (folder / MANIFEST).is_file():
        return [folder]
    found = sorted(file.parent for file in folder.glob(f"*/{MANIFEST}")) if folder.is_dir() else []
    if not found:
        raise CassetteError(str(folder), "no cassette found", _named(folder))
    return found


def _named(folder: Path) -> str:
    """Say which folder was probably meant, where a file of a cassette or a folder of scenes was named."""
    if (folder.parent / MANIFEST).is_file():
        return f"pass its directory instead: {folder.parent}"
    if folder.is_dir() and any(folder.glob(f"cassettes/*/{MANIFEST}")):
        return f"pass the cassettes directory instead: {folder / 'cassettes'}"
    return RECORD_IT


def load_cassette(path: Path) -> Cassette:
    """Read a cassette; its sounds are read when they are wanted.

    Raises:
        CassetteError: It is missing, damaged, changed by hand, or of a newer format.
    """
    manifest = _manifest(path / MANIFEST)
    entries: list[CassetteEvent] = []
    for player, track in manifest.players.items():
        entries += _entries(path, player, track)
    entries.sort(key=lambda entry: entry.number)
    if [entry.number for entry in entries] != list(range(1, len(entries) + 1)):
        raise CassetteError(
            str(path), "events are missing or duplicated: their numbers are not consecutive", RECORD_AGAIN
        )
    return Cassette(path, manifest, entries, Clips(path))


def _manifest(file: Path) -> Manifest:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise CassetteError(str(file.parent), "no cassette found", RECORD_IT) from None
    except OSError as error:
        raise CassetteError(str(file), f"cannot be read: {error}", RECORD_AGAIN) from None
    refuse_lfs_pointer(file, data)
    return parse_document(Manifest, data, file, "cassette", RECORD_AGAIN, CassetteError)


def _event_lines(path: Path, player: str, track: PlayerTrack) -> list[bytes]:
    """Read a track's events, if they are all there, and as they were recorded."""
    if not FILE.fullmatch(track.file):
        raise CassetteError(str(path / MANIFEST), f"{track.file!r} is not a valid name of an event file", RECORD_AGAIN)
    file = path / track.file
    try:
        data = file.read_bytes().replace(b"\r\n", b"\n")
    except OSError as error:
        reason = os_reason(error)
        raise CassetteError(str(file), f"cannot read the events of {player}: {reason}", RECORD_AGAIN) from None
    refuse_lfs_pointer(file, data)
    lines = data.splitlines()
    if len(lines) < track.events or (data and not data.endswith(b"\n")):
        raise CassetteError(str(file), f"is truncated: it has {len(lines)} of {track.events} events", RECORD_AGAIN)
    if sha256(data).hexdigest() != track.sha256:
        raise CassetteError(str(file), "was changed after it was recorded", RECORD_AGAIN)
    return lines


def _entries(path: Path, player: str, track: PlayerTrack) -> Iterator[CassetteEvent]:
    file, codec = path / track.file, DeltaCodec()
    for number, line in enumerate(_event_lines(path, player, track), 1):
        try:
            yield CassetteEvent.decode(player, from_json(line), codec)
        except (ValueError, KeyError, TypeError) as error:
            raise CassetteError(f"{file}:{number}", f"is not a valid cassette event: {error}", RECORD_AGAIN) from None


def write_events(folder: Path, file: str, entries: Iterable[CassetteEvent]) -> tuple[int, str]:
    """Write one player's events; how many they are, and their hash."""
    codec = DeltaCodec()
    lines = [entry.encode(codec) + b"\n" for entry in entries]
    data = b"".join(lines)
    (folder / file).write_bytes(data)
    return len(lines), sha256(data).hexdigest()


def format_manifest(manifest: Manifest) -> str:
    """Return the text of ``cassette.json``."""
    return printable_json(manifest.model_dump_json(indent=2)) + "\n"


def verify_cassette(path: Path) -> Cassette:
    """Read all of a cassette: structure, hashes, and every sound.

    Raises:
        CassetteError: Something is wrong; the first thing that is.
    """
    cassette = load_cassette(path)
    for ref in cassette.refs:
        cassette.clips.bytes_of(ref)
    return cassette


def spare_files(cassette: Cassette) -> list[Path]:
    """Return clips that no event speaks of, and events that the manifest does not speak of."""
    wanted = set(cassette.wanted_clips)
    clips = [cassette.clips.file(name) for name in cassette.clips.names() if name not in wanted]
    tracks = {track.file for track in cassette.manifest.players.values()}
    return clips + [path for path in sorted(cassette.path.glob("*.jsonl")) if path.name not in tracks]


def refuse_linked_cassette(path: Path) -> None:
    """Refuse to delete through a link that leads elsewhere, with a ``CassetteError``."""
    if path.is_symlink() or (path / FOLDER).is_symlink():
        raise CassetteError(
            str(path), "is a symbolic link or contains one", "prune the directory that the link points to"
        )


@dataclass(slots=True)
class DeltaCodec:
    """Writes a delta that goes on where the one before ended as a short line.

    It remembers, for each connection, the last piece of sound and the last piece of words.

    >>> full = {"type": "response.output_text.delta", "item_id": "item_1", "delta": "How "}
    >>> writer, reader = DeltaCodec(), DeltaCodec()
    >>> writer.encode(1, full), writer.encode(1, full | {"delta": "so?"})
    (None, {'words': 'so?'})
    >>> reader.learn(1, full)
    >>> reader.decode(1, {"words": "so?"})
    {'type': 'response.output_text.delta', 'item_id': 'item_1', 'delta': 'so?'}
    """

    _last: dict[tuple[int, str], Event] = field(default_factory=dict)

    def encode(self, socket: int, event: Event) -> Event | None:
        """Return what stands for an event; None where it must be written in full."""
        kind = _kind(event)
        if not kind:
            return None
        before = self._last.get((socket, kind))
        self._last[socket, kind] = event
        delta = event["delta"]
        if before is None or before | {"delta": delta} != event or list(before) != list(event):
            return None
        if kind == "words":
            return {"words": delta}
        goes_on = before["delta"]["clip"] == delta["clip"] and before["delta"]["to"] == delta["from"]
        return {"sound": delta["to"]} if goes_on else None

    def learn(self, socket: int, event: Event) -> None:
        """Read an event that was written in full."""
        if kind := _kind(event):
            self._last[socket, kind] = event

    def decode(self, socket: int, line: Event) -> Event | None:
        """Return the event that a short line stands for; None where it stands for none.

        A ``KeyError`` tells that nothing came before it.
        """
        kind = next(filter(line.__contains__, ("sound", "words")), None)
        if kind is None:
            return None
        before = self._last[socket, kind]
        delta = line[kind] if kind == "words" else before["delta"] | {"from": before["delta"]["to"], "to": line[kind]}
        event = self._last[socket, kind] = before | {"delta": delta}
        return event


def _kind(event: Event) -> str:
    delta = event.get("delta")
    if isinstance(delta, str):
        return "words"
    return "sound" if isinstance(delta, dict) and "to" in delta else ""
