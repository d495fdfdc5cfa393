"""A house for tests: an understudy in memory whose speech takes no time, so that two performances are alike."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import anyio
import anyio.lowlevel

from tau_stage.audio import RATE, Pcm
from tau_stage.checks import Snapshot, Verdict, VerdictSubject, check, measure_folder, sound_files
from tau_stage.clock import VIRTUAL
from tau_stage.errors import CassetteDiffers, ConnectFailed, StageError, unwrapped
from tau_stage.scene import ImprovisePlan, ListenPlan, Plan, PlayerPlan, locate, plan_json
from tau_stage.stage import PerformanceOptions, Stage, known_words, people_of, perform
from tau_stage.take import Take, TakeFolder
from tau_stage.transport import Handshake, MemoryTransport, Transport
from tau_stage.understudy import SpeechRequest, SpokenLine, Understudy, Voices, plan_speech


class InstantActor:
    """Speaks with the understudy's voices, on the event loop: a virtual clock stands still meanwhile.

    Raises:
        UsageError: The voices are not installed.
    """

    def __init__(self) -> None:
        self._voices = _voices()

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        """Say something; the words alone where no sound is wanted."""
        await anyio.lowlevel.checkpoint()
        performance = plan_speech(request)
        audio = self._voices.speak(performance, request.voice) if request.wants_audio else None
        return SpokenLine(performance.transcript, audio)


@cache
def _voices() -> Voices:
    """Return one engine for all scenes of the process: loading it takes longer than many a line."""
    return Voices()


def in_memory_stage(plan: Plan, understudy: Understudy | None = None) -> Stage:
    """Return a stage on which an understudy plays everybody, whatever endpoint the scene names, without a socket.

    Raises:
        UsageError: The voices are not installed.
    """
    playing = understudy or Understudy(InstantActor())
    for audio, words in known_words(plan):
        playing.known_speech.teach(audio, words)

    @asynccontextmanager
    async def connect(player: PlayerPlan) -> AsyncIterator[Transport]:
        handshake = Handshake(query={"model": player.model})
        if refusal := await playing.admit(handshake):
            raise ConnectFailed(reason=refusal.body.strip(), status=refusal.status)
        ours, theirs = MemoryTransport.pair()
        with unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(playing.listen, theirs, handshake)
                try:
                    yield ours
                finally:
                    ours.drop()
                    group.cancel_scope.cancel()

    return Stage(connect)


OWN = frozenset({"asked", "direction", "player", "place", "line", "pause", "heard_by"})
"""What of a line is the scene's own, whoever performs it."""


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class HummingActor:
    """Says what the understudy would say as a hum, at twelve signs a second: nothing needs to be installed."""

    async def speak(self, request: SpeechRequest) -> SpokenLine:
        """Say something; the words alone where no sound is wanted."""
        await anyio.lowlevel.checkpoint()
        words = plan_speech(request).transcript
        return SpokenLine(words, _hum(max(1, len(words)) * RATE // 12) if request.wants_audio else None)


def _hum(samples: int) -> Pcm:
    return Pcm(struct.pack("<2h", 1000, -1000) * (samples // 2))


def explain_divergence(plan: Plan, differs: CassetteDiffers, snapshot: Snapshot | None) -> Sequence[Verdict]:
    """Say what has changed since the cassette was recorded.

    The first event that differs may be that of another line than the one that is new, gone, or elsewhere. So where
    there is a snapshot, an understudy that hums walks through the scene, and everything of its own is compared with
    that.
    """
    found = _walked_through(plan, snapshot) if snapshot and _is_written(plan) else []
    return found or [_first(plan, differs)]


def _first(plan: Plan, differs: CassetteDiffers) -> Verdict:
    subject = VerdictSubject("line", differs.line, (differs.line,), "cassette")
    key = ("line", differs.line, differs.field)
    if not differs.line:
        subject = VerdictSubject("player", differs.player, (), "cassette")
        key = ("player", differs.player, differs.field)
    told = str(differs).partition(": ")[2].partition("\n")[0]
    return subject.verdict(locate(plan.locations, *key), differs.field, differs.recorded, differs.now, "failed", told)


def _is_written(plan: Plan) -> bool:
    """Tell whether all its lines are, and no tool runs a program: else who performs it makes a difference."""
    talks = (isinstance(step, ImprovisePlan | ListenPlan) for strand in plan.step_lists for step in strand)
    improvises = (line.improvised for line in plan.all_lines)
    return not any((*talks, *improvises, *(tool.is_code for tool in plan.tools.values())))


def _walked_through(plan: Plan, snapshot: Snapshot) -> list[Verdict]:
    with tempfile.TemporaryDirectory(prefix="tau-stage-") as place:
        folder = TakeFolder.create(Path(place), plan.slug, LONG_AGO, "walk")
        try:
            take = anyio.run(_perform, plan, folder, backend_options=VIRTUAL)
        except (StageError, BaseExceptionGroup):
            return []
        if take.ended != "complete":
            return []
        files = sound_files(plan.path, plan_json(plan))
        verdicts = check(plan, take, measure_folder(folder, take), snapshot, files=files)
    failed = [each for each in verdicts if each.outcome == "failed" and each.source == "snapshot"]
    return [each for each in failed if each.kind != "line" or each.what in OWN]


async def _perform(plan: Plan, folder: TakeFolder) -> Take:
    stage = in_memory_stage(plan, Understudy(HummingActor()))
    return await perform(plan, stage, folder, PerformanceOptions(people=people_of(plan, stand_in=True)))
