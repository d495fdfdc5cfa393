"""What a scene is likely to take: seconds, tokens and dollars, low, likely and high, before anybody has spoken.

The rules of usage are those the understudy bills by. Calls of tools are not foreseen, nor is what a model forgets
when its window is full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import accumulate, cycle, islice
from typing import Generic, NamedTuple, TypeVar

from tau_stage import scene
from tau_stage.cost import durations
from tau_stage.cost.conversation_usage import ASSISTANT_PER_S, USER_PER_S, ClipTokens, ConversationUsage, tools_tokens
from tau_stage.cost.durations import Scenario, answer_tokens, text_tokens
from tau_stage.cost.pricing import CACHED, Cost, less, price, prices, total_of
from tau_stage.cost.retirements import read_models, retirement_warnings, undated
from tau_stage.protocol import Endpoint, Usage, endpoint
from tau_stage.scene import LinePlan, Plan, PlayerPlan, Step
from tau_stage.text import pronounce, told_language


@dataclass(frozen=True, slots=True)
class Window:
    """A model's window, in tokens: all it may hold, and what may go in before the beginning is dropped."""

    tokens: int
    most_in: int


WINDOWS = {model: Window(*tokens) for model, tokens in read_models("windows.toml")["openai"].items()}
"""By model, without its date."""

Figure = TypeVar("Figure")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class Estimate(Generic[Figure]):
    """A value with its lower and upper estimate.

    Attributes:
        low: People speak a quarter faster and answer briefly, and no cue starts.
        likely: The most likely value.
        high: People speak a quarter slower and answer at length, cues start often, and nothing is cached.
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
    """The forecast of one line.

    Attributes:
        number: The position among the lines that are likely to be spoken, from 1.
        id: The line's; turns of improvisation and of open microphones have theirs.
        words: What is said; empty if the line is improvised.
        at_s: When in the take it is likely to start.
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
    """What cheaper hearing would save for a player, in likely dollars; None if a price is not known.

    Attributes:
        hears_as_text: If it heard the others as text.
        hears_nobody: If it heard nobody.
    """

    hears_as_text: Decimal | None
    hears_nobody: Decimal | None


@dataclass(frozen=True, slots=True)
class PlayerForecast:
    """The forecast of one player.

    Attributes:
        model: The model's name; empty for a person, who costs nothing.
        cost: Tokens and dollars: spoken, listened, cached, total.
        context: The largest number of tokens in its conversation after it has spoken.
        window: The size of its model's window; None if it is not known.
        savings: The possible savings if the player heard lines in cheaper ways.
        hearing: How it hears: ``stream`` (while a line is spoken) or ``create_audio``. Both cost the same.
    """

    name: str
    model: str
    lines: int
    seconds: Estimate[float]
    cost: Estimate[Cost]
    context: Estimate[int]
    window: Window | None
    savings: Savings
    hearing: str


@dataclass(frozen=True, slots=True)
class PlannedOpening:
    """A session, and the earliest second at which it may open."""

    player: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of a whole scene.

    Attributes:
        openings: The sessions, in the order in which they open.
        lines: The lines that are likely to be spoken, in order.
        seconds: The length of the take.
        savings: The possible savings for all players together, if they heard lines in cheaper ways.
        unpriced: Models whose price is not known, with their endpoints.
        warnings: What to change before the scene is performed, one sentence for each problem.

    >>> from tau_stage import load_scene, make_plan
    >>> [player.name for player in forecast(make_plan(load_scene("scenes/hello.yaml"))).players]
    ['host', 'guest']
    """

    title: str
    path: str
    openings: tuple[PlannedOpening, ...]
    lines: tuple[LineForecast, ...]
    players: tuple[PlayerForecast, ...]
    seconds: Estimate[float]
    cost: Estimate[Cost]
    savings: Savings
    unpriced: tuple[str, ...]
    warnings: tuple[str, ...]


def forecast(plan: Plan, today: date | None = None) -> Forecast:
    r"""Forecast the cost and the duration of a plan.

    Args:
        plan: From a scene.
        today: The date, for warnings about models that will be shut down. Without it, there is no such warning.

    >>> from tau_stage.scene.load import parse_scene
    >>> from tau_stage.scene.planner import make_plan
    >>> told = forecast(make_plan(parse_scene("players: {ann: , ben: }\nlines: [ann: Hello., ben: Who is it?]")))
    >>> [(opening.player, opening.at_s) for opening in told.openings]
    [('ann', 0.0), ('ben', 0.2)]
    >>> told.cost.low.total < told.cost.likely.total < told.cost.high.total
    True
    """
    outcomes = Estimate(durations.LOW, durations.LIKELY, durations.HIGH).each(
        lambda scenario: _simulate(plan, scenario)
    )
    players = tuple(_player(player, outcomes) for player in plan.players)
    cost = outcomes.each(lambda outcome: sum(map(outcome.cost, plan.players), Cost()))
    return Forecast(
        title=plan.title,
        path=plan.path,
        openings=tuple(_openings(plan)),
        lines=tuple(_lines(outcomes)),
        players=players,
        seconds=outcomes.each(lambda outcome: outcome.end_s),
        cost=cost,
        savings=Savings(
            hears_as_text=total_of(player.savings.hears_as_text for player in players),
            hears_nobody=total_of(player.savings.hears_nobody for player in players),
        ),
        unpriced=tuple(dict.fromkeys(name for player in plan.models for name in outcomes.likely.unpriced(player))),
        warnings=(*(retirement_warnings(plan, today) if today else ()), *_warnings(plan, players, cost.likely)),
    )


def expected_usage(plan: Plan) -> dict[str, Usage]:
    r"""Forecast the tokens that each response of a plan uses, by the line's id.

    >>> from tau_stage.scene.load import parse_scene
    >>> from tau_stage.scene.planner import make_plan
    >>> told = expected_usage(make_plan(parse_scene("players: {ann: , ben: }\nlines: [ann: Hello., ben: Who is it?]")))
    >>> list(told), told["ben-1"].audio_in > 0
    (['ann-1', 'ben-1'], True)
    """
    return {line.id: line.usage for line in _simulate(plan, durations.LIKELY).lines}


def expected_cost(plan: Plan, lines: Collection[str]) -> Cost:
    r"""Forecast what some lines of a plan cost, where the others are taken over: the first of each player reads afresh.

    Args:
        plan: From a scene.
        lines: The ids of the lines, and of improvisation.

    >>> from tau_stage.scene.load import parse_scene
    >>> from tau_stage.scene.planner import make_plan
    >>> plan = make_plan(parse_scene("players: {ann: , ben: }\nlines: [ann: Hello., ben: Who is it?]"))
    >>> expected_cost(plan, ["ben-1"]).total < expected_cost(plan, ["ann-1", "ben-1"]).total
    True
    """
    total, warm = Cost(), set[str]()
    for line in _simulate(plan, durations.LIKELY).lines:
        player = plan.player(line.plan.player)
        if scene.key_name(line.id, lines) and not player.human:
            usage = line.paid if player.name in warm else _uncached(line.paid)
            warm.add(player.name)
            total += price(usage, player.model, _endpoint(player).price_provider)
    return total


def _uncached(usage: Usage) -> Usage:
    """Return what is used where nothing of it comes from the cache."""
    cached = {kind: getattr(usage, kind) for kind in CACHED}
    fresh = {kind.removeprefix("cached_"): count for kind, count in cached.items()}
    return usage - Usage(**cached) + Usage(**fresh)


def _simulate(plan: Plan, scenario: Scenario) -> Simulation:
    """Simulate a plan; in the likely scenario, also as if each player heard the words, or nobody."""
    conversations = {}
    for player in plan.models:
        modes = [{"as_text": player.hears_as == "text"}]
        if scenario is durations.LIKELY:
            modes += [{"as_text": True}, {"deaf": True}]
        new = partial(
            ConversationUsage,
            text_tokens(player.instructions),
            tools_tokens(plan.tools, player.tools),
            labelled=player.label_speakers,
            caches=scenario.caches,
            by_time=prices(player.model, _endpoint(player).price_provider).per_minute is not None,
        )
        conversations[player.name] = [new(**mode) for mode in modes]
    simulation = Simulation(plan, scenario, conversations)
    simulation.run()
    return simulation


def _endpoint(player: PlayerPlan) -> Endpoint:
    """Return whose prices and gaps apply: OpenAI's where the scene leaves the endpoint open."""
    try:
        return endpoint(player.endpoint or "openai")
    except KeyError:
        return endpoint("openai")


def _openings(plan: Plan) -> Iterator[PlannedOpening]:
    order, ordered = plan.opening_order, plan.opening_gap_s
    gaps = [_endpoint(player).opening_gap_s if ordered is None else ordered for player in order[1:]]
    for player, at_s in zip(order, accumulate(gaps, initial=0.0), strict=bool(order)):
        yield PlannedOpening(player.name, round(at_s, 3))


def _player(player: PlayerPlan, outcomes: Estimate[Simulation]) -> PlayerForecast:
    likely = outcomes.likely
    now = likely.cost(player).total
    return PlayerForecast(
        name=player.name,
        model=player.model,
        lines=sum(line.plan.player == player.name for line in likely.lines),
        seconds=outcomes.each(lambda outcome: outcome.voiced_s(player)),
        cost=outcomes.each(lambda outcome: outcome.cost(player)),
        context=outcomes.each(lambda outcome: outcome.context(player)),
        window=WINDOWS.get(undated(player.model)),
        savings=Savings(*(less(now, likely.cost(player, way).total) for way in (1, 2))),
        hearing=player.hearing,
    )


def _lines(outcomes: Estimate[Simulation]) -> Iterator[LineForecast]:
    seconds = outcomes.each(lambda outcome: {line.id: line.seconds for line in outcome.lines})
    for number, line in enumerate(outcomes.likely.lines, 1):
        yield LineForecast(
            number=number,
            id=line.id,
            player=line.plan.player,
            words=line.plan.words,
            at_s=line.at_s,
            seconds=Estimate(seconds.low.get(line.id, 0.0), line.seconds, seconds.high.get(line.id, line.seconds)),
            hearers=line.plan.hearers,
        )


def _warnings(plan: Plan, players: Iterable[PlayerForecast], likely: Cost) -> Iterator[str]:
    for player in players:
        context, window = player.context.likely, player.window
        if window and context > window.most_in:
            yield (
                f"player {player.name}: the conversation is likely to grow to {context:,} tokens, and {player.model} "
                f"keeps at most {window.most_in:,} of them (its context window is {window.tokens:,}), "
                "dropping the oldest; set 'hears_as: text' for the player, let fewer players hear each line, "
                "or split the scene"
            )
    if plan.budget is not None and likely.total is not None and likely.total > plan.budget:
        yield (
            f"the scene is likely to cost ${likely.total:.4f}, more than its budget of ${plan.budget}: raise "
            "limits.budget, shorten the scene, or set 'hears_as: text' for players"
        )


class SimulatedLine(NamedTuple):
    """A line, as long as it is likely to be heard, and the tokens of a response: none for a person.

    ``paid`` has those of all its takes.
    """

    plan: LinePlan
    id: str
    at_s: float
    seconds: float
    usage: Usage
    paid: Usage


@dataclass(slots=True)
class Simulation:
    """One walk through a plan; ``run`` it once.

    Args:
        conversations: Those of each model, all fed with the same: as it hears, and as it might hear.

    Attributes:
        end_s: Where the last sound ends, or a pause after it.
        written_down: What writing down people's words uses, by the player who listens and the model that writes.
    """

    plan: Plan
    scenario: Scenario
    conversations: Mapping[str, Sequence[ConversationUsage]]
    lines: list[SimulatedLine] = field(default_factory=list)
    end_s: float = 0.0
    written_down: dict[tuple[str, str], Usage] = field(default_factory=dict)
    _gap_s: float = 0.0
    _has_paused: bool = False
    _cut_at_s: dict[str, float] = field(default_factory=dict)
    _suffix: str = ""

    def run(self) -> None:
        """Walk through all steps, then through the cues."""
        for player in self.plan.models:
            for _, words in player.setup:
                self._add_item(player.name, text_tokens(words))
        self._steps(self.plan.steps)
        left = self.plan.most_cues
        for cue in self.plan.cues:
            times = min(durations.expected_starts(cue.times, self.scenario), left)
            left -= times
            for time in range(1, times + 1):
                self._suffix = f".{time}" if time > 1 else ""
                self._steps(cue.steps)
        if self._has_paused:
            self.end_s = self._next_s

    def cost(self, player: PlayerPlan, way: int = 0) -> Cost:
        """Price what a player uses, as it hears or as it might hear."""
        return Cost() if player.human else sum((cost for _, cost in self._costs(player, way)), Cost())

    def unpriced(self, player: PlayerPlan) -> list[str]:
        """Return the models of a player whose price is not known, with its endpoint."""
        return [f"{model} at {_endpoint(player).name}" for model, cost in self._costs(player) if cost.total is None]

    def _costs(self, player: PlayerPlan, way: int = 0) -> Iterator[tuple[str, Cost]]:
        provider = _endpoint(player).price_provider
        yield player.model, price(self.conversations[player.name][way].usage, player.model, provider)
        for (listener, model), usage in self.written_down.items():
            if listener == player.name:
                yield model or "transcription", price(usage, model, provider)

    def context(self, player: PlayerPlan) -> int:
        """Count the most tokens a player's conversation holds."""
        return 0 if player.human else self.conversations[player.name][0].most

    def voiced_s(self, player: PlayerPlan) -> float:
        """Sum up the seconds that a player is heard."""
        return sum((line.seconds for line in self.lines if line.plan.player == player.name), 0.0)

    def _steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.when is None or self.scenario.meets_conditions:
                self._step(step)

    def _add_items(self, step: scene.ItemPlan) -> None:
        for name, words in step.words:
            self._add_item(name, text_tokens(words))
        for name, _ in step.sounds:
            self._add_item(name, audio=math.ceil(durations.EFFECT_S * USER_PER_S))

    def _step(self, step: Step) -> None:
        match step:
            case LinePlan():
                self._add_heard(self._line(step), step.hearers)
            case scene.ItemPlan():
                self._add_items(step)
            case scene.ChapterPlan():
                pass
            case scene.PausePlan():
                self._gap_s += step.seconds
                self._has_paused = True
            case scene.SoundPlan():
                self._add_heard(self._sound(step, self._next_s), step.hearers)
            case scene.TogetherPlan():
                self._together(step)
            case scene.ImprovisePlan():
                self._improvise(step)
            case _:
                self._listen(step)

    # ---- the timeline

    @property
    def _next_s(self) -> float:
        return self.end_s + self._gap_s

    def _advance(self, at_s: float, seconds: float, pause_s: float) -> None:
        if at_s + seconds >= self.end_s:
            self.end_s, self._gap_s, self._has_paused = at_s + seconds, pause_s, False

    # ---- the conversations

    def _add_item(self, name: str, text: int = 0, audio: int = 0) -> None:
        for conversation in self.conversations.get(name, ()):
            conversation.add_item(text, audio)

    def _add_heard(self, clip: ClipTokens, hearers: Sequence[str]) -> None:
        for name in hearers:
            for conversation in self.conversations[name]:
                conversation.add_heard(clip)

    def _used(self, name: str) -> Usage:
        """Sum up what a player has used so far, as it hears; a person uses nothing."""
        return self.conversations[name][0].usage if name in self.conversations else Usage()

    # ---- the steps

    def _line(self, line: LinePlan, at_s: float | None = None) -> ClipTokens:
        """Let a line be spoken; what others hear of it."""
        if line.improvised:
            return self._spoken(line, self.scenario.answer_s, answer_tokens(self.scenario.answer_s), at_s)
        player = self.plan.player(line.player)
        sent, language = pronounce(line.words, player.pronounce), told_language(player.instructions)
        seconds = durations.speech_duration_s(sent, line.direction, player.speed, language)
        return self._spoken(line, seconds * self.scenario.slowness, text_tokens(durations.plain_words(sent)), at_s)

    def _spoken(self, line: LinePlan, seconds: float, words: int, at_s: float | None = None) -> ClipTokens:
        words, whole_s, thought = self._measured(line, seconds, words)
        heard_s = min(whole_s, line.cut.heard_s) if line.cut else whole_s
        usage, paid = self._answered(line, words, whole_s, heard_s, thought)
        at_s = self._cut_at_s.get(line.cuts or "", self._next_s) if at_s is None else at_s
        if line.cut:
            self._cut_at_s[line.id] = at_s + min(line.cut.after_s, heard_s)
        self._advance(at_s, heard_s, line.pause_s)
        self.lines.append(SimulatedLine(line, line.id + self._suffix, at_s, heard_s, usage, paid))
        words = math.ceil(words * heard_s / whole_s) if heard_s < whole_s else words
        return ClipTokens(
            audio=math.ceil(heard_s * USER_PER_S),
            words=words,
            labelled=words + text_tokens(f"{line.player}: "),
            label=text_tokens(f"{line.player} says:"),
        )

    def _measured(self, line: LinePlan, seconds: float, words: int) -> tuple[int, float, int]:
        """Measure words, sound and thought of an answer within its cap of tokens; who makes no sound does not think."""
        player = self.plan.player(line.player)
        if player.human == "tty" or (line.output or player.output) == "text":
            seconds = 0.0
        thought = self.scenario.thought if seconds and durations.is_reasoning_model(player.model) else 0
        if cap := line.max_output_tokens or player.max_output_tokens:
            words = min(words, cap)
            seconds = min(seconds, (cap - words) / ASSISTANT_PER_S)
            thought = min(thought, max(0, cap - words - math.ceil(seconds * ASSISTANT_PER_S)))
        return words, seconds, thought

    def _answered(
        self, line: LinePlan, words: int, whole_s: float, heard_s: float, thought: int
    ) -> tuple[Usage, Usage]:
        """Add an answer to its player's conversations; return what a take of it uses, and what all takes use."""
        before, player = self._used(line.player), self.plan.player(line.player)
        is_spoken = line.exact and bool(whole_s) and not line.apart and _endpoint(player).speaks_verbatim
        for conversation in self.conversations.get(line.player, ()):
            conversation.add_answer(
                prompt=0 if is_spoken else text_tokens(line.prompt),
                text_out=words,
                audio_out=math.ceil(whole_s * ASSISTANT_PER_S),
                kept_s=heard_s,
                out_of_band=line.apart,
                thought=0 if is_spoken else thought,
                verbatim=is_spoken,
                tools=None if line.tools is None else tools_tokens(self.plan.tools, line.tools),
            )
        usage = self._used(line.player) - before
        for conversation in self.conversations.get(line.player, ()):
            conversation.repeat_answer(self._takes(line) - 1)
        return usage, self._used(line.player) - before

    def _takes(self, line: LinePlan) -> int:
        """Return how many takes of a line are performed; of exact words, the first is likely to have them."""
        ends_early = line.exact and line.pick in ("closest", "first") and self.scenario is not durations.HIGH
        return 1 if ends_early else line.takes

    def _sound(self, step: scene.SoundPlan, at_s: float) -> ClipTokens:
        if step.kind == "sfx":
            self._advance(at_s, durations.EFFECT_S, step.pause_s)
        return ClipTokens(math.ceil(durations.EFFECT_S * USER_PER_S))

    def _together(self, step: scene.TogetherPlan) -> None:
        at_s = self._next_s
        heard = [
            self._line(part, at_s) if isinstance(part, LinePlan) else self._sound(part, at_s) for part in step.parts
        ]
        for clip, part in zip(heard, step.parts, strict=True):
            self._add_heard(clip, part.hearers)
        self._gap_s = step.pause_s

    def _improvise(self, step: scene.ImprovisePlan) -> None:
        for name, words in step.whispers.items():
            self._add_item(name, text_tokens(words))
        turns, seconds = durations.expected_turns(step, map(self.plan.player, step.players), self.scenario)
        order = step.players if isinstance(step.order, str) else step.order
        for number, name in enumerate(islice(cycle(order), turns), 1):
            line = scene.unwritten_line(step, name, f"{step.id}-{number}")
            self._add_heard(self._spoken(line, seconds, answer_tokens(seconds)), line.hearers)

    def _listen(self, step: scene.ListenPlan) -> None:
        exchanges, seconds = durations.expected_exchanges(step, self.scenario)
        for number in range(1, 2 * exchanges + 1):
            line = scene.unwritten_line(step, step.person if number % 2 else step.player, f"{step.id}-{number}")
            words = answer_tokens(seconds)
            clip = self._spoken(replace(line, pause_s=0.0), seconds, words)
            self._add_heard(clip, line.hearers)
            if line.player == step.person:
                self._add_item(step.player, 0 if clip.audio else words, clip.audio)
                self._write_down(step, clip, seconds)
        self._gap_s = step.pause_s

    def _write_down(self, step: scene.ListenPlan, clip: ClipTokens, seconds: float) -> None:
        """Count what is said to be written down, both ways in which models are billed."""
        if clip.audio and step.transcription != scene.OFF:
            writer = (step.player, dict(step.transcription or ()).get("model", ""))
            used = Usage(audio_in=clip.audio, text_out=clip.words, seconds=seconds)
            self.written_down[writer] = self.written_down.get(writer, Usage()) + used
