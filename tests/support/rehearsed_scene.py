"""A scene in memory, performed on the understudy and held against what is expected of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

from tau_stage.audio.pcm import Pcm
from tau_stage.checks.checking import check
from tau_stage.checks.metrics import TakeMetrics, measure
from tau_stage.checks.snapshot import Snapshot, format_snapshot, parse_snapshot, take_snapshot
from tau_stage.checks.verdict import Verdict
from tau_stage.scene.plan import Plan, plan_json
from tau_stage.take.take_model import Performed, Take
from tests.support.in_memory_stage import Playhouse, plan_of


@dataclass(frozen=True)
class Rehearsal:
    """A performance with its sounds in memory, which may be changed.

    Attributes:
        plan: What was to be performed.
        take: What was performed.
        sounds: By line.
    """

    plan: Plan
    take: Take
    sounds: Mapping[str, Pcm] = field(default_factory=dict)

    def measures(self) -> TakeMetrics:
        return measure(self.take, lambda line: self.sounds[line.id])

    def snapshot(self) -> Snapshot:
        """What accepting would leave, read back from its file."""
        return parse_snapshot(
            format_snapshot(take_snapshot(self.take, self.measures(), plan_json(self.plan), {})), Path("snapshot")
        )

    def check(self, snapshot: Snapshot | None = None) -> list[Verdict]:
        return check(self.plan, self.take, self.measures(), snapshot)

    def heard(self, name: str, change: Callable[[Pcm], Pcm]) -> Rehearsal:
        """The same with another sound for one line."""
        sound = change(self.sounds[name])
        told = {"samples": len(sound), "duration_s": sound.duration_s}
        return replace(self.told(name, told), sounds={**self.sounds, name: sound})

    def told(self, name: str, facts: Mapping[str, object]) -> Rehearsal:
        """The same with other facts for one line."""
        lines = tuple(line.model_copy(update=dict(facts)) if line.id == name else line for line in self.take.lines)
        return replace(self, take=self.take.model_copy(update={"lines": lines}))

    def on(self, endpoint: str) -> Rehearsal:
        """The same, as if another endpoint had played everybody: the understudy's times are not kept."""
        players = tuple(player.model_copy(update={"endpoint": endpoint}) for player in self.take.players)
        return replace(self, take=self.take.model_copy(update={"players": players}))

    def line(self, name: str) -> Performed:
        return next(line for line in self.take.lines if line.id == name)


async def rehearse(scene: str, tmp_path: Path) -> Rehearsal:
    """Perform a scene on the virtual clock."""
    house, plan = Playhouse(Path(mkdtemp(dir=tmp_path)), keeps=False), plan_of(scene)
    take = await house.perform(plan)
    return Rehearsal(plan, take, {line.id: house.file(line) for line in take.lines if line.file})
