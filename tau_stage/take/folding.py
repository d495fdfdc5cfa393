"""From the journal to the take: a pure fold. There is no second bookkeeping."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, TypeVar

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
    last_of,
    of_type,
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

PAID = LineSpoken | LineAgain | LineFailed | LineLost | TakeKept | ToolTurn | Transcribed
"""Facts that carry a usage; each response stands in one of them only."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One usage and what it cost: a line, or an attempt at one that failed."""

    player: str
    line: str
    cost: Cost


class _OfLine(Protocol):
    @property
    def line(self) -> str: ...


OfLineT = TypeVar("OfLineT", bound=_OfLine)


def _by_line(facts: Iterable[OfLineT]) -> defaultdict[str, list[OfLineT]]:
    groups: defaultdict[str, list[OfLineT]] = defaultdict(list)
    for fact in facts:
        groups[fact.line].append(fact)
    return groups


def fold(journal: Sequence[Record]) -> Take:
    """Fold a journal into the take that it tells of; one that was cut short ended as ``interrupted``.

    Raises:
        TakeError: The journal has no beginning.
    """
    began = beginning(journal)
    last = last_of(journal, TakeEnded, TakeResumed)
    end = last if isinstance(last, TakeEnded) else NO_END
    folding = _Folding(journal)
    lines = tuple(map(folding.line, folding.spoken))
    sounds = folding.sounds()
    samples = _end(lines, sounds)
    whole = _sum(folding.bills)
    return Take(
        tau_stage=began.tau_stage,
        scene=Staged.model_validate(began, from_attributes=True),
        started=began.started,
        provider=", ".join(dict.fromkeys(role.endpoint for role in began.roles if not role.human)),
        spent=began.spent,
        ended=end.ended,
        problem=end.problem,
        rate=RATE,
        channels=began.deliver.channels,
        duration_s=samples / RATE,
        samples=samples,
        players=tuple(folding.player(role, lines) for role in began.roles),
        lines=lines,
        sounds=sounds,
        cues=tuple(Cued(cue=fact.cue, at_s=fact.at_s) for fact in of_type(folding.counting, CueStarted)),
        usage=whole.tokens,
        cost=_costs(whole),
        warnings=(*(text for fact in journal if (text := fact.warning)), *_outdated(lines)),
    )


NO_END = TakeEnded(ended="interrupted", problem="the journal has no end")


class _Folding:
    """The records of a journal by their types, and by the lines and players that they are of."""

    def __init__(self, journal: Sequence[Record]) -> None:
        billed = list(_billed(journal))
        self.journal = journal
        self.counting = standing(journal)
        self.spoken = sorted(of_type(self.counting, LineSpoken), key=lambda fact: fact.number)
        self.bills = [bill for _, bill in billed]
        self._bills = _by_line(self.bills)
        self._failed = _by_line(fact for fact, _ in billed if isinstance(fact, LineAgain))
        self._costs = {id(fact): bill.cost for fact, bill in billed}
        self._calls = _by_line(of_type(self.counting, ToolCalled))
        self._takes = _by_line(of_type(self.counting, TakeKept))
        self._heard = {(fact.line, fact.hearer): fact for fact in of_type(self.counting, LineHeard)}
        self._broken = Counter(fact.line for fact in of_type(journal, LineAgain) if fact.interrupted)
        self._named = {fact.player: fact.model for fact in of_type(journal, ModelNamed)}
        self._lost = _lost(journal)

    def line(self, fact: LineSpoken) -> Performed:
        """Say all that came of a line."""
        cost = _sum(self._bills[fact.line])
        facts = fact.model_dump(include=set(LineFacts.model_fields) - {"usage", "attempts"})
        return Performed(
            **facts,
            id=fact.line,
            outdated=tuple(fact.heard_as),
            offset_s=fact.offset_samples / fact.rate,
            duration_s=fact.samples / fact.rate,
            hearers=self._hearings(fact.line, fact.hearers),
            calls=tuple(Called.model_validate(call, from_attributes=True) for call in self._calls[fact.line]),
            alternatives=self._others(fact),
            usage=cost.tokens,
            cost=_costs(cost),
            attempts=fact.attempts + self._broken[fact.line],
            failed_attempts=tuple(map(self._attempt, self._failed[fact.line])),
            ended=fact.status,
        )

    def _hearings(self, name: str, hearers: Iterable[str]) -> tuple[Hearing, ...]:
        return tuple(_hearing(hearer, self._heard.get((name, hearer))) for hearer in hearers)

    def _others(self, line: LineSpoken) -> tuple[Alternative, ...]:
        takes = {fact.take: fact for fact in self._takes[line.line] if fact.take != line.take}
        fields = set(Alternative.model_fields)
        return tuple(
            Alternative(**take.model_dump(include=fields), ended=take.status) for _, take in sorted(takes.items())
        )

    def _attempt(self, fact: LineAgain) -> Attempt:
        return Attempt(
            reason=fact.reason,
            problem=fact.problem,
            waited_s=fact.wait_s,
            file=fact.file,
            usage=fact.usage,
            cost=_costs(self._costs[id(fact)]),
        )

    def sounds(self) -> tuple[PlayedSound, ...]:
        """Say what was laid; a bed that was not ended goes on to the end of all else."""
        played = of_type(self.counting, SoundPlayed)
        ends = {fact.sound: fact.at_samples for fact in of_type(self.counting, BedEnded)}
        end = _end(self.spoken, (fact for fact in played if fact.kind == "sfx"))
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
                hearers=self._hearings(fact.sound, fact.hearers),
            )
            for fact in played
        )

    def player(self, role: Role, lines: Sequence[Performed]) -> Playing:
        """Say what a player did."""
        openings = self._openings(role.name)
        own = [line for line in lines if line.player == role.name]
        cost = _sum(bill for bill in self.bills if bill.player == role.name)
        facts = role.model_dump(include=set(Playing.model_fields))
        return Playing(
            **facts,
            answered_by=self._named.get(role.name, ""),
            sessions=tuple(fact.session for fact in openings if fact.session),
            opened_s=openings[0].took_s if openings else None,
            opening_attempts=sum(fact.attempts for fact in openings),
            status="lost" if role.name in self._lost else "played" if openings else "never opened",
            stem=stem_name(slug(role.name)) if openings else None,
            lines=len(own),
            seconds=sum(line.samples for line in own) / RATE,
            usage=cost.tokens,
            cost=_costs(cost),
        )

    def _openings(self, player: str) -> list[PlayerOpened]:
        opened = [fact for fact in of_type(self.journal, PlayerOpened) if fact.player == player]
        return opened[:1] + [fact for fact in opened[1:] if fact.session]  # a person is there once


def _hearing(name: str, fact: LineHeard | None) -> Hearing:
    if fact is None:
        return Hearing(player=name, heard_at_s=None, took_s=None, sha256=None)
    return Hearing(player=name, heard_at_s=fact.at_s, took_s=fact.took_s, sha256=fact.sha256, by=fact.by)


def _end(*parts: Iterable[LineSpoken | SoundPlayed | Performed | PlayedSound]) -> int:
    return max((part.offset_samples + part.samples for part in chain(*parts)), default=0)


def _lost(journal: Iterable[Record]) -> set[str]:
    """Return the players that were lost, and not opened again."""
    lost: set[str] = set()
    for fact in journal:
        if isinstance(fact, PlayerOpened):
            lost.discard(fact.player)
        elif isinstance(fact, PlayerLost):
            lost.add(fact.player)
        elif isinstance(fact, LineMissed) and fact.lost:
            lost.add(fact.hearer)
    return lost


def _outdated(lines: Sequence[Performed]) -> Iterable[str]:
    """Tell which lines had heard others as they were before they were retaken."""
    for names in dict.fromkeys(line.outdated for line in lines if line.outdated):
        hearers = [line.id for line in lines if line.outdated == names]
        count = f"line {hearers[0]}" if len(hearers) == 1 else f"{len(hearers)} lines ({', '.join(hearers)})"
        yield f"{count} heard an older take of {', '.join(names)}; --through performs them again, too"


def _sum(billed: Iterable[Bill]) -> Cost:
    return sum((bill.cost for bill in billed), Cost())


def _costs(cost: Cost) -> Costs:
    return Costs.model_validate(cost, from_attributes=True)


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
        if isinstance(fact, LineDropped):
            void.update(led_to.pop(name, ()))
        elif isinstance(fact, TakeResumed):
            void.update(chain(*under_way.values()))
            under_way.clear()
        elif isinstance(fact, LineBegan | TakeKept):
            under_way[name] = []
        elif isinstance(fact, LineSpoken | LineLost):
            under_way.pop(name, None)
        elif isinstance(fact, ToolBegan | ToolCalled | CueStarted):
            under_way.get(name, []).append(number)
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
        if isinstance(fact, TakeBegan | TakeResumed):
            roles |= {role.name: role for role in fact.roles}
        elif isinstance(fact, ModelNamed) and (role := roles.get(fact.player)):
            roles[fact.player] = role.model_copy(update={"model": fact.model})
        elif isinstance(fact, PAID) and (role := roles[fact.player]).human is None:
            model = fact.model if isinstance(fact, Transcribed) else role.model
            yield fact, Bill(fact.player, fact.line, price(fact.usage, model, role.prices))


def beginning(journal: Sequence[Record]) -> TakeBegan:
    """Return the beginning of a take, with what holds since it was resumed last.

    Raises:
        TakeError: The journal has no beginning.
    """
    began = next(iter(of_type(journal, TakeBegan)), None)
    if began is None:
        raise TakeError("journal", "the journal has no beginning", "the take was stopped before it began")
    for fact in of_type(journal, TakeResumed):
        now = {name: getattr(fact, name) for name in ("sha256", "deliver", "budget", "roles")}
        spent, plan = began.spent or fact.spent, fact.resolved or began.resolved
        began = began.model_copy(update={**now, "spent": spent, "resolved": plan})
    return began


def delivery(journal: Sequence[Record]) -> TakeDelivered | None:
    """Tell how a take was delivered, as it ended or was picked last; None where that is still to be done."""
    last = last_of(journal, TakeDelivered, TakeEnded, TakeResumed, TakePicked)
    return last if isinstance(last, TakeDelivered) else None


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
    line = {fact.line: fact for fact in of_type(facts, LineSpoken)}.get(pick.line)
    take = {(fact.line, fact.take): fact for fact in of_type(facts, TakeKept)}.get((pick.line, pick.take))
    if line is None or take is None or line.take == pick.take:
        return facts
    file = line.file or re.sub(r"\.take-\d+\.wav$", ".wav", take.file or "") or None
    picked = line.model_copy(update={**take.model_dump(include=set(_SHARED)), "file": file})
    end, moved_end = _ends(facts, line, picked)
    return [picked if fact is line else _moved(fact, end, moved_end - end) for fact in facts]


def _ends(facts: Sequence[Record], line: LineSpoken, picked: LineSpoken) -> tuple[int, int]:
    """Tell where the line, and all that sounds together with it, ends: before the pick, and after it."""
    dropped = {fact.line for fact in of_type(facts, LineDropped)}
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
    final = {fact.line: fact for fact in of_type(kept(facts), LineSpoken)}
    context = _Context(journal, {line: fact.sha256 for line, fact in final.items()})
    marked: list[Record] = []
    for fact, raw in zip(facts, journal, strict=True):
        context.apply(raw)
        marked.append(_marked(fact, context, final) if isinstance(fact, LineSpoken) else fact)
    return marked


def _marked(fact: LineSpoken, context: _Context, final: Mapping[str, LineSpoken]) -> LineSpoken:
    told = fact.heard_as
    heard = {} if fact.human else {**context.of(fact), **told}
    others = {
        name: sha256
        for name, sha256 in heard.items()
        if (now := final.get(name)) and (now.sha256 != sha256 or (name in told and not now.former))
    }
    return fact.model_copy(update={"heard_as": others})


class _Context:
    """What players have heard, or said, of the lines that have not always been as they are now.

    Args:
        journal: As it was written.
        final: The hash of each line's sound as it is now.
    """

    def __init__(self, journal: Iterable[Record], final: Mapping[str, str]) -> None:
        self._changed = {fact.line for fact in of_type(journal, TakePicked)}
        self._changed |= {f.line for f in of_type(journal, LineSpoken) if final.get(f.line, f.sha256) != f.sha256}
        self._takes: dict[tuple[str, int], str] = {}
        self._now: dict[str, LineSpoken] = {}
        self._at_the_beginning: dict[str, dict[str, LineSpoken]] = {}
        self._missed: set[tuple[str, str]] = set()

    def apply(self, fact: Record) -> None:
        """Take in what happened next."""
        if isinstance(fact, LineBegan):
            self._at_the_beginning[fact.line] = dict(self._now)
        elif isinstance(fact, LineMissed):
            self._missed.add((fact.line, fact.hearer))
        elif isinstance(fact, LineHeard):
            self._missed.discard((fact.line, fact.hearer))
        elif isinstance(fact, TakeKept | LineSpoken | TakePicked) and fact.line in self._changed:
            self._become(fact)

    def _become(self, fact: TakeKept | LineSpoken | TakePicked) -> None:
        """Let a line that is not always the same be what it is from now on."""
        if isinstance(fact, TakeKept):
            self._takes[fact.line, fact.take] = fact.sha256
        elif isinstance(fact, LineSpoken):
            self._now[fact.line] = fact
        elif fact.line in self._now and (sha256 := self._takes.get((fact.line, fact.take))) is not None:
            self._now[fact.line] = self._now[fact.line].model_copy(update={"sha256": sha256})

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
    cost = _sum(billed)
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
