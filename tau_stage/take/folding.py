"""From the journal to the take: a pure fold. There is no second bookkeeping."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, starmap
from typing import Any

from tau_stage.audio import RATE
from tau_stage.cost import KINDS, UNITS, Cost, PriceList, price, prices
from tau_stage.errors import TakeError
from tau_stage.scene import slug, who_knows
from tau_stage.take import records as record
from tau_stage.take import take_model as model
from tau_stage.take.records import LineRecordT, Record, last_of, of_type
from tau_stage.take.take_model import Performed, Take


def _by_line(facts: Iterable[LineRecordT]) -> defaultdict[str, list[LineRecordT]]:
    groups: defaultdict[str, list[LineRecordT]] = defaultdict(list)
    for fact in facts:
        groups[fact.line].append(fact)
    return groups


def fold(journal: Sequence[Record]) -> Take:
    """Fold a journal into the take that it tells of; one that was cut short ended as ``interrupted``.

    Raises:
        TakeError: The journal has no beginning.
    """
    began = beginning(journal)
    last = last_of(journal, record.TakeEnded, record.TakeResumed)
    end = last if isinstance(last, record.TakeEnded) else NO_END
    folding = _Folding(journal, end.silence_samples)
    lines = tuple(map(folding.line, folding.spoken))
    sounds = folding.sounds()
    samples = max(_end(lines, sounds), folding.end)
    whole = folding.costs.whole
    return Take(
        tau_stage=began.tau_stage,
        scene=model.Staged.model_validate(began, from_attributes=True),
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
        chapters=folding.chapters(),
        cues=tuple(model.Cued(cue=fact.cue, at_s=fact.at_s) for fact in of_type(folding.counting, record.CueStarted)),
        usage=whole.tokens,
        cost=_costs(whole),
        warnings=(*(text for fact in journal if (text := fact.warning)), *_outdated(lines)),
    )


NO_END = record.TakeEnded(ended="interrupted", problem="the journal is incomplete")


ATTEMPT = {"reason", "problem", "file", "usage"}  # what a failed attempt has of the record that tells of it


class _Folding:
    """The records of a journal by their types, and by the lines and players that they are of.

    Its ``end`` is that of all lines and effects, and of the silence that the scene ends with.
    """

    def __init__(self, journal: Sequence[Record], silence: int = 0) -> None:
        self.journal = journal
        self.counting = standing(journal)
        self.spoken = sorted(of_type(self.counting, record.LineSpoken), key=lambda fact: fact.number)
        self.costs = Bills(journal)
        self._calls = _by_line(of_type(self.counting, record.ToolCalled))
        self._takes = _by_line(of_type(self.counting, record.TakeKept))
        self._heard = {
            (fact.line, fact.hearer): model.Hearing(
                player=fact.hearer, heard_at_s=fact.at_s, took_s=fact.took_s, sha256=fact.sha256, by=fact.by
            )
            for fact in of_type(self.counting, record.LineHeard)
        }
        self._broken = Counter(fact.line for fact in of_type(journal, record.LineAgain) if fact.interrupted)
        self._named = {fact.player: fact.model for fact in of_type(journal, record.ModelNamed)}
        self._lost = _lost(journal)
        effects = (fact for fact in of_type(self.counting, record.SoundPlayed) if fact.kind == "sfx")
        self.end = _end(self.spoken, effects) + silence

    def line(self, fact: record.LineSpoken) -> Performed:
        """Say all that came of a line."""
        cost = self.costs.by_line[fact.line]
        facts = fact.model_dump(include=set(record.LineFacts.model_fields) - {"usage", "attempts"})
        return Performed(
            **facts,
            id=fact.line,
            outdated=tuple(fact.heard_as),
            offset_s=fact.offset_samples / fact.rate,
            duration_s=fact.samples / fact.rate,
            hearers=self._hearings(fact.line, fact.hearers),
            calls=tuple(model.Called.model_validate(call, from_attributes=True) for call in self._calls[fact.line]),
            alternatives=self._others(fact),
            usage=cost.tokens,
            cost=_costs(cost),
            attempts=fact.attempts + self._broken[fact.line],
            failed_attempts=tuple(
                model.Attempt(**each.model_dump(include=ATTEMPT), waited_s=each.wait_s, cost=_costs(paid))
                for each, paid in self.costs.failed[fact.line]
            ),
            ended=fact.status,
        )

    def _hearings(self, name: str, hearers: Iterable[str]) -> tuple[model.Hearing, ...]:
        never = [model.Hearing(player=hearer, heard_at_s=None, took_s=None, sha256=None) for hearer in hearers]
        return tuple(self._heard.get((name, each.player), each) for each in never)

    def _others(self, line: record.LineSpoken) -> tuple[model.Alternative, ...]:
        takes = {fact.take: fact for fact in self._takes[line.line] if fact.take != line.take}
        fields = set(model.Alternative.model_fields)
        return tuple(
            model.Alternative(**take.model_dump(include=fields), ended=take.status) for _, take in sorted(takes.items())
        )

    def sounds(self) -> tuple[model.PlayedSound, ...]:
        """Say what was laid; a bed that was not ended goes on to the end of all else."""
        played = of_type(self.counting, record.SoundPlayed)
        ends = {fact.sound: fact.at_samples for fact in of_type(self.counting, record.BedEnded)}
        return tuple(
            model.PlayedSound(
                **fact.model_dump(include={"kind", "source", "gain_db", "offset_samples", "sha256"}),
                id=fact.sound,
                stem=model.stem_name(fact.stem),
                offset_s=fact.offset_samples / RATE,
                samples=max(0, ends.get(fact.sound, self.end) - fact.offset_samples)
                if fact.kind == "bed"
                else fact.samples,
                hearers=self._hearings(fact.sound, fact.hearers),
            )
            for fact in played
        )

    def chapters(self) -> tuple[model.ChapterMark, ...]:
        """Say which chapters have begun, each once, in the order of the recording."""
        began = {fact.chapter: fact for fact in of_type(self.counting, record.ChapterBegan)}
        marks = (
            model.ChapterMark(
                id=fact.chapter,
                title=fact.title,
                offset_s=fact.offset_samples / RATE,
                offset_samples=fact.offset_samples,
            )
            for fact in began.values()
        )
        return tuple(sorted(marks, key=lambda mark: mark.offset_samples))

    def player(self, role: record.Role, lines: Sequence[Performed]) -> model.Playing:
        """Say what a player did."""
        openings = self._openings(role.name)
        own = [line for line in lines if line.player == role.name]
        cost = self.costs.by_player[role.name]
        facts = role.model_dump(include=set(model.Playing.model_fields))
        return model.Playing(
            **facts,
            answered_by=self._named.get(role.name, ""),
            sessions=tuple(fact.session for fact in openings if fact.session),
            opened_s=openings[0].took_s if openings else None,
            opening_attempts=sum(fact.attempts for fact in openings),
            status="lost" if role.name in self._lost else "played" if openings else "never opened",
            stem=model.stem_name(slug(role.name)) if openings else None,
            lines=len(own),
            seconds=sum(line.samples for line in own) / RATE,
            usage=cost.tokens,
            cost=_costs(cost),
        )

    def _openings(self, player: str) -> list[record.PlayerOpened]:
        opened = [fact for fact in of_type(self.journal, record.PlayerOpened) if fact.player == player]
        return opened[:1] + [fact for fact in opened[1:] if fact.session]  # a person is there once


def _end(*parts: Iterable[record.LineSpoken | record.SoundPlayed | Performed | model.PlayedSound]) -> int:
    return max((part.offset_samples + part.samples for part in chain(*parts)), default=0)


def _lost(journal: Iterable[Record]) -> set[str]:
    """Return the players that were lost, and not opened again."""
    lost: set[str] = set()
    for fact in journal:
        if isinstance(fact, record.PlayerOpened):
            lost.discard(fact.player)
        elif isinstance(fact, record.PlayerLost):
            lost.add(fact.player)
        elif isinstance(fact, record.LineMissed) and fact.lost:
            lost.add(fact.hearer)
    return lost


def _outdated(lines: Sequence[Performed]) -> Iterable[str]:
    """Tell which lines had heard others as they were before they were retaken."""
    for others, hearers in model.outdated_lines(lines).items():
        count = f"line {hearers[0]}" if len(hearers) == 1 else f"{len(hearers)} lines ({', '.join(hearers)})"
        yield f"{count} heard an older take of {', '.join(others)}; add --through to also perform them again"


def _costs(cost: Cost) -> model.Costs:
    return model.Costs.model_validate(cost, from_attributes=True)


def _subject_of(fact: Record) -> str:
    """Return the line, the sound or the chapter that a record is about."""
    told = vars(fact)  # to ask pydantic for a field that a record has not takes as long as all else of `standing`
    return next((str(told[key]) for key in ("sound", "chapter", "line") if key in told), "")


def standing(journal: Sequence[Record]) -> list[Record]:
    """Return the records that still count; what was paid counts nevertheless.

    What a line led to is left out where the line was dropped since; and what an attempt called, and which cues that
    started, where the performance was stopped in it.
    """
    void: set[int] = set()
    led_to: defaultdict[str, list[int]] = defaultdict(list)
    under_way: dict[str, list[int]] = {}
    for number, fact in enumerate(journal):
        name = _subject_of(fact)
        if isinstance(fact, record.LED_TO):
            led_to[name].append(number)
        if isinstance(fact, record.LineDropped):
            void.update(led_to.pop(name, ()))
        elif isinstance(fact, record.TakeResumed):
            void.update(chain(*under_way.values()))
            under_way.clear()
        elif isinstance(fact, record.LineBegan | record.TakeKept):
            under_way[name] = []
        elif isinstance(fact, record.LineSpoken | record.LineLost):
            under_way.pop(name, None)
        elif isinstance(fact, record.ToolBegan | record.ToolCalled | record.CueStarted):
            under_way.get(name, []).append(number)
    return [fact for number, fact in enumerate(journal) if number not in void]


def kept(journal: Sequence[Record]) -> list[record.LineSpoken | record.SoundPlayed]:
    """Return the lines and effects that are part of the take: none that was dropped since."""
    return [fact for fact in standing(journal) if isinstance(fact, record.LineSpoken | record.SoundPlayed)]


class Bills:
    """What each response cost, once, at the price of the model that answered; and its sums.

    Attributes:
        failed: Attempts that failed, and what each cost, by line.
        tariffs: Models and price lists: those that were asked for, that answered, and that wrote down what people said.
    """

    def __init__(self, journal: Iterable[Record]) -> None:
        self.failed: defaultdict[str, list[tuple[record.LineAgain, Cost]]] = defaultdict(list)
        self.whole = Cost()
        self.by_line: defaultdict[str, Cost] = defaultdict(Cost)
        self.by_player: defaultdict[str, Cost] = defaultdict(Cost)
        self.tariffs: dict[tuple[str, str], None] = {}
        self._roles: dict[str, record.Role] = {}
        for fact in journal:
            self.apply(fact)

    def apply(self, fact: Record) -> None:
        """Count what one more record tells of."""
        if isinstance(fact, record.TakeBegan | record.TakeResumed):
            self._roles |= {role.name: role for role in fact.roles}
            self.tariffs |= {(role.model, role.prices): None for role in fact.roles}
        elif isinstance(fact, record.ModelNamed) and (role := self._roles.get(fact.player)):
            self._roles[fact.player] = role.model_copy(update={"model": fact.model})
            self.tariffs[fact.model, role.prices] = None
        elif isinstance(fact, record.PAID) and (role := self._roles[fact.player]).human is None:
            self._add(fact, getattr(fact, "model", role.model), role.prices)

    def _add(self, fact: record.PAID, who: str, provider: str) -> None:
        cost = price(fact.usage, who, provider)
        self.tariffs[who, provider] = None
        if isinstance(fact, record.LineAgain):
            self.failed[fact.line].append((fact, cost))
        self.whole += cost
        self.by_line[fact.line] += cost
        self.by_player[fact.player] += cost


def beginning(journal: Sequence[Record]) -> record.TakeBegan:
    """Return the beginning of a take, with what holds since it was resumed last.

    Raises:
        TakeError: The journal has no beginning.
    """
    began = next(iter(of_type(journal, record.TakeBegan)), None)
    if began is None:
        raise TakeError("journal", "the journal is missing its first record", "the take was stopped before it began")
    for fact in of_type(journal, record.TakeResumed):
        now = {name: getattr(fact, name) for name in ("sha256", "deliver", "budget", "roles")}
        spent, plan = began.spent or fact.spent, fact.resolved or began.resolved
        began = began.model_copy(update={**now, "spent": spent, "resolved": plan})
    return began


def delivery(journal: Sequence[Record]) -> record.TakeDelivered | None:
    """Tell how a take was delivered, as it ended or was picked last; None where that is still to be done."""
    last = last_of(journal, record.TakeDelivered, record.TakeEnded, record.TakeResumed, record.TakePicked)
    return last if isinstance(last, record.TakeDelivered) else None


_SHARED = record.TakeFacts.model_fields.keys() - {"file", "usage"} | {"status"}  # what a line has of its take


def current_facts(journal: Sequence[Record]) -> list[Record]:
    """Apply the picks to a journal, and mark the lines that heard others otherwise than they are now."""
    facts: list[Record] = []
    for fact in journal:
        if isinstance(fact, record.TakePicked):
            facts = _apply(facts, fact)
        facts.append(fact)
    return _mark_outdated(facts, journal)


def picks(journal: Sequence[Record]) -> dict[str, int]:
    """Return the take that was picked last of each line that was picked, and not performed again since."""
    found: dict[str, int] = {}
    for fact in journal:
        if isinstance(fact, record.TakePicked):
            found[fact.line] = fact.take
        elif isinstance(fact, record.LineDropped):
            found.pop(fact.line, None)
    return found


def _apply(facts: list[Record], pick: record.TakePicked) -> list[Record]:
    """Apply a pick to the facts before it."""
    line = {fact.line: fact for fact in of_type(facts, record.LineSpoken)}.get(pick.line)
    take = {(fact.line, fact.take): fact for fact in of_type(facts, record.TakeKept)}.get((pick.line, pick.take))
    if line is None or take is None or line.take == pick.take:
        return facts
    file = line.file or re.sub(r"\.take-\d+\.wav$", ".wav", take.file or "") or None
    picked = line.model_copy(update={**{name: getattr(take, name) for name in _SHARED}, "file": file})
    end, moved_end = _ends(facts, line, picked)
    return [picked if fact is line else _moved(fact, end, moved_end - end) for fact in facts]


def _ends(facts: Sequence[Record], line: record.LineSpoken, picked: record.LineSpoken) -> tuple[int, int]:
    """Tell where the line, and all that sounds together with it, ends: before the pick, and after it."""
    others = (fact for fact in kept(facts) if fact is not line and getattr(fact, "kind", "") != "bed")
    end = line.offset_samples + line.samples
    moved_end = picked.offset_samples + picked.samples
    for start, samples in sorted((other.offset_samples, other.samples) for other in others):
        if start < end:
            end, moved_end = max(end, start + samples), max(moved_end, start + samples)
    return end, moved_end


def _moved(fact: Record, end: int, by: int) -> Record:
    """Move a fact if it begins after something that has another length now."""
    for name in ("offset_samples", "at_samples"):
        if (at := vars(fact).get(name, -1)) >= end:
            return fact.model_copy(update={name: at + by})
    return fact


def _mark_outdated(facts: list[Record], journal: Sequence[Record]) -> list[Record]:
    """Mark the lines whose players had heard, or said, another line otherwise than it is now."""
    final = {fact.line: fact for fact in of_type(kept(facts), record.LineSpoken)}
    context = _Context(journal, {line: fact.sha256 for line, fact in final.items()})
    marked: list[Record] = []
    for fact, raw in zip(facts, journal, strict=True):
        context.apply(raw)
        marked.append(_marked(fact, context, final) if isinstance(fact, record.LineSpoken) else fact)
    return marked


def _marked(fact: record.LineSpoken, context: _Context, final: Mapping[str, record.LineSpoken]) -> record.LineSpoken:
    told = fact.heard_as
    heard = {} if fact.human else {**context.of(fact), **told}
    if not heard and not told:
        return fact
    others = {
        name: sha256
        for name, sha256 in heard.items()
        if (now := final.get(name)) and (now.sha256 != sha256 or (name in told and not now.former))
    }
    return fact.model_copy(update={"heard_as": others})


class _Context:
    """What players have heard, or said, of the lines that have not always been as they are now."""

    def __init__(self, journal: Iterable[Record], final: Mapping[str, str]) -> None:
        self._changed = {fact.line for fact in of_type(journal, record.TakePicked)}
        self._changed |= {
            f.line for f in of_type(journal, record.LineSpoken) if final.get(f.line, f.sha256) != f.sha256
        }
        self._takes: dict[tuple[str, int], str] = {}
        self._now: dict[str, record.LineSpoken] = {}
        self._at_the_beginning: dict[str, dict[str, record.LineSpoken]] = {}
        self._missed: set[tuple[str, str]] = set()

    def apply(self, fact: Record) -> None:
        """Take in what happened next."""
        match fact:
            case record.LineBegan():
                self._at_the_beginning[fact.line] = dict(self._now)
            case record.LineMissed():
                self._missed.add((fact.line, fact.hearer))
            case record.LineHeard():
                self._missed.discard((fact.line, fact.hearer))
            case record.TakeKept():
                self._takes[fact.line, fact.take] = fact.sha256
            case record.LineSpoken() if fact.line in self._changed:
                self._now[fact.line] = fact
            case record.TakePicked() if fact.line in self._now and (fact.line, fact.take) in self._takes:
                sha256 = self._takes[fact.line, fact.take]
                self._now[fact.line] = self._now[fact.line].model_copy(update={"sha256": sha256})

    def of(self, line: record.LineSpoken) -> dict[str, str]:
        """Return the hash of each such line that a line's player knew when it began, by id."""
        known = self._at_the_beginning.pop(line.line, self._now)
        return {
            name: other.sha256
            for name, other in known.items()
            if name != line.line
            and line.player in who_knows(other.player, other.hearers, remembered=other.remembered)
            and (name, line.player) not in self._missed
        }


SPENT = "An estimate: the reported usage times a price list. The provider's invoice is authoritative."
NOT_SPENT = (
    "An estimate. Nothing was spent, because the understudy performed. The scene's models would have cost this amount."
)


def _by_time(known: PriceList) -> dict[str, str | None]:
    message = None if known.per_message is None else str(known.per_message)
    return {"minute": str(known.per_minute), "text_message": message}


def cost_json(journal: Sequence[Record]) -> str:
    """Return the costs of a take as JSON; a price that is not known is null, never zero."""
    began = beginning(journal)
    costs = Bills(journal)
    listed = [*starmap(prices, costs.tariffs)]
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
        "total": _told(costs.whole),
        "players": {role.name: _told(costs.by_player[role.name]) for role in began.roles},
        "lines": {line: _told(cost) for line, cost in costs.by_line.items()},
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _told(cost: Cost) -> dict[str, Any]:
    return {
        **_costs(cost).model_dump(mode="json"),
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
