"""The crew: writes down what happens, lays it on the timeline, lets it be heard, counts money, and tells the cues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import anyio

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.errors import SessionError
from tau_stage.protocol.conversation import Response
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import LinePlan, Plan, SoundPlan
from tau_stage.stage import cues
from tau_stage.stage.aloud import Aloud
from tau_stage.stage.cues import Happening
from tau_stage.stage.former import Former
from tau_stage.stage.hearing import Clip, Deaf, Heard, House
from tau_stage.stage.line import Delivery
from tau_stage.stage.listening import TRANSCRIPTION
from tau_stage.stage.notes import Listening, PromptBook
from tau_stage.stage.purse import Purse
from tau_stage.stage.telling import Past, Said, Sound
from tau_stage.stage.timeline import Timeline
from tau_stage.stage.tooling import has_failed
from tau_stage.stage.turns import Turn
from tau_stage.take import records as record
from tau_stage.take.folder import TakeFolder
from tau_stage.take.model import Performed


class Crew:
    """Everything around the players.

    Args:
        plan: The scene, resolved.
        folder: The take's.
        book: Where everything is written down.
        purse: Knows what may still be spent.
        aloud: Plays it on a loudspeaker, if there is one.

    Attributes:
        house: Lets players hear each other, while the scene is performed.
        so_far: How far the performance has come.
        changed: Set when something has changed, and made anew.
        next_speaker: Who speaks after the step under way, as far as it is known.
        present: Players with a session.
        past: What was said, played and given, so that a player that is opened again can be told.
        lost: Players whose connection was cut, or who fell silent, and why.
        listening: Who listens at an open microphone, by the person it hears without being told.
    """

    house: House

    def __init__(
        self, plan: Plan, folder: TakeFolder, book: PromptBook, purse: Purse, aloud: Aloud | None = None
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.book = book
        self.purse = purse
        self.aloud = aloud or Aloud()
        self.timeline = Timeline(plan, folder)
        self.so_far = replace(cues.curtain_up(plan), unheard=dict.fromkeys((p.name for p in plan.models), 0))
        self.changed = anyio.Event()
        self.next_speaker: str | None = None
        self.present = frozenset(player.name for player in plan.models)
        self.past: list[Past] = []
        self.lost: dict[str, SessionError] = {}
        self.listening: dict[str, str] = {}
        self._number = 0
        self._done: set[str] = set()
        self._speaking: dict[str, str] = {}
        self._tools_cost: dict[str, Decimal] = {}
        self._beds: dict[str, list[SoundPlan]] = {}

    def ring(self) -> None:
        """Something has changed."""
        self.changed.set()
        self.changed = anyio.Event()

    def happened(self, news: Happening) -> None:
        """Something that cues may wait for."""
        before = self.so_far.started
        self.so_far = cues.happened(self.plan, self.so_far, news)
        for cue in self.plan.cues:
            if self.so_far.started.get(cue.id, 0) > before.get(cue.id, 0):
                self.book.write(record.CueStarted(cue=cue.id, source_line=cue.source_line))
        self.ring()

    # ---- lines

    def lose(self, player: str, why: SessionError) -> None:
        """A player's connection was cut, or it fell silent."""
        if player not in self.lost:
            self.lost[player] = why
            self._unheard({player: -self.so_far.unheard[player]})
            self.book.write(record.PlayerLost(player=player, line=why.line, problem=str(why)))

    def is_back(self, player: str, heard: Mapping[str, float]) -> None:
        """A player that was lost is there again, and was told what it missed.

        Args:
            player: Who.
            heard: The lines and effects that it has heard anew, and how many seconds each took.
        """
        del self.lost[player]
        self._unheard({player: -self.so_far.unheard[player]})
        facts = self.book.journal.records
        known = {fact.line for fact in facts if isinstance(fact, record.LineHeard) and fact.hearer == player}
        sha256 = {fact.line: fact.sha256 for fact in facts if isinstance(fact, record.LineSpoken)}
        sha256 |= {fact.sound: fact.sha256 for fact in facts if isinstance(fact, record.SoundPlayed)}
        for name, took_s in heard.items():
            if name not in known:
                fact = record.LineHeard(line=name, hearer=player, sha256=sha256[name], took_s=round(took_s, 6))
                self.book.write(fact)
        self.ring()

    def has_called(self, line: str) -> bool:
        """Whether a line that is being spoken has called tools."""
        return line in self._tools_cost

    def begin(self, line: LinePlan) -> LinePlan:
        """A line begins: it gets its number in the take."""
        self._number += 1
        self._speaking[line.player] = line.id
        self.book.write(record.LineBegan(line=line.id, player=line.player))
        return replace(line, number=self._number)

    def pay(self, line: str, player: str, usage: Usage, model: str | None = None) -> Decimal:
        """Count what something has cost; a budget that is nearly used is worth a warning, once."""
        cost = self.purse.pay(player, usage, model)
        self._warn_of_budget(line)
        return cost

    def _warn_of_budget(self, line: str) -> None:
        if self.purse.is_nearly_empty and self.purse.budget is not None:
            share = self.purse.spent / self.purse.budget
            text = f"line {line}: {share:.0%} of the budget of ${self.purse.budget} is used"
            self.book.write(record.Warned(line=line, text=text))

    def again(self, line: LinePlan, response: Response, trouble: str, wait_s: float, file: str | None) -> None:
        """A line is asked for once more."""
        self.pay(line.id, line.player, response.usage)
        problem = f"the response is {response.status} ({response.reason or 'it is empty'})"
        self._asked_again(line, trouble, problem, wait_s, file, response.usage)

    def dropped(self, line: LinePlan, trouble: str, why: SessionError, wait_s: float, file: str | None) -> None:
        """A line is asked for once more, as its player was lost in it: nobody knows what that has cost."""
        self.purse.pay_blindly(line.id, line.player)
        self._warn_of_budget(line.id)
        self._asked_again(line, trouble, why.what_happened(), wait_s, file, None)

    def _asked_again(
        self, line: LinePlan, trouble: str, problem: str, wait_s: float, file: str | None, usage: Usage | None
    ) -> None:
        self.book.write(
            record.LineAgain(
                line=line.id,
                player=line.player,
                problem=problem,
                wait_s=wait_s,
                file=file,
                usage=usage or Usage(),
                reason=trouble,
                billed=usage is not None,
            )
        )

    def failed(self, line: LinePlan, problem: str, file: str | None, usage: Usage | None = None) -> None:
        """A line will not be had; what it has cost is paid, what sounded is kept."""
        self.purse.give_up(line.id)
        self.pay(line.id, line.player, usage or Usage())
        self.book.write(
            record.LineFailed(line=line.id, player=line.player, problem=problem, file=file, usage=usage or Usage())
        )

    def tool_turn(self, line: LinePlan, response: Response) -> None:
        """A response called tools: it is paid for, and the line goes on."""
        cost = self.pay(line.id, line.player, response.usage)
        self._tools_cost[line.id] = self._tools_cost.get(line.id, Decimal(0)) + cost
        self.book.write(record.ToolTurn(line=line.id, player=line.player, response=response.id, usage=response.usage))

    def transcribed(self, line: LinePlan, usage: Usage, listener: str) -> None:
        """A person's words were written down, which is billed to whoever listens."""
        self.pay(line.id, listener, usage, TRANSCRIPTION)
        self.book.write(record.Transcribed(line=line.id, player=listener, model=TRANSCRIPTION, usage=usage))

    def lost_line(self, line: str, player: str, problem: str, usage: Usage | None = None) -> None:
        """A line could not be had, and the scene goes on; what it has cost is paid."""
        self.purse.give_up(line)
        if usage:
            self.pay(line, player, usage)
        self.book.write(record.LineLost(line=line, player=player, problem=problem, usage=usage or Usage()))
        self.happened(Happening("error", player))

    def leave(
        self,
        line: LinePlan,
        audio: Pcm,
        said: str,
        at: int,
        file: str | None,
        *,
        delivery: Delivery | None = None,
        took_s: float = 0.0,
        take: int = 1,
    ) -> None:
        """A line is whole: lay it, write it down, let it be heard, tell the cues.

        Args:
            line: As it was performed.
            audio: What is heard of it.
            said: Its words.
            at: The sample of the timeline it begins at.
            file: Its file in the take.
            delivery: How a model delivered it; None for a person.
            took_s: Seconds from the request to its end.
            take: Which of its takes it is.
        """
        response = delivery.response if delivery else None
        if response:
            cost = self.pay(line.id, line.player, response.usage)
            self.purse.settle(line.id, line.player, cost + self._tools_cost.pop(line.id, Decimal(0)))
        self.timeline.lay_line(line, audio, at)
        hearers = tuple(name for name in line.hearers if name in self.present) if audio or said else ()
        self.book.write(
            record.LineSpoken(
                line=line.id,
                number=line.number,
                player=line.player,
                asked=line.words,
                direction=line.direction,
                said=said,
                status=response.status if response else "completed",
                reason=delivery.reason if delivery else None,
                file=file,
                sha256=audio.sha256,
                samples=len(audio),
                rate=RATE,
                offset_samples=at,
                scripted=not line.improvised,
                human=delivery is None,
                take=take,
                first_audio_s=response.first_audio_s if response else None,
                first_words_s=delivery.first_words_s if delivery else None,
                took_s=round(took_s, 6),
                hearers=hearers,
                response=response.id if response else "",
                attempts=delivery.attempts if delivery else 1,
                usage=response.usage if response else Usage(),
            )
        )
        self._said(line, audio, said, hearers, file)

    def _said(self, line: LinePlan, audio: Pcm, said: str, hearers: tuple[str, ...], file: str | None) -> None:
        """A line is written down: it is heard, beds end with it, and cues are told."""
        path = None if file is None else self.folder.path / file
        listening = self.listening.get(line.player)
        self.past.append(Said(line, said, path, frozenset((*hearers, listening) if listening else hearers)))
        self._let_hear(Clip(line.id, str(line.number), line.player, audio, said), hearers)
        self._end_beds(line.id)
        self._done.add(line.id)
        self.so_far = replace(self.so_far, last=Turn(line.player, said))
        if said:
            self.happened(Happening("said", line.player, words=said))

    def keep_aside(self, line: LinePlan, take: int, delivery: Delivery, file: str | None) -> None:
        """A take that was not picked is paid for, and kept."""
        response = delivery.response
        self.pay(line.id, line.player, response.usage)
        self.book.write(
            record.TakeKept(
                line=line.id,
                player=line.player,
                take=take,
                said=response.transcript,
                file=file,
                sha256=response.audio.sha256,
                samples=len(response.audio),
                response=response.id,
                usage=response.usage,
            )
        )

    def take_over(self, line: LinePlan, audio: Pcm, at: int, file: str | None, former: Performed, take: Former) -> None:
        """A line is as it was in a former take: nobody is paid, and who was there then has heard it."""
        self.timeline.lay_line(line, audio, at)
        facts = former.model_dump(
            include={"player", "asked", "direction", "said", "scripted", "human", "take", "reason", "sha256", "samples",
                     "first_audio_s", "first_words_s", "took_s", "response", "attempts"}
        )  # fmt: skip
        self.book.write(
            record.LineSpoken(
                **facts,
                line=line.id,
                number=line.number,
                status=former.ended,
                file=file,
                rate=RATE,
                offset_samples=at,
                former=True,
                outdated=take.outdated(former, frozenset(self._done)),
                hearers=tuple(hearing.player for hearing in former.hearers),
                usage=Usage(),
            )
        )
        for call in former.calls:
            self.happened(Happening("call", line.player, tool=call.tool))
        for hearing in former.hearers:
            if hearing.player not in self.present and hearing.took_s is not None:
                sha256, took_s = hearing.sha256 or "", hearing.took_s
                self.book.write(record.LineHeard(line=line.id, hearer=hearing.player, sha256=sha256, took_s=took_s))
        self._said(line, audio, former.said, tuple(hearing.player for hearing in former.hearers), file)

    # ---- effects

    def _end_beds(self, line: str) -> None:
        """End the beds that lie until a line."""
        for sound in self._beds.pop(line, ()):
            at_samples = self.timeline.end_bed(sound.stem)
            self.aloud.end_bed(sound.stem)
            self.book.write(record.BedEnded(sound=sound.id, at_samples=at_samples))

    def played(self, sound: SoundPlan, audio: Pcm, at: int) -> None:
        """An effect or a bed was laid."""
        if sound.kind == "bed" and sound.until:
            self._beds.setdefault(sound.until, []).append(sound)
        self.book.write(
            record.SoundPlayed(
                sound=sound.id,
                kind=sound.kind,
                source=sound.file,
                stem=sound.stem,
                gain_db=sound.gain_db,
                offset_samples=at,
                samples=len(audio),
                sha256=audio.sha256,
                hearers=sound.hearers,
            )
        )
        self.past.append(Sound(sound))
        self._let_hear(Clip(sound.id, sound.id, "", audio, ""), sound.hearers)

    # ---- hearing

    def _let_hear(self, clip: Clip, hearers: tuple[str, ...]) -> None:
        present = [name for name in hearers if name in self.present and name not in self.lost]
        self._unheard(dict.fromkeys(present, 1))
        for name in present:
            self.book.show(Listening(name, clip.line))
        self.house.hear(clip, present, self.next_speaker)

    def _unheard(self, more: Mapping[str, int]) -> None:
        """Count clips under way, by player."""
        now = self.so_far.unheard
        self.so_far = replace(self.so_far, unheard={**now, **{name: now[name] + n for name, n in more.items()}})

    def reported(self, news: Heard | Deaf) -> None:
        """A player has heard a clip, or has not."""
        clip = news.clip
        self._unheard({news.hearer: -1})
        if isinstance(news, Heard):
            took_s = round(news.took_s, 6)
            self.book.write(record.LineHeard(line=clip.line, hearer=news.hearer, sha256=clip.sha256, took_s=took_s))
            self.ring()
            return
        if news.lost:
            self.lost[news.hearer] = news.why
            self._unheard({news.hearer: -self.so_far.unheard[news.hearer]})
        problem = f"{news.why}; the line was not heard" + (", and the player is lost" if news.lost else "")
        self.book.write(record.LineMissed(line=clip.line, hearer=news.hearer, problem=problem, lost=news.lost))
        self.happened(Happening("error", news.hearer))

    # ---- tools

    def tool_called(self, player: str, tool: str, arguments: str, output: str | None, took_s: float) -> None:
        """A model calls a tool; with its output, it has."""
        if output is None:
            self.happened(Happening("call", player, tool=tool))
            return
        failed = has_failed(output)
        self.book.write(
            record.ToolCalled(
                player=player,
                line=self._speaking.get(player, ""),
                tool=tool,
                arguments=arguments,
                output=output,
                failed=failed,
                took_s=round(took_s, 6),
            )
        )
        if failed:
            self.happened(Happening("error", player))
