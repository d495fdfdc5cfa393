"""The take: one performance of a scene, as ``take.json`` tells it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any, Literal

from pydantic import Field

from tau_stage.audio import RATE
from tau_stage.protocol import Usage
from tau_stage.scene import DocumentedSchema
from tau_stage.take.records import Ending, HearingWay, LineFacts, TakePart

STEMS = "stems"


def stem_name(name: str) -> str:
    """Return the file of a stem, relative to the take's folder."""
    return f"{STEMS}/{name}.wav"


class Written(DocumentedSchema):
    """The schema of what is written, the same with every version of pydantic."""

    def decimal_schema(self, schema: Any) -> dict[str, Any]:  # noqa: ARG002 - pydantic's signature
        """Write an amount's schema: a text, of which only some versions tell the form."""
        return {"type": "string"}


class Costs(TakePart):
    """Estimated dollars, from the provider's usage and a price list. null if a price is unknown."""

    spoken: Decimal | None = Field(description="Cost of output.")
    listened: Decimal | None = Field(description="Cost of uncached input.")
    cached: Decimal | None = Field(description="Cost of cached input.")
    total: Decimal | None = Field(description="Total cost.")
    known: Decimal = Field(
        Decimal(0), description="The known part of the total. If the total is null, this is a minimum."
    )
    estimated: bool = Field(
        False,
        description="Whether the usage was reported only partly or only as totals. If so, the highest "
        "possible price is assumed.",
    )


class Hearing(TakePart):
    """How one player heard one line."""

    player: str
    heard_at_s: float | None = Field(
        description="Seconds from the start of the take to the server's acknowledgement, or null if there was none."
    )
    took_s: float | None = Field(description="Seconds from sending the line to the acknowledgement.")
    sha256: str | None = Field(description="Hash of the samples that the player heard.")
    by: HearingWay = Field(
        "create_audio",
        description="How the player heard the line: as audio after the line (create_audio), as audio "
        "during the line (stream), or as text.",
    )


class Called(TakePart):
    """One tool call."""

    tool: str
    arguments: str = Field(description="The arguments, as JSON written by the model.")
    output: str = Field(description="The result that the model received.")
    failed: bool
    at_s: float = Field(description="Seconds from the start of the take to the result.")
    took_s: float = Field(description="How long the tool ran, in seconds.")


def heard_by(hearings: Iterable[Hearing]) -> tuple[str, ...]:
    """Tell who heard a line or a sound, by name."""
    return tuple(sorted(hearing.player for hearing in hearings if hearing.heard_at_s is not None))


class PlayedSound(TakePart):
    """A sound effect or a bed."""

    id: str
    kind: Literal["sfx", "bed"]
    source: str = Field(description="The path of the audio file in the scene.")
    stem: str = Field(description="Path of the stem, relative to the take's folder.")
    gain_db: float
    offset_s: float
    offset_samples: int
    samples: int = Field(description="Duration in samples.")
    sha256: str = Field(description="Hash of the samples of one repetition, in mono at 24 kHz with the gain applied.")
    hearers: tuple[Hearing, ...]


class ChapterMark(TakePart):
    """The start of a chapter."""

    id: str
    title: str
    offset_s: float = Field(description="Start time in the stems, in seconds.")
    offset_samples: int


class Cued(TakePart):
    """The start of a cue."""

    cue: str = Field(description="The cue's id. cue-1 is the first cue in the scene.")
    at_s: float = Field(description="Seconds from the start of the take.")


class Alternative(TakePart):
    """A take of a line, other than the picked one."""

    take: int = Field(description="Take number, starting at 1.")
    said: str
    file: str | None = Field(description="Path of the audio file, relative to the take's folder.")
    sha256: str
    samples: int
    usage: Usage
    ended: str = Field("completed", description="How the response ended. The values are the same as for a line.")
    problem: str = Field("", description="Why the take failed. Empty if it did not.")
    exact: bool | None = Field(
        None, description="Whether the words match the scene, with the same values as for a line."
    )


class Attempt(TakePart):
    """A failed attempt at a line that was then retried."""

    reason: str = Field(description="The kind of failure, as listed in docs/failures.md.")
    problem: str = Field(description="The error message from the provider or the network.")
    waited_s: float = Field(description="Seconds until the next attempt.")
    file: str | None = Field(description="Path of the received audio, relative to the take's folder.")
    usage: Usage
    cost: Costs = Field(description="The total is null if the attempt ended before the provider reported its usage.")


class Performed(LineFacts):
    """One performed line."""

    id: str
    alternatives: tuple[Alternative, ...] = Field((), description="The takes that were not picked.")
    outdated: tuple[str, ...] = Field((), description="Earlier lines that have changed since the player heard them.")
    offset_s: float = Field(description="Start time in the stems, in seconds.")
    duration_s: float
    hearers: tuple[Hearing, ...]
    calls: tuple[Called, ...]
    cost: Costs
    failed_attempts: tuple[Attempt, ...] = Field((), description="All attempts except the last one.")
    ended: str = Field(description="completed, incomplete, cancelled, or failed (the line has no audio).")

    @property
    def files(self) -> tuple[Performed | Alternative, ...]:
        """Itself, and its takes that were not picked, as far as they have a file."""
        all_takes: tuple[Performed | Alternative, ...] = (self, *self.alternatives)
        return tuple(each for each in all_takes if each.file)

    @property
    def takes(self) -> tuple[Alternative, ...]:
        """All its takes, in their order, where there are several: the one that was picked, and the others."""
        if not self.alternatives:
            return ()
        own = Alternative.model_validate(self.model_dump(include=set(Alternative.model_fields)))
        return tuple(sorted((own, *self.alternatives), key=lambda take: take.take))


class Playing(TakePart):
    """One player of the take."""

    name: str
    human: str | None = Field(description="mic, tty, booth or an audio file, if a person plays this role.")
    voice: str
    model: str
    answered_by: str = Field("", description="The model that answered, if it differs from the requested one.")
    endpoint: str
    sessions: tuple[str, ...] = Field(description="The provider's ids for the player's sessions.")
    opened_s: float | None = Field(description="How long the session took to open, in seconds, including waiting time.")
    opening_attempts: int
    status: Literal["played", "lost", "never opened"]
    stem: str | None = Field(description="Path of the stem, relative to the take's folder.")
    pan: float = Field(0.0, description="Position in the mix, from -1 (left) to 1 (right).")
    lines: int
    seconds: float = Field(description="Seconds of speech.")
    usage: Usage
    cost: Costs


class Staged(TakePart):
    """The scene that was performed."""

    title: str
    slug: str
    path: str
    sha256: str = Field(description="Hash of the scene file's bytes.")
    variant: str = Field(description="The scene's matrix variant, or an empty string.")
    given: dict[str, str] = Field({}, description="Variables that were set when the scene was run.")
    overlays: tuple[str, ...] = Field((), description="Files that a batch merged into the scene.")
    language: str = Field("", description="The batch language in which the scene was performed, or an empty string.")


class Take(TakePart):
    """The result of one performance of a scene.

    >>> Take.model_json_schema()["properties"]["ended"]["enum"]
    ['complete', 'incomplete', 'failed', 'budget', 'limit', 'interrupted']
    """

    version: Literal[1] = 1
    tau_stage: str = Field(description="The version of tau-stage that performed the scene.")
    scene: Staged
    started: str = Field(description="Start time in UTC, in ISO 8601 format.")
    provider: str = Field(description="The endpoints, separated by commas.")
    spent: bool = Field(description="Whether money was spent. Always false for the understudy.")
    ended: Ending
    problem: str = Field(description="Why the performance stopped or which lines failed. Empty if neither happened.")
    rate: int = Field(description="Sample rate of all files.")
    channels: int = Field(1, description="Number of channels in the mix and the effect stems. 2 means stereo.")
    duration_s: float
    samples: int
    players: tuple[Playing, ...]
    lines: tuple[Performed, ...]
    sounds: tuple[PlayedSound, ...]
    chapters: tuple[ChapterMark, ...] = Field((), description="Chapters, in recording order.")
    cues: tuple[Cued, ...] = Field((), description="The starts of cues, in order.")
    usage: Usage
    cost: Costs
    warnings: tuple[str, ...]


def outdated_lines(lines: Iterable[Performed]) -> dict[tuple[str, ...], list[str]]:
    """Return the ids of lines that had heard others as other takes than they are now, by the ids of these."""
    found: dict[tuple[str, ...], list[str]] = {}
    for line in lines:
        if line.outdated:
            found.setdefault(line.outdated, []).append(line.id)
    return found


def silences(lines: Sequence[Performed]) -> tuple[float | None, ...]:
    """Measure seconds of silence before each line in the recording; below zero where it overlaps another."""
    ends = accumulate((line.offset_samples + line.samples for line in lines), max)
    return (None, *((line.offset_samples - end) / RATE for end, line in zip(ends, lines[1:], strict=False)))[
        : len(lines)
    ]


def take_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``take.json``."""
    told = Take.model_json_schema(mode="serialization", schema_generator=Written)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **told}
