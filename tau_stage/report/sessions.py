"""A take as files that editors open, each at its place beside the sounds it names."""

from __future__ import annotations

from collections.abc import Iterable

from tau_stage.audio.pcm import RATE
from tau_stage.report.reaper import rpp
from tau_stage.report.timeline import otio, writable
from tau_stage.take.take_model import Take


def files(take: Take, attempts: Iterable[str] = (), rate: int = RATE) -> dict[str, str]:
    """Make the files by name: ``session.rpp``, and ``session.otio`` where its package is installed.

    Args:
        take: From ``take.json``.
        attempts: Sound of attempts that failed, relative to the take's folder.
        rate: Samples per second of the sounds and of the sessions.
    """
    made = {"session.rpp": rpp(take, attempts, rate)}
    return made | {"session.otio": otio(take, rate)} if writable() else made
