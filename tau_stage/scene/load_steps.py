"""The steps of a scene, from the document to the model: lines, and all that is not a player's line."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from tau_stage.scene.findings import Findings
from tau_stage.scene.load_conditions import load_when
from tau_stage.scene.load_expect import load_expect
from tau_stage.scene.speech import parse_speech
from tau_stage.scene.steps import (
    ROLES,
    AnyStep,
    CutIn,
    Improvise,
    Line,
    Listen,
    Pause,
    Sound,
    Step,
    Together,
    Told,
)
from tau_stage.scene.text import Node, Path
from tau_stage.scene.traps import quoted, written
from tau_stage.scene.words import LINE_OPTIONS, MEANT, SPEAKER_WORDS, STEP_WORDS, TEXT_WORDS, did_you_mean, listed
from tau_stage.text import composed, folded

Entries = dict[str, Node]
WORDS = ("prompt", "user", "assistant", "sfx", "bed", "together", "improvise", "listen", "pause")
"""The words that start a step which is no player's line; the first that is there decides."""


_MARKUP = re.compile(r"\{\{[^{}]*\}\}|</?[a-z][^<>]*>")
"""Templates of other tools, and SSML."""
_BESIDE = re.compile(r"(.+?)\s*[(\[](.+)[)\]]")


def _line_meant(key: str, words: str, players: Collection[str]) -> str:
    """Return a line as it should be whose key holds more than its speaker's name; empty, if it is something else."""
    if (beside := _BESIDE.fullmatch(key)) and beside[1] in players:
        return f"{beside[1]}: {written(f'({beside[2]}) {words}')}"
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
        found: Where errors are noted.
    """

    def __init__(self, players: tuple[str, ...], found: Findings) -> None:
        self.players = players
        self.found = found
        self.loaders: dict[str, Callable[[str, Entries, Path], AnyStep | None]] = {
            **dict.fromkeys(ROLES, self.told),
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
        entries = self.found.mapping(node, path, "a line") or {}
        word = next((word for word in WORDS if word in entries), None)
        speaks = any(key in self.players and key not in STEP_WORDS for key in entries)
        if word and not (speaks and word in Line.options()):
            return self.loaders[word](word, entries, path)
        speaker = self.speaker(entries, path)
        return self.line(entries, speaker, path) if speaker is not None else None

    def no_list(self, node: Node, path: Path, what: str) -> None:
        """Note a mapping or a text where steps belong."""
        first = (*path, next(iter(node))) if isinstance(node, dict) and node else path
        if self.found.misread(first, key=first != path):
            return
        hint = "write each as '- player: words'"
        place = self.found.document.place(first, key=True)
        line = self.found.document.source_of(path).line(place.line)
        if first != path and not line[: place.column - 1].strip():
            hint += f":\n  {line[: place.column - 1]}- {line[place.column - 1 :]}"
        self.found.add(path, f"{what} must be a list", hint)

    def no_mapping(self, node: Node, path: Path) -> None:
        """Note a step that is a text or a list."""
        speaker = re.split("[:\uff1a\ufe55]", node)[0] if isinstance(node, str) else ""
        if composed(speaker.strip()) in self.players and self.found.misread(path):
            return
        hint = "a line is '- player: words'"
        if isinstance(node, str) and speaker.strip() in self.players:
            words = node.partition(":")[2].strip()
            hint = self.rewritten(f"{written(speaker.strip())}: {written(words)}", path)
        self.found.add(path, "this line has no speaker", hint)

    def rewritten(self, meant: str, path: Path, *, key: bool = False) -> str:
        """Return a hint that shows a line as it should be."""
        place = self.found.document.place(path, key=key)
        head = self.found.document.source_of(path).line(place.line)[: place.column - 1]
        return f"write it like this:\n  {head}{meant}" if head.strip() == "-" else f"write {meant}"

    def speaker(self, entries: Entries, path: Path) -> str | None:
        """Find the key of a step that says who speaks; what hinders is noted."""
        strangers = [key for key in entries if key not in Line.options()]
        speakers = [key for key in strangers if key in self.players]
        if len(speakers) > 1:
            problem = "two players speak in one line"
            here = (*path, speakers[1])
            place = self.found.document.place(here, key=True)
            line = self.found.document.source_of(here).line(place.line)
            hint = "start every line with '- '"
            if not line[: place.column - 1].strip():
                hint += f":\n  {line[: place.column - 1].removesuffix('  ')}- {line[place.column - 1 :]}"
            self.found.add(here, problem, hint, key=True)
            return None
        if speakers:
            return speakers[0]
        if self.told_apart(entries, path):
            return None
        if not strangers:
            self.found.add(path, "this line has no speaker", "a line is '- player: words'")
            return None
        self.stranger(strangers[0], path, entries[strangers[0]])
        return None

    def told_apart(self, entries: Entries, path: Path) -> bool:
        """Note a line that names speaker and words by keys, as other formats do; whether it is one."""
        who = next((key for key in SPEAKER_WORDS if isinstance(entries.get(key), str)), None)
        what = next((key for key in TEXT_WORDS if isinstance(entries.get(key), str)), None)
        if who is None or what is None:
            return False
        words = " ".join(str(entries[what]).split())
        hint = f"write it like this:\n  - {written(str(entries[who]))}: {written(words)}"
        self.found.add((*path, who), "a line's key is its speaker, and its value what is said", hint, key=True)
        return True

    def stranger(self, key: str, path: Path, value: Node) -> None:
        """Note a key that is neither a player nor an option."""
        here = (*path, key)
        if self.found.misread(here, key=True):
            return
        if key in STEP_WORDS | LINE_OPTIONS:
            hint = f"a step is '- player: words', or starts with {', '.join(WORDS)}"
            self.found.add(here, f"'{key}' starts no step", hint, key=True)
        elif self.players:
            hint = did_you_mean(key, self.players, f"players: {listed(self.players)}")
            if isinstance(value, str) and (meant := _line_meant(key, value, self.players)):
                hint = self.rewritten(meant, here, key=True)
            elif step := next((word for word in WORDS if folded(key) in MEANT.get(word, ())), ""):
                hint = f"did you mean '{step}'?"
            self.found.add(here, f"there is no player '{key}'", hint, key=True)

    def build(
        self,
        model: type[Step],
        values: dict[str, Any],
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
        elsewhere = elsewhere or {}
        if "when" in values:
            place = elsewhere.get("when", (*path, "when"))
            values["when"] = load_when(values["when"], place, self.found)
        values |= {"path": at[:-1], "source_line": self.found.document.place(at, key=True).line}
        step = self.found.build(model, values, path, owner, elsewhere)
        assert isinstance(step, AnyStep)  # noqa: S101 - every model given here is one
        return step

    # ---- lines

    def line(self, entries: Entries, speaker: str, path: Path) -> AnyStep | None:
        """Load a player's line."""
        here, found = (*path, speaker), self.found
        rest = {key: value for key, value in entries.items() if key != speaker}
        values: dict[str, Any] = dict(found.known(rest, Line.options(), path, "the line"))
        text = found.text(entries[speaker], here, "a line")
        if text is None:
            return None
        values |= {"speaker": speaker, "words": ""}
        if "improvise" not in values:
            if not self.speech(text, values, here):
                return None
        elif text.strip():
            found.add((*path, "improvise"), "a line has words, or is improvised", "remove one of them", key=True)
            return None
        if "cut_in" in values:
            values["cut_in"] = self.cut_in(entries["cut_in"], (*path, "cut_in"))
        if "expect" in values:
            values["expect"] = load_expect(entries["expect"], (*path, "expect"), self.found)
        return self.build(Line, values, path, "the line", here)

    def speech(self, text: str, values: dict[str, Any], path: Path) -> bool:
        """Take a line's text apart; False if it cannot be, which is noted."""
        try:
            speech = parse_speech(text)
        except PydanticCustomError as error:
            told = error.context or {}
            self.found.add(path, told["problem"], told["hint"])
            return False
        if speech.direction:
            also = values.get("direction")
            values["direction"] = f"{speech.direction}, {also}" if isinstance(also, str) and also else speech.direction
        if speech.aside:
            hint = rf"write [{speech.aside}] for a moment, or \({speech.aside}\) to have it spoken"
            self.found.remark(path, f"'({speech.aside})' is spoken", hint)
        if markup := _MARKUP.search(speech.words):
            hint = "a variable is ${name}" if markup[0].startswith("{") else "write [like this] for a moment"
            self.found.remark(path, f"'{markup[0]}' is spoken", hint)
        values["words"] = speech.words
        return True

    def cut_in(self, node: Node, path: Path) -> CutIn:
        """Load ``{on: clerk, after: 900ms}``, or only whose line it cuts."""
        entries: Node = {"on": node} if isinstance(node, str) and node else node
        hint = "write it like {on: clerk, after: 900ms}"
        known = self.found.mapping(entries, path, "cut_in", hint) or {}
        return self.found.build(CutIn, dict(self.found.known(known, CutIn.options(), path, "cut_in")), path, "cut_in")

    # ---- what is no line

    def own(self, word: str, entries: Entries, path: Path, options: tuple[str, ...], owner: str) -> dict[str, Any]:
        """Load the options beside a step's word; whoever speaks in the same step is noted."""
        speakers = [key for key in entries if key in self.players and key not in STEP_WORDS]
        for name in speakers:
            problem = f"{owner} and a line stand in one step"
            self.found.add((*path, name), problem, "start every step with '- '", key=True)
        rest = {key: value for key, value in entries.items() if key not in (*speakers, word)}
        return dict(self.found.known(rest, options, path, owner))

    def told(self, word: str, entries: Entries, path: Path) -> AnyStep | None:
        """Load ``prompt``, ``user`` and ``assistant``."""
        owner = {"user": "a user item", "assistant": "an assistant item"}.get(word, "a prompt")
        values = self.own(word, entries, path, (*Step.options(), word), owner)
        here = (*path, word)
        hint = f"write it like '- {word}: {{player: {'what to whisper' if word == 'prompt' else 'what was said'}}}'"
        node = entries[word]
        if not isinstance(node, dict) or not node:
            self.found.add(here, f"{owner} needs a player and a text", hint)
            return None
        items = self.found.mapping(node, here, owner) or {}
        wavs = {name: wav for name, item in items.items() if word == "user" and (wav := _wav(item))}
        texts = {name: self.item(word, item, (*here, name), owner) for name, item in items.items() if name not in wavs}
        for name, text in texts.items():
            if text is not None and not text.strip():
                self.found.add((*here, name), f"{owner} needs a text", hint)
        if not all(text and text.strip() for text in texts.values()):
            return None
        told = {name: text.strip() for name, text in texts.items() if text}
        return self.build(Told, {**values, "role": ROLES[word], "told": told, "wav": wavs}, path, owner, here)

    def item(self, word: str, node: Node, path: Path, owner: str) -> str | None:
        """Load the text of an item; where a sound seems to be meant, say how one is written."""
        if isinstance(node, dict) and any(key.startswith("wav") for key in node):
            hint = "write it like {wav: guest.wav}" if word == "user" else "only a 'user' item may be a sound"
            self.found.add(path, f"{owner} is no such sound", hint)
            return None
        return self.found.text(node, path, owner)

    def pause(self, word: str, entries: Entries, path: Path) -> AnyStep:
        """Load a silence."""
        values = self.own(word, entries, path, Pause.options(), "a pause")
        return self.build(Pause, {**values, "pause": entries[word]}, path, "the pause", (*path, word))

    def sound(self, word: str, entries: Entries, path: Path) -> AnyStep | None:
        """Load ``sfx`` and ``bed``."""
        owner = "a sound effect" if word == "sfx" else "a bed"
        options = tuple(key for key in Sound.options() if key != ("until" if word == "sfx" else "pause"))
        values = self.own(word, entries, path, options, owner)
        file = entries[word]
        if not isinstance(file, str) or not file.strip():
            self.found.add((*path, word), f"{owner} needs a sound file", f"write it like '- {word}: sounds/door.wav'")
            return None
        return self.build(Sound, {**values, "kind": word, "file": file.strip()}, path, owner, (*path, word))

    def together(self, word: str, entries: Entries, path: Path) -> AnyStep | None:
        """Load several lines at once."""
        here = (*path, word)
        values = self.own(word, entries, path, Together.options(), "a group")
        node = entries[word]
        if not isinstance(node, list) or len(node) < 2:
            hint = "write the lines under it, each as '- player: words'"
            self.found.add(here, "'together' needs two lines or more", hint)
            return None
        steps = self.load(node, here, "together")
        for step in steps:
            if not isinstance(step, Line | Sound) or (isinstance(step, Sound) and step.kind == "bed"):
                hint = "put this step before or after it"
                self.found.add(step.path, "only lines and sound effects stand under 'together'", hint)
        parts = tuple(step for step in steps if isinstance(step, Line | Sound))
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
        inner = self.found.mapping(node, here, owner, f"write it like '- {word}: {{turns: 6}}'")
        if inner is None:
            return None
        options = tuple(key for key in model.options() if key not in (*Step.options(), "pause"))
        known = self.found.known(inner, options, here, owner)
        elsewhere = {key: (*path, key) for key in outer}
        return self.build(model, {**outer, **known}, here, owner, here, elsewhere)


def _wav(node: Node) -> str | None:
    """Load the file of ``{wav: guest.wav}``."""
    if isinstance(node, dict) and list(node) == ["wav"] and isinstance(node["wav"], str) and node["wav"]:
        return node["wav"]
    return None
