"""Picks: another take becomes the line after the performance. Pure.

The journal keeps what was performed, and each pick as one record after it. Whoever reads a journal gets it as the picks
have left it: the line has the facts of the take that was picked, and all that began after it is moved by as much as the
line became longer or shorter. So the take, its costs, its files and a resumption need to know nothing of picks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tau_stage.take.records import BedEnded, LineDropped, LineSpoken, Record, SoundPlayed, TakeKept, TakePicked

_SHARED = {
    "said", "sha256", "samples", "response", "status", "reason", "first_audio_s", "first_words_s", "took_s", "attempts",
    "problem", "written", "commentary", "commentary_s", "take",
}  # fmt: skip
"""What a line has of its take."""


def as_picked(journal: Sequence[Record]) -> list[Record]:
    """Apply the picks to a journal; they stay in it.

    Args:
        journal: As it was written.
    """
    if not any(isinstance(fact, TakePicked) for fact in journal):
        return list(journal)
    facts: list[Record] = []
    for fact in journal:
        if isinstance(fact, TakePicked):
            facts = _apply(facts, fact)
        facts.append(fact)
    return _mark_outdated(facts, journal)


def picks(journal: Sequence[Record]) -> dict[str, int]:
    """Return the take that was picked last of each line that was picked."""
    return {fact.line: fact.take for fact in journal if isinstance(fact, TakePicked)}


def _apply(facts: list[Record], pick: TakePicked) -> list[Record]:
    """Apply a pick to the facts before it."""
    lines = [fact for fact in facts if isinstance(fact, LineSpoken) and fact.line == pick.line]
    takes = [fact for fact in facts if isinstance(fact, TakeKept) and (fact.line, fact.take) == (pick.line, pick.take)]
    if not lines or not takes or lines[-1].take == pick.take:
        return facts
    line, take = lines[-1], takes[-1]
    file = line.file or re.sub(r"\.take-\d+\.wav$", ".wav", take.file or "") or None
    picked = line.model_copy(update={**take.model_dump(include=_SHARED), "file": file})
    end, moved_end = _ends(facts, line, picked)
    return [picked if fact is line else _moved(fact, end, moved_end - end) for fact in facts]


def _ends(facts: Sequence[Record], line: LineSpoken, picked: LineSpoken) -> tuple[int, int]:
    """Tell where the line, and all that sounds together with it, ends: before the pick, and after it."""
    dropped = {fact.line for fact in facts if isinstance(fact, LineDropped)}
    spans = [span for fact in facts for span in _span(fact, line, dropped)]
    end = line.offset_samples + line.samples
    moved_end = picked.offset_samples + picked.samples
    for start, samples in sorted(spans):
        if start < end:
            end, moved_end = max(end, start + samples), max(moved_end, start + samples)
    return end, moved_end


def _span(fact: Record, line: LineSpoken, dropped: set[str]) -> list[tuple[int, int]]:
    """Return the begin and the length of what takes up time, if it is something else than the line."""
    match fact:
        case LineSpoken() if fact.line != line.line and fact.line not in dropped:
            return [(fact.offset_samples, fact.samples)]
        case SoundPlayed(kind="sfx") if fact.sound not in dropped:
            return [(fact.offset_samples, fact.samples)]
        case _:
            return []


def _moved(fact: Record, end: int, by: int) -> Record:
    """Move a fact if it begins after something that has another length now."""
    if isinstance(fact, LineSpoken | SoundPlayed) and fact.offset_samples >= end:
        return fact.model_copy(update={"offset_samples": fact.offset_samples + by})
    if isinstance(fact, BedEnded) and fact.at_samples >= end:
        return fact.model_copy(update={"at_samples": fact.at_samples + by})
    return fact


def _mark_outdated(facts: list[Record], journal: Sequence[Record]) -> list[Record]:
    """Mark the lines whose players had heard, or said, another take of a line before than is the line now."""
    performed: dict[str, LineSpoken] = {}
    now: dict[str, int] = {}
    last = {fact.line: fact.take for fact in facts if isinstance(fact, LineSpoken)}
    marked: list[Record] = []
    for fact, raw in zip(facts, journal, strict=True):
        if isinstance(raw, TakePicked):
            now[raw.line] = raw.take
        if isinstance(fact, LineSpoken) and isinstance(raw, LineSpoken):
            others = [
                name
                for name, other in performed.items()
                if now[name] != last[name] and not fact.human and fact.player in (other.player, *other.hearers)
            ]
            performed[fact.line], now[fact.line] = raw, raw.take
            outdated = tuple(dict.fromkeys((*fact.outdated, *(name for name in others if name != fact.line))))
            marked.append(fact.model_copy(update={"outdated": outdated}))
        else:
            marked.append(fact)
    return marked
