"""When the words of a take's lines are heard, each line from the best source that there is."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from tau_stage.audio import Pcm
from tau_stage.take import Performed, Take
from tau_stage.text import counted
from tau_stage.timing.aligning import Aligner, Alignment
from tau_stage.timing.mouths import MouthShape, render_mouths, shapes_of_phones, shapes_of_visemes
from tau_stage.timing.timed_words import Source, SpokenWord, provider_spans, split_transcript, time_words

VERSION = 1  # of the form of ``*.words.json``

_SOUND = re.compile(r"\.wav$")
_ENGLISH_LETTERS = re.compile(r"[A-Za-z]")


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
        hints.append(f"the recogniser does not find the words of {', '.join(unmatched)} in their sound")
    if counts["estimated"] and not aligns:
        hints.append("pip install 'tau-stage[check]' aligns them")
    return f"{counted(len(timed), 'line')}: {'; '.join([told, *hints])}" if timed else "no line with words"
