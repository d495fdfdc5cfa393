"""Sound that follows sound is read without its event: what comes of it is what would come of the events."""

from __future__ import annotations

import base64
import json
import random
from contextlib import AsyncExitStack, suppress
from typing import Any

import anyio
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import SessionClosed
from tau_stage.protocol.client_events import conducted
from tau_stage.protocol.decoding import SoundFrames, decode
from tau_stage.protocol.responses import AudioChunk, ResponseChange, TextChunk
from tau_stage.protocol.server_events import AudioDelta
from tau_stage.session import ResponseStream, Session, open_session
from tau_stage.transport import MemoryTransport
from tests.support.counted_calls import counted_calls

SOUND = "response.output_audio.delta"


def frame(kind: str, *, spaced: bool = False, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields}, separators=(", ", ": ") if spaced else (",", ":")).encode()


def sound(dice: random.Random, number: int) -> bytes:
    """A delta of sound: mostly as the one before, now and then odd in some way."""
    data = base64.b64encode(dice.randbytes(2 * dice.randrange(40))).decode()
    fields: dict[str, Any] = {"event_id": f"e{number}", "response_id": "r1", "item_id": "i1", "output_index": 0}
    kind, spaced = SOUND, False
    match dice.randrange(45):
        case 0:
            data = base64.urlsafe_b64encode(dice.randbytes(33)).decode().rstrip("=")
        case 1:
            data = "no base64, at all!"
        case 2:
            data = base64.b64encode(dice.randbytes(7)).decode()  # half a sample
        case 3:
            fields["item_id"] = "i2"
        case 4:
            fields["response_id"] = "r2"
        case 5:
            fields["event_id"] = f"e{number - 1}"
        case 6:
            fields["event_id"] = 'e"\\u00e9\\'
        case 7:
            kind = "response.audio.delta"
        case 8:
            spaced = True
        case 9:
            data = base64.b64encode(b"RIFF" + dice.randbytes(8)).decode()
        case 10:
            del fields["event_id"]
        case 11:
            return frame(kind, delta=data, **fields)[:-9] + b'"}'
        case 12:
            return frame(kind, **fields, delta=data) + b"\n" + frame(kind, **fields, delta=data)
        case 13:
            return frame(kind, **fields, delta=data, obfuscation="xyz")
        case 14:
            return frame(kind, **fields, delta=None, audio=data)
        case 16:
            fields["item_id"], data = "i3", "AA=="
        case 15:
            fields["about"] = {"delta": data, "event_id": "inner"}
    return frame(kind, spaced=spaced, **fields, delta=data)


def others(dice: random.Random, number: int) -> bytes:
    """An event that may come between sounds."""
    place: dict[str, Any] = {"event_id": f"e{number}", "response_id": dice.choice(["r1", "r1", "r2"]), "item_id": "i1"}
    message: dict[str, Any] = {"id": dice.choice(["i1", "i2"]), "type": "message", "role": "assistant", "content": []}
    return dice.choice(
        [
            frame("response.output_audio_transcript.delta", **place, delta="word "),
            frame("response.output_audio_transcript.delta", **place | {"item_id": "i2"}, delta="word "),
            frame("response.output_audio_transcript.delta", **place, delta="more "),
            frame("response.output_audio.done", **place),
            frame("response.output_item.added", response_id="r1", item=message),
            frame("response.output_item.done", response_id="r1", item=message),
            frame("response.created", response={"id": place["response_id"], "status": "in_progress"}),
            frame("error", error={"message": "inference failed"}),
            frame("rate_limits.updated", rate_limits=[]),
            frame("response.done", response={"id": place["response_id"], "status": "completed", "output": []}),
        ]
    )


async def taken_in(frames: list[bytes], *, watched: bool) -> dict[str, Any]:
    """What a session knows after these frames; where its events are watched, it makes each of them."""
    ours, server = MemoryTransport.pair()
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(_serve, server)
        session: Session = await stack.enter_async_context(open_session(ours, conducted(voice="ash")))
        if watched:
            await stack.enter_async_context(session.events())
        ended = await stack.enter_async_context(session.responses())
        changes: list[Any] = []
        stream = await session.speak()

        async def follow() -> None:
            changes.extend([change async for change in stream])
            changes.append(await stream.finished())

        group.start_soon(follow)
        await server.send(frame("response.created", response={"id": "r1", "status": "in_progress"}))
        for each in frames:
            await server.send(each)
        await server.send(frame("response.done", response={"id": "r1", "status": "completed", "output": []}))
        await anyio.sleep(90)
        conversation, playback = session.conversation, session.state.playback
        found = {
            "changes": changes,
            "odd": dict(conversation.odd),
            "active": conversation.active,
            "ended": [each async for each in _waiting(ended)],
            "playback": playback and (playback.item_id, playback.samples),
            "warnings": session.warnings,
        }
        group.cancel_scope.cancel()
    return found


async def _serve(server: MemoryTransport) -> None:
    """Open the session, and read what it sends."""
    await server.send(frame("session.created", session={"id": "s"}))
    await server.receive()
    await server.send(frame("session.updated", session={"id": "s"}))
    with suppress(SessionClosed):
        while True:
            await server.receive()


async def _waiting(watch: Any) -> Any:
    with anyio.move_on_after(1):
        async for each in watch:
            yield each


@pytest.mark.parametrize("seed", range(16))
async def test_a_session_makes_the_same_of_sound_whether_or_not_it_makes_the_events(seed: int) -> None:
    dice = random.Random(seed)
    frames = [sound(dice, n) if dice.random() < 0.8 else others(dice, n) for n in range(60)]
    assert await taken_in(frames, watched=False) == await taken_in(frames, watched=True)


async def test_sound_that_follows_sound_makes_no_event_whatever_words_come_between() -> None:
    """Counted, so that it cannot flake."""
    place: dict[str, Any] = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
    frames = []
    for number in range(40):
        frames.append(frame(SOUND, event_id=f"s{number}", **place, delta="AAEC"))
        if number % 2:
            frames.append(frame("response.output_audio_transcript.delta", event_id=f"w{number}", **place, delta="la "))
    with counted_calls("Python") as calls:
        found = await taken_in(frames, watched=False)
    assert calls["take_sound"] == 39
    assert calls["parse_json"] == 25  # the first sound, the words, and what opens and ends
    assert found["changes"][-1].audio.data == b"\x00\x01\x02" * 40


async def test_sound_is_found_by_who_waits_for_its_event() -> None:
    ours, server = MemoryTransport.pair()
    async with anyio.create_task_group() as group:
        group.start_soon(_serve, server)
        async with open_session(ours, conducted(voice="ash")) as session:
            stream = await session.speak()
            for number in range(3):
                await server.send(frame(SOUND, event_id=f"s{number}", response_id="r", item_id="i", delta="AAEC"))
            await anyio.sleep(0.1)
            found = await session.wait_for(SOUND)
            assert (found.event_id, type(found)) == ("s2", AudioDelta)
            await server.send(frame(SOUND, event_id="s3", response_id="r", item_id="i", delta="AwQF"))
            assert (await session.wait_for(SOUND)).event_id == "s3"
            server.drop()
        group.cancel_scope.cancel()
    del stream


def test_frames_of_sound_are_read_as_they_are_decoded_or_not_at_all() -> None:
    """Frames that are spoiled anywhere: what is read at all of them is what they say."""
    dice = random.Random(7)
    read = 0
    for number in range(4000):
        frames = SoundFrames()
        first = frame(SOUND, event_id="e1", response_id="r1", item_id="i1", delta="AAEC", spaced=bool(number % 3))
        other = bytearray(
            frame(SOUND, event_id="e2", response_id="r1", item_id="i1", delta="AQID", spaced=bool(number % 3))
        )
        for _ in range(dice.randrange(3)):
            at = dice.randrange(len(other))
            match dice.randrange(3):
                case 0:
                    other[at] = dice.choice(b'"\\{}[]:, 7aA=\xc3\n')
                case 1:
                    del other[at : at + dice.randrange(12)]
                case _:
                    other[at:at] = other[dice.randrange(len(other)) :][: dice.randrange(30)]
        frames.learn(first)
        if (found := frames.read(bytes(other))) is not None:
            read += 1
            event = decode(bytes(other))
            assert isinstance(event, AudioDelta)
            assert (event.response_id, event.item_id) == ("r1", "i1")
            assert found == (event.event_id, base64.b64decode(event.delta, validate=True))
    assert read > 1000


async def test_sound_that_waits_is_taken_at_once_up_to_words_or_another_item() -> None:
    def chunk(item: str, number: int, *, commentary: bool = False) -> AudioChunk:
        return AudioChunk("r", item, Pcm(bytes([number, 0])), commentary)

    stream = ResponseStream(idle_s=1)
    told: list[ResponseChange] = [
        *(chunk("i", n) for n in range(20)),
        TextChunk("r", "i", "la", spoken=True),
        chunk("i", 20),
    ]
    told += [chunk("i", 21), chunk("i", 22, commentary=True), chunk("j", 23)]
    for change in told:
        stream.add(change)
    taken = []
    for _ in range(5):
        change = await anext(stream)
        taken.append(stream.with_waiting_sound(change) if isinstance(change, AudioChunk) else change)
    sounds = [Pcm(bytes(each for n in numbers for each in (n, 0))) for numbers in (range(20), (20, 21), (22,), (23,))]
    assert taken == [sounds[0], told[20], *sounds[1:]]
