"""Examples of what the functions within the understudy do."""

from __future__ import annotations

from tau_stage.audio.pcm import Pcm
from tau_stage.protocol.client_events import SessionConfig
from tau_stage.text import script_of
from tau_stage.transport import Handshake
from tau_stage.understudy.actor import SpeechRequest, Utterance
from tau_stage.understudy.admission import reject_origin
from tau_stage.understudy.billing import reasoning_tokens
from tau_stage.understudy.client_dialects import BetaCodec, XaiCodec
from tau_stage.understudy.delivery import RequestedLine, last_quoted_line, line_to_repeat, quoted_line, wants_silence
from tau_stage.understudy.improvisation import (
    Briefing,
    Seed,
    Topic,
    improvise,
    kind_of,
    read_briefing,
    say_result,
    topic_of,
)
from tau_stage.understudy.settings import (
    CURRENT,
    Profile,
    forbidden_null,
    new_session,
    profile_of,
    update_session,
    voice_name,
)
from tau_stage.understudy.sound_store import BlobStore, read_bytes
from tau_stage.understudy.tool_choice import identifier_words, make_arguments, word_stems
from tau_stage.understudy.voices import Timbre, split_phonemes, timbre


def test_reject_origin() -> None:
    refused = reject_origin(Handshake(headers={"origin": "https://example.com"}))
    assert refused
    assert refused.status == 403
    assert reject_origin(Handshake(headers={"origin": "http://localhost:3000", "host": "127.0.0.1:8765"})) is None


def test_reasoning_tokens() -> None:
    assert 15 <= reasoning_tokens("Hello.") <= 30


def test_beta_codec_temperature_error() -> None:
    error = BetaCodec().temperature_error({"type": "session.update", "session": {"temperature": 7}})
    assert error
    assert error.code == "decimal_above_max_value"


def test_beta_codec_to_ga() -> None:
    event = {"type": "response.create", "response": {"modalities": ["text"], "temperature": 0.8}}
    assert BetaCodec().to_ga(event)["response"] == {"output_modalities": ["text"]}


def test_xai_codec_to_ga() -> None:
    dialect = XaiCodec(Profile("grok"), lambda: 0.0)
    assert dialect.to_ga({"type": "session.update", "session": {"voice": "eve"}})["session"]["audio"] == {
        "output": {"voice": "eve"}
    }


def test_quoted_line() -> None:
    assert quoted_line('Perform this line, slowly: "No."') == RequestedLine(
        words="No.", how="Perform this line, slowly"
    )
    assert quoted_line("No.") is None


def test_last_quoted_line() -> None:
    found = last_quoted_line('You often say: "Ahoy".\nPerform this line: "No."')
    assert found
    assert found.words == "No."


def test_line_to_repeat() -> None:
    assert line_to_repeat("Please repeat after me: No, never.") == RequestedLine(words="No, never.", how="")


def test_wants_silence() -> None:
    assert wants_silence(SpeechRequest("", (), "", (), "ash", whisper="Not your turn. Say nothing."))


def test_kind_of() -> None:
    assert [kind_of(words) for words in ("Oh, thank you very much.", "Thank you. Who are you?", "Hello there.")] == [
        "thanks",
        "question",
        "greeting",
    ]


def test_topic_of() -> None:
    assert topic_of("I'm afraid we're down to the last umbrella.") == Topic(words="the last umbrella", is_thing=True)
    assert topic_of("Is your boat in Oslo?") == Topic(words="Oslo", is_thing=True)
    assert topic_of("I am tired.") == Topic(words="tired", is_thing=False)
    assert topic_of("Who are you?") is None


def test_seed() -> None:
    assert Seed("Hello.|0", "ash").place == Seed("Hello.|0", "ash").place != Seed("", "ash").place


def test_improvise() -> None:
    heard = (Utterance("Is this the last umbrella?", "tourist"),)
    assert (
        improvise(SpeechRequest(instructions="", system=(), user="", heard=heard, voice="marin"))
        == "That depends on the last umbrella, I should think."
    )


def test_read_briefing() -> None:
    assert read_briefing(
        ["You are Marlow. With you play: keeper, Marlow and the stranger. It is about: the last boat."]
    ) == Briefing(others=("keeper", "the stranger"), subject="the last boat", interprets=False)


def test_say_result() -> None:
    assert (
        say_result('{"ok": true}'),
        say_result('{"weather": "sunny", "degrees": 21}'),
        say_result('{"error": "no"}'),
    ) == ("Done.", "Weather: sunny, degrees: 21.", "That did not work: no.")


def test_profile_is_meant_by() -> None:
    assert (CURRENT.is_meant_by("gpt-realtime-2.1-2026-05-01"), CURRENT.is_meant_by("gpt-realtime-2.1-mini")) == (
        True,
        False,
    )


def test_profile_of() -> None:
    found = profile_of("gpt-realtime-2025-08-28")
    assert found
    assert found.model == "gpt-realtime"
    assert profile_of("my-deployment") is None


def test_update_session() -> None:
    session = new_session("sess_1", "gpt-realtime", 0)
    wanted = SessionConfig.model_validate({"type": "realtime", "audio": {"output": {"voice": "ash"}}})
    assert update_session(session, wanted)["audio"]["output"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "voice": "ash",
        "speed": 1.0,
    }


def test_voice_name() -> None:
    assert (voice_name("ash"), voice_name({"id": "voice_1"})) == ("ash", "voice_1")


def test_forbidden_null() -> None:
    assert (
        forbidden_null({"audio": {"input": {"turn_detection": None, "format": None}}}) == "session.audio.input.format"
    )


def test_blob_store_put() -> None:
    blobs = BlobStore()
    assert blobs.put(Pcm.silence(100))[:40].pcm == Pcm.silence(40)


def test_read_bytes() -> None:
    assert (len(read_bytes(BlobStore().put(Pcm.silence(100)), 190, 40)), len(read_bytes(Pcm.silence(100), 0, 40))) == (
        10,
        40,
    )


def test_identifier_words() -> None:
    assert (identifier_words("get_order_status"), identifier_words("orderNumber")) == (
        "get order status",
        "order Number",
    )


def test_word_stems() -> None:
    assert sorted(word_stems("The lights, thanks!")) == ["light", "thank", "the", "you"]


def test_make_arguments() -> None:
    schema = {"properties": {"town": {"type": ["string", "null"]}, "days": {"type": "integer"}}}
    assert make_arguments(schema, "Oslo, 3 days") == {"town": "Oslo, 3 days", "days": 3}


def test_timbre() -> None:
    assert timbre("ash") == Timbre(pitch=0.52, tract=0.84)
    assert timbre("voice_of_mine") == timbre("voice_of_mine") != timbre("voice_of_yours")


def test_split_phonemes() -> None:
    assert [len(piece) for piece in split_phonemes("a, b " * 100)] == [157, 159, 159, 21]


def test_script_of() -> None:
    assert (script_of("こんにちは、世界。"), script_of("مرحبا"), script_of("🎭")) == (
        "Japanese",
        "Arabic",
        "no letters",
    )
