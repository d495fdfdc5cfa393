"""What a scene is likely to take: seconds, tokens and dollars, low, likely and high, before anybody has spoken.

The rules of usage are those the understudy bills by. Calls of tools are not foreseen, nor is what a model forgets
when its window is full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from tau_stage.cost.conversation import Conversation, Ways, tools_tokens
from tau_stage.cost.figures import Estimate, Forecast, LineForecast, Opening, PlayerForecast, Savings
from tau_stage.cost.lengths import HIGH, LIKELY, LOW, Case
from tau_stage.cost.price import Cost, price, prices
from tau_stage.cost.rehearsal import Rehearsal
from tau_stage.cost.retirements import retirement_warnings
from tau_stage.cost.speech import text_tokens
from tau_stage.cost.windows import overflow, window_of
from tau_stage.protocol.endpoints import endpoint
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import Plan, PlayerPlan


def forecast(plan: Plan, today: date | None = None) -> Forecast:
    r"""What a plan is likely to take.

    Args:
        plan: From a scene.
        today: The date, to warn of models that end; without it, there is no such warning.

    >>> from tau_stage.scene.load import parse_scene
    >>> from tau_stage.scene.planning import make_plan
    >>> told = forecast(make_plan(parse_scene("players: {ann: , ben: }\nlines: [ann: Hello., ben: Who is it?]")))
    >>> [(opening.player, opening.at_s) for opening in told.openings]
    [('ann', 0.0), ('ben', 0.2)]
    >>> told.cost.low.total < told.cost.likely.total < told.cost.high.total
    True
    """
    acts = Estimate(LOW, LIKELY, HIGH).each(lambda case: _act(plan, case))
    players = tuple(_player(player, acts) for player in plan.players)
    cost = acts.each(lambda act: sum((act.cost(player) for player in plan.players), Cost()))
    return Forecast(
        title=plan.title,
        path=plan.path,
        openings=tuple(
            Opening(player.name, round(place * plan.opening_gap_s, 3))
            for place, player in enumerate(plan.opening_order)
        ),
        lines=tuple(_lines(acts)),
        players=players,
        seconds=acts.each(lambda act: act.rehearsal.end_s),
        cost=cost,
        savings=Savings(
            as_text=_sum(player.savings.as_text for player in players),
            hearing_nobody=_sum(player.savings.hearing_nobody for player in players),
        ),
        warnings=(*(retirement_warnings(plan, today) if today else ()), *_warnings(plan, players, cost.likely)),
    )


def foreseen(plan: Plan) -> dict[str, Usage]:
    r"""The tokens that each response of a plan is likely to use, by the line's id.

    >>> from tau_stage.scene.load import parse_scene
    >>> from tau_stage.scene.planning import make_plan
    >>> told = foreseen(make_plan(parse_scene("players: {ann: , ben: }\nlines: [ann: Hello., ben: Who is it?]")))
    >>> list(told), told["ben-1"].audio_in > 0
    (['ann-1', 'ben-1'], True)
    """
    return {line.id: line.usage for line in _act(plan, LIKELY).rehearsal.lines}


@dataclass(frozen=True, slots=True)
class _Act:
    """A rehearsal that is over.

    Attributes:
        rehearsal: It.
        seconds: How long each line is heard, by its id.
        lines: How many lines each player speaks.
        voiced: Seconds each player is heard.
    """

    rehearsal: Rehearsal
    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    voiced: dict[str, float] = field(default_factory=dict)

    def cost(self, player: PlayerPlan, way: int = 0) -> Cost:
        """Of a player, as it hears or as it might hear."""
        if player.human:
            return Cost()
        used = self.rehearsal.conversations[player.name][way].usage
        provider = _price_list(player)
        written = (
            price(usage, model, provider)
            for (listener, model), usage in self.rehearsal.written_down.items()
            if listener == player.name
        )
        return sum(written, price(used, player.model, provider))

    def context(self, player: PlayerPlan) -> int:
        """Most tokens a player's conversation holds."""
        return 0 if player.human else self.rehearsal.conversations[player.name][0].most


def _act(plan: Plan, case: Case) -> _Act:
    """Rehearse a plan; in the likely case, also as if each player heard the words, or nobody."""
    conversations = {}
    for player in plan.models:
        ways = [Ways(as_text=player.hears_as == "text", labelled=player.label_speakers)]
        if case is LIKELY:
            ways += [Ways(as_text=True, labelled=player.label_speakers), Ways(deaf=True)]
        told = text_tokens(player.instructions)
        tools = tools_tokens(plan.tools, player.tools)
        by_time = prices(player.model, _price_list(player)).per_minute is not None
        conversations[player.name] = tuple(Conversation(told, tools, way, case.caches, by_time) for way in ways)
    rehearsal = Rehearsal(plan, case, conversations)
    rehearsal.play()
    act = _Act(rehearsal)
    for line in rehearsal.lines:
        act.seconds[line.id] = line.seconds
        act.lines[line.player] = act.lines.get(line.player, 0) + 1
        act.voiced[line.player] = act.voiced.get(line.player, 0.0) + line.seconds
    return act


def _price_list(player: PlayerPlan) -> str:
    """Whose prices apply; OpenAI's where the scene leaves the endpoint open."""
    try:
        return endpoint(player.endpoint or "openai").price_provider
    except KeyError:
        return "openai"


def _player(player: PlayerPlan, acts: Estimate[_Act]) -> PlayerForecast:
    likely = acts.likely
    savings = Savings(Decimal(0), Decimal(0))
    if not player.human:
        now = likely.cost(player).total
        savings = Savings(*(_less(now, likely.cost(player, way).total) for way in (1, 2)))
    return PlayerForecast(
        name=player.name,
        model=player.model,
        lines=likely.lines.get(player.name, 0),
        seconds=acts.each(lambda act: act.voiced.get(player.name, 0.0)),
        cost=acts.each(lambda act: act.cost(player)),
        context=acts.each(lambda act: act.context(player)),
        window=window_of(player.model),
        savings=savings,
    )


def _lines(acts: Estimate[_Act]) -> Iterator[LineForecast]:
    low, high = acts.low.seconds, acts.high.seconds
    for number, line in enumerate(acts.likely.rehearsal.lines, 1):
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
    """All amounts together; None where one is not known."""
    known = list(amounts)
    return None if None in known else sum((amount for amount in known if amount), Decimal(0))


def _warnings(plan: Plan, players: Iterable[PlayerForecast], likely: Cost) -> Iterator[str]:
    for player in players:
        if warning := overflow(player.name, player.model, player.context.likely):
            yield warning
    if plan.budget is not None and likely.total is not None and likely.total > plan.budget:
        yield (
            f"the scene is likely to cost ${likely.total:.4f}, more than its budget of ${plan.budget}: raise "
            "limits.budget, shorten the scene, or give players hears_as: text"
        )
