"""Whether a recogniser heard the lines that were asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec

import numpy as np
import soxr

from tau_stage.audio import Pcm
from tau_stage.checks.verdict import Verdict, VerdictSubject
from tau_stage.errors import UsageError, format_if
from tau_stage.scene import Plan, locate
from tau_stage.take import Performed, Take
from tau_stage.text import letters_apart, pronounce

FURTHEST = 0.6  # share of its letters in which what was heard may differ from a line, and still be that line


def check_recognition(plan: Plan, take: Take, heard: Mapping[str, str]) -> Iterator[Verdict]:
    """Yield a verdict for each line that was listened to: it is heard as itself, and as no other line of the scene."""
    lines = [line for line in take.lines if line.id in heard]
    asked = {line.id: line.asked for line in lines}
    sent = {line.id: pronounce(line.asked, plan.player(line.player).pronounce) for line in lines}
    for name, words in asked.items():
        apart = {other: min(letters_apart(each[other], heard[name]) for each in (asked, sent)) for other in asked}
        nearest = min(apart, key=lambda other: apart[other])
        is_own = apart[name] <= min(apart[nearest], FURTHEST)
        subject = VerdictSubject("line", name, (name,), "expect")
        what = format_if("“{}”", heard[name]) or "nothing"
        other = format_if(f", which is closer to {nearest}", apart[name] > apart[nearest])
        told = f"speech recognition heard {what}{other}, expected “{words}”"
        place = locate(plan.locations, "line", name)
        yield subject.compare(place, "recognised", f"“{words}”", what, holds=is_own, told=told)


RATE = 16_000


class Recogniser:
    """Hears English, by PocketSphinx."""

    def __init__(self) -> None:
        require_recogniser()
        from pocketsphinx import Decoder

        self._decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def words(self, sound: Pcm) -> str:
        """Recognise what is said; empty where nothing can be made out."""
        samples = soxr.resample(sound.array.astype(np.float32) / 32768, sound.rate, RATE)
        self._decoder.start_utt()
        self._decoder.process_raw((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return str(found.hypstr) if found else ""


def require_recogniser() -> None:
    """Refuse to go on, with a ``UsageError``, where there is no recogniser; nothing is loaded."""
    if find_spec("pocketsphinx") is None:
        hint = "pip install 'tau-stage[check]'"
        raise UsageError("speech recognition is unavailable: pocketsphinx is not installed", hint)


def recognise_lines(take: Take, sound_of: Callable[[Performed], Pcm]) -> dict[str, str]:
    """Let a recogniser hear each line whose words stood in the scene; return its words by the line's id."""
    recogniser = Recogniser()
    lines = (line for line in take.lines if line.scripted and line.asked and line.file)
    return {line.id: recogniser.words(sound_of(line)) for line in lines}
