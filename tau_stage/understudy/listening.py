"""What a response has to go by: the conversation as its actor takes it in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tau_stage.understudy.actor import Cue, Remark
from tau_stage.understudy.asking import asked_line, line_in
from tau_stage.understudy.helping import calls
from tau_stage.understudy.library import INAUDIBLE, Library
from tau_stage.understudy.memory import Remembered
from tau_stage.understudy.run import Run

COMMENT = "One moment, I will look into that."
SAYS = r"(?:says|said|asks|asked|answers|replies|adds|shouts|whispers)"
LABEL = re.compile(rf"^\s*(?P<who>[^\s:\"]+(?: [^\s:\"]+){{0,3}}?)(?:\s+{SAYS}[^\n:\"]*)?:\s*$")
"""A text that only tells who is heard next: a name of up to four words."""

LABELLED = re.compile(rf"^\s*(?P<who>[^\s:\"]+(?: [^\s:\"]+){{0,3}}?)\s+{SAYS}:\s*(?P<words>\S.*)$", re.DOTALL)
"""A text that tells who said it, and what."""


def cue_for(run: Run, library: Library) -> Cue:
    """What the actor is told before a response.

    Args:
        run: The response.
        library: Knows the words of some sounds that come without.
    """
    read = run.read
    answers = [at for at, kept in enumerate(read) if _is_answer(kept)]
    since = answers[-1] + 1 if answers else 0
    outputs = [kept.item.output for kept in read if kept.item.output]
    last = read[-1].item if read else None
    return Cue(
        instructions=run.instructions,
        system=tuple(kept.words for kept in read if kept.item.role == "system"),
        user=_written_last(read),
        heard=tuple(remarks(read[since:], library)),
        voice=run.voice,
        speed=float(run.session["audio"]["output"]["speed"]),
        aloud=run.modalities == ("audio",),
        output=outputs[-1] if last and last.type == "function_call_output" and outputs else None,
        own=run.wanted.instructions or "",
        whisper=read[-1].words if last and last.role == "system" else "",
        said=tuple(kept.words for kept in read if kept.item.role == "assistant" and kept.words),
    )


def asked_with(run: Run, cue: Cue) -> tuple[str, str]:
    """What a response is asked for with; whoever asks with the same again, right after it, wants another take."""
    last = run.read[-1].item.id if run.read and run.wanted.input is None else cue.user
    return last, cue.own


def comment_on(cue: Cue) -> Cue:
    """What the actor is told where it says what it is about to do, before it does so."""
    return replace(cue, user=f'Say: "{COMMENT}"', system=(), own="", whisper="", heard=())


def wanted(run: Run, cue: Cue) -> list[tuple[str, str]]:
    """The tools that a response calls, each with its arguments as JSON.

    Outputs that have come are answered in speech, and a line that is asked for is spoken, not acted upon; but a call
    that is required is made, then too.
    """
    is_answered = bool(run.read) and run.read[-1].item.type == "function_call_output"
    if run.tool_choice == "auto" and (is_answered or asked_line(cue)):
        return []
    return calls(run.tools, run.tool_choice, " ".join(remark.words for remark in cue.heard if remark.words))


def remarks(read: Iterable[Remembered], library: Library) -> Iterator[Remark]:
    """What others said in a stretch of a conversation, in order.

    Args:
        read: The stretch.
        library: Knows the words of some sounds that come without.
    """
    who = ""
    for kept in read:
        if kept.item.role != "user" or line_in(_text(kept)):
            continue
        for part in kept.item.content or ():
            if part.type == "input_audio":
                yield Remark(part.transcript or _known(kept, library), who)
                who = ""
            elif label := LABEL.match(part.text or ""):
                who = label["who"].strip()
            elif part.text:
                told = LABELLED.match(part.text)
                yield Remark(told["words"], told["who"]) if told else Remark(part.text, who)
                who = ""


def _is_answer(kept: Remembered) -> bool:
    return kept.item.role == "assistant" or kept.item.type == "function_call"


def _written_last(read: tuple[Remembered, ...]) -> str:
    """The text of the last message of the user, unless it was answered to the end."""
    for kept in reversed(read):
        if kept.item.role == "user":
            return _text(kept)
        if kept.item.role == "assistant" and kept.item.status == "completed":
            return ""
    return ""


def _text(kept: Remembered) -> str:
    """What is written in a message; a label is not counted."""
    texts = (part.text for part in kept.item.content or () if part.text)
    return " ".join(text for text in texts if not LABEL.match(text))


def _known(kept: Remembered, library: Library) -> str:
    words = library.words(kept.sound) if kept.sound else INAUDIBLE
    return "" if words == INAUDIBLE else words
