"""Examples of what the functions within the sounds do."""

from __future__ import annotations

import numpy as np

from tau_stage.audio.formats import Format, decode_g711, encode_g711
from tau_stage.audio.pcm import Pcm
from tau_stage.audio.riff import plain
from tau_stage.audio.wav import header


def test_plain() -> None:
    assert plain("“Zoë”, said Æneas – in\nWrocław, 幽霊") == '"Zoe", said AEneas - in Wroclaw, ??'


def test_encode_g711() -> None:
    assert encode_g711(np.array([0, 1000, -1000], dtype=np.int16), "ulaw").hex() == "ffce4e"


def test_decode_g711() -> None:
    assert decode_g711(bytes.fromhex("ffce4e"), "ulaw").tolist() == [0, 988, -988]


def test_header() -> None:
    assert len(header(0, 24_000)) == 44


def test_format_told() -> None:
    assert Format("audio/pcmu", 8000).told == {"type": "audio/pcmu"}


def test_format_decode() -> None:
    assert len(Format("audio/pcmu", 8000).decode(bytes(800))) == 2400


def test_pcm_silence() -> None:
    assert len(Pcm.silence(3).data) == 6


def test_pcm_base64() -> None:
    assert Pcm.silence(1).base64 == b"AAA="
