"""What a response has to go by: turns found in the input, and the conversation as its actor takes it in.

The parameters of turn detection and their meaning are those of ``server_vad`` (OpenAI API reference, "Voice activity
detection"); ``semantic_vad`` is taken as a silence whose length its eagerness sets. The threshold of 0.5 stands for
-45 dBFS, which separates clean speech from silence; 0 and 1 are 20 dB below and above.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tau_stage.audio import RATE, Pcm, rms_dbfs
from tau_stage.protocol import JsonObject
from tau_stage.understudy.actor import SpeechRequest, Utterance
from tau_stage.understudy.delivery import quoted_line, requested_line
from tau_stage.understudy.settings import ResponseRun
from tau_stage.understudy.sound_store import INAUDIBLE, KnownSpeech
from tau_stage.understudy.stored_items import StoredItem
from tau_stage.understudy.tool_choice import choose_calls

ANSWERS = ("assistant", "function_call")  # kinds of items that a model makes
COMMENT = "One moment, I will look into that."
SAYS = r"(?:says|said|asks|asked|answers|replies|adds|shouts|whispers)"
LABEL = re.compile(rf"^\s*(?P<who>[^\s:\"]+(?: [^\s:\"]+){{0,3}}?)(?:\s+{SAYS}[^\n:\"]*)?:\s*$")
"""A text that only tells who is heard next: a name of up to four words."""

LABELLED = re.compile(rf"^\s*(?P<who>[^\s:\"]+(?: [^\s:\"]+){{0,3}}?)\s+{SAYS}:\s*(?P<words>\S.*)$", re.DOTALL)
"""A text that tells who said it, and what."""


def request_for(run: ResponseRun, known_speech: KnownSpeech) -> SpeechRequest:
    """Collect what the actor is told before a response; the words of some sounds are known."""
    read, last = run.read, run.last
    answers = [at for at, kept in enumerate(read, 1) if kept.kind in ANSWERS]
    return SpeechRequest(
        instructions=run.settings["instructions"],
        system=_words_of("system", read),
        user=_written_last(read),
        heard=tuple(utterances(read[max(answers, default=0) :], known_speech)),
        voice=run.voice,
        speed=float(run.settings["audio"]["output"]["speed"]),
        wants_audio=run.settings["output_modalities"] == ["audio"],
        output=last.words if last.kind == "function_call_output" else None,
        own=run.wanted.instructions or "",
        whisper=last.words if last.kind == "system" else "",
        said=tuple(filter(None, _words_of("assistant", read))),
        verbatim=run.verbatim,
    )


def _words_of(role: str, read: Iterable[StoredItem]) -> tuple[str, ...]:
    return tuple(kept.words for kept in read if kept.kind == role)


def asked_with(run: ResponseRun, request: SpeechRequest) -> tuple[str, str]:
    """Tell what a response is asked for with; whoever asks with the same again, right after it, wants another take."""
    last = run.last.id if run.wanted.input is None else request.user
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
    is_answered = run.last.kind == "function_call_output"
    choice, words = run.settings["tool_choice"], (utterance.words for utterance in request.heard if utterance.words)
    if request.verbatim or (choice == "auto" and (is_answered or requested_line(request))):
        return []
    return choose_calls(run.settings["tools"], choice, " ".join(words))


def utterances(read: Iterable[StoredItem], known_speech: KnownSpeech) -> Iterator[Utterance]:
    """List what others said in a stretch of a conversation, in order."""
    who = ""
    others = (kept for kept in read if kept.kind == "user" and not quoted_line(_text(kept)))
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


def _written_last(read: tuple[StoredItem, ...]) -> str:
    """Find the text of the last message of the user, unless it was answered to the end."""
    for kept in reversed(read):
        if kept.kind == "user":
            return _text(kept)
        if kept.kind == "assistant" and kept.item.status == "completed":
            return ""
    return ""


def _text(kept: StoredItem) -> str:
    """Find what is written in a message; a label is not counted."""
    texts = (part.text for part in kept.item.content or () if part.text)
    return " ".join(text for text in texts if not LABEL.match(text))


def _known(kept: StoredItem, known_speech: KnownSpeech) -> str:
    words = known_speech.words(kept.sound) if kept.sound else INAUDIBLE
    return "" if words == INAUDIBLE else words


FRAME_MS = 20
FRAME = RATE * FRAME_MS // 1000
STARTING_FRAMES = 3  # loud frames in a row that are speech; a click has fewer
PATIENCE_MS = {"low": 1600, "medium": 800, "auto": 800, "high": 400}


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """Speech began, so many milliseconds into the input, padding included."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """Speech ended; the turn reaches from ``from_ms`` to ``at_ms``."""

    from_ms: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Nobody has spoken for too long."""

    from_ms: int
    at_ms: int


@dataclass(slots=True)
class TurnDetector:
    """Listens to the input in frames of 20 ms, as the session's ``turn_detection`` says."""

    settings: JsonObject
    heard_ms: int = 0
    _rest: Pcm = field(default_factory=Pcm)
    _loud: int = 0
    _quiet_ms: int = 0
    _since_ms: int | None = None
    _idle_from_ms: int = 0

    def feed(self, audio: Pcm) -> list[TurnStarted | TurnEnded | TimedOut]:
        """Listen to some more input, and tell what it makes of it."""
        self._rest = Pcm.join([self._rest, audio])
        found = []
        while len(self._rest) >= FRAME:
            frame, self._rest = self._rest[:FRAME], self._rest[FRAME:]
            self.heard_ms += FRAME_MS
            if news := self._frame(rms_dbfs(frame) > self._floor_dbfs):
                found.append(news)
        return found

    def idle_from_now(self) -> None:
        """Count the idle time from here: the answer is over."""
        self._idle_from_ms = self.heard_ms

    @property
    def _floor_dbfs(self) -> float:
        return -45 + 40 * ((self.settings.get("threshold") or 0.5) - 0.5)

    @property
    def _silence_ms(self) -> int:
        if self.settings["type"] == "semantic_vad":
            return PATIENCE_MS[self.settings.get("eagerness") or "auto"]
        return int(self.settings.get("silence_duration_ms") or 200)

    def _frame(self, is_loud: bool) -> TurnStarted | TurnEnded | TimedOut | None:
        self._loud = self._loud + 1 if is_loud else 0
        self._quiet_ms = 0 if is_loud else self._quiet_ms + FRAME_MS
        if self._since_ms is None:
            return self._start() if self._loud >= STARTING_FRAMES else self._idle()
        if self._quiet_ms < self._silence_ms:
            return None
        since, self._since_ms = self._since_ms, None
        self._idle_from_ms = self.heard_ms
        return TurnEnded(since, self.heard_ms)

    def _start(self) -> TurnStarted:
        padding = self.settings.get("prefix_padding_ms") or 0
        self._since_ms = max(0, self.heard_ms - STARTING_FRAMES * FRAME_MS - padding)
        return TurnStarted(self._since_ms)

    def _idle(self) -> TimedOut | None:
        limit = self.settings.get("idle_timeout_ms")
        if not limit or self.heard_ms - self._idle_from_ms < limit:
            return None
        idle_from, self._idle_from_ms = self._idle_from_ms, self.heard_ms
        return TimedOut(idle_from, self.heard_ms)
