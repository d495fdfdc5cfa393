"""The understudy in a live conversation: detected turns, transcripts, tools, telephone sound, old clients, expiry."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio.formats import ALAW, ULAW, Format
from tau_stage.audio.pcm import Pcm
from tau_stage.errors import SessionClosed
from tau_stage.protocol.client_events import session_config
from tau_stage.protocol.dialects import BETA
from tau_stage.protocol.responses import Response
from tau_stage.session import Session, open_session
from tau_stage.transport import Handshake
from tau_stage.understudy import faults as fault
from tau_stage.understudy.listening import TimedOut, TurnDetector, TurnEnded, TurnStarted
from tau_stage.understudy.server import Understudy
from tau_stage.understudy.sound_store import INAUDIBLE, KnownSpeech
from tau_stage.understudy.tool_choice import choose_calls
from tests.support.memory_server import MODEL, Client, bare_client, connected, in_session
from tests.support.tone_voice import Tones, tone
from tests.test_session import LINE, speak

WORDS = "Is anybody there at this hour of the night?"
SPOKEN = tone("ash", WORDS)
SILENCE = Pcm.silence(12_000)


def turn(seconds: float = 1.0) -> Pcm:
    """A second of silence, speech, and silence that ends the turn."""
    return Pcm.join([Pcm.silence(24_000), SPOKEN, Pcm.silence(round(seconds * 24_000))])


async def feed(client: Client, audio: Pcm, form: Format | None = None) -> None:
    for at in range(0, len(audio), 2400):
        piece = audio[at : at + 2400]
        data = Pcm(piece.data).base64.decode() if form is None else _coded(form, piece)
        await client.send("input_audio_buffer.append", audio=data)


def _coded(form: Format, audio: Pcm) -> str:
    import pybase64

    return pybase64.b64encode(form.encode(audio)).decode()


async def detecting(client: Client, **session: Any) -> None:
    await client.send("session.update", session={"type": "realtime", "audio": {"input": session}})
    await client.until("session.updated")


async def test_a_turn_is_detected_committed_and_answered() -> None:
    async with bare_client() as client:
        await detecting(client, turn_detection={"type": "server_vad", "prefix_padding_ms": 100})
        await feed(client, turn())
        events = await client.until("response.done")
    kinds = [event["type"] for event in events]
    assert kinds[:6] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    started, stopped = events[:2]
    assert started["item_id"] == stopped["item_id"] == events[3]["item"]["id"]
    assert abs(started["audio_start_ms"] - 900) <= 40
    assert abs(stopped["audio_end_ms"] - (1000 + SPOKEN.duration_s * 1000 + 500)) <= 40


async def test_flags_say_whether_a_turn_is_answered() -> None:
    async with bare_client() as client:
        await detecting(client, turn_detection={"type": "semantic_vad", "eagerness": "high", "create_response": False})
        await feed(client, turn())
        kinds = [event["type"] for event in await client.until("conversation.item.done")]
        assert "response.created" not in kinds
        await client.send("response.create")
        assert (await client.until("response.created"))[-1]


class Slow(Tones):
    """Thinks for a second."""

    async def speak(self, cue: Any) -> Any:
        await anyio.sleep(1)
        return await super().speak(cue)


async def test_speech_interrupts_a_response_and_the_next_turn_waits_for_its_end() -> None:
    async with bare_client(Understudy(Slow())) as client:
        await detecting(client, turn_detection={"type": "server_vad"})
        await client.send("response.create")
        await client.until("response.created")
        await feed(client, turn())
        first = (await client.until("response.done"))[-1]["response"]
        second = (await client.until("response.done"))[-1]["response"]
    assert first["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert second["status"] == "completed"


async def test_silence_that_lasts_is_told_and_answered() -> None:
    async with bare_client() as client:
        await detecting(
            client,
            turn_detection={"type": "server_vad", "idle_timeout_ms": 5000},
            transcription={"model": "gpt-realtime-whisper"},
        )
        await feed(client, Pcm.silence(24_000 * 6))
        events = await client.until("response.done")
    assert [event["type"] for event in events[:7]] == [
        "input_audio_buffer.timeout_triggered",
        "conversation.item.added",
        "conversation.item.done",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    triggered, reminder, _, committed, silence, *_ = events
    assert (triggered["audio_start_ms"], triggered["audio_end_ms"]) == (0, 5000)
    assert reminder["item"]["role"] == "system"
    assert committed["previous_item_id"] == silence["previous_item_id"] == reminder["item"]["id"]
    assert triggered["item_id"] == committed["item_id"] == silence["item"]["id"]
    (transcript,) = (event for event in events if "transcription" in event["type"])
    assert (transcript["transcript"], transcript["usage"]) == ("", {"type": "duration", "seconds": 0})


@given(st.lists(st.integers(1, 5000), max_size=30))
def test_turns_are_the_same_however_the_input_is_cut(cuts: list[int]) -> None:
    settings = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
    audio = Pcm.join([turn(), turn()])

    def news(pieces: list[int]) -> list[object]:
        ears, at, found = TurnDetector(settings), 0, list[object]()
        for cut in [*pieces, len(audio)]:
            found += ears.feed(audio[at : at + cut])
            at += cut
        return found

    whole = news([])
    assert news(cuts) == whole
    assert [type(item) for item in whole] == [TurnStarted, TurnEnded, TurnStarted, TurnEnded]


def test_a_click_is_no_speech_and_the_threshold_counts() -> None:
    click = Pcm.join([Pcm.silence(4800), SPOKEN[:480], Pcm.silence(24_000)])
    assert TurnDetector({"type": "server_vad"}).feed(click) == []
    quiet = Pcm.from_array((SPOKEN.array // 100).astype("int16"))
    assert TurnDetector({"type": "server_vad", "threshold": 0.9}).feed(quiet) == []
    assert TurnDetector({"type": "server_vad", "threshold": 0.1}).feed(quiet) != []
    idle = TurnDetector({"type": "server_vad", "idle_timeout_ms": 5000})
    assert idle.feed(Pcm.silence(24_000 * 4)) == []
    idle.idle_from_now()
    assert idle.feed(Pcm.silence(24_000 * 4)) == []
    assert idle.feed(Pcm.silence(24_000 * 2)) == [TimedOut(4000, 9000)]


# ---- transcripts


async def test_what_the_house_has_said_is_written_down_and_the_rest_is_inaudible() -> None:
    house = Understudy(Tones())
    async with in_session(house) as speaker:
        await speaker.user(f'Say: "{WORDS}"')
        line = (await speaker.response()).audio
    async with in_session(house) as session:
        await session.update(turn_detection="server_vad", transcription="gpt-4o-mini-transcribe")
        async with session.responses() as responses:
            await session.append_input_audio_buffer(Pcm.join([SILENCE, line, Pcm.silence(24_000)]))
            await session.wait_for("input_audio_buffer.speech_stopped")
            assert isinstance(await anext(responses), Response)
        (heard,) = (entry for entry in session.conversation.items.values() if entry.role == "user")
        assert heard.transcript == WORDS
        assert heard.audio is not None
        assert heard.heard_ms is not None
        assert session.conversation.transcription.audio_in > 0
        assert session.usage.dollars is not None


def test_a_line_is_known_by_a_stretch_of_it_and_old_lines_are_forgotten() -> None:
    library = KnownSpeech()
    library.add(SPOKEN, WORDS)
    assert library.words(SPOKEN) == WORDS
    assert library.words(Pcm.join([SILENCE, SPOKEN[3000:15_000], SILENCE])) == WORDS
    assert library.words(tone("sage", "Something else entirely, never said here.")) == INAUDIBLE
    assert library.words(SILENCE) == INAUDIBLE
    assert library.words(Pcm()) == INAUDIBLE
    for number in range(300):
        library.add(Pcm(number.to_bytes(2, "little") * 4000), "x")
    assert library.words(SPOKEN) == INAUDIBLE


# ---- tools

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a town.",
    "parameters": {
        "type": "object",
        "properties": {
            "town": {"type": "string"},
            "days": {"type": "integer"},
            "ratio": {"type": "number"},
            "metric": {"type": "boolean"},
            "unit": {"enum": ["kelvin", "celsius"]},
            "more": {"type": "array"},
            "rest": {"type": "object"},
        },
    },
}
LIGHTS: dict[str, Any] = {"type": "function", "name": "lights_on"}


@pytest.mark.parametrize(
    ("choice", "words", "called"),
    [
        ("auto", "What is the weather in Oslo for 3 days?", ["get_weather"]),
        ("auto", "Weather and lights on, please.", ["get_weather", "lights_on"]),
        ("auto", "Who are you?", []),
        ("none", "What is the weather?", []),
        ("required", "Who are you?", ["get_weather"]),
        ({"type": "function", "name": "lights_on"}, "Who are you?", ["lights_on"]),
    ],
)
def test_the_tool_that_the_words_ask_for_is_called(choice: Any, words: str, called: list[str]) -> None:
    assert [name for name, _ in choose_calls([WEATHER, LIGHTS], choice, words)] == called


def test_arguments_are_made_of_the_words() -> None:
    ((_, arguments),) = choose_calls(
        [WEATHER], "auto", "The weather in Oslo for 3 days, ratio 0.5, celsius, not metric"
    )
    assert json.loads(arguments) == {
        "town": "Oslo",
        "days": 3,
        "ratio": 0.5,
        "metric": False,
        "unit": "celsius",
        "more": [],
        "rest": {},
    }


THANKED: dict[str, Any] = {
    "type": "function",
    "name": "you_are_welcome",
    "description": "The listener says thank you.",
}
LIGHTED = LIGHTS | {"description": "The listener wants the lights on."}


def looking(kind: str = "string", name: str = "get_order_status", parameter: str = "order_number") -> dict[str, Any]:
    parameters = {"type": "object", "properties": {parameter: {"type": kind}}, "required": [parameter]}
    return {"type": "function", "name": name, "description": "Look up an order.", "parameters": parameters}


CANCEL = looking(name="cancel_order") | {"description": "Cancel an order."}


@pytest.mark.parametrize(
    ("words", "called"),
    [
        ("Oh, thank you very much.", ["you_are_welcome"]),
        ("Thanks!", ["you_are_welcome"]),
        ("And who are you?", []),
        ("Could you put the lights on, please?", ["lights_on"]),
        ("Could you put the lights off, please?", []),
        ("Where is my order number 4711?", ["get_order_status"]),
        ("Where is my order?", []),
        ("Please cancel my order number 4711.", ["cancel_order"]),
        ("Lights on, please, and thank you.", ["you_are_welcome", "lights_on"]),
        ("Are you on or off?", []),
    ],
)
def test_a_tool_is_found_by_its_description_too(words: str, called: list[str]) -> None:
    described = {"type": "function", "name": "x", "description": "You, on and off."}
    tools = [THANKED, LIGHTED, looking(), CANCEL, described]
    assert [name for name, _ in choose_calls(tools, "auto", words)] == called


@pytest.mark.parametrize(
    ("tool", "words", "number"),
    [
        (looking(), "Where is my order number 4711?", "4711"),
        (looking("integer"), "Where is my order number 4711?", 4711),
        (looking(parameter="orderId"), "My order? It is A-17, as I said.", "A-17"),
        (looking(name="orderLookup"), "The order lookup of 'Ann', please.", "Ann"),
    ],
)
def test_a_number_is_taken_from_the_words_as_its_schema_wants_it(tool: Any, words: str, number: Any) -> None:
    ((_, arguments),) = choose_calls([tool], "auto", words)
    assert list(json.loads(arguments).values()) == [number]


async def answered(session: Session) -> Response:
    """A response whose choose_calls nobody answers."""
    return await (await session.speak()).finished()


async def test_a_tool_is_called_on_words_that_were_heard_and_only_once() -> None:
    wanted = session_config(voice="ash", turn_detection=None, tools=[THANKED, LIGHTED])
    async with in_session(wanted=wanted) as session:
        await session.user("Lights on, please.")
        assert [call.name for call in (await answered(session)).calls] == ["lights_on"]
        await session.create_audio(SPOKEN, "Oh, thank you very much.")
        assert [call.name for call in (await answered(session)).calls] == ["you_are_welcome"]
        await session.create_audio(SPOKEN, "Oh, thank you very much.")
        await session.user('Perform this line: "Not at all."')
        response = await answered(session)
        assert (response.calls, response.transcript) == ((), "Not at all.")


async def weather(town: str) -> dict[str, str]:
    """The weather of a town."""
    return {"weather": f"rain in {town}"}


async def test_a_call_that_is_required_is_made_even_after_an_output() -> None:
    wanted = session_config(voice="ash", turn_detection=None, tools=[LIGHTED], tool_choice="required")
    async with in_session(wanted=wanted) as session:
        await session.user("Lights on, please.")
        for _ in range(2):
            (call,) = (await answered(session)).calls
            await session.tool_output(call.call_id, "done")
        assert (await (await session.speak(tool_choice="auto")).finished()).transcript


async def test_a_tool_is_called_and_its_output_is_spoken() -> None:
    async with in_session() as session:
        await session.update(tools=[weather])
        await session.user("How is the weather in Bergen?")
        response = await session.response()
        kinds = [entry.type for entry in session.conversation.items.values()]
    assert response.transcript == "Weather: rain in Bergen."
    assert kinds == ["message", "function_call", "function_call_output", "message"]
    assert session.usage.tokens.text_out > 0


async def test_calls_have_the_events_of_the_api() -> None:
    async with bare_client() as client:
        await client.send("session.update", session={"type": "realtime", "tools": [WEATHER, LIGHTS]})
        await client.until("session.updated")
        item = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Weather in Oslo, and lights on."}],
        }
        await client.send("conversation.item.create", item=item)
        await client.until("conversation.item.done")
        await client.send("response.create", response={"conversation": "none", "tools": [LIGHTS]})
        beside = (await client.until("response.done"))[-1]["response"]["output"]
        await client.send("response.create")
        events = await client.until("response.done")
    assert [call["name"] for call in beside] == ["lights_on"]
    output = events[-1]["response"]["output"]
    assert [call["name"] for call in output] == ["get_weather", "lights_on"]
    told = [event["type"] for event in events if "arguments" in event["type"]]
    assert [kind for kind, before in zip(told, ["", *told], strict=False) if kind != before] == [
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
    ] * 2
    for call in output:
        deltas = [event for event in events if event["type"].endswith("arguments.delta")]
        assert call["arguments"] == "".join(event["delta"] for event in deltas if event["item_id"] == call["id"])


# ---- formats, old clients, time


@pytest.mark.parametrize("form", [ULAW, ALAW])
async def test_telephone_sound_goes_both_ways(form: Format) -> None:
    house = Understudy(Tones(), keeps_visits=True)
    wanted = session_config(voice="ash", turn_detection=None, input_format=form.told, output_format=form.told)
    async with in_session(house, wanted) as session:
        heard = await session.create_audio(SPOKEN)
        response = await speak(session)
        assert response.audio == form.decode(form.encode(tone("ash", "Hello there.")))
        assert (await session.retrieve(heard.id)).audio == form.decode(form.encode(form.decode(form.encode(SPOKEN))))
        await session.interrupt(samples_heard=2400)
        audio = (await session.retrieve(response.item_ids[0])).audio
        assert audio is not None
        assert abs(audio.duration_s - 0.1) < 0.001
    assert abs(house.visits[0].heard[heard.id].duration_s - SPOKEN.duration_s) < 0.001


def beta() -> Handshake:
    return Handshake(query={"model": MODEL}, headers={"openai-beta": "realtime=v1"})


@pytest.mark.parametrize(
    "handshake",
    [
        beta(),
        Handshake(query={"model": MODEL}, subprotocols=("realtime", "openai-beta.realtime-v1")),
        Handshake("/openai/realtime", {"api-version": "2025-04-01-preview", "deployment": "my-deployment"}),
    ],
)
async def test_an_old_client_gets_flat_sessions_old_names_and_items_created(handshake: Handshake) -> None:
    async with connected(handshake=handshake, judged=False) as transport:
        client = Client(transport.inner)
        created = await client.next()
        assert created["session"]["voice"] == "marin"
        assert created["session"]["input_audio_format"] == "pcm16"
        assert "audio" not in created["session"]
        await client.send("session.update", session={"voice": "ash", "temperature": 0.8, "turn_detection": None})
        assert (await client.next())["session"]["voice"] == "ash"
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": LINE}]}
        assert (await client.ask("conversation.item.create", item=item))["type"] == "conversation.item.created"
        await client.send("response.create", response={"modalities": ["audio", "text"], "max_output_tokens": 500})
        events = await client.until("response.done")
    kinds = {event["type"] for event in events}
    assert {"response.audio.delta", "response.audio_transcript.done", "conversation.item.created"} <= kinds
    assert not any("output_audio" in kind or kind.endswith("item.added") is None for kind in kinds)
    assert events[-1]["response"]["output"][0]["content"][0]["type"] == "audio"
    assert events[-1]["response"]["modalities"] == ["text", "audio"]


async def test_our_session_speaks_beta_too() -> None:
    async with connected(handshake=beta(), judged=False) as transport:
        wanted = session_config(voice="ash", instructions="Softly.", turn_detection=None)
        async with open_session(transport.inner, wanted, dialect=BETA) as session:
            assert session.warnings == []
            await session.assistant("I said hello.")
            await session.create_audio(SPOKEN)
            response = await speak(session)
            assert (response.transcript, response.audio) == ("Hello there.", tone("ash", "Hello there."))
            assert (await session.retrieve(response.item_ids[0])).audio == response.audio


async def test_garbage_from_an_old_client_is_answered() -> None:
    async with connected(handshake=beta(), judged=False) as transport:
        client = Client(transport.inner)
        await client.next()
        for frame in (b"{", b"[]"):
            await transport.inner.send(frame)
            assert (await client.next())["type"] == "error"


async def test_a_session_expires_with_an_error_and_a_close() -> None:
    async with in_session(Understudy(Tones(), expires_s=60)) as session:
        await anyio.sleep(59)
        assert (await speak(session)).status == "completed"
        await session.wait_for("error", timeout_s=5)
        with pytest.raises(SessionClosed) as caught:
            await speak(session)
    assert caught.value.code == 1001


async def test_a_late_opening_and_repeated_events_are_survived() -> None:
    house = Understudy(Tones(), faults=[fault.SlowOpening(5), fault.Oddity.REPEATS])
    async with in_session(house) as session:
        response = await speak(session)
        assert response.status == "completed"
        assert session.usage.tokens == response.usage
