"""What a performance owns, and how its parts work together for each thing that happens.

`EventLog` writes, `Timeline` lays, `Budget` counts, `FanOut` sends, the schedule decides. `Production` calls them in
one order: what has happened is laid and written down before it is sent to anybody or starts a cue.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio

from tau_stage.audio import RATE, Pcm, Playable, Stereo
from tau_stage.devices import Playback
from tau_stage.errors import BudgetExceeded, SessionError, Stopped, unwrapped
from tau_stage.gate import Reservation
from tau_stage.protocol import Response, Usage
from tau_stage.scene import LineKey, LinePlan, Plan, SoundPlan, key_name
from tau_stage.signals import Signal
from tau_stage.stage import schedule
from tau_stage.stage.budget import NOTHING, OF_THE_BUDGET, Budget
from tau_stage.stage.context import Calls, HistoryItem, LineItem
from tau_stage.stage.events import EventLog, HearingBegan
from tau_stage.stage.fan_out import FanOut, Heard, HeardClip, HearingNews, LineStream, Sent, StreamRefused
from tau_stage.stage.line import RESULT_FACTS, LineResult, LineTake
from tau_stage.stage.scene_tools import has_failed
from tau_stage.stage.timeline import Timeline
from tau_stage.take import PAID, Alternative, Called, Performed, ReusedLines, TakeFolder, standing
from tau_stage.take import records as record
from tau_stage.text import with_clause

BY_FORECAST = "player {player}: its actual cost is unknown; the budget uses the forecast instead"


class Presence:
    """Knows who is there, and sends them what they hear.

    Attributes:
        fan_out: Lets players hear each other, while the scene is performed.
        present: Players with a session.
        lost: Players whose connection was cut, or who fell silent, and why.
        listening: Who listens at an open microphone, by the person it hears without being told.
        next_speakers: Who speaks after the step under way, as far as it is known.
    """

    fan_out: FanOut

    def __init__(
        self, plan: Plan, log: EventLog, changed: Signal, record_fact: Callable[[record.Record], None]
    ) -> None:
        self.present = frozenset(player.name for player in plan.models)
        self.lost: dict[str, SessionError] = {}
        self.listening: dict[str, str] = {}
        self.next_speakers: tuple[str, ...] = ()
        self._behind: dict[str, set[str]] = {name: set() for name in self.present}
        self._awaits_failure = frozenset(name for name in self.present if schedule.awaits_failure(plan, name))
        self._reading = frozenset(player.name for player in plan.models if player.hears_as == "text")
        self._log = log
        self._changed = changed
        self._record_fact = record_fact

    def send(self, clip: HeardClip, hearers: tuple[str, ...]) -> None:
        """Send a clip to those of its hearers who are there, the next speaker first."""
        present = self._there(hearers)
        for name in present:
            self._behind[name].add(clip.line)
            self._log.publish(HearingBegan(name, clip.line))
        self.fan_out.send_to(clip, present, self.next_speakers)

    def begin_stream(self, line: LinePlan) -> LineStream:
        """Begin to send a line to those who hear it while it is spoken."""
        return self.fan_out.begin_stream(line.id, str(line.number), self._there(line.hearers))

    def _there(self, hearers: Iterable[str]) -> list[str]:
        there = self.present - self.lost.keys()
        return [name for name in hearers if name in there]

    def behind(self, players: Iterable[str]) -> list[str]:
        """Return who was not sent everything yet; or has not acknowledged it, where the scene waits for failures."""
        return [*filter(self._behind.get, players)]

    def reported(self, news: HearingNews) -> None:
        """Note that a player was sent a clip, has heard it, or has not."""
        if isinstance(news, StreamRefused):
            self._log.warn_once(str(news), news.hearer)
            return
        clip = news.clip
        if isinstance(news, Sent):
            if news.hearer not in self._awaits_failure:
                self._behind[news.hearer].discard(clip.line)
                self._changed.notify()
            return
        self._behind[news.hearer].discard(clip.line)
        if isinstance(news, Heard):
            fact = record.LineHeard(
                line=clip.line, hearer=news.hearer, sha256=clip.audio.sha256, took_s=round(news.took_s, 6), by=news.by
            )
            self._log.append(fact)
            self._changed.notify()
            return
        if news.lost:
            self.lost[news.hearer] = news.why
            self._behind[news.hearer].clear()
        clause = "the player did not hear the line" + (", and its connection is lost" if news.lost else "")
        problem = with_clause(str(news.why), clause)
        self._record_fact(record.LineMissed(line=clip.line, hearer=news.hearer, problem=problem, lost=news.lost))

    def mark_lost(self, player: str, why: SessionError) -> None:
        """Note that a player's connection was cut, or that it fell silent."""
        if player not in self.lost:
            why = self.lost[player] = why.about(player=player)
            self._behind[player].clear()
            self._log.append(record.PlayerLost(player=player, line=why.line, problem=str(why)))

    def mark_reconnected(self, player: str, heard: Mapping[str, float]) -> None:
        """Note that a player that was lost is there again, and what it has heard anew, in how many seconds each."""
        del self.lost[player]
        self._behind[player].clear()
        self.record_heard(player, heard)
        self._changed.notify()

    def record_heard(self, player: str, heard: Mapping[str, float]) -> None:
        """Note what a player was told that it had not heard before, or otherwise, in how many seconds each."""
        if not heard:
            return
        journal = standing(self._log.records)
        heard_before = record.of_type(journal, record.LineHeard)
        known = {fact.line: fact.sha256 for fact in heard_before if fact.hearer == player}
        laid = record.LineSpoken | record.SoundPlayed
        sounds = {schedule.key_of(fact): fact for fact in journal if isinstance(fact, laid)}
        for name, took_s in heard.items():
            sound = sounds[name]
            if known.get(name) != sound.sha256:
                by = "text" if player in self._reading or not sound.samples else "create_audio"
                facts = {"line": name, "hearer": player, "sha256": sound.sha256, "took_s": round(took_s, 6), "by": by}
                self._log.append(record.LineHeard.model_validate(facts))


class Production:
    """Coordinates what happens in one performance, or in a take that goes on ``again``.

    Attributes:
        state: How far the performance has come.
        history: What was said, played and given, so that a player that is opened again can be told.
        stop: Set when somebody wants the performance to stop after the line under way.
        known_answers: What tools have answered in lines that were broken off, by player, line, tool and arguments.
        ended_takes: Takes of lines that were broken off, by line, which had ended and are not performed again.
        calling: Lines under way that have called tools.
        beds: What lies beneath the scene now, by its id.
        keys: What each line depends on, by its id in the plan.
        reservation: Dollars that were reserved at the gate, where it has a budget.
    """

    def __init__(
        self,
        plan: Plan,
        folder: TakeFolder,
        log: EventLog,
        budget: Budget,
        playback: Playback,
        stop: anyio.Event | None,
        keys: Mapping[str, LineKey],
        *,
        again: bool,
    ) -> None:
        self.plan = plan
        self.keys = keys
        self.folder = folder
        self.log = log
        self.budget = budget
        self.playback = playback
        self.timeline = Timeline(plan, folder, again=again)
        self.state = schedule.initial_state(plan)
        self.changed = Signal()
        self.presence = Presence(plan, log, self.changed, self.record_fact)
        self.history: list[HistoryItem] = []
        self.stop = stop or anyio.Event()
        self.known_answers: dict[tuple[str, str, str, str], list[str]] = {}
        self.ended_takes: dict[str, list[record.TakeKept]] = {}
        self.beds: dict[str, SoundPlan] = {}
        self.reservation: Reservation | None = None
        self._number = 0
        self._numbers: dict[str, int] = {}
        self._done: set[str] = set()
        self._speaking: dict[str, str] = {}
        self._calls: dict[str, list[record.ToolCalled]] = {}
        self.calling: set[str] = set()

    def append(self, fact: record.Record) -> None:
        """Write a record down, once its cost is counted; tell of a budget that is nearly used, or goes by forecasts."""
        budget = self.budget
        if isinstance(fact, PAID) and budget.goes_by_forecast(fact):
            self.log.warn_once(BY_FORECAST.format(player=fact.player), fact.player, fact.line)
        budget.apply(fact)
        if isinstance(fact, PAID) and budget.near_limit:
            share = f"{budget.spent / budget.limit:.0%}" if budget.limit else ""
            text = f"line {fact.line}: {share} {OF_THE_BUDGET} of ${budget.limit} has been used"
            self.log.append(record.Warned(line=fact.line, text=text))
        if self.reservation:
            self.reservation.spend(budget.spent)
        self.log.append(fact)

    async def reserve(self, *lines: tuple[str, str]) -> None:
        """Let lines begin, all or none, by id and player: the budgets of the scene and of the gate have room for them.

        Raises:
            BudgetExceeded: One has not.
        """
        self.budget.reserve(*lines)
        if self.reservation and lines:
            try:
                await self.reservation.require(self.budget.committed, lines[0][0])
            except BudgetExceeded:
                for line, _ in lines:
                    self.budget.release(line)
                raise

    async def check(self, line: str, player: str) -> None:
        """Tell by a ``BudgetExceeded`` that a line may not begin that nothing is kept for."""
        self.budget.check(line, player)
        if self.reservation:
            await self.reservation.require(self.budget.committed + self.budget.expected(line, player), line)

    def record_fact(self, fact: record.Record) -> None:
        """Write a record down, and let the schedule know of it: cues may start, or a LimitReached ends the scene."""
        self.append(fact)
        self.follow(fact)

    def follow(self, fact: record.Record) -> None:
        """Let the schedule know of a record that is written down: cues may start."""
        self.state = schedule.apply(self.plan, self.state, fact)
        self.start_cues()

    def start_cues(self) -> None:
        """Start the cues that wait for nothing more."""
        while start := schedule.next_cue(self.plan, self.state):
            self._start(start)
        self.changed.notify()

    def _start(self, start: record.CueStarted) -> None:
        state = schedule.apply(self.plan, self.state, start)  # a limit is met before anything is written down
        self.log.append(start)
        self.state = state

    def pass_silence(self, now: float) -> None:
        """Start the cues that have waited long enough for a silence at an open microphone."""
        for start in schedule.cues_of_silence(self.plan, self.state, now):
            self._start(start)
            self.changed.notify()

    # ---- lines

    def begin_line(self, line: LinePlan) -> LinePlan:
        """Begin a line: it gets its number in the take."""
        number = self._numbers.pop(line.id, 0) or self._number + 1
        self._number = max(number, self._number)
        self._speaking[line.player] = line.id
        self.log.append(record.LineBegan(line=line.id, player=line.player))
        return replace(line, number=number)

    def number_lines(self, lines: Sequence[LinePlan], came: Mapping[str, record.Record]) -> None:
        """Number lines that begin at once in the order of the scene, not by chance; some may be there already."""
        known = (
            fact.number - n for n, line in enumerate(lines) if isinstance(fact := came.get(line.id), record.LineSpoken)
        )
        first = next(known, self._number + 1)
        self._numbers = {line.id: first + ordinal for ordinal, line in enumerate(lines)}

    def answered_by(self, player: str, model: str) -> None:
        """Note that a player's server names another model than was asked for, if it does: that one's price counts."""
        if model and self.budget.answering.get(player) != model:
            self.append(record.ModelNamed(player=player, asked=self.plan.player(player).model, model=model))

    def tool_turn(self, line: LinePlan, response: Response) -> None:
        """Note that a response called tools: pay for it; the line goes on."""
        self.calling.add(line.id)
        self.append(record.ToolTurn(line=line.id, player=line.player, response=response.id, usage=response.usage))

    def skip_line(self, line: str, player: str, problem: str, usage: Usage = NOTHING) -> None:
        """Note that a line could not be had and the scene goes on; pay what it has cost."""
        self.record_fact(record.LineLost(line=line, player=player, problem=problem, usage=usage))

    def commit_line(
        self,
        line: LinePlan,
        audio: Pcm,
        said: str,
        at: int,
        file: str | None,
        tried: LineTake | None = None,
    ) -> None:
        """Commit a finished line: lay it, write it down, let it be heard, tell the cues.

        ``audio`` is what is heard of it, from the sample ``at`` of the timeline on; ``tried`` is which take of
        a model it is, or None where a person has said it.
        """
        delivered: dict[str, Any] = {}
        if tried:
            delivered = {**_delivered(tried.delivery, tried.took_s), "human": False, "take": tried.number}
            if (line.id, tried.number) in self.budget.paid_takes:
                delivered["usage"] = NOTHING
        self.calling.discard(line.id)
        self.timeline.lay_line(line, audio, at)
        hearers = tuple(name for name in line.hearers if name in self.presence.present) if audio or said else ()
        fact = spoken(line, audio, said, at, file, hearers).model_copy(update={**delivered, **self._keys_of(line)})
        self.append(fact)
        self._said(fact, line, audio, self._calls.pop(line.id, ()))

    def _keys_of(self, line: LinePlan) -> dict[str, str]:
        found = self.keys.get(key_name(line.id, self.keys))
        return {"key": found.own, "context_key": found.context} if found else {}

    def _said(self, fact: record.LineSpoken, line: LinePlan, audio: Pcm, calls: Calls) -> None:
        """Let a line be heard that is written down; beds end with it, and cues are told."""
        self._keep(fact, line, calls)
        clip = HeardClip(line.id, str(line.number), line.player, audio, fact.said)
        self.presence.send(clip, fact.hearers)
        self.end_beds()
        self.follow(fact)

    def _keep(self, fact: record.LineSpoken, line: LinePlan, calls: Calls) -> None:
        path = None if fact.file is None else self.folder.path / fact.file
        listening = self.presence.listening.get(line.player)
        told = frozenset(filter(None, (*fact.hearers, listening)))
        self.history.append(LineItem(line, fact.said, path, told, calls))
        self._done.add(line.id)

    def restore_line(self, fact: record.LineSpoken, line: LinePlan, audio: Pcm, calls: Calls) -> None:
        """Lay a line as it is written down already; nobody hears it."""
        self._number = max(self._number, fact.number)
        self.timeline.lay_line(line, audio, fact.offset_samples)
        self._keep(fact, replace(line, number=fact.number), calls)

    def take_ended(self, line: LinePlan, take: int, delivery: LineResult, file: str | None, took_s: float) -> None:
        """Note that one of several takes has ended: pay for it, and write it down."""
        response = delivery.response
        facts: dict[str, Any] = {"said": response.transcript, "file": file, "sha256": response.audio.sha256}
        facts |= {"samples": len(response.audio), **_delivered(delivery, took_s)}
        self.append(record.TakeKept(line=line.id, player=line.player, take=take, **facts))

    def reuse_take(self, line: LinePlan, other: Alternative, file: str | None) -> None:
        """Note that a take comes along with its line from a former take: nobody is paid."""
        told = other.model_dump(include={"take", "said", "sha256", "samples", "problem", "exact"})
        facts = {**told, "file": file, "response": "", "usage": Usage(), "status": other.ended}
        self.append(record.TakeKept(line=line.id, player=line.player, **facts))

    def _reuse_calls(self, line: LinePlan, calls: Iterable[Called]) -> None:
        for call in calls:
            made = {"player": line.player, "line": line.id, "tool": call.tool, "arguments": call.arguments}
            self.record_fact(record.ToolBegan(**made))
            self.record_fact(record.ToolCalled(**made, output=call.output, failed=call.failed, took_s=call.took_s))

    def reuse_line(
        self, line: LinePlan, audio: Pcm, at: int, file: str | None, former: Performed, take: ReusedLines
    ) -> None:
        """Take a line over from a former take: nobody is paid, and who was there then has heard it."""
        self._reuse_calls(line, former.calls)
        before, present = {hearing.player for hearing in former.hearers}, self.presence.present
        has_come = bool(audio or former.said)
        hearers = tuple(name for name in line.hearers if name in before or (name in present and has_come))
        for hearing in former.hearers:
            if hearing.player in hearers and hearing.player not in present and hearing.took_s is not None:
                told = hearing.model_dump(include={"sha256", "took_s", "by"})
                self.log.append(record.LineHeard(line=line.id, hearer=hearing.player, **told))
        self.timeline.lay_line(line, audio, at)
        heard_as = take.heard_otherwise(former, frozenset(self._done))
        fact = taken_over(line, audio, at, file, former, hearers, heard_as)
        self.append(fact)
        self._said(fact, line, audio, former.calls)

    # ---- what is put into conversations, effects

    def end_beds(self) -> None:
        """End the beds that lie until a line which is done."""
        for sound in [sound for sound in self.beds.values() if sound.until in self._done]:
            self.playback.end_bed(sound.stem)
            self.log.append(record.BedEnded(sound=sound.id, at_samples=self.end_bed(sound.id)))

    def end_bed(self, sound: str) -> int:
        """Let a bed end with what was heard last; the sample it ends at."""
        return self.timeline.end_bed(self.beds.pop(sound).stem)

    def play(self, sound: SoundPlan, audio: Playable, at: int) -> None:
        """Lay an effect or a bed, as loud as it is: a bed, where the next step begins."""
        at = self.lay_sound(sound, audio, at)
        if sound.kind == "bed":
            self.playback.begin_bed(sound.stem, audio.heard, at)
        else:
            self.playback.play(audio.heard, at)
        self.record_fact(played(sound, audio, at))
        self.presence.send(HeardClip(sound.id, sound.id, "", audio.heard, ""), sound.hearers)

    def lay_sound(self, sound: SoundPlan, audio: Playable, at: int) -> int:
        """Lay an effect or a bed; nobody hears it. Return the sample it begins at."""
        if sound.kind == "bed":
            at = self.timeline.begin_bed(sound.stem, audio.laid)
            self.beds[sound.id] = sound
        else:
            self.timeline.lay(sound.stem, audio.laid, at, sound.pause_s)
        self.history.append(sound)
        return at

    # ---- tools

    def tool_called(self, player: str, tool: str, arguments: str, output: str | None, took_s: float) -> str | None:
        """Note that a model calls a tool, or has its output. Return what came of the same call before a break."""
        line = self._speaking.get(player, "")
        facts = {"player": player, "line": line, "tool": tool, "arguments": arguments}
        if output is None:
            self.record_fact(record.ToolBegan(**facts))
            before = self.known_answers.get((player, line, tool, arguments))
            return before.pop(0) if before else None
        fact = record.ToolCalled(**facts, output=output, failed=has_failed(output), took_s=round(took_s, 6))
        self._calls.setdefault(line, []).append(fact)
        self.record_fact(fact)
        return None


def spoken(
    line: LinePlan, audio: Pcm, said: str, at: int, file: str | None, hearers: tuple[str, ...]
) -> record.LineSpoken:
    """Record a line of a person; ``audio`` is what is heard of it, from the sample ``at`` of the timeline on."""
    return record.LineSpoken(
        line=line.id,
        number=line.number,
        player=line.player,
        asked=line.words,
        direction=line.direction,
        said=said,
        status="completed",
        file=file,
        sha256=audio.sha256,
        samples=len(audio),
        rate=RATE,
        offset_samples=at,
        scripted=not line.improvised,
        human=True,
        remembered=not line.apart,
        hearers=hearers,
        response="",
        usage=Usage(),
    )


def _delivered(delivery: LineResult, took_s: float) -> dict[str, Any]:
    """Return what a record tells of a response, and of what it took to get it."""
    response = delivery.response
    return {
        **{name: getattr(delivery, name) for name in RESULT_FACTS},
        "status": response.status,
        "first_audio_s": response.first_audio_s,
        "took_s": round(took_s, 6),
        "response": response.id,
        "usage": response.usage,
    }


def taken_over(
    line: LinePlan,
    audio: Pcm,
    at: int,
    file: str | None,
    former: Performed,
    hearers: tuple[str, ...],
    heard_as: Mapping[str, str],
) -> record.LineSpoken:
    """Record a line of a former take; ``heard_as`` are hashes of lines that its player had heard otherwise, by id."""
    told = {"asked", "direction", "scripted", "human", "take", "reason", "first_audio_s", "first_words_s", "took_s",
            "response", "attempts", "problem", "written", "commentary", "commentary_s", "key",
            "context_key", "word_times", "visemes",
            "exact"}  # fmt: skip
    facts = {
        **{name: getattr(former, name) for name in told},
        "status": former.ended,
        "former": True,
        "heard_as": dict(heard_as),
    }
    return spoken(line, audio, former.said, at, file, hearers).model_copy(update=facts)


def played(sound: SoundPlan, audio: Playable, at: int) -> record.SoundPlayed:
    """Record an effect or a bed, as loud as it is, from a sample of the timeline on."""
    return record.SoundPlayed(
        sound=sound.id,
        kind=sound.kind,
        source=sound.file,
        stem=sound.stem,
        gain_db=sound.gain_db,
        offset_samples=at,
        samples=len(audio.heard),
        sha256=audio.heard.sha256,
        stereo_sha256=audio.laid.sha256 if isinstance(audio.laid, Stereo) else "",
        hearers=sound.hearers,
    )


@asynccontextmanager
async def cancel_on_stop(stop: anyio.Event) -> AsyncIterator[None]:
    """Cancel the enclosed block as soon as a graceful stop is requested; a ``Stopped`` says that it was left."""
    done = False
    with unwrapped():
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await stop.wait()
                group.cancel_scope.cancel()

            group.start_soon(watch)
            yield
            done = True
            group.cancel_scope.cancel()
    if not done:
        raise Stopped
