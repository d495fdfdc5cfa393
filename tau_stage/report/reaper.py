"""A take as a project for Reaper: every line an item at its place, other attempts at it as further takes.

Source: the RPP text format, as the state chunk definitions of ReaTeam/Doc and the Cockos wiki tell it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from hashlib import sha256

from tau_stage.audio import RATE
from tau_stage.report.tracks import Track, TrackClip, lines_in_order, other_takes, tracks
from tau_stage.take import Take, at_rate_name
from tau_stage.text import printable

_ATTEMPT = re.compile(r"(?P<line>.+)\.attempt-(?P<number>[0-9]+)\.wav")
_GOLDEN = 0.618033988749895
_CUSTOM = 0x1000000
_GREY = _CUSTOM | 0x909090
_CENTRE = "0.70794578438414"
"""A pan law: how loud both sides are in the middle, -3 dB as Reaper writes it."""

_CONSTANT_POWER = ("PANMODE 3", "PANLAWFLAGS 0")
"""Mono is panned and stereo balanced, each on a sine."""

_STRAIGHT = "0 0 0 1 0 0 0"
"""A fade of no length."""


def render_rpp(take: Take, attempts: Iterable[str] = (), rate: int = RATE) -> str:
    """Write the project, to be saved in the take's folder. Two takes that sound the same give the same text.

    Attempts that failed are named like ``lines/007-ann-1.attempt-1.wav``; those whose line never came are left out. The
    sounds that the project names are beside it at its rate.
    """
    sheet = _Sheet(take, _space(take), _by_line(attempts), rate)
    body = (
        f"TITLE {quoted(take.scene.title)}",
        f"SAMPLERATE {rate} 1 0",
        "TEMPO 120 4 4",
        *sheet.markers(),
        *(line for track in tracks(take) for line in sheet.track(track)),
    )
    return "\n".join(_block('REAPER_PROJECT 0.1 "6.0" 0', body)) + "\n"


def quoted(text: str) -> str:
    """Quote any text as one word of RPP: in the quotes that do not occur in it.

    There is no escape in RPP: where all three kinds occur, the backticks become apostrophes, as Reaper does it.

    >>> print(quoted('Zoë'), quoted('"Red" Bob'), quoted('''the "O'Hara"'''), quoted('''`"O'Hara"`'''))
    "Zoë" '"Red" Bob' `the "O'Hara"` `'"O'Hara"'`
    """
    plain = printable(text).replace("\n", " ")
    mark = next((mark for mark in "\"'`" if mark not in plain), None)
    return f"{mark}{plain}{mark}" if mark else "`" + plain.replace("`", "'") + "`"


def seconds(samples: int, rate: int) -> str:
    """Write a place in seconds, exact enough for every sample of a day.

    >>> seconds(0, 24_000), seconds(36_000, 24_000), seconds(32_401, 24_000)
    ('0', '1.5', '1.35004166666667')
    """
    return f"{samples / rate:.14f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Writes the parts of one take's project; ``attempts`` are numbers and files by the file of their line."""

    take: Take
    space: uuid.UUID
    attempts: Mapping[str, Sequence[tuple[int, str]]]
    rate: int

    def guid(self, *what: object) -> str:
        """Make an id that is the same in every project of the same take."""
        return f"{{{uuid.uuid5(self.space, chr(10).join(map(str, what)))}}}".upper()

    def color(self, player: str) -> int:
        """Choose a player's colour: neighbours lie far apart."""
        names = [player.name for player in self.take.players]
        red, green, blue = (round(255 * part) for part in hsv_to_rgb(names.index(player) * _GOLDEN % 1, 0.55, 0.85))
        return _CUSTOM | red | green << 8 | blue << 16

    def markers(self) -> Iterator[str]:
        """Yield one marker per line, also where it has no sound."""
        for number, line in enumerate(lines_in_order(self.take), 1):
            at = seconds(line.offset_samples, self.take.rate)
            guid = self.guid("marker", line.number, line.id)
            yield f"MARKER {number} {at} {quoted(line.id)} 0 {self.color(line.player)} 1 R {guid} 0"

    def track(self, track: Track) -> Iterator[str]:
        """Write a track with all its items."""
        guid = self.guid("track", track.kind, track.name)
        head = (
            f"NAME {quoted(track.name)}",
            f"PEAKCOL {self.color(track.name) if track.kind == 'player' else _GREY}",
            *((*_CONSTANT_POWER, f"VOLPAN 1 {track.pan:g} {_CENTRE} -1 1") if self.take.channels == 2 else ()),
            f"TRACKID {guid}",
        )
        items = (line for clip in track.clips for line in _block("ITEM", self.item(clip)))
        return _block(f"TRACK {guid}", (*head, *items))

    def item(self, clip: TrackClip) -> Iterator[str]:
        """Yield what an item says: its place, what is said in it, and its takes, of which the first one plays."""
        rate = self.take.rate
        yield from (
            f"POSITION {seconds(clip.at, rate)}",
            "SNAPOFFS 0",
            f"LENGTH {seconds(clip.samples, rate)}",
            "LOOP 0",
            "ALLTAKES 0",
            f"FADEIN {_STRAIGHT}",
            f"FADEOUT {_STRAIGHT}",
            "MUTE 0 0",
            "SEL 0",
            f"IGUID {self.guid('item', clip.file, clip.at)}",
            "VOLPAN 1 0 1 -1",
        )
        if clip.line and clip.line.said:
            yield from _block("NOTES", [f"|{text}" for text in printable(clip.line.said).splitlines()])
        yield from self.source(clip.name, clip.file, clip.skipped)
        for other in other_takes(clip.line):
            yield "TAKE"
            yield from self.source(f"{clip.name}, take {other.take}", str(other.file), 0)
        for number, file in self.attempts.get(clip.file, ()):
            yield "TAKE"
            yield from self.source(f"{clip.name}, failed attempt {number}", file, 0)

    def source(self, name: str, file: str, skipped: int) -> Iterator[str]:
        """Yield one take of an item."""
        yield from (
            f"NAME {quoted(name)}",
            f"SOFFS {seconds(skipped, self.take.rate)}",
            "PLAYRATE 1 1 0 -1 0 0.0025",
            "CHANMODE 0",
            f"GUID {self.guid('take', file, skipped)}",
            *_block("SOURCE WAVE", [f"FILE {quoted(at_rate_name(file, self.rate))}"]),
        )


def _space(take: Take) -> uuid.UUID:
    """Return what a take is known by: its scene, and what was heard."""
    heard = [*(line.sha256 for line in take.lines), *(sound.sha256 for sound in take.sounds)]
    key = "\n".join((take.scene.sha256, take.scene.variant, *heard))
    return uuid.uuid5(uuid.NAMESPACE_OID, sha256(key.encode()).hexdigest())


def _by_line(attempts: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """Return numbers and files of attempts by the file of their line, in the order in which they were made."""
    by_line: dict[str, list[tuple[int, str]]] = {}
    for file in set(attempts):
        if match := _ATTEMPT.fullmatch(file):
            by_line.setdefault(f"{match['line']}.wav", []).append((int(match["number"]), file))
    return {line: sorted(files) for line, files in by_line.items()}


def _block(head: str, body: Iterable[str]) -> Iterator[str]:
    yield f"<{head}"
    yield from (f"  {line}" for line in body)
    yield ">"
