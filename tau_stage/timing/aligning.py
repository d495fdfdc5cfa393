"""Find the words and the sounds of a line whose words are known in its sound: English, by PocketSphinx.

The recogniser is not asked what is said but where. A word that is not in its dictionary is given a pronunciation: that
of the understudy's voice where it is installed, else one by its letters.
"""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
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
FRAME_BYTES = 2 * RATE // 100
LEAD_FRAMES = (10, 20, 5, 25)  # of silence before a stretch, in the order in which they are tried
SILENCE_FRAMES = 30  # of a silence at which a long sound may be parted
STRETCH_FRAMES, ONE_STRETCH_FRAMES = 300, 1000  # of a part of it, at least; and of a sound that is not parted
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
    score: int | None = None
    parts: Sequence[_Segment] = ()

    @property
    def is_word(self) -> bool:
        """Whether it is no silence, and no noise."""
        return not self.name.startswith(("<", "[", "+"))

    @classmethod
    def of(cls, found: Any, before: int, parts: Sequence[_Segment] = ()) -> _Segment:
        """Copy one of a stretch that begins so many frames into the sound."""
        return cls(found.name, before + found.start, found.duration, found.score, parts)


class Aligner:
    """Aligns lines, one after the other, each as if it were the first."""

    def __init__(self) -> None:
        require_recogniser()
        from pocketsphinx import Decoder

        self._decoder: Any = Decoder(**SETTINGS)
        self._learned: set[str] = set()

    def _knows_most(self, said: Sequence[str]) -> bool:
        return bool(said) and sum(map(self._knows, said)) >= FEWEST_KNOWN * len(said)

    def align(self, words: Sequence[str], sound: Pcm) -> Alignment | None:
        """Find words in a sound; None where they are not what is said there, or are not English.

        There is a span for each word, None where a word holds nothing that is spoken.
        """
        spoken = [plain_word(word) for word in words]
        said = [word for word in spoken if word]
        if not self._knows_most(said) or sound.duration_s > MOST_S or not is_audible(sound):
            return None
        try:
            segments = self._segments(" ".join(said), _samples(sound))
        except (RuntimeError, TypeError):  # PocketSphinx has found no way through the sound
            return None
        if sum(segment.is_word for segment in segments) != len(said) or _mean_score(segments) < WORST_SCORE:
            return None
        return _alignment(spoken, segments, sound)

    def _segments(self, text: str, data: bytes) -> list[_Segment]:
        """Align words; then, stretch by stretch between silences, the sounds within them.

        In a long sound PocketSphinx finds words, and loses its way among their sounds.
        """
        self._forget()
        self._decoder.set_align_text(text)
        self._listen(data)
        found = [_Segment(each.word, each.start_frame, each.end_frame - each.start_frame + 1) for each in self._found()]
        stretches = _stretches(found)
        return [segment for stretch in stretches for segment in self._with_sounds(stretch, data, len(stretches))]

    def _found(self) -> Iterable[Any]:
        return self._decoder.seg() if self._decoder.hyp() else ()

    def _with_sounds(self, stretch: Sequence[_Segment], data: bytes, count: int) -> Sequence[_Segment]:
        """Align the sounds of a stretch; where that fails, its words are as they were found, without a score.

        Of a stretch that is not the whole sound, more or less silence before it is tried: one of these is found.
        """
        words = [segment.name.partition("(")[0] for segment in stretch if segment.is_word]
        if not words:
            return stretch
        if count == 1:
            return self._sounds(data, 0) or stretch
        end = stretch[-1].start + stretch[-1].duration
        for lead in LEAD_FRAMES:
            first = max(0, stretch[0].start - lead)
            part = data[first * FRAME_BYTES : end * FRAME_BYTES]
            self._forget()
            self._decoder.set_align_text(" ".join(words))
            self._listen(part)
            if found := self._sounds(part, first):
                return found
        return stretch

    def _sounds(self, data: bytes, before: int) -> list[_Segment]:
        """Align the sounds within the words that were found last; none, where that fails."""
        with suppress(RuntimeError, TypeError):
            self._decoder.set_alignment()
            self._listen(data)
            found = self._decoder.get_alignment()
            return [_Segment.of(word, before, [_Segment.of(phone, before) for phone in word]) for word in found]
        return []

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
    """Return the mean score of the frames in which words are said; nothing is worse, where most have none."""
    words = [segment for segment in segments if segment.is_word]
    scored = [(word.score, word.duration) for word in words if word.score is not None]
    if 2 * len(scored) < len(words):
        return -math.inf
    return sum(score for score, _ in scored) / sum(duration for _, duration in scored)


def _alignment(spoken: Sequence[str], segments: Sequence[_Segment], sound: Pcm) -> Alignment:
    """Return what PocketSphinx has found, where somebody speaks: it may lay silence at the edges to a word."""
    levels = np.abs(sound.array.astype(np.int32))
    loud = np.flatnonzero(levels * GATE >= levels.max())
    first, last = int(loud[0]) / sound.rate, int(loud[-1] + 1) / sound.rate

    def second(frame: int) -> float:
        return min(max(frame * FRAME_S + LEAD_S, first), last)

    def times(segment: _Segment) -> tuple[float, float]:
        return second(segment.start), second(segment.start + segment.duration)

    spans = (WordSpan(*times(word), _confidence(word)) for word in segments if word.is_word)
    phones = (Phone(phone.name, *times(phone)) for segment in segments for phone in segment.parts)
    return Alignment(tuple(next(spans) if word else None for word in spoken), tuple(phones))


def _confidence(word: _Segment) -> float:
    """Say how sure a word is, by the mean score of its frames."""
    score = UNSURE_SCORE if word.score is None else word.score / word.duration
    return 1 / (1 + math.exp((UNSURE_SCORE - score) / 6.0))


def _stretches(segments: Sequence[_Segment]) -> list[list[_Segment]]:
    """Part words where nobody speaks, once some seconds have passed; what is short is one stretch."""
    stretches: list[list[_Segment]] = [[]]
    for segment in segments:
        stretches[-1].append(segment)
        length = segment.start + segment.duration - stretches[-1][0].start
        if not segment.is_word and segment.duration >= SILENCE_FRAMES and length >= STRETCH_FRAMES:
            stretches.append([])
    if segments and segments[-1].start < ONE_STRETCH_FRAMES:
        return [[*segments]]
    return [*filter(None, stretches)]


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
        raise UsageError("speech recognition is unavailable: pocketsphinx is not installed", hint)
