"""Recording a scene on an understudy in memory, and replaying it, on the virtual clock."""

from __future__ import annotations

import re
import secrets as dice
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import read_wav
from tau_stage.cassette.recorder import record_cassette
from tau_stage.cassette.replayer import Replay
from tau_stage.scene.plan import Plan
from tau_stage.stage.people import Person, known_words, people_of
from tau_stage.stage.performance import PerformanceOptions, perform
from tau_stage.stage.sessions import Stage
from tau_stage.take.folder import TakeFolder
from tau_stage.take.take_model import Take
from tests.support.in_memory_stage import Playhouse

TIMES = frozenset({"started", "at_s", "heard_at_s", "opened_s", "first_audio_s", "first_words_s", "took_s"})
IDS = frozenset({"response", "sessions"})


async def record(
    house: Playhouse,
    plan: Plan,
    tapes: Path,
    *,
    secrets: Collection[str] = (),
    stage: Stage | None = None,
    people: Mapping[str, Person] | None = None,
) -> Take:
    """Perform a scene in a house, and leave a cassette."""
    for audio, words in known_words(plan):
        house.understudy.known_speech.teach(audio, words)
    with record_cassette(plan, stage or Stage(house._connect), tapes, secrets) as tape:
        take = await _perform(plan, tape.stage, tapes / ".." / "recorded", people)
        tape.finish(take)
    return take


async def replay(plan: Plan, tapes: Path, people: Mapping[str, Person] | None = None) -> Take:
    """Perform a scene from its cassette."""
    tape = Replay.of(plan, tapes)
    take = await _perform(plan, tape.stage, tapes / ".." / "replayed", people)
    tape.finish(take)
    return take


async def _perform(plan: Plan, stage: Stage, out: Path, people: Mapping[str, Person] | None) -> Take:
    folder = TakeFolder.create(out, plan.slug, datetime(2026, 11, 21, tzinfo=UTC), dice.token_hex(4))
    present = people_of(plan, stand_in=True) if people is None else people
    options = PerformanceOptions(started=datetime(2026, 11, 21, tzinfo=UTC), people=present, allow_tools=True)
    return await perform(plan, stage, folder, options)


def sounds_of(out: Path) -> dict[str, Pcm]:
    """Every sound of the only take below a folder, by its path in the take."""
    return {str(Path(*file.parts[-2:])): read_wav(file) for file in sorted(out.rglob("*.wav"))}


def timeless(value: Any) -> Any:
    """A take without times and ids."""
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key not in TIMES | IDS}
    if isinstance(value, str):  # openings are tried again after a wait that is diced
        return re.sub(r"waited [\d.]+ s", "waited", value)
    return [timeless(inner) for inner in value] if isinstance(value, list | tuple) else value
