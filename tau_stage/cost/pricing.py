"""Usage times price: what each response cost, by kind. Prices are those of ``genai-prices``, offline.

A model is billed by tokens, or by the time of its audio; then its tokens cost nothing of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

from tau_stage.protocol import TOKENS, Usage

BY_TIME = ("seconds", "text_messages")
KINDS = (*TOKENS, *BY_TIME)  # what is billed, as ``Usage`` names it

UNITS = {"seconds": "seconds", "text_messages": "messages"}
"""What is counted of a kind, where it is not tokens."""

SPOKEN = ("text_out", "audio_out", "seconds")
LISTENED = ("text_in", "audio_in", "image_in", "text_messages")
CACHED = ("cached_text_in", "cached_audio_in", "cached_image_in")

MILLION = Decimal(1_000_000)
MINUTE_S = 60

Number = TypeVar("Number", float, Decimal)


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of one model; one that is missing is not known.

    Attributes:
        model: Its name.
        per_million: Dollars per million tokens, by kind.
        per_minute: Dollars per minute of audio, where the model is billed by time.
        per_message: Dollars per text message that such a model reads.
    """

    model: str
    per_million: dict[str, Decimal]
    per_minute: Decimal | None = None
    per_message: Decimal | None = None

    @property
    def is_known(self) -> bool:
        """Whether it has any price."""
        return bool(self.per_million) or self.per_minute is not None


@dataclass(frozen=True, slots=True)
class Cost:
    """What some usage cost. An unknown price is never zero: it is None wherever it matters.

    Attributes:
        tokens: What was used: tokens by kind, or seconds.
        by_kind: Dollars by kind, for the kinds whose price is known.
        unpriced: Kinds that were used and have no known price.

    >>> price(Usage(audio_out=91, text_out=30), "gpt-realtime-2.1").total
    Decimal('0.006544')
    >>> price(Usage(audio_out=91), "my-own-model").total is None
    True
    """

    tokens: Usage = field(default_factory=Usage)
    by_kind: dict[str, Decimal] = field(default_factory=dict)
    unpriced: frozenset[str] = frozenset()

    def __add__(self, other: Cost) -> Cost:
        kinds = self.by_kind.keys() | other.by_kind.keys()
        return Cost(
            self.tokens + other.tokens,
            {kind: self.by_kind.get(kind, Decimal(0)) + other.by_kind.get(kind, Decimal(0)) for kind in kinds},
            self.unpriced | other.unpriced,
        )

    @property
    def estimated(self) -> bool:
        """Whether the usage was told in part, or in sums only: what is dearest counts."""
        return self.tokens.estimated

    @property
    def known(self) -> Decimal:
        """Dollars that are known, whatever else is not: the least it cost."""
        return sum(self.by_kind.values(), Decimal(0))

    @property
    def spoken(self) -> Decimal | None:
        """Dollars for what was said."""
        return self._sum(SPOKEN)

    @property
    def listened(self) -> Decimal | None:
        """Dollars for fresh input: what was heard and read."""
        return self._sum(LISTENED)

    @property
    def cached(self) -> Decimal | None:
        """Dollars for input that came from the cache."""
        return self._sum(CACHED)

    @property
    def total(self) -> Decimal | None:
        """All dollars."""
        return self._sum(KINDS)

    @property
    def dollars(self) -> Decimal | None:
        """All dollars, by another name: ``session.usage.dollars``."""
        return self.total

    def _sum(self, kinds: tuple[str, ...]) -> Decimal | None:
        if self.tokens.untold or self.unpriced.intersection(kinds):
            return None
        return sum((self.by_kind.get(kind, Decimal(0)) for kind in kinds), Decimal(0))


def less(one: Number | None, other: Number | None) -> Number | None:
    """Subtract, where both are known."""
    return None if one is None or other is None else one - other


def total_of(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Sum up amounts; None where one is not known."""
    known = list(amounts)
    return None if None in known else sum(filter(None, known), Decimal(0))


def price(usage: Usage, model: str, provider: str = "openai") -> Cost:
    """Price a usage.

    Args:
        usage: What was used.
        model: The model's name; a dated or unknown one is looked up as ``genai-prices`` does.
        provider: Whose price list.

    >>> price(Usage(audio_out=39, seconds=60.0), "grok-voice-latest", "x-ai").total
    Decimal('0.080')
    """
    listed = prices(model, provider)
    used = {kind: count for kind in KINDS if (count := getattr(usage, kind))}
    if listed.per_minute is not None:
        return _by_time(usage, used, listed.per_minute, listed.per_message or Decimal(0))
    known = listed.per_million
    tokens = {kind: count for kind, count in used.items() if kind in TOKENS}
    by_kind = {kind: count * known[kind] / MILLION for kind, count in tokens.items() if kind in known}
    return Cost(usage, by_kind, frozenset((tokens or used).keys() - by_kind.keys()))


def _by_time(usage: Usage, used: Iterable[str], per_minute: Decimal, per_message: Decimal) -> Cost:
    """Price seconds and messages, not tokens; without seconds, nobody knows the cost."""
    own = {
        "seconds": Decimal(str(usage.seconds or 0)) * per_minute / MINUTE_S,
        "text_messages": usage.text_messages * per_message,
    }
    by_kind = {kind: own.get(kind, Decimal(0)) for kind in used}
    return Cost(usage, by_kind, frozenset({"seconds"} if by_kind and usage.seconds is None else ()))


@cache
def prices(model: str, provider: str = "openai") -> PriceList:
    """Look up a model's prices; empty where nobody knows them.

    >>> prices("gpt-realtime-2.1").per_million["cached_audio_in"]
    Decimal('0.4')
    """
    found = {kind: _listed(sample, model, provider) for kind, sample in _SAMPLES.items()}
    known = {kind: dollars for kind, dollars in found.items() if dollars is not None}
    return PriceList(
        model,
        {kind: dollars for kind, dollars in known.items() if kind in TOKENS},
        known.get("seconds"),
        known.get("text_messages"),
    )


def _listed(sample: dict[str, int], model: str, provider: str) -> Decimal | None:
    """Price a sample; None where it has no price."""
    library = price_library()
    try:
        found = library.calc_price(library.Usage(**sample), model, provider_id=provider).total_price
    except LookupError:
        return None
    return found or None  # what a model is not billed by is listed at nothing


class LoadedWhenUsed(ModuleType):
    """A module that is loaded when something of it is used.

    >>> LoadedWhenUsed("colorsys").rgb_to_hsv(1, 0, 0)
    (0.0, 1.0, 1)
    """

    def __getattr__(self, name: str) -> Any:
        self.give_way()
        return getattr(import_module(self.__name__), name)

    def give_way(self) -> None:
        """Leave its place to the module itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


@cache
def price_library() -> Any:
    """Load ``genai-prices`` without what it only updates its prices with, which takes longer than all else of it."""
    absent = {name: LoadedWhenUsed(name) for name in ("asyncio", "httpx2") if name not in sys.modules}
    sys.modules.update(absent)
    try:
        return import_module("genai_prices")
    finally:
        for module in absent.values():
            module.give_way()


def _sample(direction: str, kind: str, *, cached: bool = False) -> dict[str, int]:
    """Make a million tokens of one kind, with the overlaps that ``genai-prices`` wants stated."""
    sample = {f"{direction}_tokens": 1_000_000, f"{direction}_{kind}_tokens": 1_000_000}
    return sample | ({"cache_read_tokens": 1_000_000, f"cache_{kind}_read_tokens": 1_000_000} if cached else {})


_SAMPLES = {
    "text_in": _sample("input", "text"),
    "audio_in": _sample("input", "audio"),
    "image_in": _sample("input", "image"),
    "cached_text_in": _sample("input", "text", cached=True),
    "cached_audio_in": _sample("input", "audio", cached=True),
    "cached_image_in": _sample("input", "image", cached=True),
    "text_out": _sample("output", "text"),
    "audio_out": _sample("output", "audio"),
    "seconds": {"audio_seconds": MINUTE_S},
    "text_messages": {"input_text_messages": 1},
}
