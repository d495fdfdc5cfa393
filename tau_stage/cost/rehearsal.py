"""A scene walked through without anybody speaking: who says what for how long, who reads and hears it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice

from tau_stage.cost.conversation import ASSISTANT_PER_S, USER_PER_S, Answer, Clip, Conversation, tools_tokens
from tau_stage.cost.lengths import EFFECT_S, Case, answer_tokens, exchanges, play_turns, reasons, starts
from tau_stage.cost.speech import said, spoken_s, text_tokens
from tau_stage.protocol.usage import Usage
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
from tau_stage.scene.transcription import OFF


@dataclass(frozen=True, slots=True)
class Rehearsed:
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
class Rehearsal:
    """One walk through a plan; ``play`` it once.

    Args:
        plan: The scene, resolved.
        case: How it may turn out.
        conversations: Those of each model, all fed with the same: as it hears, and as it might hear.

    Attributes:
        lines: In the order they are spoken.
        end_s: Where the last sound ends.
        written_down: What writing down people's words uses, by the player who listens and the model that writes.
    """

    plan: Plan
    case: Case
    conversations: Mapping[str, Sequence[Conversation]]
    lines: list[Rehearsed] = field(default_factory=list)
    end_s: float = 0.0
    written_down: dict[tuple[str, str], Usage] = field(default_factory=dict)
    _gap_s: float = 0.0
    _cut_at_s: dict[str, float] = field(default_factory=dict)

    def play(self) -> None:
        """Walk through all steps, then through the cues."""
        for player in self.plan.models:
            for _, words in player.setup:
                self._told(player.name, text_tokens(words))
        self._steps(self.plan.steps)
        left = self.plan.most_cues
        for cue in self.plan.cues:
            times = min(starts(cue.times, self.case), left)
            left -= times
            for time in range(1, times + 1):
                self._steps(cue.steps, f".{time}" if time > 1 else "")

    def _steps(self, steps: Sequence[Step], suffix: str = "") -> None:
        for step in steps:
            if step.when is None or self.case.hopes:
                self._step(step, suffix)

    def _step(self, step: Step, suffix: str) -> None:
        match step:
            case LinePlan():
                self._hear(self._line(step, suffix), step.hearers)
            case ItemPlan():
                for name, words in step.words:
                    self._told(name, text_tokens(words))
                for name, _ in step.sounds:
                    self._told(name, audio=math.ceil(EFFECT_S * USER_PER_S))
            case PausePlan():
                self._gap_s += step.seconds
            case SoundPlan():
                self._hear(self._sound(step, self._next_s), step.hearers)
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

    def _lay(self, at_s: float, seconds: float, pause_s: float) -> None:
        if at_s + seconds >= self.end_s:
            self.end_s, self._gap_s = at_s + seconds, pause_s

    # ---- the conversations

    def _told(self, name: str, text: int = 0, audio: int = 0) -> None:
        for conversation in self.conversations.get(name, ()):
            conversation.told(text, audio)

    def _hear(self, clip: Clip, hearers: Sequence[str]) -> None:
        for name in hearers:
            for conversation in self.conversations[name]:
                conversation.hear(clip)

    def _used(self, name: str) -> Usage:
        """What a player has used so far, as it hears; a person uses nothing."""
        return self.conversations[name][0].usage if name in self.conversations else Usage()

    # ---- the steps

    def _line(self, line: LinePlan, suffix: str = "", at_s: float | None = None) -> Clip:
        """A line is spoken; what others hear of it."""
        if line.improvised:
            seconds, words = self.case.answer_s, answer_tokens(self.case.answer_s)
        else:
            speed = self.plan.player(line.player).speed
            seconds = spoken_s(line.words, line.direction, speed) * self.case.slowness
            words = text_tokens(said(line.words))
        return self._spoken(line, seconds, words, suffix, at_s)

    def _spoken(self, line: LinePlan, seconds: float, words: int, suffix: str = "", at_s: float | None = None) -> Clip:
        player = self.plan.player(line.player)
        is_mute = player.human == "tty" or (line.output or player.output) == "text"
        cap = line.max_output_tokens or player.max_output_tokens
        whole_s = 0.0 if is_mute else seconds
        if cap is not None:
            words = min(words, cap)
            whole_s = min(whole_s, (cap - words) / ASSISTANT_PER_S)
        spoken = math.ceil(whole_s * ASSISTANT_PER_S)
        thought = self.case.thought if whole_s and reasons(player.model) else 0
        if cap is not None:
            thought = min(thought, max(0, cap - words - spoken))
        heard_s = min(whole_s, line.cut.heard_s) if line.cut else whole_s
        before = self._used(line.player)
        for conversation in self.conversations.get(line.player, ()):
            conversation.answer(
                Answer(
                    prompt=text_tokens(line.prompt),
                    text_out=words,
                    audio_out=spoken,
                    kept_s=heard_s,
                    apart=line.apart,
                    thought=thought,
                    tools=None if line.tools is None else tools_tokens(self.plan.tools, line.tools),
                )
            )
        at_s = self._cut_at_s.get(line.cuts or "", self._next_s) if at_s is None else at_s
        if line.cut:
            self._cut_at_s[line.id] = at_s + min(line.cut.after_s, heard_s)
        self._lay(at_s, heard_s, line.pause_s)
        used = self._used(line.player) - before
        self.lines.append(Rehearsed(line.id + suffix, line.player, line.words, at_s, heard_s, line.hearers, used))
        return _clip(line.player, heard_s, math.ceil(words * heard_s / whole_s) if heard_s < whole_s else words)

    def _sound(self, step: SoundPlan, at_s: float) -> Clip:
        if step.kind == "sfx":
            self._lay(at_s, EFFECT_S, step.pause_s)
        return Clip(math.ceil(EFFECT_S * USER_PER_S))

    def _together(self, step: TogetherPlan, suffix: str) -> None:
        at_s = self._next_s
        heard = [
            self._line(part, suffix, at_s) if isinstance(part, LinePlan) else self._sound(part, at_s)
            for part in step.parts
        ]
        for clip, part in zip(heard, step.parts, strict=True):
            self._hear(clip, part.hearers)
        self._gap_s = step.pause_s

    def _improvise(self, step: ImprovisePlan, suffix: str) -> None:
        for name, words in step.whispers.items():
            self._told(name, text_tokens(words))
        turns, seconds = play_turns(step, map(self.plan.player, step.players), self.case)
        order = step.players if isinstance(step.order, str) else step.order
        for number, name in enumerate(islice(cycle(order), turns), 1):
            line = _turn(step, f"{step.id}-{number}", name, step.pause_s)
            self._hear(self._spoken(line, seconds, answer_tokens(seconds), suffix), line.hearers)

    def _listen(self, step: ListenPlan, suffix: str) -> None:
        number, seconds = exchanges(step, self.case)
        for line in _exchanged(step, number):
            words = answer_tokens(seconds)
            clip = self._spoken(line, seconds, words, suffix)
            self._hear(clip, line.hearers)
            if line.player == step.person:
                self._told(step.player, 0 if clip.audio else words, clip.audio)
                self._write_down(step, clip, seconds)
        self._gap_s = step.pause_s

    def _write_down(self, step: ListenPlan, clip: Clip, seconds: float) -> None:
        """Count what is said to be written down, both ways in which models are billed."""
        if clip.audio and step.transcription != OFF:
            writer = (step.player, dict(step.transcription or ()).get("model", ""))
            used = Usage(audio_in=clip.audio, text_out=clip.words, seconds=seconds)
            self.written_down[writer] = self.written_down.get(writer, Usage()) + used


def _clip(speaker: str, seconds: float, words: int) -> Clip:
    """What is heard; the name adds ``ann: `` to the words, and ``ann says:`` to the sound."""
    return Clip(
        audio=math.ceil(seconds * USER_PER_S),
        words=words,
        labelled=words + text_tokens(f"{speaker}: "),
        label=text_tokens(f"{speaker} says:"),
    )


def _turn(step: ImprovisePlan | ListenPlan, line_id: str, player: str, pause_s: float) -> LinePlan:
    """A turn that nobody wrote."""
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


def _exchanged(step: ListenPlan, number: int) -> Iterator[LinePlan]:
    """The person and the player in turn."""
    for turn in range(number):
        yield _turn(step, f"{step.id}-{2 * turn + 1}", step.person, 0.0)
        yield _turn(step, f"{step.id}-{2 * turn + 2}", step.player, 0.0)
