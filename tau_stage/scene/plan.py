"""The plan: a scene with every default resolved, frozen. The stage performs plans, never scenes.

What has the name of an option is described there, in ``scene.model``; None leaves it to the model, the player or the
stage. All steps have ``source_line``, their line in the scene file, from 1, and ``when``: they are performed only then.
``pause_s`` is the silence after a step, before the next one; ``hearers`` are who hears it, in the order of the scene's
players: never the speaker, never a human.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal
from hashlib import sha256
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from tau_stage.scene.delivery_options import Deliver
from tau_stage.scene.expect import Expect
from tau_stage.scene.fields import LIVE, Detection, Transcription
from tau_stage.scene.model import Condition, Event, ToolDefinition
from tau_stage.scene.names import DEFAULT_TRANSCRIPTION, resolve_path, sounds_in
from tau_stage.scene.source import Locations, SceneWarning
from tau_stage.text import Sounds


@dataclass(frozen=True, slots=True)
class Cut:
    """Where another line cuts into this one."""

    by: str  # that line's id
    after_s: float  # how much of this one is heard when it begins
    overlap_s: float  # how long both are heard

    @property
    def heard_s(self) -> float:
        """How much is heard in all."""
        return self.after_s + self.overlap_s


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the scene waits for its players, in seconds; None is the stage's own patience.

    Attributes:
        opening_s: For a session to open.
        silence_s: For the next sign of a response that is under way.
        hearing_s: For the confirmation of what a player hears or is told.
        closing_s: For a session to close.
    """

    opening_s: float | None = None
    silence_s: float | None = None
    hearing_s: float | None = None
    closing_s: float | None = None


DEFAULT_DETECTION: Detection = (("type", "server_vad"), ("silence_duration_ms", 600))


@dataclass(frozen=True, slots=True)
class PlayerPlan:
    """One player, ready to be opened.

    Attributes:
        name: As the scene spells it.
        voice: Voice of the model; empty where the server chooses.
        endpoint: Name or URL the scene asks for; None leaves the choice to whoever runs it.
        instructions: Direction, persona, language and accent as the session's instructions, one per line.
        tool_choice: For whatever it says unscripted; None is the model's own, ``auto``.
        turn_detection: How turns are found where it listens to a person, as the API has it.
        transcription: How a person's words are written down where it listens, as the API has it; empty: they are not,
            None: as the server likes.
        setup: What is in its conversation before the first line: role and words.
        pace: Whether a sound file is fed as fast as it is heard.
        pronounce: Words as they are written, and as they are sent to it.
    """

    name: str
    voice: str
    model: str
    endpoint: str | None = None
    instructions: str = ""
    speed: float | None = None
    output: Literal["audio", "text"] = "audio"
    max_output_tokens: int | None = None
    reasoning: str | None = None
    commentary: Literal["drop", "keep"] = "drop"
    tools: tuple[str, ...] = ()
    tool_choice: str | None = None
    turn_detection: Detection = DEFAULT_DETECTION
    transcription: Transcription | None = (("model", DEFAULT_TRANSCRIPTION),)
    hears_as: Literal["audio", "text"] = "audio"
    hearing: Literal["create_audio", "stream"] = "create_audio"
    label_speakers: bool = False
    setup: tuple[tuple[str, str], ...] = ()
    human: str | None = None
    stand_in: str | None = None
    pace: Literal["fast", "realtime"] = "fast"
    pan: float = 0.0
    pronounce: Sounds = ()


@dataclass(frozen=True, slots=True)
class LinePlan:
    """One line, ready to be performed.

    Attributes:
        number: Place among the scene's lines, from 1; while it is performed, among what was spoken.
        id: Unique in the scene; the author's, or player and ordinal (``clerk-2``).
        player: Who speaks.
        words: What to say, without the direction, moments and stars as written; empty where it is improvised.
        prompt: What the player is told: the scene's template filled in; empty: nothing, it answers what it hears.
        improvised: Whether the player finds its own words; ``prompt`` is whispered then.
        cut: Where another line cuts into it.
        cuts: Id of the line it cuts into.
        exact: Whether what is said must be its words: ``takes`` are then the most there are.
        apart: Whether the player will not remember it (``conversation: none``).
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
    improvised: bool = False
    max_output_tokens: int | None = None
    cut: Cut | None = None
    cuts: str | None = None
    timeout_s: float | None = None
    exact: bool = False
    takes: int = 1
    pick: Literal["closest", "first", "shortest", "ask"] = "closest"
    apart: bool = False
    output: Literal["audio", "text"] | None = None
    tools: tuple[str, ...] | None = None
    tool_choice: str | None = None
    reasoning: str | None = None
    commentary: Literal["drop", "keep"] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    when: Condition | None = None
    expect: Expect | None = None


@dataclass(frozen=True, slots=True)
class ItemPlan:
    """Items are put into players' conversations; nobody answers.

    Attributes:
        role: Whose they are: the prompter's (``system``), the user's, or the player's own (``assistant``).
        words: Player's name and the words, in the order written.
        sounds: Player's name and a sound file, as the user's words.
    """

    role: Literal["system", "user", "assistant"]
    words: tuple[tuple[str, str], ...]
    source_line: int
    sounds: tuple[tuple[str, str], ...] = ()
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class PausePlan:
    """Silence on the timeline, in seconds."""

    seconds: float
    source_line: int
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class ChapterPlan:
    """The beginning of a chapter.

    Attributes:
        id: Unique in the scene (``chapter-1``).
    """

    id: str
    title: str
    source_line: int
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class SoundPlan:
    """A sound effect or a bed.

    Attributes:
        id: Unique in the scene (``sfx-1``).
        file: Beside the scene.
        stem: Name of its stem's file, without ending.
        until: Id of the line a bed ends with; None is the end of the scene.
    """

    id: str
    kind: Literal["sfx", "bed"]
    file: str
    stem: str
    gain_db: float
    hearers: tuple[str, ...]
    until: str | None
    pause_s: float
    source_line: int
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class TogetherPlan:
    """Lines and effects that begin at once."""

    parts: tuple[LinePlan | SoundPlan, ...]
    pause_s: float
    source_line: int
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class ImprovisePlan:
    """Improvisation.

    Attributes:
        id: Unique in the scene (``improvise-1``); begins the ids of its turns.
        players: Who plays, in order.
        whispers: What each player is told before it begins.
    """

    id: str
    players: tuple[str, ...]
    order: Literal["round", "called"] | tuple[str, ...]
    whispers: Mapping[str, str]
    hearers: Mapping[str, tuple[str, ...]]
    pause_s: float
    source_line: int
    turns: int | None = None
    for_s: float | None = None
    words: int | None = None
    budget: Decimal | None = None
    until: str | None = None
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class ListenPlan:
    """An open microphone.

    Attributes:
        id: Unique in the scene (``listen-1``); begins the ids of its turns.
        player: Who listens and answers.
        person: Whose voice it is.
        hearers: Who else hears the person, and the player.
        transcription: How the person's words are written down, as its player has it.
    """

    id: str
    player: str
    person: str
    hearers: Mapping[str, tuple[str, ...]]
    pause_s: float
    source_line: int
    for_s: float | None = None
    turns: int | None = None
    until: str | None = None
    key: str | None = None
    transcription: Transcription | None = (("model", DEFAULT_TRANSCRIPTION),)
    when: Condition | None = None


Step = LinePlan | ItemPlan | PausePlan | ChapterPlan | SoundPlan | TogetherPlan | ImprovisePlan | ListenPlan


@dataclass(frozen=True, slots=True)
class CuePlan:
    """What is done when something happens.

    Attributes:
        id: Unique in the scene (``cue-1``).
        steps: What is done then.
    """

    id: str
    event: Event
    steps: tuple[Step, ...]
    times: int | None
    source_line: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole scene, ready to be performed.

    Attributes:
        slug: The name of the scene's folders and files in takes/, cassettes/ and snapshots/: see ``names.identity``.
        path: The scene file, as the user specified it. Paths of other files are relative to it.
        opening_gap_s: The pause between opening two sessions; None if each endpoint sets it.
        most_cues: How many times cues may start in total.
        waits: How long the performance waits for its players.
        pace: Whether the scene continues only when the audio would have been heard.
        variant: The name of the variant of a matrix, or empty.
        language: The language of its batch, or empty.
        locations: The positions of its parts in the file. Plans that differ only in this are equal.
        warnings: Parts of the file that may not be what the author meant.

    >>> from tau_stage import load_scene, make_plan
    >>> [line.id for line in make_plan(load_scene("scenes/hello.yaml")).lines]
    ['host-1', 'guest-1']
    """

    title: str
    slug: str
    path: str
    sha256: str
    players: tuple[PlayerPlan, ...]
    steps: tuple[Step, ...]
    cues: tuple[CuePlan, ...] = ()
    tools: Mapping[str, ToolDefinition] = field(default_factory=dict)
    budget: Decimal | None = None
    opening_gap_s: float | None = None
    most_cues: int = 100
    waits: Timeouts = field(default_factory=Timeouts)
    on_lost_player: Literal["reopen", "continue", "stop"] = "reopen"
    pace: Literal["fast", "realtime"] = "fast"
    variant: str = ""
    given: Mapping[str, str] = field(default_factory=dict)
    overlays: tuple[str, ...] = ()
    language: str = ""
    deliver: Deliver = field(default_factory=Deliver)
    expect: Expect | None = None
    locations: Locations = field(default_factory=dict, compare=False, repr=False)
    warnings: tuple[SceneWarning, ...] = field(default=(), compare=False, repr=False)

    @property
    def lines(self) -> tuple[LinePlan, ...]:
        """The written lines, without those of cues."""
        return lines_of(self.steps)

    @property
    def models(self) -> tuple[PlayerPlan, ...]:
        """The players that a model plays."""
        return tuple(player for player in self.players if player.human is None)

    @property
    def people(self) -> tuple[PlayerPlan, ...]:
        """The players that a human plays."""
        return tuple(player for player in self.players if player.human is not None)

    @property
    def opening_order(self) -> tuple[PlayerPlan, ...]:
        """The players with a model, in the order of their first line. Players without lines come last."""
        first = {line.player: line.number for line in reversed(self.lines)}
        return tuple(sorted(self.models, key=lambda player: first.get(player.name, len(self.lines) + 1)))

    def player(self, name: str) -> PlayerPlan:
        """Return the player of that name.

        Raises:
            KeyError: There is no such player.
        """
        return {player.name: player for player in self.players}[name]

    def recordings(self, player: PlayerPlan) -> list[Path]:
        """Return the audio files of a player: the file that replaces a person, and the stand-in recordings."""
        files = [] if player.human in (*LIVE, None) else [resolve_path(self.path, str(player.human))]
        if player.stand_in is not None:
            files += sounds_in(resolve_path(self.path, player.stand_in))
        return files

    @property
    def step_lists(self) -> tuple[tuple[Step, ...], ...]:
        """The steps of the scene, and the steps of each cue."""
        return (self.steps, *(cue.steps for cue in self.cues))

    @property
    def sounds(self) -> tuple[SoundPlan, ...]:
        """Every sound effect and bed, including those of cues."""
        return tuple(part for part in chain(*map(_parts, self.step_lists)) if isinstance(part, SoundPlan))

    @property
    def all_lines(self) -> tuple[LinePlan, ...]:
        """Every line, including those of cues."""
        return tuple(chain(*map(lines_of, self.step_lists)))

    @property
    def has_expectations(self) -> bool:
        """Whether the scene or a line has expectations."""
        return bool(self.expect) or any(line.expect for line in self.all_lines)

    @property
    def runs_code(self) -> tuple[str, ...]:
        """The names of the tools that run the author's code."""
        return tuple(name for name, tool in self.tools.items() if tool.is_code)


def unwritten_line(step: ImprovisePlan | ListenPlan, player: str, name: str) -> LinePlan:
    """Make a line that is made up on the spot; ``name`` is its id."""
    hearers = step.hearers[player]
    return LinePlan(0, name, player, "", "", "", hearers, step.pause_s, step.source_line, improvised=True)


def lines_of(steps: tuple[Step, ...]) -> tuple[LinePlan, ...]:
    """Return the lines among steps, in order, those of groups too.

    >>> lines_of((PausePlan(1.0, 1),))
    ()
    """
    return tuple(part for part in _parts(steps) if isinstance(part, LinePlan))


def _parts(steps: tuple[Step, ...]) -> list[Step]:
    return [part for step in steps for part in (step.parts if isinstance(step, TogetherPlan) else (step,))]


def plan_json(plan: Plan) -> str:
    """Write a whole plan as JSON."""
    facts = {each.name: getattr(plan, each.name) for each in fields(plan) if each.name not in _NOT_OF_PLAN}
    try:
        return to_json(facts, indent=2, by_alias=False, inf_nan_mode="constants").decode()
    except PydanticSerializationError:  # the name of a file is not UTF-8
        return json.dumps(to_jsonable_python(facts, by_alias=False), indent=2, ensure_ascii=False)


def _as_json(value: object) -> object:
    """Write parts of a plan that are models of the scene language, or numbers JSON has not."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


KEY_FORMAT = 1  # counts up when what a line's key is made of changes: then no line of an older take is taken over

_OF_LINE = attrgetter(
    "player", "words", "direction", "prompt", "improvised", "max_output_tokens", "takes", "pick", "apart", "output",
    "tool_choice", "reasoning", "commentary", "metadata",
)  # fmt: skip
_OF_PLAYER = attrgetter(
    "voice", "model", "endpoint", "instructions", "speed", "output", "max_output_tokens", "reasoning", "commentary",
    "tool_choice", "human", "stand_in",
)  # fmt: skip
_OF_LISTENER = attrgetter("setup", "hears_as", "hearing", "label_speakers")
_NOT_OF_PLAN = ("locations", "warnings")
_NOT_OF_TALK = ("id", "source_line", "pause_s", "when", "hearers")


@dataclass(frozen=True, slots=True)
class LineKey:
    """What a line depends on, as hashes: equal keys mean equal requests. An improvisation is one, and so is listening.

    Attributes:
        own: Of what reaches the wire for it: words, direction, player and options.
        context: Of that, and of all that its players have heard and said before, in order.
        group: Its player; empty for improvisation and an open microphone.
        speakers: The models that say it.
        listeners: Who knows of it afterwards: those who hear it, and who remembers to have said it.
        at: Place of its step in the scene; -1: it is of a cue.
        is_optional: Whether a performance may do without it.
    """

    own: str
    context: str
    group: str
    speakers: tuple[str, ...]
    listeners: tuple[str, ...]
    at: int
    is_optional: bool


def line_keys(plan: Plan, sounds: Mapping[Path, str]) -> dict[str, LineKey]:
    r"""Make the keys of all lines and talks of a plan, by id: those of cues first, then in the order of the scene.

    Args:
        plan: Where players have the endpoint and the voice that they are played with.
        sounds: Hashes of the scene's sound files.

    >>> from tau_stage.scene.load import parse_scene
    >>> from tau_stage.scene.planner import make_plan
    >>> def keys(lines: str) -> dict[str, LineKey]:
    ...     return line_keys(make_plan(parse_scene(f"players: {{ann: , ben: }}\nlines: [{lines}]")), {})
    >>> before, now = keys("ann: Hello., ben: Hm?"), keys("ann: Well., ben: Hm?")
    >>> before["ben-1"].own == now["ben-1"].own, before["ben-1"].context == now["ben-1"].context
    (True, False)
    """
    keys = _LineKeys(plan, sounds)
    return {**{name: key for cue in plan.cues for name, key in keys.of(cue.steps)}, **dict(keys.of_scene())}


def key_name(line: str, known: Container[str]) -> str:
    """Return under which id a line, as it was performed, has its key: as a start of a cue, or a turn of a talk.

    >>> key_name("cue-1-ann-1.2", {"cue-1-ann-1"}), key_name("listen-1-3", {"listen-1"}), key_name("ann-1", {})
    ('cue-1-ann-1', 'listen-1', '')
    """
    step = line.rpartition("-")[0]
    names = (line, re.sub(r"\.\d+$", "", line), step, re.sub(r"\.\d+$", "", step))
    return next((name for name in names if name in known), "")


class _LineKeys:
    """Makes keys; what each player has heard and said so far is a hash that grows."""

    def __init__(self, plan: Plan, sounds: Mapping[Path, str]) -> None:
        self._plan = plan
        self._sounds = sounds
        self._own_keys: dict[str, str] = {}
        self._players = {player.name: player for player in plan.players}
        self._asked = {player.name: self._player(player) for player in plan.players}
        self._heard = {player.name: sha256(_packed(_OF_LISTENER(player))) for player in plan.players}
        for cue in plan.cues:  # nobody knows when it starts
            for part in _parts(cue.steps):
                self._hear(part, cue.event, cue.times)

    def of_scene(self) -> Iterator[tuple[str, LineKey]]:
        for at, step in enumerate(self._plan.steps):
            yield from self.of((step,), at=at)
            for part in _parts((step,)):
                self._hear(part)

    def of(self, steps: tuple[Step, ...], at: int = -1) -> Iterator[tuple[str, LineKey]]:
        for step in steps:
            for part in _parts((step,)):
                if isinstance(part, LinePlan | ImprovisePlan | ListenPlan):
                    is_certain = at >= 0 and isinstance(part, LinePlan) and not (part.when or step.when)
                    yield part.id, self._key(part, at, is_optional=not is_certain)

    def _key(self, part: LinePlan | ImprovisePlan | ListenPlan, at: int, *, is_optional: bool) -> LineKey:
        own = self._own(part)
        group, speakers = (part.player, (part.player,)) if isinstance(part, LinePlan) else ("", tuple(part.hearers))
        models = tuple(name for name in speakers if self._players[name].human is None)
        context = _hashed(own, *(self._heard[name].hexdigest() for name in models))
        return LineKey(own, context, group, models, _listeners(part), at, is_optional)

    def _own(self, part: LinePlan | ImprovisePlan | ListenPlan) -> str:
        if part.id not in self._own_keys:
            self._own_keys[part.id] = self._made(part)
        return self._own_keys[part.id]

    def _made(self, part: LinePlan | ImprovisePlan | ListenPlan) -> str:
        if isinstance(part, LinePlan):
            cut = part.cut and (part.cut.after_s, part.cut.overlap_s)
            tools = None if part.tools is None else self._tools(part.tools)
            exact = ("exact",) if part.exact else ()
            return _hashed(KEY_FORMAT, _OF_LINE(part), tools, cut, self._asked[part.player], *exact)
        facts = {name: fact for name, fact in asdict(part).items() if name not in _NOT_OF_TALK}
        players = [(self._asked[name], self._players[name].turn_detection) for name in part.hearers]
        return _hashed(KEY_FORMAT, type(part).__name__, facts, players)

    def _player(self, player: PlayerPlan) -> str:
        files = [] if player.human in (*LIVE, None) else [resolve_path(self._plan.path, str(player.human))]
        if player.stand_in is not None:
            folder = resolve_path(self._plan.path, player.stand_in)
            files += [file for file in self._sounds if file.parent == folder]
        sounds = [self._sounds.get(file, "") for file in files]
        place = (player.endpoint or "").partition("?")[0]  # no query: it may hold a key, and a cassette has none
        return _hashed(_OF_PLAYER(replace(player, endpoint=place)), self._tools(player.tools), sounds)

    def _tools(self, names: tuple[str, ...]) -> list[object]:
        tools = ((name, self._plan.tools[name]) for name in names)
        return [(name, tool, tool.parameters, tool.returns) for name, tool in tools]

    def _hear(self, part: Step, *why: object) -> None:
        """Let players hear, or be given, what a part of a step brings."""
        given: list[tuple[str, object]] = []
        match part:
            case LinePlan() | ImprovisePlan() | ListenPlan():
                given = [(name, self._own(part)) for name in _listeners(part)]
            case ItemPlan():
                given = [(name, (part.role, words)) for name, words in part.words]
                given += [(name, self._sound(file)) for name, file in part.sounds]
            case SoundPlan():
                given = [(name, (self._sound(part.file), part.gain_db)) for name in part.hearers]
        for name, what in given:
            self._heard[name].update(_packed([what, why]))

    def _sound(self, file: str) -> str:
        return self._sounds.get(resolve_path(self._plan.path, file), "")


def _listeners(part: LinePlan | ImprovisePlan | ListenPlan) -> tuple[str, ...]:
    """Return who knows of a line or a talk afterwards."""
    if isinstance(part, LinePlan):
        return who_knows(part.player, part.hearers, remembered=not part.apart)
    return tuple(dict.fromkeys(chain(part.hearers, *part.hearers.values())))


def who_knows(player: str, hearers: Iterable[str], *, remembered: bool) -> tuple[str, ...]:
    """Return who knows of a line afterwards: those who hear it, and its player, if that remembers it.

    >>> who_knows("ann", ["ben"], remembered=True), who_knows("ann", [], remembered=False)
    (('ben', 'ann'), ())
    """
    return (*hearers, player) if remembered else tuple(hearers)


def _packed(facts: object) -> bytes:
    return json.dumps(facts, default=_as_json, sort_keys=True).encode()


def _hashed(*facts: object) -> str:
    return sha256(_packed(facts)).hexdigest()[:16]


def sounds_of(plan: Plan) -> tuple[Path, ...]:
    """Return every sound file of a scene, each once: effects, beds, what users said, and recordings of people."""
    items = [step for step in chain(*plan.step_lists) if isinstance(step, ItemPlan)]
    named = [*(sound.file for sound in plan.sounds), *(file for item in items for _, file in item.sounds)]
    files = [resolve_path(plan.path, file) for file in named]
    return tuple(dict.fromkeys(chain(files, *map(plan.recordings, plan.people))))


def sound_warnings(plan: Plan) -> Iterator[str]:
    """Yield what is odd about sounds that can be read: a sentence for each that is silent, or would be as mono.

    Raises:
        UsageError: A sound cannot be read any more.
    """
    files = sounds_of(plan)
    if files:
        from tau_stage.audio import survey

        folder = Path(plan.path).parent
        for file in files:
            name = file.relative_to(folder) if file.is_relative_to(folder) else file
            yield from (f"{name.as_posix()} {warning}" for warning in survey(file).warnings)
