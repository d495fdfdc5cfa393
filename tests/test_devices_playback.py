"""The performance aloud: what is heard is what the stems hold, in its order and at its pace."""

from __future__ import annotations

from pathlib import Path

import anyio
import numpy as np
import pytest

from tau_stage.audio.files import read_audio
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.devices.playback import Playback
from tau_stage.scene.plan import LinePlan
from tau_stage.stage.people import PersonTurn, Show, Speaker
from tau_stage.understudy import faults as fault
from tests.support.in_memory_stage import SCENES, Playhouse, plan_of
from tests.support.tone_voice import tone
from tests.support.virtual_loudspeaker import Room
from tests.test_stage_open_mic import ASKED, REAL, recording, scene
from tests.test_stage_steps import HEAD, LONG


@pytest.fixture
def house(tmp_path: Path) -> Playhouse:
    return Playhouse(tmp_path)


@pytest.fixture
def room() -> Room:
    return Room()


def mix(house: Playhouse) -> Pcm:
    """All stems over each other."""
    stems = [house.stem(file.stem).array.astype(np.int32) for file in sorted(house.folder.stems.glob("*.wav"))]
    return Pcm.from_array(np.sum(stems, axis=0).clip(-32_768, 32_767).astype(np.int16))


def differs(one: Pcm, other: Pcm) -> int:
    """By how much two sounds of one length differ at most."""
    assert len(one) == len(other)
    return int(np.abs(one.array.astype(np.int32) - other.array).max())


# ---- what is written


@pytest.mark.parametrize(
    "lines",
    [
        "[ann: One., bob: Two and three., ann: Four.]",
        "[ann: One., pause: 2s, bob: Two., {sfx: sounds/mug.wav}, ann: Three.]",
        "[ann: One., {together: [{ann: Two and three.}, {bob: Four.}, {sfx: sounds/mug.wav}]}, cid: Five.]",
    ],
)
async def test_what_is_heard_is_what_the_stems_hold(house: Playhouse, room: Room, lines: str) -> None:
    take = await house.perform(HEAD + f"lines: {lines}", loudspeaker=room)
    assert take.ended == "complete"
    stems = mix(house)
    assert room.heard[: len(stems)] == stems
    assert room.heard[len(stems) :] == Pcm.silence(round(0.3 * RATE))
    assert room.flushed == 0


async def test_the_scene_goes_on_at_the_pace_it_is_heard(house: Playhouse, room: Room) -> None:
    text = HEAD + f"limits: {{start_rate: 100/s}}\nlines: [ann: '{LONG}', pause: 5s, bob: '{LONG}']"
    began = anyio.current_time()
    take = await house.perform(text, loudspeaker=room)
    assert anyio.current_time() - began == pytest.approx(take.samples / RATE, abs=0.5)


async def test_who_cuts_in_is_heard_over_the_line_which_stops(house: Playhouse, room: Room) -> None:
    cutting = "{bob: Stop it at once!, cut_in: {on: ann, after: 901ms, overlap: 150ms}}"
    take = await house.perform(HEAD + f"lines: [ann: '{LONG}', {cutting}, ann: So.]", loudspeaker=room)
    assert take.lines[0].samples == round(1.051 * RATE)
    stems = mix(house)
    assert room.heard[: len(stems)] == stems
    assert room.flushed > 0


async def test_a_bed_lies_under_the_lines(house: Playhouse, room: Room) -> None:
    lines = "[ann: One., {bed: sounds/rain.wav, gain: -20 dB, until: bob-1}, bob: Two and three and four., ann: Five.]"
    take = await house.perform(HEAD + f"lines: {lines}", loudspeaker=room)
    stems, end = mix(house), take.lines[1].offset_samples + take.lines[1].samples
    steady = end - RATE // 10  # the stem fades before the bed's end, the loudspeaker after it
    assert differs(room.heard[:steady], stems[:steady]) <= 1
    assert room.heard[end : end + RATE // 10] != stems[end : end + RATE // 10]
    assert room.heard[end + RATE // 10 : len(stems)] == stems[end + RATE // 10 :]


async def test_a_line_that_is_asked_for_again_is_taken_back(tmp_path: Path, room: Room) -> None:
    house = Playhouse(tmp_path, faults=[fault.FailResponses(times=1, code="server_error", message="Sorry.")])
    take = await house.perform(HEAD + "lines: [ann: One two three., bob: Four.]", loudspeaker=room)
    assert take.lines[0].attempts == 2
    stems = mix(house)
    assert room.heard[: len(stems)] == stems


# ---- people


async def test_recordings_of_people_are_heard(house: Playhouse, tmp_path: Path, room: Room) -> None:
    text = scene(recording(tmp_path, *ASKED)).replace("  - listen: {player: ann, from: guest}\n", "")
    await house.perform(text + "  - ann: Yes?\n  - guest: Where is it?\n  - bob: There.\n", loudspeaker=room)
    stems = mix(house)
    assert room.heard[: len(stems)] == stems


class Guest(Speaker):
    """Somebody who is there, and speaks for a second when the room is silent."""

    def __init__(self, room: Room) -> None:
        self.name = "guest"
        self._room = room

    async def deliver(self, line: LinePlan, show: Show) -> PersonTurn:
        del show
        assert self._room.waiting_s == pytest.approx(0, abs=1e-6)
        await anyio.sleep(1)
        return PersonTurn(tone("guest", "x" * 50), line.words)


async def test_who_is_there_is_not_played_and_not_spoken_over(house: Playhouse, room: Room) -> None:
    text = scene("mic").replace("  - listen: {player: ann, from: guest}\n", "")
    plan = plan_of(text + "  - ann: Yes?\n  - guest: Where is it?\n  - bob: There.\n")
    take = await house.perform(plan, people={"guest": Guest(room)}, loudspeaker=room)
    yes, _, there = take.lines
    pause = Pcm.silence(round(0.3 * RATE))
    assert room.heard == Pcm.join([house.file(yes), pause, pause, house.file(there), pause])


# ---- an open microphone


async def test_an_answer_is_heard_as_it_comes_and_the_person_is_not(
    house: Playhouse, tmp_path: Path, room: Room
) -> None:
    file = recording(tmp_path, *ASKED[:2], silence_s=4.0)
    text = scene(file, REAL).replace(f"human: {file}", f"human: {file}, pace: realtime")
    take = await house.perform(text, loudspeaker=room)
    answers = [house.file(line) for line in take.lines if line.player == "ann"]
    assert len(answers) == 2
    assert room.heard[: sum(map(len, answers))] == Pcm.join(answers)
    assert room.flushed == 0


async def test_who_speaks_into_an_answer_silences_it(house: Playhouse, tmp_path: Path, room: Room) -> None:
    file = recording(tmp_path, *ASKED[:2], silence_s=0.7)
    text = scene(file, REAL).replace(f"human: {file}", f"human: {file}, pace: realtime")
    take = await house.perform(text, loudspeaker=room)
    first, second = (line for line in take.lines if line.player == "ann")
    assert first.reason == "turn_detected"
    assert room.flushed > 0
    heard = room.heard[: first.samples + second.samples]
    assert heard == Pcm.join([house.file(first), house.file(second)])


async def test_a_recording_at_an_open_microphone_is_heard_with_its_answers(
    house: Playhouse, tmp_path: Path, room: Room
) -> None:
    take = await house.perform(scene(recording(tmp_path, *ASKED[:2]), after="  - bob: So.\n"), loudspeaker=room)
    sound = room.heard.data
    places = [sound.find(house.file(line).data) for line in take.lines if line.player != "guest"]
    places += [sound.find(tone("guest", words).data) for words in ASKED[:2]]
    assert -1 not in places
    one, two, so, asked, again = places
    assert asked < one < again < two < so


async def test_another_voice_waits_until_the_answer_is_over(house: Playhouse, tmp_path: Path, room: Room) -> None:
    file = recording(tmp_path, "I want the lamp, please.", silence_s=8.0)
    further = """
tools:
  lamp: {description: The listener wants the lamp., returns: {ok: true}}
on:
  - call: {player: ann, tool: lamp}
    do: [bob: Let there be light.]
"""
    text = scene(file, REAL, further=further).replace(f"human: {file}", f"human: {file}, pace: realtime")
    take = await house.perform(text, loudspeaker=room)
    sounds = [house.file(line) for line in take.lines if not line.human]
    assert len(sounds) == 2
    assert all(sound.data in room.heard.data for sound in sounds)


# ---- the sound itself


async def test_what_comes_too_late_for_its_place_is_heard_at_once(room: Room) -> None:
    playback = Playback(room)
    first, late = tone("a", "x" * 50), tone("b", "y" * 100)
    playback.play(first, 0)
    await anyio.sleep(0.5)
    playback.play(late, RATE // 4)
    half = RATE // 2
    over = Pcm.from_array((first[half:].array + late[:half].array).astype(np.int16))
    assert room.heard == Pcm.join([first[:half], over, late[half:]])
    playback.play(first, RATE // 4 + len(late) + 100)
    assert room.heard[half + len(late) :] == Pcm.join([Pcm.silence(100), first])


async def test_voices_are_heard_one_after_another(room: Room) -> None:
    playback = Playback(room)
    one, two = playback.voice(), playback.voice()
    for voice, words in ((one, "a"), (two, "b"), (one, "c"), (two, "d")):
        voice.append(tone("x", words))
    two.finish()
    assert room.heard == Pcm.join([tone("x", "a"), tone("x", "c")])
    one.finish()
    assert room.heard == Pcm.join(tone("x", words) for words in "acbd")


async def test_an_attempt_is_taken_back_as_far_as_it_was_not_heard(room: Room) -> None:
    playback = Playback(room)
    playback.play(tone("x", "x" * 10), 0)
    voice = playback.voice(lambda: 10_000)
    voice.append(tone("y", "y" * 50))
    await anyio.sleep(0.5)
    heard = room.heard[: RATE // 2]
    voice.restart()
    assert room.heard == heard
    voice.append(tone("z", "z" * 10))
    voice.finish()
    assert room.heard == Pcm.join([heard, tone("z", "z" * 10)])


async def test_without_a_loudspeaker_nothing_is_waited_for() -> None:
    playback = Playback()
    began = anyio.current_time()
    playback.play(read_audio(SCENES / "sounds/mug.wav"), 0)
    playback.voice().append(Pcm.silence(RATE))
    playback.mute()
    await playback.wait_until(RATE)
    assert anyio.current_time() == began
