"""A former take of the same scene: lines that are taken over from it instead of being performed again."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, dropwhile, zip_longest

from tau_stage.audio import Pcm
from tau_stage.scene import LineKey, LinePlan, Plan, TogetherPlan, key_name, listed, plan_json, slug
from tau_stage.take.atomic import FULL_DISK, copy_whole
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import beginning
from tau_stage.take.journal import read_journal
from tau_stage.take.reading import audio_of
from tau_stage.take.records import LineLost, LineSpoken, ListenBegan, ListenEnded, Record, Retake, of_type
from tau_stage.take.take_model import Alternative, Performed, Take

OVER = ("complete", "incomplete")
"""How takes ended whose scene came to its end: there is nothing to go on with."""

OLDER = "heard an older take of"


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
        warnings: What the take's reader should know of lines that are taken over.
    """

    folder: TakeFolder | None = None
    lines: Mapping[str, Performed] = field(default_factory=dict)
    players: frozenset[str] | None = None
    retaken: Mapping[str, Performed] = field(default_factory=dict)
    heard_as: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    elsewhere: Mapping[str, TakeFolder] = field(default_factory=dict)
    wish: Retake | None = None
    warnings: tuple[str, ...] = ()

    def besides(self, other: ReusedLines) -> ReusedLines:
        """Return what is taken over from here and, where nothing of it is here, from another former take."""
        missing = {name: line for name, line in other.lines.items() if name not in self.lines}
        elsewhere = {name: home for name in missing if (home := other.home(name))}
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
    old, now = (
        {name: line for name, line in _described(text).items() if isinstance(line, tuple)}
        for text in (before, plan_json(plan))
    )
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


def _described(plan: str) -> dict[str, object]:
    """Return what each line of a plan, as JSON, asks for, by its id; free play and listening as they are planned."""
    return dict(_parts_of(json.loads(plan or "{}")))


def _parts_of(part: object) -> Iterator[tuple[str, object]]:
    if isinstance(part, dict):
        if {"id", "player", "words", "direction"} <= part.keys():
            yield part["id"], (part["player"], part["words"], part["direction"])
        elif {"id", "hearers", "turns"} <= part.keys():
            yield part["id"], {name: fact for name, fact in part.items() if name != "source_line"}
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _parts_of(each)


@dataclass(frozen=True, slots=True)
class FormerTake:
    """A take that lines may be taken over from; ``journal`` is what it was folded from."""

    folder: TakeFolder
    take: Take
    journal: Sequence[Record]


@dataclass(frozen=True, slots=True)
class _FormerLine:
    """A line of a former take, or a talk with all its turns, under the id that it has in the plan of that take.

    Attributes:
        is_cut: Whether it is a talk that was stopped before its end.
    """

    id: str
    group: str
    lines: tuple[Performed, ...]
    source: FormerTake
    is_cut: bool

    @property
    def key(self) -> str:
        return self.lines[0].key

    def place(self, line: str) -> tuple[TakeFolder, str]:
        return self.source.folder, line

    @property
    def number(self) -> int:
        return self.lines[0].number

    @property
    def knows(self) -> frozenset[str]:
        return frozenset(name for line in self.lines for name in (line.player, *(each.player for each in line.hearers)))

    def is_usable(self) -> bool:
        """Tell whether all of it is whole, and there."""
        if self.is_cut or any(line.problem for line in self.lines):
            return False
        files = (self.source.folder.sound(each) for line in self.lines for each in line.files)
        return all(file.is_file() for file in files)


@dataclass(frozen=True, slots=True)
class SceneChanges:
    """How a scene differs from its newest take, by the ids of lines in the scene; free play and listening are one each.

    Attributes:
        new: What the take does not have.
        changed: What would be asked for otherwise, has failed, or lost its sound.
        outdated: What stands, though its player had heard something else before it.
        removed: What the scene does not have any more, by the ids of the take.
        same: What stands, and was heard as it is.
        reasons: Why lines are outdated, a sentence each.
        reuse: What is taken over.
    """

    new: tuple[str, ...]
    changed: tuple[str, ...]
    outdated: tuple[str, ...]
    removed: tuple[str, ...]
    same: tuple[str, ...]
    reasons: tuple[str, ...]
    reuse: ReusedLines

    @property
    def performed(self) -> tuple[str, ...]:
        """What is performed."""
        return self.reuse.wish.lines if self.reuse.wish else ()


def all_new(plan: Plan) -> SceneChanges:
    """Tell that a scene has no take: all its lines are new."""
    lines = tuple(_described(plan_json(plan)))
    return SceneChanges(lines, (), (), (), (), (), ReusedLines(wish=Retake(lines=lines, changed=True)))


def changes_since(
    plan: Plan, keys: Mapping[str, LineKey], takes: Sequence[FormerTake], *, through: bool = False
) -> SceneChanges:
    """Tell how a scene differs from its newest take, and what of that is taken over.

    Args:
        plan: Of the scene as it is.
        keys: Of its lines, as they would be performed.
        takes: The newest take; where it was stopped, those before it, up to one that was not.
        through: Whether what is outdated is performed again, too.
    """
    kept: dict[str, _FormerLine] = {}
    before: dict[str, _FormerLine] = {}
    removed: dict[str, _FormerLine] = {}
    silent: set[str] = set()
    described = _described(plan_json(plan))
    for take in takes:
        left_out = _left_out(take, described)
        for former, name in _paired(_former_lines(take), keys):
            if name is None:
                removed |= {former.id: former} if former else {}
            elif former is None:
                silent |= {name} if keys[name].is_optional and name in left_out else set()
            elif name not in kept and former.key == keys[name].own and former.is_usable():
                kept[name] = former
            else:
                before.setdefault(name, former)
    outdated = tuple(_outdated(keys, kept, silent, through=through))
    performed = [name for name in keys if name not in silent and name not in kept]
    anew = [name for name in keys if name in {*performed, *(outdated if through else ())}]
    still = {name: kept[name] for name in keys if name in kept and name not in anew}
    reuse = _reuse({**before, **kept}, still, anew, takes)
    is_open = bool(plan.cues or silent) or any(not keys[name].group for name in anew)
    if takes[0].take.ended not in OVER and any(not key.group for key in keys.values()):
        is_open = True  # free play may go on where it was stopped
    players = (player.name for player in plan.models) if is_open else (p for name in anew for p in keys[name].speakers)
    reasons = tuple(_reasons(keys, kept, outdated, anew, {**before, **kept}, removed.values()))
    return SceneChanges(
        new=tuple(name for name in performed if name not in before),
        changed=tuple(name for name in performed if name in before),
        outdated=outdated,
        removed=tuple(removed),
        same=tuple(name for name in keys if name in kept and name not in outdated),
        reasons=reasons,
        reuse=replace(
            reuse,
            players=frozenset(players),
            wish=Retake(lines=tuple(anew), through=through, changed=True),
            warnings=()
            if through
            else tuple(reason for reason in reasons if OLDER not in reason),  # the take tells those
        ),
    )


def _former_lines(take: FormerTake) -> list[_FormerLine]:
    """Return what a take has, under the ids of its plan, in order."""
    known = _described(beginning(take.journal).resolved)
    found: dict[str, list[Performed]] = {}
    for line in take.take.lines:
        found.setdefault(key_name(line.id, known) or line.id, []).append(line)
    groups = {name: "" if isinstance(known.get(name), dict) else lines[0].player for name, lines in found.items()}
    ended = {fact.step for fact in of_type(take.journal, ListenEnded)}
    cut = {fact.step for fact in of_type(take.journal, ListenBegan)} - ended
    return [_FormerLine(name, groups[name], tuple(lines), take, name in cut) for name, lines in found.items()]


def _paired(
    former: Sequence[_FormerLine], keys: Mapping[str, LineKey]
) -> Iterator[tuple[_FormerLine | None, str | None]]:
    """Pair what a take has with what a scene has: by the author's id, else by key, in order; then what lies between.

    An automatic id counts the lines of a player, so that it moves when a line is inserted before it.
    """
    own = {line.id: line for line in former if line.id in keys and not _is_automatic(line.id, line.group)}
    yield from ((line, name) for name, line in own.items())
    for group in dict.fromkeys((*(line.group for line in former), *(key.group for key in keys.values()))):
        lines = [line for line in former if line.group == group and line.id not in own]
        names = [name for name, key in keys.items() if key.group == group and name not in own]
        yield from _aligned(lines, names, keys)


def _aligned(
    lines: Sequence[_FormerLine], names: Sequence[str], keys: Mapping[str, LineKey]
) -> Iterator[tuple[_FormerLine | None, str | None]]:
    from rapidfuzz.distance import Indel

    a = b = 0
    for block in Indel.opcodes([line.key for line in lines], [keys[name].own for name in names]).as_matching_blocks():
        yield from zip_longest(lines[a : block.a], names[b : block.b])
        a, b = block.a + block.size, block.b + block.size
        yield from zip(lines[block.a : a], names[block.b : b], strict=True)


def _is_automatic(line: str, player: str) -> bool:
    return not player or re.fullmatch(rf"(cue-\d+-)?{re.escape(slug(player))}-\d+", line) is not None


def _left_out(take: FormerTake, described: Mapping[str, object]) -> set[str]:
    """Return the lines of a scene, as it is described now, that a take may have come to its end without."""
    if take.take.ended not in OVER:
        return set()
    lost = {fact.line for fact in of_type(take.journal, LineLost)}
    before = _described(beginning(take.journal).resolved)
    return {name for name, what in before.items() if name not in lost and what == described.get(name)}


def _outdated(
    keys: Mapping[str, LineKey], kept: Mapping[str, _FormerLine], silent: Container[str], *, through: bool
) -> Iterator[str]:
    """Yield what stands though its player had heard something else; ``through``: which will be something else, too."""
    since: dict[str, int] = {}
    for name, key in keys.items():
        if name in silent:
            continue
        if former := kept.get(name):
            heard_others = former.lines[0].context_key != key.context or any(line.outdated for line in former.lines)
            if not heard_others and not any(since.get(player, key.at) < key.at for player in key.speakers):
                continue
            yield name
            if not through:
                continue
        for player in key.listeners:
            since.setdefault(player, key.at)


def _reasons(
    keys: Mapping[str, LineKey],
    kept: Mapping[str, _FormerLine],
    outdated: Sequence[str],
    anew: Sequence[str],
    before: Mapping[str, _FormerLine],
    removed: Iterable[_FormerLine],
) -> Iterator[str]:
    """Say why lines are outdated, a sentence for each reason; a line may have several."""
    hearers = [(name, keys[name].at, keys[name].speakers) for name in outdated]
    placed = [(name, kept[name].number, keys[name].speakers) for name in outdated]
    spoken = [(name, keys[name].at, keys[name].listeners) for name in anew]
    sources, by_sources = _heard([each for each in spoken if each[0] in before], hearers)
    ids = _ids(before)
    marked = {
        name: [
            ids[place]
            for line in kept[name].lines
            for other in line.outdated
            if (place := kept[name].place(other)) in ids
        ]
        for name in outdated
    }
    sources = [*dict.fromkeys((*sources, *chain(*marked.values())))]
    older = [name for name in outdated if name in by_sources or marked[name]]
    new, missing = _heard([each for each in spoken if each[0] not in before], hearers)
    gone, besides = _heard([(line.id, line.number, line.knows) for line in removed], placed)
    told = {*older, *missing, *besides}
    other = [name for name in outdated if name not in told]
    for names, sentence, what in (
        (older, f"{{}} {OLDER} {{}}", sources),
        (missing, "{} did not hear {}, as it is new", new),
        (besides, "{} heard {}, which the scene does not have any more", gone),
        (other, "{} heard other words, sounds or players before than the scene has now", []),
    ):
        if names:
            count = f"line {next(iter(names))}" if len(names) == 1 else f"{len(names)} lines"
            yield sentence.format(count, listed(what))


_Placed = tuple[str, int, Iterable[str]]


def _heard(sources: Sequence[_Placed], hearers: Sequence[_Placed]) -> tuple[list[str], set[str]]:
    """Return which of some lines were, or are to be, heard by players before others, and which of the others so are."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for _, at, listeners in sources:
        first |= {player: min(at, first.get(player, at)) for player in listeners}
    for _, at, speakers in hearers:
        last |= {player: max(at, last.get(player, at)) for player in speakers}
    told = [name for name, at, listeners in sources if any(last.get(player, at) > at for player in listeners)]
    return told, {name for name, at, speakers in hearers if any(first.get(player, at) < at for player in speakers)}


def _ids(former: Mapping[str, _FormerLine]) -> dict[tuple[TakeFolder, str], str]:
    """Return the ids that lines of former takes have now."""
    return {
        line.place(each.id): name + each.id.removeprefix(line.id)
        for name, line in former.items()
        for each in line.lines
    }


def _reuse(
    before: Mapping[str, _FormerLine],
    kept: Mapping[str, _FormerLine],
    anew: Sequence[str],
    takes: Sequence[FormerTake],
) -> ReusedLines:
    """Return the lines that are kept, under their ids in the scene, and what they have heard of others."""
    ids = _ids(before)
    heard_as = {
        name: {ids[take.folder, other]: sha for other, sha in fact.heard_as.items() if (take.folder, other) in ids}
        for take in takes
        for fact in of_type(take.journal, LineSpoken)
        if fact.heard_as and (name := ids.get((take.folder, fact.line)))
    }

    def named(lines: Iterable[_FormerLine]) -> Iterator[tuple[str, Performed, TakeFolder]]:
        for former in lines:
            for line in former.lines:
                name = ids[former.place(line.id)]
                yield name, line.model_copy(update={"id": name}), former.source.folder

    return ReusedLines(
        folder=takes[0].folder,
        lines={name: line for name, line, _ in named(kept.values())},
        retaken={name: line for name, line, _ in named(before[name] for name in anew if name in before)},
        heard_as=heard_as,
        elsewhere={name: home for name, _, home in named(kept.values()) if home != takes[0].folder},
    )
