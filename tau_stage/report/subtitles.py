"""A take as subtitles: who says what, when, in pieces that can be read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import accumulate

from tau_stage.report.timing import LONGEST, Word, border, columns, joined, spread
from tau_stage.take.take_model import Performed, Take
from tau_stage.text import one_line, printable

LONGEST_S = 7.0
SHORTEST_S = 1.0
READ_PER_S = 15
"""Signs that are read in a second: how long a line without sound stands."""

_LONGEST_NAME = 30
_CUE = 6.0
_BORDERS = {"sentence": 0.0, "phrase": 2.0, "": 5.0}


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen at once.

    Attributes:
        id: The line's; from its second piece on with a number behind a stroke, which no line's id has.
        player: Who says it.
        lines: At most two, of at most ``LONGEST`` columns.
        start_ms: Milliseconds from the beginning of the take.
        end_ms: Later than ``start_ms``.
    """

    id: str
    player: str
    lines: tuple[str, ...]
    start_ms: int
    end_ms: int


def vtt(take: Take) -> str:
    """Write the take as WebVTT: voices are players, and the names of cues are those of the lines.

    Source: WebVTT, W3C Candidate Recommendation, 4 "Syntax": blocks, cue timings, voice spans, escapes.

    Args:
        take: Lines that overlap become cues that overlap.
    """
    blocks = ["WEBVTT\n"]
    for cue in cues(take):
        times = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}"
        words = escape("\n".join(cue.lines), quote=False)
        blocks.append(f"{cue.id}\n{times}\n<v {escape(cue.player, quote=False)}>{words}\n")
    return "\n".join(blocks)


def srt(take: Take) -> str:
    """Write the take as SubRip: numbers from 1, and the player before the words.

    Source: SubRip's own form, as Matroska tells it ("SRT Subtitles"). It knows no escapes: words stand as they are.
    """
    blocks = []
    for number, cue in enumerate(cues(take, named=True), 1):
        times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
        blocks.append("\n".join([str(number), times, *cue.lines, ""]))
    return "\n".join(blocks)


def _clock(ms: int, point: str) -> str:
    minutes, rest = divmod(ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def cues(take: Take, *, named: bool = False) -> list[Cue]:
    """Return what stands on the screen, in order of time.

    All of it is within the take, except words without sound: they stand as long as they are read.

    Args:
        take: Lines in which nothing was said have no cue.
        named: Whether the player's name stands before the words, and takes their place.
    """
    found = [cue for line in take.lines for cue in _cues_of(line, named=named)]
    found.sort(key=lambda cue: cue.start_ms)  # stable: lines and pieces that begin together stay in order
    return _with_room(found, _ms(take.duration_s))


def _with_room(found: Sequence[Cue], end_ms: int) -> list[Cue]:
    """Let short cues stand a second, where nothing else begins before."""
    starts = [cue.start_ms for cue in found]
    longer = []
    for place, cue in enumerate(found):
        after = bisect_left(starts, cue.end_ms, lo=place + 1)
        room = starts[after] if after < len(starts) else end_ms
        wished = min(cue.start_ms + round(SHORTEST_S * 1000), room)
        longer.append(replace(cue, end_ms=max(cue.end_ms, wished)))
    return longer


def _cues_of(line: Performed, *, named: bool) -> list[Cue]:
    seconds = line.duration_s if line.samples else max(SHORTEST_S, len(line.said) / READ_PER_S)
    end = line.offset_s + seconds
    words = spread(line.said, line.offset_s, end)
    player = one_line(line.player)
    name = f"{_short(player)}: " if named else ""
    found = []
    for number, (piece, until) in enumerate(_pieces(words, end, name), 1):
        start_ms = _ms(piece[0].start_s)
        end_ms = max(start_ms + 1, _ms(min(until, piece[0].start_s + LONGEST_S)))
        id = line.id if number == 1 else f"{line.id}/{number}"  # noqa: A001 - it is one
        found.append(Cue(id, player, _laid(piece, name), start_ms, end_ms))
    return found


def _short(name: str) -> str:
    if columns(name) <= _LONGEST_NAME:
        return name
    while columns(name) >= _LONGEST_NAME:
        name = name[:-1]
    return f"{name.rstrip()}…"


def _ms(seconds: float) -> int:
    return int(seconds * 1000 + 1e-6)


def _pieces(words: Sequence[Word], end_s: float, name: str) -> list[tuple[Sequence[Word], float]]:
    """Cut a line into pieces that fit on a screen, and where each ends: the ones that cost least in all.

    A border that is no sentence's costs, and so does a piece that is short. The best pieces up to a word are
    the best up to where the last piece begins, and that piece.
    """
    starts = [*(word.start_s for word in words), end_s]
    reaches = _reaches(words, columns(name))
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end, last in enumerate(words, 1):
        each = _CUE + (0.0 if end == len(words) else _BORDERS[border(last.text)])
        options = []
        for begin in range(end - 1, -1, -1):
            seconds = starts[end] - starts[begin]
            if begin < end - 1 and (seconds > LONGEST_S or reaches[begin] < end):
                break
            options.append((best[begin][0] + each + _CUE * max(0.0, SHORTEST_S - seconds), begin))
        best.append(min(options))
    pieces = []
    end = len(words)
    while end:
        begin = best[end][1]
        pieces.append((words[begin:end], starts[end]))
        end = begin
    return pieces[::-1]


def _reaches(words: Sequence[Word], name: int) -> list[int]:
    """Return behind which word the two lines end that begin with each word, and with a name of so many columns."""
    widths = [columns(word.text) for word in words]
    ends = [*accumulate((width + (not word.glued) for width, word in zip(widths, words, strict=True)), initial=0)]
    blank = [int(not word.glued) for word in words]  # in ``ends``, and not at the beginning of a line

    def line_end(begin: int, room: int) -> int:
        return bisect_right(ends, ends[begin] + blank[begin] + room, lo=begin) - 1 if begin < len(words) else begin

    firsts = (line_end(begin, LONGEST - name) for begin in range(len(words)))
    return [line_end(first, LONGEST) for first in firsts]


def _breaks(words: Sequence[Word], name: str) -> Iterator[tuple[float, str, str]]:
    """Yield the ways to lay words on two lines: the best has even lines, broken where a phrase ends."""
    for place in range(0 if name else 1, len(words)):
        first, second = f"{name}{joined(words[:place])}".rstrip(), joined(words[place:])
        widths = columns(first), columns(second)
        if max(widths) <= LONGEST:
            yield abs(widths[0] - widths[1]) + 4 * _BORDERS[border(first)], first, second


def _laid(words: Sequence[Word], name: str) -> tuple[str, ...]:
    """Lay a cue on one or two lines; words that begin one are no command of a CI server there."""
    whole = name + joined(words)
    if columns(whole) <= LONGEST:
        return (printable(whole),)
    _, first, second = min(_breaks(words, name))
    return (printable(first), printable(second))
