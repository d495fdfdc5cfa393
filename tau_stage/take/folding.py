"""From the journal to the take: a pure fold. There is no second bookkeeping."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tau_stage.audio import RATE
from tau_stage.cost import KINDS, UNITS, Cost, PriceList, price, prices
from tau_stage.errors import TakeError
from tau_stage.scene import slug
from tau_stage.take.records import (
    BedEnded,
    CueStarted,
    LineAgain,
    LineBegan,
    LineDropped,
    LineFacts,
    LineFailed,
    LineHeard,
    LineLost,
    LineMissed,
    LineSpoken,
    ModelNamed,
    OpeningRefused,
    PlayerLost,
    PlayerOpened,
    Record,
    Role,
    SoundPlayed,
    TakeBegan,
    TakeDelivered,
    TakeEnded,
    TakeFacts,
    TakeKept,
    TakePicked,
    TakeResumed,
    ToolBegan,
    ToolCalled,
    ToolTurn,
    Transcribed,
    Warned,
)
from tau_stage.take.take_model import (
    Alternative,
    Attempt,
    Called,
    Costs,
    Cued,
    Hearing,
    Performed,
    PlayedSound,
    Playing,
    Staged,
    Take,
    stem_name,
)
from tau_stage.text import with_clause

PAID = LineSpoken | LineAgain | LineFailed | LineLost | TakeKept | ToolTurn | Transcribed
"""Facts that carry a usage; each response stands in one of them only."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One usage and what it cost: a line, or an attempt at one that failed."""

    player: str
    line: str
    cost: Cost


def fold(journal: Sequence[Record]) -> Take:
    """Fold a journal into the take that it tells of; one that was cut short ended as ``interrupted``.

    Raises:
        TakeError: The journal has no beginning.
    """
    began = beginning(journal)
    ends = (fact for fact in reversed(journal) if isinstance(fact, TakeEnded | TakeResumed))
    end = fact if isinstance(fact := next(ends, None), TakeEnded) else None
    billed = bills(journal)
    lines = _lines(journal, billed)
    effects = [fact for fact in kept(journal) if isinstance(fact, SoundPlayed) and fact.kind == "sfx"]
    last = [*(line.offset_samples + line.samples for line in lines), *(s.offset_samples + s.samples for s in effects)]
    sounds = _sounds(journal, max(last, default=0))
    reach = [*(line.offset_samples + line.samples for line in lines), *(s.offset_samples + s.samples for s in sounds)]
    samples = max(reach, default=0)
    whole = _sum(bill.cost for bill in billed)
    return Take(
        tau_stage=began.tau_stage,
        scene=Staged(
            title=began.title,
            slug=began.slug,
            path=began.path,
            sha256=began.sha256,
            variant=began.variant,
            given=began.given,
        ),
        started=began.started,
        provider=", ".join(dict.fromkeys(role.endpoint for role in began.roles if not role.human)),
        spent=began.spent,
        ended=end.ended if end else "interrupted",
        problem=end.problem if end else "the journal has no end",
        rate=RATE,
        channels=began.deliver.channels,
        duration_s=samples / RATE,
        samples=samples,
        players=tuple(_player(role, journal, lines, billed) for role in began.roles),
        lines=lines,
        sounds=sounds,
        cues=tuple(Cued(cue=fact.cue, at_s=fact.at_s) for fact in standing(journal) if isinstance(fact, CueStarted)),
        usage=whole.tokens,
        cost=_costs(whole),
        warnings=(*_warnings(journal), *_outdated(lines)),
    )


LED_TO = LineSpoken | LineLost | LineHeard | TakeKept | SoundPlayed | BedEnded | ToolBegan | ToolCalled | CueStarted
"""What a line or an effect leads to, and is no part of the take where that was dropped."""


def standing(journal: Sequence[Record]) -> list[Record]:
    """Return the records that still count; what was paid counts nevertheless.

    What a line led to is left out where the line was dropped since; and what an attempt called, and which cues that
    started, where the performance was stopped in it.
    """
    void: set[int] = set()
    led_to: defaultdict[str, list[int]] = defaultdict(list)
    under_way: dict[str, list[int]] = {}
    for number, fact in enumerate(journal):
        name = str(getattr(fact, "sound", "") or getattr(fact, "line", ""))
        if isinstance(fact, LED_TO):
            led_to[name].append(number)
        match fact:
            case LineDropped():
                void.update(led_to.pop(name, ()))
            case TakeResumed():
                void.update(chain(*under_way.values()))
                under_way.clear()
            case LineBegan() | TakeKept():
                under_way[name] = []
            case LineSpoken() | LineLost():
                under_way.pop(name, None)
            case ToolBegan() | ToolCalled() | CueStarted():
                under_way.get(name, []).append(number)
            case _:
                pass
    return [fact for number, fact in enumerate(journal) if number not in void]


def kept(journal: Sequence[Record]) -> list[LineSpoken | SoundPlayed]:
    """Return the lines and effects that are part of the take: none that was dropped since."""
    return [fact for fact in standing(journal) if isinstance(fact, LineSpoken | SoundPlayed)]


def bills(journal: Sequence[Record]) -> tuple[Bill, ...]:
    """Return what each response cost, each counted once, in the order of the journal."""
    return tuple(bill for _, bill in _billed(journal))


def _billed(journal: Sequence[Record]) -> Iterable[tuple[Record, Bill]]:
    """Yield each fact that carries a usage, and what it cost at the price of the model that answered."""
    roles: dict[str, Role] = {}
    for fact in journal:
        match fact:
            case TakeBegan() | TakeResumed():
                roles |= {role.name: role for role in fact.roles}
            case ModelNamed() if role := roles.get(fact.player):
                roles[fact.player] = role.model_copy(update={"model": fact.model})
            case _ if isinstance(fact, PAID) and (role := roles[fact.player]).human is None:
                model = fact.model if isinstance(fact, Transcribed) else role.model
                yield fact, Bill(fact.player, fact.line, price(fact.usage, model, role.prices))


def _lines(journal: Sequence[Record], billed: Iterable[Bill]) -> tuple[Performed, ...]:
    counting = standing(journal)
    heard = _heard(counting)
    called: dict[str, list[Called]] = {}
    others: dict[str, dict[int, Alternative]] = {}
    spoken: list[LineSpoken] = []
    for fact in counting:
        if isinstance(fact, ToolCalled):
            given = fact.model_dump(include={"tool", "arguments", "output", "failed", "at_s", "took_s"})
            called.setdefault(fact.line, []).append(Called(**given))
        elif isinstance(fact, TakeKept):
            facts = fact.model_dump(include=set(Alternative.model_fields))
            others.setdefault(fact.line, {})[fact.take] = Alternative(**facts, ended=fact.status)
        elif isinstance(fact, LineSpoken):
            spoken.append(fact)
    broken = Counter(fact.line for fact in journal if isinstance(fact, LineAgain) and fact.interrupted)
    failed = _attempts(journal)
    costs: dict[str, list[Cost]] = {}
    for bill in billed:
        costs.setdefault(bill.line, []).append(bill.cost)
    return tuple(
        _line(
            fact,
            tuple(_hearing(name, heard.get((fact.line, name))) for name in fact.hearers),
            tuple(called.get(fact.line, ())),
            tuple(other for take, other in sorted(others.get(fact.line, {}).items()) if take != fact.take),
            tuple(failed.get(fact.line, ())),
            broken[fact.line],
            _sum(costs.get(fact.line, ())),
        )
        for fact in sorted(spoken, key=lambda fact: fact.number)
    )


def _attempts(journal: Sequence[Record]) -> dict[str, list[Attempt]]:
    """Return attempts that failed, by line."""
    failed: dict[str, list[Attempt]] = {}
    for fact, bill in _billed(journal):
        if isinstance(fact, LineAgain):
            attempt = Attempt(
                reason=fact.reason,
                problem=fact.problem,
                waited_s=fact.wait_s,
                file=fact.file,
                usage=fact.usage,
                cost=_costs(bill.cost),
            )
            failed.setdefault(fact.line, []).append(attempt)
    return failed


def _heard(journal: Sequence[Record]) -> dict[tuple[str, str], LineHeard]:
    return {(fact.line, fact.hearer): fact for fact in journal if isinstance(fact, LineHeard)}


def _sounds(journal: Sequence[Record], end: int) -> tuple[PlayedSound, ...]:
    counting = standing(journal)
    heard = _heard(counting)
    ends = {fact.sound: fact.at_samples for fact in counting if isinstance(fact, BedEnded)}
    return tuple(
        PlayedSound(
            id=fact.sound,
            kind=fact.kind,
            source=fact.source,
            stem=stem_name(fact.stem),
            gain_db=fact.gain_db,
            offset_s=fact.offset_samples / RATE,
            offset_samples=fact.offset_samples,
            samples=max(0, ends.get(fact.sound, end) - fact.offset_samples) if fact.kind == "bed" else fact.samples,
            sha256=fact.sha256,
            hearers=tuple(_hearing(name, heard.get((fact.sound, name))) for name in fact.hearers),
        )
        for fact in counting
        if isinstance(fact, SoundPlayed)
    )


def _line(
    fact: LineSpoken,
    hearers: tuple[Hearing, ...],
    calls: tuple[Called, ...],
    others: tuple[Alternative, ...],
    failed: tuple[Attempt, ...],
    broken: int,
    cost: Cost,
) -> Performed:
    facts = fact.model_dump(include=set(LineFacts.model_fields) - {"usage", "attempts"})
    return Performed(
        **facts,
        id=fact.line,
        outdated=tuple(fact.heard_as),
        offset_s=fact.offset_samples / fact.rate,
        duration_s=fact.samples / fact.rate,
        hearers=hearers,
        calls=calls,
        alternatives=others,
        usage=cost.tokens,
        cost=_costs(cost),
        attempts=fact.attempts + broken,
        failed_attempts=failed,
        ended=fact.status,
    )


def _hearing(name: str, fact: LineHeard | None) -> Hearing:
    if fact is None:
        return Hearing(player=name, heard_at_s=None, took_s=None, sha256=None)
    return Hearing(player=name, heard_at_s=fact.at_s, took_s=fact.took_s, sha256=fact.sha256)


def _player(role: Role, journal: Sequence[Record], lines: Sequence[Performed], billed: Iterable[Bill]) -> Playing:
    told = [fact for fact in journal if isinstance(fact, PlayerOpened) and fact.player == role.name]
    openings = [fact for n, fact in enumerate(told) if fact.session or n == 0]  # a person is there once
    lost = _is_lost(role.name, journal)
    own = [line for line in lines if line.player == role.name]
    cost = _sum(bill.cost for bill in billed if bill.player == role.name)
    return Playing(
        name=role.name,
        human=role.human,
        voice=role.voice,
        model=role.model,
        answered_by=_named(role.name, journal),
        endpoint=role.endpoint,
        sessions=tuple(fact.session for fact in openings if fact.session),
        opened_s=openings[0].took_s if openings else None,
        opening_attempts=sum(fact.attempts for fact in openings),
        status="lost" if lost else "played" if openings else "never opened",
        stem=stem_name(slug(role.name)) if openings else None,
        pan=role.pan,
        lines=len(own),
        seconds=sum(line.samples for line in own) / RATE,
        usage=cost.tokens,
        cost=_costs(cost),
    )


def _named(player: str, journal: Sequence[Record]) -> str:
    """Return the model that a player's server says it is, where it is not the one asked for."""
    named = [fact.model for fact in journal if isinstance(fact, ModelNamed) and fact.player == player]
    return named[-1] if named else ""


def _is_lost(player: str, journal: Sequence[Record]) -> bool:
    """Tell whether a player was lost, and not opened again."""
    lost = False
    for fact in journal:
        match fact:
            case PlayerOpened() if fact.player == player:
                lost = False
            case PlayerLost() if fact.player == player:
                lost = True
            case LineMissed() if fact.hearer == player:
                lost |= fact.lost
            case _:
                pass
    return lost


def _warnings(journal: Sequence[Record]) -> Iterable[str]:
    for fact in journal:
        match fact:
            case Warned():
                yield fact.text
            case LineMissed():
                yield fact.problem
            case OpeningRefused():
                yield with_clause(fact.problem, f"waited {fact.wait_s:.1f} s")
            case TakeResumed():
                yield f"the take was stopped, and resumed at {fact.started}"
            case LineDropped():
                yield f"{fact.line} was dropped: {fact.problem}"
            case LineAgain() if fact.interrupted:
                kept_in = f"; the first attempt is kept in {fact.file}" if fact.file else ""
                yield f"line {fact.line}, player {fact.player}: {fact.problem}, and it was performed again{kept_in}"
            case LineAgain():
                again = with_clause(fact.problem, f"asked again after {fact.wait_s:.1f} s")
                yield f"line {fact.line}, player {fact.player}: {again}"
            case PlayerLost():
                yield with_clause(fact.problem, "the player is lost")
            case LineLost():
                yield with_clause(fact.problem, "the scene went on without the line")
            case ToolCalled() if fact.failed:
                yield f"line {fact.line}, player {fact.player}: tool {fact.tool} failed: {fact.output}"
            case LineSpoken() if fact.status not in ("completed", "failed") and fact.reason not in (
                "cut_in",
                "turn_detected",
            ):
                yield f"line {fact.line}, player {fact.player}: the response is {fact.status} ({fact.reason})"
            case _:
                pass


def _outdated(lines: Sequence[Performed]) -> Iterable[str]:
    """Tell which lines had heard others as they were before they were retaken."""
    for names in dict.fromkeys(line.outdated for line in lines if line.outdated):
        hearers = [line.id for line in lines if line.outdated == names]
        count = f"line {hearers[0]}" if len(hearers) == 1 else f"{len(hearers)} lines ({', '.join(hearers)})"
        yield f"{count} heard an older take of {', '.join(names)}; retake with --through performs them again, too"


def _sum(costs: Iterable[Cost]) -> Cost:
    return sum(costs, Cost())


def _costs(cost: Cost) -> Costs:
    return Costs(
        spoken=cost.spoken,
        listened=cost.listened,
        cached=cost.cached,
        total=cost.total,
        known=cost.known,
        estimated=cost.estimated,
    )


def beginning(journal: Sequence[Record]) -> TakeBegan:
    """Return the beginning of a take, with what holds since it was resumed last.

    Raises:
        TakeError: The journal has no beginning.
    """
    began = next((fact for fact in journal if isinstance(fact, TakeBegan)), None)
    if began is None:
        raise TakeError("journal", "the journal has no beginning", "the take was stopped before it began")
    for fact in journal:
        if isinstance(fact, TakeResumed):
            now = {name: getattr(fact, name) for name in ("sha256", "deliver", "budget", "roles")}
            spent, plan = began.spent or fact.spent, fact.resolved or began.resolved
            began = began.model_copy(update={**now, "spent": spent, "resolved": plan})
    return began


def delivery(journal: Sequence[Record]) -> TakeDelivered | None:
    """Tell how a take was delivered, as it ended or was picked last; None where that is still to be done."""
    last = (
        fact for fact in reversed(journal) if isinstance(fact, TakeDelivered | TakeEnded | TakeResumed | TakePicked)
    )
    return fact if isinstance(fact := next(last, None), TakeDelivered) else None


_SHARED = TakeFacts.model_fields.keys() - {"file", "usage"} | {"status"}
"""What a line has of its take."""


def current_facts(journal: Sequence[Record]) -> list[Record]:
    """Apply the picks to a journal, and mark the lines that heard others otherwise than they are now."""
    facts: list[Record] = []
    for fact in journal:
        if isinstance(fact, TakePicked):
            facts = _apply(facts, fact)
        facts.append(fact)
    return _mark_outdated(facts, journal)


def picks(journal: Sequence[Record]) -> dict[str, int]:
    """Return the take that was picked last of each line that was picked, and not performed again since."""
    found: dict[str, int] = {}
    for fact in journal:
        if isinstance(fact, TakePicked):
            found[fact.line] = fact.take
        elif isinstance(fact, LineDropped):
            found.pop(fact.line, None)
    return found


def _apply(facts: list[Record], pick: TakePicked) -> list[Record]:
    """Apply a pick to the facts before it."""
    lines = [fact for fact in facts if isinstance(fact, LineSpoken) and fact.line == pick.line]
    takes = [fact for fact in facts if isinstance(fact, TakeKept) and (fact.line, fact.take) == (pick.line, pick.take)]
    if not lines or not takes or lines[-1].take == pick.take:
        return facts
    line, take = lines[-1], takes[-1]
    file = line.file or re.sub(r"\.take-\d+\.wav$", ".wav", take.file or "") or None
    picked = line.model_copy(update={**take.model_dump(include=set(_SHARED)), "file": file})
    end, moved_end = _ends(facts, line, picked)
    return [picked if fact is line else _moved(fact, end, moved_end - end) for fact in facts]


def _ends(facts: Sequence[Record], line: LineSpoken, picked: LineSpoken) -> tuple[int, int]:
    """Tell where the line, and all that sounds together with it, ends: before the pick, and after it."""
    dropped = {fact.line for fact in facts if isinstance(fact, LineDropped)}
    spans = [span for fact in facts for span in _span(fact, line, dropped)]
    end = line.offset_samples + line.samples
    moved_end = picked.offset_samples + picked.samples
    for start, samples in sorted(spans):
        if start < end:
            end, moved_end = max(end, start + samples), max(moved_end, start + samples)
    return end, moved_end


def _span(fact: Record, line: LineSpoken, dropped: set[str]) -> list[tuple[int, int]]:
    """Return the begin and the length of what takes up time, if it is something else than the line."""
    match fact:
        case LineSpoken() if fact.line != line.line and fact.line not in dropped:
            return [(fact.offset_samples, fact.samples)]
        case SoundPlayed(kind="sfx") if fact.sound not in dropped:
            return [(fact.offset_samples, fact.samples)]
        case _:
            return []


def _moved(fact: Record, end: int, by: int) -> Record:
    """Move a fact if it begins after something that has another length now."""
    if isinstance(fact, LineSpoken | SoundPlayed) and fact.offset_samples >= end:
        return fact.model_copy(update={"offset_samples": fact.offset_samples + by})
    if isinstance(fact, BedEnded) and fact.at_samples >= end:
        return fact.model_copy(update={"at_samples": fact.at_samples + by})
    return fact


def _mark_outdated(facts: list[Record], journal: Sequence[Record]) -> list[Record]:
    """Mark the lines whose players had heard, or said, another line otherwise than it is now.

    Args:
        facts: With all picks applied.
        journal: As it was written.
    """
    final = {fact.line: fact for fact in kept(facts) if isinstance(fact, LineSpoken)}
    context = _Context(journal, {line: fact.sha256 for line, fact in final.items()})
    marked: list[Record] = []
    for fact, raw in zip(facts, journal, strict=True):
        context.apply(raw)
        if isinstance(fact, LineSpoken):
            told = fact.heard_as
            heard = {} if fact.human else {**context.of(fact), **told}
            others = {
                name: sha256
                for name, sha256 in heard.items()
                if (now := final.get(name)) and (now.sha256 != sha256 or (name in told and not now.former))
            }
            marked.append(fact if others == told else fact.model_copy(update={"heard_as": others}))
        else:
            marked.append(fact)
    return marked


class _Context:
    """What players have heard, or said, of the lines that have not always been as they are now.

    Args:
        journal: As it was written.
        final: The hash of each line's sound as it is now.
    """

    def __init__(self, journal: Iterable[Record], final: Mapping[str, str]) -> None:
        self._changed = {fact.line for fact in journal if isinstance(fact, TakePicked)} | {
            fact.line
            for fact in journal
            if isinstance(fact, LineSpoken) and final.get(fact.line, fact.sha256) != fact.sha256
        }
        self._takes: dict[tuple[str, int], str] = {}
        self._now: dict[str, LineSpoken] = {}
        self._at_the_beginning: dict[str, dict[str, LineSpoken]] = {}
        self._missed: set[tuple[str, str]] = set()

    def apply(self, fact: Record) -> None:
        """Take in what happened next."""
        match fact:
            case LineBegan():
                self._at_the_beginning[fact.line] = dict(self._now)
            case TakeKept() if fact.line in self._changed:
                self._takes[fact.line, fact.take] = fact.sha256
            case LineSpoken() if fact.line in self._changed:
                self._now[fact.line] = fact
            case TakePicked() if fact.line in self._now and (fact.line, fact.take) in self._takes:
                sha256 = self._takes[fact.line, fact.take]
                self._now[fact.line] = self._now[fact.line].model_copy(update={"sha256": sha256})
            case LineMissed():
                self._missed.add((fact.line, fact.hearer))
            case LineHeard():
                self._missed.discard((fact.line, fact.hearer))
            case _:
                pass

    def of(self, line: LineSpoken) -> dict[str, str]:
        """Return the hash of each such line that a line's player knew when it began, by id."""
        known = self._at_the_beginning.pop(line.line, self._now)
        return {
            name: other.sha256
            for name, other in known.items()
            if name != line.line
            and line.player in (other.player, *other.hearers)
            and (name, line.player) not in self._missed
        }


SPENT = "An estimate: the provider's usage times a price list. The provider's invoice counts."
NOT_SPENT = (
    "An estimate, and nothing was spent: the understudy played. These are what the scene's models would have charged."
)


def cost_json(journal: Sequence[Record]) -> str:
    """Return the costs of a take as JSON; a price that is not known is null, never zero."""
    began = beginning(journal)
    billed = bills(journal)
    listed = [prices(model, provider) for model, provider in _tariffs(journal)]
    told = {
        "version": 1,
        "estimate": True,
        "spent": began.spent,
        "note": SPENT if began.spent else NOT_SPENT,
        "currency": "USD",
        "prices_per_million_tokens": {
            known.model: {kind: str(dollars) for kind, dollars in known.per_million.items()} for known in listed
        },
        "prices_by_time": {known.model: _by_time(known) for known in listed if known.per_minute is not None},
        "total": _told(billed),
        "players": {role.name: _told(bill for bill in billed if bill.player == role.name) for role in began.roles},
        "lines": {
            line: _told(bill for bill in billed if bill.line == line) for line in dict.fromkeys(b.line for b in billed)
        },
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _tariffs(journal: Sequence[Record]) -> Iterable[tuple[str, str]]:
    """Return models and price lists: those that were asked for, that answered, and that wrote down what people said."""
    lists: dict[str, str] = {}
    found: dict[tuple[str, str], None] = {}
    for fact in journal:
        if isinstance(fact, TakeBegan | TakeResumed):
            lists |= {role.name: role.prices for role in fact.roles}
            found |= {(role.model, role.prices): None for role in fact.roles}
        elif isinstance(fact, ModelNamed | Transcribed):
            found[fact.model, lists[fact.player]] = None
    return found


def _by_time(listed: PriceList) -> dict[str, str | None]:
    return {
        "minute": str(listed.per_minute),
        "text_message": None if listed.per_message is None else str(listed.per_message),
    }


def _told(billed: Iterable[Bill]) -> dict[str, Any]:
    cost = sum((bill.cost for bill in billed), Cost())
    sums = {"spoken": cost.spoken, "listened": cost.listened, "cached": cost.cached, "total": cost.total}
    return {
        **{name: None if dollars is None else str(dollars) for name, dollars in sums.items()},
        "known": str(cost.known),
        "estimated": cost.estimated,
        "untold_responses": cost.tokens.untold,
        "kinds": {
            kind: {
                UNITS.get(kind, "tokens"): count,
                "dollars": None if kind in cost.unpriced else str(cost.by_kind[kind]),
            }
            for kind in KINDS
            if (count := getattr(cost.tokens, kind))
        },
    }
