"""From a scene to its plan: every default is resolved here, and nowhere else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any, TypeVar

from tau_stage.scene.fields import default_transcription
from tau_stage.scene.model import (
    AnyStep,
    Condition,
    Improvise,
    ItemStep,
    Line,
    Listen,
    Pause,
    Player,
    Scene,
    SoundStep,
    Together,
    TranscriptionOptions,
)
from tau_stage.scene.names import automatic_id, cue_id, default_voice, identity, slug
from tau_stage.scene.plan import (
    DEFAULT_DETECTION,
    CuePlan,
    Cut,
    ImprovisePlan,
    ItemPlan,
    LinePlan,
    ListenPlan,
    PausePlan,
    Plan,
    PlayerPlan,
    SoundPlan,
    Step,
    Timeouts,
    TogetherPlan,
)
from tau_stage.scene.validate import written_lines

DEFAULT_MODEL = "gpt-realtime-2.1-mini"
DEFAULT_PAUSE_S = 0.35
DEFAULT_OPENING_GAP_S = 0.2

_DIRECTION = re.compile(r",?\s*\{direction\}")
_FILLED = re.compile(r"\{(?:words|direction)\}")


def make_plan(scene: Scene) -> Plan:
    r"""Resolve every default of a scene: pure, and the same each time.

    >>> from tau_stage.scene.load import parse_scene
    >>> plan = make_plan(parse_scene("players: {ann: , ben: }\nlines: [ann: (softly) Hello., ben: Hm?]"))
    >>> [(line.id, line.prompt, line.hearers) for line in plan.lines]
    [('ann-1', 'Perform this line, softly: "Hello."', ('ben',)), ('ben-1', 'Perform this line: "Hm?"', ('ann',))]
    """
    rate = scene.limits.start_rate
    numbers: Counter[str] = Counter()
    steps = tuple(_StepPlanner(scene, numbers).steps(scene.lines))
    cues = tuple(
        CuePlan(
            id=cue_id(number),
            event=cue.event,
            steps=tuple(_StepPlanner(scene, numbers, f"{cue_id(number)}-").steps(cue.do)),
            times=cue.times,
            source_line=cue.source_line,
        )
        for number, cue in enumerate(scene.on, 1)
    )
    return Plan(
        title=scene.title,
        slug=identity(scene.path, scene.variant),
        path=scene.path,
        sha256=scene.sha256,
        players=tuple(_player(scene, name, player) for name, player in scene.players.items()),
        steps=steps,
        cues=cues,
        tools=scene.tools,
        budget=scene.limits.budget,
        opening_gap_s=DEFAULT_OPENING_GAP_S if rate is None else 60 / rate,
        most_cues=scene.limits.cues,
        waits=Timeouts(
            opening_s=scene.limits.opening,
            silence_s=scene.limits.silence,
            hearing_s=scene.limits.hearing,
            closing_s=scene.limits.closing,
        ),
        on_lost_player=scene.limits.on_lost_player,
        pace=scene.pace or "fast",
        variant=scene.variant,
        given=scene.given,
        deliver=scene.deliver,
        expect=scene.expect,
        locations=scene.locations,
        warnings=scene.warnings,
    )


def _player(scene: Scene, name: str, player: Player) -> PlayerPlan:
    of = partial(_cascaded, player, scene)
    pan = (player.pan or 0.0) if scene.deliver.stereo else 0.0
    if player.human:
        pace = of("pace", "fast")
        return PlayerPlan(name, voice="", model="", human=player.human, stand_in=player.stand_in, pace=pace, pan=pan)
    endpoint = of("endpoint")
    detection = of("turn_detection")
    tools = tuple(scene.tools) if player.tools is None else player.tools
    return PlayerPlan(
        name=name,
        voice=of("voice", "") or default_voice(endpoint),
        model=of("model", DEFAULT_MODEL),
        endpoint=endpoint,
        instructions=_instructions(of),
        speed=of("speed"),
        output=of("output", "audio"),
        max_output_tokens=of("max_output_tokens"),
        reasoning=of("reasoning"),
        commentary=of("commentary", "drop"),
        tools=tools,
        tool_choice=of("tool_choice") if tools else None,
        turn_detection=detection.for_api() if detection else DEFAULT_DETECTION,
        transcription=of("transcription", TranscriptionOptions()).for_api(default_transcription(endpoint)),
        hears_as=of("hears_as", "audio"),
        label_speakers=of("label_speakers", default=False),
        setup=tuple((item.role, item.words) for item in player.setup),
        pace=scene.pace or "fast",
        pan=pan,
    )


def _cascaded(player: Player, scene: Scene, option: str, default: Any = None) -> Any:
    """Return what a player says of an option, else the scene, else a default."""
    said = (getattr(owner, option) for owner in (player, scene))
    return next((value for value in said if value not in (None, "")), default)


def _instructions(of: Callable[[str, str], str]) -> str:
    accent = of("accent", "")
    texts = (of("direction", ""), of("persona", ""), f"Speak in {accent.rstrip('.')}." if accent else "")
    return "\n".join(text.strip() for text in texts if text)


class _StepPlanner:
    """Plans one list of steps: the scene's own, or a cue's.

    Args:
        scene: Whose steps they are.
        numbers: Counts what is numbered through the whole scene.
        prefix: Begins the ids of lines that have none of their own.
    """

    def __init__(self, scene: Scene, numbers: Counter[str], prefix: str = "") -> None:
        self.scene = scene
        self.numbers = numbers
        self.prefix = prefix
        self.ordinals: Counter[str] = Counter()
        self.audiences: dict[tuple[str, str | tuple[str, ...] | None], tuple[str, ...]] = {}
        self.whispers: dict[tuple[tuple[str, ...], str | None], dict[str, str]] = {}

    def steps(self, steps: Sequence[AnyStep]) -> Iterator[Step]:
        planned = [(step, self.step(step)) for step in steps]
        kept = [(step, plan) for step, plan in planned if _is_performed(step, plan)]
        return iter(_with_cuts([plan for _, plan in kept], [step for step, _ in kept]))

    def step(self, step: AnyStep) -> Step:
        match step:
            case Line():
                return self.line(step)
            case ItemStep():
                return ItemPlan(
                    role=step.role,
                    words=tuple(step.words.items()),
                    sounds=tuple(step.wav.items()),
                    source_line=step.source_line,
                    when=_condition(step),
                )
            case Pause():
                return PausePlan(step.pause, step.source_line, _condition(step))
            case SoundStep():
                return self.sound(step)
            case Together():
                planned = [self.line(part) if isinstance(part, Line) else self.sound(part) for part in step.together]
                pairs = zip(step.together, planned, strict=True)
                parts = tuple(plan for part, plan in pairs if _is_performed(part, plan))
                return TogetherPlan(parts, self.pause(step.pause), step.source_line, _condition(step))
            case Improvise():
                return self.improvise(step)
            case _:
                return self.listen(step)

    def pause(self, own: float | None) -> float:
        pauses = (own, self.scene.pause, DEFAULT_PAUSE_S)
        return next(pause for pause in pauses if pause is not None)

    def made(self, kind: str) -> str:
        self.numbers[kind] += 1
        return f"{kind}-{self.numbers[kind]}"

    def heard(self, speaker: str, to: str | tuple[str, ...] | None) -> tuple[str, ...]:
        if (speaker, to) not in self.audiences:
            players = self.scene.players.items()
            self.audiences[speaker, to] = tuple(n for n, player in players if _is_heard_by(to, speaker, n, player))
        return self.audiences[speaker, to]

    def line(self, line: Line) -> LinePlan:
        self.ordinals[line.speaker] += 1
        self.numbers["line"] += 1
        improvised, direction = line.improvise is not None, line.direction or ""
        prompt = line.improvise or "" if improvised else _prompt(self.scene.prompt_template, line.words, direction)
        if improvised and direction:
            prompt = f"{prompt} ({direction})".strip()
        return LinePlan(
            number=self.numbers["line"],
            id=line.id or self.prefix + automatic_id(line.speaker, self.ordinals[line.speaker]),
            player=line.speaker,
            words=line.words,
            direction=direction,
            prompt=prompt,
            improvised=improvised,
            hearers=self.heard(line.speaker, line.to),
            pause_s=self.pause(line.pause),
            source_line=line.source_line,
            max_output_tokens=line.max_output_tokens,
            timeout_s=line.timeout,
            takes=line.takes,
            pick=line.pick or "closest",
            apart=line.conversation == "none",
            output=line.output,
            tools=line.tools,
            tool_choice=line.tool_choice or (None if improvised or not self.scene.tools else "none"),
            reasoning=line.reasoning,
            commentary=line.commentary,
            metadata=dict(line.metadata or {}),
            when=_condition(line),
            expect=line.expect,
        )

    def sound(self, step: SoundStep) -> SoundPlan:
        return SoundPlan(
            id=self.made(step.kind),
            kind=step.kind,
            file=step.file,
            stem=f"{step.kind}-{slug(PurePath(step.file).stem)}",
            gain_db=step.gain,
            hearers=tuple(n for n, player in self.scene.players.items() if not player.human) if step.heard else (),
            until=None if step.until == "end" else step.until,
            pause_s=self.pause(step.pause),
            source_line=step.source_line,
            when=_condition(step),
        )

    def improvise(self, step: Improvise) -> ImprovisePlan:
        play = step.improvise
        players = play.players or tuple(name for name, player in self.scene.players.items() if not player.human)
        return ImprovisePlan(
            id=self.made("improvise"),
            players=players,
            order=play.order,
            whispers=self.whispers_for(players, play.about),
            hearers={name: self.heard(name, play.to) for name in players},
            pause_s=self.pause(step.pause),
            source_line=step.source_line,
            turns=play.turns,
            for_s=play.for_s,
            words=play.words,
            budget=play.budget,
            until=play.until,
            when=_condition(step),
        )

    def whispers_for(self, players: tuple[str, ...], about: str | None) -> dict[str, str]:
        if (players, about) not in self.whispers:
            self.whispers[players, about] = {name: _whisper(name, players, about) for name in players}
        return self.whispers[players, about]

    def listen(self, step: Listen) -> ListenPlan:
        mic, players = step.listen, self.scene.players.items()
        listener = mic.player or next(name for name, player in players if not player.human)
        person = mic.from_ or next(name for name, player in players if player.human)
        of = partial(_cascaded, self.scene.players[listener], self.scene)
        asked = mic.transcription or of("transcription", TranscriptionOptions())
        hearers = {name: self.heard(name, mic.to) for name in (listener, person)}
        hearers[person] = tuple(name for name in hearers[person] if name != listener)
        return ListenPlan(
            id=self.made("listen"),
            player=listener,
            person=person,
            hearers=hearers,
            pause_s=self.pause(step.pause),
            source_line=step.source_line,
            for_s=mic.for_s,
            turns=mic.turns,
            until=mic.until,
            key=mic.key,
            transcription=asked.for_api(default_transcription(of("endpoint"))),
            when=_condition(step),
        )


def _with_cuts(steps: Sequence[Step], asked: Sequence[AnyStep]) -> list[Step]:
    """Return the steps, where every line that is cut knows it."""
    planned = list(steps)
    for at, step in enumerate(asked):
        line = planned[at]
        if not (isinstance(step, Line) and step.cut_in and isinstance(line, LinePlan)):
            continue
        before = next((n for n in range(at - 1, -1, -1) if not isinstance(planned[n], ItemPlan)), None)
        victim = None if before is None else planned[before]
        if isinstance(victim, LinePlan) and before is not None and _cuts(line, step.cut_in.on, victim):
            planned[before] = replace(victim, cut=Cut(line.id, step.cut_in.after, step.cut_in.overlap))
            planned[at] = replace(line, cuts=victim.id)
    return planned


def _cuts(line: LinePlan, wanted: str | None, victim: LinePlan) -> bool:
    """Tell whether a line cuts into the one before it: another may stand there, where the wanted one is left out."""
    return victim.player != line.player and wanted in (None, victim.player, victim.id)


def _is_performed(step: AnyStep, plan: Step) -> bool:
    """Tell whether a step is not left out for good, nor all of its parts."""
    return step.when is not False and not (isinstance(plan, TogetherPlan) and not plan.parts)


def _condition(step: AnyStep) -> Condition | None:
    """Return what a step waits for; one that holds already waits for nothing."""
    return None if isinstance(step.when, bool) else step.when


def _whisper(name: str, players: Sequence[str], about: str | None) -> str:
    """Return what a player is told before free play."""
    others = ", ".join(other for other in players if other != name)
    sentences = [f"You are {name}. With you play: {others}.", "Answer what you hear, briefly and in character."]
    if about:
        sentences.insert(1, f"It is about: {about.rstrip('.')}.")
    return " ".join(sentences)


def _is_heard_by(to: str | tuple[str, ...] | None, speaker: str, name: str, player: Player) -> bool:
    asked = to in (None, "everyone") or (to != "nobody" and name in (to or ()))
    return name != speaker and asked and player.human is None and player.listens_to(speaker)


def _prompt(template: str, words: str, direction: str) -> str:
    """Fill in the template; without a direction its place goes, with the comma before it."""
    if not direction:
        template = _DIRECTION.sub("", template).lstrip(" ,:;")
    filling = {"{words}": words, "{direction}": direction}
    return _FILLED.sub(lambda place: filling[place[0]], template)


StepT = TypeVar("StepT", bound=AnyStep)


def change_line(scene: Scene, line_id: str, **changes: object) -> Scene:
    r"""Change the options of one line of a scene.

    Args:
        scene: As it was loaded.
        line_id: The line's id, given or made.
        **changes: Fields of ``Line``.

    Raises:
        KeyError: There is no such line.

    >>> from tau_stage.scene.load import parse_scene
    >>> scene = parse_scene("players: {ann: }\nlines: [ann: (softly) Yes]")
    >>> change_line(scene, "ann-1", direction="loudly").lines[0].direction
    'loudly'
    """
    found = next((line for made, line in written_lines(scene) if line_id in (line.id, made)), None)
    if found is None:
        raise KeyError(line_id)
    other = found.model_copy(update=changes)

    def changed(step: StepT) -> StepT:
        if isinstance(step, Line):
            return other if step is found else step  # type: ignore[return-value]
        if isinstance(step, Together):
            return step.model_copy(update={"together": tuple(changed(part) for part in step.together)})
        return step

    cues = tuple(cue.model_copy(update={"do": tuple(changed(step) for step in cue.do)}) for cue in scene.on)
    return scene.model_copy(update={"lines": tuple(changed(step) for step in scene.lines), "on": cues})
