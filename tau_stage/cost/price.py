"""Usage times price: what each response cost, by kind of token. Prices are those of ``genai-prices``, offline."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from decimal import Decimal
from functools import cache
from typing import Any

from tau_stage.protocol.usage import Usage

KINDS = tuple(kind.name for kind in fields(Usage))
"""Kinds of token, as ``Usage`` names them."""

SPOKEN = ("text_out", "audio_out")
LISTENED = ("text_in", "audio_in", "image_in")
CACHED = ("cached_text_in", "cached_audio_in", "cached_image_in")

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class PriceList:
    """Dollars per million tokens of one model, by kind; a kind that is missing has no known price."""

    model: str
    per_million: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Cost:
    """What some tokens cost. An unknown price is never zero: it is None wherever it matters.

    Attributes:
        tokens: By kind.
        by_kind: Dollars by kind, for the kinds whose price is known.
        unpriced: Kinds with tokens whose price is not known.

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
        if self.unpriced.intersection(kinds):
            return None
        return sum((self.by_kind.get(kind, Decimal(0)) for kind in kinds), Decimal(0))


def price(usage: Usage, model: str, provider: str = "openai") -> Cost:
    """What a usage costs.

    Args:
        usage: Tokens by kind.
        model: The model's name; a dated or unknown one is looked up as ``genai-prices`` does.
        provider: Whose price list.
    """
    listed = prices(model, provider).per_million
    used = {kind: getattr(usage, kind) for kind in KINDS if getattr(usage, kind)}
    return Cost(
        usage,
        {kind: listed[kind] * tokens / MILLION for kind, tokens in used.items() if kind in listed},
        frozenset(used.keys() - listed.keys()),
    )


@cache
def prices(model: str, provider: str = "openai") -> PriceList:
    """A model's prices; empty where nobody knows them.

    >>> prices("gpt-realtime-2.1").per_million["cached_audio_in"]
    Decimal('0.4')
    """
    return PriceList(
        model, {kind: found for kind in KINDS if (found := _per_million(kind, model, provider)) is not None}
    )


def _per_million(kind: str, model: str, provider: str) -> Decimal | None:
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    try:
        found = calc_price(Tokens(**_SAMPLES[kind]), model, provider_id=provider).total_price
    except LookupError:
        return None
    return found or None  # models that are priced by the minute list their tokens at nothing


def _sample(direction: str, kind: str, *, cached: bool = False) -> dict[str, Any]:
    """A million tokens of one kind, with the overlaps that ``genai-prices`` wants stated."""
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
}
