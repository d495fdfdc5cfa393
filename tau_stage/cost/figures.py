"""What a forecast holds: figures as they may turn out, for the scene, its players and its lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, TypeVar

from tau_stage.cost.price import Cost
from tau_stage.cost.windows import Window

Figure = TypeVar("Figure")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class Estimate(Generic[Figure]):
    """A figure as it may turn out.

    Attributes:
        low: People speak a quarter faster, answer briefly, and no cue starts.
        likely: What to expect.
        high: People speak a quarter slower, answer at length, cues start often, and nothing is cached.
    """

    low: Figure
    likely: Figure
    high: Figure

    def each(self, change: Callable[[Figure], Other]) -> Estimate[Other]:
        """All three, changed in the same way.

        >>> Estimate(1, 2, 4).each(str)
        Estimate(low='1', likely='2', high='4')
        """
        return Estimate(change(self.low), change(self.likely), change(self.high))


@dataclass(frozen=True, slots=True)
class LineForecast:
    """One line.

    Attributes:
        number: Place among what is likely to be spoken, from 1.
        id: The line's; turns of free play and of open microphones have theirs.
        player: Who speaks.
        words: What is said; empty where it is improvised.
        at_s: Where in the take it is likely to begin.
        seconds: How long it is heard.
        hearers: Who hears it.
    """

    number: int
    id: str
    player: str
    words: str
    at_s: float
    seconds: Estimate[float]
    hearers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Savings:
    """What a player's share would be less, in likely dollars; None where a price is not known.

    Attributes:
        as_text: If it heard the others as text.
        hearing_nobody: If it heard nobody.
    """

    as_text: Decimal | None
    hearing_nobody: Decimal | None


@dataclass(frozen=True, slots=True)
class PlayerForecast:
    """One player.

    Attributes:
        name: As the scene spells it.
        model: Empty for a person, who costs nothing.
        lines: How many lines it is likely to speak.
        seconds: How long it is heard.
        cost: Tokens and dollars: spoken, listened, cached, total.
        context: Most tokens its conversation holds when it has spoken.
        window: What its model may hold; None where nobody knows.
        savings: What a cheaper hearing would save.
    """

    name: str
    model: str
    lines: int
    seconds: Estimate[float]
    cost: Estimate[Cost]
    context: Estimate[int]
    window: Window | None
    savings: Savings


@dataclass(frozen=True, slots=True)
class Opening:
    """A session, and the earliest second at which it may open."""

    player: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """A whole scene.

    Attributes:
        title: The scene's name.
        path: The scene file.
        openings: Sessions in the order they open.
        lines: What is likely to be spoken, in order.
        players: In the order of the file.
        seconds: How long the take is.
        cost: Tokens and dollars of all players.
        savings: What it would save if all players heard more cheaply.
        warnings: What to change before the scene is performed, a sentence each.
    """

    title: str
    path: str
    openings: tuple[Opening, ...]
    lines: tuple[LineForecast, ...]
    players: tuple[PlayerForecast, ...]
    seconds: Estimate[float]
    cost: Estimate[Cost]
    savings: Savings
    warnings: tuple[str, ...]
