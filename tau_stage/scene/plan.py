"""The plan: a scene with every default resolved, frozen. The stage performs plans, never scenes."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from tau_stage.scene.model import Line, Player, Prompt, Scene
from tau_stage.scene.names import slug
from tau_stage.scene.words import automatic_id

DEFAULT_MODEL = "gpt-realtime-2.1-mini"
DEFAULT_VOICE = "marin"
DEFAULT_PAUSE_S = 0.35
DEFAULT_OPENING_GAP_S = 0.2

_DIRECTION = re.compile(r",?\s*\{direction\}")
_FILLED = re.compile(r"\{(?:words|direction)\}")


@dataclass(frozen=True, slots=True)
class PlayerPlan:
    """One player, ready to be opened.

    Attributes:
        name: As the scene spells it.
        voice: Voice of the model.
        model: Model name (a deployment on Azure).
        endpoint: Name or URL the scene asks for; None leaves the choice to whoever runs it.
        instructions: Direction, persona and accent as the session's instructions, one per line.
        speed: Rate of speech, 0.25 to 1.5; None is the model's own.
        output: What the model answers with.
        max_output_tokens: Cap per response; None is the model's own.
    """

    name: str
    voice: str
    model: str
    endpoint: str | None = None
    instructions: str = ""
    speed: float | None = None
    output: Literal["audio", "text"] = "audio"
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class LinePlan:
    """One line, ready to be performed.

    Attributes:
        number: Place among the scene's lines, from 1.
        id: Unique in the scene; the author's, or player and ordinal (``clerk-2``).
        player: Who speaks.
        words: What to say, without the direction, moments and stars as written.
        direction: How to say it, or empty.
        prompt: The user item's text: the scene's template filled in.
        hearers: Who hears it, in the order of the scene's players; never the speaker.
        pause_s: Silence after the line, before the next one.
        source_line: Line in the scene file, from 1.
        max_output_tokens: Cap for this line; None is the player's.
    """

    number: int
    id: str
    player: str
    words: str
    direction: str
    prompt: str
    hearers: tuple[str, ...]
    pause_s: float
    source_line: int
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """The prompter whispers: system items for players, no response.

    Attributes:
        prompts: Player's name and the words whispered, in the order written.
        source_line: Line in the scene file, from 1.
    """

    prompts: tuple[tuple[str, str], ...]
    source_line: int


Step = LinePlan | PromptPlan


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole scene, ready to be performed.

    Attributes:
        title: The scene's name.
        slug: The title as a folder name: lower case, digits and hyphens.
        path: The scene file, as the user named it.
        sha256: Hash of the scene file's bytes.
        players: In the order of the file.
        steps: In the order of the file.
        budget: Dollars the scene may cost; None is no limit.
        opening_gap_s: Pause between two openings of sessions.
    """

    title: str
    slug: str
    path: str
    sha256: str
    players: tuple[PlayerPlan, ...]
    steps: tuple[Step, ...]
    budget: Decimal | None = None
    opening_gap_s: float = 0.2

    @property
    def lines(self) -> tuple[LinePlan, ...]:
        """The spoken lines only."""
        return tuple(step for step in self.steps if isinstance(step, LinePlan))

    @property
    def opening_order(self) -> tuple[PlayerPlan, ...]:
        """Players in the order of their first line; the silent ones last."""
        first = {line.player: line.number for line in reversed(self.lines)}
        return tuple(sorted(self.players, key=lambda player: first.get(player.name, len(self.steps) + 1)))

    def player(self, name: str) -> PlayerPlan:
        """The player of that name.

        Raises:
            KeyError: Nobody has it.
        """
        return next(player for player in self.players if player.name == name)


def make_plan(scene: Scene) -> Plan:
    r"""Resolve every default of a scene: pure, and the same each time.

    >>> from tau_stage.scene.load import parse_scene
    >>> plan = make_plan(parse_scene("players: {ann: , ben: }\nlines: [ann: (softly) Hello., ben: Hm?]"))
    >>> [(line.id, line.prompt, line.hearers) for line in plan.lines]
    [('ann-1', 'Perform this line, softly: "Hello."', ('ben',)), ('ben-1', 'Perform this line: "Hm?"', ('ann',))]
    """
    rate = scene.limits.start_rate
    return Plan(
        title=scene.title,
        slug=slug(scene.title),
        path=scene.path,
        sha256=scene.sha256,
        players=tuple(_player(scene, name, player) for name, player in scene.players.items()),
        steps=_steps(scene),
        budget=scene.limits.budget,
        opening_gap_s=DEFAULT_OPENING_GAP_S if rate is None else 60 / rate,
    )


def _player(scene: Scene, name: str, player: Player) -> PlayerPlan:
    speed = scene.speed if player.speed is None else player.speed
    return PlayerPlan(
        name=name,
        voice=player.voice or scene.voice or DEFAULT_VOICE,
        model=player.model or scene.model or DEFAULT_MODEL,
        endpoint=player.endpoint or scene.endpoint,
        instructions=_instructions(scene, player),
        speed=speed,
        output=player.output or scene.output or "audio",
        max_output_tokens=player.max_output_tokens or scene.max_output_tokens,
    )


def _instructions(scene: Scene, player: Player) -> str:
    accent = player.accent or scene.accent
    told = (
        player.direction or scene.direction,
        player.persona or scene.persona,
        f"Speak in {accent.rstrip('.')}." if accent else None,
    )
    return "\n".join(text.strip() for text in told if text)


def _steps(scene: Scene) -> tuple[Step, ...]:
    steps: list[Step] = []
    ordinals: dict[str, int] = {}
    for step in scene.lines:
        if isinstance(step, Prompt):
            steps.append(PromptPlan(prompts=tuple(step.prompt.items()), source_line=step.source_line))
        else:
            ordinals[step.speaker] = ordinals.get(step.speaker, 0) + 1
            steps.append(_line(scene, step, number=sum(ordinals.values()), ordinal=ordinals[step.speaker]))
    return tuple(steps)


def _line(scene: Scene, line: Line, *, number: int, ordinal: int) -> LinePlan:
    pauses = (line.pause, scene.pause, DEFAULT_PAUSE_S)
    return LinePlan(
        number=number,
        id=line.id or automatic_id(line.speaker, ordinal),
        player=line.speaker,
        words=line.words,
        direction=line.direction or "",
        prompt=_prompt(scene.prompt_template, line.words, line.direction or ""),
        hearers=tuple(name for name, player in scene.players.items() if _is_heard_by(line, name, player)),
        pause_s=next(pause for pause in pauses if pause is not None),
        source_line=line.source_line,
        max_output_tokens=line.max_output_tokens,
    )


def _is_heard_by(line: Line, name: str, player: Player) -> bool:
    asked = line.to in (None, "everyone") or (line.to != "nobody" and name in (line.to or ()))
    return name != line.speaker and asked and player.listens_to(line.speaker)


def _prompt(template: str, words: str, direction: str) -> str:
    """The template filled in; without a direction its place goes, with the comma before it."""
    if not direction:
        template = _DIRECTION.sub("", template).lstrip(" ,:;")
    filling = {"{words}": words, "{direction}": direction}
    return _FILLED.sub(lambda place: filling[place[0]], template)
