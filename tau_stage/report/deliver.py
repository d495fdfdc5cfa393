"""What is made of a take when it is over: one place, whatever the scene asks for."""

from __future__ import annotations

from tau_stage.report import sessions, words
from tau_stage.report.page import write_page
from tau_stage.scene.deliver import Deliver
from tau_stage.take.export import EXPORT, PACKED, export, heard, pack
from tau_stage.take.folder import TakeFolder
from tau_stage.take.marks import write_marks
from tau_stage.take.mix import SilentTake, mix
from tau_stage.take.model import Take


def deliver(
    folder: TakeFolder, take: Take, wanted: Deliver, *, resolved: str | None = None, embed: bool = False
) -> list[str]:
    """Make what a scene asks for of a take; of one in which nobody spoke, nothing is made.

    The take itself is not touched, and its journal keeps what was wanted: this can be done again at any time.

    Args:
        folder: The take's.
        take: Complete, or not.
        wanted: As the plan has it, or the journal's beginning.
        resolved: The plan as JSON, for the page.
        embed: Whether the page holds the sounds.

    Returns:
        What was made, a line for each.

    Raises:
        TakeError: A file of the take is missing or broken, or one cannot be written.
    """
    if not heard(take):
        return []
    told: list[str] = []
    if wanted.mix:
        try:
            told.append(str(mix(folder, take, wanted.mix, wanted.rate)))
        except SilentTake as silent:
            told.append(f"no mix: {silent.problem}")
    if wanted.stems == "packed":
        told.append(f"{PACKED}/ {_counted(len(pack(folder, take, wanted.rate)), 'player')}")
    if wanted.lines:
        told.append(f"{EXPORT}/ {_counted(len(export(folder, take, wanted.lines, wanted.rate)), 'line')}")
    attempts = [path.relative_to(folder.path).as_posix() for path in sorted(folder.path.glob("lines/*-*.wav"))]
    spare = [name for name in attempts if ".attempt-" in name or ".take-" in name]
    for name, text in (words.files(take) | sessions.files(take, spare)).items():
        folder.write(name, text)
    told += write_marks(folder, take)
    write_page(folder, take, resolved=resolved, embed=embed)
    return told


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number != 1 else "")
