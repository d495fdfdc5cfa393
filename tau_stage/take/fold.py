"""From the journal to the take: a pure fold. There is no second bookkeeping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tau_stage.audio.pcm import RATE
from tau_stage.cost import Cost, price
from tau_stage.errors import TakeError
from tau_stage.scene.names import slug
from tau_stage.take import records as record
from tau_stage.take.model import Costs, Hearing, Performed, Playing, Staged, Take


@dataclass(frozen=True, slots=True)
class Bill:
    """One usage and what it cost: a line, or an attempt at one that failed."""

    player: str
    line: str
    cost: Cost


def fold(journal: Sequence[record.Record]) -> Take:
    """The take that a journal tells of; one that was cut short ended as ``interrupted``.

    Raises:
        TakeError: The journal has no beginning.
    """
    began = next((fact for fact in journal if isinstance(fact, record.TakeBegan)), None)
    if began is None:
        raise TakeError("journal", "the journal has no beginning", "the take was stopped before it began")
    end = next((fact for fact in reversed(journal) if isinstance(fact, record.TakeEnded)), None)
    billed = bills(journal)
    lines = _lines(journal, billed)
    samples = max((line.offset_samples + line.samples for line in lines), default=0)
    whole = _sum(bill.cost for bill in billed)
    return Take(
        tau_stage=began.tau_stage,
        scene=Staged(title=began.title, slug=began.slug, path=began.path, sha256=began.sha256),
        started=began.started,
        provider=", ".join(dict.fromkeys(role.endpoint for role in began.roles)),
        spent=began.spent,
        ended=end.ended if end else "interrupted",
        problem=end.problem if end else "the journal has no end",
        rate=RATE,
        duration_s=samples / RATE,
        samples=samples,
        players=tuple(_player(role, journal, lines, billed) for role in began.roles),
        lines=lines,
        usage=whole.tokens,
        cost=_costs(whole),
        warnings=tuple(_warnings(journal)),
    )


def bills(journal: Sequence[record.Record]) -> tuple[Bill, ...]:
    """What each response cost, each counted once, in the order of the journal."""
    began = next(fact for fact in journal if isinstance(fact, record.TakeBegan))
    roles = {role.name: role for role in began.roles}
    return tuple(
        Bill(
            fact.player,
            fact.line,
            price(fact.usage, roles[fact.player].model, roles[fact.player].prices),
        )
        for fact in journal
        if isinstance(fact, record.LineSpoken | record.LineAgain)
    )


def _lines(journal: Sequence[record.Record], billed: Iterable[Bill]) -> tuple[Performed, ...]:
    heard = {(fact.line, fact.hearer): fact for fact in journal if isinstance(fact, record.LineHeard)}
    lines: list[Performed] = []
    at = 0
    for fact in journal:
        if isinstance(fact, record.LineSpoken):
            cost = _sum(bill.cost for bill in billed if bill.line == fact.line)
            hearers = tuple(_hearing(name, heard.get((fact.line, name))) for name in fact.hearers)
            lines.append(_line(fact, at, hearers, cost))
            at += fact.samples + fact.pause_samples
    return tuple(lines)


def _line(fact: record.LineSpoken, at: int, hearers: tuple[Hearing, ...], cost: Cost) -> Performed:
    return Performed(
        id=fact.line,
        number=fact.number,
        player=fact.player,
        asked=fact.asked,
        direction=fact.direction,
        said=fact.said,
        offset_s=at / fact.rate,
        offset_samples=at,
        duration_s=fact.samples / fact.rate,
        samples=fact.samples,
        first_audio_s=fact.first_audio_s,
        took_s=fact.took_s,
        hearers=hearers,
        usage=cost.tokens,
        cost=_costs(cost),
        file=fact.file,
        sha256=fact.sha256,
        response=fact.response,
        attempts=fact.attempts,
        ended=fact.status,
        reason=fact.reason,
    )


def _hearing(name: str, fact: record.LineHeard | None) -> Hearing:
    if fact is None:
        return Hearing(player=name, heard_at_s=None, took_s=None, sha256=None)
    return Hearing(player=name, heard_at_s=fact.at_s, took_s=fact.took_s, sha256=fact.sha256)


def _player(
    role: record.Role, journal: Sequence[record.Record], lines: Sequence[Performed], billed: Iterable[Bill]
) -> Playing:
    openings = [fact for fact in journal if isinstance(fact, record.PlayerOpened) and fact.player == role.name]
    lost = any(isinstance(fact, record.LineMissed) and fact.lost and fact.hearer == role.name for fact in journal)
    own = [line for line in lines if line.player == role.name]
    cost = _sum(bill.cost for bill in billed if bill.player == role.name)
    return Playing(
        name=role.name,
        voice=role.voice,
        model=role.model,
        endpoint=role.endpoint,
        sessions=tuple(fact.session for fact in openings),
        opened_s=openings[0].took_s if openings else None,
        opening_attempts=sum(fact.attempts for fact in openings),
        status="lost" if lost else "played" if openings else "never opened",
        stem=f"stems/{slug(role.name)}.wav" if openings else None,
        lines=len(own),
        seconds=sum(line.samples for line in own) / RATE,
        usage=cost.tokens,
        cost=_costs(cost),
    )


def _warnings(journal: Sequence[record.Record]) -> Iterable[str]:
    for fact in journal:
        match fact:
            case record.Warned():
                yield fact.text
            case record.LineMissed():
                yield fact.problem
            case record.OpeningRefused():
                yield f"{fact.problem}; waited {fact.wait_s:.1f} s"
            case record.LineAgain():
                yield f"line {fact.line}, player {fact.player}: {fact.problem}; asked again after {fact.wait_s:.1f} s"
            case record.LineSpoken() if fact.status != "completed":
                yield f"line {fact.line}, player {fact.player}: the response is {fact.status} ({fact.reason})"
            case _:
                pass


def _sum(costs: Iterable[Cost]) -> Cost:
    return sum(costs, Cost())


def _costs(cost: Cost) -> Costs:
    return Costs(spoken=cost.spoken, listened=cost.listened, cached=cost.cached, total=cost.total)
