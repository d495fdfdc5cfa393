"""What is said at an open microphone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio

from tau_stage.audio.pcm import Pcm
from tau_stage.protocol.responses import Response
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import LinePlan, ListenPlan
from tau_stage.stage.events import WordsProgress
from tau_stage.take.take_model import Performed


@dataclass(frozen=True, slots=True)
class MicrophoneTurn:
    """A turn at an open microphone.

    Attributes:
        line: Its line, made up on the spot.
        audio: What was heard of it.
        words: What was said.
        at: The sample of the timeline it begins at; None is after what was before.
        response: The model's, if it is one.
        reason: Why it ended early.
        first_audio_s: Seconds from the end of the person's speech to the first sound.
        first_words_s: And to the first words.
        took_s: Seconds from then to the end of the response.
    """

    line: LinePlan
    audio: Pcm
    words: str
    at: int | None
    response: Response | None = None
    reason: str | None = None
    first_audio_s: float | None = None
    first_words_s: float | None = None
    took_s: float = 0.0


@dataclass(slots=True)
class PersonSpeech:
    """What the person is saying.

    Attributes:
        line: Its line.
        start: The sample of the feed it begins at.
        end: And ends at.
        words: As they were written down.
        is_written: Set when they were, or cannot be.
    """

    line: LinePlan
    start: int
    end: int | None = None
    words: str = ""
    is_written: anyio.Event = field(default_factory=anyio.Event)


@dataclass(slots=True)
class ModelAnswer:
    """What the model is answering.

    Attributes:
        line: Its line.
        asked_at: When the person stopped speaking.
        at: The sample of the timeline its sound begins at.
        first_audio_s: Seconds from then to its first sound.
        first_words_s: And to its first words.
    """

    line: LinePlan
    asked_at: float
    at: int | None = None
    first_audio_s: float | None = None
    first_words_s: float | None = None


@dataclass(slots=True)
class MicrophoneState:
    """What was said at an open microphone.

    Attributes:
        made: Lines that were made up on the spot.
        said: The person's turns, in a performance that was stopped.
        answers: The model's.
        lost: Answers that could not be had.
        spoken_s: Seconds of both.
        passed_s: Seconds it was open in a performance that was stopped.
        is_unanswered: Whether the person was not answered when it was stopped.
    """

    made: int = 0
    said: int = 0
    answers: int = 0
    lost: int = 0
    spoken_s: float = 0.0
    passed_s: float = 0.0
    is_unanswered: bool = False

    @classmethod
    def of(cls, step: ListenPlan, before: Sequence[Performed]) -> MicrophoneState:
        """Return what was said before the performance was stopped."""
        if not before:
            return cls()
        first, last = before[0], before[-1]
        return cls(
            made=max(int(line.id.removeprefix(f"{step.id}-")) for line in before),
            said=sum(line.player == step.person for line in before),
            answers=sum(line.player == step.player for line in before),
            spoken_s=sum(line.duration_s for line in before),
            passed_s=last.offset_s + last.duration_s - first.offset_s,
            is_unanswered=last.player == step.person,
        )

    def line(self, step: ListenPlan, player: str) -> LinePlan:
        """Make one more line that is made up on the spot."""
        self.made += 1
        return replace(step.line(player), id=f"{step.id}-{self.made}")

    def answer(self, step: ListenPlan) -> LinePlan:
        """Wait for the next answer, if the person speaks before."""
        return replace(step.line(step.player), id=f"{step.id}-{self.made + 2}")

    def left_s(self, for_s: float | None) -> float | None:
        """Return seconds that are left of so many; None is no end.

        >>> MicrophoneState(passed_s=4.0).left_s(10.0)
        6.0
        """
        return None if for_s is None else max(0.0, for_s - self.passed_s)


def is_asked_for(metadata: Mapping[str, str] | None) -> bool:
    """Tell whether a response is a line that the scene has asked for, and no answer to the person."""
    return "line" in (metadata or {})


def without_usage(response: Response) -> Response:
    """Return a response that is paid for already."""
    return replace(response, usage=Usage())


def worded(line: LinePlan, words: str) -> WordsProgress:
    """Pass on words of a line as they arrive."""
    return WordsProgress(line.player, line.id, words, spoken=True)
