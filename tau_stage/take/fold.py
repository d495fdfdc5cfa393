"""From the journal to the take: a pure fold. There is no second bookkeeping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tau_stage.audio.pcm import RATE
from tau_stage.cost import Cost, price
from tau_stage.scene.names import slug
from tau_stage.take import records as record
from tau_stage.take.beginning import beginning
from tau_stage.take.folder import stem_name
from tau_stage.take.model import (
    Alternative,
    Attempt,
    Called,
    Costs,
    Cued,
    Hearing,
    Performed,
    Playing,
    Sounded,
    Staged,
    Take,
)

PAID = (
    record.LineSpoken,
    record.LineAgain,
    record.LineFailed,
    record.LineLost,
    record.TakeKept,
    record.ToolTurn,
    record.Transcribed,
)
"""Facts that carry a usage; each response stands in one of them only."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One usage and what it cost: a line, or an attempt at one that failed."""

    player: str
    line: str
    cost: Cost


def fold(journal: Sequence[record.Record]) -> Take:
    """Fold a journal into the take that it tells of; one that was cut short ended as ``interrupted``.

    Raises:
        TakeError: The journal has no beginning.
    """
    began = beginning(journal)
    ends = (fact for fact in reversed(journal) if isinstance(fact, record.TakeEnded | record.TakeResumed))
    end = fact if isinstance(fact := next(ends, None), record.TakeEnded) else None
    billed = bills(journal)
    lines = _lines(journal, billed)
    effects = [fact for fact in kept(journal) if isinstance(fact, record.SoundPlayed) and fact.kind == "sfx"]
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
        cues=tuple(Cued(cue=fact.cue, at_s=fact.at_s) for fact in journal if isinstance(fact, record.CueStarted)),
        usage=whole.tokens,
        cost=_costs(whole),
        warnings=(*_warnings(journal), *_outdated(lines)),
    )


def kept(journal: Sequence[record.Record]) -> list[record.LineSpoken | record.SoundPlayed]:
    """Return the lines and effects that are part of the take: none that was dropped since."""
    dropped: set[str] = set()
    found: list[record.LineSpoken | record.SoundPlayed] = []
    for fact in reversed(journal):
        if isinstance(fact, record.LineDropped):
            dropped.add(fact.line)
        elif isinstance(fact, record.LineSpoken):
            found += [fact] * (fact.line not in dropped)
        elif isinstance(fact, record.SoundPlayed):
            found += [fact] * (fact.sound not in dropped)
    return found[::-1]


def bills(journal: Sequence[record.Record]) -> tuple[Bill, ...]:
    """Return what each response cost, each counted once, in the order of the journal."""
    return tuple(bill for _, bill in _billed(journal))


def _billed(journal: Sequence[record.Record]) -> Iterable[tuple[record.Record, Bill]]:
    """Yield each fact that carries a usage, and what it cost at the price of the model that answered."""
    roles: dict[str, record.Role] = {}
    for fact in journal:
        match fact:
            case record.TakeBegan() | record.TakeResumed():
                roles |= {role.name: role for role in fact.roles}
            case record.ModelNamed() if role := roles.get(fact.player):
                roles[fact.player] = role.model_copy(update={"model": fact.model})
            case _ if isinstance(fact, PAID) and (role := roles[fact.player]).human is None:
                model = fact.model if isinstance(fact, record.Transcribed) else role.model
                yield fact, Bill(fact.player, fact.line, price(fact.usage, model, role.prices))


def _lines(journal: Sequence[record.Record], billed: Iterable[Bill]) -> tuple[Performed, ...]:
    heard = _heard(journal)
    called: dict[str, list[Called]] = {}
    others: dict[str, dict[int, Alternative]] = {}
    settled: dict[str, int] = {}
    broken: dict[str, int] = {}
    for fact in journal:
        if isinstance(fact, record.ToolCalled):
            given = fact.model_dump(include={"tool", "arguments", "output", "failed", "at_s", "took_s"})
            called.setdefault(fact.line, []).append(Called(**given))
        elif isinstance(fact, record.TakeKept):
            facts = fact.model_dump(include={"take", "said", "file", "sha256", "samples", "usage", "problem"})
            others.setdefault(fact.line, {})[fact.take] = Alternative(**facts, ended=fact.status)
            settled[fact.line] = len(called.get(fact.line, ()))
        elif isinstance(fact, record.LineAgain) and fact.interrupted:
            broken[fact.line] = broken.get(fact.line, 0) + 1
            del called.setdefault(fact.line, [])[settled.get(fact.line, 0) :]
        elif isinstance(fact, record.LineDropped):
            others.pop(fact.line, None)
            settled.pop(fact.line, None)
    failed = _attempts(journal)
    costs: dict[str, list[Cost]] = {}
    for bill in billed:
        costs.setdefault(bill.line, []).append(bill.cost)
    spoken = [fact for fact in kept(journal) if isinstance(fact, record.LineSpoken)]
    return tuple(
        _line(
            fact,
            tuple(_hearing(name, heard.get((fact.line, name))) for name in fact.hearers),
            tuple(called.get(fact.line, ())),
            tuple(other for take, other in sorted(others.get(fact.line, {}).items()) if take != fact.take),
            tuple(failed.get(fact.line, ())),
            broken.get(fact.line, 0),
            _sum(costs.get(fact.line, ())),
        )
        for fact in sorted(spoken, key=lambda fact: fact.number)
    )


def _attempts(journal: Sequence[record.Record]) -> dict[str, list[Attempt]]:
    """Return attempts that failed, by line."""
    failed: dict[str, list[Attempt]] = {}
    for fact, bill in _billed(journal):
        if isinstance(fact, record.LineAgain):
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


def _heard(journal: Sequence[record.Record]) -> dict[tuple[str, str], record.LineHeard]:
    return {(fact.line, fact.hearer): fact for fact in journal if isinstance(fact, record.LineHeard)}


def _sounds(journal: Sequence[record.Record], end: int) -> tuple[Sounded, ...]:
    heard = _heard(journal)
    ends = {fact.sound: fact.at_samples for fact in journal if isinstance(fact, record.BedEnded)}
    return tuple(
        Sounded(
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
        for fact in kept(journal)
        if isinstance(fact, record.SoundPlayed)
    )


def _line(
    fact: record.LineSpoken,
    hearers: tuple[Hearing, ...],
    calls: tuple[Called, ...],
    others: tuple[Alternative, ...],
    failed: tuple[Attempt, ...],
    broken: int,
    cost: Cost,
) -> Performed:
    return Performed(
        id=fact.line,
        number=fact.number,
        player=fact.player,
        asked=fact.asked,
        direction=fact.direction,
        scripted=fact.scripted,
        human=fact.human,
        said=fact.said,
        offset_s=fact.offset_samples / fact.rate,
        offset_samples=fact.offset_samples,
        duration_s=fact.samples / fact.rate,
        samples=fact.samples,
        first_audio_s=fact.first_audio_s,
        first_words_s=fact.first_words_s,
        took_s=fact.took_s,
        hearers=hearers,
        calls=calls,
        take=fact.take,
        alternatives=others,
        former=fact.former,
        outdated=fact.outdated,
        usage=cost.tokens,
        cost=_costs(cost),
        file=fact.file,
        sha256=fact.sha256,
        response=fact.response,
        attempts=fact.attempts + broken,
        failed_attempts=failed,
        ended=fact.status,
        reason=fact.reason,
        problem=fact.problem,
        written=fact.written,
        commentary=fact.commentary,
        commentary_s=fact.commentary_s,
    )


def _hearing(name: str, fact: record.LineHeard | None) -> Hearing:
    if fact is None:
        return Hearing(player=name, heard_at_s=None, took_s=None, sha256=None)
    return Hearing(player=name, heard_at_s=fact.at_s, took_s=fact.took_s, sha256=fact.sha256)


def _player(
    role: record.Role, journal: Sequence[record.Record], lines: Sequence[Performed], billed: Iterable[Bill]
) -> Playing:
    openings = [fact for fact in journal if isinstance(fact, record.PlayerOpened) and fact.player == role.name]
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


def _named(player: str, journal: Sequence[record.Record]) -> str:
    """Return the model that a player's server says it is, where it is not the one asked for."""
    named = [fact.model for fact in journal if isinstance(fact, record.ModelNamed) and fact.player == player]
    return named[-1] if named else ""


def _is_lost(player: str, journal: Sequence[record.Record]) -> bool:
    """Tell whether a player was lost, and not opened again."""
    lost = False
    for fact in journal:
        match fact:
            case record.PlayerOpened() if fact.player == player:
                lost = False
            case record.PlayerLost() if fact.player == player:
                lost = True
            case record.LineMissed() if fact.hearer == player:
                lost |= fact.lost
            case _:
                pass
    return lost


def _warnings(journal: Sequence[record.Record]) -> Iterable[str]:
    for fact in journal:
        match fact:
            case record.Warned():
                yield fact.text
            case record.LineMissed():
                yield fact.problem
            case record.OpeningRefused():
                yield f"{fact.problem}; waited {fact.wait_s:.1f} s"
            case record.TakeResumed():
                yield f"the take was stopped, and resumed at {fact.started}"
            case record.LineDropped():
                yield f"{fact.line} was dropped: {fact.problem}"
            case record.LineAgain() if fact.interrupted:
                kept_in = f"; the first attempt is kept in {fact.file}" if fact.file else ""
                yield f"line {fact.line}, player {fact.player}: {fact.problem}, and it was performed again{kept_in}"
            case record.LineAgain():
                yield f"line {fact.line}, player {fact.player}: {fact.problem}; asked again after {fact.wait_s:.1f} s"
            case record.PlayerLost():
                yield f"{fact.problem}; the player is lost"
            case record.LineLost():
                yield f"{fact.problem}; the scene went on without the line"
            case record.ToolCalled() if fact.failed:
                yield f"line {fact.line}, player {fact.player}: tool {fact.tool} failed: {fact.output}"
            case record.LineSpoken() if fact.status not in ("completed", "failed") and fact.reason not in (
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
