"""People who play: at a microphone, at a keyboard, in the booth's page, or by recordings they have left."""

from __future__ import annotations

import os
import stat
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from tau_stage import scene
from tau_stage.audio import RATE, Pcm, read_audio, utterances
from tau_stage.devices import typed_line
from tau_stage.errors import UsageError
from tau_stage.signals import Signal
from tau_stage.stage.events import PersonPrompted

COUNT_DOWN = 3
LONGEST_WAIT_S = 30.0  # how long a person may stay silent, where the line says nothing else

ENOUGH_SILENCE_S = 1.2
BLOCK = RATE // 25
MOST_BLOCKS = 1_000
"""Pieces of a page's sound that may wait: it sends some 50 a second."""

GAP_S = 0.2
"""Seconds after which a page that sends nothing is silent."""


@dataclass(frozen=True, slots=True)
class PersonTurn:
    """What a person gave: sound or words; neither, where nothing came. ``is_over``: nothing more will ever come."""

    audio: Pcm
    words: str
    is_over: bool = False


Show = Callable[[PersonPrompted], None]
Blocks = AbstractAsyncContextManager[AsyncIterator[Pcm]]


class Person:
    """Somebody who is no model.

    Attributes:
        name: The player's.
        is_live: Whether sound comes as fast as time goes, and cannot be hurried.
        types: Whether words come instead of sound.
        is_used_up: Whether there was nothing left to say when the person was last listened to.
    """

    is_live = False
    types = False
    is_used_up = False

    def __init__(self, player: scene.PlayerPlan) -> None:
        self.name = player.name

    async def deliver(self, line: scene.LinePlan, show: Show) -> PersonTurn:
        """Say one line of the scene."""
        raise NotImplementedError

    def blocks(self) -> Blocks:
        """Yield whatever the person says, in blocks, while it is said; for those who are live and do not type."""
        raise NotImplementedError

    async def typed(self) -> str:
        """Wait for what the person types at an open microphone; most never do."""
        await anyio.sleep_forever()
        raise AssertionError("an endless sleep ended")

    def takes(self) -> list[Pcm]:
        """Return what the person says, utterance by utterance; for those who are not live."""
        return []

    def skip(self, line: str) -> None:
        """Skip a line that was said before the performance was resumed; only recordings are used up."""


class Recorded(Person):
    """A person's sound file, and its words as far as known: each line takes an utterance, the last one all the rest."""

    def __init__(self, player: scene.PlayerPlan, audio: Pcm, last: str, words: Sequence[str] = ()) -> None:
        super().__init__(player)
        self.is_live = player.pace == "realtime"
        self._audio = audio
        self._words = words
        self._spans = utterances(audio)
        self._last = last
        self._next = 0

    async def deliver(self, line: scene.LinePlan, show: Show) -> PersonTurn:
        """Return the next utterance."""
        del show
        spans = self._spans[self._next :]
        if not spans:
            return PersonTurn(Pcm(), "")
        taken = len(spans) if line.id == self._last else 1
        audio = self._audio[spans[0][0] : spans[taken - 1][1]]
        words = " ".join(self._words[self._next : self._next + taken])
        self._next += taken
        if self.is_live:
            await anyio.sleep(audio.duration_s)
        return PersonTurn(audio, words or line.words)

    @asynccontextmanager
    async def blocks(self) -> AsyncIterator[AsyncIterator[Pcm]]:
        """Yield the rest of the file as fast as it is heard, with its silences."""
        yield self._played()

    async def _played(self) -> AsyncIterator[Pcm]:
        """Yield blocks, each in its time; an utterance that has begun is used up."""
        self.is_used_up = self._next >= len(self._spans)
        start = self._spans[self._next - 1][1] if self._next else 0
        began = anyio.current_time()
        for at in range(start, len(self._audio), BLOCK):
            await anyio.sleep_until(began + (at + BLOCK - start) / RATE)
            self._next = sum(first < at + BLOCK for first, _ in self._spans)
            yield self._audio[at : at + BLOCK]

    def takes(self) -> list[Pcm]:
        """Return the utterances that are left."""
        self.is_used_up = self._next >= len(self._spans)
        left = [self._audio[start:end] for start, end in self._spans[self._next :]]
        self._next = len(self._spans)
        return left

    def skip(self, line: str) -> None:
        """Use its utterance up; the last line's is all the rest."""
        self._next = len(self._spans) if line == self._last else min(self._next + 1, len(self._spans))


class StandIn(Person):
    """Recorded takes for somebody who is not there: a file per line, named by its id, and its words in a ``.txt``."""

    def __init__(self, player: scene.PlayerPlan, folder: Path) -> None:
        super().__init__(player)
        self._folder = folder

    async def deliver(self, line: scene.LinePlan, show: Show) -> PersonTurn:
        """Return the recording of a line; nothing, where there is none."""
        del show
        file = next((file for end in scene.SOUNDS if (file := self._folder / f"{line.id}{end}").is_file()), None)
        if file is None:
            return PersonTurn(Pcm(), "")
        return PersonTurn(read_audio(file), " ".join(written_words(file)) or line.words)

    def takes(self) -> list[Pcm]:
        """Return all recordings, by name: what the person says at an open microphone."""
        return [*map(read_audio, scene.sounds_in(self._folder))]


class Typist(Person):
    """A person at a keyboard, or a pipe: standard input, if no other is given."""

    types = True
    is_live = True

    def __init__(self, player: scene.PlayerPlan, fd: int | None = None) -> None:
        super().__init__(player)
        self._fd = fd

    async def deliver(self, line: scene.LinePlan, show: Show) -> PersonTurn:
        """Wait for what is typed; an empty line says the words of the scene."""
        show(PersonPrompted(self.name, line.id, line.words, line.direction, typed=True))
        typed = await typed_line(line.timeout_s, fd=self._fd)
        if typed is None:
            return PersonTurn(Pcm(), "", is_over=line.timeout_s is None)
        return PersonTurn(Pcm(), typed.strip() or line.words)


class Speaker(Person):
    """A person at a microphone."""

    is_live = True

    def __init__(self, player: scene.PlayerPlan, microphone: Callable[[], Blocks]) -> None:
        super().__init__(player)
        self._microphone = microphone

    async def deliver(self, line: scene.LinePlan, show: Show) -> PersonTurn:
        """Count down, open the microphone, and close it when the person has spoken."""
        for left in range(COUNT_DOWN, -1, -1):
            show(PersonPrompted(self.name, line.id, line.words, line.direction, in_s=left))
            if left:
                await anyio.sleep(1)
        heard: list[Pcm] = []
        with anyio.move_on_after(line.timeout_s or LONGEST_WAIT_S):
            async with self._microphone() as blocks:
                async for block in blocks:
                    heard.append(block)
                    if len(heard) % 10 == 0 and _has_spoken(heard):
                        break
        audio = Pcm.join(heard)
        spans = utterances(audio, silence_s=ENOUGH_SILENCE_S)
        return PersonTurn(audio[spans[0][0] : spans[-1][1]], line.words) if spans else PersonTurn(Pcm(), "")

    def blocks(self) -> Blocks:
        """Yield what the microphone hears."""
        return self._microphone()


class PageSpeaker(Speaker):
    """A person at the booth's page, who speaks into its microphone, or types there."""

    def __init__(self, player: scene.PlayerPlan) -> None:
        super().__init__(player, self._open)
        self._heard: deque[Pcm] = deque(maxlen=MOST_BLOCKS)
        self._written: deque[str] = deque()
        self._changed = Signal()
        self._listens = self._awaits_line = self._is_done = False

    async def deliver(self, line: scene.LinePlan, show: Show) -> PersonTurn:
        """Count down, and listen until the person has spoken, has typed, or says that it is over."""
        self._awaits_line, self._is_done = True, False
        self._written.clear()
        try:
            given = await super().deliver(line, show)
        finally:
            self._awaits_line = False
        return PersonTurn(Pcm(), self._written.popleft()) if self._written else given

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AsyncIterator[Pcm]]:
        self._heard.clear()
        self._is_done &= self._awaits_line  # of a line, it may have been said before
        self._listens = True
        try:
            async with aclosing(self._blocks()) as blocks:
                yield blocks
        finally:
            self._listens = False

    async def _blocks(self) -> AsyncGenerator[Pcm, None]:
        """Yield what the page sends; silence where it sends nothing, as a microphone hears some."""
        while not self._is_over:
            with anyio.move_on_after(GAP_S):
                await self._changed.until(lambda: bool(self._heard) or self._is_over)
            yield self._heard.popleft() if self._heard else Pcm.silence(round(GAP_S * RATE))

    @property
    def _is_over(self) -> bool:
        """Whether the person has said all; what is typed is the whole line."""
        return (self._is_done and not self._heard) or (self._awaits_line and bool(self._written))

    async def typed(self) -> str:
        """Wait for what is typed at an open microphone."""
        await self._changed.until(lambda: bool(self._written))
        return self._written.popleft()

    @property
    def is_asked(self) -> bool:
        """Whether something is wanted of this person now."""
        return self._listens or self._awaits_line

    def hear(self, sound: Pcm) -> None:
        """Take in what the page's microphone hears; where nobody is listened to, it is gone."""
        if self._listens:
            self._heard.append(sound)
            self._changed.notify()

    def write(self, words: str) -> None:
        """Take in what is typed in the page: it is the line, or a turn of the conversation."""
        self._written.append(words)
        self._changed.notify()

    def finish(self) -> None:
        """Note that the person has said all: the line is over, or the microphone is closed."""
        self._is_done = True
        self._changed.notify()


def _has_spoken(heard: list[Pcm]) -> bool:
    """Tell whether somebody has spoken, and has stopped."""
    audio = Pcm.join(heard)
    spans = utterances(audio, silence_s=ENOUGH_SILENCE_S)
    return bool(spans) and len(audio) - spans[-1][1] > (ENOUGH_SILENCE_S - 0.25) * RATE


def written_words(sound: Path) -> list[str]:
    """Read the words of a sound file, by utterance, in the ``.txt`` beside it; a ``UsageError`` says it is no text."""
    file = sound.with_suffix(".txt")
    try:
        lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot read the words of {sound.name}: {error}", "save the file as UTF-8") from None
    return [line.strip() for line in lines if line.strip()]


def known_words(plan: scene.Plan) -> Iterator[tuple[Pcm, str]]:
    """Yield each utterance of the scene's people that somebody has written down: the understudy knows no other.

    Raises:
        UsageError: A sound cannot be read.
    """
    for player in plan.people:
        for file in plan.recordings(player):
            if words := written_words(file):
                audio = read_audio(file)
                for (start, end), text in zip(utterances(audio), words, strict=False):
                    yield audio[start:end], text


def people_of(plan: scene.Plan, *, stand_in: bool = False, booth: bool = False) -> dict[str, Person]:
    """Return the people of a scene, by player; with ``stand_in``, recordings play where there are some in any case.

    Args:
        plan: The scene.
        stand_in: Whether recordings play.
        booth: Whether a booth shows it, in which people may play.

    Raises:
        UsageError: There is no microphone, or no booth; nothing would close the microphone, two would share it, or a
            sound cannot be read.
    """
    people = {player.name: _person(plan, player, stand_in=stand_in, booth=booth) for player in plan.people}
    check_together(plan, people)
    check_listen_ends(plan, people, is_terminal=_is_there("tty"))
    return people


def _person(plan: scene.Plan, player: scene.PlayerPlan, *, stand_in: bool, booth: bool) -> Person:
    assert player.human is not None  # noqa: S101 - people are
    recordings = None if player.stand_in is None else scene.resolve_path(plan.path, player.stand_in)
    if player.human not in scene.LIVE:
        file = scene.resolve_path(plan.path, player.human)
        return Recorded(player, read_audio(file), _last_line(plan, player.name), written_words(file))
    if recordings is not None and (stand_in or not (booth if player.human == "booth" else _is_there(player.human))):
        return StandIn(player, recordings)
    if player.human == "tty":
        return Typist(player)
    if player.human != "booth":
        return _speaker(player)
    if not booth:
        problem = f"player {player.name} speaks in the booth, but this performance has no booth"
        raise UsageError(problem, "add --booth, or use recordings with 'stand_in:' and --stand-in")
    return PageSpeaker(player)


def _speaker(player: scene.PlayerPlan) -> Speaker:
    from tau_stage.devices import open_microphone, sound_cards

    try:
        sound_cards.find_device(sound_cards.portaudio(), None)
    except UsageError as error:
        raise UsageError(f"player {player.name} needs a microphone: {error.problem}", error.hint) from None
    return Speaker(player, open_microphone)


def _last_line(plan: scene.Plan, name: str) -> str:
    """Return id of the last line that the scene's own steps give to a person; empty if a ``listen`` may follow."""

    def listens(step: scene.Step) -> bool:
        return isinstance(step, scene.ListenPlan) and step.person == name

    cued = (step for cue in plan.cues for step in cue.steps)
    last = ""
    for step in (*plan.steps, *filter(listens, cued)):
        last = "" if listens(step) else next((it.id for it in scene.lines_of((step,)) if it.player == name), last)
    return last


def _is_there(human: str) -> bool:
    if human == "tty":
        return sys.stdin is not None and sys.stdin.isatty()
    from tau_stage.devices import has_microphone

    return has_microphone()


def unread_input(plan: scene.Plan) -> Iterator[str]:
    """Say for whom recordings play although text may be piped in, which nobody reads then."""
    with suppress(AttributeError, OSError, ValueError):  # there is no standard input
        mode = os.fstat(sys.stdin.fileno()).st_mode
        for player in plan.people if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) else ():
            if player.human == "tty" and player.stand_in is not None:
                reason = f"the recordings in {player.stand_in} are played because standard input is not a terminal"
                yield f"player {player.name}: {reason}; to read lines from standard input, remove 'stand_in'"


KEYBOARD = "standard input"
MICROPHONE = "the microphone"
PAGE = "the booth's page"
DEVICES = {"tty": KEYBOARD, "mic": MICROPHONE, "booth": PAGE}
"""What a person uses who is there; nobody shares it."""


def check_shared_devices(plans: Sequence[scene.Plan], people: Sequence[Mapping[str, Person]], *, jobs: int) -> None:
    """Refuse scenes that would share a keyboard or a microphone while ``jobs`` of them are performed at once.

    Raises:
        UsageError: They would.
    """
    if jobs < 2:
        return
    for device in DEVICES.values():
        using = [plan for plan, own in zip(plans, people, strict=True) if _users(plan, own, own, device)]
        if len(using) > 1:
            names = ", ".join(f"{plan.path} ({plan.variant})" if plan.variant else plan.path for plan in using)
            remedy = "remove --jobs, or use recordings with 'stand_in:' and --stand-in"
            raise UsageError(f"{len(using)} scenes would share {device}: {names}", remedy)


def check_together(plan: scene.Plan, people: Mapping[str, Person]) -> None:
    """Refuse people who would share a device while they speak together, with a ``UsageError``."""
    groups = [step for steps in plan.step_lists for step in steps if isinstance(step, scene.TogetherPlan)]
    for step in groups:
        for device in DEVICES.values():
            using = _users(plan, people, [line.player for line in scene.lines_of((step,))], device)
            if len(using) > 1:
                problem = f"{plan.path}:{step.source_line}: {' and '.join(using)} would share {device}"
                raise UsageError(
                    problem, "move their lines out of 'together:', or use recordings with 'stand_in:' and --stand-in"
                )


def check_listen_ends(plan: scene.Plan, people: Mapping[str, Person], *, is_terminal: bool) -> None:
    """Refuse a microphone that only a key closes where there is no terminal, with a ``UsageError``."""
    listens = [step for steps in plan.step_lists for step in steps if isinstance(step, scene.ListenPlan)]
    for step in listens:
        closes = is_terminal or step.for_s or step.turns or step.until
        if not closes and _users(plan, people, [step.person], MICROPHONE):
            problem = (
                f"{plan.path}:{step.source_line}: only a key press can close this microphone, but there is no terminal"
            )
            raise UsageError(problem, "add 'for:', 'turns:' or 'until:'")


def _users(plan: scene.Plan, people: Mapping[str, Person], names: Iterable[str], device: str) -> list[str]:
    """Tell who of some players uses a device; recordings use none."""
    return [name for name in names if name in people and _device(plan, people[name]) == device]


def _device(plan: scene.Plan, person: Person) -> str:
    return DEVICES.get(plan.player(person.name).human or "", "") if person.is_live else ""
