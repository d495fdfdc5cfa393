"""What a performance owns, and how its parts work together for each thing that happens.

`EventLog` writes, `Timeline` lays, `Budget` counts, `FanOut` sends, the schedule decides. `Production` calls them in
one order: what has happened is laid and written down before it is sent to anybody or starts a cue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import anyio

from tau_stage.audio import RATE, Pcm, Playable, Stereo
from tau_stage.devices import Playback
from tau_stage.errors import SessionError, Stopped, unwrapped
from tau_stage.protocol import Response, Usage
from tau_stage.scene import CuePlan, LinePlan, Plan, SoundPlan
from tau_stage.signals import Signal
from tau_stage.stage import schedule
from tau_stage.stage.budget import Budget
from tau_stage.stage.context import HistoryItem, LineItem, SoundItem, ToolExchange
from tau_stage.stage.events import EventLog, HearingBegan
from tau_stage.stage.fan_out import ClipSink, Heard, HeardClip, NotHeard
from tau_stage.stage.line import LineResult, LineTake, trouble_in_words
from tau_stage.stage.scene_tools import has_failed
from tau_stage.stage.schedule import ScheduleState, Trigger
from tau_stage.stage.timeline import Timeline
from tau_stage.take import Alternative, LineSpoken, Performed, ReusedLines, SoundPlayed, TakeFolder, TakeKept
from tau_stage.take import records as record
from tau_stage.text import with_clause

BY_FORECAST = "player {player}: what it costs is not known; the budget counts what the forecast says"


class Presence:
    """Knows who is there, and sends them what they hear.

    Args:
        players: Who has a session.
        log: Where everything is written down.
        changed: Notified when something has changed.
        apply: Lets the schedule know of a record.

    Attributes:
        fan_out: Lets players hear each other, while the scene is performed.
        present: Players with a session.
        lost: Players whose connection was cut, or who fell silent, and why.
        unheard: How many clips each player was sent and has not acknowledged.
        listening: Who listens at an open microphone, by the person it hears without being told.
        next_speaker: Who speaks after the step under way, as far as it is known.
    """

    fan_out: ClipSink

    def __init__(
        self, players: Iterable[str], log: EventLog, changed: Signal, apply: Callable[[record.Record], None]
    ) -> None:
        self.present = frozenset(players)
        self.lost: dict[str, SessionError] = {}
        self.unheard: Counter[str] = Counter()
        self.listening: dict[str, str] = {}
        self.next_speaker: str | None = None
        self._log = log
        self._changed = changed
        self._apply = apply

    def send(self, clip: HeardClip, hearers: tuple[str, ...]) -> None:
        """Send a clip to those of its hearers who are there, the next speaker first."""
        present = [name for name in hearers if name in self.present and name not in self.lost]
        self.unheard.update(present)
        for name in present:
            self._log.publish(HearingBegan(name, clip.line))
        self.fan_out.send_to(clip, present, self.next_speaker)

    def reported(self, news: Heard | NotHeard) -> None:
        """Note that a player has heard a clip, or has not."""
        clip = news.clip
        self.unheard[news.hearer] -= 1
        if isinstance(news, Heard):
            heard = {"line": clip.line, "hearer": news.hearer, "sha256": clip.sha256, "took_s": round(news.took_s, 6)}
            self._log.append(record.LineHeard.model_validate(heard))
            self._changed.notify()
            return
        if news.lost:
            self.lost[news.hearer] = news.why
            self.unheard[news.hearer] = 0
        clause = "the line was not heard" + (", and the player is lost" if news.lost else "")
        problem = with_clause(str(news.why), clause)
        fact = record.LineMissed(line=clip.line, hearer=news.hearer, problem=problem, lost=news.lost)
        self._log.append(fact)
        self._apply(fact)

    def mark_lost(self, player: str, why: SessionError) -> None:
        """Note that a player's connection was cut, or that it fell silent."""
        if player not in self.lost:
            self.lost[player] = why
            self.unheard[player] = 0
            self._log.append(record.PlayerLost(player=player, line=why.line, problem=str(why)))

    def mark_reconnected(self, player: str, heard: Mapping[str, float]) -> None:
        """Note that a player that was lost is there again, and was told what it missed.

        Args:
            player: Who.
            heard: The lines and effects that it has heard anew, and how many seconds each took.
        """
        del self.lost[player]
        self.unheard[player] = 0
        self.record_heard(player, heard)
        self._changed.notify()

    def record_heard(self, player: str, heard: Mapping[str, float]) -> None:
        """Note that a player was told what it had not heard before, or had heard otherwise.

        Args:
            player: Who.
            heard: The lines and effects, and how many seconds each took.
        """
        journal = self._log.journal.records
        known = {
            fact.line: fact.sha256 for fact in journal if isinstance(fact, record.LineHeard) and fact.hearer == player
        }
        sha256 = {fact.line: fact.sha256 for fact in journal if isinstance(fact, record.LineSpoken)}
        sha256 |= {fact.sound: fact.sha256 for fact in journal if isinstance(fact, record.SoundPlayed)}
        for name, took_s in heard.items():
            if known.get(name) != sha256[name]:
                fact = record.LineHeard(line=name, hearer=player, sha256=sha256[name], took_s=round(took_s, 6))
                self._log.append(fact)


class Production:
    """Coordinates what happens in one performance.

    Args:
        plan: The scene, resolved.
        folder: The take's.
        log: Where everything is written down.
        budget: Knows what may still be spent.
        playback: Plays it on a loudspeaker, if there is one.
        stop: Set when somebody wants the performance to stop after the line under way.
        again: Whether a take goes on.

    Attributes:
        state: How far the performance has come.
        changed: Notified when something has changed.
        presence: Knows who is there, and sends them what they hear.
        history: What was said, played and given, so that a player that is opened again can be told.
        stop: Set when somebody wants the performance to stop after the line under way.
        known_answers: What tools have answered in lines that were broken off, by player, line, tool and arguments.
        ended_takes: Takes of lines that were broken off, by line, which had ended and are not performed again.
        paid: Dollars that were paid for takes of lines before the performance was stopped, by line and take.
    """

    def __init__(
        self,
        plan: Plan,
        folder: TakeFolder,
        log: EventLog,
        budget: Budget,
        playback: Playback | None = None,
        stop: anyio.Event | None = None,
        *,
        again: bool = False,
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.log = log
        self.budget = budget
        self.playback = playback or Playback()
        self.timeline = Timeline(plan, folder, again=again)
        self.state = schedule.initial_state(plan)
        self.changed = Signal()
        self.presence = Presence((player.name for player in plan.models), log, self.changed, self.apply)
        self.history: list[HistoryItem] = []
        self.stop = stop or anyio.Event()
        self.known_answers: dict[tuple[str, str, str, str], list[str]] = {}
        self.ended_takes: dict[str, list[record.TakeKept]] = {}
        self.paid: dict[tuple[str, int], Decimal] = {}
        self._number = 0
        self._numbers: dict[str, int] = {}
        self._done: set[str] = set()
        self._speaking: dict[str, str] = {}
        self._calls: dict[str, list[ToolExchange]] = {}
        self._tools_cost: dict[str, Decimal] = {}
        self._beds: dict[str, list[SoundPlan]] = {}

    def apply(self, fact: record.Record) -> None:
        """Let the schedule know of a record: cues may start."""
        self._advance(schedule.apply(self.plan, self.state, fact))

    def trigger(self, news: Trigger) -> None:
        """Let the schedule know of something that no record tells of yet: cues may start."""
        self._advance(schedule.react(self.plan, self.state, news))

    def _advance(self, state: ScheduleState) -> None:
        before, self.state = self.state.started, state
        self._write_cues(before)
        self.changed.notify()

    def pass_silence(self, now: float) -> None:
        """Start the cues that have waited long enough for a silence at an open microphone."""
        for cue in schedule.cues_of_silence(self.plan, self.state, now):
            self._advance(schedule.apply(self.plan, self.state, _cue_started(cue)))

    def _write_cues(self, before: Mapping[str, int]) -> None:
        for cue in self.plan.cues:
            if self.state.started.get(cue.id, 0) > before.get(cue.id, 0):
                self.log.append(_cue_started(cue))

    # ---- lines

    def has_called(self, line: str) -> bool:
        """Tell whether a line that is being spoken has called tools."""
        return line in self._tools_cost

    def begin_line(self, line: LinePlan, number: int = 0) -> LinePlan:
        """Begin a line: it gets its number in the take, or has one."""
        number = number or self._numbers.pop(line.id, 0) or self._number + 1
        self._number = max(number, self._number)
        self._speaking[line.player] = line.id
        self.log.append(record.LineBegan(line=line.id, player=line.player))
        return replace(line, number=number)

    def number_lines(self, lines: Sequence[LinePlan]) -> None:
        """Number lines that begin at once in the order of the scene, not in that of chance."""
        self._numbers = {line.id: self._number + ordinal for ordinal, line in enumerate(lines, 1)}

    def charge(self, line: str, player: str, usage: Usage, model: str | None = None) -> Decimal:
        """Count what something has cost; a budget that goes by the forecast, or is nearly used, is told of once."""
        if model is None and self.budget.is_first_estimate(player, usage):
            self.log.append(record.Warned(player=player, line=line, text=BY_FORECAST.format(player=player)))
        cost = self.budget.charge(line, player, usage, model)
        self._warn_of_budget(line)
        return cost

    def answered_by(self, player: str, model: str) -> None:
        """Note that a player's server names another model than was asked for, if it does: that one's price counts."""
        if model and self.budget.price_as(player, model):
            self.log.append(record.ModelNamed(player=player, asked=self.plan.player(player).model, model=model))

    def _warn_of_budget(self, line: str) -> None:
        if self.budget.near_limit and self.budget.limit is not None:
            share = self.budget.spent / self.budget.limit
            text = f"line {line}: {share:.0%} of the budget of ${self.budget.limit} is used"
            self.log.append(record.Warned(line=line, text=text))

    def retry_line(self, line: LinePlan, response: Response, trouble: str, wait_s: float, file: str | None) -> None:
        """Note that a line is asked for once more."""
        self.charge(line.id, line.player, response.usage)
        problem = trouble_in_words(response, trouble)
        if response.status != "completed":
            told = f": {response.message}" if response.message else ""
            ended = "failed" if response.status == "failed" else f"is {response.status}"
            problem = f"the response {ended} ({response.reason or trouble}){told}"
        self._asked_again(line, trouble, problem, wait_s, file, response.usage)

    def retry_lost_line(
        self, line: LinePlan, trouble: str, why: SessionError, wait_s: float, file: str | None, usage: Usage
    ) -> None:
        """Note that a line is asked for once more as its player was lost in it; often nobody knows what that cost."""
        self._pay_broken(line, usage)
        self._asked_again(line, trouble, why.what_happened(), wait_s, file, usage)

    def _pay_broken(self, line: LinePlan, usage: Usage) -> None:
        """Pay for what broke off; where nobody knows what it cost, as much as all of it was likely to."""
        if not usage.untold:
            self.charge(line.id, line.player, usage)
            return
        self.budget.charge_estimate(line.id, line.player, usage)
        self._warn_of_budget(line.id)

    def _asked_again(
        self, line: LinePlan, trouble: str, problem: str, wait_s: float, file: str | None, usage: Usage
    ) -> None:
        self.log.append(
            record.LineAgain(
                line=line.id,
                player=line.player,
                problem=problem,
                wait_s=wait_s,
                file=file,
                usage=usage,
                reason=trouble,
            )
        )

    def fail_line(self, line: LinePlan, problem: str, file: str | None, usage: Usage) -> None:
        """Note that a line will not be had: pay what it has cost, keep what sounded."""
        self.budget.release(line.id)
        self._pay_broken(line, usage)
        self.log.append(record.LineFailed(line=line.id, player=line.player, problem=problem, file=file, usage=usage))

    def tool_turn(self, line: LinePlan, response: Response) -> None:
        """Note that a response called tools: pay for it; the line goes on."""
        cost = self.charge(line.id, line.player, response.usage)
        self._tools_cost[line.id] = self._tools_cost.get(line.id, Decimal(0)) + cost
        self.log.append(record.ToolTurn(line=line.id, player=line.player, response=response.id, usage=response.usage))

    def transcribed(self, line: LinePlan, usage: Usage, listener: str, model: str) -> None:
        """Note that a person's words were written down; whoever listens is billed, unless time is what it pays for."""
        if usage.untold and self.budget.bills_time(listener):
            return
        self.charge(line.id, listener, usage, model)
        self.log.append(record.Transcribed(line=line.id, player=listener, model=model, usage=usage))

    def untranscribed(self, line: LinePlan, why: str) -> None:
        """Note that a person's words could not be written down."""
        hint = "name a model with transcription:, on Azure your deployment's"
        self.log.append(
            record.Warned(line=line.id, text=f"line {line.id}: its words were not written down: {why}; {hint}")
        )

    def skip_line(self, line: str, player: str, problem: str, usage: Usage | None = None) -> None:
        """Note that a line could not be had and the scene goes on; pay what it has cost."""
        self.budget.release(line)
        if usage:
            self.charge(line, player, usage)
        fact = record.LineLost(line=line, player=player, problem=problem, usage=usage or Usage())
        self.log.append(fact)
        self.apply(fact)

    def commit_line(
        self,
        line: LinePlan,
        audio: Pcm,
        said: str,
        at: int,
        file: str | None,
        *,
        delivery: LineResult | None = None,
        took_s: float = 0.0,
        tried: LineTake | None = None,
    ) -> None:
        """Commit a finished line: lay it, write it down, let it be heard, tell the cues.

        Args:
            line: As it was performed.
            audio: What is heard of it.
            said: Its words.
            at: The sample of the timeline it begins at.
            file: Its file in the take.
            delivery: How a model delivered it; None for a person.
            took_s: Seconds from the request to its end.
            tried: Which of its takes it is, and whether that is paid for.
        """
        take, took_s, paid = (tried.number, tried.took_s, tried.paid) if tried else (1, took_s, None)
        if delivery:
            cost = self.charge(line.id, line.player, delivery.response.usage) if paid is None else paid
            cost += self._tools_cost.pop(line.id, Decimal(0))
            if delivery.problem:
                self.budget.release(line.id)
            else:
                self.budget.reconcile(line.id, line.player, cost)
        self.timeline.lay_line(line, audio, at)
        hearers = tuple(name for name in line.hearers if name in self.presence.present) if audio or said else ()
        fact = spoken(line, audio, said, at, file, hearers)
        if delivery:
            fact = delivered(fact, delivery, took_s, take)
        fact = fact if paid is None else fact.model_copy(update={"usage": Usage()})
        self.log.append(fact)
        self._said(fact, line, audio, hearers, self._calls.pop(line.id, ()))

    def _said(
        self, fact: LineSpoken, line: LinePlan, audio: Pcm, hearers: tuple[str, ...], calls: Iterable[ToolExchange]
    ) -> None:
        """Let a line be heard that is written down; beds end with it, and cues are told."""
        path = None if fact.file is None else self.folder.path / fact.file
        listening = self.presence.listening.get(line.player)
        told = frozenset((*hearers, listening) if listening else hearers)
        self.history.append(LineItem(line, fact.said, path, told, tuple(calls)))
        self.presence.send(HeardClip(line.id, str(line.number), line.player, audio, fact.said), hearers)
        self._end_beds(line.id)
        self._done.add(line.id)
        self.apply(fact)

    def take_ended(self, line: LinePlan, take: int, delivery: LineResult, file: str | None, took_s: float) -> Decimal:
        """Note that one of several takes has ended: pay for it, write it down, and return what it has cost."""
        cost = self.charge(line.id, line.player, delivery.response.usage)
        self.log.append(take_kept(line, take, delivery, file, took_s))
        return cost

    def reuse_take(self, line: LinePlan, other: Alternative, file: str | None) -> None:
        """Note that a take comes along with its line from a former take: nobody is paid."""
        self.log.append(former_take(line, other, file))

    def reuse_line(
        self, line: LinePlan, audio: Pcm, at: int, file: str | None, former: Performed, take: ReusedLines
    ) -> None:
        """Take a line over from a former take: nobody is paid, and who was there then has heard it."""
        self.timeline.lay_line(line, audio, at)
        heard_as = take.heard_otherwise(former, frozenset(self._done))
        fact = taken_over(line, audio, at, file, former, heard_as)
        self.log.append(fact)
        for call in former.calls:
            self.trigger(Trigger("call", line.player, tool=call.tool))
            if call.failed:
                self.trigger(Trigger("error", line.player))
        for hearing in former.hearers:
            if hearing.player not in self.presence.present and hearing.took_s is not None:
                sha256, took_s = hearing.sha256 or "", hearing.took_s
                self.log.append(record.LineHeard(line=line.id, hearer=hearing.player, sha256=sha256, took_s=took_s))
        calls = (ToolExchange(call.tool, call.arguments, call.output) for call in former.calls)
        hearers = tuple(hearing.player for hearing in former.hearers)
        self._said(fact, line, audio, hearers, calls)

    # ---- effects

    def _end_beds(self, line: str) -> None:
        """End the beds that lie until a line."""
        for sound in self._beds.pop(line, ()):
            at_samples = self.timeline.end_bed(sound.stem)
            self.playback.end_bed(sound.stem)
            self.log.append(record.BedEnded(sound=sound.id, at_samples=at_samples))

    def play(self, sound: SoundPlan, audio: Playable, at: int) -> None:
        """Lay an effect or a bed, as loud as it is: a bed, where the next step begins."""
        if sound.kind == "bed":
            at = self.timeline.begin_bed(sound.stem, audio.laid)
            self.playback.begin_bed(sound.stem, audio.heard, at)
        else:
            self.timeline.lay(sound.stem, audio.laid, at, sound.pause_s)
            self.playback.play(audio.heard, at)
        if sound.kind == "bed" and sound.until:
            self._beds.setdefault(sound.until, []).append(sound)
        self.log.append(played(sound, audio, at))
        self.history.append(SoundItem(sound))
        self.presence.send(HeardClip(sound.id, sound.id, "", audio.heard, ""), sound.hearers)

    # ---- tools

    def tool_called(self, player: str, tool: str, arguments: str, output: str | None, took_s: float) -> str | None:
        """Note that a model calls a tool, or has its output. Return what came of the same call before a break."""
        if output is None:
            self.trigger(Trigger("call", player, tool=tool))
            before = self.known_answers.get((player, self._speaking.get(player, ""), tool, arguments))
            return before.pop(0) if before else None
        failed, line = has_failed(output), self._speaking.get(player, "")
        self._calls.setdefault(line, []).append(ToolExchange(tool, arguments, output))
        fact = record.ToolCalled(
            player=player,
            line=line,
            tool=tool,
            arguments=arguments,
            output=output,
            failed=failed,
            took_s=round(took_s, 6),
        )
        self.log.append(fact)
        self.apply(fact)
        return None


def spoken(line: LinePlan, audio: Pcm, said: str, at: int, file: str | None, hearers: tuple[str, ...]) -> LineSpoken:
    """Record a line of a person.

    Args:
        line: As it was performed.
        audio: What is heard of it.
        said: Its words.
        at: The sample of the timeline it begins at.
        file: Its file in the take.
        hearers: Who hears it.
    """
    return LineSpoken(
        line=line.id,
        number=line.number,
        player=line.player,
        asked=line.words,
        direction=line.direction,
        said=said,
        status="completed",
        reason=None,
        file=file,
        sha256=audio.sha256,
        samples=len(audio),
        rate=RATE,
        offset_samples=at,
        scripted=not line.improvised,
        human=True,
        take=1,
        first_audio_s=None,
        first_words_s=None,
        took_s=0.0,
        hearers=hearers,
        response="",
        attempts=1,
        usage=Usage(),
    )


def delivered(fact: LineSpoken, delivery: LineResult, took_s: float, take: int) -> LineSpoken:
    """Record the same of a model.

    Args:
        fact: Who spoke what.
        delivery: How.
        took_s: Seconds from the request to its end.
        take: Which of its takes it is.
    """
    response = delivery.response
    facts = {
        "status": response.status,
        "reason": delivery.reason,
        "human": False,
        "take": take,
        "first_audio_s": response.first_audio_s,
        "first_words_s": delivery.first_words_s,
        "took_s": round(took_s, 6),
        "response": response.id,
        "attempts": delivery.attempts,
        "usage": response.usage,
        "problem": delivery.problem,
        "written": delivery.written,
        "commentary": delivery.commentary,
        "commentary_s": delivery.commentary_s,
    }
    return fact.model_copy(update=facts)


def taken_over(
    line: LinePlan, audio: Pcm, at: int, file: str | None, former: Performed, heard_as: Mapping[str, str]
) -> LineSpoken:
    """Record a line as it was in a former take: nobody is paid.

    Args:
        line: With its number now.
        audio: Its sound.
        at: The sample of the timeline it begins at.
        file: Its file in this take.
        former: As it was.
        heard_as: What its player had heard of lines that are other ones now: their hashes, by id.
    """
    hearers = tuple(hearing.player for hearing in former.hearers)
    told = {"asked", "direction", "scripted", "human", "take", "reason", "first_audio_s", "first_words_s", "took_s",
            "response", "attempts", "problem", "written", "commentary", "commentary_s"}  # fmt: skip
    facts = {**former.model_dump(include=told), "status": former.ended, "former": True, "heard_as": dict(heard_as)}
    return spoken(line, audio, former.said, at, file, hearers).model_copy(update=facts)


def take_kept(line: LinePlan, take: int, delivery: LineResult, file: str | None, took_s: float) -> TakeKept:
    """Record one of several takes of a line, as it has ended."""
    response = delivery.response
    return TakeKept(
        line=line.id,
        player=line.player,
        take=take,
        said=response.transcript,
        file=file,
        sha256=response.audio.sha256,
        samples=len(response.audio),
        response=response.id,
        usage=response.usage,
        status=response.status,
        reason=delivery.reason,
        first_audio_s=response.first_audio_s,
        first_words_s=delivery.first_words_s,
        took_s=round(took_s, 6),
        attempts=delivery.attempts,
        problem=delivery.problem,
        written=delivery.written,
        commentary=delivery.commentary,
        commentary_s=delivery.commentary_s,
    )


def former_take(line: LinePlan, other: Alternative, file: str | None) -> TakeKept:
    """Record one of several takes of a line, as it was in a former take: nobody is paid."""
    told = {"take", "said", "sha256", "samples", "problem"}
    return TakeKept(
        line=line.id,
        player=line.player,
        file=file,
        response="",
        usage=Usage(),
        status=other.ended,
        **other.model_dump(include=told),
    )


def played(sound: SoundPlan, audio: Playable, at: int) -> SoundPlayed:
    """Record an effect or a bed, as loud as it is, from a sample of the timeline on."""
    return SoundPlayed(
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
    """Cancel the enclosed block as soon as a graceful stop is requested.

    Raises:
        Stopped: It was left.
    """
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


def _cue_started(cue: CuePlan) -> record.CueStarted:
    return record.CueStarted(cue=cue.id, source_line=cue.source_line)
