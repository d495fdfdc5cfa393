"""The parts of a scene, from the document to the model; what is wrong is noted and left out."""

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from pydantic_core import PydanticCustomError, from_json

from tau_stage.scene.delivery_options import Deliver, LineFiles, Mix
from tau_stage.scene.diagnostics import Diagnostics, Loader
from tau_stage.scene.expect import CallWanted, Expect, Says, Tolerances
from tau_stage.scene.fields import SceneModel
from tau_stage.scene.model import (
    ARGUMENT_TYPES,
    EVENTS,
    EXAMPLES,
    ROLES,
    SETUP_ROLES,
    SHORT,
    AnyStep,
    CallEvent,
    Condition,
    Cue,
    CutIn,
    Event,
    FailureEvent,
    Improvise,
    ItemStep,
    Line,
    Listen,
    Not,
    Pause,
    Player,
    SilenceEvent,
    SoundStep,
    SpeechEvent,
    Step,
    Together,
    ToolDefinition,
)
from tau_stage.scene.names import LINE_OPTIONS, MEANT, SPEAKER_WORDS, STEP_WORDS, TEXT_WORDS, did_you_mean, listed
from tau_stage.scene.script import parse_speech
from tau_stage.scene.yaml_text import Node, Path, Quoted
from tau_stage.scene.yaml_traps import quoted, with_dashes, yaml_scalar
from tau_stage.text import composed, folded

_COMPARED = re.compile("==|!=")
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off", "")


def load_event(word: str, node: Node, path: Path, errors: Diagnostics) -> Event | None:
    """Load an event: a mapping, or its most important text alone; None if it is wrong, which is noted."""
    short = SHORT[word]
    entries: Node = {} if node == "any" else {short: node} if isinstance(node, str) and node else node
    model = EVENTS[word]
    known = errors.mapping(entries, path, f"'{word}'", f"write it like '{word}: {EXAMPLES[word]}'")
    if known is None:
        return None
    event = errors.build(model, dict(errors.known(known, model.options(), path, f"'{word}'")), path, f"'{word}'")
    if isinstance(event, SpeechEvent) and not event.words and "words" not in known:
        errors.add(path, "what is said?", "write it like 'said: umbrella', or {player: name, words: umbrella}")
        return None
    assert isinstance(event, CallEvent | SpeechEvent | SilenceEvent | FailureEvent)  # noqa: S101 - every model of EVENTS is one
    return event


def load_when(node: Node, path: Path, errors: Diagnostics) -> Condition | bool | None:
    """Load a condition: what has happened, what has not, or a comparison that is decided now."""
    if isinstance(node, str):
        return _compared(node, path, errors)
    hint = "write it like {said: umbrella}, {call: lights_on}, or '${mood} == happy'"
    entries = errors.mapping(node, path, "'when'", hint)
    if not entries:
        if entries is not None:
            errors.add(path, "'when' holds nothing", hint)
        return None
    if list(entries) == ["not"]:
        inner = load_when(entries["not"], (*path, "not"), errors)
        if isinstance(inner, CallEvent | SpeechEvent | FailureEvent):
            return Not(condition=inner)
        if not errors.is_wrong((*path, "not")):
            errors.add((*path, "not"), "'not' wants something that may happen", "write it like {not: {said: umbrella}}")
        return None
    word = next(iter(entries))
    known = tuple(name for name in (*EVENTS, "not") if name != "silence")
    if stranger := next((word for word in entries if word not in known), None):
        problem = f"'when' knows no '{stranger}'"
        errors.add((*path, stranger), problem, did_you_mean(stranger, known, hint), key=True)
        return None
    if len(entries) > 1:
        errors.add((*path, list(entries)[1]), "'when' holds one condition", "remove the others", key=True)
        return None
    event = load_event(word, entries[word], (*path, word), errors)
    return event if isinstance(event, CallEvent | SpeechEvent | FailureEvent) else None


def _compared(text: str, path: Path, errors: Diagnostics) -> bool | None:
    """Decide a comparison of texts: ``happy == happy``, ``happy != sad``, ``yes``."""
    if sign := _COMPARED.search(text):
        is_same = text[: sign.start()].strip() == text[sign.end() :].strip()
        return is_same == (sign[0] == "==")
    if text.strip().lower() in (*_TRUE, *_FALSE):
        return text.strip().lower() in _TRUE
    errors.add(path, f"'{text}' is neither a comparison nor true or false", "write it like '${mood} == happy'")
    return None


_HINTS: dict[type[SceneModel], str] = {
    Mix: "write it like mix: {loudness: -16 LUFS, peak: -1 dBTP, file: mix.wav}, or mix: none",
    LineFiles: 'write it like lines: {trim: true, names: "{player}_{line}"}, or lines: none',
}
_BELOW = {
    key: f"write it below '{name}'" for name, model in (("mix", Mix), ("lines", LineFiles)) for key in model.options()
}
"""Options of deliver's parts, and where they stand."""


def load_deliver(node: Node, errors: Diagnostics) -> Deliver:
    """Load what is made of the take."""
    path: Path = ("deliver",)
    entries = errors.mapping(node, path, "deliver", "write it like deliver: {mix: {loudness: -16 LUFS}}") or {}
    known: Node = _in_place(entries, Deliver, _BELOW, path, "deliver", errors)
    parts = {"mix": partial(_deliver_part, Mix), "lines": partial(_deliver_part, LineFiles)}
    return errors.load(Deliver, known, path, "deliver", parts=parts) or Deliver()


def _deliver_part(model: type[SceneModel], node: Node, path: Path, errors: Diagnostics) -> SceneModel | None:
    if node == "none":
        return None
    owner = f"'{path[-1]}' of deliver"
    entries = errors.mapping(node, path, owner, _HINTS[model]) or {}
    beside = dict.fromkeys(Deliver.options(), f"write it beside '{path[-1]}', below deliver")
    return errors.load(model, dict(_in_place(entries, model, beside, path, owner, errors)), path, owner)


def _in_place(
    entries: dict[str, Node],
    model: type[SceneModel],
    elsewhere: Mapping[str, str],
    path: Path,
    owner: str,
    errors: Diagnostics,
) -> dict[str, Node]:
    """Leave out the entries that stand a level too high or too low, and note where they belong."""
    wrong = [key for key in entries if key in elsewhere and key not in model.options()]
    for key in wrong:
        errors.add((*path, key), f"{owner} has no '{key}'", elsewhere[key], key=True)
    return {key: entries[key] for key in entries if key not in wrong}


_HINT = "write it like expect: {says: umbrella, length: 1s..4s}"
_CALLS = "write it like calls: [lights_on, {tool: lights_on, arguments: {room: kitchen}}], or calls: none"


def load_expect(node: Node, path: Path, errors: Diagnostics) -> Expect | None:
    """Load what is expected of a line or the scene; None where it is wrong, which is noted."""
    entries = errors.mapping(node, path, "'expect'", _HINT)
    if entries is None:
        return None
    if not entries:
        errors.add(path, "'expect' expects nothing", _HINT)
        return None
    return errors.load(
        Expect, node, path, "'expect'", parts={"says": _says, "calls": _calls, "tolerances": _tolerances}
    )


def _says(node: Node, path: Path, errors: Diagnostics) -> SceneModel | None:
    is_short = not (isinstance(node, dict) and node)
    elsewhere = {"contains": path} if is_short else {}
    return errors.load(Says, {"contains": node} if is_short else node, path, "'says' of expect", elsewhere=elsewhere)


def _tolerances(node: Node, path: Path, errors: Diagnostics) -> SceneModel:
    hint = "write it like tolerances: {length: 300ms 15%}"
    return errors.load(Tolerances, node, path, "'tolerances' of expect", hint) or Tolerances()


def _calls(node: Node, path: Path, errors: Diagnostics) -> tuple[CallWanted, ...] | None:
    """Load ``none``, a tool's name, or a list of names and of ``{tool, arguments}``."""
    if node == "none":
        return ()
    if not node or isinstance(node, dict):
        errors.add(path, "'calls' names tools", _CALLS)
        return None
    several = isinstance(node, list)
    items = node if isinstance(node, list) else [node]
    calls = (_call(item, (*path, number) if several else path, errors) for number, item in enumerate(items))
    return tuple(call for call in calls if call)


def _call(node: Node, path: Path, errors: Diagnostics) -> CallWanted | None:
    entries: Node = {"tool": node} if isinstance(node, str) and node else node
    call = errors.load(CallWanted, entries, path, "a call", _CALLS, parts={"arguments": _arguments})
    if call is None or call.tool or errors.is_wrong((*path, "tool")):
        return call
    errors.add(path, "which tool is called?", _CALLS)
    return None


def _arguments(node: Node, path: Path, errors: Diagnostics) -> dict[str, Node]:
    return errors.mapping(node, path, "arguments", _CALLS) or {}


Entries = dict[str, Node]
WORDS = ("prompt", "user", "assistant", "sfx", "bed", "together", "improvise", "listen", "pause")
"""The words that start a step which is no player's line; the first that is there decides."""


_MARKUP = re.compile(r"\{\{[^{}]*\}\}|</?[a-z][^<>]*>")
"""Templates of other tools, and SSML."""
_BESIDE = re.compile(r"(.+?)\s*[(\[](.+)[)\]]")


def _line_meant(key: str, words: str, players: Collection[str]) -> str:
    """Return a line as it should be whose key holds more than its speaker's name; empty, if it is something else."""
    if (beside := _BESIDE.fullmatch(key)) and beside[1] in players:
        return f"{beside[1]}: {yaml_scalar(f'({beside[2]}) {words}')}"
    names = re.split(r"\s*(?:->|=>|\u2192)\s*", key)
    if len(names) > 1 and all(name in players for name in names):
        return f"{{{quoted(names[0])}: {quoted(words)}, to: [{', '.join(map(quoted, names[1:]))}]}}"
    names = re.split(r"\s*(?:[&,+/]|\band\b)\s*", key)
    if len(names) > 1 and all(name in players for name in names):
        return f"together: [{', '.join(f'{{{quoted(name)}: {quoted(words)}}}' for name in names)}]"
    return ""


class Steps:
    """Reads lists of steps.

    Args:
        players: Their names.
        errors: Where errors are noted.
    """

    def __init__(self, players: tuple[str, ...], errors: Diagnostics) -> None:
        self.players = players
        self.errors = errors
        self.loaders: dict[str, Callable[[str, Entries, Path], AnyStep | None]] = {
            **dict.fromkeys(ROLES, self.items),
            **dict.fromkeys(("sfx", "bed"), self.sound),
            "together": self.together,
            "improvise": self.improvise,
            "listen": self.listen,
            "pause": self.pause,
        }

    def load(self, node: Node, path: Path, what: str = "lines") -> tuple[AnyStep, ...]:
        """Load the steps of a list that are sound."""
        if not isinstance(node, list):
            self.no_list(node, path, what)
            return ()
        steps = (self.step(item, (*path, number)) for number, item in enumerate(node))
        return tuple(step for step in steps if step)

    def step(self, node: Node, path: Path) -> AnyStep | None:
        """Load one step; None if it is not sound, which is noted."""
        if not isinstance(node, dict):
            self.no_mapping(node, path)
            return None
        entries = self.errors.mapping(node, path, "a line") or {}
        word = next((word for word in WORDS if word in entries), None)
        speaks = any(key in self.players and key not in STEP_WORDS for key in entries)
        if word and not (speaks and word in Line.options()):
            return self.loaders[word](word, entries, path)
        speaker = self.speaker(entries, path)
        return self.line(entries, speaker, path) if speaker is not None else None

    def no_list(self, node: Node, path: Path, what: str) -> None:
        """Note a mapping or a text where steps belong."""
        first = (*path, next(iter(node))) if isinstance(node, dict) and node else path
        if self.errors.misread(first, key=first != path):
            return
        hint = "write each as '- player: words'"
        place = self.errors.document.place(first, key=True)
        if first != path:
            hint = with_dashes(self.errors.document.source_of(path), place, hint)
        self.errors.add(path, f"{what} must be a list", hint)

    def no_mapping(self, node: Node, path: Path) -> None:
        """Note a step that is a text or a list."""
        speaker = re.split("[:\uff1a\ufe55]", node)[0] if isinstance(node, str) else ""
        if composed(speaker.strip()) in self.players and self.errors.misread(path):
            return
        hint = "a line is '- player: words'"
        name = speaker.strip()
        if isinstance(node, str) and node.strip() in self.players:
            self.errors.add(path, "this line has no words", f"write what {name} says: '- {yaml_scalar(name)}: words'")
            return
        if isinstance(node, str) and name in self.players:
            hint = self.rewritten(f"{yaml_scalar(name)}: {yaml_scalar(node.partition(':')[2].strip())}", path)
        self.errors.add(path, "this line has no speaker", hint)

    def rewritten(self, meant: str, path: Path, *, key: bool = False) -> str:
        """Return a hint that shows a line as it should be."""
        head, _ = self.errors.document.around(path, key=key)
        return f"write it like this:\n  {head}{meant}" if head.strip() == "-" else f"write {meant}"

    def speaker(self, entries: Entries, path: Path) -> str | None:
        """Find the key of a step that says who speaks; what hinders is noted."""
        strangers = [key for key in entries if key not in Line.options()]
        speakers = [key for key in strangers if key in self.players]
        if len(speakers) > 1:
            problem = "two players speak in one line"
            here = (*path, speakers[1])
            head, line = self.errors.document.around(here, key=True)
            hint = "start every line with '- '"
            if not head.strip():
                hint += f":\n  {head.removesuffix('  ')}- {line}"
            self.errors.add(here, problem, hint, key=True)
            return None
        if speakers:
            return speakers[0]
        if self.names_speaker_and_text(entries, path):
            return None
        if not strangers:
            self.errors.add(path, "this line has no speaker", "a line is '- player: words'")
            return None
        self.stranger(strangers[0], path, entries[strangers[0]])
        return None

    def names_speaker_and_text(self, entries: Entries, path: Path) -> bool:
        """Note a line that names speaker and words by keys, as other formats do; whether it is one."""
        who = next((key for key in SPEAKER_WORDS if isinstance(entries.get(key), str)), None)
        what = next((key for key in TEXT_WORDS if isinstance(entries.get(key), str)), None)
        if who is None or what is None:
            return False
        words = " ".join(str(entries[what]).split())
        hint = self.rewritten(f"{yaml_scalar(str(entries[who]))}: {yaml_scalar(words)}", path)
        self.errors.add((*path, who), "a line's key is its speaker, and its value what is said", hint, key=True)
        return True

    def stranger(self, key: str, path: Path, value: Node) -> None:
        """Note a key that is neither a player nor an option."""
        here = (*path, key)
        if self.errors.misread(here, key=True):
            return
        if key in STEP_WORDS | LINE_OPTIONS:
            hint = f"a step is '- player: words', or starts with {', '.join(WORDS)}"
            self.errors.add(here, f"'{key}' starts no step", hint, key=True)
        elif self.players:
            hint = did_you_mean(key, self.players, f"players: {listed(self.players)}")
            if isinstance(value, str) and (meant := _line_meant(key, value, self.players)):
                hint = self.rewritten(meant, here, key=True)
            elif step := next((word for word in WORDS if folded(key) in MEANT.get(word, ())), ""):
                hint = f"did you mean '{step}'?"
            self.errors.add(here, f"there is no player '{key}'", hint, key=True)

    def build(
        self,
        model: type[Step],
        values: dict[str, object],
        path: Path,
        owner: str,
        at: Path,
        elsewhere: Mapping[str, Path] | None = None,
    ) -> AnyStep:
        """Build a step with its place.

        Args:
            model: Which kind.
            values: As the document has them.
            path: Where they stand.
            owner: What an error calls them.
            at: The key that names the step.
            elsewhere: Where values stand that are not under ``path``.
        """
        values |= {"path": at[:-1], "source_line": self.errors.document.place(at, key=True).line}
        step = self.errors.build(model, values, path, owner, elsewhere)
        assert isinstance(step, AnyStep)  # noqa: S101 - every model given here is one
        return step

    def options(self, entries: Entries, options: tuple[str, ...], path: Path, owner: str) -> dict[str, object]:
        """Return the options of a step, of which ``when`` is loaded; keys that are none are noted."""
        known = self.errors.known(entries, options, path, owner)
        when = {"when": load_when(known["when"], (*path, "when"), self.errors)} if "when" in known else {}
        return {**known, **when}

    # ---- lines

    def line(self, entries: Entries, speaker: str, path: Path) -> AnyStep | None:
        """Load a player's line."""
        here, errors = (*path, speaker), self.errors
        rest = {key: value for key, value in entries.items() if key != speaker}
        values = self.options(rest, Line.options(), path, "the line")
        text = errors.text(entries[speaker], here, "a line")
        if text is None:
            return None
        values |= {"speaker": speaker, "words": ""}
        if "improvise" not in values:
            if not self.speech(text, values, here):
                return None
        elif text.strip():
            errors.add((*path, "improvise"), "a line has words, or is improvised", "remove one of them", key=True)
            return None
        if "cut_in" in values:
            values["cut_in"] = self.cut_in(entries["cut_in"], (*path, "cut_in"))
        if "expect" in values:
            values["expect"] = load_expect(entries["expect"], (*path, "expect"), self.errors)
        return self.build(Line, values, path, "the line", here)

    def speech(self, text: str, values: dict[str, object], path: Path) -> bool:
        """Take a line's text apart; False if it cannot be, which is noted."""
        try:
            speech = parse_speech(text)
        except PydanticCustomError as error:
            context = error.context or {}
            self.errors.add(path, context["problem"], context["hint"])
            return False
        if speech.direction:
            also = values.get("direction")
            values["direction"] = f"{speech.direction}, {also}" if isinstance(also, str) and also else speech.direction
        if speech.aside:
            hint = rf"write [{speech.aside}] for a moment, or \({speech.aside}\) to have it spoken"
            self.errors.remark(path, f"'({speech.aside})' is spoken", hint)
        if markup := _MARKUP.search(speech.words):
            hint = "a variable is ${name}" if markup[0].startswith("{") else "write [like this] for a moment"
            self.errors.remark(path, f"'{markup[0]}' is spoken", hint)
        values["words"] = speech.words
        return True

    def cut_in(self, node: Node, path: Path) -> CutIn:
        """Load ``{on: clerk, after: 900ms}``, or only whose line it cuts."""
        entries: Node = {"on": node} if isinstance(node, str) and node else node
        return self.errors.load(CutIn, entries, path, "cut_in", "write it like {on: clerk, after: 900ms}") or CutIn()

    # ---- what is no line

    def own(self, word: str, entries: Entries, path: Path, options: tuple[str, ...], owner: str) -> dict[str, object]:
        """Load the options beside a step's word; whoever speaks in the same step is noted."""
        speakers = [key for key in entries if key in self.players and key not in STEP_WORDS]
        for name in speakers:
            problem = f"{owner} and a line stand in one step"
            self.errors.add((*path, name), problem, "start every step with '- '", key=True)
        rest = {key: value for key, value in entries.items() if key not in (*speakers, word)}
        return self.options(rest, options, path, owner)

    def items(self, word: str, entries: Entries, path: Path) -> AnyStep | None:
        """Load ``prompt``, ``user`` and ``assistant``."""
        owner = {"user": "a user item", "assistant": "an assistant item"}.get(word, "a prompt")
        values = self.own(word, entries, path, (*Step.options(), word), owner)
        here = (*path, word)
        hint = f"write it like '- {word}: {{player: {'what to whisper' if word == 'prompt' else 'what was said'}}}'"
        node = entries[word]
        if not isinstance(node, dict) or not node:
            self.errors.add(here, f"{owner} needs a player and a text", hint)
            return None
        items = self.errors.mapping(node, here, owner) or {}
        wavs = {name: wav for name, item in items.items() if word == "user" and (wav := _wav(item))}
        texts = {name: self.item(word, item, (*here, name), owner) for name, item in items.items() if name not in wavs}
        for name, text in texts.items():
            if text is not None and not text.strip():
                self.errors.add((*here, name), f"{owner} needs a text", hint)
        if not all(text and text.strip() for text in texts.values()):
            return None
        words = {name: text.strip() for name, text in texts.items() if text}
        return self.build(ItemStep, {**values, "role": ROLES[word], "words": words, "wav": wavs}, path, owner, here)

    def item(self, word: str, node: Node, path: Path, owner: str) -> str | None:
        """Load the text of an item; where a sound seems to be meant, say how one is written."""
        if isinstance(node, dict) and any(key.startswith("wav") for key in node):
            hint = "write it like {wav: guest.wav}" if word == "user" else "only a 'user' item may be a sound"
            self.errors.add(path, f"{owner} is no such sound", hint)
            return None
        return self.errors.text(node, path, owner)

    def pause(self, word: str, entries: Entries, path: Path) -> AnyStep:
        """Load a silence."""
        values = self.own(word, entries, path, Pause.options(), "a pause")
        return self.build(Pause, {**values, "pause": entries[word]}, path, "the pause", (*path, word))

    def sound(self, word: str, entries: Entries, path: Path) -> AnyStep | None:
        """Load ``sfx`` and ``bed``."""
        owner = "a sound effect" if word == "sfx" else "a bed"
        options = tuple(key for key in SoundStep.options() if key != ("until" if word == "sfx" else "pause"))
        values = self.own(word, entries, path, options, owner)
        file = entries[word]
        if not isinstance(file, str) or not file.strip():
            self.errors.add((*path, word), f"{owner} needs a sound file", f"write it like '- {word}: sounds/door.wav'")
            return None
        return self.build(SoundStep, {**values, "kind": word, "file": file.strip()}, path, owner, (*path, word))

    def together(self, word: str, entries: Entries, path: Path) -> AnyStep | None:
        """Load several lines at once."""
        here = (*path, word)
        values = self.own(word, entries, path, Together.options(), "a group")
        node = entries[word]
        if not isinstance(node, list) or len(node) < 2:
            hint = "write the lines under it, each as '- player: words'"
            self.errors.add(here, "'together' needs two lines or more", hint)
            return None
        steps = self.load(node, here, "together")
        for step in steps:
            if not isinstance(step, Line | SoundStep) or (isinstance(step, SoundStep) and step.kind == "bed"):
                hint = "put this step before or after it"
                self.errors.add(step.path, "only lines and sound effects stand under 'together'", hint)
        parts = tuple(step for step in steps if isinstance(step, Line | SoundStep))
        return self.build(Together, {**values, "together": parts}, path, "together", here)

    def improvise(self, word: str, entries: Entries, path: Path) -> AnyStep | None:
        """Load free play."""
        return self.body(Improvise, word, entries, path, "about")

    def listen(self, word: str, entries: Entries, path: Path) -> AnyStep | None:
        """Load an open microphone."""
        return self.body(Listen, word, entries, path, "player")

    def body(
        self, model: type[Improvise | Listen], word: str, entries: Entries, path: Path, short: str
    ) -> AnyStep | None:
        """Load a step whose word holds a mapping, or its most important text alone."""
        here, owner = (*path, word), f"'{word}'"
        outer = self.own(word, entries, path, (*Step.options(), "pause"), owner)
        node = {short: entries[word]} if isinstance(entries[word], str) and entries[word] else entries[word]
        inner = self.errors.mapping(node, here, owner, f"write it like '- {word}: {{turns: 6}}'")
        if inner is None:
            return None
        options = tuple(key for key in model.options() if key not in (*Step.options(), "pause"))
        known = self.errors.known(inner, options, here, owner)
        elsewhere = {key: (*path, key) for key in outer}
        return self.build(model, {**outer, **known}, here, owner, here, elsewhere)


def _wav(node: Node) -> str | None:
    """Load the file of ``{wav: guest.wav}``."""
    if isinstance(node, dict) and list(node) == ["wav"] and isinstance(node["wav"], str) and node["wav"]:
        return node["wav"]
    return None


_NUMBER = re.compile(r"-?(0|[1-9]\d{0,15})(\.\d{1,16})?([eE][+-]?\d{1,2})?", re.ASCII)
"""A number that every program can hold; a longer one stays the text it is."""

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def load_player(name: str, node: Node, errors: Diagnostics) -> Player:
    """Load one player."""
    path, owner = ("players", name), f"player '{name}'"
    hint = f"write it like '{name}: {{voice: ash}}'"
    return errors.load(Player, node, path, owner, hint, parts={"setup": _setup}) or Player()


def _setup(node: Node, path: Path, errors: Diagnostics) -> tuple[tuple[str, str], ...]:
    """Load what is in a player's conversation before the first line."""
    hint = "write it like '- system: You have never seen the sea.'"
    items: list[tuple[str, str]] = []
    if not isinstance(node, list):
        errors.add(path, "setup is a list of items", hint)
        return ()
    for number, item in enumerate(node):
        here = (*path, number)
        entries = errors.mapping(item, here, "an item") if isinstance(item, dict) else None
        if entries is None or len(entries) != 1:
            errors.add(here, "an item of setup has one role and its words", hint)
            continue
        role, words = next(iter(entries.items()))
        if role not in SETUP_ROLES:
            problem = f"there is no role '{role}'"
            errors.add(
                (*here, role), problem, did_you_mean(role, SETUP_ROLES, "write system, user or assistant"), key=True
            )
        elif (text := errors.text(words, (*here, role), "an item")) is not None:
            if text.strip():
                items.append((role, text.strip()))
            else:
                errors.add((*here, role), "an item of setup needs words", hint)
    return tuple(items)


def load_tool(name: str, node: Node, errors: Diagnostics) -> ToolDefinition:
    """Load what a model may call."""
    path, owner = ("tools", name), f"tool '{name}'"
    entries = errors.mapping(node, path, owner, f"write it like '{name}: {{description: ..., returns: {{ok: true}}}}'")
    known = errors.known(entries or {}, ToolDefinition.options(), path, owner)
    _check_tool(name, known, path, errors)
    parts: dict[str, Loader] = {"returns": lambda node, *_: typed(node), "parameters": _parameters, "command": _command}
    values = {key: parts[key](value, (*path, key), errors) if key in parts else value for key, value in known.items()}
    line = errors.document.place(path, key=True).line
    values |= {"has_result": "returns" in known, "path": path, "source_line": line}
    return errors.build(ToolDefinition, values, path, owner)


def _check_tool(name: str, known: Entries, path: Path, errors: Diagnostics) -> None:
    """Check that a tool's options fit each other and its name."""
    if not _TOOL_NAME.fullmatch(name):
        hint = "write letters, digits, '_' and '-', at most 64"
        errors.add(path, f"'{name[:64]}' cannot be a tool's name", hint, key=True)
    runs, run = "run" in known or "command" in known, known.get("run")
    results = [key for key in ("returns", "run", "command") if key in known]
    if len(results) > 1:
        problem = f"tool '{name}' has both '{results[0]}' and '{results[1]}'"
        errors.add((*path, results[1]), problem, "keep one", key=True)
    if "env" in known and not runs:
        errors.add((*path, "env"), f"tool '{name}' runs nothing that could see 'env'", "remove it", key=True)
    if isinstance(run, str) and not re.fullmatch(r"[\w.]+:\w+", run.strip()):
        errors.add((*path, "run"), f"'{run}' is no function", "write it like package.module:function")
    if path in errors.document.sources and runs:
        problem = "a tool that runs code stands in the scene itself, not in a file it includes"
        errors.add(path, problem, "move it there", key=True)


def _command(node: Node, path: Path, errors: Diagnostics) -> tuple[str, ...]:
    if isinstance(node, list) and node and all(isinstance(word, str) and word for word in node):
        return tuple(str(word) for word in node)
    errors.add(path, "a command is a list of words, and no shell reads them", "write it like [./lights, on]")
    return ()


def _parameters(node: Node, path: Path, errors: Diagnostics) -> dict[str, object] | None:
    """Load a JSON schema; a short form names each argument and its type."""
    hint = "write it like {city: string, days: integer}, or a whole JSON schema"
    entries = errors.mapping(node, path, "parameters", hint)
    if entries is None:
        return None
    if entries.get("type") == "object":
        schema = typed(entries)
        assert isinstance(schema, dict)  # noqa: S101 - a mapping stays one
        return schema
    properties: dict[str, object] = {}
    for name, kind in entries.items():
        schema = typed(kind) if isinstance(kind, dict) else {"type": kind}
        what = schema.get("type")
        if what not in ARGUMENT_TYPES:
            problem = f"'{what}' is no type of an argument" if isinstance(what, str) else f"'{name}' needs a type"
            errors.add((*path, name), problem, did_you_mean(str(what), ARGUMENT_TYPES, hint))
        properties[name] = schema
    return {"type": "object", "properties": properties, "required": list(properties)}


def typed(node: Node) -> Any:
    """Type data for a program: what reads as a number, ``true``, ``false`` or ``null`` is one, unless it is quoted."""
    if isinstance(node, dict):
        return {key: typed(value) for key, value in node.items()}
    if isinstance(node, list):
        return [typed(value) for value in node]
    if not isinstance(node, Quoted) and (node in ("true", "false", "null") or _NUMBER.fullmatch(node)):
        return from_json(node)
    return str(node)


def load_cues(node: Node, steps: Steps, errors: Diagnostics) -> tuple[Cue, ...]:
    """Load the cues of a scene."""
    hint = "write each as '- call: {player: name, tool: name}' with a 'do:' under it"
    if node == "":
        return ()
    if not isinstance(node, list):
        errors.add(("on",), "'on' is a list of cues", hint)
        return ()
    cues = (_cue(item, ("on", number), steps, errors) for number, item in enumerate(node))
    return tuple(cue for cue in cues if cue)


def _cue(node: Node, path: Path, steps: Steps, errors: Diagnostics) -> Cue | None:
    hint = "write it like '- said: umbrella' with a 'do:' under it"
    entries = errors.mapping(node, path, "a cue", hint)
    if entries is None:
        return None
    known = errors.known(entries, Cue.options(), path, "the cue")
    words = [word for word in EVENTS if word in known]
    if len(words) != 1:
        hint = f"give it one of {', '.join(EVENTS)}"
        if words:
            errors.add((*path, words[1]), "a cue waits for one thing", hint, key=True)
        elif not errors.is_wrong(path):
            errors.add(path, "what does this cue wait for?", hint)
        return None
    event = load_event(words[0], known[words[0]], (*path, words[0]), errors)
    do = known.get("do", "")
    if not do:
        errors.add(path, "this cue does nothing", "write its steps under 'do:', each as '- player: words'")
        return None
    performed = steps.load(do, (*path, "do"), "'do'")
    if event is None:
        return None
    values = {key: value for key, value in known.items() if key not in (*EVENTS, "do")}
    line = errors.document.place((*path, words[0]), key=True).line
    return errors.build(
        Cue, {**values, "event": event, "do": performed, "path": path, "source_line": line}, path, "the cue"
    )
