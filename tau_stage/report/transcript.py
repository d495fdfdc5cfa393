"""What was said in a take, as files for people and their programs: to read, to show, to edit, to record again."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import PurePosixPath

from tau_stage.report.subtitles import render_srt, render_vtt
from tau_stage.take import Alternative, Performed, PlayedSound, Playing, Take
from tau_stage.text import one_line, same_words

COLUMNS = (
    "number", "id", "player", "voice", "direction", "words asked", "words said", "file", "start", "seconds", "attempts",
    "take", "picked", "note",
)  # fmt: skip
"""Of the recording sheet."""

_ENDINGS = "-–— "


def write_words(take: Take) -> dict[str, str]:
    """Make every file of the take's words, by its name."""
    return {
        "subtitles.vtt": render_vtt(take),
        "subtitles.srt": render_srt(take),
        "transcript.txt": render_transcript(take),
        "labels.txt": render_labels(take),
        "sheet.csv": render_sheet(take),
    }


# ---- to read


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


def _paragraph(line: Performed) -> str:
    direction = f" ({one_line(line.direction)})" if line.direction else ""
    said = f"[{one_line(line.problem)}]" if line.problem else one_line(line.said)
    if not line.problem and line.ended != "completed":
        said = f"{said.rstrip(_ENDINGS)}—"
    head = f"[{_stamp(line.offset_s)}] {one_line(line.player).upper()}{direction}: {said}".rstrip()
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
        (not line.samples, "no sound"),
    )
    return ", ".join(note for applies, note in facts if applies)


def _end(line: Performed | Alternative) -> str:
    why = line.problem or (line.reason if isinstance(line, Performed) else "")
    return f"{line.ended}: {why}" if why else line.ended


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(tuple("=+-@＝＋－＠")) else cell
