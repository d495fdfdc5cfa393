"""The parts of a scene whose keys say what they are: steps, cues, conditions. What is wrong is noted and left out.

Everything else is read by ``Diagnostics.load``, as its ``fields.Form`` says.
"""

import re
from collections.abc import Callable
from functools import partial

from pydantic_core import PydanticCustomError

from tau_stage.scene import model
from tau_stage.scene.diagnostics import Diagnostics
from tau_stage.scene.model import LINE_OPTIONS, STEP_WORDS, WORDS
from tau_stage.scene.names import MEANT, SPEAKER_WORDS, TEXT_WORDS, did_you_mean, listed
from tau_stage.scene.script import parse_speech
from tau_stage.scene.units import facts_of
from tau_stage.scene.yaml_text import Node, Path
from tau_stage.scene.yaml_traps import quoted, with_dashes, yaml_scalar
from tau_stage.text import composed, folded

Entries = dict[str, Node]

_OWNERS = {"prompt": "a prompt", "user": "a user item", "assistant": "an assistant item"}

_MARKUP = re.compile(r"\{\{[^{}]*\}\}|\$\{[^{}]*$|\[[^\[\]]*$|</?[a-z][^<>]*>")
"""Templates of other tools, SSML, and what is never closed: a variable, or a moment."""
_BESIDE = re.compile(r"(.+?)\s*[(\[](.+)[)\]]")


def _line_meant(key: str, words: str, players: frozenset[str]) -> str:
    """Return a line as it should be whose key holds more than its speaker's name; empty, if it is something else."""
    if (beside := _BESIDE.fullmatch(key)) and beside[1] in players:
        return f"{beside[1]}: {yaml_scalar(f'({beside[2]}) {words}')}"
    speaker, *hearers = names = re.split(r"\s*(?:->|=>|\u2192)\s*", key)
    if hearers and players >= {*names}:
        return f"{{{quoted(speaker)}: {quoted(words)}, to: [{', '.join(map(quoted, hearers))}]}}"
    names = re.split(r"\s*(?:[&,+/]|\band\b)\s*", key)
    if names[1:] and players >= {*names}:
        return f"together: [{', '.join(f'{{{quoted(name)}: {quoted(words)}}}' for name in names)}]"
    return ""


class Steps:
    """Reads lists of steps."""

    def __init__(self, players: tuple[str, ...], errors: Diagnostics) -> None:
        self.players = players
        self.errors = errors
        self.loaders: dict[str, Callable[[str, Entries, Path], model.AnyStep | None]] = {
            **dict.fromkeys(model.ROLES, self.items),
            **dict.fromkeys(("sfx", "bed"), self.sound),
            "together": self.together,
            "improvise": partial(self.whole, model.Improvise, "'improvise'"),
            "listen": partial(self.whole, model.Listen, "'listen'"),
            "pause": partial(self.whole, model.Pause, "a pause"),
            "chapter": partial(self.whole, model.Chapter, "a chapter"),
        }

    def load(self, node: Node, path: Path, what: str = "'lines'") -> tuple[model.AnyStep, ...]:
        """Load the steps of a list that are sound."""
        if not isinstance(node, list):
            self.no_list(node, path, what)
            return ()
        steps = (self.step(item, (*path, number)) for number, item in enumerate(node))
        return tuple(filter(None, steps))

    def step(self, node: Node, path: Path) -> model.AnyStep | None:
        """Load one step; None if it is not sound, which is noted."""
        if not isinstance(node, dict):
            self.no_mapping(node, path)
            return None
        entries = self.errors.entries(node, path, "a line")
        word = next(filter(entries.__contains__, WORDS), None)
        if word and not (self.speakers(entries) and word in model.Line.options()):
            return self.loaders[word](word, entries, path)
        speaker = self.speaker(entries, path)
        return self.line(entries, speaker, path) if speaker is not None else None

    def speakers(self, entries: Entries) -> list[str]:
        """Return the players among the keys of a step."""
        return [key for key in entries if key in self.players and key not in STEP_WORDS]

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
        name, words = (part.strip() for part in re.split("[:\uff1a\ufe55]", f"{node}:", maxsplit=1))
        if not isinstance(node, str) or composed(name) not in self.players:
            hint = self.errors.list_comma_hint(path) or "write a line as '- player: words'"
            self.errors.add(path, "this line has no speaker", hint)
        elif self.errors.misread(path):
            return
        elif node.strip() == name:
            self.errors.add(path, "this line has no words", f"write what {name} says: '- {yaml_scalar(name)}: words'")
        else:
            meant = f"{yaml_scalar(name)}: {yaml_scalar(words.removesuffix(':').strip())}"
            self.errors.add(path, "this line has no speaker", self.rewritten(meant, path))

    def rewritten(self, meant: str, path: Path, *, key: bool = False) -> str:
        """Return a hint that shows a line as it should be."""
        head, _ = self.errors.document.around(path, key=key)
        return f"write it like this:\n  {head}{meant}" if head.strip() == "-" else f"write {meant}"

    def speaker(self, entries: Entries, path: Path) -> str | None:
        """Find the key of a step that says who speaks; what hinders is noted."""
        strangers = [key for key in entries if key not in model.Line.options()]
        speakers = [key for key in strangers if key in self.players]
        if len(speakers) == 1:
            return speakers[0]
        if speakers:
            here = (*path, speakers[1])
            head, line = self.errors.document.around(here, key=True)
            mended = "" if head.strip() else f":\n  {head.removesuffix('  ')}- {line}"
            self.errors.add(here, "two players speak in one line", f"start every line with '- '{mended}", key=True)
        elif not self.is_foreign(entries, path):
            if strangers:
                self.stranger(strangers[0], path, entries[strangers[0]])
            else:
                self.errors.add(path, "this line has no speaker", "write a line as '- player: words'")
        return None

    def is_foreign(self, entries: Entries, path: Path) -> bool:
        """Note a line whose speaker and words have keys of their own, as other formats do; whether it is one."""
        known = [[key for key in words if isinstance(entries.get(key), str)] for words in (SPEAKER_WORDS, TEXT_WORDS)]
        if not all(known):
            return False
        (who, *_), (what, *_) = known
        words = " ".join(str(entries[what]).split())
        hint = self.rewritten(f"{yaml_scalar(str(entries[who]))}: {yaml_scalar(words)}", path)
        self.errors.add((*path, who), "a line has the speaker as its key and the words as its value", hint, key=True)
        return True

    def stranger(self, key: str, path: Path, value: Node) -> None:
        """Note a key that is neither a player nor an option."""
        here = (*path, key)
        if self.errors.misread(here, key=True):
            return
        if key in STEP_WORDS | LINE_OPTIONS:
            hint = f"write '- player: words', or start a step with {', '.join(WORDS)}"
            self.errors.add(here, f"'{key}' cannot start a step", hint, key=True)
        elif self.players:
            hint = did_you_mean(key, self.players, f"players: {listed(self.players)}")
            if isinstance(value, str) and (meant := _line_meant(key, value, frozenset(self.players))):
                hint = self.rewritten(meant, here, key=True)
            elif step := next((word for word in WORDS if folded(key) in MEANT.get(word, ())), ""):
                hint = f"did you mean '{step}'?"
            self.errors.add(here, f"unknown player '{key}'", hint, key=True)

    def line(self, entries: Entries, speaker: str, path: Path) -> model.AnyStep | None:
        """Load a player's line."""
        here, errors = (*path, speaker), self.errors
        values = errors.options(model.Line, {key: value for key, value in entries.items() if key != speaker}, path)
        text = errors.text(entries[speaker], here, "a line")
        if text is None:
            return None
        beside = entries.get("words", "exact")
        if not text.strip() and isinstance(beside, str) and beside not in ("exact", "free"):
            meant = self.rewritten(f"{yaml_scalar(speaker)}: {yaml_scalar(beside)}", here, key=True)
            errors.add((*path, "words"), "the words of a line belong after its speaker", meant, key=True)
            return None
        values |= {"speaker": speaker, "text": ""}
        if "improvise" not in values:
            if not self.speech(text, values, here):
                return None
        elif text.strip():
            errors.add(
                (*path, "improvise"), "a line can have words or 'improvise', not both", "remove one of them", key=True
            )
            return None
        return errors.build(model.Line, values, path, at=here)

    def speech(self, text: str, values: dict[str, object], path: Path) -> bool:
        """Take a line's text apart; False if it cannot be, which is noted."""
        try:
            speech = parse_speech(text)
        except PydanticCustomError as error:
            facts = facts_of(error)
            self.errors.add(path, facts["problem"], facts["hint"])
            return False
        if speech.direction:
            also = values.get("direction")
            values["direction"] = f"{speech.direction}, {also}" if isinstance(also, str) and also else speech.direction
        if speech.aside:
            hint = rf"write [{speech.aside}] for a sound or an action, or \({speech.aside}\) to have it spoken"
            self.errors.remark(path, f"'({speech.aside})' will be spoken", hint)
        if markup := _MARKUP.search(speech.words):
            is_variable = markup[0].startswith(("{", "$"))
            hint = "write a variable as ${name}" if is_variable else "write [like this] for a sound or an action"
            self.errors.remark(path, f"'{markup[0]}' will be spoken", hint)
        values["text"] = speech.words
        return True

    def own(
        self, word: str, entries: Entries, path: Path, kind: type[model.Step], owner: str, without: str = ""
    ) -> dict[str, object]:
        """Load the options beside a step's word; whoever speaks in the same step is noted."""
        speakers = self.speakers(entries)
        for name in speakers:
            problem = f"{owner} and a line cannot be in one step"
            self.errors.add((*path, name), problem, "start every step with '- '", key=True)
        rest = {key: value for key, value in entries.items() if key not in (*speakers, word)}
        return self.errors.options(kind, rest, path, owner, without)

    def items(self, word: str, entries: Entries, path: Path) -> model.AnyStep | None:
        """Load ``prompt``, ``user`` and ``assistant``."""
        here, owner, node = (*path, word), _OWNERS[word], entries[word]
        values = self.own(word, entries, path, model.ItemStep, owner)
        hint = (
            f"for example: '- {word}: {{player: {'a private instruction' if word == 'prompt' else 'what was said'}}}'"
        )
        if not isinstance(node, dict) or not node:
            self.errors.add(here, f"{owner} needs a player and text", hint)
            return None
        wavs: dict[str, str] = {}
        words: dict[str, str] = {}
        for name, item in self.errors.entries(node, here, owner).items():
            match item:
                case {"wav": str(file), **others} if word == "user" and file and not others:
                    wavs[name] = file
                case _:
                    words[name] = self.item(word, item, (*here, name), hint)
        if not all(words.values()):
            return None
        values |= {"role": model.ROLES[word], "words": words, "wav": wavs}
        return self.errors.build(model.ItemStep, values, path, owner, here)

    def item(self, word: str, node: Node, path: Path, hint: str) -> str:
        """Load the text of an item; empty where it is wrong, which is noted."""
        owner = _OWNERS[word]
        if isinstance(node, dict) and any(key.startswith("wav") for key in node):
            hint = "for example: {wav: guest.wav}" if word == "user" else "only a 'user' item may be an audio file"
            self.errors.add(path, f"{owner} has an invalid audio file", hint)
            return ""
        text = self.errors.text(node, path, owner)
        if text is None:
            return ""
        if not text.strip():
            self.errors.add(path, f"{owner} needs text", hint)
        return text.strip()

    def whole(
        self,
        kind: type[model.Improvise | model.Listen | model.Pause | model.Chapter],
        owner: str,
        word: str,
        entries: Entries,
        path: Path,
    ) -> model.AnyStep | None:
        """Load a step whose word is an option of its model."""
        values = self.own(word, entries, path, kind, owner)
        values |= self.errors.options(kind, {word: entries[word]}, path)
        return self.errors.build(kind, values, path, at=(*path, word)) if values[word] is not None else None

    def sound(self, word: str, entries: Entries, path: Path) -> model.AnyStep | None:
        """Load ``sfx`` and ``bed``."""
        owner, other = ("a sound effect", "until") if word == "sfx" else ("a bed", "pause")
        values = self.own(word, entries, path, model.SoundStep, owner, other)
        file = entries[word]
        if not isinstance(file, str) or not file.strip():
            self.errors.add((*path, word), f"{owner} needs an audio file", f"for example: '- {word}: sounds/door.wav'")
            return None
        return self.errors.build(
            model.SoundStep, {**values, "kind": word, "file": file.strip()}, path, owner, (*path, word)
        )

    def together(self, word: str, entries: Entries, path: Path) -> model.AnyStep | None:
        """Load several lines at once."""
        here = (*path, word)
        values = self.own(word, entries, path, model.Together, "'together'")
        node = entries[word]
        if not isinstance(node, list) or len(node) < 2:
            hint = "write the lines under it, each as '- player: words'"
            self.errors.add(here, "'together' needs at least two lines", hint)
            return None
        steps = self.load(node, here, "together")
        parts = tuple(step for step in steps if isinstance(step, model.Line | model.SoundStep))
        for step in steps:
            if not isinstance(step, model.Line) and getattr(step, "kind", "") != "sfx":
                hint = "put this step before or after it"
                self.errors.add(step.path, "'together' may contain only lines and sound effects", hint)
        return self.errors.build(model.Together, {**values, "together": parts}, path, at=here)


def load_cues(node: Node, steps: Steps, errors: Diagnostics) -> tuple[model.Cue, ...]:
    """Load the cues of a scene."""
    hint = "write each as '- call: {player: name, tool: name}' with a 'do:' under it"
    if node == "":
        return ()
    if not isinstance(node, list):
        errors.add(("on",), "'on' must be a list of cues", hint)
        return ()
    cues = (_cue(item, ("on", number), steps, errors) for number, item in enumerate(node))
    return tuple(filter(None, cues))


def _cue(node: Node, path: Path, steps: Steps, errors: Diagnostics) -> model.Cue | None:
    entries = errors.mapping(node, path, "a cue", model.Cue.FORM.hint)
    if entries is None:
        return None
    words = [*filter(entries.__contains__, model.EVENTS)]
    values, do = errors.options(model.Cue, entries, path), entries.get("do", "")
    hint = f"use one of these keys: {', '.join(model.EVENTS)}"
    if words[1:]:
        errors.add((*path, words[1]), "a cue can wait for only one event", hint, key=True)
    elif words and do:
        values["do"] = steps.load(do, (*path, "do"), "'do'")
        return errors.build(model.Cue, values, path, at=(*path, *words)) if values[words[0]] is not None else None
    elif words:
        errors.add(path, "this cue has no steps", "write its steps under 'do:', each as '- player: words'")
    elif not errors.is_wrong(path):
        errors.add(path, "this cue has no event", hint)
    return None
