"""A former take of the same scene: lines that are taken over from it instead of being performed again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import dropwhile

from tau_stage.audio import Pcm
from tau_stage.scene import LinePlan, Plan, TogetherPlan, plan_json
from tau_stage.take.atomic import FULL_DISK, copy_whole
from tau_stage.take.folder import TakeFolder
from tau_stage.take.journal import read_journal
from tau_stage.take.reading import audio_of
from tau_stage.take.records import LineSpoken, Retake, of_type
from tau_stage.take.take_model import Alternative, Performed, Take


@dataclass(frozen=True, slots=True)
class ReusedLines:
    """What is taken over.

    Attributes:
        folder: Where it lies; None is nothing.
        lines: By id.
        players: Who performs something anew, and so must know what was said before.
        retaken: Lines that are performed anew, though later ones are not, as they were, by id.
        heard_as: What was heard, before a line, of others that are other ones now: their hashes by id, by line.
        elsewhere: Folders of lines that lie in another one, by id.
        wish: What is performed again, where this is a retake.
    """

    folder: TakeFolder | None = None
    lines: Mapping[str, Performed] = field(default_factory=dict)
    players: frozenset[str] | None = None
    retaken: Mapping[str, Performed] = field(default_factory=dict)
    heard_as: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    elsewhere: Mapping[str, TakeFolder] = field(default_factory=dict)
    wish: Retake | None = None

    def besides(self, other: ReusedLines) -> ReusedLines:
        """Return what is taken over from here and, where nothing of it is here, from another former take."""
        missing = {name: line for name, line in other.lines.items() if name not in self.lines}
        elsewhere = dict.fromkeys(missing, other.folder) if other.folder else {}
        lines = {**self.lines, **missing}
        return replace(other, folder=self.folder, lines=lines, elsewhere=elsewhere)

    def home(self, line: str) -> TakeFolder | None:
        """Return the folder that a line lies in."""
        return self.elsewhere.get(line, self.folder)

    def needs(self, player: str) -> bool:
        """Tell whether a player's session must be opened."""
        return self.players is None or player in self.players

    def of(self, step: str) -> list[Performed]:
        """Return the lines that a step without lines of its own has led to, in order."""
        return [line for name, line in self.lines.items() if name.startswith(f"{step}-")]

    def sound(self, line: Performed) -> Pcm:
        """Return a line's sound, as it was.

        Raises:
            TakeError: It is not there, or is another.
        """
        home = self.home(line.id)
        if line.file is None or home is None:
            return Pcm()
        return audio_of(home, line)

    def copy(self, line: Performed | Alternative, plan: LinePlan, to: TakeFolder) -> str | None:
        """Copy the file of a line, or of a take of it that was not picked, byte for byte; its name in the new take.

        Raises:
            TakeError: It cannot be copied.
        """
        home, final = self.home(plan.id), to.line(plan.number, plan.player, plan.id)
        if line.file is None or home is None:
            return None
        if isinstance(line, Alternative):
            final = to.other(final, line.take)
        copy_whole(home.sound(line), final, FULL_DISK)
        return final.relative_to(to.path).as_posix()

    def heard_otherwise(self, line: Performed, done: frozenset[str]) -> dict[str, str]:
        """Tell what a line's player had heard, or said, of lines that are other ones now: their hashes, by id.

        Args:
            line: From the former take.
            done: Lines that were performed before it.
        """
        retaken = {
            name: other.sha256
            for name, other in self.retaken.items()
            if name in done and line.player in (other.player, *(hearing.player for hearing in other.hearers))
        }
        return {**retaken, **self.heard_as.get(line.id, {})}


NO_REUSE = ReusedLines()


def reuse_for_retake(plan: Plan, folder: TakeFolder, take: Take, *lines: str, through: bool = False) -> ReusedLines:
    """Return what is taken over when lines are performed again.

    Args:
        plan: Of the same scene.
        folder: The former take's.
        take: The former take.
        lines: The ids of the lines, at least one.
        through: Whether the lines after the first of them are performed again, too.

    Raises:
        KeyError: The take has no such line.
    """
    former = {performed.id: performed for performed in take.lines}
    anew = {line: former[line] for line in lines}
    if through:
        anew = dict(dropwhile(lambda pair: pair[0] not in lines, former.items()))
    kept = {name: performed for name, performed in former.items() if name not in anew}
    if through and anew.keys() - {planned.id for planned in plan.lines}:
        players = frozenset(player.name for player in plan.models)  # nobody knows who will speak
    else:
        players = frozenset(performed.player for performed in anew.values())
    journal = read_journal(folder.journal) if folder.journal.is_file() else ()
    heard_as = {fact.line: fact.heard_as for fact in of_type(journal, LineSpoken)}
    return ReusedLines(folder, kept, players, {} if through else anew, heard_as)


@dataclass(frozen=True, slots=True)
class SceneDrift:
    """How the lines of a scene differ from those that were performed, but for those that are retaken.

    Attributes:
        changed: Lines that are otherwise now; they are taken over as they were.
        new: Lines that were not in the scene.
        gone: Lines that are no longer in it.
    """

    changed: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]

    def told(self) -> Iterator[str]:
        """Say what becomes of them, a sentence each."""
        for lines, fate in (
            (self.changed, "changed since, and kept as they were"),
            (self.new, "new in the scene, and not performed"),
            (self.gone, "no longer in the scene, and left out"),
        ):
            if lines:
                yield f"{', '.join(lines)}: {fate}"


def scene_drift(before: str, plan: Plan, lines: Sequence[str]) -> SceneDrift:
    """Tell how a scene differs from what was performed.

    Args:
        before: The plan of the former take, as JSON.
        plan: Of the scene as it is.
        lines: The ids of the lines that are retaken.
    """
    old, now = (dict(_lines(json.loads(text))) for text in (before, plan_json(plan)))
    rest = [name for name in now if name not in lines]
    return SceneDrift(
        tuple(name for name in rest if name in old and old[name] != now[name]),
        tuple(name for name in rest if name not in old),
        tuple(name for name in old if name not in now),
    )


def plan_without(plan: Plan, lines: Sequence[str]) -> Plan:
    """Leave some of a plan's lines out."""
    parted = [
        replace(step, parts=tuple(part for part in step.parts if not _is_one(part, lines)))
        if isinstance(step, TogetherPlan)
        else step
        for step in plan.steps
    ]
    steps = (
        step for step in parted if not _is_one(step, lines) and not (isinstance(step, TogetherPlan) and not step.parts)
    )
    return replace(plan, steps=tuple(steps))


def _is_one(step: object, lines: Sequence[str]) -> bool:
    return isinstance(step, LinePlan) and step.id in lines


def _lines(part: object) -> Iterator[tuple[str, object]]:
    """Yield what each line of a plan asks for, by its id."""
    if isinstance(part, dict):
        if {"id", "player", "words", "direction"} <= part.keys():
            yield part["id"], (part["player"], part["words"], part["direction"])
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _lines(each)
