"""One player's conversation as sums: what it holds, what each response reads again, and what that uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tau_stage.cost.durations import text_tokens
from tau_stage.protocol import Usage
from tau_stage.scene import ToolDefinition

USER_PER_S = 10
ASSISTANT_PER_S = 20
"""Tokens of a second of sound: the user's, and the model's own (OpenAI, "Managing costs")."""

CACHE_STEP = 64
"""Tokens of one kind come from the cache in steps of so many."""

NO_PARAMETERS = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class HearingMode:
    """How a player hears the others.

    Attributes:
        as_text: The words instead of the sound.
        labelled: Whether it is told who speaks.
        deaf: Whether it hears nobody.
    """

    as_text: bool = False
    labelled: bool = False
    deaf: bool = False


@dataclass(frozen=True, slots=True)
class ClipTokens:
    """What others hear of a line or an effect, in tokens.

    Attributes:
        audio: Its sound; 0 where there is none: then its words are heard.
        words: Its words.
        labelled: Its words with the speaker's name.
        label: The speaker's name before the sound.
    """

    audio: int
    words: int = 0
    labelled: int = 0
    label: int = 0


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """One response, in tokens.

    Attributes:
        prompt: What the player is told for it.
        text_out: The words it says or writes.
        audio_out: The sound it makes.
        kept_s: Seconds of that sound which stay in the conversation.
        out_of_band: Whether it is not remembered: its prompt stands in instructions of its own, and nothing is cached.
        tools: The tools it is given instead of the session's, or None.
        thought: Tokens of reasoning before it, which are billed as text.
    """

    prompt: int
    text_out: int
    audio_out: int
    kept_s: float
    out_of_band: bool = False
    tools: int | None = None
    thought: int = 0


@dataclass(slots=True)
class ConversationUsage:
    """What one model's session holds and uses. Everything is a sum: a response costs the same however long it is.

    Args:
        instructions: Tokens of the instructions.
        tools: Tokens of the tools.
        mode: How the player hears.
        caches: Whether the unchanged beginning of what was read before comes from the cache.
        by_time: Whether the model is billed by the time of its audio.

    Attributes:
        most: Most tokens it held when a response ended.

    >>> ann = ConversationUsage(instructions=10)
    >>> ann.add_answer(AnswerTokens(prompt=5, text_out=4, audio_out=20, kept_s=1.0))
    >>> ann.add_heard(ClipTokens(audio=30))
    >>> ann.add_answer(AnswerTokens(prompt=5, text_out=4, audio_out=20, kept_s=1.0))
    >>> ann.usage.text_in, ann.usage.audio_in, ann.usage.cached_text_in, ann.usage.audio_out, ann.most
    (35, 50, 0, 40, 90)
    """

    instructions: int
    tools: int = 0
    mode: HearingMode = field(default_factory=HearingMode)
    caches: bool = True
    by_time: bool = False
    most: int = 0
    _text: int = 0
    _audio: int = 0
    _read_text: int = 0
    _read_audio: int = 0
    _read_tools: int | None = -1
    _fresh: list[int] = field(default_factory=lambda: [0, 0])
    _cached: list[int] = field(default_factory=lambda: [0, 0])
    _out: list[int] = field(default_factory=lambda: [0, 0])
    _seconds: float = 0.0
    _messages: int = 0

    def add_item(self, text: int = 0, audio: int = 0) -> None:
        """Put an item into it."""
        self._text += text
        self._audio += audio
        self._seconds += audio / USER_PER_S
        self._messages += bool(text)

    def add_heard(self, clip: ClipTokens) -> None:
        """Let somebody else be heard, in this player's way."""
        mode = self.mode
        if mode.deaf:
            return
        if mode.as_text or not clip.audio:
            self.add_item(text=clip.labelled if mode.labelled else clip.words)
            return
        self.add_item(text=clip.label if mode.labelled else 0, audio=clip.audio)

    def add_answer(self, answer: AnswerTokens) -> None:
        """Add a response: it reads everything again, and what it says stays."""
        if not answer.out_of_band:
            self._text += answer.prompt
        first = self.instructions + (self.tools if answer.tools is None else answer.tools)
        cached_text, cached_audio = self._cached_beginning(answer, first)
        text = first + self._text + (answer.prompt if answer.out_of_band else 0)
        _count(self._fresh, text - cached_text, self._audio - cached_audio)
        _count(self._cached, cached_text, cached_audio)
        _count(self._out, answer.text_out + answer.thought, answer.audio_out)
        self._seconds += answer.audio_out / ASSISTANT_PER_S
        self._messages += bool(answer.prompt)
        if answer.out_of_band:
            self.most = max(self.most, text + self._audio + (answer.audio_out or answer.text_out))
            return
        self._read_text, self._read_audio, self._read_tools = self._text, self._audio, answer.tools
        if answer.audio_out:
            self._audio += (kept := math.ceil(answer.kept_s * ASSISTANT_PER_S))
            self._read_audio += kept if kept == answer.audio_out else 0
        else:
            self._text += answer.text_out
            self._read_text += answer.text_out
        self.most = max(self.most, first + self._text + self._audio)

    def _cached_beginning(self, answer: AnswerTokens, first: int) -> tuple[int, int]:
        """Count what the response before it has read or made and is unchanged, text and audio: a cut line is not."""
        if not self.caches or answer.out_of_band or self._read_tools != answer.tools:
            return 0, 0
        return cacheable(first + self._read_text), cacheable(self._read_audio)

    @property
    def usage(self) -> Usage:
        """All it used."""
        return Usage(
            text_in=self._fresh[0],
            audio_in=self._fresh[1],
            cached_text_in=self._cached[0],
            cached_audio_in=self._cached[1],
            text_out=self._out[0],
            audio_out=self._out[1],
            seconds=self._seconds if self.by_time else None,
            text_messages=self._messages if self.by_time else 0,
        )


def cacheable(tokens: int) -> int:
    """Count the tokens of one kind that come from the cache, of so many that were read before.

    >>> cacheable(63), cacheable(64), cacheable(139)
    (0, 64, 128)
    """
    return tokens // CACHE_STEP * CACHE_STEP


def _count(sums: list[int], text: int, audio: int) -> None:
    sums[0] += text
    sums[1] += audio


def tools_tokens(known: Mapping[str, ToolDefinition], names: Sequence[str]) -> int:
    """Count the tokens of the tools a player is told of.

    >>> tools_tokens({}, ())
    0
    """
    told = [
        {
            "type": "function",
            "name": name,
            "description": known[name].description,
            "parameters": known[name].parameters or NO_PARAMETERS,
        }
        for name in names
    ]
    return text_tokens(str(told)) if told else 0
