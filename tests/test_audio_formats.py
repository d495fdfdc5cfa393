"""Sound survives the wire: G.711 as the standard has it, resampling without seams."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio.formats import ALAW, PCM16, ULAW, Format, Law, decode_g711, encode_g711, resampled
from tau_stage.audio.pcm import Pcm

ALL = np.arange(-32768, 32768).astype(np.int16)


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_every_sample_and_every_code_is_as_the_standard_library_has_it(law: Law) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop", reason="the standard library's G.711 left it with Python 3.13")
    theirs = {"ulaw": (audioop.lin2ulaw, audioop.ulaw2lin), "alaw": (audioop.lin2alaw, audioop.alaw2lin)}[law]
    assert encode_g711(ALL, law) == theirs[0](ALL.tobytes(), 2)
    codes = bytes(range(256))
    assert decode_g711(codes, law).astype("<i2").tobytes() == theirs[1](codes, 2)


def tone(rate: int = 24_000) -> Pcm:
    time = np.arange(rate) / rate
    return Pcm.from_array(0.3 * np.sin(2 * np.pi * 440 * time), rate)


@pytest.mark.parametrize("form", [PCM16, ULAW, ALAW, Format("audio/pcm", 16_000)])
def test_a_tone_survives_the_way_there_and_back(form: Format) -> None:
    back = form.decode(form.encode(tone()))
    assert abs(len(back) - 24_000) < 10
    inner = slice(2000, 20_000)
    noise = back.array[inner].astype(float) - tone().array[inner]
    assert np.sqrt(np.mean(noise**2)) < 0.03 * np.sqrt(np.mean(tone().array.astype(float) ** 2))


@given(st.lists(st.integers(1, 999), max_size=20))
def test_pieces_of_any_size_decode_to_the_same_sound(cuts: list[int]) -> None:
    for form in (PCM16, ULAW, Format("audio/pcm", 16_000)):
        data = form.encode(tone()[:6000])
        decoder, at, pieces = form.decoder(), 0, []
        for cut in [*cuts, len(data)]:
            pieces.append(decoder.feed(data[at : at + cut]))
            at += cut
        assert Pcm.join([*pieces, decoder.finish()]) == form.decode(data)


def test_resampling_to_the_same_rate_is_nothing() -> None:
    audio = tone()
    assert resampled(audio, 24_000) is audio
    assert resampled(audio, 8_000).duration_s == 1.0
