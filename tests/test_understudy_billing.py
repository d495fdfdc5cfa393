"""Usage by the published rules, by hand."""

from __future__ import annotations

import pytest

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.cost.durations import text_tokens
from tau_stage.protocol.items import JsonObject
from tau_stage.understudy.billing import (
    Read,
    assistant_tokens,
    reasoning_tokens,
    response_usage,
    user_tokens,
)

WORDS = Read("item_1/0", text=70)
SOUND = Read("item_2/0", audio=150)
MORE = Read("item_3/0", text=30)


def cached(used: JsonObject) -> tuple[int, int]:
    details = used["input_token_details"]["cached_tokens_details"]
    assert used["input_token_details"]["cached_tokens"] == details["text_tokens"] + details["audio_tokens"]
    return details["text_tokens"], details["audio_tokens"]


@pytest.mark.parametrize(("samples", "heard", "spoken"), [(0, 0, 0), (1, 1, 1), (RATE, 10, 20), (RATE + 1, 11, 21)])
def test_sound_is_ten_tokens_a_second_heard_and_twenty_spoken(samples: int, heard: int, spoken: int) -> None:
    sound = Pcm.silence(samples)
    assert (user_tokens(len(sound), RATE), assistant_tokens(len(sound), RATE)) == (heard, spoken)


def test_reasoning_is_text_and_told_where_there_was_some() -> None:
    used = response_usage([WORDS], [], "Twelve bytes", Pcm.silence(RATE), thought=20)
    assert used["output_token_details"] == {"text_tokens": 23, "audio_tokens": 20, "reasoning_tokens": 20}
    assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"] == 70 + 43
    assert {reasoning_tokens(f"Line {number}.") for number in range(200)} == set(range(15, 31))


def test_letters_outside_ascii_count_by_their_bytes() -> None:
    assert text_tokens("äöü") == 2


def test_a_response_reads_everything_and_makes_sound_with_a_transcript() -> None:
    used = response_usage([WORDS, SOUND], [], "Twelve bytes", Pcm.silence(RATE))
    assert used["input_tokens"] == 70 + 150
    assert used["output_token_details"] == {"text_tokens": 3, "audio_tokens": 20}
    assert used["output_tokens"] == 23
    assert used["total_tokens"] == 220 + 23
    assert cached(used) == (0, 0)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ([WORDS], [WORDS, SOUND, MORE], (64, 0)),
        ([WORDS, SOUND], [WORDS, SOUND, MORE], (64, 128)),
        ([WORDS, SOUND, MORE], [WORDS, SOUND], (64, 128)),  # the last item was deleted
        ([WORDS, SOUND, MORE], [WORDS, MORE], (64, 0)),  # one in the middle was
        ([WORDS, SOUND, MORE], [SOUND, MORE], (0, 0)),  # the first was
        ([WORDS, SOUND], [WORDS, Read("item_2/1", audio=20), MORE], (64, 0)),  # one was truncated
    ],
)
def test_the_unchanged_beginning_comes_from_the_cache_in_steps_of_64(
    before: list[Read], now: list[Read], expected: tuple[int, int]
) -> None:
    used = response_usage(now, before, "", Pcm())
    assert cached(used) == expected
    assert used["input_tokens"] == sum(read.text + read.audio for read in now)
