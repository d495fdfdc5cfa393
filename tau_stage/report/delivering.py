"""What is made of a take when it is over: one place, whatever the scene asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

from tau_stage import take as takes
from tau_stage.audio import RATE
from tau_stage.errors import TakeError
from tau_stage.protocol import ignore
from tau_stage.report.editor_sessions import render_otio, render_rpp
from tau_stage.report.page import Check, read_checks, render_page
from tau_stage.report.words import as_in_mix, as_timed, render_karaoke, write_chapters, write_words
from tau_stage.scene import Deliver
from tau_stage.take import Take, TakeFolder
from tau_stage.text import counted
from tau_stage.timing import LineTimer, time_lines, timings_in_words

KARAOKE = "subtitles.karaoke.vtt"
NOTHING: Mapping[str, str] = {}


@dataclass(slots=True)
class Made:
    """What was made of a take.

    Attributes:
        told: A line for each.
        missed: What is not as the delivery must be, a line for each.
    """

    told: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


Note = Callable[[str], None]  # is told what is being made


def deliver(
    folder: TakeFolder,
    take: Take,
    wanted: Deliver,
    *,
    embed: bool = False,
    also: Mapping[str, str] = NOTHING,
    hint: str = takes.FULL_DISK,
    note: Note = ignore,
) -> Made:
    """Make what a scene asks for of a take; of one in which nobody spoke aloud, its words and its page.

    The take's sound is not touched, and its journal keeps what was wanted: this can be done again at any time. Sounds
    are looked at and made first, each whole; then all texts are written, or none.

    ``also`` are further texts by file name, and ``embed`` puts the sounds into the page.

    Raises:
        TakeError: A file of the take is missing or broken, or one cannot be written.
    """
    made = _sounding(folder, take, wanted, note) if takes.heard(take) else Made()
    texts = {**also}
    if take.lines:
        note("writing subtitles, transcript and sheet")
        texts |= write_words(take, _head(wanted))
    texts |= write_chapters(take, wanted)
    if wanted.words or wanted.mouths:
        note("timing the words")
        news, told = write_timings(take, folder, wanted)
        texts |= news
        made.told += told
    if takes.heard(take):
        note("writing sessions for editors")
        texts |= write_sessions(take, _spare(folder), _rate(take, wanted))
    note("writing the page")
    resolved = takes.read_beginning(folder.journal).resolved if folder.journal.is_file() else ""
    texts[takes.REPORT] = render_page(take, folder, resolved=resolved, embed=embed, checks=_checks(folder, also))
    folder.write_all(texts, hint)
    return made


def write_timings(take: Take, folder: TakeFolder, wanted: Deliver) -> tuple[dict[str, str], list[str]]:
    """Write when the words of each line are heard, and the shapes of a mouth; and say where the times come from."""
    timer = LineTimer(take.rate, mouths=wanted.mouths)
    timed = [*time_lines(take, lambda line: takes.audio_of(folder, line), timer)]
    texts: dict[str, str] = {}
    told = []
    if wanted.words:
        head = _head(wanted)
        in_mix = {each.line.id: as_timed(each.words, head + each.line.offset_s) for each in timed}
        texts[KARAOKE] = render_karaoke(as_in_mix(take, head), in_mix)
        texts |= {each.file(".words.json"): each.words_json() for each in timed}
        told.append(f"lines/*.words.json {timings_in_words(timed, aligns=timer.aligns)}")
    if wanted.mouths:
        with_shapes = [each for each in timed if each.mouths]
        texts |= {each.file(".mouths.tsv"): each.mouths_tsv() for each in with_shapes}
        others = len(timed) - len(with_shapes)
        lacks = f"; the pronunciation of {counted(others, 'line')} is unknown" if others else ""
        told.append(f"lines/*.mouths.tsv {counted(len(with_shapes), 'line')}{lacks}")
    return texts, told


def _head(wanted: Deliver) -> float:
    """Return the seconds of silence before the stems begin in the mix."""
    return wanted.mix.head if wanted.mix else 0.0


def write_sessions(take: Take, attempts: Iterable[str] = (), rate: int = RATE) -> dict[str, str]:
    """Write the take for editors: ``session.rpp``, and ``session.otio`` where its package is installed."""
    texts = {"session.rpp": render_rpp(take, attempts, rate)}
    return texts | {"session.otio": render_otio(take, rate)} if find_spec("opentimelineio") else texts


def _checks(folder: TakeFolder, also: Mapping[str, str]) -> Sequence[Check]:
    """Return what was expected of the take: as it is told now, or as its folder tells."""
    if takes.CHECKS in also:
        return read_checks(also[takes.CHECKS])
    if not folder.checks.is_file():
        return ()
    with takes.guarded(folder.checks, "check its permissions"):
        return read_checks(folder.checks.read_bytes(), str(folder.checks))


def _sounding(folder: TakeFolder, take: Take, wanted: Deliver, note: Note) -> Made:
    note("reading the lines")
    for line in takes.heard(take):
        with takes.open_sound(folder.sound(line), line.samples):
            pass  # what is missing is told before anything is made
    note("mixing")
    made = _mixed(folder, take, wanted)
    note("writing stems, lines and marks")
    rate = _rate(take, wanted)
    again = takes.realign(folder, take, rate, _spare(folder)) if rate != take.rate else ()
    made.told += _realigned(again)
    if wanted.stems == "packed":
        made.told.append(f"{takes.PACKED}/ {counted(len(takes.pack(folder, take, wanted.rate)), 'player')}")
    if wanted.lines:
        exported = takes.export(folder, take, wanted.lines, wanted.rate)
        made.told.append(str(exported))
        made.missed += exported.missed
    made.told += takes.write_marks(folder, take, again, rate)
    return made


def _rate(take: Take, wanted: Deliver) -> int:
    """Return the rate of stems and sessions; a performance that was stopped from outside leaves them as they are."""
    return take.rate if take.ended == "interrupted" else wanted.rate


def _realigned(files: Sequence[str]) -> list[str]:
    """Tell how many files are at another rate, by their folder."""
    folders = [name.partition("/")[0] for name in files]
    return [
        f"{name}/ {counted(folders.count(name), name.partition('-')[0].removesuffix('s'))}"
        for name in dict.fromkeys(folders)
    ]


def _mixed(folder: TakeFolder, take: Take, wanted: Deliver) -> Made:
    """Make the mix; where the performance was stopped from outside, its stems may not reach to the end."""
    if not wanted.mix:
        return Made()
    try:
        mixed = takes.mix(folder, take, wanted.mix, wanted.rate)
    except takes.SilentTake as silent:
        return Made([f"no mix: {silent.problem}"])
    except TakeError as error:
        if take.ended != "interrupted":
            raise
        return Made([f"no mix: {error.path}: {error.problem}"])
    return Made([str(mixed)], [*mixed.missed])


def _spare(folder: TakeFolder) -> list[str]:
    """Return sound of attempts that failed; other takes stand in the take itself."""
    attempts = [path.relative_to(folder.path).as_posix() for path in sorted(folder.path.glob("lines/*-*.wav"))]
    return [name for name in attempts if ".attempt-" in name]


# ---- once more, from the journal

NO_TAKE = "specify a take folder, for example takes/umbrella/latest"
DAMAGED = "it is damaged, or was written by a newer tau-stage; nothing was changed"
CLOSED = "free some disk space, or make the folder writable; nothing was changed"


def rebuild(folder: TakeFolder, *, embed: bool = False, note: Note = ignore) -> tuple[Take, Made]:
    """Write ``take.json``, ``cost.json`` and all that is made of a take, from its journal and its sounds.

    Where something is missing or broken, nothing is written; the texts are written all, or none is.

    Returns the take, and what was made.

    Raises:
        TakeError: There is no journal, it is broken or a newer version's, a sound is missing or broken, or the folder
            cannot be written.
    """
    if not folder.path.is_dir():
        raise TakeError(str(folder.path), "not a directory", NO_TAKE)
    if not folder.journal.is_file():
        raise TakeError(str(folder.journal), "is missing", NO_TAKE)
    with takes.locked(folder.path):
        take, texts = rebuilt(folder)
        if not takes.delivery(takes.read_journal(folder.journal)):
            takes.follow_picks(folder)
        wanted = takes.read_beginning(folder.journal).deliver
        return take, deliver(folder, take, wanted, embed=embed, also=texts, hint=CLOSED, note=note)


def rebuilt(folder: TakeFolder) -> tuple[Take, dict[str, str]]:
    """Make a take from its journal, and the texts of its ``cost.json`` and ``take.json``; nothing is written.

    Raises:
        TakeError: There is no journal, or it is broken or a newer version's.
    """
    takes.refuse_newer(folder)
    try:
        journal = takes.read_journal(folder.journal)
        take = takes.fold(journal)
        cost = takes.cost_json(journal)
    except TakeError as error:
        raise TakeError(str(folder.journal), error.problem, error.hint or DAMAGED) from None
    except (LookupError, ValueError, ArithmeticError) as error:
        problem = f"the journal is inconsistent ({type(error).__name__}: {error})"
        raise TakeError(str(folder.journal), problem) from error
    return take, {takes.COSTS: cost, takes.MANIFEST: take.model_dump_json(indent=2) + "\n"}
