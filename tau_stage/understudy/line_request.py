"""What a request asks for in so many words: a line to perform, or silence. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tau_stage.understudy.actor import SpeechRequest

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
    """Find the line that a text asks for: in quotes, after the first colon.

    >>> quoted_line('Perform this line, slowly: "No."')
    RequestedLine(words='No.', how='Perform this line, slowly')
    >>> quoted_line("No.") is None
    True
    """
    found = LINE.match(text.strip())
    return RequestedLine(found["words"], found["how"]) if found else None


def last_quoted_line(text: str) -> RequestedLine | None:
    r"""Find the line at the end of a longer text: that of its last paragraph, if it has one of its own.

    >>> last_quoted_line('You often say: "Ahoy".\nPerform this line: "No."').words
    'No.'
    """
    return quoted_line(text.strip().rpartition("\n")[2]) or quoted_line(text)


def requested_line(request: SpeechRequest) -> RequestedLine | None:
    """Find the line to perform: of the last whisper, else of the user, else of the response's own instructions.

    What is to be repeated counts too, and then also if it was heard last.
    """
    if request.output is not None:
        return None
    heard = request.heard[-1].words if request.heard else ""
    lines = last_quoted_line(request.whisper), quoted_line(request.user), last_quoted_line(request.own)
    asked = map(line_to_repeat, (request.whisper, request.user, request.own, heard))
    return next(filter(None, (*lines, *asked)), None)


def line_to_repeat(text: str) -> RequestedLine | None:
    """Find what a text wants to be repeated, without a direction.

    >>> line_to_repeat("Please repeat after me: No, never.")
    RequestedLine(words='No, never.', how='')
    """
    found = REPEAT.match(text) or SAY.match(text)
    return RequestedLine(found["words"].strip()) if found else None


def direction_before_line(text: str) -> str:
    """Cut the line off the end of a text: the words of a line do not colour how it is said."""
    line = last_quoted_line(text)
    return text.strip().removesuffix(f'"{line.words}"') if line else text


def wants_silence(request: SpeechRequest) -> bool:
    """Tell whether the last whisper wants silence: ``Say nothing``, and no line after it.

    >>> wants_silence(SpeechRequest("", (), "", (), "ash", whisper="Not your turn. Say nothing."))
    True
    """
    is_wanted = request.output is None and SILENCE.search(request.whisper)
    return bool(is_wanted) and last_quoted_line(request.whisper) is None
