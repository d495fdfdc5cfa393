"""A take against its snapshot: what is missing, what is new, and what is not as it was. Pure."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from itertools import filterfalse

from tau_stage.checks import snapshot as snapshots
from tau_stage.checks.expectations import names_or_nobody
from tau_stage.checks.metrics import COMPARED, FROM_SOUND, LIMITS, Limit, TakeMetrics
from tau_stage.checks.verdict import Verdict, VerdictSubject
from tau_stage.checks.voice_print import voice_distance
from tau_stage.errors import format_if
from tau_stage.scene import LinePlan, Location, Plan, automatic_id, locate
from tau_stage.take import Take
from tau_stage.text import counted, word_error_rate

WHERE = {"asked": (), "player": (), "direction": ("direction",), "pause": ("pause",), "heard_by": ("to",)}
"""Options of a line that a figure follows from."""

SOONER = ("first_audio",)  # figures that may always be less

PERFORMED = ("first_audio", "cost")
"""Figures of a performance, which the snapshot of a retake has not; the first is not kept of the understudy either."""

AS_IT_WAS = ("player", "direction", "pause", "ended")  # what has no tolerance

Pairs = dict[str, str]  # names of the take by names of the snapshot


def compare_snapshot(
    snapshot: snapshots.Snapshot, plan: Plan, take: Take, measures: TakeMetrics, now: snapshots.Snapshot
) -> Iterator[Verdict]:
    """Yield a verdict for each fact of a snapshot, and for each line, sound and cue that it lacks."""
    return _SnapshotPair(snapshot, now, plan, measures, snapshots.sound_ids(take)).verdicts()


@dataclass(frozen=True)
class _SnapshotPair:
    """Compares a snapshot with one of now, each thing at its place in the plan's scene."""

    old: snapshots.Snapshot
    new: snapshots.Snapshot
    plan: Plan
    measures: TakeMetrics
    sound_ids: Mapping[str, str]

    @cached_property
    def pairs(self) -> Pairs:
        return pair_lines(self.old.lines, self.new.lines)

    @cached_property
    def planned(self) -> Mapping[str, LinePlan]:
        return {line.id: line for line in self.plan.all_lines}

    def at(self, *key: str) -> Location:
        return locate(self.plan.locations, *key)

    def verdicts(self) -> Iterator[Verdict]:
        old, new = self.old, self.new
        for name in {**old.players, **new.players}:
            yield from self.player(name, old.players.get(name), new.players.get(name))
        yield from self.lines()
        yield from self.sounds()
        yield from map(self.cue, {**old.cues, **new.cues})
        yield from map(self.file, {**old.files, **new.files})
        yield from map(self.delivered, {**old.deliver, **new.deliver})

    def player(
        self, name: str, old: snapshots.PlayerSnapshot | None, new: snapshots.PlayerSnapshot | None
    ) -> Iterator[Verdict]:
        lines = (self.new if new else self.old).lines
        own = tuple(each for each, line in lines.items() if line.player == name)
        subject = VerdictSubject("player", name, own, "snapshot")
        if old is None or new is None:
            yield _presence(subject, self.at("player", name), there=new is not None)
            return
        differing = set(old.told.splitlines()) ^ set(new.told.splitlines())
        is_accent = differing and all(line.startswith("Speak in ") for line in differing)
        options = {"voice": "voice", "model": "model", "speed": "speed", "told": "accent" if is_accent else "direction"}
        for what, option in options.items():
            was, is_now = getattr(old, what), getattr(new, what)
            place = self.at("player", name, option)
            yield subject.compare(place, option, _told(option, was), _told(option, is_now), holds=was == is_now)

    def lines(self) -> Iterator[Verdict]:
        pairs, old, new = self.pairs, self.old.lines, self.new.lines
        yield from map(self.missing, filterfalse(pairs.__contains__, old))
        order = [*filter(set(pairs.values()).__contains__, new)]
        for name, line in new.items():
            if name not in order:
                told = f": “{line.asked or line.said}”"
                yield _presence(_subject(name), self.at("line", _written(name)), there=True, told=told)
        elsewhere, former = moved(pairs, new), list(pairs.values())
        for was, name in pairs.items():
            before, after = _after(former, name), _after(order, name)
            told, holds = f"it is {after}, was {before}", name not in elsewhere
            place = self.at("line", _written(name))
            yield _subject(name).compare(place, "place", before, after, holds=holds, told=told)
            problem = self.measures.lines[name].problem
            wanted = self.planned.get(_written(name))
            yield from _LineSnapshots(self.plan, name, old[was], new[name], wanted, problem).verdicts()

    def missing(self, name: str) -> Verdict:
        """Place a line that is gone where it was: after the last one before it that is still there."""
        line, names = self.old.lines[name], list(self.old.lines)
        beside = [other for other in names[: names.index(name)] if snapshots.of_cue(other) == snapshots.of_cue(name)]
        last = next((self.pairs[other] for other in reversed(beside) if other in self.pairs), None)
        written = self.planned.get(_written(name))
        told = f": “{line.asked or line.said}”"
        if written is not None and (written.player, written.words) == (line.player, line.asked):
            return _presence(_subject(name), self.at("line", _written(name)), there=False, told=told)
        if last is None:
            return _presence(_subject(name), self.at(), there=False, told=told)
        place = self.at("line", _written(last))
        return _presence(_subject(name), place, there=False, told=f"{told}; it was after {last}")

    def sounds(self) -> Iterator[Verdict]:
        """Find sounds again by their file and the line they come after, then by their file alone."""
        old, new = self.old.sounds, self.new.sounds
        afters = {name: self.pairs.get(sound.after, "") for name, sound in old.items()}
        near = {name: (old[name].file, afters[name]) for name in old}, {n: (new[n].file, new[n].after) for n in new}
        alike = {name: old[name].file for name in old}, {name: new[name].file for name in new}
        both = _matched(near, alike)
        for name, was in old.items():
            if name in both:
                yield from self.sound(name, was, both[name], afters[name])
            else:
                told = f"; it was played after {afters[name]}" if afters[name] else "; it was played first"
                place = self.at("line", _written(afters[name]))
                yield _presence(_sound_subject(name, afters[name]), place, there=False, told=told)
        for name in [*filterfalse(set(both.values()).__contains__, new)]:
            place = self.at("sound", self.sound_ids[name])
            yield _presence(_sound_subject(name, new[name].after), place, there=True)

    def sound(self, name: str, was: snapshots.SoundSnapshot, new_name: str, after: str) -> Iterator[Verdict]:
        now = self.new.sounds[new_name]
        facts = {
            "gain": (f"{was.gain_db:g} dB", f"{now.gain_db:g} dB"),
            "place": tuple(f"after {line}" if line else "first" for line in (after, now.after)),
            "heard_by": (names_or_nobody(was.heard_by), names_or_nobody(now.heard_by)),
        }
        place = self.at("sound", self.sound_ids[new_name])
        for what, pair in facts.items():
            yield _sound_subject(name, after).compare(place, what, *pair)

    def cue(self, name: str) -> Verdict:
        lines = tuple(each for each in {**self.old.lines, **self.new.lines} if each.startswith(f"{name}-"))
        was, is_now = (counted(each.cues.get(name, 0), "time") for each in (self.old, self.new))
        told = f"it started {is_now}, was {was}"
        subject = VerdictSubject("cue", name, lines, "snapshot")
        return subject.compare(self.at("cue", name), "started", was, is_now, told=told)

    def file(self, name: str) -> Verdict:
        """Compare what is in a sound file, whatever it is called and whoever hears it."""
        old, new = (each.files.get(name, "none") for each in (self.old, self.new))
        ids = {sound.file: ("sound", sound.id) for sound in self.plan.sounds}
        how = "removed" if new in ("none", snapshots.MISSING) else "added" if old == "none" else "changed"
        told = f"the sound file {name} has been {how} since the scene was accepted"
        subject = VerdictSubject("sound", name, (), "snapshot")
        return subject.compare(self.at(*ids.get(name, ())), "file", old, new, told=told)

    def delivered(self, name: str) -> Verdict:
        pair = [each.deliver.get(name, snapshots.DELIVERED.get(name)) for each in (self.old, self.new)]
        old, new = (json.dumps(value, ensure_ascii=False, sort_keys=True) for value in pair)
        told = f"deliver: {name} is {new}, was {old}"
        return VerdictSubject("scene", "", (), "snapshot").compare(self.at(), "deliver", old, new, told=told)


@dataclass(frozen=True)
class _LineSnapshots:
    """Compares a line with itself as it was: ``wanted`` is as it is written now, ``problem`` why it has no figures."""

    plan: Plan
    name: str
    old: snapshots.LineSnapshot
    new: snapshots.LineSnapshot
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
        yield self.compare("calls", _calls(old), _calls(new), holds=old.calls == new.calls)
        for what in COMPARED:
            yield from self.figure(what, getattr(old, what), getattr(new, what))
        yield from self.voice()

    def at(self, what: str) -> Location:
        return locate(self.plan.locations, "line", _written(self.name), *WHERE.get(what, ()))

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
        if new is None and what == "cost":
            problem = problem or "unknown price"
        if problem:
            told = f"{what} could not be measured ({problem}), was {expected}"
            yield _subject(self.name).verdict(self.at(what), what, expected, problem, "error", told)
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
        told = f"voice distance {apart:g}, at most {most:g} allowed"
        holds = apart <= most
        place = self.at("voice") if holds else locate(self.plan.locations, "player", new.player, "voice")
        yield _subject(self.name).compare(place, "voice", f"at most {most:g}", f"{apart:g}", holds=holds, told=told)


def _is_near(old: float | None, new: float | None, what: str, limit: Limit) -> bool:
    if old is None or new is None:
        return old == new
    return limit.allows(old, new) or (what in SOONER and new < old)


def _is_untold(old: float | None, new: float | None, what: str) -> bool:
    """Tell whether there is nothing to compare; a retake, and the understudy, tell less than others."""
    return (old is None and (new is None or what in PERFORMED)) or (new is None and what in SOONER)


def _presence(subject: VerdictSubject, place: Location, *, there: bool, told: str = "") -> Verdict:
    message = f"{subject.kind} {'is new and not in the snapshot' if there else 'is missing'}{told}"
    expected, measured = ("none", "there") if there else ("there", "none")
    return subject.verdict(place, subject.kind, expected, measured, "failed", message)


def _subject(line: str) -> VerdictSubject:
    return VerdictSubject("line", line, (line,), "snapshot")


def _sound_subject(name: str, after: str) -> VerdictSubject:
    return VerdictSubject("sound", name, (after,) if after else (), "snapshot")


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


def _quoted(text: str) -> str:
    return format_if("“{}”", text) or "nothing"


def _calls(line: snapshots.LineSnapshot) -> str:
    made = (f"{call.tool}({json.dumps(call.arguments, ensure_ascii=False)})" for call in line.calls)
    return ", ".join(made) or "no tool"


# ---- which lines changed


def changed_lines(old: snapshots.Snapshot | None, new: snapshots.Snapshot) -> list[str]:
    """Return the lines of two snapshots that are not as they were; figures within the tolerance are no change."""
    before = old.lines if old else {}
    return [name for name in {**before, **new.lines} if not _is_alike(before.get(name), new.lines.get(name))]


def _is_alike(old: snapshots.LineSnapshot | None, new: snapshots.LineSnapshot | None) -> bool:
    measured = {*COMPARED, "voice"}
    if old is None or new is None or old.model_dump(exclude=measured) != new.model_dump(exclude=measured):
        return False
    if not all(_has_stayed(what, getattr(old, what), getattr(new, what)) for what in COMPARED):
        return False
    if old.voice is None or new.voice is None:
        return old.voice == new.voice
    return voice_distance(old.voice, new.voice) <= LIMITS["voice"].absolute


# ---- which line is which


def pair_lines(old: Mapping[str, snapshots.LineSnapshot], new: Mapping[str, snapshots.LineSnapshot]) -> Pairs:
    """Return the lines that both have: by the ids that authors gave them; of others, each player's by their words.

    Those are lines of the same words in the same order, then of the same words, then those in the same place.
    """
    made = [{name for name in lines if _is_made(name, lines)} for lines in (old, new)]
    both = {name: name for name in old if name in new and name not in made[0] & made[1]}
    for player in dict.fromkeys(line.player for line in old.values()):
        mine, theirs = (
            {name: lines[name].asked for name in lines if name in own - both.keys() and lines[name].player == player}
            for lines, own in zip((old, new), made, strict=True)
        )
        both |= _pair_words(mine, theirs)
    return {name: both[name] for name in old if name in both}


def _pair_words(mine: Mapping[str, str], theirs: Mapping[str, str]) -> Pairs:
    """Pair lines of one player, whose words are told by their ids."""
    names, others = list(mine), list(theirs)
    blocks: dict[str, tuple[dict[str, Hashable], dict[str, Hashable]]] = defaultdict(lambda: ({}, {}))
    steps = SequenceMatcher(None, list(mine.values()), list(theirs.values()), autojunk=False).get_opcodes()
    for kind, a, b, c, d in steps:
        blocks[kind][0].update(dict.fromkeys(names[a:b], a))
        blocks[kind][1].update(dict.fromkeys(others[c:d], a))
    return _matched(blocks["equal"], (mine, theirs), blocks["replace"])


def _is_made(name: str, lines: Mapping[str, snapshots.LineSnapshot]) -> bool:
    """Tell whether the stage gave a line its id."""
    ordinal = name.rpartition("-")[2]
    return ordinal.isascii() and ordinal.isdigit() and name == automatic_id(lines[name].player, int(ordinal))


def _matched(*likenesses: tuple[Mapping[str, Hashable], Mapping[str, Hashable]]) -> Pairs:
    """Pair names of equal keys, in their order, each once: what the first keys do not pair, the next may."""
    pairs: Pairs = {}
    for mine, theirs in likenesses:
        waiting: dict[Hashable, deque[str]] = defaultdict(deque)
        taken = set(pairs.values())
        for name, key in theirs.items():
            if name not in taken:
                waiting[key].append(name)
        pairs |= {name: waiting[key].popleft() for name, key in mine.items() if name not in pairs and waiting[key]}
    return pairs


def moved(pairs: Pairs, new: Mapping[str, snapshots.LineSnapshot]) -> list[str]:
    """Return ids of the take's lines that stand in another place than the snapshot has them: as few as tell it."""
    before = list(pairs.values())
    after = [*filter(set(before).__contains__, new)]
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return [name for kind, _, _, start, end in steps if kind != "equal" for name in after[start:end]]


def _has_stayed(what: str, was: float | None, is_now: float | None) -> bool:
    return _is_near(was, is_now, what, LIMITS[what]) or (None in (was, is_now) and what in PERFORMED)
