"""What a scene is likely to take: seconds, tokens and dollars, low, likely and high, before anybody has spoken.

The rules of usage are those the understudy bills by. Calls of tools are not foreseen, nor is what a model forgets
when its window is full.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Generic, TypeVar

from tau_stage.cost.conversation_usage import ConversationUsage, HearingMode, tools_tokens
from tau_stage.cost.durations import HIGH, LIKELY, LOW, Scenario, text_tokens
from tau_stage.cost.price import Cost, price, prices
from tau_stage.cost.retirements import retirement_warnings
from tau_stage.cost.simulation import Simulation
from tau_stage.protocol.endpoints import endpoint
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import Plan, PlayerPlan


@dataclass(frozen=True, slots=True)
class Window:
    """A model's window, in tokens (OpenAI, the models' pages).

    Attributes:
        tokens: All it may hold.
        most_in: What may go in before the beginning is dropped.
    """

    tokens: int
    most_in: int


SMALL = Window(32_768, 28_672)
LARGE = Window(128_000, 128_000)

WINDOWS = {
    "gpt-realtime": SMALL,
    "gpt-realtime-mini": SMALL,
    "gpt-realtime-1.5": SMALL,
    "gpt-4o-realtime-preview": SMALL,
    "gpt-4o-mini-realtime-preview": SMALL,
    "gpt-realtime-2": LARGE,
    "gpt-realtime-2.1": LARGE,
    "gpt-realtime-2.1-mini": LARGE,
}

DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def window_of(model: str) -> Window | None:
    """Find the window of a model, dated or not; None where nobody knows it.

    >>> window_of("gpt-realtime").tokens, window_of("gpt-4o-realtime-preview-2025-06-03").tokens
    (32768, 32768)
    >>> window_of("my-own-model") is None
    True
    """
    return WINDOWS.get(DATE.sub("", model))


def window_warning(player: str, model: str, context: int) -> str | None:
    """Warn of a player whose conversation is likely to hold so many tokens; None where they fit.

    >>> window_warning("ann", "gpt-realtime-2.1", 5000) is None
    True
    """
    window = window_of(model)
    if window is None or context <= window.most_in:
        return None
    return (
        f"player {player}: the conversation is likely to grow to {context:,} tokens, and {model} takes "
        f"{window.most_in:,} in before it forgets the beginning (its window is {window.tokens:,}); "
        "give the player hears_as: text, let fewer players hear each line, or split the scene"
    )


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
        """Change all three in the same way.

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
class PlannedOpening:
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
    openings: tuple[PlannedOpening, ...]
    lines: tuple[LineForecast, ...]
    players: tuple[PlayerForecast, ...]
    seconds: Estimate[float]
    cost: Estimate[Cost]
    savings: Savings
    warnings: tuple[str, ...]


def forecast(plan: Plan, today: date | None = None) -> Forecast:
    r"""Return forecast what a plan is likely to take.

    Args:
        plan: From a scene.
        today: The date, to warn of models that end; without it, there is no such warning.

    >>> from tau_stage.scene.load import parse_scene
    >>> from tau_stage.scene.planner import make_plan
    >>> told = forecast(make_plan(parse_scene("players: {ann: , ben: }\nlines: [ann: Hello., ben: Who is it?]")))
    >>> [(opening.player, opening.at_s) for opening in told.openings]
    [('ann', 0.0), ('ben', 0.2)]
    >>> told.cost.low.total < told.cost.likely.total < told.cost.high.total
    True
    """
    outcomes = Estimate(LOW, LIKELY, HIGH).each(lambda scenario: _simulate(plan, scenario))
    players = tuple(_player(player, outcomes) for player in plan.players)
    cost = outcomes.each(lambda outcome: sum((outcome.cost(player) for player in plan.players), Cost()))
    return Forecast(
        title=plan.title,
        path=plan.path,
        openings=tuple(
            PlannedOpening(player.name, round(place * plan.opening_gap_s, 3))
            for place, player in enumerate(plan.opening_order)
        ),
        lines=tuple(_lines(outcomes)),
        players=players,
        seconds=outcomes.each(lambda outcome: outcome.simulation.end_s),
        cost=cost,
        savings=Savings(
            as_text=_sum(player.savings.as_text for player in players),
            hearing_nobody=_sum(player.savings.hearing_nobody for player in players),
        ),
        warnings=(*(retirement_warnings(plan, today) if today else ()), *_warnings(plan, players, cost.likely)),
    )


def expected_usage(plan: Plan) -> dict[str, Usage]:
    r"""Return forecast the tokens that each response of a plan uses, by the line's id.

    >>> from tau_stage.scene.load import parse_scene
    >>> from tau_stage.scene.planner import make_plan
    >>> told = expected_usage(make_plan(parse_scene("players: {ann: , ben: }\nlines: [ann: Hello., ben: Who is it?]")))
    >>> list(told), told["ben-1"].audio_in > 0
    (['ann-1', 'ben-1'], True)
    """
    return {line.id: line.usage for line in _simulate(plan, LIKELY).simulation.lines}


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A simulation that is over.

    Attributes:
        simulation: It.
        seconds: How long each line is heard, by its id.
        lines: How many lines each player speaks.
        voiced: Seconds each player is heard.
    """

    simulation: Simulation
    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    voiced: dict[str, float] = field(default_factory=dict)

    def cost(self, player: PlayerPlan, way: int = 0) -> Cost:
        """Price what a player uses, as it hears or as it might hear."""
        if player.human:
            return Cost()
        used = self.simulation.conversations[player.name][way].usage
        provider = _price_list(player)
        written = (
            price(usage, model, provider)
            for (listener, model), usage in self.simulation.written_down.items()
            if listener == player.name
        )
        return sum(written, price(used, player.model, provider))

    def context(self, player: PlayerPlan) -> int:
        """Count the most tokens a player's conversation holds."""
        return 0 if player.human else self.simulation.conversations[player.name][0].most


def _simulate(plan: Plan, scenario: Scenario) -> _Outcome:
    """Simulate a plan; in the likely scenario, also as if each player heard the words, or nobody."""
    conversations = {}
    for player in plan.models:
        modes = [HearingMode(as_text=player.hears_as == "text", labelled=player.label_speakers)]
        if scenario is LIKELY:
            modes += [HearingMode(as_text=True, labelled=player.label_speakers), HearingMode(deaf=True)]
        told = text_tokens(player.instructions)
        tools = tools_tokens(plan.tools, player.tools)
        by_time = prices(player.model, _price_list(player)).per_minute is not None
        conversations[player.name] = tuple(
            ConversationUsage(told, tools, mode, scenario.caches, by_time) for mode in modes
        )
    simulation = Simulation(plan, scenario, conversations)
    simulation.run()
    outcome = _Outcome(simulation)
    for line in simulation.lines:
        outcome.seconds[line.id] = line.seconds
        outcome.lines[line.player] = outcome.lines.get(line.player, 0) + 1
        outcome.voiced[line.player] = outcome.voiced.get(line.player, 0.0) + line.seconds
    return outcome


def _price_list(player: PlayerPlan) -> str:
    """Tell whose prices apply: OpenAI's where the scene leaves the endpoint open."""
    try:
        return endpoint(player.endpoint or "openai").price_provider
    except KeyError:
        return "openai"


def _player(player: PlayerPlan, outcomes: Estimate[_Outcome]) -> PlayerForecast:
    likely = outcomes.likely
    savings = Savings(Decimal(0), Decimal(0))
    if not player.human:
        now = likely.cost(player).total
        savings = Savings(*(_less(now, likely.cost(player, way).total) for way in (1, 2)))
    return PlayerForecast(
        name=player.name,
        model=player.model,
        lines=likely.lines.get(player.name, 0),
        seconds=outcomes.each(lambda outcome: outcome.voiced.get(player.name, 0.0)),
        cost=outcomes.each(lambda outcome: outcome.cost(player)),
        context=outcomes.each(lambda outcome: outcome.context(player)),
        window=window_of(player.model),
        savings=savings,
    )


def _lines(outcomes: Estimate[_Outcome]) -> Iterator[LineForecast]:
    low, high = outcomes.low.seconds, outcomes.high.seconds
    for number, line in enumerate(outcomes.likely.simulation.lines, 1):
        yield LineForecast(
            number=number,
            id=line.id,
            player=line.player,
            words=line.words,
            at_s=line.at_s,
            seconds=Estimate(low.get(line.id, 0.0), line.seconds, high.get(line.id, line.seconds)),
            hearers=line.hearers,
        )


def _less(now: Decimal | None, then: Decimal | None) -> Decimal | None:
    return None if now is None or then is None else now - then


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Sum up amounts; None where one is not known."""
    known = list(amounts)
    return None if None in known else sum((amount for amount in known if amount), Decimal(0))


def _warnings(plan: Plan, players: Iterable[PlayerForecast], likely: Cost) -> Iterator[str]:
    for player in players:
        if warning := window_warning(player.name, player.model, player.context.likely):
            yield warning
    if plan.budget is not None and likely.total is not None and likely.total > plan.budget:
        yield (
            f"the scene is likely to cost ${likely.total:.4f}, more than its budget of ${plan.budget}: raise "
            "limits.budget, shorten the scene, or give players hears_as: text"
        )
