"""When the words of a take's lines are heard, and the shapes of mouths, each from the best source that there is."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tau_stage.audio import Pcm
from tau_stage.protocol import VisemeTime
from tau_stage.take import Performed, Take
from tau_stage.text import counted
from tau_stage.timing.aligning import Aligner, Alignment, Phone
from tau_stage.timing.timed_words import Source, SpokenWord, provider_spans, split_transcript, time_words

VERSION = 1  # of the form of ``*.words.json``

_SOUND = re.compile(r"\.wav$")
_ENGLISH_LETTERS = re.compile(r"[A-Za-z]")


SHAPES = tomllib.loads(Path(__file__).with_name("mouths.toml").read_text("utf-8"))
SHAPES_OF_PHONES: dict[str, str] = SHAPES["phones"]
SHAPES_OF_VISEMES: dict[str, str] = SHAPES["visemes"]
REST = "X"


class MouthShape(NamedTuple):
    """From when on, in seconds, a mouth has a shape: A to H, or X at rest."""

    start_s: float
    shape: str


def shapes_of_phones(phones: Iterable[Phone]) -> list[MouthShape]:
    """Find the shapes of a mouth that makes some sounds; what is no sound of speech is rest.

    >>> shapes_of_phones([Phone("HH", 0.1, 0.2), Phone("AY", 0.2, 0.4)])[1:]
    [MouthShape(start_s=0.2, shape='D'), MouthShape(start_s=0.3, shape='B'), MouthShape(start_s=0.4, shape='X')]
    """
    found: list[MouthShape] = []
    end_s = 0.0
    for name, start_s, end_s in phones:
        shapes = SHAPES_OF_PHONES.get(name, REST).split()
        each = (end_s - start_s) / len(shapes)
        found += [MouthShape(round(start_s + each * at, 4), shape) for at, shape in enumerate(shapes)]
    return [*found, MouthShape(end_s, REST)]


def shapes_of_visemes(visemes: Iterable[VisemeTime], rate: int) -> list[MouthShape]:
    """Find the shapes that a provider's visemes stand for; one that is not known is rest.

    >>> shapes_of_visemes([VisemeTime(21, 2400), VisemeTime(99, 4800)], 24_000)
    [MouthShape(start_s=0.1, shape='A'), MouthShape(start_s=0.2, shape='X')]
    """
    return [MouthShape(each.start / rate, SHAPES_OF_VISEMES.get(str(each.viseme), REST)) for each in visemes]


def render_mouths(shapes: Iterable[MouthShape], duration_s: float) -> str:
    r"""Write shapes as Rhubarb Lip Sync writes them: a time in seconds, a tab, a shape; the last is rest, at the end.

    Source: Rhubarb Lip Sync, README, "Tab-separated values".

    >>> render_mouths([MouthShape(0.05, "D"), MouthShape(0.27, "B")], 0.478)
    '0.00\tX\n0.05\tD\n0.27\tB\n0.47\tX\n'
    """
    end = int(duration_s * 100 + 1e-6)
    at = {0: REST}
    for start_s, shape in sorted(shapes, key=lambda each: each.start_s):
        at[max(0, int(start_s * 100 + 1e-6))] = shape  # of two in the same hundredth, the later one
    rows: list[tuple[int, str]] = []
    for time, shape in sorted(at.items()):
        if time < end and (not rows or rows[-1][1] != shape):
            rows.append((time, shape))
    return "".join(f"{time / 100:.2f}\t{shape}\n" for time, shape in (*rows, (end, REST)))


@dataclass(frozen=True, slots=True)
class LineTiming:
    """When the words of a line are heard, and the shapes of its speaker's mouth, where its sounds are known.

    Attributes:
        source: Who told the times of its words; of some of them somebody else may have.
        is_unmatched: Whether its words could not be found in its sound.
    """

    line: Performed
    words: list[SpokenWord]
    mouths: list[MouthShape]
    source: Source
    is_unmatched: bool = False

    def file(self, ending: str) -> str:
        """Name a file beside that of its sound."""
        return _SOUND.sub(ending, self.line.file or "")

    def words_json(self) -> str:
        """Write the words as JSON; times are seconds from the beginning of the line's own file."""
        words = [
            {
                "word": word.text.strip(),
                "start_s": word.start_s,
                "end_s": word.end_s,
                "source": word.source,
                "confidence": word.confidence,
            }
            for word in self.words
        ]
        told = {"version": VERSION, "line": self.line.id, "file": self.line.file, "words": words}
        return json.dumps(told, indent=2, ensure_ascii=False) + "\n"

    def mouths_tsv(self) -> str:
        """Write the shapes of the mouth as Rhubarb Lip Sync does."""
        return render_mouths(self.mouths, self.line.duration_s)


class LineTimer:
    """Times the words of lines: as the provider tells them, else by alignment, else by their lengths.

    Args:
        rate: Of the samples in which a provider's times are kept.
        mouths: Whether the sounds of a line are wanted, too.
        aligns: Whether lines are aligned; None: where the recogniser is installed.
    """

    def __init__(self, rate: int, *, mouths: bool = False, aligns: bool | None = None) -> None:
        self._rate = rate
        self._mouths = mouths
        self.aligns = find_spec("pocketsphinx") is not None if aligns is None else aligns
        self._aligner: Aligner | None = None

    def time(self, line: Performed, sound: Pcm) -> LineTiming:
        """Time one line."""
        spans = provider_spans(line.said, line.word_times, self._rate)
        shapes = shapes_of_visemes(line.visemes, self._rate)
        source: Source = "provider" if spans else "estimated"
        is_unmatched = False
        if self.aligns and (not spans or (self._mouths and not shapes)) and _ENGLISH_LETTERS.search(line.said):
            found = self._align(line, sound)
            is_unmatched = found is None
            if found:
                shapes = shapes or shapes_of_phones(found.phones)
                spans, source = (spans, source) if spans else ([*found.spans], "aligned")
        return LineTiming(line, time_words(line.said, sound, spans, source), shapes, source, is_unmatched)

    def _align(self, line: Performed, sound: Pcm) -> Alignment | None:
        self._aligner = self._aligner or Aligner()
        return self._aligner.align(split_transcript(line.said), sound)


def time_lines(take: Take, sound_of: Callable[[Performed], Pcm], timer: LineTimer) -> Iterator[LineTiming]:
    """Time the words of each line that sounds and of which words are known."""
    for line in take.lines:
        if line.file and line.samples and split_transcript(line.said):
            yield timer.time(line, sound_of(line))


def timings_in_words(timed: Sequence[LineTiming], *, aligns: bool) -> str:
    """Say where the times of lines come from, and what may make them better."""
    counts = Counter(timing.source for timing in timed)
    told = ", ".join(f"{count} {source}" for source, count in sorted(counts.items()))
    unmatched = [timing.line.id for timing in timed if timing.is_unmatched]
    hints = []
    if unmatched:
        hints.append(f"the recogniser did not find the words of {', '.join(unmatched)} in the audio")
    if counts["estimated"] and not aligns:
        hints.append("to align them: pip install 'tau-stage[check]'")
    return f"{counted(len(timed), 'line')}: {'; '.join([told, *hints])}" if timed else "no lines with words"
