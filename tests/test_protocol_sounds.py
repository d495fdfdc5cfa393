"""A sound file where samples should be: a WAV header is taken off, anything else is named."""

from __future__ import annotations

import base64
import struct

import pytest

from tau_stage.audio.formats import ULAW, Format
from tau_stage.audio.pcm import Pcm
from tau_stage.protocol.conversation import Conversation
from tau_stage.protocol.decoding import SoundFrames, decode
from tau_stage.protocol.responses import AudioChunk, ResponseEnded
from tau_stage.protocol.server_events import (
    AudioDelta,
    AudioDone,
    ResponseCreated,
    ResponseDone,
    TextDone,
    TranscriptDelta,
)
from tests.support.tone_voice import tone

SOUND = tone("ash", "Hello there.")
ASKED = ResponseCreated.model_validate({"response": {"id": "r"}})
OVER = ResponseDone.model_validate({"response": {"id": "r", "status": "completed"}})


def wav(
    data: bytes, *, rate: int = 24_000, channels: int = 1, bits: int = 16, size: int = -1, more: bytes = b""
) -> bytes:
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * 2, 2, bits)
    size = len(data) if size < 0 else size
    return b"RIFF\xff\xff\xff\xffWAVE" + form + more + b"data" + struct.pack("<I", size) + data


def told_of(*deltas: bytes, form: Format | None = None) -> tuple[ResponseEnded, list[str]]:
    conversation = Conversation(form or Format())
    conversation.apply(ASKED)
    for delta in deltas:
        coded = base64.b64encode(delta).decode()
        change = conversation.apply(AudioDelta(response_id="r", item_id="i", delta=coded))
        assert change is None or isinstance(change, AudioChunk)
    conversation.apply(AudioDone(response_id="r", item_id="i"))
    change = conversation.apply(OVER)
    assert isinstance(change, ResponseEnded)
    return change, list(conversation.odd)


LIST = b"LIST" + struct.pack("<I", 3) + b"abc\0"


@pytest.mark.parametrize(
    "deltas",
    [
        [wav(SOUND.data)],
        [wav(SOUND.data[:2000], size=0xFFFFFFFF), SOUND.data[2000:]],
        [wav(SOUND.data, more=LIST)],
        [wav(SOUND.data[:2000]), wav(SOUND.data[2000:])],
        [wav(SOUND.data, size=len(SOUND.data)) + LIST],
        [
            wav(SOUND.data, size=0xFFFFFFFF)[:4],
            wav(SOUND.data, size=0xFFFFFFFF)[4:30],
            wav(SOUND.data, size=0xFFFFFFFF)[30:],
        ],
    ],
    ids=["one", "first", "with a list", "each", "with a list behind", "split"],
)
def test_a_wav_header_is_taken_off_with_one_warning(deltas: list[bytes]) -> None:
    ended, odd = told_of(*deltas)
    assert ended.response.audio == SOUND
    assert ended.response.status == "completed"
    assert odd == ["response.output_audio.delta: has a WAV header, which was removed"]


def test_a_wav_file_of_another_rate_is_read_at_its_rate() -> None:
    slow = Format("audio/pcm", 8_000).encode(SOUND)
    ended, odd = told_of(wav(slow, rate=8_000))
    assert abs(len(ended.response.audio) - len(SOUND)) < 10
    assert odd == ["response.output_audio.delta: contains a WAV file at 8000 Hz; read at that rate"]


@pytest.mark.parametrize(
    ("delta", "form", "what"),
    [
        (wav(bytes(400), channels=2), Format(), "WAV, format 1, 2 channels, 16 bit, 24000 Hz"),
        (wav(bytes(400), bits=8), Format(), "WAV, format 1, 1 channels, 8 bit, 24000 Hz"),
        (wav(bytes(400)), ULAW, "WAV, format 1"),
        (b"OggS" + bytes(400), Format(), "Ogg"),
        (b"ID3\x04" + bytes(400), Format(), "MP3"),
        (b"RIFF" + bytes(9000), Format(), "WAV"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\0\0" + bytes(9000), Format(), "WAV"),
    ],
)
def test_any_other_file_breaks_its_response_and_is_named(delta: bytes, form: Format, what: str) -> None:
    ended, _ = told_of(delta, form=form)
    assert (ended.response.status, ended.response.reason) == ("failed", "unusable_event")
    assert f"an audio delta contains a file ({what}" in ended.response.message


def test_a_delta_of_null_or_none_is_no_sound_and_costs_none() -> None:
    noted: list[str] = []
    conversation = Conversation()
    conversation.apply(ASKED)
    whole = f'"{SOUND.base64.decode()}"'
    for delta in (whole, "null", whole, '""'):
        frame = f'{{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": {delta}}}'
        conversation.apply(decode(frame, note=noted.append))
    bare = b'{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i"}'
    conversation.apply(decode(bare, note=noted.append))
    conversation.apply(AudioDone(response_id="r", item_id="i"))
    change = conversation.apply(OVER)
    assert isinstance(change, ResponseEnded)
    assert (change.response.status, change.response.audio) == ("completed", Pcm.join([SOUND, SOUND]))
    kind = "response.output_audio.delta: delta"
    assert noted == [f"{kind} is null; treated as empty", f"{kind} is missing; treated as empty"]


def test_a_delta_may_be_a_data_url() -> None:
    conversation = Conversation()
    conversation.apply(ASKED)
    delta = f"data:audio/pcm;rate=24000;base64,{SOUND.base64.decode()}"
    change = conversation.apply(AudioDelta(response_id="r", item_id="i", delta=delta))
    assert isinstance(change, AudioChunk)
    assert change.audio == SOUND


@pytest.mark.parametrize(
    "deltas", [[b"ab", b"cd"], [b"abc", b"d"], [wav(b"abcd")[:50], wav(b"abcd")[50:]], [b"ab", b"OggS"]]
)
def test_more_sound_makes_what_its_events_make(deltas: list[bytes]) -> None:
    made, without = Conversation(), Conversation()
    for conversation in (made, without):
        conversation.apply(ASKED)
    for delta in deltas:
        event = AudioDelta(response_id="r", item_id="i", delta=base64.b64encode(delta).decode())
        change = without.add_sound(delta) if without.is_sounding else without.apply(event)
        assert made.apply(event) == change
    assert made.odd == without.odd
    assert made.apply(OVER) == without.apply(OVER)


def test_sound_goes_on_beside_its_own_words_and_nothing_else() -> None:
    conversation, delta = Conversation(), AudioDelta(response_id="r", item_id="i", delta="AAEC")
    assert not conversation.is_sounding
    for other, goes_on in (
        (TranscriptDelta(response_id="r", item_id="i", delta="la"), True),
        (TranscriptDelta(response_id="r", item_id="j", delta="la"), False),
        (TextDone(response_id="r", item_id="i", text="la"), False),
        (AudioDone(response_id="r", item_id="i"), False),
    ):
        conversation.apply(delta)
        assert conversation.is_sounding
        conversation.apply(other)
        assert conversation.is_sounding == goes_on
    conversation.apply(delta)
    conversation.presume_end()
    assert not conversation.is_sounding
    conversation.settle()
    assert not conversation.is_sounding


def test_a_frame_of_sound_is_read_by_what_it_has_in_common_with_another() -> None:
    frames, form = SoundFrames(), '{{"type": "response.output_audio.delta", "event_id": "{}", "delta": "{}"}}'
    first = form.format("e1", "AAEC").encode()
    assert frames.read(first) is None
    frames.learn(b'{"delta":"AAEC"}')
    assert frames.read(b'{"delta":"AAEC"}') is None
    frames.learn(first)
    frames.learn(first)
    assert frames.read(form.format("e2", "AQID").encode()) == ("e2", b"\1\2\3")
    for event_id, sound in (("e3", "?"), ("e\\u0033", "AQID"), ("e\xff", "AQID")):
        assert frames.read(form.format(event_id, sound).encode("latin-1")) is None
    for other in (first[:-1], first[1:], first[:-7] + b"}", first.replace(b"delta", b"gamma")):
        assert frames.read(other) is None
