"""A former take of the same scene: lines that are taken over from it instead of being performed again."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, dropwhile, filterfalse
from typing import Any

from tau_stage.audio import Pcm
from tau_stage.scene import (
    LineKey,
    LinePlan,
    Plan,
    Step,
    TogetherPlan,
    key_name,
    line_keys,
    listed,
    plan_json,
    slug,
    who_knows,
)
from tau_stage.take.atomic import FULL_DISK, copy_whole
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import beginning
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
        """Return a line's sound; a ``TakeError`` says that it is not there, or is another."""
        home = self.home(line.id)
        if line.file is None or home is None:
            return Pcm()
        return audio_of(home, line)

    def copy(self, line: Performed | Alternative, plan: LinePlan, to: TakeFolder) -> str | None:
        """Copy the file of a line, or of a take of it that was not picked, byte for byte; its name in the new take."""
        home, final = self.home(plan.id), to.line(plan.number, plan.player, plan.id)
        if line.file is None or home is None:
            return None
        if isinstance(line, Alternative):
            final = to.other(final, line.take)
        copy_whole(home.sound(line), final, FULL_DISK)
        return final.relative_to(to.path).as_posix()

    def heard_otherwise(self, line: Performed, done: frozenset[str]) -> dict[str, str]:
        """Tell what a line's player had heard, or said, of lines that are other ones now: their hashes, by id.

        ``line`` is of the former take; lines that are ``done`` were performed before it.
        """
        known = (name for name in done & self.retaken.keys() if line.player in _knowing(self.retaken[name]))
        return {**{name: self.retaken[name].sha256 for name in known}, **self.heard_as.get(line.id, {})}


NO_REUSE = ReusedLines()


def _knowing(line: Performed) -> set[str]:
    """Return who knows of a line: who said it and remembers it, and who was to hear it."""
    return {*who_knows(line.player, (hearing.player for hearing in line.hearers), remembered=line.remembered)}


def plan_without(plan: Plan, lines: Collection[str]) -> Plan:
    """Leave some of a plan's lines and talks out."""

    def rest(steps: Iterable[Step]) -> Iterator[Any]:
        for step in steps:
            left = replace(step, parts=tuple(rest(step.parts))) if isinstance(step, TogetherPlan) else step
            if getattr(left, "id", "") not in lines and getattr(left, "parts", True):
                yield left

    cues = tuple(replace(cue, steps=tuple(rest(cue.steps))) for cue in plan.cues)
    return replace(plan, steps=tuple(rest(plan.steps)), cues=cues)


def _described(plan: str) -> dict[str, object]:
    """Return what each line of a plan, as JSON, asks for, by its id; improvisations and listening as planned."""
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

    A talk that was stopped before its end ``is_cut``.
    """

    id: str
    lines: tuple[Performed, ...]
    source: FormerTake
    is_cut: bool

    @property
    def key(self) -> str:
        return self.lines[0].key

    @property
    def group(self) -> str:
        """Its player; empty for a talk."""
        return "" if self.lines[0].id.startswith(f"{self.id}-") else self.lines[0].player

    @property
    def is_named(self) -> bool:
        """Whether its id is its author's."""
        return bool(self.group) and not re.fullmatch(rf"(cue-\d+-)?{re.escape(slug(self.group))}-\d+", self.id)

    @property
    def outdated(self) -> list[tuple[TakeFolder, str]]:
        """Lines that its player had heard as other takes than they are, by their folder and their ids there."""
        return [(self.source.folder, other) for line in self.lines for other in line.outdated]

    @property
    def number(self) -> int:
        return self.lines[0].number

    @property
    def knows(self) -> frozenset[str]:
        return frozenset(chain.from_iterable(map(_knowing, self.lines)))

    @property
    def is_usable(self) -> bool:
        """Whether all of it is whole, and there."""
        files = (self.source.folder.sound(each) for line in self.lines for each in line.files)
        has_failed = self.is_cut or any(line.problem for line in self.lines)
        return not has_failed and all(file.is_file() for file in files)

    def heard_others(self, key: LineKey) -> bool:
        """Tell whether it was said after other lines, or takes of them, than the scene and its take have now."""
        return self.lines[0].context_key != key.context or bool(self.outdated)


@dataclass(frozen=True, slots=True)
class SceneChanges:
    """How a scene differs from its newest take, by line ids; an improvisation is one line, and so is listening.

    Attributes:
        new: What the take does not have.
        changed: What would be asked for otherwise, has failed, or lost its sound.
        outdated: What stands, though its player had heard something else before it.
        removed: What the scene does not have any more, by the ids of the take.
        same: What stands, and was heard as it is.
        performed: What is to be performed.
        reasons: Why lines are outdated, a sentence each.
        reuse: What is taken over.
    """

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    performed: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    reuse: ReusedLines = NO_REUSE


def all_new(plan: Plan) -> SceneChanges:
    """Tell that a scene has no take: all its lines are new."""
    lines = tuple(line_keys(plan, defaultdict(str)))
    return SceneChanges(lines, performed=lines)


def changes_for_retake(plan: Plan, keys: Mapping[str, LineKey], former: FormerTake, wanted: Retake) -> SceneChanges:
    """Tell how a scene differs from a take of it, and what is taken over when lines of the take are performed again.

    Args:
        plan: Of the scene as it is.
        keys: Of its lines, as they would be performed where the take was.
        former: The take.
        wanted: The lines, at least one, by the ids of the take.

    Raises:
        KeyError: The take has no such line, or the scene does not have it any more.
    """
    found = _match(plan, keys, [former])
    ids = _ids(found.former)
    lines = {ids[former.folder, line.id]: line for line in former.take.lines if (former.folder, line.id) in ids}
    named = [ids[former.folder, line] for line in wanted.lines]
    anew = {name: lines[name] for name in named}
    if wanted.through:
        anew = dict(dropwhile(lambda pair: pair[0] not in named, lines.items()))
    players = {line.player for line in anew.values()}
    if wanted.through and anew.keys() - {planned.id for planned in plan.lines}:
        players = {player.name for player in plan.models}  # nobody knows who will speak
    reuse = _reuse(found.former, anew, [former])
    known = found.former.keys() | _unchanged(plan, former)
    return SceneChanges(
        new=tuple(name for name in keys if name not in known),
        changed=tuple(name for name, line in found.former.items() if name not in anew and line.key != keys[name].own),
        removed=tuple(found.removed),
        performed=tuple(named),
        reuse=replace(reuse, players=frozenset(players), wish=wanted, retaken={} if wanted.through else reuse.retaken),
    )


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
    found = _match(plan, keys, takes)
    outdated = tuple(_outdated(keys, found, through=through))
    performed = [name for name in keys if name not in found.silent and name not in found.kept]
    again = {*performed, *(outdated if through else ())}
    anew = [name for name in keys if name in again]
    reasons = tuple(_reasons(keys, found, outdated, anew))
    former = {name: line for name, line in found.former.items() if name in found.kept or name in again}
    reuse = replace(
        _reuse(former, again, takes),
        players=frozenset(_needed_players(plan, keys, found, anew, takes[0].take)),
        wish=Retake(lines=tuple(anew), through=through, changed=True),
        warnings=() if through else tuple(text for text in reasons if OLDER not in text),  # the take tells those
    )
    return SceneChanges(
        new=tuple(name for name in performed if name not in found.before),
        changed=tuple(name for name in performed if name in found.before),
        outdated=outdated,
        removed=tuple(found.removed),
        same=tuple(name for name in keys if name in found.kept and name not in outdated),
        performed=tuple(anew),
        reasons=reasons,
        reuse=reuse,
    )


@dataclass(slots=True)
class _Match:
    """What former takes have of a scene, by the ids of the scene.

    Attributes:
        kept: Whole, and as it would be asked for.
        before: Otherwise.
        removed: What the scene does not have any more, by the ids of the take.
        silent: What a take came to its end without, as a performance may.
    """

    kept: dict[str, _FormerLine] = field(default_factory=dict)
    before: dict[str, _FormerLine] = field(default_factory=dict)
    removed: dict[str, _FormerLine] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    @property
    def former(self) -> dict[str, _FormerLine]:
        """All that they have of it."""
        return self.before | self.kept


def _match(plan: Plan, keys: Mapping[str, LineKey], takes: Iterable[FormerTake]) -> _Match:
    found = _Match()
    for take in takes:
        lines = _former_lines(take, keys)
        pairs = dict(_paired(lines, keys))
        paired = {former.id for former in pairs.values()}
        found.removed |= {former.id: former for former in lines if former.id not in paired}
        found.silent |= {
            name for name in _left_out(plan, take) - pairs.keys() if name in keys and keys[name].is_optional
        }
        for name, former in pairs.items():
            fits = former.key == keys[name].own and former.is_usable
            (found.kept if fits else found.before).setdefault(name, former)
    return found


def _former_lines(take: FormerTake, keys: Container[str]) -> list[_FormerLine]:
    """Return what a take has, under the ids of its plan, in order; where it has no journal, of the scene as it is."""
    known = _described(beginning(take.journal).resolved) if take.journal else keys
    found: dict[str, list[Performed]] = {}
    for line in take.take.lines:
        found.setdefault(key_name(line.id, known) or line.id, []).append(line)
    cut = {fact.step for fact in of_type(take.journal, ListenBegan)}
    cut -= {fact.step for fact in of_type(take.journal, ListenEnded)}
    return [_FormerLine(name, tuple(lines), take, name in cut) for name, lines in found.items()]


def _needed_players(
    plan: Plan, keys: Mapping[str, LineKey], found: _Match, anew: Sequence[str], take: Take
) -> Iterable[str]:
    """Return the players that are needed to perform lines anew: all, where nobody knows who will speak."""
    talks = {name for name, key in keys.items() if not key.group}
    is_over = take.ended in OVER  # else improvisation may go on where it was stopped
    if plan.cues or found.silent or not talks.isdisjoint(anew if is_over else keys):
        return [player.name for player in plan.models]
    return chain(*(keys[name].speakers for name in anew))


def _paired(former: Sequence[_FormerLine], keys: Mapping[str, LineKey]) -> Iterator[tuple[str, _FormerLine]]:
    """Pair what a take has with what a scene has: by the author's id, else by key, in order; then what lies between.

    An automatic id counts the lines of a player, so that it moves when a line is inserted before it; where nothing has
    changed, it counts too.
    """
    known = [line for line in former if line.id in keys]
    is_same = len(known) == len(former) and all(line.key == keys[line.id].own for line in known)
    own = {line.id: line for line in known if is_same or line.is_named}
    yield from own.items()
    for group in dict.fromkeys(key.group for key in keys.values()):
        lines = [line for line in former if line.group == group and line.id not in own]
        names = [name for name, key in keys.items() if key.group == group and name not in own]
        yield from _aligned(lines, names, keys)


def _aligned(
    lines: Sequence[_FormerLine], names: Sequence[str], keys: Mapping[str, LineKey]
) -> Iterator[tuple[str, _FormerLine]]:
    from rapidfuzz.distance import Indel

    a = b = 0
    for block in Indel.opcodes([line.key for line in lines], [keys[name].own for name in names]).as_matching_blocks():
        yield from zip(names[b : block.b], lines[a : block.a], strict=False)
        a, b = block.a + block.size, block.b + block.size
        yield from zip(names[block.b : b], lines[block.a : a], strict=True)


def _unchanged(plan: Plan, former: FormerTake) -> set[str]:
    """Return the lines that a scene describes as it did when a take of it was performed, by the same ids."""
    now = _described(plan_json(plan))
    before = _described(beginning(former.journal).resolved) if former.journal else now
    return {name for name, what in before.items() if what == now.get(name)}


def _outdated(keys: Mapping[str, LineKey], found: _Match, *, through: bool) -> Iterator[str]:
    """Yield what stands though its player had heard something else; ``through``: which will be something else, too."""
    since: dict[str, int] = {}
    for name in filterfalse(found.silent.__contains__, keys):
        key, former = keys[name], found.kept.get(name)
        is_late = any(since.get(player, key.at) < key.at for player in key.speakers)
        if is_outdated := former is not None and (is_late or former.heard_others(key)):
            yield name
        if former is None or (is_outdated and through):
            since = dict.fromkeys(key.listeners, key.at) | since


def _left_out(plan: Plan, take: FormerTake) -> set[str]:
    """Return the lines that a take came past, and did not perform; none where it did not come to its end."""
    if take.take.ended not in OVER:
        return set()
    return {*_unchanged(plan, take)}.difference(fact.line for fact in of_type(take.journal, LineLost))


def _reasons(keys: Mapping[str, LineKey], found: _Match, outdated: Sequence[str], anew: Sequence[str]) -> Iterator[str]:
    """Say why lines are outdated, a sentence for each reason; a line may have several."""
    hearers = [(name, keys[name].at, keys[name].speakers) for name in outdated]
    placed = [(name, found.kept[name].number, speakers) for name, _, speakers in hearers]
    spoken = {name: (name, keys[name].at, keys[name].listeners) for name in anew}
    former, ids = found.former, _ids(found.former)
    sources, by_sources = _heard([spoken[name] for name in anew if name in former], hearers)
    marked = {name: [ids[place] for place in former[name].outdated if place in ids] for name in outdated}
    new, missing = _heard([spoken[name] for name in anew if name not in former], hearers)
    gone, besides = _heard([(line.id, line.number, line.knows) for line in found.removed.values()], placed)
    older = [name for name in outdated if name in by_sources or marked[name]]
    other = {*outdated}.difference(older, missing, besides)
    for names, sentence, what in (
        (older, f"{{}} {OLDER} {{}}", dict.fromkeys((*sources, *chain(*marked.values())))),
        (missing, "{} did not hear {}, which is new", new),
        (besides, "{} heard {}, which is no longer in the scene", gone),
        (other, "{} heard words, sounds or players that have changed", ()),
    ):
        if names:
            yield sentence.format(_counted(names), listed([*what]))


def _counted(names: Collection[str]) -> str:
    return f"line {next(iter(names))}" if len(names) == 1 else f"{len(names)} lines"


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
        (line.source.folder, each.id): name + each.id.removeprefix(line.id)
        for name, line in former.items()
        for each in line.lines
    }


def _heard_as(
    ids: Mapping[tuple[TakeFolder, str], str], takes: Sequence[FormerTake]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what each line's player has heard of others, by their ids in the scene."""
    for take in takes:
        own = {line: name for (folder, line), name in ids.items() if folder == take.folder}
        for fact in of_type(take.journal, LineSpoken):
            if fact.heard_as and fact.line in own:
                yield own[fact.line], {own[other]: sha for other, sha in fact.heard_as.items() if other in own}


def _reuse(former: Mapping[str, _FormerLine], anew: Container[str], takes: Sequence[FormerTake]) -> ReusedLines:
    """Return lines under their ids in the scene, those that are said anew apart, and what they have heard of others."""
    ids = _ids(former)
    heard_as = dict(_heard_as(ids, takes))
    lines, retaken = dict[str, Performed](), dict[str, Performed]()
    elsewhere: dict[str, TakeFolder] = {}
    for group, each in former.items():
        for line in each.lines:
            name = ids[each.source.folder, line.id]
            found = retaken if group in anew or name in anew else lines
            found[name] = line.model_copy(update={"id": name})
            elsewhere[name] = each.source.folder
    return ReusedLines(takes[0].folder, lines, retaken=retaken, heard_as=heard_as, elsewhere=elsewhere)
