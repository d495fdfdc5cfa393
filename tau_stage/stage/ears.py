"""What an open microphone needs of a performance: its turns become lines, and are heard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pybase64

from tau_stage.audio.formats import Decoder
from tau_stage.audio.pcm import Pcm
from tau_stage.devices.playback import Voice
from tau_stage.protocol.conversation import Response
from tau_stage.protocol.usage import Usage
from tau_stage.scene.plan import LinePlan, ListenPlan
from tau_stage.stage import cues
from tau_stage.stage.company import Company
from tau_stage.stage.crew import Crew
from tau_stage.stage.exchange import Spoken
from tau_stage.stage.line import Delivery
from tau_stage.stage.notes import News
from tau_stage.stage.recording import Recording
from tau_stage.stage.stopping import unless
from tau_stage.stage.turns import Turn
from tau_stage.take import records as record


class Ears:
    """What an open microphone needs of a performance.

    Args:
        crew: Writes down, lays and tells.
        company: The sessions and the people.
        answer: Lets a player speak a line.
    """

    def __init__(self, crew: Crew, company: Company, answer: Callable[[LinePlan], Awaitable[Turn]]) -> None:
        self._crew = crew
        self._company = company
        self._answer = answer
        self._lines: dict[str, LinePlan] = {}
        self._voices: dict[str, tuple[Voice, Decoder]] = {}
        self._spoke: set[str] = set()

    @property
    def next_sample(self) -> int:
        """The sample of the timeline at which what comes next begins."""
        return self._crew.timeline.next

    def leave(self, spoken: Spoken) -> None:
        """Commit a finished turn: write it down and let it be heard."""
        crew = self._crew
        self._spoke.add(spoken.line.player)
        line = self._known(spoken.line)
        self._finish(line)
        recording = Recording(crew.folder, line, crew.book)
        if spoken.audio:
            recording.sounded(spoken.audio)
        at = crew.timeline.next if spoken.at is None else spoken.at
        delivery = None
        if spoken.response:
            status = "cancelled" if spoken.reason == "turn_detected" else spoken.response.status
            response = replace(spoken.response, status=status, first_audio_s=spoken.first_audio_s)
            delivery = Delivery(response, 1, spoken.reason, spoken.first_words_s)
        crew.leave(line, spoken.audio, spoken.words, at, recording.finish(), delivery=delivery, took_s=spoken.took_s)

    def speaks(self, line: LinePlan) -> None:
        """Note that a player begins a line."""
        self._known(line)

    def _known(self, line: LinePlan) -> LinePlan:
        """Return a line with its number; begin it when it is first heard of."""
        if session := self._company.sessions.get(line.player):
            self._crew.answered_by(line.player, session.answered_by)
        if line.id not in self._lines:
            self._lines[line.id] = self._crew.begin(line)
        return self._lines[line.id]

    def sounds(self, line: LinePlan, coded: str) -> None:
        """Play a piece of an answer's sound that has come."""
        crew = self._crew
        if not crew.playback.is_on:
            return
        if line.id not in self._voices:
            form = self._company.sessions[line.player].conversation.form
            self._voices[line.id] = crew.playback.voice(), form.decoder()
        voice, decoder = self._voices[line.id]
        if audio := decoder.feed(pybase64.b64decode(coded)):
            voice.append(audio)

    def interrupted(self) -> None:
        """Note that the person speaks: what was not heard yet is not to be heard."""
        self._crew.playback.mute()

    async def let_hear(self, take: Pcm) -> None:
        """Play what the person has recorded."""
        await self._crew.playback.wait_until_heard()
        self._crew.playback.play(take)
        await self._crew.playback.wait_until_heard()

    def keep_time(self, now: Callable[[], int]) -> None:
        """Let nothing begin before the sample that is heard now."""
        self._crew.timeline.now = now

    def close(self) -> None:
        """Note that the microphone is closed."""
        self._crew.timeline.now = lambda: 0
        for voice, _ in self._voices.values():
            voice.finish()

    def miss(self, step: ListenPlan) -> None:
        """Warn, where the person has said nothing."""
        if step.person in self._spoke:
            return
        text = f"{step.id}, player {step.person}: nobody spoke at the open microphone"
        if self._company.people[step.person].is_used_up:
            text = f"{step.id}, player {step.person}: there is nothing left of the recording to listen to"
        self._crew.book.write(record.Warned(player=step.person, line=step.id, text=text))

    def _finish(self, line: LinePlan) -> None:
        """Note that the line's sound has come to its end."""
        voice, decoder = self._voices.get(line.id, (None, None))
        if voice and decoder:
            if rest := decoder.finish():
                voice.append(rest)
            voice.finish()

    def tool_turn(self, line: LinePlan, response: Response) -> None:
        """Note that a response called tools."""
        self._crew.tool_turn(self._known(line), response)

    def transcribed(self, line: LinePlan, usage: Usage, listener: str, model: str) -> None:
        """Note that a person's words were written down, which is billed."""
        self._crew.transcribed(line, usage, listener, model)

    def untranscribed(self, line: LinePlan, why: str) -> None:
        """Note that a person's words could not be written down."""
        self._crew.untranscribed(line, why)

    def failed(self, line: LinePlan, response: Response) -> None:
        """Note that an answer could not be had."""
        self._finish(line)
        problem = response.message or response.reason or "the response failed"
        told = f"line {line.id}, player {line.player}: {problem}"
        self._crew.lost_line(line.id, line.player, told, usage=response.usage)

    def afford(self, line: LinePlan) -> int | None:
        """Tell whether the scene may cost more, and how many tokens the next answer may have."""
        self._crew.purse.check(line.id, line.player)
        return self._crew.purse.most_tokens(line.id, line.player, self._crew.plan.player(line.player).output)

    async def others_are_done(self) -> None:
        """Wait until the cues that have started are through."""
        while cues.others_play(self._crew.so_far) and not self._crew.stop.is_set():
            await self._crew.changed.wait()

    async def stopped(self) -> None:
        """Wait until somebody wants to stop."""
        await self._crew.stop.wait()

    async def typed(self, line: LinePlan) -> str:
        """Let a person type a line; what was typed, or nothing at the end."""
        person = self._company.people[line.player]
        async with unless(self._crew.stop):
            given = await person.deliver(line, self._crew.book.show)
            while not (given.words or given.is_over):
                given = await person.deliver(line, self._crew.book.show)
        if given.words:
            self.leave(Spoken(line, given.audio, given.words, None))
        return given.words

    async def answer(self, line: LinePlan) -> str:
        """Let a player answer; what it says."""
        return (await self._answer(line)).words

    def hush(self, since: float | None) -> None:
        """Note that a silence has begun, or has ended."""
        self._crew.so_far = cues.hush(self._crew.so_far, since)
        self._crew.ring()

    def show(self, news: News) -> None:
        """Show something to whoever watches."""
        self._crew.book.show(news)
