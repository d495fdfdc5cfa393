"""Find the words and the sounds of a line whose words are known in its sound: English, by PocketSphinx.

The recogniser is not asked what is said but where. A word that is not in its dictionary is given a pronunciation: that
of the understudy's voice where it is installed, else one by its letters.
"""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr

from tau_stage.audio import Pcm, is_audible
from tau_stage.errors import UsageError
from tau_stage.timing.timed_words import WordSpan

RATE = 16_000
FRAME_S = 0.01
SETTINGS = {"lm": None, "samprate": RATE, "cmn": "batch", "loglevel": "FATAL"}
MEAN = "40,3,-1"  # of the sounds of a line, before anything of it was heard: as PocketSphinx has it

LEAD_S = 0.0128  # half a window: what a frame tells of is in the middle of the 25.6 ms that it looks at

SOUNDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
PHONES: dict[str, str] = SOUNDS["phonemes"]
LETTERS: dict[str, str] = SOUNDS["letters"]

FEWEST_KNOWN = 0.5  # share of a line's words that are in the dictionary, for the line to be English
UNSURE_SCORE = -20.0  # mean of the frames of a word that may be another as well; those that fit have -4 to -20
WORST_SCORE = (
    -30.0
)  # of the frames of all words, where they can still be those that are said; other lines have -25 to -80
GATE = 100  # a sample that is so many times softer than the loudest is silence
SILENCE = "SIL"
MOST_S = 300  # of a line: what is longer takes more memory than it is worth


_NOISE = (np.random.default_rng(0).standard_normal(RATE) * 300).astype("<i2").tobytes()


class Phone(NamedTuple):
    """A sound of a line, in ARPABET as the CMU dictionary has it; SIL is silence."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where words are in a sound, and of what sounds they are made."""

    spans: tuple[WordSpan | None, ...]
    phones: tuple[Phone, ...]


class _Segment(NamedTuple):
    """A word or a sound, in frames. PocketSphinx's own are gone when its iterator has moved on: they are copied."""

    name: str
    start: int
    duration: int
    score: int
    parts: Sequence[_Segment] = ()

    @property
    def is_word(self) -> bool:
        """Whether it is no silence, and no noise."""
        return not self.name.startswith(("<", "[", "+"))

    @classmethod
    def of(cls, found: Any, parts: Sequence[_Segment] = ()) -> _Segment:
        """Copy one."""
        return cls(found.name, found.start, found.duration, found.score, parts)


class Aligner:
    """Aligns lines, one after the other, each as if it were the first."""

    def __init__(self) -> None:
        require_recogniser()
        from pocketsphinx import Decoder

        self._decoder: Any = Decoder(**SETTINGS)
        self._learned: set[str] = set()

    def align(self, words: Sequence[str], sound: Pcm) -> Alignment | None:
        """Find words in a sound; None where they are not what is said there, or are not English.

        There is a span for each word, None where a word holds nothing that is spoken.
        """
        spoken = [plain_word(word) for word in words]
        said = [word for word in spoken if word]
        is_english = bool(said) and sum(map(self._knows, said)) >= FEWEST_KNOWN * len(said)
        if not is_english or sound.duration_s > MOST_S or not is_audible(sound):
            return None
        try:
            segments = self._segments(" ".join(said), _samples(sound))
        except (RuntimeError, TypeError):  # PocketSphinx has found no way through the sound
            return None
        if sum(segment.is_word for segment in segments) != len(said) or _mean_score(segments) < WORST_SCORE:
            return None
        return _alignment(spoken, segments, sound)

    def _segments(self, text: str, data: bytes) -> list[_Segment]:
        """Align words, and once more the sounds within them."""
        self._forget()
        self._decoder.set_align_text(text)
        self._listen(data)
        self._decoder.set_alignment()
        self._listen(data)
        found = self._decoder.get_alignment()
        return [_Segment.of(word, [_Segment.of(phone) for phone in word]) for word in found]

    def _forget(self) -> None:
        """Listen to the same noise before each line: PocketSphinx begins with what fitted the last frames before."""
        self._decoder.set_align_text("a")
        with suppress(RuntimeError):  # it finds no word there
            self._listen(_NOISE)

    def _listen(self, data: bytes) -> None:
        self._decoder.set_cmn(MEAN)  # nothing is learnt from the line before
        self._decoder.start_utt()
        self._decoder.process_raw(data, full_utt=True)
        self._decoder.end_utt()

    def _knows(self, word: str) -> bool:
        """Tell whether a word is in the dictionary; one that is not is given a pronunciation."""
        if word not in self._learned and self._decoder.lookup_word(word) is not None:
            return True
        if word not in self._learned:
            self._decoder.add_word(word, pronounce(word), update=False)
            self._learned.add(word)
        return False


def _samples(sound: Pcm) -> bytes:
    """Return a sound as PocketSphinx takes it."""
    samples = soxr.resample(sound.array.astype(np.float32) / 32768, sound.rate, RATE)
    return bytes((np.clip(samples, -1, 1) * 32767).astype("<i2"))


def _mean_score(segments: Sequence[_Segment]) -> float:
    """Return the mean score of the frames in which words are said."""
    words = [segment for segment in segments if segment.is_word]
    return sum(word.score for word in words) / sum(word.duration for word in words)


def _alignment(spoken: Sequence[str], segments: Sequence[_Segment], sound: Pcm) -> Alignment:
    """Return what PocketSphinx has found, where somebody speaks: it may lay silence at the edges to a word."""
    levels = np.abs(sound.array.astype(np.int32))
    loud = np.flatnonzero(levels * GATE >= levels.max())
    first, last = int(loud[0]) / sound.rate, int(loud[-1] + 1) / sound.rate

    def second(frame: int) -> float:
        return min(max(frame * FRAME_S + LEAD_S, first), last)

    def times(segment: _Segment) -> tuple[float, float]:
        return second(segment.start), second(segment.start + segment.duration)

    spans = (WordSpan(*times(word), _confidence(word.score / word.duration)) for word in segments if word.is_word)
    phones = (Phone(phone.name, *times(phone)) for segment in segments for phone in segment.parts)
    return Alignment(tuple(next(spans) if word else None for word in spoken), tuple(phones))


def _confidence(score: float) -> float:
    """Say how sure a word is, by the mean score of its frames."""
    return 1 / (1 + math.exp((UNSURE_SCORE - score) / 6.0))


def plain_word(word: str) -> str:
    """Write a word as the dictionary has it: small letters, digits, apostrophes within.

    >>> plain_word("“Don’t! "), plain_word("café,"), plain_word("...")
    ("don't", 'cafe', '')
    """
    small = unicodedata.normalize("NFKD", word.replace("’", "'")).casefold()
    return re.sub(r"[^a-z0-9']", "", small).strip("'")


def pronounce(word: str) -> str:
    """Say how a word may sound that is in no dictionary."""
    phonemes = (voice := _voice()) and str(voice(word))
    phones = [PHONES[sign] for sign in phonemes or "" if sign in PHONES]
    return " ".join(phones or (LETTERS[letter] for letter in word if letter in LETTERS))


@cache
def _voice() -> Any:
    """Return what knows how English is pronounced, of the understudy's voice; None where it is not installed."""
    if find_spec("hibari") is None:
        return None
    from hibari.g2p import G2P

    return G2P(oov=False)


def require_recogniser() -> None:
    """Refuse to go on, with a ``UsageError``, where there is no recogniser; nothing is loaded."""
    if find_spec("pocketsphinx") is None:
        hint = "pip install 'tau-stage[check]'"
        raise UsageError("nothing here recognises speech: pocketsphinx is not installed", hint)
