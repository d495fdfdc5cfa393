"""What a scene expects of its lines and of the whole, against what was performed. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap

from tau_stage.checks.metrics import COMPARED, FROM_SOUND, LIMITS, Metrics, TakeMetrics
from tau_stage.checks.verdict import Verdict, VerdictSubject
from tau_stage.checks.voice_print import VoicePrint, average_print, voice_distance
from tau_stage.errors import LimitReached, format_if
from tau_stage.scene import CallWanted, Expect, Key, LinePlan, Location, Plan, Range, lines_of, locate
from tau_stage.take import Called, Performed, Take, heard_by
from tau_stage.text import holds, is_found, same_words, word_error_rate

UNMEASURED = {
    "voice": "too little speech, or no snapshot and no other line of the player to compare with",
    "cost": "unknown price",
    "dead_air": "no previous line",
}
"""Why there may be no figure."""


@dataclass(frozen=True, slots=True)
class Context:
    """What expectations are held against: a line, or all of them.

    Voices tell how far each line's voice is from its player's own; None where too little sounds to tell.
    """

    lines: Sequence[Performed]
    figures: Metrics
    voices: Mapping[str, float | None]

    @property
    def said(self) -> str:
        """All words."""
        return " ".join(line.said for line in self.lines if line.said)


def _of_line(plan: Plan, wanted: LinePlan, seen: Context) -> Iterator[Verdict]:
    name = seen.lines[0].id
    subject, key = VerdictSubject("line", name, (name,), "expect"), ("line", wanted.id, "expect")
    yield from _Expectations(plan, subject, key, wanted.expect or Expect(), seen).verdicts()


def check_expectations(
    plan: Plan, take: Take, measures: TakeMetrics, own: Mapping[str, VoicePrint]
) -> Iterator[Verdict]:
    """Yield a verdict for each expectation of the scene.

    Lines of cues, and those with a ``when``, may not be performed; nothing is expected of them then. A player whose
    ``own`` voice is not known has what the player's other lines have in common.
    """
    voices = {line.id: _voice(line, take, measures, own) for line in take.lines}
    for strand in plan.step_lists:
        for wanted in (line for line in lines_of(strand) if line.expect):
            performed = [line for line in take.lines if is_line(line, wanted)]
            if not performed and strand is plan.steps and not wanted.when:
                yield _absent(plan, wanted, take)
            for line in performed:
                yield from _of_line(plan, wanted, Context([line], measures.lines[line.id], voices))
    seen = Context(take.lines, measures.whole, voices)
    subject = VerdictSubject("scene", "", tuple(line.id for line in take.lines), "expect")
    yield from _Expectations(plan, subject, ("expect",), plan.expect or Expect(), seen).verdicts()


def is_line(line: Performed, wanted: LinePlan) -> bool:
    """Tell whether a line that was performed is one of the plan; lines of cues are performed again and again."""
    return re.fullmatch(rf"{re.escape(wanted.id)}(\.\d+)?", line.id) is not None and line.player == wanted.player


def _absent(plan: Plan, wanted: LinePlan, take: Take) -> Verdict:
    broken = take.ended != "complete"
    subject = VerdictSubject("line", wanted.id, (wanted.id,), "expect")
    told = "not performed" + format_if(f", because the take is {take.ended}", broken)
    place = locate(plan.locations, "line", wanted.id, "expect")
    return subject.verdict(place, "performed", "to be performed", "not", "error" if broken else "failed", told)


def _voice(line: Performed, take: Take, measures: TakeMetrics, own: Mapping[str, VoicePrint]) -> float | None:
    mine = measures.lines[line.id].print
    others = (other for other in take.lines if other.player == line.player and other.id != line.id)
    prints = [*filter(None, (measures.lines[other.id].print for other in others))]
    known = own.get(line.player) or average_print(prints)
    return voice_distance(mine, known) if mine and known else None


@dataclass(frozen=True, slots=True)
class _Expectations:
    """Holds what is expected against what was seen."""

    plan: Plan
    subject: VerdictSubject
    key: Key
    expect: Expect
    seen: Context

    def at(self, what: str) -> Location:
        return locate(self.plan.locations, *self.key, what)

    def all_figures(self) -> Iterator[Verdict]:
        furthest = (value for line in self.seen.lines if (value := self.seen.voices[line.id]) is not None)
        figures = {name: getattr(self.seen.figures, name) for name in COMPARED} | {"voice": max(furthest, default=None)}
        for name, value in figures.items():
            if (wanted := getattr(self.expect, name)) is not None:
                yield self.figure(name, wanted, value)

    def verdicts(self) -> Iterator[Verdict]:
        """Yield a verdict for each."""
        yield from self.says()
        if self.expect.exact:
            yield self.exact()
        for phrase in self.expect.says_not or ():
            yield self.words("says_not", f"not “{phrase}”", holds=not holds(self.seen.said, phrase))
        if self.expect.calls is not None:
            yield from self.calls(self.expect.calls)
        yield from self.all_figures()
        if self.expect.heard_by is not None:
            yield self.heard_by(self.expect.heard_by)

    def words(self, what: str, expected: str, *, holds: bool) -> Verdict:
        said = format_if("“{}”", self.seen.said) or "nothing"
        place = self.at(what)
        return self.subject.compare(place, what, expected, said, holds=holds, told=f"said {said}, expected {expected}")

    def says(self) -> Iterator[Verdict]:
        wanted, said = self.expect.says, self.seen.said
        if wanted is None:
            return
        for phrase in wanted.contains:
            yield self.words("says", f"“{phrase}”", holds=holds(said, phrase))
        if wanted.matches is not None:
            match = f"a match of “{wanted.matches}”"
            try:
                yield self.words("says", match, holds=is_found(wanted.matches, said))
            except LimitReached as error:
                yield self.subject.verdict(self.at("says"), "says", match, "nothing", "error", str(error))
        if wanted.exact is not None:
            yield self.words("says", f"exactly “{wanted.exact}”", holds=same_words(said, wanted.exact))
        if wanted.wer is not None:
            asked = " ".join(line.asked for line in self.seen.lines if line.scripted)
            rate = word_error_rate(asked, said)
            expected, measured = _range(wanted.wer, "words"), LIMITS["words"].unit.format(round(rate, 4))
            told = f"{measured} of the words are wrong: said “{said}” instead of “{asked}”; expected {expected}"
            yield self.subject.compare(self.at("says"), "wer", expected, measured, holds=rate in wanted.wer, told=told)

    def exact(self) -> Verdict:
        """Hold the words of each line that stood in the scene against it."""
        lines = [line for line in self.seen.lines if line.scripted]
        unknown = [line.id for line in lines if line.file and not line.said]
        other = [f"{line.id} said “{line.said}” instead of “{line.asked}”" for line in lines if not _is_exact(line)]
        wanted, place = "the words in the scene", self.at("exact")
        if unknown:
            told = f"the words of {', '.join(unknown)} are unknown, expected {wanted}"
            return self.subject.verdict(place, "exact", wanted, "unknown", "error", told)
        told = f"words differ from the scene: {'; '.join(other)}"
        return self.subject.compare(
            place, "exact", wanted, "different words" if other else wanted, holds=not other, told=told
        )

    def calls(self, wanted: Sequence[CallWanted]) -> Iterator[Verdict]:
        place = self.at("calls")
        calls = [call for line in self.seen.lines for call in line.calls]
        made = ", ".join(f"{call.tool}({call.arguments})" for call in calls) or "no tool"
        if not wanted:
            yield self.subject.compare(place, "calls", "no tool", made, holds=not calls)
        for call in wanted:
            told = call.tool + format_if("({})", call.arguments and json.dumps(call.arguments, ensure_ascii=False))
            found = any(_is_call(each, call) for each in calls)
            yield self.subject.compare(place, "calls", told, made, holds=found)

    def figure(self, name: str, wanted: Range, value: float | None) -> Verdict:
        place, expected = self.at(name), _range(wanted, name)
        problem = self.seen.figures.problem if name in (*FROM_SOUND, "voice") else ""
        if value is None or problem:
            why = problem or UNMEASURED.get(name, "nothing to measure")
            told = f"{name.replace('_', ' ')} could not be measured ({why}), expected {expected}"
            return self.subject.verdict(place, name, expected, why, "error", told)
        return self.subject.compare(place, name, expected, LIMITS[name].unit.format(value), holds=value in wanted)

    def heard_by(self, wanted: str | tuple[str, ...]) -> Verdict:
        words: dict[object, tuple[str, ...]] = {"everyone": tuple(role.name for role in self.plan.models), "nobody": ()}
        asked, told = {*words.get(wanted, wanted)}, wanted if isinstance(wanted, str) else names_or_nobody(wanted)
        heard = [(line, heard_by(line.hearers)) for line in self.seen.lines]
        which = "{} by {}" if len(heard) > 1 else "{1}"
        others = ((line.id, names_or_nobody(names)) for line, names in heard if {*names} != asked - {line.player})
        unlike = [*starmap(which.format, others)]
        return self.subject.compare(self.at("heard_by"), "heard_by", told, "; ".join(unlike) or told, holds=not unlike)


def _is_exact(line: Performed) -> bool:
    return same_words(line.asked, line.said) if line.exact is None else line.exact


def names_or_nobody(names: Sequence[str]) -> str:
    """Return names, or that there is none."""
    return ", ".join(names) or "nobody"


def _range(wanted: Range, name: str) -> str:
    unit = LIMITS[name].unit
    return wanted.format(*("" if end is None else unit.format(end) for end in (wanted.min, wanted.max)))


def _is_call(call: Called, wanted: CallWanted) -> bool:
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = {}
    return call.tool == wanted.tool and _holds(arguments, dict(wanted.arguments))


def _holds(there: object, wanted: object) -> bool:
    """Tell whether what is wanted is part of what is there; a scene's texts stand for numbers and the like too."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(key in there and _holds(there[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(there, list) and len(there) == len(wanted) and all(map(_holds, there, wanted))
    if isinstance(there, str):
        return there == wanted
    try:
        return bool(json.loads(str(wanted)) == there)
    except ValueError:
        return False
