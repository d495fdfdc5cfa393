"""What was said in a take, as files for people and programs: subtitles, chapters, transcript, labels, a sheet."""

from __future__ import annotations

import csv
import io
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import accumulate
from pathlib import PurePosixPath

from tau_stage.scene import Deliver
from tau_stage.take import Alternative, ChapterSpan, Performed, PlayedSound, Playing, Take, chapters_of
from tau_stage.text import columns, one_line, printable, same_words
from tau_stage.timing import SpokenWord


def write_words(take: Take, head_s: float = 0.0) -> dict[str, str]:
    """Make every file of the take's words, by its name; before the stems begin in it, the mix is silent for a while."""
    heard = as_in_mix(take, head_s)
    return {
        "subtitles.vtt": render_vtt(heard),
        "subtitles.srt": render_srt(heard),
        "transcript.txt": render_transcript(take),
        "labels.txt": render_labels(take),
        "sheet.csv": render_sheet(take),
    }


def as_in_mix(take: Take, head_s: float) -> Take:
    """Return a take whose lines begin as they do in a mix that is silent for so many seconds before them."""
    lines = (line.model_copy(update={"offset_s": line.offset_s + head_s}) for line in take.lines)
    return take.model_copy(update={"lines": tuple(lines), "duration_s": take.duration_s + head_s}) if head_s else take


# ---- when each word is heard

LONGEST = 42  # columns of a line of subtitles, and so of the longest word: longer ones are taken apart

_MOST_SIGNS = 4 * LONGEST
"""Of a word: accents that combine take no column, and there may be any number of them."""

_SENTENCE = re.compile(r"[.!?…。！？｡][\"'”’»)\]]*$")
_PHRASE = re.compile(r"[,;:–—、，；：-][\"'”’»)\]]*$")
_PAUSES = {"sentence": 7.0, "phrase": 3.5, "": 0.0}


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word as it stands between blanks, with its punctuation; ``end_s`` is where the pause after it begins.

    It is ``glued`` to the word before where a long one was taken apart.
    """

    text: str
    start_s: float
    end_s: float
    glued: bool = False


def border(word: str) -> str:
    """Return what ends with a word: a ``sentence``, a ``phrase`` or nothing.

    >>> border("umbrella."), border("Well,"), border("the")
    ('sentence', 'phrase', '')
    """
    return "sentence" if _SENTENCE.search(word) else "phrase" if _PHRASE.search(word) else ""


def _split_words(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the words of a text, and whether each is glued to the one before.

    What is wider than a line of subtitles is taken apart, behind punctuation where there is some: an address, or a
    sentence in a script without blanks.
    """
    for word in one_line(text).split():
        for number, piece in enumerate(_chopped(word)):
            yield piece, number > 0


def _chopped(word: str) -> Iterator[str]:
    if columns(word) <= LONGEST and len(word) <= _MOST_SIGNS:
        yield word
        return
    piece, width = "", 0
    for sign in word:
        own = columns(sign)
        is_full = width + own > LONGEST or len(piece) >= _MOST_SIGNS
        if piece and (is_full or (own == 2 and border(piece) and not border(sign))):
            yield piece
            piece, width = "", 0
        piece, width = piece + sign, width + own
    yield piece


def spread_words(text: str, start_s: float, end_s: float) -> list[TimedWord]:
    """Estimate when each word is heard: by its length, with pauses at punctuation.

    Providers tell the words of a response and not their times.
    """
    words = list(_split_words(text))
    sounds = [1.0 + sum(map(str.isalnum, word)) * (1 + (columns(word) > len(word))) for word, _ in words]
    pauses = [_PAUSES[border(word)] for word, _ in words]
    whole = sum(sounds) + sum(pauses[:-1])
    spread_out: list[TimedWord] = []
    passed = 0.0
    for (word, glued), sound, pause in zip(words, sounds, pauses, strict=True):
        begin, end = (min(end_s, start_s + (end_s - start_s) * share / whole) for share in (passed, passed + sound))
        spread_out.append(TimedWord(word, begin, end, glued=glued))
        passed += sound + pause
    return spread_out


def as_timed(words: Sequence[SpokenWord], offset_s: float) -> list[TimedWord]:
    """Return the words of a line in the seconds of a take; a word that is wider than a line is taken apart."""
    found: list[TimedWord] = []
    is_glued = False
    for word in words:
        pieces = [*_chopped(one_line(word.text.strip()))]
        each = (word.end_s - word.start_s) / len(pieces)
        for number, piece in enumerate(pieces):
            start = offset_s + word.start_s + each * number
            found.append(TimedWord(piece, start, start + each, glued=number > 0 or is_glued))
        is_glued = not word.text[-1:].isspace()
    return found


def join_words(words: Sequence[TimedWord]) -> str:
    """Join words to a text again, with blanks where they had some."""
    return "".join(word.text if number == 0 or word.glued else f" {word.text}" for number, word in enumerate(words))


# ---- what stands on the screen

LONGEST_S = 7.0
SHORTEST_S = 1.0
READ_PER_S = 15  # signs that are read in a second: how long a line without sound stands

_LONGEST_NAME = 30
_EACH = 6.0
_BORDERS = {"sentence": 0.0, "phrase": 2.0, "": 5.0}


@dataclass(frozen=True, slots=True)
class Subtitle:
    """What stands on the screen at once: at most two lines of at most ``LONGEST`` columns.

    The id is the line's; from its second piece on with a number behind a stroke, which no line's id has.
    """

    id: str
    player: str
    rows: tuple[Sequence[TimedWord], ...]
    start_ms: int
    end_ms: int
    name: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """Its words as they are shown; words that begin a line are no command of a CI server there."""
        first, *rest = map(join_words, self.rows)
        return tuple(printable(text) for text in (f"{self.name}{first}".rstrip(), *rest))


def render_vtt(take: Take) -> str:
    """Write the take as WebVTT: voices are players, and the names of cues are those of the lines.

    Source: WebVTT, W3C Candidate Recommendation, 4 "Syntax": blocks, cue timings, voice spans, escapes.
    """
    blocks = ["WEBVTT\n"]
    for subtitle in make_subtitles(take):
        times = f"{cue_clock(subtitle.start_ms, '.')} --> {cue_clock(subtitle.end_ms, '.')}"
        words = escape("\n".join(subtitle.lines), quote=False)
        blocks.append(f"{subtitle.id}\n{times}\n<v {escape(subtitle.player, quote=False)}>{words}\n")
    return "\n".join(blocks)


def render_karaoke(take: Take, timed: Mapping[str, Sequence[TimedWord]]) -> str:
    """Write the take as WebVTT in which each word has the time at which it is heard.

    ``timed`` holds the words of lines by the lines' ids, in seconds of the take.

    Source: WebVTT, W3C Candidate Recommendation, 4.2.2 "WebVTT cue timestamp": between the times of its cue, ascending.
    """
    blocks = ["WEBVTT\n"]
    for subtitle in make_subtitles(take, timed=timed):
        times = f"{cue_clock(subtitle.start_ms, '.')} --> {cue_clock(subtitle.end_ms, '.')}"
        words = "\n".join(_sung(subtitle))
        blocks.append(f"{subtitle.id}\n{times}\n<v {escape(subtitle.player, quote=False)}>{words}\n")
    return "\n".join(blocks)


def _sung(subtitle: Subtitle) -> Iterator[str]:
    """Yield the lines of a subtitle with the times of its words, but for the first, which begins with it."""
    before = subtitle.start_ms
    for row in subtitle.rows:
        text = ""
        for number, word in enumerate(row):
            start_ms = _ms(word.start_s)
            mark = f"<{cue_clock(start_ms, '.')}>" if before < start_ms < subtitle.end_ms else ""
            before = max(before, start_ms)
            blank = "" if number == 0 or word.glued else " "
            text += f"{blank}{mark}{escape(printable(word.text), quote=False)}"
        yield text


def render_srt(take: Take) -> str:
    """Write the take as SubRip: numbers from 1, and the player before the words.

    Source: SubRip's own form, as Matroska tells it ("SRT Subtitles"). It knows no escapes: words stand as they are.
    """
    blocks = []
    for number, subtitle in enumerate(make_subtitles(take, named=True), 1):
        times = f"{cue_clock(subtitle.start_ms, ',')} --> {cue_clock(subtitle.end_ms, ',')}"
        blocks.append("\n".join([str(number), times, *subtitle.lines, ""]))
    return "\n".join(blocks)


def cue_clock(ms: int, point: str = ".") -> str:
    """Write a time as subtitles have it; WebVTT with a point, SubRip with a comma.

    >>> cue_clock(3_725_004), cue_clock(70_050, ",")
    ('01:02:05.004', '00:01:10,050')
    """
    minutes, rest = divmod(ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


NO_TIMES: Mapping[str, Sequence[TimedWord]] = {}


def make_subtitles(
    take: Take, *, named: bool = False, timed: Mapping[str, Sequence[TimedWord]] = NO_TIMES
) -> list[Subtitle]:
    """Return what stands on the screen, in order of time.

    All of it is within the take, except words without sound: they stand as long as they are read. Where one is
    ``named``, the player's name takes room from the words. Words of lines that are not ``timed`` are spread.
    """
    found = [subtitle for line in take.lines for subtitle in _subtitles_of(line, timed.get(line.id, ()), named=named)]
    found.sort(key=lambda subtitle: subtitle.start_ms)  # stable: lines and pieces that begin together stay in order
    return _with_room(found, _ms(take.duration_s))


def _with_room(found: Sequence[Subtitle], end_ms: int) -> list[Subtitle]:
    """Let short ones stand a second, where nothing else begins before."""
    starts = [subtitle.start_ms for subtitle in found]
    longer = []
    for place, subtitle in enumerate(found):
        after = bisect_left(starts, subtitle.end_ms, lo=place + 1)
        room = starts[after] if after < len(starts) else end_ms
        wished = min(subtitle.start_ms + round(SHORTEST_S * 1000), room)
        longer.append(replace(subtitle, end_ms=max(subtitle.end_ms, wished)))
    return longer


def _subtitles_of(line: Performed, timed: Sequence[TimedWord], *, named: bool) -> list[Subtitle]:
    seconds = line.duration_s if line.samples else max(SHORTEST_S, len(line.said) / READ_PER_S)
    end = line.offset_s + seconds
    words = timed or spread_words(line.said, line.offset_s, end)
    player = one_line(line.player)
    name = f"{_short(player)}: " if named else ""
    found = []
    for number, (piece, until) in enumerate(_pieces(words, end, name), 1):
        start_ms = _ms(piece[0].start_s)
        end_ms = max(start_ms + 1, _ms(min(until, piece[0].start_s + LONGEST_S)))
        id = line.id if number == 1 else f"{line.id}/{number}"  # noqa: A001 - it is one
        found.append(Subtitle(id, player, _laid(piece, name), start_ms, end_ms, name))
    return found


def _short(name: str) -> str:
    if columns(name) <= _LONGEST_NAME:
        return name
    while columns(name) >= _LONGEST_NAME:
        name = name[:-1]
    return f"{name.rstrip()}…"


def _ms(seconds: float) -> int:
    return int(seconds * 1000 + 1e-6)


def _pieces(words: Sequence[TimedWord], end_s: float, name: str) -> list[tuple[Sequence[TimedWord], float]]:
    """Cut a line into pieces that fit on a screen, and where each ends: the ones that cost least in all.

    A border that is no sentence's costs, and so does a piece that is short. The best pieces up to a word are
    the best up to where the last piece begins, and that piece.
    """
    starts = [*(word.start_s for word in words), end_s]
    reaches = _reaches(words, columns(name))
    best: list[tuple[float, int]] = [(0.0, 0)]
    first = 0
    for end, last in enumerate(words, 1):
        over = starts[end]
        while first < end - 1 and (over - starts[first] > LONGEST_S or reaches[first] < end):
            first += 1
        each = _EACH + (0.0 if end == len(words) else _BORDERS[border(last.text)])
        options = [
            (best[at][0] + each + _EACH * max(0.0, SHORTEST_S - (over - starts[at])), at) for at in range(first, end)
        ]
        best.append(min(options))
    return [(words[begin:end], starts[end]) for begin, end in _cuts([begin for _, begin in best])]


def _cuts(begins: Sequence[int]) -> list[tuple[int, int]]:
    """Return where the pieces begin and end, by where the last piece up to each word begins."""
    cuts: list[tuple[int, int]] = []
    end = len(begins) - 1
    while end:
        cuts.append((begins[end], end))
        end = begins[end]
    return cuts[::-1]


def _reaches(words: Sequence[TimedWord], name: int) -> list[int]:
    """Return behind which word the two lines end that begin with each word, and with a name of so many columns."""
    widths = [columns(word.text) for word in words]
    ends = [*accumulate((width + (not word.glued) for width, word in zip(widths, words, strict=True)), initial=0)]
    blank = [int(not word.glued) for word in words]  # in ``ends``, and not at the beginning of a line

    def line_end(begin: int, room: int) -> int:
        return bisect_right(ends, ends[begin] + blank[begin] + room, lo=begin) - 1 if begin < len(words) else begin

    firsts = (line_end(begin, LONGEST - name) for begin in range(len(words)))
    return [line_end(first, LONGEST) for first in firsts]


def _breaks(words: Sequence[TimedWord], name: str) -> Iterator[tuple[float, int]]:
    """Yield the ways to lay words on two lines: the best has even lines, broken where a phrase ends."""
    for place in range(0 if name else 1, len(words)):
        first, second = f"{name}{join_words(words[:place])}".rstrip(), join_words(words[place:])
        widths = columns(first), columns(second)
        if max(widths) <= LONGEST:
            yield abs(widths[0] - widths[1]) + 4 * _BORDERS[border(first)], place


def _laid(words: Sequence[TimedWord], name: str) -> tuple[Sequence[TimedWord], ...]:
    """Lay a subtitle on one or two lines."""
    if columns(name + join_words(words)) <= LONGEST:
        return (words,)
    _, place = min(_breaks(words, name))
    return (words[:place], words[place:])


# ---- to read

_ENDINGS = "-–— "


def render_transcript(take: Take) -> str:
    """Write the take as plain text: who plays, then what is said and heard, in order.

    A line that was cut ends with a dash; what was asked for stands below a line that says something else.
    """
    players = [f"{one_line(player.name)}: {_voice(player)}" for player in take.players]
    told = [(line.offset_samples, _paragraph(line)) for line in take.lines if one_line(line.said + line.asked)]
    told += [(sound.offset_samples, _sound(sound, take.rate)) for sound in take.sounds]
    told.sort(key=lambda paragraph: paragraph[0])
    ending = [] if take.ended == "complete" else [f"[{_stamp(take.duration_s)}] [{take.ended}]"]
    return "\n\n".join([one_line(take.scene.title), "\n".join(players), *(text for _, text in told), *ending]) + "\n"


def _voice(player: Playing) -> str:
    return one_line(player.voice if player.human is None else player.human)


def _said(line: Performed) -> str:
    if line.problem:
        return f"[{one_line(line.problem)}]"
    said = one_line(line.said)
    return said if line.ended == "completed" else f"{said.rstrip(_ENDINGS)}—"


def _paragraph(line: Performed) -> str:
    direction = f" ({one_line(line.direction)})" if line.direction else ""
    head = f"[{_stamp(line.offset_s)}] {one_line(line.player).upper()}{direction}: {_said(line)}".rstrip()
    if line.commentary:
        head += f"\n    commentary: {one_line(line.commentary)}"
    if not line.asked or same_words(line.asked, line.said):
        return head
    return f"{head}\n    asked: {one_line(line.asked)}"


def _sound(sound: PlayedSound, rate: int) -> str:
    end = f", until {_stamp(sound.offset_s + sound.samples / rate)}" if sound.kind == "bed" else ""
    return f"[{_stamp(sound.offset_s)}] [{one_line(PurePosixPath(sound.source).stem)}{end}]"


def _stamp(seconds: float) -> str:
    """Write minutes and tenths of seconds, never later than it is.

    >>> _stamp(3.26), _stamp(3600.5)
    ('00:03.2', '60:00.5')
    """
    tenths = int(seconds * 10 + 1e-6)
    return f"{tenths // 600:02}:{tenths // 10 % 60:02}.{tenths % 10}"


# ---- to edit


def render_labels(take: Take) -> str:
    """Write a label track with one label a line, for the stems in a sound editor.

    Source: Audacity Manual, "Importing and Exporting Labels": start and end in seconds, a tab between all three.
    """
    spoken = sorted((line for line in take.lines if one_line(line.said)), key=lambda line: line.offset_s)
    rows = ((line.offset_s, line.offset_s + line.duration_s, f"{line.player}: {line.said}") for line in spoken)
    return "".join(f"{start:.6f}\t{end:.6f}\t{one_line(text)}\n" for start, end, text in rows)


# ---- to record again

COLUMNS = (
    "number", "id", "player", "voice", "direction", "words asked", "words said", "file", "start", "seconds", "attempts",
    "take", "picked", "note",
)  # fmt: skip
"""Of the recording sheet."""


def render_sheet(take: Take) -> str:
    """Write a recording sheet as CSV, a row for each take of each line; a cell that would be calculated becomes a text.

    Source: RFC 4180; OWASP, "CSV Injection".
    """
    voices = {player.name: _voice(player) for player in take.players}
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for line in sorted(take.lines, key=lambda line: line.number):
        times = (f"{line.offset_s:.3f}", f"{line.duration_s:.3f}")
        spoken = (line.direction, line.asked, line.said, line.file or "")
        cells = (str(line.number), line.id, line.player, voices.get(line.player, ""), *spoken, *times)
        told: list[tuple[str, ...]] = [(*cells, str(line.attempts), str(line.take), "yes", _note(line))]
        told += [_other(other, cells, take.rate) for other in line.alternatives]
        rows.writerows([_harmless(one_line(cell)) for cell in row] for row in told)
    return text.getvalue()


def _other(other: Alternative, cells: Sequence[str], rate: int) -> tuple[str, ...]:
    """Return the row of a take that was not picked, from the cells of its line."""
    spoken = (other.said, other.file or "", cells[8], f"{other.samples / rate:.3f}")
    note = "" if other.ended == "completed" and not other.problem else _end(other)
    return (*cells[:6], *spoken, "", str(other.take), "", note)


def _note(line: Performed) -> str:
    """Say how a line ended, in the words of ``take.json``, and what else sets it apart."""
    facts = (
        (line.ended != "completed", _end(line)),
        (line.outdated, f"heard an older take of {' '.join(line.outdated)}"),
        (line.commentary, f"commentary: {line.commentary}"),
        (line.human, "human"),
        (not line.scripted, "not scripted"),
        (not line.samples, "no audio"),
    )
    return ", ".join(note for applies, note in facts if applies)


def _end(line: Performed | Alternative) -> str:
    why = line.problem or (line.reason if isinstance(line, Performed) else "")
    return f"{line.ended}: {why}" if why else line.ended


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(tuple("=+-@＝＋－＠")) else cell


# ---- chapters


def write_chapters(take: Take, wanted: Deliver) -> dict[str, str]:
    """Write the chapters of a take in each form, by file name; none where it has none. Times are those of the mix."""
    chapters = chapters_of(take, wanted.mix)
    if not chapters:
        return {}
    title = printable(wanted.mix.title if wanted.mix and wanted.mix.title else take.scene.title)
    artist = printable(wanted.mix.artist if wanted.mix and wanted.mix.artist else "")
    file = wanted.mix.file if wanted.mix else ""
    return {
        "chapters.json": render_json(chapters, title, artist, file),
        "chapters.vtt": render_vtt_chapters(chapters),
        "chapters.ffmetadata": render_ffmetadata(chapters, title, artist),
    }


def render_json(chapters: tuple[ChapterSpan, ...], title: str, artist: str, file: str) -> str:
    """Write chapters as programs for podcasts read them beside the mix.

    Source: Podcast Namespace (podcastindex.org), *JSON Chapters Format*, version 1.2.
    """
    about = {"title": title, "author": artist, "fileName": file}
    marks = [
        {"startTime": chapter.start_ms / 1000, "endTime": chapter.end_ms / 1000, "title": chapter.title}
        for chapter in chapters
    ]
    told = {"version": "1.2.0", **{key: text for key, text in about.items() if text}, "chapters": marks}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def render_vtt_chapters(chapters: tuple[ChapterSpan, ...]) -> str:
    """Write chapters as WebVTT: a cue lasts to the next chapter, and its text is the title.

    Source: WebVTT, W3C Candidate Recommendation, 1.4 "WebVTT for chapters".
    """
    blocks = ["WEBVTT\n"]
    for chapter in chapters:
        times = f"{cue_clock(chapter.start_ms)} --> {cue_clock(chapter.end_ms)}"
        blocks.append(f"{chapter.id}\n{times}\n{escape(chapter.title, quote=False)}\n")
    return "\n".join(blocks)


def render_ffmetadata(chapters: tuple[ChapterSpan, ...], title: str, artist: str) -> str:
    """Write chapters as FFmpeg reads them: ``ffmpeg -i mix.wav -i chapters.ffmetadata -map_chapters 1``.

    Source: FFmpeg Formats Documentation, "Metadata".
    """
    about = [f"{key}={_escaped(text)}" for key, text in (("title", title), ("artist", artist)) if text]
    parts = (
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={chapter.start_ms}\nEND={chapter.end_ms}\ntitle={_escaped(chapter.title)}"
        for chapter in chapters
    )
    return "\n".join([";FFMETADATA1", *about, *parts, ""])


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)
