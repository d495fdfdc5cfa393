"""Transcripts (``NAME: words``) and subtitles (SRT, WebVTT): what each one says is a line.

Who speaks is told by what stands before a colon, or by the voice of WebVTT (``<v Name>``); where the players are
known, also by what else the script reader knows. Whoever is no player is an error, and never words of the one before.
Words of a cue that go on in its next line are its speaker's. Subtitles that name nobody at all are the narrator's.

Sources: w3.org/TR/webvtt1, sections 3 and 4; SubRip as VLC and FFmpeg read it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from pathlib import PurePath
from typing import NamedTuple

from tau_stage.errors import SceneError
from tau_stage.scene import ScriptSpeech, Source, is_stamp, names_in_script, read_transcript, unfit_id
from tau_stage.tables.line_table import LineTable, Place, Sheet, TableLine
from tau_stage.tables.text_files import read_text
from tau_stage.text import folded

_DIRECTION = re.compile(r"\((?P<how>[^()]*)\)\s*(?P<words>.*)", re.DOTALL)
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+(?P<name>[^>]+)>")
_TAG = re.compile(
    r"</?(?:[biuvc]|font|ruby|lang|s)\b[^<>]*>|</?[biuc]\.[^<>]*>|<\d[\d:.]*>|<rt>.*?(?:</rt>|$)|\{\\[^{}]*\}",
    re.IGNORECASE,
)
_NOT_CUES = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")


class CueLine(NamedTuple):
    """A line of text that is spoken, or an empty one between two: where it stands, and the id of its cue."""

    text: str
    line: int
    id: str = ""


def read_transcript_file(path: str, kind: str, players: Sequence[str], errors: list[SceneError]) -> LineTable:
    """Read a transcript or subtitles; what is wrong is noted.

    Args:
        path: The file.
        kind: ``transcript``, ``srt`` or ``vtt``.
        players: Who is known to speak.
        errors: What is wrong.
    """
    text, form = read_text(path)
    is_subtitle = kind != "transcript"
    original = Source.of(text, path)
    spoken = [*_cues(original)] if is_subtitle else [CueLine(line, at) for at, line in enumerate(original.lines, 1)]
    sheet = Sheet(path)
    source = Source.of("\n".join(each.text for each in spoken), path)
    known = [*players]
    heard = {folded(name) for name in known}
    known += [name for name in names_in_script(source) if folded(name) not in heard]
    if is_subtitle and not known:
        return LineTable(path, "", kind, tuple(_narrated(spoken, original, sheet, errors)), (sheet,), form)
    try:
        speeches = read_transcript(source, known)
    except SceneError as error:
        errors += [_moved(each, spoken, original) for each in (error, *error.also)]
        return LineTable(path, "", kind, form=form)
    lines = tuple(_spoken_lines(speeches, spoken, original, sheet, errors))
    return LineTable(path, "", kind, lines, (sheet,), form)


def _spoken_lines(
    speeches: Iterable[ScriptSpeech],
    spoken: Sequence[CueLine],
    original: Source,
    sheet: Sheet,
    errors: list[SceneError],
) -> Iterator[TableLine]:
    for speech in speeches:
        at = spoken[speech.line - 1]
        raw = at.text[speech.column - 1 :].strip()
        direction, words = _parted(speech.text, raw)
        place = Place(sheet, at.line, at.line, _column(original, at.line, raw))
        yield from _line(place, at.id, speech.speaker, words, direction, errors)


def _line(
    place: Place, name: str, player: str, words: str, direction: str, errors: list[SceneError]
) -> Iterator[TableLine]:
    """Yield a line, if it is sound."""
    if not words:
        errors.append(place.error("words", "the line has no words", "add its words, or delete the line"))
    elif name and (wrong := unfit_id(name)):
        errors.append(place.error("id", *wrong))
    else:
        yield TableLine(name, player, words, direction, PurePath(place.sheet.file).stem, place)


def _parted(text: str, raw: str) -> tuple[str, str]:
    """Return a direction that stood beside a name, and the words; what begins the words themselves is said."""
    found = None if text.startswith(raw) and raw else _DIRECTION.match(text)
    return (found["how"].strip(), found["words"].strip()) if found else ("", text)


def _column(original: Source, line: int, words: str) -> int:
    """Return where words begin in a line of the file."""
    return max(original.line(line).find(words[:20]), 0) + 1


def _moved(error: SceneError, spoken: Sequence[CueLine], original: Source) -> SceneError:
    """Point an error into the file itself."""
    at = spoken[min(error.line, len(spoken)) - 1]
    raw = at.text[error.column - 1 :].strip()
    found = original.error(original.place(0)._replace(line=at.line, column=_column(original, at.line, raw)), "")
    return SceneError(error.path, found.line, found.column, error.problem, error.hint, found.source, caret=found.caret)


def _narrated(
    spoken: Sequence[CueLine], original: Source, sheet: Sheet, errors: list[SceneError]
) -> Iterator[TableLine]:
    """Yield a line for each cue of subtitles in which nobody is named."""
    cue: list[CueLine] = []
    for each in (*spoken, CueLine("", 0)):
        if each.text.strip():
            cue.append(each)
        elif cue:
            words = " ".join(part.text.strip() for part in cue)
            place = Place(sheet, cue[0].line, cue[0].line, _column(original, cue[0].line, cue[0].text.strip()))
            yield from _line(place, cue[0].id, "", words, "", errors)
            cue = []


def _cues(source: Source) -> Iterator[CueLine]:
    """Yield the lines of the cues of subtitles, without what is not spoken; between two cues an empty one."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate((*source.lines, ""), 1):
        if line.strip():
            block.append((number, line.strip()))
            continue
        yield from _cue(block, is_first=bool(block) and block[0][0] == 1)
        block = []


def _cue(block: Sequence[tuple[int, str]], *, is_first: bool) -> Iterator[CueLine]:
    """Yield the lines of one block that are spoken: those behind its times."""
    if not block or (is_first and block[0][1].startswith("WEBVTT")) or _NOT_CUES.match(block[0][1]):
        return
    times = next((at for at, (_, line) in enumerate(block) if is_stamp(line)), None)
    before = "" if not times else block[times - 1][1]
    name = "" if before.isdecimal() else before
    is_begun = False
    for number, line in block if times is None else block[times + 1 :]:
        for part in _voices(line):
            goes_on = is_begun and not part.startswith(("-", "–", "—")) and not names_in_script(Source.of(part, ""))
            yield CueLine(f"  {part}" if goes_on else part, number, name)
            name, is_begun = "", True
    yield CueLine("", block[-1][0])


def _voices(line: str) -> list[str]:
    """Part a line of a cue where another voice begins; tags are taken off."""
    starts = [found.start() for found in _VOICE.finditer(line)]
    bounds = [0, *(start for start in starts if start), len(line)]
    parts = (line[begin:end] for begin, end in itertools.pairwise(bounds))
    named = (_VOICE.sub(lambda voice: f"{voice['name'].strip()}: ", part, count=1) for part in parts)
    return [text for text in (unescape(_TAG.sub("", part)).strip() for part in named) if text]
