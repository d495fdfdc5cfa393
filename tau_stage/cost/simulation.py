"""Simulate a scene without anybody speaking: who says what for how long, who reads and hears it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice

from tau_stage.cost.conversation_usage import (
    ASSISTANT_PER_S,
    USER_PER_S,
    AnswerTokens,
    ClipTokens,
    ConversationUsage,
    tools_tokens,
)
from tau_stage.cost.durations import (
    EFFECT_S,
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
from tau_stage.protocol.usage import Usage
from tau_stage.scene.fields import OFF
from tau_stage.scene.plan import (
    ImprovisePlan,
    ItemPlan,
    LinePlan,
    ListenPlan,
    PausePlan,
    Plan,
    SoundPlan,
    Step,
    TogetherPlan,
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
        """Return a line is spoken; what others hear of it."""
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
