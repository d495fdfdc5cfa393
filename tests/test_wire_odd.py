"""Servers that end responses otherwise, speak no JSON, or send files: no line is lost, and their words are told."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import anyio
import pytest

from tau_stage.errors import ConnectFailed, ModelRefused, Timeout
from tests.support.tampering_server import SAID, Event, Tampering, on, performed, said, talking
from tests.support.tone_voice import tone
from tests.test_protocol_sounds import wav
from tests.test_session import scripted

LINE = 'Perform this line: "Hello there."'
SOON_S = 1.5


def renamed(kind: str, *, whole: bool = True) -> Any:
    """The end of a response as an event of another type."""

    def told(event: Event) -> Event:
        keeps = event["response"] if whole else {"id": event["response"]["id"]}
        return event | {"type": kind, "response": keeps}

    return on("response.done", told)


@pytest.mark.parametrize("kind", ["response.completed", "Response.Done", "response_done"])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_line_ends_whatever_its_end_is_called(kind: str, whole: bool, tmp_path: Path) -> None:
    began = anyio.current_time()
    take = await performed(Tampering(renamed(kind, whole=whole)), tmp_path)
    assert (take.ended, said(take)) == ("complete", SAID)
    assert anyio.current_time() - began < 10
    assert take.warnings == (f"understudy: {kind} is treated as response.done",)
    assert (take.cost.total is not None) is whole
    assert all(line.samples for line in take.lines)


@pytest.mark.parametrize("kind", ["response.failed", "response.error"])
@pytest.mark.parametrize("place", ["response", "event"])
async def test_a_failure_under_another_name_is_told_at_once_in_the_servers_words(kind: str, place: str) -> None:
    words: Event = {"error": {"code": "model_gone", "message": "The GPU caught fire."}}
    failure: Event = {"type": kind} | ({"response": words} if place == "response" else words)
    async with talking(Tampering(breaks_off("response.output_item.added", failure))) as session:
        await session.user(LINE)
        began = anyio.current_time()
        response = await session.response()
        assert (response.status, response.reason, response.message) == ("failed", "model_gone", "The GPU caught fire.")
        assert anyio.current_time() - began < SOON_S


async def test_a_failed_line_says_why_in_the_servers_words(tmp_path: Path) -> None:
    failure = {"type": "response.error", "message": "The GPU caught fire."}
    take = await performed(Tampering(breaks_off("response.output_item.added", failure)), tmp_path)
    assert take.ended == "failed"
    assert "The GPU caught fire." in take.problem


def breaks_off(kind: str, *frames: Event | bytes) -> Any:
    """Frames come in the place of the first event of a type, and nothing more after them."""
    is_over = False

    def told(event: Event) -> list[Event | bytes]:
        nonlocal is_over
        if not is_over and event["type"] == kind:
            is_over = True
            return list(frames)
        return [] if is_over else [event]

    return told


@pytest.mark.parametrize(
    "frame",
    [
        b"<html><head><title>502 Bad Gateway</title></head><body>The GPU caught fire.</body></html>",
        b"Error: The GPU caught fire.",
        b'"Internal error: The GPU caught fire."',
        b'["error", "The GPU caught fire."]',
        b'{"detail": "The GPU caught fire."}',
        b'{"type": "server.error", "message": "The GPU caught fire."}',
    ],
)
@pytest.mark.parametrize("kind", ["session.created", "response.created", "response.output_audio.delta"])
async def test_words_that_are_no_event_reach_whoever_they_are_about_at_once(kind: str, frame: bytes) -> None:
    began = anyio.current_time()
    try:
        async with talking(Tampering(breaks_off(kind, frame))) as session:
            await session.user(LINE)
            response = await session.response()
            told = response.message
            assert (kind, response.status) == ("response.output_audio.delta", "failed")
            assert session.is_open
    except ConnectFailed as error:
        told, expected = str(error), "session.created"
        assert kind == expected
    except ModelRefused as error:
        told, expected = str(error), "response.created"
        assert kind == expected
    assert "The GPU caught fire." in told
    assert anyio.current_time() - began < SOON_S


@pytest.mark.parametrize(
    ("frame", "words"), [(b"hold the line\x1b]52", "hold the line␛]52"), (b"[1]", "[1]"), (b'{"ok": 1}', '{"ok":1}')]
)
async def test_other_words_are_told_where_nothing_else_comes(frame: bytes, words: str) -> None:
    told = f'the server sent a frame that is not an event: "{words}"'
    async with talking(Tampering(breaks_off("response.created", frame))) as session:
        with pytest.raises(Timeout) as missed:
            await session.response()
    assert missed.value.what_happened() == f"no response event within 20 s; {told}"
    with pytest.raises(Timeout) as missed:
        async with talking(Tampering(breaks_off("session.created", frame))):
            pass
    assert f'the server sent a frame that is not an event ("{words}")' in str(missed.value)
    async with scripted() as (session, script):

        async def answer() -> None:
            await script.hear()
            await script.server.send(frame)

        async with anyio.create_task_group() as group:
            group.start_soon(answer)
            with pytest.raises(Timeout) as missed:
                await session.retrieve("item_1")
        assert told in str(missed.value)


async def test_frames_that_say_nothing_cost_nothing(tmp_path: Path) -> None:
    def noisy(event: Event) -> list[Event | bytes]:
        return [b"ping", bytes([0xFF, 0xFE, 1]), event, b"42", b"[]"]

    take = await performed(Tampering(noisy), tmp_path)
    assert (take.ended, said(take)) == ("complete", SAID)
    assert len(take.warnings) == 4


async def test_each_sound_a_wav_file_is_heard_as_its_samples(tmp_path: Path) -> None:
    def as_file(event: Event) -> Event:
        return event | {"delta": base64.b64encode(wav(base64.b64decode(event["delta"]))).decode()}

    take = await performed(Tampering(on("response.output_audio.delta", as_file)), tmp_path)
    assert (take.ended, said(take)) == ("complete", SAID)
    assert take.lines[0].samples == len(tone("ash", SAID[0]))
    assert take.warnings == ("understudy: response.output_audio.delta: has a WAV header, which was removed",)


async def test_a_null_delta_beside_whole_ones_costs_no_sound(tmp_path: Path) -> None:
    null = on("response.output_audio.delta", lambda event: event, lambda event: event | {"delta": None})
    take = await performed(Tampering(null), tmp_path)
    assert [line.samples for line in take.lines[:1]] == [len(tone("ash", SAID[0]))]
    assert take.warnings == ("understudy: response.output_audio.delta: delta is null; treated as empty",)


async def test_what_a_file_holds_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    ogg = base64.b64encode(b"OggS" + bytes(400)).decode()
    take = await performed(Tampering(on("response.output_audio.delta", lambda event: event | {"delta": ogg})), tmp_path)
    assert take.ended == "failed"
    assert "an audio delta contains a file (Ogg) instead of raw samples" in take.problem
