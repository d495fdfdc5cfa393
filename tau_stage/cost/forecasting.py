"""What a scene is likely to take: seconds, tokens and dollars, low, likely and high, before anybody has spoken.

The rules of usage are those the understudy bills by. Calls of tools are not foreseen, nor is what a model forgets
when its window is full.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import cycle, islice
from typing import Generic, TypeVar

from tau_stage.cost.conversation_usage import (
    ASSISTANT_PER_S,
    USER_PER_S,
    AnswerTokens,
    ClipTokens,
    ConversationUsage,
    HearingMode,
    tools_tokens,
)
from tau_stage.cost.durations import (
    EFFECT_S,
    HIGH,
    LIKELY,
    LOW,
    Scenario,
    answer_tokens,
    expected_exchanges,
    expected_starts,
    expected_turns,
    is_reasoning_model,
    plain_words,
    speech_duration_s,
    text_tokens,
)
from tau_stage.cost.pricing import Cost, price, prices
from tau_stage.cost.retirements import retirement_warnings
from tau_stage.protocol import Usage, endpoint
from tau_stage.scene import (
    OFF,
    ImprovisePlan,
    ItemPlan,
    LinePlan,
    ListenPlan,
    PausePlan,
    Plan,
    PlayerPlan,
    SoundPlan,
    Step,
    TogetherPlan,
)


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
    warnings: tuple[str, ...]


def forecast(plan: Plan, today: date | None = None) -> Forecast:
    r"""Forecast what a plan is likely to take.

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
    r"""Forecast the tokens that each response of a plan uses, by the line's id.

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


@dataclass(frozen=True, slots=True)
class SimulatedLine:
    """A line, as long as it is likely to be.

    Attributes:
        id: The line's.
        player: Who speaks.
        words: What is said; empty where it is improvised.
        at_s: Where in the take it begins.
        seconds: How long it is heard.
        hearers: Who hears it.
        usage: Tokens of its response; none for a person.
    """

    id: str
    player: str
    words: str
    at_s: float
    seconds: float
    hearers: tuple[str, ...]
    usage: Usage = field(default_factory=Usage)


@dataclass(slots=True)
class Simulation:
    """One walk through a plan; ``run`` it once.

    Args:
        plan: The scene, resolved.
        scenario: How it may turn out.
        conversations: Those of each model, all fed with the same: as it hears, and as it might hear.

    Attributes:
        lines: In the order they are spoken.
        end_s: Where the last sound ends.
        written_down: What writing down people's words uses, by the player who listens and the model that writes.
    """

    plan: Plan
    scenario: Scenario
    conversations: Mapping[str, Sequence[ConversationUsage]]
    lines: list[SimulatedLine] = field(default_factory=list)
    end_s: float = 0.0
    written_down: dict[tuple[str, str], Usage] = field(default_factory=dict)
    _gap_s: float = 0.0
    _cut_at_s: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Walk through all steps, then through the cues."""
        for player in self.plan.models:
            for _, words in player.setup:
                self._add_item(player.name, text_tokens(words))
        self._steps(self.plan.steps)
        left = self.plan.most_cues
        for cue in self.plan.cues:
            times = min(expected_starts(cue.times, self.scenario), left)
            left -= times
            for time in range(1, times + 1):
                self._steps(cue.steps, f".{time}" if time > 1 else "")

    def _steps(self, steps: Sequence[Step], suffix: str = "") -> None:
        for step in steps:
            if step.when is None or self.scenario.meets_conditions:
                self._step(step, suffix)

    def _step(self, step: Step, suffix: str) -> None:
        match step:
            case LinePlan():
                self._add_heard(self._line(step, suffix), step.hearers)
            case ItemPlan():
                for name, words in step.words:
                    self._add_item(name, text_tokens(words))
                for name, _ in step.sounds:
                    self._add_item(name, audio=math.ceil(EFFECT_S * USER_PER_S))
            case PausePlan():
                self._gap_s += step.seconds
            case SoundPlan():
                self._add_heard(self._sound(step, self._next_s), step.hearers)
            case TogetherPlan():
                self._together(step, suffix)
            case ImprovisePlan():
                self._improvise(step, suffix)
            case _:
                self._listen(step, suffix)

    # ---- the timeline

    @property
    def _next_s(self) -> float:
        return self.end_s + self._gap_s

    def _advance(self, at_s: float, seconds: float, pause_s: float) -> None:
        if at_s + seconds >= self.end_s:
            self.end_s, self._gap_s = at_s + seconds, pause_s

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

    def _line(self, line: LinePlan, suffix: str = "", at_s: float | None = None) -> ClipTokens:
        """Let a line be spoken; what others hear of it."""
        if line.improvised:
            seconds, words = self.scenario.answer_s, answer_tokens(self.scenario.answer_s)
        else:
            speed = self.plan.player(line.player).speed
            seconds = speech_duration_s(line.words, line.direction, speed) * self.scenario.slowness
            words = text_tokens(plain_words(line.words))
        return self._spoken(line, seconds, words, suffix, at_s)

    def _spoken(
        self, line: LinePlan, seconds: float, words: int, suffix: str = "", at_s: float | None = None
    ) -> ClipTokens:
        player = self.plan.player(line.player)
        is_mute = player.human == "tty" or (line.output or player.output) == "text"
        cap = line.max_output_tokens or player.max_output_tokens
        whole_s = 0.0 if is_mute else seconds
        if cap is not None:
            words = min(words, cap)
            whole_s = min(whole_s, (cap - words) / ASSISTANT_PER_S)
        spoken = math.ceil(whole_s * ASSISTANT_PER_S)
        thought = self.scenario.thought if whole_s and is_reasoning_model(player.model) else 0
        if cap is not None:
            thought = min(thought, max(0, cap - words - spoken))
        heard_s = min(whole_s, line.cut.heard_s) if line.cut else whole_s
        before = self._used(line.player)
        for conversation in self.conversations.get(line.player, ()):
            conversation.add_answer(
                AnswerTokens(
                    prompt=text_tokens(line.prompt),
                    text_out=words,
                    audio_out=spoken,
                    kept_s=heard_s,
                    out_of_band=line.apart,
                    thought=thought,
                    tools=None if line.tools is None else tools_tokens(self.plan.tools, line.tools),
                )
            )
        at_s = self._cut_at_s.get(line.cuts or "", self._next_s) if at_s is None else at_s
        if line.cut:
            self._cut_at_s[line.id] = at_s + min(line.cut.after_s, heard_s)
        self._advance(at_s, heard_s, line.pause_s)
        used = self._used(line.player) - before
        self.lines.append(SimulatedLine(line.id + suffix, line.player, line.words, at_s, heard_s, line.hearers, used))
        return _clip_tokens(line.player, heard_s, math.ceil(words * heard_s / whole_s) if heard_s < whole_s else words)

    def _sound(self, step: SoundPlan, at_s: float) -> ClipTokens:
        if step.kind == "sfx":
            self._advance(at_s, EFFECT_S, step.pause_s)
        return ClipTokens(math.ceil(EFFECT_S * USER_PER_S))

    def _together(self, step: TogetherPlan, suffix: str) -> None:
        at_s = self._next_s
        heard = [
            self._line(part, suffix, at_s) if isinstance(part, LinePlan) else self._sound(part, at_s)
            for part in step.parts
        ]
        for clip, part in zip(heard, step.parts, strict=True):
            self._add_heard(clip, part.hearers)
        self._gap_s = step.pause_s

    def _improvise(self, step: ImprovisePlan, suffix: str) -> None:
        for name, words in step.whispers.items():
            self._add_item(name, text_tokens(words))
        turns, seconds = expected_turns(step, map(self.plan.player, step.players), self.scenario)
        order = step.players if isinstance(step.order, str) else step.order
        for number, name in enumerate(islice(cycle(order), turns), 1):
            line = _unwritten_line(step, f"{step.id}-{number}", name, step.pause_s)
            self._add_heard(self._spoken(line, seconds, answer_tokens(seconds), suffix), line.hearers)

    def _listen(self, step: ListenPlan, suffix: str) -> None:
        number, seconds = expected_exchanges(step, self.scenario)
        for line in _exchange_lines(step, number):
            words = answer_tokens(seconds)
            clip = self._spoken(line, seconds, words, suffix)
            self._add_heard(clip, line.hearers)
            if line.player == step.person:
                self._add_item(step.player, 0 if clip.audio else words, clip.audio)
                self._write_down(step, clip, seconds)
        self._gap_s = step.pause_s

    def _write_down(self, step: ListenPlan, clip: ClipTokens, seconds: float) -> None:
        """Count what is said to be written down, both ways in which models are billed."""
        if clip.audio and step.transcription != OFF:
            writer = (step.player, dict(step.transcription or ()).get("model", ""))
            used = Usage(audio_in=clip.audio, text_out=clip.words, seconds=seconds)
            self.written_down[writer] = self.written_down.get(writer, Usage()) + used


def _clip_tokens(speaker: str, seconds: float, words: int) -> ClipTokens:
    """Count what is heard. The name adds ``ann: `` to the words, and ``ann says:`` to the sound."""
    return ClipTokens(
        audio=math.ceil(seconds * USER_PER_S),
        words=words,
        labelled=words + text_tokens(f"{speaker}: "),
        label=text_tokens(f"{speaker} says:"),
    )


def _unwritten_line(step: ImprovisePlan | ListenPlan, line_id: str, player: str, pause_s: float) -> LinePlan:
    """Make a turn that nobody wrote."""
    return LinePlan(
        number=0,
        id=line_id,
        player=player,
        words="",
        direction="",
        prompt="",
        hearers=step.hearers[player],
        pause_s=pause_s,
        source_line=step.source_line,
        improvised=True,
    )


def _exchange_lines(step: ListenPlan, number: int) -> Iterator[LinePlan]:
    """Let the person and the player speak in turn."""
    for turn in range(number):
        yield _unwritten_line(step, f"{step.id}-{2 * turn + 1}", step.person, 0.0)
        yield _unwritten_line(step, f"{step.id}-{2 * turn + 2}", step.player, 0.0)
