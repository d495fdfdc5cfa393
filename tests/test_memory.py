"""What stays in memory of what was said: counted in objects and samples, which no allocator changes."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.errors import SessionClosed
from tau_stage.protocol.client_events import conducted
from tau_stage.protocol.responses import AudioChunk
from tau_stage.protocol.server_events import EVENT_TYPES, AudioDelta
from tau_stage.session import Session, open_session
from tau_stage.session.waiting import RECENT
from tau_stage.stage.takes import one_of
from tau_stage.transport import MemoryTransport, Transport

PIECES = 300
PIECE = Pcm(b"\x10\x20" * 240)


EVENTS = frozenset(EVENT_TYPES.values())


def samples_alive() -> int:
    """The samples of all sound that somebody still holds, each once."""
    return sum({id(found.data): len(found) for found in gc.get_objects() if type(found) is Pcm}.values())


def events_alive() -> Counter[type[object]]:
    """How many events of a server somebody still holds, by their kind."""
    return Counter(kind for kind in map(type, gc.get_objects()) if kind in EVENTS)


async def serve_long_answers(transport: Transport) -> None:
    """Answer each request with a long sound, each piece of it in an event with some words beside it."""
    await transport.send(b'{"type":"session.created","event_id":"e0","session":{"id":"s","type":"realtime"}}')
    answers = 0
    while True:
        asked = json.loads(await transport.receive())
        if asked["type"] == "session.update":
            await transport.send(json.dumps({"type": "session.updated", "session": asked["session"]}).encode())
        if asked["type"] != "response.create":
            continue
        answers += 1
        response = {"id": f"r{answers}", "metadata": asked["response"]["metadata"]}
        place = {"response_id": response["id"], "item_id": f"i{answers}", "output_index": 0, "content_index": 0}
        await transport.send(json.dumps({"type": "response.created", "response": response}).encode())
        for number in range(PIECES):
            sound = {"delta": PIECE.base64.decode(), "event_id": f"a{answers}.{number}"}
            await transport.send(json.dumps({"type": "response.output_audio.delta", **place, **sound}).encode())
            words = {"delta": "la ", "event_id": f"w{answers}.{number}"}
            kind = "response.output_audio_transcript.delta"
            await transport.send(json.dumps({"type": kind, **place, **words}).encode())
        await transport.send(json.dumps({"type": "response.output_audio.done", **place}).encode())
        done = {"type": "response.done", "response": response | {"status": "completed", "output": []}}
        await transport.send(json.dumps(done).encode())


async def serve(transport: Transport) -> None:
    with suppress(SessionClosed):
        await serve_long_answers(transport)


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    gc.collect()  # what other tests have left
    gc.freeze()  # and what they hold: it is not looked at again
    ours, theirs = MemoryTransport.pair()
    async with anyio.create_task_group() as group:
        group.start_soon(serve, theirs)
        async with open_session(ours, conducted(voice="ash", instructions=""), keeps_audio=False) as opened:
            yield opened
        group.cancel_scope.cancel()


async def test_a_session_keeps_no_sound_but_the_last_piece(session: Session) -> None:
    before, others = samples_alive(), events_alive()
    response = await session.response()
    assert len(response.audio) == PIECES * len(PIECE)
    assert samples_alive() - before == len(response.audio)
    assert (events_alive() - others)[AudioDelta] <= 1
    del response
    assert samples_alive() == before
    for _ in range(2):
        await session.response()
    assert samples_alive() == before
    assert (events_alive() - others).total() <= RECENT + 1


async def test_the_last_piece_of_sound_that_came_can_still_be_waited_for(session: Session) -> None:
    await session.response()
    event = await session.wait_for("response.output_audio.delta")
    assert event.event_id == f"a1.{PIECES - 1}"


async def test_a_response_that_is_followed_is_in_memory_twice_at_the_most(session: Session) -> None:
    """In pieces while it comes, and whole."""
    before, most = samples_alive(), 0
    stream = await session.speak()
    heard = 0
    async for change in stream:
        if isinstance(change, AudioChunk):
            heard += len(change.audio)
            if heard % (100 * len(PIECE)) == 0:
                most = max(most, samples_alive() - before - heard)
    assert most <= 16 * len(PIECE)  # what has come and nobody has looked at
    response = await stream.finished()
    assert samples_alive() - before <= len(response.audio) + len(PIECE)


def test_pieces_of_a_whole_are_the_whole_and_others_are_joined() -> None:
    pieces = [Pcm(b"ab"), Pcm(b"cdef")]
    whole = Pcm.join(pieces)
    assert one_of(pieces, whole) is whole
    for other in (Pcm(b"abcdeg"), Pcm(b"abcdefgh"), Pcm()):
        assert one_of(pieces, other) == whole
    assert one_of([], Pcm(b"ab")) == Pcm()
