"""What to say when nobody gives a line: something short that fits what was heard, and always the same for the same.

Pure. Words and voice decide together, so two players who hear the same thing do not answer the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from pydantic_core import from_json

from tau_stage.scene.voices import OPENAI_VOICES
from tau_stage.understudy.actor import Cue, Remark
from tau_stage.understudy.phrases import ABOUT, CALLS, PLAIN, TITLED_CALLS
from tau_stage.understudy.topics import Topic, kind_of, topic_of

END = r"(?:(?<!\bDr)(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bSt)\.(?:\s|$)|\n|$)"
"""Where a sentence ends; not after a title."""

PLAYERS = re.compile(rf"\bWith you plays?:\s*(?P<told>[^\n]+?)\s*{END}", re.IGNORECASE)
SUBJECT = re.compile(rf"\bIt is about:\s*(?P<told>[^\n]+?)\s*{END}", re.IGNORECASE)
SELF = re.compile(r"\bYou are (?P<told>[^.,;:\n]+)", re.IGNORECASE)
INTERPRETER = re.compile(r"interpret|translat", re.IGNORECASE)


class Briefing(NamedTuple):
    """What a player was told of the play.

    Attributes:
        others: Who else plays.
        subject: What it is about, or empty.
        interprets: Whether the player only says what it hears.
    """

    others: tuple[str, ...]
    subject: str
    interprets: bool


class Seed(NamedTuple):
    """What decides: the words that were heard and how many turns were taken, and the voice.

    >>> Seed("Hello.|0", "ash") == Seed("Hello.|0", "ash"), Seed("Hello.|0", "ash").place == Seed("", "ash").place
    (True, False)
    """

    words: str
    voice: str

    def number(self, what: str) -> int:
        """A number for one decision."""
        return _number(f"{self.words}|{self.voice}|{what}")

    @property
    def place(self) -> int:
        """Where to begin in a list: neighbours for voices that are known, so that they do not say the same."""
        known = self.voice in OPENAI_VOICES
        return _number(self.words) + (OPENAI_VOICES.index(self.voice) if known else _number(self.voice))


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest())


def answer(cue: Cue) -> str:
    """Something short and sensible to whatever was said or heard last.

    >>> heard = (Remark("Is this the last umbrella?", "tourist"),)
    >>> answer(Cue(instructions="", system=(), user="", heard=heard, voice="marin"))
    'That depends on the last umbrella, I should think.'
    """
    if cue.output is not None:
        return reading(cue.output)
    told = briefing((cue.instructions, *cue.system))
    heard = cue.heard or ((Remark(cue.user.strip()),) if cue.user.strip() else ())
    last = next((remark for remark in reversed(heard) if remark.words), None)
    if told.interprets and last:
        return last.words
    names = (*told.others, *_selves(cue), *(remark.who for remark in heard))
    seed = Seed(f"{last.words if last else len(heard)}|{len(cue.said)}", cue.voice)
    if last is None:
        kind = "unheard" if heard else "opening"
        topic = Topic(told.subject, is_thing=True) if told.subject and not heard else None
    else:
        kind, topic = str(kind_of(last.words)), topic_of(last.words, names)
    before = (*(remark.words for remark in heard), *cue.said)
    sentence = _sentence(kind, topic, seed, before)
    call = _call(kind, told.others, seed, before)
    return f"{sentence} {call}".rstrip()


def briefing(texts: Sequence[str]) -> Briefing:
    """What instructions and whispers tell of the play; what is told last counts.

    >>> briefing(["You are Marlow. With you play: keeper, Marlow and the stranger. It is about: the last boat."])
    Briefing(others=('keeper', 'the stranger'), subject='the last boat', interprets=False)
    """
    whole = "\n".join(texts)
    selves = [f"{found['told'].strip().lower()} " for found in SELF.finditer(whole)]
    listed = re.split(r"\s*[,;&]\s*(?:and\s+)?|\s+and\s+", _last(PLAYERS, whole))
    others = (name for name in map(str.strip, listed) if name)
    return Briefing(
        tuple(name for name in others if not any(me.startswith(f"{name.lower()} ") for me in selves)),
        _last(SUBJECT, whole),
        INTERPRETER.search(whole) is not None,
    )


def reading(output: str) -> str:
    """A tool's result in words.

    >>> reading('{"ok": true}'), reading('{"weather": "sunny", "degrees": 21}'), reading('{"error": "no"}')
    ('Done.', 'Weather: sunny, degrees: 21.', 'That did not work: no.')
    """
    try:
        found = from_json(output)
    except ValueError:
        found = output
    if isinstance(found, dict) and "error" in found:
        return f"That did not work: {found['error']}."
    if found in (None, "", {}, [], True, {"ok": True}):
        return "Done."
    if isinstance(found, dict):
        told = ", ".join(f"{key}: {value}" for key, value in found.items())
        return f"{told[:1].upper()}{told[1:]}."
    return f"It says: {found}."


def _last(pattern: re.Pattern[str], text: str) -> str:
    return next((found["told"] for found in reversed([*pattern.finditer(text)])), "")


def _selves(cue: Cue) -> list[str]:
    """Short names of the player itself: longer descriptions may well be talked about."""
    found = SELF.finditer("\n".join((cue.instructions, *cue.system)))
    return [name["told"] for name in found if len(name["told"].split()) <= 2]


def _sentence(kind: str, topic: Topic | None, seed: Seed, before: Sequence[str]) -> str:
    about = "echo" if topic and not topic.is_thing and kind != "opening" else kind
    if topic is None or about not in {*ABOUT} or kind in {"greeting", "thanks", "goodbye"}:
        return _fresh(PLAIN[kind], seed, before)
    template = _fresh(ABOUT[about], seed, before)
    return template.format(the=topic.words, The=topic.words[:1].upper() + topic.words[1:])


def _call(kind: str, others: Sequence[str], seed: Seed, before: Sequence[str]) -> str:
    """Somebody else is addressed, in about half of the turns."""
    if not others or seed.number("call") % 2:
        return ""
    name = others[seed.number("whom") % len(others)]
    calls = TITLED_CALLS if name.lower().startswith(("the ", "a ", "an ")) else CALLS.get(kind, CALLS[""])
    return _fresh(calls, seed, before).format(name=name)


def _fresh(templates: Sequence[str], seed: Seed, before: Sequence[str]) -> str:
    """One of some sentences: one that nobody has said, else the one that was said the longest time ago."""
    start = seed.place % len(templates)
    return min((*templates[start:], *templates[:start]), key=lambda template: _said_at(template, before))


def _said_at(template: str, before: Sequence[str]) -> int:
    """Where a sentence was said last, whatever its topic; -1 if it never was."""
    words = max(re.split(r"{\w+}", template), key=len).strip()
    return max((at for at, said in enumerate(before) if words in said), default=-1)
