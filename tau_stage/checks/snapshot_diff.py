"""A take against its snapshot: what is missing, what is new, and what is not as it was. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from tau_stage.checks.expectations import names_or_nobody
from tau_stage.checks.metrics import COMPARED, FROM_SOUND, LIMITS, Limit, TakeMetrics
from tau_stage.checks.snapshot import (
    DELIVERED,
    MISSING,
    CallSnapshot,
    LineSnapshot,
    PlayerSnapshot,
    Snapshot,
    SoundSnapshot,
    of_cue,
    sound_ids,
)
from tau_stage.checks.verdict import Verdict, VerdictSubject
from tau_stage.checks.voice_print import voice_distance
from tau_stage.scene import LinePlan, Location, Plan, automatic_id, lines_of, locate
from tau_stage.take import Take
from tau_stage.text import counted, word_error_rate

WHERE = {"asked": (), "player": (), "direction": ("direction",), "pause": ("pause",), "heard_by": ("to",)}
"""Options of a line that a figure follows from."""

SOONER = ("first_audio",)
"""Figures that may always be less."""

PERFORMED = ("first_audio", "cost")
"""Figures of a performance, which the snapshot of a retake has not; the first is not kept of the understudy either."""

AS_IT_WAS = ("player", "direction", "pause", "ended")
"""What has no tolerance."""


def compare_snapshot(
    snapshot: Snapshot, plan: Plan, take: Take, measures: TakeMetrics, now: Snapshot
) -> Iterator[Verdict]:
    """Yield a verdict for each fact of a snapshot, and for each line, sound and cue that it lacks."""
    yield from _players(snapshot, plan, now)
    yield from _lines(snapshot, plan, measures, now)
    yield from _sounds(snapshot, plan, now, pair_lines(snapshot.lines, now.lines), sound_ids(take))
    yield from _cues(snapshot, plan, now)
    yield from _files(snapshot, plan, now)
    yield from _delivered(snapshot, plan, now)


def _files(snapshot: Snapshot, plan: Plan, now: Snapshot) -> Iterator[Verdict]:
    """Yield a verdict for what is in each sound file, whatever it is called and whoever hears it."""
    ids = {sound.file: sound.id for sound in plan.sounds}
    for name in dict.fromkeys([*snapshot.files, *now.files]):
        old, new = (each.files.get(name, "none") for each in (snapshot, now))
        place = locate(plan.locations, "sound", ids[name]) if name in ids else locate(plan.locations)
        how = "is missing" if new in ("none", MISSING) else "is new" if old == "none" else "has changed"
        told = f"the sound file {name} {how} since the scene was accepted"
        yield VerdictSubject("sound", name, (), "snapshot").compare(place, "file", old, new, told=told)


def _delivered(snapshot: Snapshot, plan: Plan, now: Snapshot) -> Iterator[Verdict]:
    for name in dict.fromkeys([*snapshot.deliver, *now.deliver]):
        pair = [each.deliver.get(name, DELIVERED.get(name)) for each in (snapshot, now)]
        old, new = (json.dumps(value, ensure_ascii=False, sort_keys=True) for value in pair)
        told = f"deliver: {name} is {new}, was {old}"
        subject = VerdictSubject("scene", "", (), "snapshot")
        yield subject.compare(locate(plan.locations), "deliver", old, new, told=told)


def changed_lines(old: Snapshot | None, new: Snapshot) -> list[str]:
    """Return the lines of two snapshots that are not as they were; figures within the tolerance are no change.

    Args:
        old: The snapshot before; None where there was none.
        new: The one that takes its place.
    """
    before = old.lines if old else {}
    return [name for name in {**before, **new.lines} if not _is_alike(before.get(name), new.lines.get(name))]


def _is_alike(old: LineSnapshot | None, new: LineSnapshot | None) -> bool:
    if old is None or new is None:
        return old is new
    measured = {*COMPARED, "voice"}
    if old.model_dump(exclude=measured) != new.model_dump(exclude=measured):
        return False
    is_heard = (old.voice is None) == (new.voice is None)
    apart = voice_distance(old.voice, new.voice) if old.voice and new.voice else 0.0
    figures = ((getattr(old, what), getattr(new, what), what) for what in COMPARED)
    is_near = all(_is_near(*each, LIMITS[each[2]]) or (None in each and each[2] in PERFORMED) for each in figures)
    return is_heard and is_near and apart <= LIMITS["voice"].absolute


def _is_near(old: float | None, new: float | None, what: str, limit: Limit) -> bool:
    if old is None or new is None:
        return old == new
    return limit.allows(old, new) or (what in SOONER and new < old)


def _players(snapshot: Snapshot, plan: Plan, now: Snapshot) -> Iterator[Verdict]:
    for name in dict.fromkeys([*snapshot.players, *now.players]):
        old, new = snapshot.players.get(name), now.players.get(name)
        told = now if new else snapshot
        lines = tuple(each for each, line in told.lines.items() if line.player == name)
        subject = VerdictSubject("player", name, lines, "snapshot")
        here = locate(plan.locations, "player", name)
        if old is None or new is None:
            yield _presence(subject, here, "player", there=new is not None)
            continue
        for what in ("voice", "model", "speed", "told"):
            was, is_now = getattr(old, what), getattr(new, what)
            key = _telling(old, new) if what == "told" else what
            place = locate(plan.locations, "player", name, key)
            yield subject.compare(place, key, _told(key, was), _told(key, is_now), holds=was == is_now)


def _telling(old: PlayerSnapshot, new: PlayerSnapshot) -> str:
    """Return the option that changes what a player is told: ``accent``, where nothing else differs."""
    differing = set(old.told.splitlines()) ^ set(new.told.splitlines())
    accent = differing and all(line.startswith("Speak in ") for line in differing)
    return "accent" if accent else "direction"


def _presence(subject: VerdictSubject, place: Location, what: str, *, there: bool, told: str = "") -> Verdict:
    message = f"{what} {'is new, and not in the snapshot' if there else 'is missing'}{told}"
    expected, measured = ("none", "there") if there else ("there", "none")
    return subject.verdict(place, what, expected, measured, "failed", message)


def _lines(snapshot: Snapshot, plan: Plan, measures: TakeMetrics, now: Snapshot) -> Iterator[Verdict]:
    old, new = snapshot.lines, now.lines
    pairs = pair_lines(old, new)
    planned = {line.id: line for steps in plan.step_lists for line in lines_of(steps)}
    yield from (_missing(name, snapshot, plan, pairs, planned) for name in old if name not in pairs)
    for name, line in new.items():
        if name not in pairs.values():
            told = f": “{line.asked or line.said}”"
            yield _presence(_subject(name), _line_at(plan, name), "line", there=True, told=told)
    elsewhere, order = moved(pairs, new), [name for name in new if name in pairs.values()]
    for was, name in pairs.items():
        before, after = _after(list(pairs.values()), name), _after(order, name)
        told, holds = f"it stands {after}, and stood {before}", name not in elsewhere
        yield _subject(name).compare(_line_at(plan, name), "place", before, after, holds=holds, told=told)
        problem = measures.lines[name].problem
        yield from _LinePair(plan, name, old[was], new[name], planned.get(_written(name)), problem).verdicts()


def _subject(line: str) -> VerdictSubject:
    return VerdictSubject("line", line, (line,), "snapshot")


def _line_at(plan: Plan, name: str, *key: str) -> Location:
    return locate(plan.locations, "line", _written(name), *key)


def _missing(name: str, snapshot: Snapshot, plan: Plan, pairs: Pairs, planned: Mapping[str, LinePlan]) -> Verdict:
    """Place a line that is gone where it was: after the last one before it that is still there."""
    line = snapshot.lines[name]
    names = list(snapshot.lines)
    beside = [other for other in names[: names.index(name)] if of_cue(other) == of_cue(name)]
    last = next((pairs[other] for other in reversed(beside) if other in pairs), None)
    written = planned.get(_written(name))
    is_written = written is not None and (written.player, written.words) == (line.player, line.asked)
    place = _line_at(plan, name) if is_written else _line_at(plan, last) if last else locate(plan.locations)
    why = "" if is_written or last is None else f"; it stood after {last}"
    return _presence(_subject(name), place, "line", there=False, told=f": “{line.asked or line.said}”{why}")


@dataclass(frozen=True)
class _LinePair:
    """Compares a line with itself as it was.

    Attributes:
        plan: The scene's.
        name: Its id now.
        old: As it was.
        new: As it is.
        wanted: As it is written now.
        problem: Why its sound could not be measured, or empty.
    """

    plan: Plan
    name: str
    old: LineSnapshot
    new: LineSnapshot
    wanted: LinePlan | None
    problem: str

    def verdicts(self) -> Iterator[Verdict]:
        old, new = self.old, self.new
        for what in AS_IT_WAS:
            yield self.compare(what, *(_told(what, getattr(line, what)) for line in (old, new)))
        same_words = self.limit("words").allows(0.0, word_error_rate(old.said, new.said))
        yield self.compare("asked", _quoted(old.asked), _quoted(new.asked), holds=old.asked == new.asked)
        yield self.compare("said", _quoted(old.said), _quoted(new.said), holds=same_words)
        yield self.compare("heard_by", names_or_nobody(old.heard_by), names_or_nobody(new.heard_by))
        yield self.compare("calls", _calls(old.calls), _calls(new.calls), holds=old.calls == new.calls)
        for what in COMPARED:
            yield from self.figure(what, getattr(old, what), getattr(new, what))
        yield from self.voice()

    def at(self, what: str) -> Location:
        return _line_at(self.plan, self.name, *WHERE.get(what, ()))

    def compare(self, what: str, expected: str, measured: str, *, holds: bool | None = None) -> Verdict:
        return _subject(self.name).compare(self.at(what), what, expected, measured, holds=holds)

    def limit(self, what: str) -> Limit:
        """Return how much a figure may differ, as the line and the scene have it."""
        own, wide = (each.expect.tolerances if each and each.expect else None for each in (self.wanted, self.plan))
        return LIMITS[what].changed(own, wide, what)

    def figure(self, what: str, old: float | None, new: float | None) -> Iterator[Verdict]:
        limit = self.limit(what)
        problem = self.problem if what in FROM_SOUND else ""
        if limit.absolute == float("inf") or (_is_untold(old, new, what) and not problem):
            return
        expected, measured = ("none" if value is None else limit.unit.format(value) for value in (old, new))
        if problem or (what == "cost" and new is None):
            why = problem or "its price is unknown"
            told = f"{what} could not be measured ({why}), was {expected}"
            yield _subject(self.name).verdict(self.at(what), what, expected, why, "error", told)
        else:
            yield self.compare(what, expected, measured, holds=_is_near(old, new, what, limit))

    def voice(self) -> Iterator[Verdict]:
        """Yield a verdict for the voice: the same words sound alike; other words of it are only not far from them."""
        old, new, most = self.old, self.new, self.limit("voice").absolute
        if not old.voice or not new.voice or most == float("inf"):
            return
        if (old.said, old.direction) != (new.said, new.direction):
            most = max(1.0, most)
        apart = voice_distance(old.voice, new.voice)
        told = f"voice is {apart:g} from what it was, at most {most:g} was allowed"
        is_far = apart > most
        place = locate(self.plan.locations, "player", new.player, "voice") if is_far else self.at("voice")
        subject, allowed = _subject(self.name), f"at most {most:g}"
        yield subject.compare(place, "voice", allowed, f"{apart:g}", holds=not is_far, told=told)


def _is_untold(old: float | None, new: float | None, what: str) -> bool:
    """Tell whether there is nothing to compare; a retake, and the understudy, tell less than others."""
    return (old is None and (new is None or what in PERFORMED)) or (new is None and what in SOONER)


def _quoted(text: str) -> str:
    return f"“{text}”" if text else "nothing"


def _written(name: str) -> str:
    """Return the id in the scene of a line that a cue performed again."""
    head, _, again = name.rpartition(".")
    return head if head.startswith("cue-") and again.isdigit() else name


def _after(order: Sequence[str], name: str) -> str:
    at = order.index(name)
    return f"after {order[at - 1]}" if at else "first"


def _told(what: str, value: object) -> str:
    if what == "pause" and isinstance(value, float):
        return f"{value:g}s"
    return str(value).replace("\n", " / ") if value not in (None, "") else "none"


def _calls(calls: Sequence[CallSnapshot]) -> str:
    made = (f"{call.tool}({json.dumps(call.arguments, ensure_ascii=False)})" for call in calls)
    return ", ".join(made) or "no tool"


def _sounds(snapshot: Snapshot, plan: Plan, now: Snapshot, pairs: Pairs, ids: Mapping[str, str]) -> Iterator[Verdict]:
    """Find sounds again by their file and the line they come after, then by their file alone."""
    afters = {name: pairs.get(sound.after, "") for name, sound in snapshot.sounds.items()}
    both = _again(snapshot.sounds, now.sounds, afters)
    for name, old in snapshot.sounds.items():
        after = afters[name]
        lines = (after,) if after else ()
        subject = VerdictSubject("sound", name, lines, "snapshot")
        if name not in both:
            place = locate(plan.locations, "line", _written(after))
            yield _presence(subject, place, "sound", there=False, told=f"; it sounded after {after or 'nothing'}")
            continue
        new = now.sounds[both[name]]
        place = locate(plan.locations, "sound", ids[both[name]])
        facts = {
            "gain": (f"{old.gain_db:g} dB", f"{new.gain_db:g} dB"),
            "place": tuple(f"after {line}" if line else "first" for line in (after, new.after)),
            "heard_by": (names_or_nobody(old.heard_by), names_or_nobody(new.heard_by)),
        }
        for what, (was, is_now) in facts.items():
            yield subject.compare(place, what, was, is_now)
    for name, new in now.sounds.items():
        if name not in both.values():
            subject = VerdictSubject("sound", name, (new.after,) if new.after else (), "snapshot")
            yield _presence(subject, locate(plan.locations, "sound", ids[name]), "sound", there=True)


def _again(
    old: Mapping[str, SoundSnapshot], new: Mapping[str, SoundSnapshot], afters: Mapping[str, str]
) -> dict[str, str]:
    """Return names of the take's sounds by the snapshot's."""
    both: dict[str, str] = {}
    for near in (True, False):
        for name in (name for name in old if name not in both):
            same = (other for other in new if other not in both.values() and new[other].file == old[name].file)
            found = next((other for other in same if not near or new[other].after == afters[name]), None)
            both |= {name: found} if found else {}
    return both


def _cues(snapshot: Snapshot, plan: Plan, now: Snapshot) -> Iterator[Verdict]:
    for name in dict.fromkeys([*snapshot.cues, *now.cues]):
        old, new = snapshot.cues.get(name, 0), now.cues.get(name, 0)
        lines = tuple(each for each in {**snapshot.lines, **now.lines} if each.startswith(f"{name}-"))
        subject = VerdictSubject("cue", name, lines, "snapshot")
        was, is_now = (counted(times, "time") for times in (old, new))
        told = f"it started {is_now}, and {was} before"
        yield subject.compare(locate(plan.locations, "cue", name), "started", was, is_now, holds=old == new, told=told)


Pairs = dict[str, str]
"""Ids of the take by ids of the snapshot."""


def pair_lines(old: Mapping[str, LineSnapshot], new: Mapping[str, LineSnapshot]) -> Pairs:
    """Return the lines that both have."""
    both = {name: name for name in old if name in new and not (_is_made(name, old) and _is_made(name, new))}
    for player in dict.fromkeys(line.player for line in old.values()):
        mine = [
            name for name, line in old.items() if line.player == player and name not in both and _is_made(name, old)
        ]
        theirs = [name for name, line in new.items() if line.player == player and _is_made(name, new)]
        both |= _by_words(mine, [name for name in theirs if name not in both.values()], old, new)
    return {name: both[name] for name in old if name in both}


def moved(pairs: Pairs, new: Mapping[str, LineSnapshot]) -> list[str]:
    """Return ids of the take's lines that stand in another place than the snapshot has them: as few as tell it."""
    before, after = list(pairs.values()), [name for name in new if name in pairs.values()]
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    kept = {name for block in blocks for name in before[block.a : block.a + block.size]}
    return [name for name in after if name not in kept]


def _is_made(name: str, lines: Mapping[str, LineSnapshot]) -> bool:
    """Tell whether the stage gave a line its id."""
    ordinal = name.rpartition("-")[2]
    return ordinal.isascii() and ordinal.isdigit() and name == automatic_id(lines[name].player, int(ordinal))


def _by_words(
    mine: Sequence[str], theirs: Sequence[str], old: Mapping[str, LineSnapshot], new: Mapping[str, LineSnapshot]
) -> Pairs:
    """Pair lines of the same words in the same order, then of the same words, then those in the same place."""
    asked, wanted = [old[name].asked for name in mine], [new[name].asked for name in theirs]
    steps = SequenceMatcher(None, asked, wanted, autojunk=False).get_opcodes()
    pairs: Pairs = {}
    for kind, a, b, c, d in steps:
        if kind == "equal":
            pairs |= dict(zip(mine[a:b], theirs[c:d], strict=True))
    for name in (name for name in mine if name not in pairs):
        same = (other for other in theirs if other not in pairs.values() and new[other].asked == old[name].asked)
        if found := next(same, None):
            pairs[name] = found
    for kind, a, b, c, d in steps:
        if kind == "replace":
            left = [name for name in mine[a:b] if name not in pairs]
            right = [name for name in theirs[c:d] if name not in pairs.values()]
            pairs |= dict(zip(left, right, strict=False))
    return pairs
