"""From a scene to its plan: every default is resolved here, and nowhere else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache, partial, singledispatchmethod
from pathlib import PurePath
from typing import TypeVar

from tau_stage.scene import model, plan
from tau_stage.scene.fields import SceneModel
from tau_stage.scene.names import (
    automatic_id,
    cue_id,
    default_transcription,
    default_voice,
    identity,
    slug,
    speak_language,
)
from tau_stage.scene.validate import written_lines
from tau_stage.text import Sounds, language_name, pronounce

DEFAULT_MODEL = "gpt-realtime-2.1-mini"
DEFAULT_PAUSE_S = 0.35

PlanT = TypeVar("PlanT", bound=plan.Step | plan.CuePlan | plan.Plan)
StepT = TypeVar("StepT", bound=model.AnyStep)

_DIRECTION = re.compile(r",?\s*\{direction\}")
_FILLED = re.compile(r"\{(?:words|direction)\}")


def make_plan(scene: model.Scene) -> plan.Plan:
    r"""Resolve every default of a scene. The plan depends only on the scene.

    >>> from tau_stage.scene.load import parse_scene
    >>> plan = make_plan(parse_scene("players: {ann: , ben: }\nlines: [ann: (softly) Hello., ben: Hm?]"))
    >>> [(line.id, line.prompt, line.hearers) for line in plan.lines]
    [('ann-1', 'Perform this line, softly: "Hello."', ('ben',)), ('ben-1', 'Perform this line: "Hm?"', ('ann',))]
    """
    limits, numbers = scene.limits, Counter[str]()
    steps = _StepPlanner(scene, numbers).steps(scene.lines)
    cues = tuple(
        _planned(
            plan.CuePlan,
            cue,
            event=cue.event,
            id=cue_id(n),
            steps=_StepPlanner(scene, numbers, f"{cue_id(n)}-").steps(cue.do),
        )
        for n, cue in enumerate(scene.on, 1)
    )
    return _planned(
        plan.Plan,
        limits,
        scene,
        slug=identity(scene.path, scene.variant),
        language=scene.batch_language,
        players=tuple(_player(scene, name, player) for name, player in scene.players.items()),
        steps=steps,
        cues=cues,
        opening_gap_s=60 / limits.start_rate if limits.start_rate else None,
        most_cues=limits.cues,
        waits=plan.Timeouts(limits.opening, limits.silence, limits.hearing, limits.closing),
        pace=scene.pace or "fast",
    )


def _planned(kind: type[PlanT], *parts: SceneModel, **own: object) -> PlanT:
    """Make a plan of the options that it takes over as they are written, and of values of its own."""
    names = [field.name for field in fields(kind)]
    written = {name: getattr(part, name) for part in parts for name in names if name in type(part).model_fields}
    return kind(**{**written, **own})


def _player(scene: model.Scene, name: str, player: model.Player) -> plan.PlayerPlan:
    pan = (player.pan or 0.0) if scene.deliver.stereo else 0.0
    if player.human:
        pace = scene.said(player, "pace", "fast")
        return plan.PlayerPlan(
            name, voice="", model="", human=player.human, stand_in=player.stand_in, pace=pace, pan=pan
        )
    return _modelled(scene, name, player, pan)


def _modelled(scene: model.Scene, name: str, player: model.Player, pan: float) -> plan.PlayerPlan:
    """Plan a player that a model plays; what nobody says is left to the plan's defaults."""
    of, tools = partial(scene.said, player), scene.tools_of(player)
    endpoint, detection = of("endpoint"), of("turn_detection")
    said = {
        option.name: of(option.name) for option in fields(plan.PlayerPlan) if option.name in model.Cascade.model_fields
    }
    own = {
        "voice": of("voice", "") or default_voice(endpoint),
        "model": of("model", DEFAULT_MODEL),
        "instructions": _instructions(of, scene.batch_language),
        "tools": tools,
        "tool_choice": of("tool_choice") if tools else None,
        "turn_detection": detection and detection.for_api(),
        "setup": tuple((item.role, item.words) for item in player.setup),
        "pace": scene.pace,
        "pronounce": _sounds(scene, player),
    }
    transcription = of("transcription", model.TranscriptionOptions()).for_api(default_transcription(endpoint))
    given = {option: value for option, value in {**said, **own}.items() if value is not None}
    return plan.PlayerPlan(name, pan=pan, **{**given, "transcription": transcription})


def _sounds(scene: model.Scene, player: model.Player) -> Sounds:
    """Return how words are sent to a player; what stands at the player wins."""
    return tuple({**scene.pronounce, **player.pronounce}.items())


def _instructions(of: Callable[[str, str], str], batch_language: str) -> str:
    """Write what a player is told before all else; languages of a batch that are no languages' codes say nothing."""
    accent, is_code = of("accent", ""), language_name(batch_language) != batch_language
    language = of("language", batch_language if is_code else "")
    spoken = speak_language(language) if language else ""
    texts = (of("direction", ""), of("persona", ""), spoken, f"Speak in {accent.rstrip('.')}." if accent else "")
    return "\n".join(text.strip() for text in texts if text)


class _StepPlanner:
    """Plans one list of steps: the scene's own, or a cue's."""

    def __init__(self, scene: model.Scene, numbers: Counter[str], prefix: str = "") -> None:
        self.scene = scene
        self.numbers = numbers
        self.prefix = prefix
        self.models = tuple(name for name, player in scene.players.items() if not player.human)
        self.sounds = {name: _sounds(scene, player) for name, player in scene.players.items()}
        self.ordinals: Counter[str] = Counter()
        self.heard = cache(self._heard)
        self.whispers = cache(_whispers)

    def steps(self, steps: Sequence[model.AnyStep]) -> tuple[plan.Step, ...]:
        return _with_cuts(self.performed(steps))

    def performed(self, steps: Sequence[model.AnyStep]) -> list[tuple[model.AnyStep, plan.Step]]:
        """Plan steps that are not left out for good, nor all of their parts."""
        planned = [(step, self.step(step)) for step in steps]
        return [(step, result) for step, result in planned if step.when is not False and getattr(result, "parts", True)]

    @singledispatchmethod
    def step(self, step: model.Pause) -> plan.Step:
        """Plan a step of any kind; a pause is planned here."""
        return self.planned(plan.PausePlan, step, seconds=step.pause)

    @step.register
    def chapter(self, step: model.Chapter) -> plan.Step:
        return self.planned(plan.ChapterPlan, step, id=self.made("chapter"), title=step.chapter)

    @step.register
    def items(self, step: model.ItemStep) -> plan.Step:
        return self.planned(plan.ItemPlan, step, words=tuple(step.words.items()), sounds=tuple(step.wav.items()))

    @step.register
    def together(self, step: model.Together) -> plan.Step:
        parts = tuple(result for _, result in self.performed(step.together))
        return self.planned(plan.TogetherPlan, step, parts=parts, pause_s=self.pause(step.pause))

    def planned(self, kind: type[PlanT], step: model.AnyStep, *parts: SceneModel, **own: object) -> PlanT:
        """Plan a step; a condition that holds already is none."""
        when = step.when.condition if isinstance(step.when, model.When) else None
        return _planned(kind, step, *parts, when=when, **own)

    def pause(self, own: float | None) -> float:
        pauses = (own, self.scene.pause, DEFAULT_PAUSE_S)
        return next(pause for pause in pauses if pause is not None)

    def made(self, kind: str) -> str:
        self.numbers[kind] += 1
        return f"{kind}-{self.numbers[kind]}"

    def _heard(self, speaker: str, to: str | tuple[str, ...] | None) -> tuple[str, ...]:
        players = self.scene.players
        asked = players if to in (None, "everyone") else () if to == "nobody" else to or ()
        others = (name for name in self.models if name in asked and name != speaker)
        return tuple(name for name in others if players[name].listens_to(speaker))

    @step.register
    def line(self, line: model.Line) -> plan.Step:
        self.ordinals[line.speaker] += 1
        self.numbers["line"] += 1
        improvised, direction = line.improvise is not None, line.direction or ""
        speaker = self.scene.players[line.speaker]
        return self.planned(
            plan.LinePlan,
            line,
            number=self.numbers["line"],
            id=line.id or self.prefix + automatic_id(line.speaker, self.ordinals[line.speaker]),
            player=line.speaker,
            direction=direction,
            words=line.text,
            prompt=self.prompt(line, direction),
            exact=self.scene.is_exact(line),
            takes=self.scene.takes_of(line),
            improvised=improvised,
            hearers=self.heard(line.speaker, line.to),
            pause_s=self.pause(line.pause),
            timeout_s=line.timeout,
            pick=line.pick or "closest",
            apart=(line.conversation or self.scene.said(speaker, "conversation")) == "none",
            tool_choice=line.tool_choice or (None if improvised or not self.scene.tools else "none"),
            metadata=dict(line.metadata or {}),
        )

    def prompt(self, line: model.Line, direction: str) -> str:
        """Return what a player is told: the template filled in, or what it improvises on.

        Without a direction its place in the template goes, with the comma before it.
        """
        template = self.scene.prompt_template
        if line.improvise is not None:
            return f"{line.improvise} ({direction})".strip() if direction else line.improvise
        if not direction:
            template = _DIRECTION.sub("", template).lstrip(" ,:;")
        words = pronounce(line.text, self.sounds[line.speaker])
        filling = {"{words}": words, "{direction}": direction}
        return _FILLED.sub(lambda place: filling[place[0]], template)

    @step.register
    def sound(self, step: model.SoundStep) -> plan.Step:
        return self.planned(
            plan.SoundPlan,
            step,
            id=self.made(step.kind),
            stem=f"{step.kind}-{slug(PurePath(step.file).stem)}",
            gain_db=step.gain,
            hearers=self.models if step.heard else (),
            until=None if step.until == "end" else step.until,
            pause_s=self.pause(step.pause),
        )

    @step.register
    def improvise(self, step: model.Improvise) -> plan.Step:
        play = step.improvise
        players = play.players or self.models
        return self.planned(
            plan.ImprovisePlan,
            step,
            play,
            id=self.made("improvise"),
            players=players,
            whispers=self.whispers(players, play.about),
            hearers={name: self.heard(name, play.to) for name in players},
            pause_s=self.pause(step.pause),
        )

    @step.register
    def listen(self, step: model.Listen) -> plan.Step:
        mic, players = step.listen, self.scene.players
        listener = mic.player or self.models[0]
        person = mic.from_ or next(name for name, player in players.items() if player.human)
        of = partial(self.scene.said, players[listener])
        asked = mic.transcription or of("transcription", model.TranscriptionOptions())
        hearers = {name: self.heard(name, mic.to) for name in (listener, person)}
        hearers[person] = tuple(name for name in hearers[person] if name != listener)
        return self.planned(
            plan.ListenPlan,
            step,
            mic,
            id=self.made("listen"),
            player=listener,
            person=person,
            hearers=hearers,
            pause_s=self.pause(step.pause),
            transcription=asked.for_api(default_transcription(of("endpoint"))),
        )


def _with_cuts(steps: Sequence[tuple[model.AnyStep, plan.Step]]) -> tuple[plan.Step, ...]:
    """Return the steps, where every line that is cut knows it: the wanted one may be left out, and another be there."""
    planned = [result for _, result in steps]
    before = -1
    for at, (step, line) in enumerate(steps):
        victim = planned[before] if before >= 0 else None
        cuts = step.cut_in if isinstance(step, model.Line) else None
        if (
            cuts
            and isinstance(victim, plan.LinePlan)
            and isinstance(line, plan.LinePlan)
            and victim.player != line.player
            and cuts.on in (None, victim.player, victim.id)
        ):
            planned[before] = replace(victim, cut=plan.Cut(line.id, cuts.after, cuts.overlap))
            planned[at] = replace(line, cuts=victim.id)
        before = before if isinstance(step, model.ItemStep) else at
    return tuple(planned)


def _whispers(players: tuple[str, ...], about: str | None) -> dict[str, str]:
    """Return what each player is told before an improvisation."""
    task = f"It is about: {about.rstrip('.')}. " if about else ""
    return {
        name: f"You are {name}. With you play: {', '.join(other for other in players if other != name)}. "
        f"{task}Answer what you hear, briefly and in character."
        for name in players
    }


def change_line(scene: model.Scene, line_id: str, **changes: object) -> model.Scene:
    r"""Change the options of one line of a scene.

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
        if isinstance(step, model.Line):
            return other if step is found else step  # type: ignore[return-value]
        if isinstance(step, model.Together):
            return step.model_copy(update={"together": tuple(map(changed, step.together))})
        return step

    cues = tuple(cue.model_copy(update={"do": tuple(map(changed, cue.do))}) for cue in scene.on)
    return scene.model_copy(update={"lines": tuple(map(changed, scene.lines)), "on": cues})
