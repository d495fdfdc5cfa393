"""A take as a session of an editor: its tracks, as a project for Reaper, and as a timeline in OpenTimelineIO's JSON.

Sources: the RPP text format, as the state chunk definitions of ReaTeam/Doc and the Cockos wiki tell it; the
OpenTimelineIO schema (Timeline.1, Track.1, Clip.2, Gap.1, ExternalReference.1, Marker.2). The package
``opentimelineio`` writes it; the extra ``timeline`` installs it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any, Literal
from urllib.parse import quote

from tau_stage.audio import RATE
from tau_stage.report.page import templates
from tau_stage.take import Alternative, Performed, PlayedSound, Take, at_rate_name
from tau_stage.text import one_line, printable, printable_json


@dataclass(frozen=True, slots=True)
class TrackClip:
    """A stretch of a file, from sample ``at`` of the take on: a line, or effects and beds.

    The file has ``available`` samples, and ``skipped`` of them before it.
    """

    name: str
    file: str
    at: int
    samples: int
    skipped: int
    available: int
    line: Performed | None = None
    sounds: tuple[PlayedSound, ...] = ()

    @property
    def end(self) -> int:
        """The sample after its last."""
        return self.at + self.samples


@dataclass(frozen=True, slots=True)
class Track:
    """What stands side by side under one name, in the order in which it begins; panned from -1, left, to 1."""

    name: str
    kind: Literal["player", "sound"]
    clips: tuple[TrackClip, ...]
    pan: float = 0.0


def tracks(take: Take) -> tuple[Track, ...]:
    """Return one track per player, silent ones too, then one per stem of an effect or a bed."""
    players = (Track(player.name, "player", tuple(_spoken(take, player.name)), player.pan) for player in take.players)
    stems = dict.fromkeys(sound.stem for sound in take.sounds)
    sounds = (Track(PurePosixPath(stem).stem, "sound", tuple(_laid(take, stem))) for stem in stems)
    return (*players, *sounds)


def lines_in_order(take: Take) -> list[Performed]:
    """Return the lines in the order in which they begin; ``take.json`` has them as they ended."""
    return sorted(take.lines, key=lambda line: (line.offset_samples, line.number))


def other_takes(line: Performed | None) -> list[Alternative]:
    """Return the takes of a line that were not picked and can be heard."""
    return [other for other in line.alternatives if other.file and other.samples] if line else []


def _spoken(take: Take, player: str) -> Iterator[TrackClip]:
    for line in lines_in_order(take):
        if line.player == player and line.file and line.samples:
            yield TrackClip(line.id, line.file, line.offset_samples, line.samples, 0, line.samples, line=line)


def _laid(take: Take, stem: str) -> Iterator[TrackClip]:
    """Yield the sounds of a stem. Where it overlaps itself the stem holds the sum, so that is one clip."""
    for sounds in _clusters(sound for sound in take.sounds if sound.stem == stem and sound.samples > 0):
        at = sounds[0].offset_samples
        end = max(sound.offset_samples + sound.samples for sound in sounds)
        name = " + ".join(sound.id for sound in sounds)
        yield TrackClip(name, stem, at, end - at, at, take.samples, sounds=tuple(sounds))


def _clusters(sounds: Iterable[PlayedSound]) -> list[list[PlayedSound]]:
    """Return sounds that overlap, together."""
    found: list[list[PlayedSound]] = []
    end = 0
    for sound in sorted(sounds, key=lambda sound: sound.offset_samples):
        if not found or sound.offset_samples >= end:
            found.append([])
        found[-1].append(sound)
        end = max(end, sound.offset_samples + sound.samples)
    return found


_ATTEMPT = re.compile(r"(?P<line>.+)\.attempt-(?P<number>[0-9]+)\.wav")
_GOLDEN = 0.618033988749895
_CUSTOM = 0x1000000
_GREY = 0x909090


def render_rpp(take: Take, attempts: Iterable[str] = (), rate: int = RATE) -> str:
    """Write the project, to be saved in the take's folder. Two takes that sound the same give the same text.

    Attempts that failed are named like ``lines/007-ann-1.attempt-1.wav``; those whose line never came are left out. The
    sounds that the project names are beside it at its rate.
    """
    failed, space, names = _by_line(attempts), _space(take), [player.name for player in take.players]

    def guid(*what: object) -> str:
        """Make an id that is the same in every project of the same take."""
        return f"{{{uuid.uuid5(space, chr(10).join(map(str, what)))}}}".upper()

    def color(player: str | None) -> int:
        """Choose a player's colour: neighbours lie far apart."""
        if not player:
            return _CUSTOM | _GREY
        red, green, blue = (round(255 * part) for part in hsv_to_rgb(names.index(player) * _GOLDEN % 1, 0.55, 0.85))
        return _CUSTOM | red | green << 8 | blue << 16

    def sources(clip: TrackClip) -> Iterator[tuple[str, str, int]]:
        """Yield the takes of an item, of which the first one plays: name, file, and the samples before it."""
        yield clip.name, clip.file, clip.skipped
        yield from ((f"{clip.name}, take {other.take}", str(other.file), 0) for other in other_takes(clip.line))
        yield from ((f"{clip.name}, failed attempt {number}", file, 0) for number, file in failed.get(clip.file, ()))

    words = {"guid": guid, "color": color, "sources": sources, "quoted": quoted, "at_rate_name": at_rate_name}
    template = templates().get_template("session.rpp", globals=words | {"printable": printable})
    lines, at = lines_in_order(take), partial(seconds, rate=take.rate)
    return template.render(take=take, rate=rate, lines=lines, tracks=tracks(take), at=at) + "\n"


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


ROOM = "tau_stage"  # the key of all our metadata

OtioObject = Any  # what the package makes; it has no types


def render_otio(take: Take, rate: int = RATE) -> str:
    """Write the timeline, to be saved in the take's folder beside sounds of its rate: URLs are relative to it."""
    import opentimelineio

    written: str = _Writer(opentimelineio, take.rate, rate).timeline(take).to_json_string(indent=2)
    return printable_json(written) + "\n"


class _Writer:
    """Makes the objects of the package, at a rate that is a multiple of the take's own."""

    def __init__(self, package: ModuleType, own: int, rate: int) -> None:
        self._schema = package.schema
        self._time = package.opentime
        self._rate = rate
        self._times = rate // own

    def timeline(self, take: Take) -> OtioObject:
        """Make the whole take."""
        timeline = self._schema.Timeline(
            one_line(take.scene.title),
            global_start_time=self.time(0),
            metadata={
                ROOM: {
                    "version": take.tau_stage,
                    "scene": take.scene.model_dump(exclude={"path"}),
                    "rate": self._rate,
                    "channels": take.channels,
                }
            },
        )
        timeline.tracks.extend(made for track in tracks(take) for made in self.tracks(track))
        timeline.tracks.markers.extend(map(self.marker, lines_in_order(take)))
        return timeline

    def tracks(self, track: Track) -> Iterator[OtioObject]:
        """Yield a track; where its clips overlap there are further ones."""
        for number, lane in enumerate(lanes(track.clips), 1):
            made = self._schema.Track(
                one_line(track.name if number == 1 else f"{track.name} {number}"),
                kind=self._schema.TrackKind.Audio,
                metadata={ROOM: {"kind": track.kind, "pan": track.pan}},
            )
            made.extend(self.items(lane))
            yield made

    def items(self, lane: Iterable[TrackClip]) -> Iterator[OtioObject]:
        """Yield clips, with gaps between them."""
        end = 0
        for clip in lane:
            if clip.at > end:
                yield self._schema.Gap(source_range=self.range(0, clip.at - end))
            yield self.clip(clip)
            end = clip.end

    def clip(self, clip: TrackClip) -> OtioObject:
        """Make a stretch of a file."""
        reference = self._schema.ExternalReference(
            target_url=self.url(clip.file), available_range=self.range(0, clip.available)
        )
        made = self._schema.Clip(
            one_line(clip.name),
            media_reference=reference,
            source_range=self.range(clip.skipped, clip.samples),
            metadata={ROOM: _line_facts(clip.line) if clip.line else _sound_facts(clip)},
        )
        if clip.line and (others := other_takes(clip.line)):
            takes = {f"take-{other.take}": self.other(other) for other in others}
            picked = f"take-{clip.line.take}"
            made.set_media_references({picked: reference, **takes}, picked)
        return made

    def other(self, other: Alternative) -> OtioObject:
        """Make a take of a line that was not picked."""
        return self._schema.ExternalReference(
            target_url=self.url(str(other.file)),
            available_range=self.range(0, other.samples),
            metadata={ROOM: {"take": other.take, "said": other.said, "sha256": other.sha256}},
        )

    def marker(self, line: Performed) -> OtioObject:
        """Make a line's mark on the timeline, also where it has no sound."""
        return self._schema.Marker(
            one_line(line.id),
            marked_range=self.range(line.offset_samples, line.samples),
            color=self._schema.MarkerColor.GREEN,
            comment=printable(line.said),
            metadata={ROOM: _line_facts(line)},
        )

    def url(self, file: str) -> str:
        """Tell where a file of the take is, at the timeline's rate."""
        return quote(at_rate_name(file, self._rate))

    def time(self, samples: int) -> OtioObject:
        """Make a time in samples."""
        return self._time.RationalTime(samples * self._times, self._rate)

    def range(self, start: int, samples: int) -> OtioObject:
        """Make a stretch of time in samples."""
        return self._time.TimeRange(self.time(start), self.time(samples))


def lanes(clips: Iterable[TrackClip]) -> list[list[TrackClip]]:
    """Lay clips side by side, so that none overlaps another of its lane; at least one lane."""
    found: list[list[TrackClip]] = [[]]
    for clip in clips:
        free = next((lane for lane in found if not lane or lane[-1].end <= clip.at), None)
        if free is None:
            found.append(free := [])
        free.append(clip)
    return found


def _line_facts(line: Performed) -> dict[str, object]:
    """Return what a timeline keeps of a line."""
    kept = {"number", "player", "asked", "said", "direction", "sha256"}
    return {"line": line.id, "synthetic": not line.human, **line.model_dump(include=kept)}


def _sound_facts(clip: TrackClip) -> dict[str, object]:
    """Return what a timeline keeps of effects and beds."""
    kept = {"id", "kind", "source", "gain_db", "offset_samples", "samples", "sha256"}
    return {"sounds": [sound.model_dump(include=kept) for sound in clip.sounds]}
