"""One player's conversation as sums: what it holds, what each response reads again, and what that uses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tau_stage.cost.durations import text_tokens
from tau_stage.protocol import Usage
from tau_stage.scene import ToolDefinition

USER_PER_S = 10
ASSISTANT_PER_S = 20
"""Tokens of a second of sound: the user's, and the model's own (OpenAI, "Managing costs")."""

CACHE_STEP = 64  # tokens of one kind come from the cache in steps of so many

NO_PARAMETERS = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class ClipTokens:
    """What others hear of a line or an effect, in tokens."""

    audio: int  # its sound; 0 where there is none: then its words are heard
    words: int = 0  # its words
    labelled: int = 0  # its words with the speaker's name
    label: int = 0  # the speaker's name before the sound


@dataclass(slots=True)
class ConversationUsage:
    """What one model's session holds and uses. Everything is a sum: a response costs the same however long it is.

    Args:
        instructions: Tokens of the instructions.
        tools: Tokens of the tools.
        as_text: Whether the player hears the words of the others instead of their sound.
        labelled: Whether it is told who speaks.
        deaf: Whether it hears nobody.
        caches: Whether the unchanged beginning of what was read before comes from the cache.
        by_time: Whether the model is billed by the time of its audio.

    Attributes:
        most: Most tokens it held when a response ended.

    >>> ann = ConversationUsage(instructions=10)
    >>> ann.add_answer(prompt=5, text_out=4, audio_out=20, kept_s=1.0)
    >>> ann.add_heard(ClipTokens(audio=30))
    >>> ann.add_answer(prompt=5, text_out=4, audio_out=20, kept_s=1.0)
    >>> ann.usage.text_in, ann.usage.audio_in, ann.usage.cached_text_in, ann.usage.audio_out, ann.most
    (35, 50, 0, 40, 90)
    """

    instructions: int
    tools: int = 0
    as_text: bool = False
    labelled: bool = False
    deaf: bool = False
    caches: bool = True
    by_time: bool = False
    most: int = 0
    _text: int = 0
    _audio: int = 0
    _read_text: int = 0
    _read_audio: int = 0
    _read_tools: int | None = -1
    _tokens: Usage = field(default_factory=Usage, init=False)
    _last: Usage = field(default_factory=Usage, init=False)
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
        if self.deaf:
            return
        if self.as_text or not clip.audio:
            self.add_item(text=clip.labelled if self.labelled else clip.words)
        else:
            self.add_item(text=clip.label if self.labelled else 0, audio=clip.audio)

    def add_answer(
        self,
        *,
        prompt: int,
        text_out: int,
        audio_out: int,
        kept_s: float,
        out_of_band: bool = False,
        tools: int | None = None,
        thought: int = 0,
        verbatim: bool = False,
    ) -> None:
        """Add a response: it reads everything again, and what it says stays.

        Args:
            prompt: Tokens of what the player is told for it.
            text_out: Tokens of the words it says or writes.
            audio_out: Tokens of the sound it makes.
            kept_s: Seconds of that sound which stay in the conversation.
            out_of_band: Whether it is not remembered: its prompt stands in instructions of its own, nothing is cached.
            tools: Tokens of the tools it is given instead of the session's, or None.
            thought: Tokens of reasoning before it, which are billed as text.
            verbatim: Whether a text is spoken as it stands: nothing is read then.
        """
        first = self.instructions + (self.tools if tools is None else tools)
        text, audio = (0, 0) if verbatim else (first + self._text + prompt, self._audio)
        cached_text = cached_audio = 0
        if self.caches and not (out_of_band or verbatim) and self._read_tools == tools:  # what was read or made before
            cached_text, cached_audio = cacheable(first + self._read_text), cacheable(self._read_audio)
        self._last = Usage(
            text_in=text - cached_text,
            audio_in=audio - cached_audio,
            cached_text_in=cached_text,
            cached_audio_in=cached_audio,
            text_out=text_out + thought,
            audio_out=audio_out,
        )
        self._tokens += self._last
        self._seconds += audio_out / ASSISTANT_PER_S
        self._messages += bool(prompt)
        if out_of_band:
            self.most = max(self.most, text + audio + (audio_out or text_out))
            return
        kept_text, kept_audio = (0, math.ceil(kept_s * ASSISTANT_PER_S)) if audio_out else (text_out, 0)
        self._text += prompt + kept_text
        self._audio += kept_audio
        if not verbatim:
            self._read_text, self._read_tools = self._text, tools
            self._read_audio = self._audio if kept_audio == audio_out else audio  # a cut line is not as it was made
        self.most = max(self.most, first + self._text + self._audio)

    def repeat_answer(self, times: int) -> None:
        """Add more takes of the last response: each reads the same, and replaces the one before."""
        for _ in range(times):
            self._tokens += self._last
            self._seconds += self._last.audio_out / ASSISTANT_PER_S

    @property
    def usage(self) -> Usage:
        """All it used."""
        if not self.by_time:
            return self._tokens
        return replace(self._tokens, seconds=self._seconds, text_messages=self._messages)


def cacheable(tokens: int) -> int:
    """Count the tokens of one kind that come from the cache, of so many that were read before.

    >>> cacheable(63), cacheable(64), cacheable(139)
    (0, 64, 128)
    """
    return tokens // CACHE_STEP * CACHE_STEP


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
