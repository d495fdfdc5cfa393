"""A take as tracks, as editors have them: whose they are, and which stretch of which file stands where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from tau_stage.take import Alternative, Performed, PlayedSound, Take


@dataclass(frozen=True, slots=True)
class TrackClip:
    """A stretch of a file, at its place in the take: a line, or effects and beds.

    Attributes:
        at: The sample of the take it begins at.
        skipped: Samples of the file before it.
        available: Samples of the file.
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
