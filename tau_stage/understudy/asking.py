"""What was asked for in so many words: a line to perform, or silence. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tau_stage.understudy.actor import Cue

LINE = re.compile(r'^(?P<how>[^"]*?):\s*"(?P<words>.*)"\s*$', re.DOTALL)
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
    """The line to perform: of the last whisper, else of the user, else of the response's own instructions."""
    if cue.output is not None:
        return None
    return line_after(cue.whisper) or line_in(cue.user) or line_after(cue.own)


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
