"""What was asked for in so many words: a line to perform, or silence. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tau_stage.understudy.actor import Cue

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
class Line:
    """A line that is asked for.

    Attributes:
        words: What to say, as written.
        how: The direction before it.
    """

    words: str
    how: str = ""


def line_in(text: str) -> Line | None:
    """The line that a text asks for: in quotes, after the first colon.

    >>> line_in('Perform this line, slowly: "No."')
    Line(words='No.', how='Perform this line, slowly')
    >>> line_in("No.") is None
    True
    """
    found = LINE.match(text.strip())
    return Line(found["words"], found["how"]) if found else None


def line_after(text: str) -> Line | None:
    r"""The line at the end of a longer text: that of its last paragraph, if it has one of its own.

    >>> line_after('You often say: "Ahoy".\nPerform this line: "No."').words
    'No.'
    """
    return line_in(text.strip().rpartition("\n")[2]) or line_in(text)


def asked_line(cue: Cue) -> Line | None:
    """The line to perform: of the last whisper, else of the user, else of the response's own instructions.

    What is to be repeated counts too, and then also if it was heard last.
    """
    if cue.output is not None:
        return None
    heard = cue.heard[-1].words if cue.heard else ""
    lines = line_after(cue.whisper), line_in(cue.user), line_after(cue.own)
    asked = (repeated_in(text) for text in (cue.whisper, cue.user, cue.own, heard))
    return next(filter(None, (*lines, *asked)), None)


def repeated_in(text: str) -> Line | None:
    """What a text wants to be repeated, without a direction.

    >>> repeated_in("Please repeat after me: No, never.")
    Line(words='No, never.', how='')
    """
    found = REPEAT.match(text) or SAY.match(text)
    return Line(found["words"].strip()) if found else None


def direction_of(text: str) -> str:
    """A text without the line at its end: the words of a line do not colour how it is said."""
    line = line_after(text)
    return text.strip().removesuffix(f'"{line.words}"') if line else text


def passes(cue: Cue) -> bool:
    """Whether the last whisper wants silence: ``Say nothing``, and no line after it.

    >>> passes(Cue("", (), "", (), "ash", whisper="Not your turn. Say nothing."))
    True
    """
    return cue.output is None and bool(SILENCE.search(cue.whisper)) and line_after(cue.whisper) is None
