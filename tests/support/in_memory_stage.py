"""A house to perform scenes in: an understudy in memory, and everything that was sent to it, by player."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import read_wav
from tau_stage.devices.sound_cards import Loudspeaker
from tau_stage.errors import unwrapped
from tau_stage.gate import Gate, LocalGate
from tau_stage.scene.load import parse_scene
from tau_stage.scene.plan import Plan, PlayerPlan
from tau_stage.scene.planner import make_plan
from tau_stage.session import Deadlines
from tau_stage.stage.events import EventStream
from tau_stage.stage.people import Person, known_words
from tau_stage.stage.performance import PerformanceOptions, perform
from tau_stage.stage.sessions import Stage, endpoint_for, keys_at
from tau_stage.stage.takes import ChooseTake
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import read_journal
from tau_stage.take.records import Retake
from tau_stage.take.reuse import NO_REUSE, FormerTake, ReusedLines, changes_for_retake
from tau_stage.take.take_model import Performed, Take
from tau_stage.transport import Handshake, Transport
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy
from tests.support.far_servers import Passed, Uplink, far_away
from tests.support.memory_server import Judged, connected
from tests.support.tone_voice import Tones

SCENES = Path(__file__).parent.parent.parent / "scenes"


class Playhouse:
    """Performs scenes on an understudy with a tone for a voice.

    Args:
        tmp_path: Where takes go.
        faults: What goes wrong.
        keeps: Whether what was sent is kept.
        judges: Whether it is judged, too.
        uplink: How far away the understudy is; none: it is here.

    Attributes:
        passed: What went over the uplink, and came back.
        sockets: By player, as they were opened last.
        folder: The last take's.
    """

    def __init__(
        self,
        tmp_path: Path,
        faults: Sequence[fault.Fault] = (),
        *,
        keeps: bool = True,
        judges: bool = True,
        uplink: Uplink | None = None,
    ) -> None:
        self.understudy = Understudy(Tones(), faults=faults, keeps_visits=keeps)
        self.sockets: dict[str, Judged] = {}
        self._out = tmp_path
        self._judges = judges
        self._uplink = uplink
        self.passed: list[Passed] = []
        self._takes = 0
        self.folder = TakeFolder(tmp_path)

    async def perform(
        self,
        scene: str | Plan,
        *,
        allow_tools: bool = False,
        people: Mapping[str, Person] | None = None,
        deadlines: Deadlines | None = None,
        watch: EventStream | None = None,
        loudspeaker: Loudspeaker | None = None,
        former: ReusedLines = NO_REUSE,
        ask: ChooseTake | None = None,
        again: TakeFolder | None = None,
        stop: anyio.Event | None = None,
        budget: Decimal | None = None,
        gate: Gate | None = None,
    ) -> Take:
        """Perform a scene, or go on with a take of it; its files stand beside those of the repository's scenes."""
        plan = plan_of(scene) if isinstance(scene, str) else scene
        for audio, words in known_words(plan):
            self.understudy.known_speech.teach(audio, words)
        self._takes += 1
        curtain_up = datetime(2026, 11, 21, tzinfo=UTC)
        self.folder = again or TakeFolder.create(self._out, "scene", curtain_up, str(self._takes))
        stage = Stage(self._connect, gate=gate or LocalGate(), deadlines=deadlines or Deadlines())
        options = PerformanceOptions(
            allow_tools=allow_tools,
            people=people,
            watch=watch,
            loudspeaker=loudspeaker,
            former=former,
            ask=ask,
            again=again is not None,
            stop=stop,
            budget=budget,
        )
        if self._uplink is None:
            return await perform(plan, stage, self.folder, options)
        with unwrapped():
            async with anyio.create_task_group() as group:
                group.start_soon(self._uplink.run)
                take = await perform(plan, stage, self.folder, options)
                group.cancel_scope.cancel()
        return take

    @asynccontextmanager
    async def _connect(self, player: PlayerPlan) -> AsyncIterator[Transport]:
        async with connected(self.understudy, Handshake(query={"model": player.model})) as socket:
            judged = self.understudy.keeps_visits and self._judges
            if judged:
                self.sockets[player.name] = socket
            near = socket if judged else socket.inner
            if self._uplink is None:
                yield near
                return
            async with far_away(near, self._uplink, player.name, self.passed) as far:
                yield far

    # ---- what was sent, and what is left

    def sent(self, player: str, kind: str = "") -> list[dict[str, Any]]:
        """Events a player's session sent, of one type or all."""
        events = [json.loads(frame) for frame in self.sockets[player].sent]
        return [event for event in events if kind in ("", event["type"])]

    def received(self, player: str, kind: str) -> list[dict[str, Any]]:
        """Events a player's session received."""
        events = [json.loads(frame) for frame in self.sockets[player].received]
        return [event for event in events if event["type"] == kind]

    def items(self, player: str) -> list[str]:
        """What was put into a player's conversation, in order: sounds by the line they are, words as they are."""
        told = []
        for event in self.sent(player, "conversation.item.create"):
            item = event["item"]
            for part in item.get("content", ()):
                words = part.get("text") if part["type"] != "input_audio" else f"<{self.sound_of(part['audio'])}>"
                told.append(f"{item['role']}: {words}")
        return told

    def sound_of(self, base64: str) -> str:
        """Which line or effect a sound is, sample for sample."""
        import pybase64

        sha = Pcm(pybase64.b64decode(base64)).sha256
        for fact in self.journal:
            if isinstance(fact, record.LineSpoken) and fact.sha256 == sha:
                return fact.line
            if isinstance(fact, record.SoundPlayed) and fact.sha256 == sha:
                return fact.sound
        return "?"

    def heard(self, player: str) -> list[str]:
        """The lines and effects whose sound a player was sent, in order."""
        return [item[7:-1] for item in self.items(player) if item.startswith("user: <")]

    @property
    def journal(self) -> list[record.Record]:
        """What happened in the last performance."""
        return read_journal(self.folder.journal)

    def facts(self, kind: type[record.Record]) -> list[Any]:
        """The facts of one kind, in order."""
        return [fact for fact in self.journal if isinstance(fact, kind)]

    def file(self, line: Performed) -> Pcm:
        """A line's sound."""
        return read_wav(self.folder.path / str(line.file))

    def stem(self, name: str) -> Pcm:
        """A stem's sound."""
        return read_wav(self.folder.stems / f"{name}.wav")


def plan_of(text: str, **given: str) -> Plan:
    """A scene in memory; its files lie where those of the repository's scenes do."""
    return make_plan(parse_scene(text, str(SCENES / "test.yaml"), given))


def reused_for_retake(plan: Plan, folder: TakeFolder, take: Take, *lines: str, through: bool = False) -> ReusedLines:
    """What is taken over when lines of a take of a scene, which is as it was, are performed again."""
    keys = keys_at(plan, partial(endpoint_for, environment={}))
    former = FormerTake(folder, take, read_journal(folder.journal))
    return changes_for_retake(plan, keys, former, Retake(lines=lines, through=through)).reuse
