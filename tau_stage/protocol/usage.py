"""What a response used, by kind and direction (OpenAI API reference, ``response.usage``).

What comes is read by ``Usage.from_wire``, which takes any shape; the understudy sends the one of the reference.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Usage:
    """Token usage of one or more responses. Cached input is counted only in the cached counts.

    Attributes:
        text_in: Uncached text input.
        audio_in: Uncached audio input.
        image_in: Uncached image input.
        cached_text_in: Cached text input.
        cached_audio_in: Cached audio input.
        cached_image_in: Cached image input.
        text_out: Text output, including reasoning.
        audio_out: Audio output.
        reasoning_out: The part of ``text_out`` that is reasoning.
        seconds: Seconds of audio, for providers that bill by time.
        text_messages: Text messages since the last response, for providers that bill by time.
        untold: The number of responses whose usage was not reported. Their cost is unknown.
        estimated: Whether the usage was reported only partly or inconsistently. If so, the highest price is assumed.

    >>> (Usage(audio_out=20) + Usage(audio_out=22, text_in=4)).audio_out
    42
    """

    text_in: int = 0
    audio_in: int = 0
    image_in: int = 0
    cached_text_in: int = 0
    cached_audio_in: int = 0
    cached_image_in: int = 0
    text_out: int = 0
    audio_out: int = 0
    reasoning_out: int = 0
    seconds: float | None = None
    text_messages: int = 0
    untold: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        counts = {name: getattr(self, name) + getattr(other, name) for name in COUNTS}
        told = [seconds for seconds in (self.seconds, other.seconds) if seconds is not None]
        return Usage(**counts, seconds=sum(told) if told else None, estimated=self.estimated or other.estimated)

    def __sub__(self, other: Usage) -> Usage:
        """Subtract what was before: ``other`` is a part of this one."""
        counts = {name: getattr(self, name) - getattr(other, name) for name in COUNTS}
        seconds = None if self.seconds is None else self.seconds - (other.seconds or 0.0)
        return Usage(**counts, seconds=seconds, estimated=self.estimated)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was used, or nothing of what was used is known."""
        return not (any(getattr(self, name) for name in TOKENS) or self.seconds)

    @property
    def tokens(self) -> int:
        """All tokens, as rate limits count them.

        >>> Usage(text_in=3, cached_audio_in=4, audio_out=5).tokens
        12
        """
        return sum(getattr(self, name) for name in TOKENS)

    @classmethod
    def from_wire(cls, raw: object, *, written: bool = False) -> Usage:
        """Read the usage of one response or transcript, whatever JSON the server sent for it.

        Counts are numbers from 0 to a thousand million; a text of digits is one (JSON made from protocol buffers has
        them), a fraction is rounded up. Everything else is absent. What is told in sums only counts as audio, the
        dearest kind it can be, or, of what was ``written`` for certain, as text; a cache that is not told by kind is
        taken as text first, which saves least. Where sums and details disagree, the larger counts.

        >>> Usage.from_wire({
        ...     "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
        ...     "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        ... }).text_in
        55
        >>> told = Usage.from_wire({"total_tokens": 253, "input_tokens": 132})
        >>> told.audio_in, told.audio_out, told.estimated
        (132, 121, True)
        >>> Usage.from_wire(None).untold
        1
        """
        told = raw if isinstance(raw, Mapping) else {}
        seconds, is_part = _seconds(told)
        read, made = _Side.of(told, "input", "prompt"), _Side.of(told, "output", "completion")
        _share_out(_count(told.get("total_tokens")), read, made)
        if not (read.is_told or made.is_told):
            return cls(untold=1) if seconds is None else cls(seconds=seconds, estimated=is_part)
        read.settle("audio")
        made.settle("text" if written else "audio")
        cached = read.take_cached()
        return cls(
            text_in=read.kinds["text"] - cached["text"],
            audio_in=read.kinds["audio"] - cached["audio"],
            image_in=read.kinds["image"] - cached["image"],
            cached_text_in=cached["text"],
            cached_audio_in=cached["audio"],
            cached_image_in=cached["image"],
            text_out=made.kinds["text"],
            audio_out=made.kinds["audio"],
            reasoning_out=made.reasoning,
            seconds=seconds,
            estimated=read.estimated or made.estimated or is_part or not (read.is_told and made.is_told),
        )


TOKENS = (
    "text_in", "audio_in", "image_in", "cached_text_in", "cached_audio_in", "cached_image_in", "text_out", "audio_out",
)  # fmt: skip
"""Kinds of token; each token is of one kind."""

COUNTS = (*TOKENS, "reasoning_out", "text_messages", "untold")

N = TypeVar("N", int, float)
KINDS = ("text", "image", "audio")  # kinds of input, the cheapest first
MOST = 10**9  # no response holds so much: a larger number is no count


@dataclass(slots=True)
class _Side:
    """What was read, or what was made, in tokens, while it is put together; None and no kind where it was not told."""

    total: int | None
    kinds: Counter[str]
    cached: int
    cached_kinds: Counter[str]
    reasoning: int
    estimated: bool = False

    @classmethod
    def of(cls, told: Mapping[str, object], *names: str) -> _Side:
        """Return one side of a usage, under the first of these names that tells something."""
        details = _object(told, *(f"{name}_{token}_details" for name in names for token in ("token", "tokens")))
        cached_kinds = _by_kind(_object(details, "cached_tokens_details", "cached_token_details"))
        return cls(
            total=_first(*(_count(told.get(f"{name}_tokens")) for name in names)),
            kinds=_by_kind(details),
            cached=_count(details.get("cached_tokens")) or cached_kinds.total(),
            cached_kinds=cached_kinds,
            reasoning=_count(details.get("reasoning_tokens")) or 0,
        )

    @property
    def is_told(self) -> bool:
        """Whether anything is known of it."""
        return self.total is not None or bool(self.kinds or self.cached or self.reasoning)

    @property
    def known(self) -> int:
        """Tokens it has at least."""
        return max(self.total or 0, self.kinds.total())

    def settle(self, dearest: str) -> None:
        """Give every token a kind: the dearest it can be, where nothing is known."""
        if not self.known and self.cached:  # no more is told than what came from the cache
            self.kinds, self.total, self.estimated = Counter(self.cached_kinds), self.cached, True
        rest = (self.total or 0) - self.kinds.total()
        if rest > 0:
            self.kinds[self._kind_of(rest, dearest)] += rest
        elif self.total:
            self.estimated |= rest < 0
        if self.reasoning > self.kinds["text"]:
            self.estimated = True
            if self.total is None:
                self.kinds["text"] = self.reasoning
        self.reasoning = min(self.reasoning, self.kinds["text"])

    def _kind_of(self, rest: int, dearest: str) -> str:
        """Return the kind of tokens that are told in the total only."""
        if rest == self.reasoning and "text" in self.kinds:  # reasoning beside the text, not in it
            return "text"
        open_kinds = {"audio", "text"} - self.kinds.keys()
        if len(open_kinds) == 1:
            return open_kinds.pop()
        self.estimated |= dearest != "text" or not open_kinds
        return dearest

    def take_cached(self) -> Counter[str]:
        """Move tokens to the cache by kind; never more than there are of the kind."""
        cached = self.cached_kinds & self.kinds
        room, left = self.kinds - cached, self.cached - self.cached_kinds.total()
        self.estimated |= cached != self.cached_kinds or left < 0 or left > room.total() or (left > 0 and len(room) > 1)
        for kind in KINDS:
            more = max(0, min(left, room[kind]))
            cached[kind] += more
            left -= more
        return cached


def _share_out(total: int | None, read: _Side, made: _Side) -> None:
    """Give what only the sum of both sides tells to the side that told nothing, or else to what was made."""
    surplus = (total or 0) - read.known - made.known
    if surplus > 0:
        side = read if made.is_told and not read.is_told else made
        side.estimated |= side.is_told
        side.total = side.known + surplus
    elif surplus < 0 and total:
        made.estimated = True


def _seconds(told: Mapping[str, object]) -> tuple[float | None, bool]:
    """Return seconds that are billed, and whether they are a part only: what was spoken, without what was heard."""
    by_time = None if told.get("type") == "tokens" else _number(told.get("seconds"))
    told_s = _first(_number(told.get("billable_audio_seconds")), by_time)
    spoken_s = _number(told.get("output_audio_seconds"))
    return _first(told_s, spoken_s), told_s is None and spoken_s is not None


def _by_kind(details: Mapping[str, object]) -> Counter[str]:
    counts = ((kind, _count(details.get(f"{kind}_tokens"))) for kind in KINDS)
    return Counter({kind: count for kind, count in counts if count is not None})


def _object(told: Mapping[str, object], *names: str) -> Mapping[str, object]:
    """Return the first of these fields that holds an object."""
    found = map(told.get, names)
    return next((value for value in found if isinstance(value, Mapping) and value), {})


def _first(*numbers: N | None) -> N | None:
    return next((number for number in numbers if number is not None), None)


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None else math.ceil(number)


def _number(value: object) -> float | None:
    """Return a number that can be an amount; None where it is anything else."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,9})?", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= MOST else None
