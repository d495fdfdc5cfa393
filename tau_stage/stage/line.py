"""What came of a model's line: how it was delivered, its takes, and what was wrong with it, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from tau_stage.audio import SILENCE_DBFS, is_audible, peak_dbfs
from tau_stage.protocol import Response, VisemeTime, WordTime
from tau_stage.scene import LinePlan
from tau_stage.session import silence_of
from tau_stage.stage.timeline import LineFile
from tau_stage.text import core_of, diff_speech

MOST_QUOTED = 160  # characters of a written answer that a problem quotes


@dataclass(frozen=True, slots=True)
class LineResult:
    """A line as it was delivered."""

    response: Response  # the last one, with the sound and the words of all
    attempts: int  # how often it was asked for
    reason: str | None  # why it ended early, if it did: ``cut_in``, ``timeout``, or the provider's own
    first_words_s: float | None = None  # seconds from the request to the first words
    problem: str = ""  # why the line has failed, though it was answered: it has no sound, or, in writing, no words
    written: str = ""  # the words that came without a sound
    commentary: str = ""  # what the model said about its work, if it is no part of the line
    commentary_s: float = 0.0  # seconds that it sounds
    word_times: tuple[WordTime, ...] = ()  # where the provider told them
    visemes: tuple[VisemeTime, ...] = ()
    exact: bool | None = None  # whether its words are the scene's; None: nobody wants to know, or can tell


RESULT_FACTS = frozenset(field.name for field in fields(LineResult)) - {"response"}
"""What the records of a line and of its takes tell in the same words."""


@dataclass(frozen=True, slots=True)
class LineTake:
    """One take of a line, and the seconds from its request to its end; a former one ended before the stop."""

    number: int
    delivery: LineResult
    recording: LineFile
    took_s: float
    is_former: bool = False


def trouble_in_words(response: Response, reason: str, *, has_commentary: bool = False) -> str:
    """Say what came in the place of what was asked for.

    >>> from tau_stage.audio import Pcm
    >>> trouble_in_words(Response("r", "completed", audio=Pcm.silence(28_800)), "inaudible")
    'the model answered with 1.2 s of digital silence'
    >>> trouble_in_words(Response("r", "failed", "server_error", "No GPU."), "server_error")
    'the model refused (server_error): No GPU.'
    """
    audio, words = response.audio, response.text or response.transcript
    if silence_of(response) == "in writing":
        more = words if len(words) <= MOST_QUOTED else f"{words[:MOST_QUOTED]}..."
        return f'the model answered with text instead of audio: "{more}"'
    if audio and not is_audible(audio):
        peak = peak_dbfs(audio)
        if peak <= SILENCE_DBFS:
            return f"the model answered with {audio.duration_s:.3g} s of digital silence"
        return f"its audio of {audio.duration_s:.3g} s is inaudible: it peaks at {peak:.0f} dBFS"
    if reason == "timeout":
        return "nothing arrived before the timeout"
    if response.message:
        return f"the model refused ({reason}): {response.message}"
    if response.status != "completed":
        return f"{ending_in_words(response, reason)} and has no content"
    but = "a transcript without audio" if words else "commentary" if has_commentary else ""
    return "the response is empty" + (f" except for {but}" if but else "")


def ending_in_words(response: Response, reason: str) -> str:
    """Say how a response ended that did not complete.

    >>> ending_in_words(Response("r", "incomplete"), "content_filter")
    'the response is incomplete (content_filter)'
    """
    ending = {"failed": "failed", "cancelled": "was cancelled"}.get(response.status, f"is {response.status}")
    return f"the response {ending} ({reason})"


MOST_CORRECTED = 6  # differences that a player is told of


def _differences(asked: str, said: str) -> Iterator[str]:
    parts = [part for part in diff_speech(asked, said) if part.kind != "moment"]
    for number, (kind, words) in enumerate(parts):
        core = core_of(words)[1]
        before, after = parts[number - 1 : number], parts[number + 1 : number + 2]
        if kind == "gone" and not (after and after[0].kind == "new"):
            yield f"it left out “{core}”"
        elif kind == "new" and before and before[0].kind == "gone":
            yield f"it said “{core}” instead of “{core_of(before[0].words)[1]}”"
        elif kind == "new":
            yield f"it added “{core}”"


def correction(line: LinePlan, said: str) -> str:
    """Ask for a line again that was said with other words: what was wrong, then the line as it was asked for.

    >>> line = LinePlan(1, "ann-1", "ann", "I am very late.", "", 'Perform this line: "I am very late."', (), 0.0, 1)
    >>> print(correction(line, "I'm very late, sorry."))
    The last take did not match the line: it said “I'm” instead of “I am”; it added “sorry”. Say every word of the \
line exactly as written, and nothing else.
    Perform this line: "I am very late."
    """
    problems = [*_differences(line.words, said)]
    told = "; ".join(problems[:MOST_CORRECTED])
    wrong = f"The last take did not match the line: {told}." if told else "The last take was incomplete."
    return f"{wrong} Say every word of the line exactly as written, and nothing else.\n{line.prompt}"
