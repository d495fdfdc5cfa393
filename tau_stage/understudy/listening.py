"""What a response has to go by: the conversation as its actor takes it in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tau_stage.protocol import Item
from tau_stage.understudy.actor import SpeechRequest, Utterance
from tau_stage.understudy.line_request import quoted_line, requested_line
from tau_stage.understudy.run import ResponseRun
from tau_stage.understudy.sound_store import INAUDIBLE, KnownSpeech
from tau_stage.understudy.stored_items import StoredItem
from tau_stage.understudy.tool_choice import choose_calls

NOTHING = StoredItem(Item())
"""Stands for the last item of a conversation that has none."""

COMMENT = "One moment, I will look into that."
SAYS = r"(?:says|said|asks|asked|answers|replies|adds|shouts|whispers)"
LABEL = re.compile(rf"^\s*(?P<who>[^\s:\"]+(?: [^\s:\"]+){{0,3}}?)(?:\s+{SAYS}[^\n:\"]*)?:\s*$")
"""A text that only tells who is heard next: a name of up to four words."""

LABELLED = re.compile(rf"^\s*(?P<who>[^\s:\"]+(?: [^\s:\"]+){{0,3}}?)\s+{SAYS}:\s*(?P<words>\S.*)$", re.DOTALL)
"""A text that tells who said it, and what."""


def request_for(run: ResponseRun, known_speech: KnownSpeech) -> SpeechRequest:
    """Collect what the actor is told before a response; the words of some sounds are known."""
    read, last = run.read, run.read[-1] if run.read else NOTHING
    answers = [at for at, kept in enumerate(read, 1) if _is_answer(kept)]
    return SpeechRequest(
        instructions=run.settings["instructions"],
        system=_words_of("system", read),
        user=_written_last(read),
        heard=tuple(utterances(read[max(answers, default=0) :], known_speech)),
        voice=run.voice,
        speed=float(run.settings["audio"]["output"]["speed"]),
        wants_audio=run.settings["output_modalities"] == ["audio"],
        output=_last_output(read) if last.item.type == "function_call_output" else None,
        own=run.wanted.instructions or "",
        whisper=last.words if last.item.role == "system" else "",
        said=tuple(filter(None, _words_of("assistant", read))),
    )


def _words_of(role: str, read: Iterable[StoredItem]) -> tuple[str, ...]:
    return tuple(kept.words for kept in read if kept.item.role == role)


def _last_output(read: tuple[StoredItem, ...]) -> str | None:
    return next((kept.item.output for kept in reversed(read) if kept.item.output), None)


def asked_with(run: ResponseRun, request: SpeechRequest) -> tuple[str, str]:
    """Tell what a response is asked for with; whoever asks with the same again, right after it, wants another take."""
    last = run.read[-1].item.id if run.read and run.wanted.input is None else request.user
    return last, request.own


def take_named(run: ResponseRun) -> int:
    """Read which take of a line a response is said to be; 0: nobody says."""
    named = str((run.wanted.metadata or {}).get("take", ""))
    return int(named) if re.fullmatch(r"[1-9]\d?", named) else 0


def comment_request(request: SpeechRequest) -> SpeechRequest:
    """Request what the actor says where it says what it is about to do, before it does so."""
    return replace(request, user=f'Say: "{COMMENT}"', system=(), own="", whisper="", heard=())


def wanted_calls(run: ResponseRun, request: SpeechRequest) -> list[tuple[str, str]]:
    """Choose the tools that a response calls, each with its arguments as JSON.

    Outputs that have come are answered in speech, and a line that is asked for is spoken, not acted upon; but a call
    that is required is made, then too.
    """
    is_answered = bool(run.read) and run.read[-1].item.type == "function_call_output"
    choice, words = run.settings["tool_choice"], (utterance.words for utterance in request.heard if utterance.words)
    if choice == "auto" and (is_answered or requested_line(request)):
        return []
    return choose_calls(run.settings["tools"], choice, " ".join(words))


def utterances(read: Iterable[StoredItem], known_speech: KnownSpeech) -> Iterator[Utterance]:
    """List what others said in a stretch of a conversation, in order."""
    who = ""
    others = (kept for kept in read if kept.item.role == "user" and not quoted_line(_text(kept)))
    for source, part in ((kept, part) for kept in others for part in kept.item.content or ()):
        if part.type == "input_audio":
            yield Utterance(part.transcript or _known(source, known_speech), who)
            who = ""
        elif label := LABEL.match(part.text or ""):
            who = label["who"].strip()
        elif part.text:
            yield _written(part.text, who)
            who = ""


def _written(words: str, who: str) -> Utterance:
    """Read who said something from the words themselves, where they tell."""
    told = LABELLED.match(words)
    return Utterance(told["words"], told["who"]) if told else Utterance(words, who)


def _is_answer(kept: StoredItem) -> bool:
    return kept.item.role == "assistant" or kept.item.type == "function_call"


def _written_last(read: tuple[StoredItem, ...]) -> str:
    """Find the text of the last message of the user, unless it was answered to the end."""
    for kept in reversed(read):
        if kept.item.role == "user":
            return _text(kept)
        if kept.item.role == "assistant" and kept.item.status == "completed":
            return ""
    return ""


def _text(kept: StoredItem) -> str:
    """Find what is written in a message; a label is not counted."""
    texts = (part.text for part in kept.item.content or () if part.text)
    return " ".join(text for text in texts if not LABEL.match(text))


def _known(kept: StoredItem, known_speech: KnownSpeech) -> str:
    words = known_speech.words(kept.sound) if kept.sound else INAUDIBLE
    return "" if words == INAUDIBLE else words
