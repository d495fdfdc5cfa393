"""A take that was stopped goes on in its own folder: what is left of the line that was cut, and what has changed."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeGuard

from tau_stage import __version__
from tau_stage.audio.wav import read_wav
from tau_stage.errors import TakeError
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import Plan, resolved
from tau_stage.stage.crew import Crew
from tau_stage.stage.former import Former
from tau_stage.stage.notes import Resuming
from tau_stage.stage.purse import Purse
from tau_stage.take import records as record
from tau_stage.take.atomic import FULL_DISK, clear_drafts, guarded
from tau_stage.take.fold import PAID, beginning, fold
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import Journal
from tau_stage.take.stems import settle_files

OF_THE_BUDGET = "of the budget"
CUT = "the performance was stopped in the middle of it"
MOST_CHANGES = 24
"""Lines of a difference that are shown."""

_NOT_TOLD = {"sha256", "source_line", "path", "endpoint"}
"""What may differ though the scene is the same; it is played where it was played before."""


def changes(journal: Sequence[record.Record], plan: Plan) -> list[str]:
    """List what has changed in a scene since its take was performed, as lines of a difference; none: nothing has."""
    began = beginning(journal)
    if not began.resolved:
        return [] if began.sha256 == plan.sha256 else ["the file is another"]
    before, now = (_facts(text) for text in (began.resolved, resolved(plan)))
    lines = list(difflib.unified_diff(before, now, "as performed", "as it is", n=2, lineterm=""))
    more = len(lines) - MOST_CHANGES
    return lines if more <= 0 else [*lines[:MOST_CHANGES], f"... and {more} lines more"]


def _facts(plan: str) -> list[str]:
    return json.dumps(_told(json.loads(plan)), indent=1, ensure_ascii=False).splitlines()


def _told(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _told(value) for name, value in part.items() if name not in _NOT_TOLD}
    return [_told(value) for value in part] if isinstance(part, list) else part


def resumed(plan: Plan, began: record.TakeBegan, journal: Journal) -> record.TakeResumed:
    """Make the record that says so.

    Args:
        plan: The scene as it is now.
        began: How the take would begin now.
        journal: As far as it goes.
    """
    now = {name: getattr(began, name) for name in ("sha256", "spent", "deliver", "budget", "roles")}
    is_same = not changes(journal.records, plan)
    return record.TakeResumed(
        tau_stage=__version__,
        started=began.started,
        resolved="" if is_same else began.resolved,
        torn_bytes=journal.torn_bytes,
        **now,
    )


def pick_up(crew: Crew, former: Former) -> Former:
    """Return what is finished of a take; write down and keep what was cut, to be performed again.

    Args:
        crew: The folder is its.
        former: What is taken over from another take: such lines are not performed, and so none of them was cut.

    Raises:
        TakeError: The folder cannot be read or written.
    """
    folder, book = crew.folder, crew.book
    settle_files(folder, book.journal.records)
    take = fold(book.journal.records)
    lines = {line.id: line for line in take.lines}
    found = Former(folder, lines)
    for line in take.lines:
        try:
            found.sound(line)
        except TakeError as error:
            book.write(record.LineDropped(line=line.id, problem=error.problem))
            del lines[line.id]
    journal = book.journal.records
    clear_drafts(folder.path / "lines")
    for began in _cut(journal):
        if began.line in former.lines:
            continue
        if ended := _ended(crew, journal, began.line):
            crew.ended[began.line] = ended
        for call in _calls(journal, began.line):
            key = (call.player, call.line, call.tool, call.arguments)
            crew.answers.setdefault(key, []).append(call.output)
        takes = next((line.takes for line in crew.plan.lines if line.id == began.line), 1)
        for file, usage in _used(folder, journal, began, takes, ended):
            if usage.untold and crew.purse.knows(began.player):
                crew.purse.pay_blindly(began.line, began.player, usage)
            book.write(
                record.LineAgain(
                    line=began.line,
                    player=began.player,
                    problem=CUT,
                    wait_s=0.0,
                    file=file,
                    interrupted=True,
                    usage=usage,
                    reason="interrupted",
                )
            )
    seconds = tuple((line.id, line.player, line.duration_s) for line in lines.values())
    book.show(Resuming(seconds, crew.purse.spent))
    return found


def pay_again(purse: Purse, journal: Sequence[record.Record]) -> dict[tuple[str, int], Decimal]:
    """Count what was spent before a take was stopped, and learn from it what lines cost.

    Returns:
        Dollars that were paid for takes of lines, by line and take.
    """
    tools: dict[str, Decimal] = {}
    takes: dict[tuple[str, int], Decimal] = {}
    for fact in journal:
        if isinstance(fact, record.ModelNamed):
            purse.priced_as(fact.player, fact.model)
        if not isinstance(fact, PAID) or not purse.knows(fact.player):
            continue
        if isinstance(fact, record.LineAgain | record.LineFailed) and fact.usage.untold:
            purse.pay_blindly(fact.line, fact.player, fact.usage)
            continue
        model = fact.model if isinstance(fact, record.Transcribed) else None
        if model is None:
            purse.first_guess(fact.player, fact.usage)  # it was told of before
        if isinstance(fact, record.LineSpoken) and fact.usage == Usage() and (fact.line, fact.take) in takes:
            cost = takes[fact.line, fact.take]
        else:
            cost = purse.pay(fact.line, fact.player, fact.usage, model)
        if isinstance(fact, record.TakeKept):
            takes[fact.line, fact.take] = cost
        if isinstance(fact, record.ToolTurn):
            tools[fact.line] = tools.get(fact.line, Decimal(0)) + cost
        elif isinstance(fact, record.LineSpoken) and not fact.problem:
            purse.settle(fact.line, fact.player, cost + tools.pop(fact.line, Decimal(0)))
    if any(isinstance(fact, record.Warned) and OF_THE_BUDGET in fact.text for fact in journal):
        purse.has_warned()
    return takes


def _cut(journal: Sequence[record.Record]) -> list[record.LineBegan]:
    """Return the lines that had begun and were not finished."""
    found: dict[str, record.LineBegan] = {}
    for fact in journal:
        if isinstance(fact, record.LineBegan):
            found[fact.line] = fact
        elif _is_over(fact):
            found.pop(fact.line, None)
    return list(found.values())


def _is_over(
    fact: record.Record,
) -> TypeGuard[record.LineSpoken | record.LineLost | record.LineDropped | record.LineAgain]:
    """Tell whether an attempt at a line is over, well or not."""
    if isinstance(fact, record.LineAgain):
        return fact.interrupted
    return isinstance(fact, record.LineSpoken | record.LineLost | record.LineDropped)


def _ended(crew: Crew, journal: Sequence[record.Record], line: str) -> list[record.TakeKept]:
    """Return the takes of a line that had ended when it was cut; where the sound of one is gone, none is kept.

    Raises:
        TakeError: The folder cannot be read or written.
    """
    found: dict[int, record.TakeKept] = {}
    for fact in journal:
        if isinstance(fact, record.TakeKept) and fact.line == line:
            found[fact.take] = fact
        elif isinstance(fact, record.LineDropped) and fact.line == line:
            found.clear()
    ended = [found[take] for take in sorted(found)]
    for fact in ended:
        if fact.file and not _is_there(crew.folder, fact, fact.file):
            problem = f"the sound of take {fact.take} is missing, or is another: {fact.file}"
            crew.book.write(record.LineDropped(line=line, problem=problem))
            return []
    return ended


def _is_there(folder: TakeFolder, fact: record.TakeKept, file: str) -> bool:
    """Tell whether a take of a line lies where it was written down; one that had become the line goes back there."""
    path = folder.inside(file)
    line = path.with_name(re.sub(r"\.take-\d+\.wav$", ".wav", path.name))
    if not path.exists() and _sha256(line) == fact.sha256:
        with guarded(path, FULL_DISK):
            line.rename(path)
    return _sha256(path) == fact.sha256


def _sha256(path: Path) -> str:
    try:
        return read_wav(path).sha256
    except (OSError, ValueError):
        return ""


def _calls(journal: Sequence[record.Record], line: str) -> list[record.ToolCalled]:
    """Return what a line that was cut had called since its last take ended; what an earlier attempt had, too."""
    found: list[record.ToolCalled] = []
    for fact in journal:
        if isinstance(fact, record.TakeKept) and fact.line == line:
            found.clear()
        elif isinstance(fact, record.ToolCalled) and fact.line == line:
            found.append(fact)
    return found


def _used(
    folder: TakeFolder,
    journal: Sequence[record.Record],
    began: record.LineBegan,
    takes: int,
    ended: Sequence[record.TakeKept],
) -> list[tuple[str | None, Usage]]:
    """Return what there is of a line that was cut, file by file, and what it has used that is written down nowhere.

    The takes of it that had ended are no part of that.

    Args:
        folder: The take's.
        journal: As far as it goes.
        began: The beginning of the line.
        takes: How many takes of it are wanted.
        ended: Those that had ended.
    """
    told = {fact.file for fact in journal if isinstance(fact, record.TakeKept) and fact.line == began.line}
    found: list[tuple[str | None, Usage]] = []
    for before, now in _attempts(folder, journal, began, ended):
        was_picked = bool(told) and not re.fullmatch(r".*\.(take-\d+|part)\.wav", before)  # it has the line's name
        is_paid = before in told or was_picked
        found.append((now, Usage() if is_paid else Usage(untold=1)))
    if len(ended) < takes and not any(usage.untold for _, usage in found):
        found.append((None, Usage(untold=1)))  # a request was under way, or is about to be
    return found


def _attempts(
    folder: TakeFolder, journal: Sequence[record.Record], began: record.LineBegan, ended: Sequence[record.TakeKept]
) -> list[tuple[str, str]]:
    """Keep whatever sound there is of a line that was cut, under names of their own: those before and now."""
    known = {fact.file for fact in journal if isinstance(fact, record.LineAgain)} | {fact.file for fact in ended}
    name = re.escape(folder.line(0, began.player, began.line).stem.partition("-")[2])
    shape = re.compile(rf"(\d+)-{name}(\.take-\d+)?(\.part)?\.wav")
    found: list[tuple[str, str]] = []
    with guarded(folder.path / "lines", FULL_DISK):
        for path in sorted((folder.path / "lines").iterdir()):
            match = shape.fullmatch(path.name)
            if match is None or path.relative_to(folder.path).as_posix() in known:
                continue
            try:
                is_heard = bool(read_wav(path))
            except ValueError:
                is_heard = False
            if not is_heard:
                path.unlink()
                continue
            number = 1
            while (kept := folder.line(int(match[1]), began.player, began.line, number)).exists():
                number += 1
            path.rename(kept)
            found.append((path.relative_to(folder.path).as_posix(), kept.relative_to(folder.path).as_posix()))
    return found
