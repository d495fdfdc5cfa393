"""How a line is performed: its sounds, its stress, its colour.

A line that is asked for is performed as written; else the actor improvises.
Pure: a request in, a plan out. How it sounds is the voices' business; what colours it stands in ``delivery.toml``.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tau_stage.cost import MARK, plain_words
from tau_stage.text import language_of, told_language
from tau_stage.understudy.actor import SpeechRequest
from tau_stage.understudy.improvisation import improvise

Kind = Literal["breath", "sigh", "cough", "laugh", "pause"]

WORDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
MOMENTS: list[tuple[str, Kind]] = [(part, kind) for kind, parts in WORDS["moments"].items() for part in parts.split()]
COLOURS: dict[str, tuple[float, float, float]] = WORDS["colours"]
TAKES: list[tuple[float, float]] = WORDS["takes"]["factors"]
EMPHASIS = {"shout": (4.0, 0.95), "stress": (2.0, 0.88)}  # decibels and a factor on the rate, by the kind of mark
WHISPER = ("whisper", "conspirator", "under his breath", "under her breath", "under their breath")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words in one breath; their loudness and their rate are against the rest of the line."""

    text: str
    gain_db: float = 0.0
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that is heard and is no word."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class SpeechStyle:
    """How a whole line is said: factors on rate and pitch, -4 to 2 dB, whispered or not, and which take, from 1."""

    rate: float = 1.0
    pitch: float = 1.0
    gain_db: float = 0.0
    whispered: bool = False
    take: int = 1


@dataclass(frozen=True, slots=True)
class SpeechPlan:
    """A line, ready to be spoken; ``transcript`` is its words as a provider would write them: no brackets, no stars."""

    parts: tuple[Phrase | Moment, ...]
    transcript: str
    style: SpeechStyle
    language: str = ""  # its code; empty: English


def plan_speech(request: SpeechRequest) -> SpeechPlan:
    """Plan what to say, and how.

    >>> from tau_stage.understudy.actor import SpeechRequest
    >>> asked = 'Perform this line, slowly: "Well, not in *here*. [coughs] Give it a minute."'
    >>> plan = plan_speech(SpeechRequest(instructions="", system=(), user=asked, heard=(), voice="ash"))
    >>> plan.transcript
    'Well, not in here. Give it a minute.'
    >>> plan.style.rate
    0.82
    """
    line = requested_line(request)
    words = line.words if line else improvise(request)
    always = " ".join(map(direction_before_line, (request.instructions, *request.system)))
    style = _style(line.how if line else "", always, request.speed, request.take)
    told = told_language("\n".join((request.instructions, *request.system, request.own))) if line else ""
    transcript = plain_words(words)
    return SpeechPlan(tuple(_parts(words)), transcript, style, language_of(transcript, told))


def _moment(told: str) -> Moment:
    return Moment(next((kind for part, kind in MOMENTS if part in told), "breath"))


def _parts(words: str) -> list[Phrase | Moment]:
    parts: list[Phrase | Moment] = []
    at = 0
    for piece in MARK.finditer(words):
        _add(parts, words[at : piece.start()])
        at = piece.end()
        match piece.lastgroup:
            case "moment":
                parts.append(_moment(piece["moment"].lower()))
            case "rest":
                parts.append(Moment("pause"))
            case group:
                _add(parts, piece[str(group)], *EMPHASIS[str(group)])
    _add(parts, words[at:])
    is_sign = any(unicodedata.category(sign).startswith("S") for sign in words)
    return parts or [Phrase(words) if is_sign else Moment("breath")]


def _add(parts: list[Phrase | Moment], text: str, gain_db: float = 0.0, rate: float = 1.0) -> None:
    """Add words, if there are any; a mark at their beginning belongs to the words before it."""
    mark = re.match(r"[.,;:!?]*", text)
    if mark and parts and isinstance(parts[-1], Phrase):
        last = parts[-1]
        parts[-1] = Phrase(last.text + mark[0], last.gain_db, last.rate)
        text = text[mark.end() :]
    if re.search(r"\w", text):
        parts.append(Phrase(" ".join(text.split()), gain_db, rate))


def _style(how: str, always: str, speed: float, take: int) -> SpeechStyle:
    """Combine directions: the line's own counts whole, what is always so half; every further take is said otherwise."""
    rate, pitch, gain = speed, 1.0, 0.0
    how, always = how.lower(), always.lower()
    for text, weight in ((how, 1.0), (always, 0.5)):
        for part, (faster, higher, louder) in COLOURS.items():
            if part in text:
                rate, pitch, gain = rate * faster**weight, pitch * higher**weight, gain + louder * weight
    whispered = any(word in f"{how}\n{always}" for word in WHISPER)
    rate, pitch = min(max(rate, 0.6), 1.7), min(max(pitch, 0.8), 1.25)
    if take > 1:
        faster, higher = TAKES[(take - 2) % len(TAKES)]
        rate, pitch = rate * faster, pitch * higher
    return SpeechStyle(round(rate, 4), round(pitch, 4), min(max(gain, -4.0), 2.0), whispered, take)


LINE = re.compile(r'^(?P<how>[^"]*?):\s*"(?P<words>.*)"\s*$', re.DOTALL)
REPEAT = re.compile(
    r"^\W*(?:please\s+|(?:can|could|will|would) you\s+(?:please\s+)?|now\s+)?"
    r"(?:repeat after me\s*[:,]|(?:say|repeat|read|speak)\b[^\n:\".?!]{0,60}:)\s*(?P<words>[^\s\"“].*)$",
    re.DOTALL | re.IGNORECASE,
)
"""A line without quotes: ``Repeat after me: ...``."""

SAY = re.compile(
    r"^\W*(?:please\s+|(?:can|could|will|would) you\s+(?:please\s+)?)?(?:just\s+)?(?:say|repeat)\b"
    r"[^\n:\"“”.?!]{0,30}[\"“](?P<words>[^\"“”]+)[\"”][^\"“”:]{0,40}$",
    re.IGNORECASE,
)
"""A line in quotes, without a colon: ``Say "yes" and nothing else``."""

SILENCE = re.compile(r"\bSay nothing\b(?!\s+(?:else|more|but|about|of|to|until|unless)\b)")


@dataclass(frozen=True, slots=True)
class RequestedLine:
    """A line that is asked for: what to say, as written, and the direction before it."""

    words: str
    how: str = ""


def quoted_line(text: str) -> RequestedLine | None:
    """Find the line that a text asks for: in quotes, after the first colon."""
    found = LINE.match(text.strip())
    return RequestedLine(found["words"], found["how"]) if found else None


def last_quoted_line(text: str) -> RequestedLine | None:
    """Find the line at the end of a longer text: that of its last paragraph, if it has one of its own."""
    return quoted_line(text.strip().rpartition("\n")[2]) or quoted_line(text)


def requested_line(request: SpeechRequest) -> RequestedLine | None:
    """Find the line to perform: of the last whisper, else of the user, else of the response's own instructions.

    What is to be repeated counts too, and then also if it was heard last.
    """
    if request.verbatim:
        return RequestedLine(request.verbatim)
    if request.output is not None:
        return None
    heard = request.heard[-1].words if request.heard else ""
    lines = last_quoted_line(request.whisper), quoted_line(request.user), last_quoted_line(request.own)
    asked = map(line_to_repeat, (request.whisper, request.user, request.own, heard))
    return next(filter(None, (*lines, *asked)), None)


def line_to_repeat(text: str) -> RequestedLine | None:
    """Find what a text wants to be repeated, without a direction."""
    found = REPEAT.match(text) or SAY.match(text)
    return RequestedLine(found["words"].strip()) if found else None


def direction_before_line(text: str) -> str:
    """Cut the line off the end of a text: the words of a line do not colour how it is said."""
    line = last_quoted_line(text)
    return text.strip().removesuffix(f'"{line.words}"') if line else text


CONTRACTED = (("do not", "don't"), ("I am", "I'm"), ("it is", "it's"), ("is not", "isn't"), ("cannot", "can't"))


def reworded(words: str) -> str:
    """Say a line with other words, as models do: contracted where it can be, else with a word more, and one less.

    >>> reworded("I do not know."), reworded("Can I have it?")
    ("I don't know.", 'Well, Can I have')
    """
    for long, short in CONTRACTED:
        if re.search(rf"\b{long}\b", words):
            return re.sub(rf"\b{long}\b", short, words, count=1)
    return f"Well, {words.strip().rpartition(' ')[0]}".strip()


def wants_silence(request: SpeechRequest) -> bool:
    """Tell whether the last whisper wants silence: ``Say nothing``, and no line after it."""
    is_wanted = request.output is None and not request.verbatim and SILENCE.search(request.whisper)
    return bool(is_wanted) and last_quoted_line(request.whisper) is None
