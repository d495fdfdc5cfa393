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
    """Dollars, as an estimate from the provider's usage and a price list; null where a price is not known."""

    spoken: Decimal | None = Field(description="For what was said.")
    listened: Decimal | None = Field(description="For fresh input: what was heard and read.")
    cached: Decimal | None = Field(description="For input that came from the cache.")
    total: Decimal | None = Field(description="All of it.")
    known: Decimal = Field(Decimal(0), description="What is known of it: the least it was, where the total is null.")
    estimated: bool = Field(
        False,
        description="Whether a server told its usage in part, or in sums only: what is dearest counts.",
    )


class Hearing(TakePart):
    """One player's hearing of one line."""

    player: str
    heard_at_s: float | None = Field(
        description="Seconds since curtain up when the server acknowledged it; null: never."
    )
    took_s: float | None = Field(description="Seconds from sending to the acknowledgement.")
    sha256: str | None = Field(description="Hash of the samples that were heard.")
    by: HearingWay = Field(
        "create_audio", description="create_audio: after it was spoken; stream: while it was; text: as its words."
    )


class Called(TakePart):
    """One call of a tool."""

    tool: str
    arguments: str = Field(description="JSON, as the model wrote it.")
    output: str = Field(description="What the model was told.")
    failed: bool
    at_s: float = Field(description="Seconds since curtain up when its result was there.")
    took_s: float = Field(description="Seconds the tool took.")


def heard_by(hearings: Iterable[Hearing]) -> tuple[str, ...]:
    """Tell who heard a line or a sound, by name."""
    return tuple(sorted(hearing.player for hearing in hearings if hearing.heard_at_s is not None))


class PlayedSound(TakePart):
    """One effect, or one bed."""

    id: str
    kind: Literal["sfx", "bed"]
    source: str = Field(description="The sound file, as the scene names it.")
    stem: str = Field(description="Relative to the take's folder.")
    gain_db: float
    offset_s: float
    offset_samples: int
    samples: int = Field(description="How long it is heard.")
    sha256: str = Field(description="Hash of its samples, once, at 24 kHz and its gain, in mono.")
    hearers: tuple[Hearing, ...]


class ChapterMark(TakePart):
    """The beginning of a chapter."""

    id: str
    title: str
    offset_s: float = Field(description="Where it begins in the stems, in seconds.")
    offset_samples: int


class Cued(TakePart):
    """One start of a cue."""

    cue: str = Field(description="Which: cue-1 is the first of the scene.")
    at_s: float = Field(description="Seconds since curtain up.")


class Alternative(TakePart):
    """A take of a line that was not picked."""

    take: int = Field(description="Which, from 1.")
    said: str
    file: str | None = Field(description="Relative to the take's folder.")
    sha256: str
    samples: int
    usage: Usage
    ended: str = Field("completed", description="How its response ended, as of a line.")
    problem: str = Field("", description="Why it has failed, or empty.")
    exact: bool | None = Field(None, description="Whether its words are the scene's, as of a line.")


class Attempt(TakePart):
    """An attempt at a line that failed; the next one followed."""

    reason: str = Field(description="What went wrong, in a word or two, as docs/failures.md lists it.")
    problem: str = Field(description="What the provider, or the network, said.")
    waited_s: float = Field(description="Seconds until the next attempt.")
    file: str | None = Field(description="Sound that came with it, relative to the take's folder.")
    usage: Usage
    cost: Costs = Field(description="Its total is null where it was cut off before the provider told.")


class Performed(LineFacts):
    """One line as it was performed."""

    id: str
    alternatives: tuple[Alternative, ...] = Field((), description="The takes that were not picked.")
    outdated: tuple[str, ...] = Field((), description="Lines that its player had heard as other takes than they are.")
    offset_s: float = Field(description="Where it begins in the stems, in seconds.")
    duration_s: float
    hearers: tuple[Hearing, ...]
    calls: tuple[Called, ...]
    cost: Costs
    failed_attempts: tuple[Attempt, ...] = Field((), description="All but the last of them.")
    ended: str = Field(description="completed, incomplete, cancelled, or failed: it has no sound.")

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
    human: str | None = Field(description="mic, tty or a sound file, where a person plays.")
    voice: str
    model: str
    answered_by: str = Field("", description="The model that answered, where the server named another; else empty.")
    endpoint: str
    sessions: tuple[str, ...] = Field(description="The provider's ids of its sessions.")
    opened_s: float | None = Field(description="Seconds the opening took, waits included.")
    opening_attempts: int
    status: Literal["played", "lost", "never opened"]
    stem: str | None = Field(description="Relative to the take's folder.")
    pan: float = Field(0.0, description="Where it stands in the mix, from -1, left, to 1, right.")
    lines: int
    seconds: float = Field(description="Seconds spoken.")
    usage: Usage
    cost: Costs


class Staged(TakePart):
    """The scene that was performed."""

    title: str
    slug: str
    path: str
    sha256: str = Field(description="Hash of the scene file's bytes.")
    variant: str = Field(description="Which variant of its matrix, or empty.")
    given: dict[str, str] = Field({}, description="Variables that were given from outside.")
    overlays: tuple[str, ...] = Field((), description="Files that were laid over the scene from outside.")
    language: str = Field("", description="The language of its batch that it was performed in, or empty.")


class Take(TakePart):
    """One performance of a scene: the only result.

    >>> Take.model_json_schema()["properties"]["ended"]["enum"]
    ['complete', 'incomplete', 'failed', 'budget', 'limit', 'interrupted']
    """

    version: Literal[1] = 1
    tau_stage: str = Field(description="Version that performed it.")
    scene: Staged
    started: str = Field(description="UTC, ISO 8601.")
    provider: str = Field(description="Endpoints that played, joined by a comma.")
    spent: bool = Field(description="Whether money was spent; on the understudy it never is.")
    ended: Ending
    problem: str = Field(description="What stopped it, or which lines have failed, or empty.")
    rate: int = Field(description="Samples per second of all files.")
    channels: int = Field(1, description="Of the mix, and of the stems of sounds: 2 in stereo.")
    duration_s: float
    samples: int
    players: tuple[Playing, ...]
    lines: tuple[Performed, ...]
    sounds: tuple[PlayedSound, ...]
    chapters: tuple[ChapterMark, ...] = Field((), description="Chapters that began, in the order of the recording.")
    cues: tuple[Cued, ...] = Field((), description="Cues that started, in order.")
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
