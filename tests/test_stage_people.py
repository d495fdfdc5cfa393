"""People: recordings, stand-ins, typing, and whoever speaks into a microphone."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import numpy as np
import pytest

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.errors import SceneError, UsageError
from tau_stage.scene.plan import LinePlan, PlayerPlan
from tau_stage.stage.events import Event, PersonPrompted
from tau_stage.stage.people import PageSpeaker, Recorded, Speaker, StandIn, Typist, known_words, people_of, unread_input
from tau_stage.take import records as record
from tests.support.in_memory_stage import SCENES, Playhouse, plan_of
from tests.support.tone_voice import tone

GUEST = PlayerPlan("guest", voice="", model="", human="guest.wav")
WORDS = ("Good evening to all.", "Is there a room?", "Good night, then.")


def speech(*words: str) -> Pcm:
    """A recording: utterances with a second of silence around each."""
    parts = [Pcm.silence(RATE)]
    for text in words:
        parts += [tone("guest", text * 3), Pcm.silence(RATE)]
    return Pcm.join(parts)


def line(name: str = "guest-1", words: str = "Words.") -> LinePlan:
    return LinePlan(1, name, "guest", words, "", "", (), 0.3, 1)


def is_in(part: Pcm, whole: Pcm) -> bool:
    return part.data in whole.data


async def test_each_line_takes_the_next_utterance_and_the_last_all_the_rest() -> None:
    shown: list[PersonPrompted] = []
    person = Recorded(GUEST, speech(*WORDS), last="guest-2", words=["one", "two", "three"])
    first = await person.deliver(line(), shown.append)
    rest = await person.deliver(line("guest-2"), shown.append)
    assert is_in(tone("guest", WORDS[0] * 3), first.audio)
    assert not is_in(tone("guest", WORDS[1] * 3), first.audio)
    assert is_in(tone("guest", WORDS[1] * 3), rest.audio)
    assert is_in(tone("guest", WORDS[2] * 3), rest.audio)
    assert (first.words, rest.words) == ("one", "two three")
    assert not (await person.deliver(line("guest-3"), shown.append)).audio
    assert shown == []


async def test_what_the_lines_leave_of_a_recording_is_heard_at_the_open_microphone(house: Playhouse) -> None:
    take = await house.perform("""
players:
  ann: {turn_detection: {silence: 800ms}}
  guest: {human: sounds/guest.wav}
lines: [guest: Good evening., {listen: ann}]
""")
    assert [line.said for line in take.lines if line.human] == [
        "Good evening, where is the station?", "Thank you, is it far from here?",
    ]  # fmt: skip


async def test_without_written_words_the_scene_says_what_was_said() -> None:
    assert (await Recorded(GUEST, speech("Hm hm hm."), last="").deliver(line(), print)).words == "Words."


async def test_in_real_time_a_recording_takes_as_long_as_it_sounds() -> None:
    person = Recorded(replace(GUEST, pace="realtime"), speech(*WORDS), last="")
    began = anyio.current_time()
    given = await person.deliver(line(), print)
    assert anyio.current_time() - began == pytest.approx(given.audio.duration_s)
    async with person.blocks() as blocks:
        heard = [block async for block in blocks]
    assert is_in(tone("guest", WORDS[2] * 3), Pcm.join(heard))
    assert not is_in(tone("guest", WORDS[0] * 3), Pcm.join(heard))
    assert anyio.current_time() - began == pytest.approx(given.audio.duration_s + Pcm.join(heard).duration_s, abs=0.05)


async def heard_at_the_microphone(person: Recorded, seconds: float = 60.0) -> Pcm:
    """What a recording plays in so much time."""
    heard: list[Pcm] = []
    with anyio.move_on_after(seconds):
        async with person.blocks() as blocks:
            heard = [Pcm()]
            async for block in blocks:
                heard.append(block)
    return Pcm.join(heard)


async def test_in_real_time_a_recording_is_used_up_too() -> None:
    one, two, three = (tone("guest", text * 3) for text in WORDS)
    person = Recorded(replace(GUEST, pace="realtime"), speech(*WORDS), last="")
    cut_off = await heard_at_the_microphone(person, 1 + one.duration_s + 1 + two.duration_s / 2)
    assert is_in(one, cut_off)
    assert not is_in(two, cut_off)
    given = await person.deliver(line(), print)  # after the utterance that had begun
    assert is_in(three, given.audio)
    assert not is_in(two, given.audio)
    person = Recorded(replace(GUEST, pace="realtime"), speech(*WORDS), last="")
    first = await heard_at_the_microphone(person, 1 + one.duration_s + 0.5)
    second = await heard_at_the_microphone(person)
    assert [is_in(sound, first) for sound in (one, two, three)] == [True, False, False]
    assert [is_in(sound, second) for sound in (one, two, three)] == [False, True, True]
    assert not (await person.deliver(line(), print)).audio


LAST = """
players: {ann: , bob: , guest: {human: sounds/guest.wav}}
%s
"""


@pytest.mark.parametrize(
    ("steps", "second"),
    [
        ("lines: [{guest: One., when: {said: never}}, guest: Two., ann: So.]", True),
        ("lines: [ann: So., {together: [ann: And?, guest: Two.]}]\non: [{said: So, do: [guest: One.]}]", False),
        ("lines: [guest: One., guest: Two.]\non: [{said: never, do: [guest: Ha!]}]", False),
        ("lines: [guest: One., {listen: {player: ann, from: guest}}]", False),
        ("lines: [{listen: {player: ann, from: guest}, when: {said: never}}, guest: One.]", True),
        ("lines: [guest: One.]\non: [{said: never, do: [{listen: {player: ann, from: guest}}]}]", False),
    ],
)
async def test_only_the_last_line_that_nothing_can_follow_takes_the_rest(
    steps: str, *, second: bool, house: Playhouse
) -> None:
    take = await house.perform(LAST % steps)
    said = next(entry.said for entry in take.lines if entry.human)
    assert said.startswith("Good evening")
    assert ("Thank you" in said) == second


@pytest.mark.parametrize("pace", ["fast", "realtime"])
async def test_a_recording_that_is_used_up_is_a_warning_at_the_open_microphone(pace: str, house: Playhouse) -> None:
    take = await house.perform(f"""
players: {{ann: {{turn_detection: {{silence: 800ms}}}}, guest: {{human: sounds/guest.wav, pace: {pace}}}}}
lines: [{{listen: ann}}, {{listen: ann}}, ann: So.]
""")
    assert take.ended == "complete"
    assert take.warnings == ("listen-2, player guest: the recording has no more audio",)
    (warned,) = house.facts(record.Warned)
    assert (warned.player, warned.line) == ("guest", "listen-2")


async def test_an_open_microphone_at_which_nobody_speaks_is_a_warning(house: Playhouse, tmp_path: Path) -> None:
    (tmp_path / "typed").write_text("\n")
    plan = plan_of("players: {ann: , guest: {human: tty}}\nlines: [{listen: ann}, ann: So.]")
    with (tmp_path / "typed").open() as typed:
        take = await house.perform(plan, people={"guest": Typist(plan.player("guest"), fd=typed.fileno())})
    assert take.warnings == ("listen-1, player guest: nobody spoke into the open microphone",)


async def test_a_stand_in_plays_the_take_of_a_line_with_its_words(tmp_path: Path) -> None:
    for name, words in (("guest-2", WORDS[0]), ("guest-1", WORDS[1])):
        with WavWriter(tmp_path / f"{name}.wav") as file:
            file.append(tone("guest", words * 3))
    (tmp_path / "guest-2.txt").write_text("Good evening.\n")
    person = StandIn(GUEST, tmp_path)
    given = await person.deliver(line("guest-2"), print)
    assert (given.audio, given.words) == (tone("guest", WORDS[0] * 3), "Good evening.")
    assert (await person.deliver(line(), print)).words == "Words."
    missing = await person.deliver(line("guest-3"), print)
    assert (missing.audio, missing.words) == (Pcm(), "")
    assert person.takes() == [tone("guest", WORDS[1] * 3), tone("guest", WORDS[0] * 3)]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


async def test_a_typist_is_shown_the_words_and_may_type_others(pipe: tuple[int, int]) -> None:
    shown: list[PersonPrompted] = []
    person = Typist(replace(GUEST, human="tty"), fd=pipe[0])
    os.write(pipe[1], b"\nSomething else\n")
    assert (await person.deliver(line(), shown.append)).words == "Words."
    assert (await person.deliver(line(), shown.append)).words == "Something else"
    assert shown[0] == PersonPrompted("guest", "guest-1", "Words.", typed=True)
    waits = replace(line(), timeout_s=2.0)
    assert (await person.deliver(waits, shown.append)).words == ""
    assert person.takes() == []


def microphone(audio: Pcm, opened: list[float]) -> Callable[[], object]:
    """A device that hears a sound, in real time, again and again."""

    @asynccontextmanager
    async def listen() -> AsyncIterator[AsyncIterator[Pcm]]:
        async def blocks() -> AsyncGenerator[Pcm, None]:
            at = 0
            while True:
                await anyio.sleep(0.04)
                yield audio[at : at + 960] if at < len(audio) else Pcm.silence(960)
                at += 960

        opened.append(anyio.current_time())
        heard = blocks()
        yield heard
        await heard.aclose()

    return listen


async def test_a_speaker_is_counted_down_and_heard_until_it_has_spoken() -> None:
    shown: list[PersonPrompted] = []
    opened: list[float] = []
    began = anyio.current_time()
    words = tone("guest", WORDS[0] * 3)
    person = Speaker(GUEST, microphone(Pcm.join([Pcm.silence(RATE), words]), opened))  # type: ignore[arg-type]
    given = await person.deliver(line(), shown.append)
    assert [prompt.in_s for prompt in shown] == [3, 2, 1, 0]
    assert opened == [began + 3]
    assert is_in(words, given.audio)
    assert given.audio.duration_s < words.duration_s + 0.5
    assert anyio.current_time() - began < 3 + 1 + words.duration_s + 2
    assert given.words == "Words."
    assert person.takes() == []


async def test_a_speaker_who_says_nothing_is_not_waited_for_for_ever() -> None:
    person = Speaker(GUEST, microphone(Pcm(), []))  # type: ignore[arg-type]
    began = anyio.current_time()
    assert not (await person.deliver(line(), print)).audio
    assert 30 <= anyio.current_time() - began <= 34


# ---- in the booth's page


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


async def test_who_plays_in_a_page_is_heard_until_it_has_spoken() -> None:
    words, person = tone("guest", WORDS[0] * 3), PageSpeaker(GUEST)
    person.hear(words)  # before anybody listens
    assert not person.is_asked

    async def speak() -> None:
        await anyio.sleep(4)
        for at in range(0, len(words), 480):
            person.hear(words[at : at + 480])
            await anyio.sleep(0.02)

    async with anyio.create_task_group() as group:
        group.start_soon(speak)
        given = await person.deliver(line(), print)
    assert given.words == "Words."
    assert is_in(words, given.audio)
    assert given.audio.duration_s < words.duration_s + 0.5


@pytest.mark.parametrize("after_s", [1, 5])
async def test_who_plays_in_a_page_may_type_the_line(after_s: float) -> None:
    person = PageSpeaker(GUEST)

    async def write() -> None:
        await anyio.sleep(after_s)
        assert person.is_asked
        person.write("Good night.")

    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(write)
        given = await person.deliver(line(), print)
    assert (given.words, given.audio) == ("Good night.", Pcm())
    assert anyio.current_time() - began < 6
    assert not person.is_asked


async def test_who_plays_in_a_page_says_when_it_is_over() -> None:
    words, person = tone("guest", WORDS[0] * 3), PageSpeaker(GUEST)

    async def speak() -> None:
        await anyio.sleep(4)
        person.hear(words)
        person.finish()

    async with anyio.create_task_group() as group:
        group.start_soon(speak)
        given = await person.deliver(line(), print)
    assert is_in(words, given.audio)


async def test_a_page_that_sends_nothing_is_silent() -> None:
    person = PageSpeaker(GUEST)
    began = anyio.current_time()
    assert not (await person.deliver(line(), print)).audio
    assert 30 <= anyio.current_time() - began <= 34


async def test_a_conversation_in_a_page_is_spoken_and_typed_until_it_is_closed(house: Playhouse) -> None:
    plan = plan_of("""
players:
  ann: {voice: ash, turn_detection: {type: server_vad, silence: 400ms}}
  guest: {human: booth}
lines:
  - listen: {player: ann, from: guest, key: q}
""")
    words, person = tone("guest", WORDS[0] * 3), PageSpeaker(plan.player("guest"))
    house.understudy.known_speech.teach(words, WORDS[0])

    async def converse() -> None:
        while not person.is_asked:  # noqa: ASYNC110 - a page looks at what it is shown
            await anyio.sleep(0.1)
        for at in range(0, len(words), 480):
            person.hear(words[at : at + 480])
            await anyio.sleep(0.02)
        await anyio.sleep(8)
        person.write(WORDS[1])
        await anyio.sleep(8)
        person.finish()

    async with anyio.create_task_group() as group:
        group.start_soon(converse)
        take = await house.perform(plan, people={"guest": person})
    assert take.ended == "complete"
    assert [(line.player, line.human) for line in take.lines] == [("guest", True), ("ann", False)] * 2
    spoken, _, typed, answer = take.lines
    assert (spoken.said, typed.said) == (WORDS[0], WORDS[1])
    assert (spoken.samples > 0, typed.samples, answer.samples > 0) == (True, 0, True)
    assert take.warnings == ()


async def test_a_part_in_the_booth_needs_a_booth() -> None:
    plan = plan_of("players: {ann: , guest: {human: booth}}\nlines: [guest: Hello., ann: Hello.]")
    with pytest.raises(UsageError, match=r"player guest speaks in the booth, but this performance has no booth"):
        people_of(plan)
    assert isinstance(people_of(plan, booth=True)["guest"], PageSpeaker)


# ---- on stage

PEOPLE = """
players: {ann: , guest: {human: %s}}
lines:
  - ann: Who is there?
  - guest: (shy) Good evening, where is the station?
  - ann:
    improvise:
"""


async def test_a_person_is_a_player_like_any_other(house: Playhouse) -> None:
    take = await house.perform(PEOPLE % "sounds/guest.wav")
    asks, guest, answer = take.lines
    assert (guest.human, guest.said, guest.direction) == (
        True,
        "Good evening, where is the station? Thank you, is it far from here?",
        "shy",
    )
    assert house.heard("ann") == ["guest-1"]
    assert [hearing.player for hearing in guest.hearers] == ["ann"]
    assert asks.hearers == ()
    assert answer.said
    assert guest.cost.total == 0
    stem = house.stem("guest")
    assert stem[guest.offset_samples : guest.offset_samples + guest.samples] == house.file(guest)
    ann, person = take.players
    assert (person.human, person.sessions, person.endpoint, person.status) == ("sounds/guest.wav", (), "", "played")
    assert take.provider == "understudy"
    assert list(house.sockets) == ["ann"]
    assert ann.human is None


async def test_who_says_nothing_is_passed_over_and_told(house: Playhouse) -> None:
    scene = (PEOPLE % "sounds/guest.wav") + "  - guest: Again.\n  - guest: And again.\n"
    plan = plan_of(scene)
    person = people_of(plan_of(PEOPLE % "sounds/guest.wav"))
    take = await house.perform(plan, people=person)
    assert (take.ended, len(take.lines)) == ("complete", 3)
    assert take.warnings == (
        "line guest-2, player guest: nobody spoke; the scene continued without the line",
        "line guest-3, player guest: nobody spoke; the scene continued without the line",
    )


async def test_what_is_typed_is_heard_as_words(house: Playhouse, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"Nobody.\n")
    plan = plan_of(PEOPLE % "tty")
    send, receive = anyio.create_memory_object_stream[Event](1000)
    take = await house.perform(plan, people={"guest": Typist(plan.player("guest"), fd=pipe[0])}, watch=send)
    send.close()
    async with receive:
        news = [item async for item in receive]
    assert PersonPrompted("guest", "guest-1", "Good evening, where is the station?", "shy", typed=True) in news
    assert (take.lines[1].said, take.lines[1].file) == ("Nobody.", None)
    assert "user: Nobody." in house.items("ann")


def test_the_words_beside_a_recording_are_known_to_the_understudy() -> None:
    known = {words: audio for audio, words in known_words(plan_of(PEOPLE % "sounds/guest.wav"))}
    assert list(known) == ["Good evening, where is the station?", "Thank you, is it far from here?"]
    assert all(1 < audio.duration_s < 3 for audio in known.values())


def test_words_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "guest.wav") as file:
        file.append(speech("Hm."))
    (tmp_path / "guest.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"cannot read the words of guest\.wav"):
        people_of(plan_of(PEOPLE % str(tmp_path / "guest.wav")))


def test_recordings_stand_in_where_nobody_is_there_or_where_it_is_wished() -> None:
    scene = (PEOPLE % "tty").replace("human: tty", "human: tty, stand_in: sounds/traveller")
    assert isinstance(people_of(plan_of(scene), stand_in=True)["guest"], StandIn)
    assert isinstance(people_of(plan_of(PEOPLE % "tty"), stand_in=True)["guest"], Typist)
    assert isinstance(people_of(plan_of(scene))["guest"], StandIn)  # under pytest nobody sits at a terminal


def test_text_that_is_piped_in_while_recordings_play_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with_recordings = plan_of((PEOPLE % "tty").replace("human: tty", "human: tty, stand_in: sounds/traveller"))
    read, write = os.pipe()
    with os.fdopen(write, "w"), os.fdopen(read) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        [told] = unread_input(with_recordings)
        assert told.startswith("player guest: the recordings in sounds/traveller are played because standard input is")
        assert not [*unread_input(plan_of(PEOPLE % "tty"))]
    with Path(os.devnull).open() as empty:
        monkeypatch.setattr(sys, "stdin", empty)
        assert not [*unread_input(with_recordings)]
    monkeypatch.setattr(sys, "stdin", None)
    assert not [*unread_input(with_recordings)]


def test_a_sound_of_the_scene_that_is_none_is_told_before_anybody_opens(tmp_path: Path, house: Playhouse) -> None:
    (tmp_path / "door.wav").write_text("this is no sound")
    scene = f"players: {{ann: }}\nlines: [{{sfx: {tmp_path}/door.wav}}, ann: One.]"
    with pytest.raises(SceneError, match="cannot read this file as audio"):
        anyio.run(house.perform, scene)
    assert house.sockets == {}


def test_the_sounds_of_the_repository_are_what_their_words_say() -> None:
    for words in sorted((SCENES / "sounds").rglob("*.txt")):
        assert words.with_suffix(".wav").is_file()
        assert words.read_text().strip()


async def test_a_line_that_nobody_spoke_is_a_failure_that_cues_hear_of(house: Playhouse) -> None:
    plan = plan_of(PEOPLE % "sounds/guest.wav" + "  - guest: Again.\non: [{error: guest, do: [ann: Gone.]}]\n")
    people = people_of(plan_of(PEOPLE % "sounds/guest.wav"))
    take = await house.perform(plan, people=people)
    assert [entry.id for entry in take.lines][-1] == "cue-1-ann-1"
    assert len(house.facts(record.LineLost)) == 1


def test_silence_is_no_utterance() -> None:
    assert Recorded(GUEST, Pcm.from_array(np.zeros(RATE, np.int16)), last="").takes() == []
