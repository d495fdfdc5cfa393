"""A session never hangs: every request ends in an answer, the server's error, or a deadline. On a virtual clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import anyio
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.environment import environment
from tau_stage.errors import ConnectFailed, ModelRefused, SessionClosed, SessionError, Timeout, UsageError
from tau_stage.protocol.client_events import InputAudioBufferAppend, ResponseCancel, SessionConfig, conducted
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.protocol.responses import AudioChunk, Response, TextChunk
from tau_stage.session import Deadlines, Session, create_session, open_session
from tau_stage.transport import QUEUED_FRAMES, Handshake, MemoryTransport
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.memory_server import connected, in_session
from tests.support.tone_voice import Tones, tone

SHORT = Deadlines(opening_s=2, request_s=3, response_s=4, closing_s=1)
LINE = 'Perform this line: "Hello there."'


class Script:
    """A server that does what it is told, whatever a real one would do."""

    def __init__(self) -> None:
        self.transport, self.server = MemoryTransport.pair()

    async def tell(self, kind: str, **fields: Any) -> None:
        await self.server.send(json.dumps({"type": kind, "event_id": "event_x", **fields}).encode())

    async def hear(self) -> dict[str, Any]:
        event = json.loads(await self.server.receive())
        assert isinstance(event, dict)
        return event

    async def open(self) -> None:
        await self.tell("session.created", session={"id": "sess_1"})
        assert (await self.hear())["type"] == "session.update"
        await self.tell("session.updated", session={"id": "sess_1"})


@asynccontextmanager
async def scripted() -> AsyncIterator[tuple[Session, Script]]:
    script = Script()
    async with anyio.create_task_group() as group:
        group.start_soon(script.open)
        async with open_session(script.transport, conducted(voice="ash"), name="clerk", deadlines=SHORT) as session:
            yield session, script


async def speak(session: Session) -> Response:
    await session.user(LINE)
    return await session.response()


async def test_a_turn_gives_words_sound_usage_and_the_time_to_the_first_sound() -> None:
    async with in_session() as session:
        response = await speak(session)
        assert response.status == "completed"
        assert response.transcript == "Hello there."
        assert response.audio == tone("ash", "Hello there.")
        assert response.usage == session.usage.tokens
        thought = response.usage.text_out - 3  # "Hello there." has 12 bytes
        assert 15 <= thought <= 30
        assert session.usage.dollars == Decimal("0.0001126") + thought * Decimal("0.0000024")
        assert response.first_audio_s is not None
        assert session.id.startswith("sess_")
        assert session.warnings == []
        assert list(session.conversation.items)[-1:] == list(response.item_ids)


async def test_a_response_is_followed_while_it_comes() -> None:
    async with in_session() as session:
        await session.user(LINE)
        speaking = await session.speak()
        changes = [change async for change in speaking]
        response = await speaking.finished()
    assert Pcm.join([c.audio for c in changes if isinstance(c, AudioChunk)]) == response.audio
    assert "".join(c.words for c in changes if isinstance(c, TextChunk)) == "Hello there."


async def test_the_prompter_the_user_and_the_assistant_put_items_into_the_conversation() -> None:
    async with in_session() as session:
        items = [
            await session.system("Softly."),
            await session.user("Hello."),
            await session.assistant("I said hello."),
            await session.create_audio(tone("ash", "hello"), "hello"),
        ]
        assert [item.role for item in items] == ["system", "user", "assistant", "user"]
        assert list(session.conversation.items) == [item.id for item in items]


@pytest.mark.parametrize("verb", ["system", "user", "assistant"])
async def test_nothing_cannot_be_said_or_heard(verb: str) -> None:
    async with in_session() as session:
        with pytest.raises(ValueError, match="the text is empty"):
            await getattr(session, verb)("  ")
        with pytest.raises(ValueError, match="the audio is empty"):
            await session.create_audio(Pcm())


async def test_an_error_reaches_the_request_it_refuses_and_no_other() -> None:
    async with in_session() as session:
        await session.user("Hello.")
        await speak(session)
        with pytest.raises(ModelRefused) as caught:
            await session.response(audio={"output": {"voice": "verse"}})
        assert caught.value.code == "cannot_update_voice"
        assert caught.value.param == "response.audio.output.voice"
        assert caught.value.event_id
        assert (await speak(session)).status == "completed"


async def test_a_failed_response_is_a_finished_result() -> None:
    async with in_session(Understudy(Tones(), faults=[fault.FailResponses()])) as session:
        response = await speak(session)
    assert (response.status, response.reason) == ("failed", "rate_limit_exceeded")
    assert response.audio == Pcm()


async def test_odd_deltas_and_unknown_events_change_nothing() -> None:
    understudy = Understudy(Tones(), faults=[fault.Oddity.DELTAS, fault.Oddity.FIELDS])
    async with in_session(understudy, judged=False) as session:
        assert (await speak(session)).audio == tone("ash", "Hello there.")
        assert session.conversation.unknown["response.aside.delta"] > 0


async def test_a_drop_in_a_response_is_told_at_once_to_everyone_who_waits() -> None:
    async with in_session(
        Understudy(Tones(), faults=[fault.Strike("drop", "in_response", visit=1)]), deadlines=SHORT
    ) as session:
        began = anyio.current_time()
        with pytest.raises(SessionClosed) as caught:
            await speak(session)
        assert caught.value.code == 1006
        assert anyio.current_time() - began < 1
        assert not session.is_open
        with pytest.raises(SessionClosed):
            await session.user("Is anybody there?")


@pytest.mark.parametrize(
    ("understudy", "code", "close"),
    [
        (Understudy(Tones(), key="right"), "invalid_api_key", 3000),
        (Understudy(Tones(), faults=[fault.RefuseInBand("insufficient_quota", 1013)]), "insufficient_quota", 1013),
    ],
)
async def test_an_opening_that_is_refused_in_band_says_who_and_why(
    understudy: Understudy, code: str, close: int
) -> None:
    with pytest.raises(ConnectFailed) as caught:
        async with in_session(understudy):
            pass
    assert (caught.value.code, caught.value.close_code, caught.value.player) == (code, close, "clerk")


async def test_an_unknown_model_is_refused_in_band() -> None:
    with pytest.raises(ConnectFailed) as caught:
        async with (
            connected(handshake=Handshake(query={"model": "gpt-9"})) as transport,
            open_session(transport, conducted(voice="ash")),
        ):
            pass
    assert caught.value.code == "invalid_model"


async def test_a_session_that_cannot_be_is_refused_with_the_servers_words() -> None:
    wanted = SessionConfig.model_validate({"type": "realtime", "model": "gpt-realtime"})
    with pytest.raises(ModelRefused, match="model cannot be changed"):
        async with in_session(wanted=wanted):
            pass


async def test_what_the_server_makes_of_the_wishes_is_compared() -> None:
    script = Script()

    async def stubborn() -> None:
        await script.tell("session.created", session={})
        await script.hear()
        await script.tell("session.updated", session={"audio": {"output": {"voice": "verse"}}, "instructions": ""})

    async with anyio.create_task_group() as group:
        group.start_soon(stubborn)
        async with open_session(script.transport, conducted(voice="ash"), deadlines=SHORT) as session:
            assert session.warnings == ["the server set session.audio.output.voice to 'verse' instead of 'ash'"]


async def test_a_server_that_says_nothing_is_given_up() -> None:
    with pytest.raises(Timeout, match=r"no session\.created within 2 s; the server sent nothing"):
        async with open_session(Script().transport, conducted(voice="ash"), deadlines=SHORT):
            pass


async def test_a_request_that_is_not_answered_is_given_up_and_its_late_answer_harms_nobody() -> None:
    async with scripted() as (session, script):
        with pytest.raises(Timeout, match=r"player clerk: no conversation\.item\.added within 3 s"):
            await session.user("Hello.")
        asked = await script.hear()
        await script.tell("conversation.item.added", item={"id": asked["item"]["id"], "type": "message"})
        await anyio.wait_all_tasks_blocked()
        assert session.is_open


async def test_a_response_that_falls_silent_is_given_up() -> None:
    async with scripted() as (session, script):

        async def begin_only() -> None:
            created = await script.hear()
            response = {"id": "resp_1", "status": "in_progress", "metadata": created["response"]["metadata"]}
            await script.tell("response.created", response=response)

        async with anyio.create_task_group() as group:
            group.start_soon(begin_only)
            with pytest.raises(Timeout, match="response event within 4 s"):
                await session.response()


async def test_a_server_that_stops_reading_is_given_up() -> None:
    async with scripted() as (session, _):
        append = InputAudioBufferAppend(event_id="e", audio="AAAA")
        for _ in range(QUEUED_FRAMES):
            await session.wire.send(append)
        with pytest.raises(Timeout, match="data accepted by the server within 3 s"):
            await session.wire.send(append)


async def test_frames_that_are_no_events_are_left_out_and_told_once() -> None:
    async with scripted() as (session, script):
        for frame in (b"ping", b"[]", b"ping", b'{"type": 7}'):
            await script.server.send(frame)
        async with anyio.create_task_group() as group:
            group.start_soon(session.delete_conversation_item, "item_1")
            await script.hear()
            await script.tell("conversation.item.deleted", item_id="item_1")
        assert session.warnings == [
            'a frame is not valid JSON ("ping"); ignored',
            'received a frame that is not an event with a type ("[]"); ignored',
            'received a frame that is not an event with a type ("{"type":7}"); ignored',
        ]


async def test_an_error_that_belongs_to_no_request_and_no_close_is_survived() -> None:
    async with scripted() as (session, script):
        await script.tell("error", error={"type": "server_error", "message": "hiccup"})
        await anyio.wait_all_tasks_blocked()
        assert session.is_open


async def test_responses_at_once_do_not_mix_even_where_metadata_is_not_echoed() -> None:
    async with scripted() as (session, script):

        async def answer() -> None:
            for number in (1, 2):
                await script.hear()
                await script.tell("response.created", response={"id": f"resp_{number}", "status": "in_progress"})
            for number in (2, 1):
                delta = {"response_id": f"resp_{number}", "item_id": "i", "delta": f"words {number}"}
                await script.tell("response.output_text.delta", **delta)
                await script.tell("response.done", response={"id": f"resp_{number}", "status": "completed"})

        async with anyio.create_task_group() as group:
            group.start_soon(answer)
            first, second = await session.speak(), await session.speak()
            assert [(await first.finished()).text, (await second.finished()).text] == ["words 1", "words 2"]


async def test_a_closed_session_stays_closed_and_its_socket_is_closed_in_order() -> None:
    async with connected() as transport:
        async with open_session(transport, conducted(voice="ash")) as session:
            await session.close()
            await session.close()
        with pytest.raises(SessionClosed) as caught:
            await transport.receive()
        assert caught.value.code == 1000


async def test_a_failure_in_the_block_comes_out_as_itself() -> None:
    with pytest.raises(SessionError):
        async with in_session():
            raise SessionError(player="clerk")


async def test_what_the_protocol_never_answers_is_sent_and_forgotten() -> None:
    async with in_session() as session:
        await session.wire.send(ResponseCancel(event_id="evt_x"))
        assert (await speak(session)).status == "completed"


class Deaf(MemoryTransport):
    """Never finishes closing."""

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        del code, reason
        await anyio.sleep_forever()


async def test_closing_has_a_deadline_too() -> None:
    ours, theirs = Deaf.pair()
    script = Script()
    script.transport, script.server = ours, theirs
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(script.open)
        async with open_session(ours, conducted(voice="ash"), deadlines=SHORT):
            pass
    assert anyio.current_time() - began == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_create_session_dials_by_url_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAU_STAGE_API_KEY", "right")
    async with open_understudy(Understudy(Tones(), key="right")) as url:
        async with create_session(endpoint=url, voice="sage", instructions="Be brief.") as session:
            assert (await speak(session)).audio == tone("sage", "Hello there.")
        with pytest.raises(ConnectFailed, match="invalid_api_key"):
            async with create_session(endpoint=url, api_key="wrong"):
                pass


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_default_voice_is_asked_for_and_transcription_as_it_is_said() -> None:
    async with open_understudy(Understudy(Tones())) as url:
        async with create_session(endpoint=url, transcription={"language": "de"}) as session:
            audio = session.session["audio"]
            assert audio["output"]["voice"] == "marin"
            assert audio["input"]["transcription"]["model"] == "gpt-transcribe"
            assert audio["input"]["transcription"]["language"] == "de"
            await session.update(transcription="off")
            assert session.session["audio"]["input"]["transcription"] is None
            assert session.warnings == []
        async with create_session(endpoint=url, voice="sage", transcription="gpt-live-transcribe") as session:
            assert session.session["audio"]["output"]["voice"] == "sage"
            assert session.session["audio"]["input"]["transcription"]["model"] == "gpt-live-transcribe"


@pytest.mark.parametrize(("endpoint", "voice"), [("openai", "marinn"), ("azure", "Cedar"), ("xai", "araa")])
async def test_a_misspelt_voice_is_told_before_anybody_is_dialled(endpoint: str, voice: str) -> None:
    with pytest.raises(UsageError, match=f"unknown voice '{voice}' at {endpoint}") as error:
        async with create_session(endpoint=endpoint, voice=voice, api_key="key", resource="127.0.0.1:9"):
            pass
    assert error.value.hint.startswith("did you mean '")


def test_a_key_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert ENDPOINTS["openai"].key_in(environment()) is None
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert ENDPOINTS["openai"].key_in(environment()) == "k"
