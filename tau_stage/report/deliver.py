"""What is made of a take when it is over: one place, whatever the scene asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tau_stage.errors import TakeError
from tau_stage.report import sessions, words
from tau_stage.report.checks import Check, read_checks
from tau_stage.report.page import page
from tau_stage.scene.deliver import Deliver
from tau_stage.take.atomic import FULL_DISK, guarded
from tau_stage.take.export import EXPORT, PACKED, export, heard, pack, realign
from tau_stage.take.folder import CHECKS, REPORT, TakeFolder
from tau_stage.take.journal import read_beginning
from tau_stage.take.marks import write_marks
from tau_stage.take.mix import SilentTake, mix
from tau_stage.take.reading import open_sound
from tau_stage.take.take_model import Take

NOTHING: Mapping[str, str] = {}
Note = Callable[[str], None]
"""Is told what is being made."""


def unnoted(_what: str) -> None:
    """Note nothing."""


def deliver(
    folder: TakeFolder,
    take: Take,
    wanted: Deliver,
    *,
    embed: bool = False,
    also: Mapping[str, str] = NOTHING,
    hint: str = FULL_DISK,
    note: Note = unnoted,
) -> list[str]:
    """Make what a scene asks for of a take; of one in which nobody spoke aloud, its words and its page.

    The take's sound is not touched, and its journal keeps what was wanted: this can be done again at any time. Sounds
    are looked at and made first, each whole; then all texts are written, or none.

    Args:
        folder: The take's.
        take: Complete, or not.
        wanted: As the plan has it, or the journal's beginning.
        embed: Whether the page holds the sounds.
        also: Further texts by file name, written with the others.
        hint: What to do where the texts cannot be written.
        note: Is told what is being made.

    Returns:
        What was made, a line for each.

    Raises:
        TakeError: A file of the take is missing or broken, or one cannot be written.
    """
    told = _sounding(folder, take, wanted, note) if heard(take) else []
    texts = {**also}
    if take.lines:
        note("writing subtitles, transcript and sheet")
        texts |= words.files(take)
    if heard(take):
        note("writing sessions for editors")
        texts |= sessions.files(take, _spare(folder), _rate(take, wanted))
    note("writing the page")
    resolved = read_beginning(folder.journal).resolved if folder.journal.is_file() else ""
    texts[REPORT] = page(take, folder, resolved=resolved or None, embed=embed, checks=_checks(folder, also))
    folder.write_all(texts, hint)
    return told


def _checks(folder: TakeFolder, also: Mapping[str, str]) -> Sequence[Check]:
    """Return what was expected of the take: as it is told now, or as its folder tells."""
    if CHECKS in also:
        return read_checks(also[CHECKS])
    if not folder.checks.is_file():
        return ()
    with guarded(folder.checks, "look at its permissions"):
        return read_checks(folder.checks.read_bytes(), str(folder.checks))


def _sounding(folder: TakeFolder, take: Take, wanted: Deliver, note: Note) -> list[str]:
    note("reading the lines")
    for line in heard(take):
        with open_sound(folder.sound(line), line.samples):
            pass  # what is missing is told before anything is made
    note("mixing")
    told = _mixed(folder, take, wanted)
    note("writing stems, lines and marks")
    rate = _rate(take, wanted)
    again = realign(folder, take, rate, _spare(folder)) if rate != take.rate else ()
    told += _realigned(again)
    if wanted.stems == "packed":
        told.append(f"{PACKED}/ {_counted(len(pack(folder, take, wanted.rate)), 'player')}")
    if wanted.lines:
        told.append(f"{EXPORT}/ {_counted(len(export(folder, take, wanted.lines, wanted.rate)), 'line')}")
    return told + write_marks(folder, take, again, rate)


def _rate(take: Take, wanted: Deliver) -> int:
    """Return the rate of stems and sessions; a performance that was stopped from outside leaves them as they are."""
    return take.rate if take.ended == "interrupted" else wanted.rate


def _realigned(files: Sequence[str]) -> list[str]:
    """Tell how many files are at another rate, by their folder."""
    folders = [name.partition("/")[0] for name in files]
    return [
        f"{name}/ {_counted(folders.count(name), name.partition('-')[0].removesuffix('s'))}"
        for name in dict.fromkeys(folders)
    ]


def _mixed(folder: TakeFolder, take: Take, wanted: Deliver) -> list[str]:
    """Make the mix; where the performance was stopped from outside, its stems may not reach to the end."""
    if not wanted.mix:
        return []
    try:
        return [str(mix(folder, take, wanted.mix, wanted.rate))]
    except SilentTake as silent:
        return [f"no mix: {silent.problem}"]
    except TakeError as error:
        if take.ended != "interrupted":
            raise
        return [f"no mix: {error.path}: {error.problem}"]


def _spare(folder: TakeFolder) -> list[str]:
    """Return sound of attempts that failed; other takes stand in the take itself."""
    attempts = [path.relative_to(folder.path).as_posix() for path in sorted(folder.path.glob("lines/*-*.wav"))]
    return [name for name in attempts if ".attempt-" in name]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")
