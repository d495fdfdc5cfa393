"""A take as a timeline in OpenTimelineIO's JSON, which editors for picture and sound read.

Source: the OpenTimelineIO schema (Timeline.1, Track.1, Clip.2, Gap.1, ExternalReference.1, Marker.2). The package
``opentimelineio`` writes it; the extra ``timeline`` installs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from urllib.parse import quote

from tau_stage.audio import RATE
from tau_stage.errors import UsageError
from tau_stage.report.tracks import Track, TrackClip, lines_in_order, other_takes, tracks
from tau_stage.take import Alternative, Performed, Take, at_rate_name
from tau_stage.text import one_line, printable, printable_json

ROOM = "tau_stage"
"""The key of all our metadata."""

OtioObject = Any
"""What the package makes; it has no types."""


def is_installed() -> bool:
    """Tell whether the package that writes timelines is installed."""
    return find_spec("opentimelineio") is not None


def render_otio(take: Take, rate: int = RATE) -> str:
    """Write the timeline, to be saved in the take's folder beside sounds of its rate: URLs are relative to it.

    Raises:
        UsageError: The package is not installed.
    """
    try:
        import opentimelineio
    except ImportError:
        problem = "timelines need opentimelineio, which is not installed"
        raise UsageError(problem, "pip install 'tau-stage[timeline]'") from None
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
        timeline.tracks.markers.extend(self.marker(line) for line in lines_in_order(take))
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
    return {
        "line": line.id,
        "number": line.number,
        "player": line.player,
        "asked": line.asked,
        "said": line.said,
        "direction": line.direction,
        "synthetic": not line.human,
        "sha256": line.sha256,
    }


def _sound_facts(clip: TrackClip) -> dict[str, object]:
    """Return what a timeline keeps of effects and beds."""
    kept = {"id", "kind", "source", "gain_db", "offset_samples", "samples", "sha256"}
    return {"sounds": [sound.model_dump(include=kept) for sound in clip.sounds]}
