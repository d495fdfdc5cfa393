"""Usage in every shape that servers send it in: what is told is counted, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.protocol.usage import COUNTS, TOKENS, Usage

GA_IN = {"text_tokens": 119, "audio_tokens": 13, "image_tokens": 0}
NO_CACHE = {"cached_tokens": 0, "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}}
GA_OUT = {"text_tokens": 30, "audio_tokens": 91}
SUMS = {"total_tokens": 253, "input_tokens": 132, "output_tokens": 121}
GA = {**SUMS, "input_token_details": {**GA_IN, **NO_CACHE}, "output_token_details": GA_OUT}
PLAIN = Usage(text_in=119, audio_in=13, text_out=30, audio_out=91)
GUESSED = Usage(audio_in=132, audio_out=121, estimated=True)
DISAGREEING = Usage(text_in=119, audio_in=13, text_out=30, audio_out=91, estimated=True)
UNTOLD = Usage(untold=1)
INF, NAN = float("inf"), float("nan")


def read(**details: object) -> dict[str, object]:
    """The usual usage with other details of what was read."""
    return {**GA, "input_token_details": details}


def made(**details: object) -> dict[str, object]:
    """The usual usage with other details of what was made."""
    return {**GA, "output_token_details": details}


SHAPES: Mapping[str, tuple[object, Usage]] = {
    # whole
    "as the reference has it": (GA, PLAIN),
    "details only": ({"input_token_details": GA_IN, "output_token_details": GA_OUT}, PLAIN),
    "details in the plural": ({**SUMS, "input_tokens_details": GA_IN, "output_tokens_details": GA_OUT}, PLAIN),
    "a cache by kind": (
        read(**GA_IN, cached_tokens=70, cached_tokens_details={"text_tokens": 64, "audio_tokens": 6}),
        Usage(text_in=55, audio_in=7, cached_text_in=64, cached_audio_in=6, text_out=30, audio_out=91),
    ),
    "pictures": (
        {"input_token_details": {"image_tokens": 10, "text_tokens": 4}, "output_token_details": GA_OUT},
        Usage(text_in=4, image_in=10, text_out=30, audio_out=91),
    ),
    "reasoning inside the text": (
        made(text_tokens=44, audio_tokens=77, reasoning_tokens=31),
        Usage(text_in=119, audio_in=13, text_out=44, audio_out=77, reasoning_out=31),
    ),
    "reasoning beside the text": (
        made(text_tokens=13, audio_tokens=77, reasoning_tokens=31),
        Usage(text_in=119, audio_in=13, text_out=44, audio_out=77, reasoning_out=31),
    ),
    "numbers as texts": (
        {"input_token_details": {"text_tokens": "119", "audio_tokens": "13"}, "output_token_details": GA_OUT},
        PLAIN,
    ),
    "numbers as fractions": (
        {"input_token_details": {"text_tokens": 118.2, "audio_tokens": 13.0}, "output_token_details": GA_OUT},
        PLAIN,
    ),
    "all zero": ({"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}, Usage()),
    # sums
    "sums only": (SUMS, GUESSED),
    "sums by the names of chat": ({"prompt_tokens": 132, "completion_tokens": 121, "total_tokens": 253}, GUESSED),
    "the details of chat": (
        {
            "prompt_tokens": 132,
            "completion_tokens": 121,
            "prompt_tokens_details": {"audio_tokens": 13, "cached_tokens": 0},
            "completion_tokens_details": {"audio_tokens": 91, "reasoning_tokens": 0},
        },
        PLAIN,
    ),
    "one sum only": ({"total_tokens": 253}, Usage(audio_out=253, estimated=True)),
    "the whole and what was read": ({"total_tokens": 253, "input_tokens": 132}, GUESSED),
    "the whole and what was made": ({"total_tokens": 253, "output_tokens": 121}, GUESSED),
    "what was read only": ({"input_tokens": 132}, Usage(audio_in=132, estimated=True)),
    "sums, and details that are null": (
        {**SUMS, "input_token_details": None, "output_token_details": None},
        GUESSED,
    ),
    "sums, and details that are empty": ({**SUMS, "input_token_details": {}, "output_token_details": {}}, GUESSED),
    "details of one side": (
        {**SUMS, "output_token_details": GA_OUT},
        Usage(audio_in=132, text_out=30, audio_out=91, estimated=True),
    ),
    # nulls
    "a cache that is null": (read(**GA_IN, cached_tokens=None, cached_tokens_details=None), PLAIN),
    "a kind of cache that is null": (
        read(**GA_IN, cached_tokens=64, cached_tokens_details={"text_tokens": 64, "audio_tokens": None}),
        Usage(text_in=55, audio_in=13, cached_text_in=64, text_out=30, audio_out=91),
    ),
    "audio that is null": (read(text_tokens=119, audio_tokens=None), PLAIN),
    "text that is null": (made(text_tokens=None, audio_tokens=91), PLAIN),
    "all details null": (made(text_tokens=None, audio_tokens=None), Usage(119, 13, audio_out=121, estimated=True)),
    "sums that are null": ({**GA, "total_tokens": None, "input_tokens": None, "output_tokens": None}, PLAIN),
    # caches that do not fit
    "a cache without kinds": (
        read(**GA_IN, cached_tokens=64),
        Usage(text_in=55, audio_in=13, cached_text_in=64, text_out=30, audio_out=91, estimated=True),
    ),
    "a cache without kinds, of text alone": (
        {"input_token_details": {"text_tokens": 119, "cached_tokens": 64}, "output_token_details": GA_OUT},
        Usage(text_in=55, cached_text_in=64, text_out=30, audio_out=91),
    ),
    "a cache beyond the text": (
        read(text_tokens=10, audio_tokens=122, cached_tokens=64),
        Usage(audio_in=68, cached_text_in=10, cached_audio_in=54, text_out=30, audio_out=91, estimated=True),
    ),
    "a cache larger than all": (
        {"input_token_details": {"text_tokens": 10, "cached_tokens": 64}, "output_token_details": GA_OUT},
        Usage(cached_text_in=10, text_out=30, audio_out=91, estimated=True),
    ),
    "kinds of cache larger than the counts": (
        read(**GA_IN, cached_tokens=192, cached_tokens_details={"text_tokens": 128, "audio_tokens": 64}),
        Usage(cached_text_in=119, cached_audio_in=13, text_out=30, audio_out=91, estimated=True),
    ),
    "kinds of cache larger than its sum": (
        read(**GA_IN, cached_tokens=32, cached_tokens_details={"text_tokens": 64}),
        Usage(text_in=55, audio_in=13, cached_text_in=64, text_out=30, audio_out=91, estimated=True),
    ),
    "a cache and nothing else": (
        {"input_token_details": {"cached_tokens": 64}, "output_token_details": GA_OUT},
        Usage(cached_audio_in=64, text_out=30, audio_out=91, estimated=True),
    ),
    # sums that disagree
    "a sum larger than its details": (
        {**GA, "output_tokens": 221, "total_tokens": 353},
        Usage(119, 13, text_out=30, audio_out=191, estimated=True),
    ),
    "a sum smaller than its details": ({**GA, "output_tokens": 100}, DISAGREEING),
    "a whole larger than its parts": (
        {**GA, "total_tokens": 300},
        Usage(119, 13, text_out=30, audio_out=138, estimated=True),
    ),
    "a whole smaller than its parts": ({**GA, "total_tokens": 200}, DISAGREEING),
    "sums of zero beside details": ({**GA, "total_tokens": 0, "input_tokens": 0, "output_tokens": 0}, PLAIN),
    "more reasoning than text": (
        made(text_tokens=30, audio_tokens=91, reasoning_tokens=31),
        Usage(119, 13, text_out=30, audio_out=91, reasoning_out=30, estimated=True),
    ),
    "reasoning and no sum": (
        {"input_token_details": GA_IN, "output_token_details": {"audio_tokens": 91, "reasoning_tokens": 31}},
        Usage(119, 13, text_out=31, audio_out=91, reasoning_out=31, estimated=True),
    ),
    # time
    "xAI": (
        {
            "input_tokens": 156,
            "input_token_details": {"text_tokens": 10, "audio_tokens": 146, "grok_tokens": 0},
            "output_tokens": 185,
            "output_token_details": {"text_tokens": 15, "audio_tokens": 170, "grok_tokens": 0},
            "total_tokens": 341,
            "output_audio_seconds": 3.38,
            "billable_audio_seconds": 5,
        },
        Usage(text_in=10, audio_in=146, text_out=15, audio_out=170, seconds=5.0),
    ),
    "seconds of what was spoken only": ({"output_audio_seconds": 3.38}, Usage(seconds=3.38, estimated=True)),
    "a transcript by time": ({"type": "duration", "seconds": 3}, Usage(seconds=3.0)),
    "a transcript of silence": ({"type": "duration", "seconds": 0}, Usage(seconds=0.0)),
    "seconds as a text": ({"type": "duration", "seconds": "3.5"}, Usage(seconds=3.5)),
    "seconds that are no number": ({"type": "duration", "seconds": "three"}, UNTOLD),
    # nothing
    "null": (None, UNTOLD),
    "an empty object": ({}, UNTOLD),
    "a list": ([GA], UNTOLD),
    "a text": ("253", UNTOLD),
    "a number": (253, UNTOLD),
    "a truth": (True, UNTOLD),
    "sums that are no numbers": ({"total_tokens": "many", "input_tokens": True, "output_tokens": [1]}, UNTOLD),
    "sums below zero": ({"total_tokens": -253, "input_tokens": -132, "output_tokens": -121}, UNTOLD),
    "sums beyond all numbers": ({"total_tokens": INF, "input_tokens": NAN, "output_tokens": 10**30}, UNTOLD),
    "details that are no objects": ({**SUMS, "input_token_details": [1], "output_token_details": "none"}, GUESSED),
    "a kind below zero": (read(text_tokens=-5, audio_tokens=13), PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_told_is_counted_in_whatever_shape(shape: str) -> None:
    raw, usage = SHAPES[shape]
    assert Usage.from_wire(raw) == usage


def test_what_is_text_for_certain_is_no_guess() -> None:
    told = Usage.from_wire({"input_tokens": 26, "input_token_details": {"audio_tokens": 17, "text_tokens": 9},
                            "output_tokens": 9}, written=True)  # fmt: skip
    assert told == Usage(text_in=9, audio_in=17, text_out=9)
    surplus = Usage.from_wire({"output_tokens": 12, "output_token_details": GA_OUT | {"audio_tokens": 0}}, written=True)
    assert (surplus.text_out, surplus.audio_out) == (30, 0)
    beyond = Usage.from_wire({"output_tokens": 42, "output_token_details": {"text_tokens": 30, "audio_tokens": 0}},
                             written=True)  # fmt: skip
    assert (beyond.text_out, beyond.estimated) == (42, True)


def test_sums_of_usage() -> None:
    both = Usage(seconds=1.5, untold=1) + Usage(text_out=2, estimated=True)
    assert both == Usage(text_out=2, seconds=1.5, untold=1, estimated=True)
    assert (Usage() + Usage()).seconds is None
    assert both - Usage(seconds=0.5) == Usage(text_out=2, seconds=1.0, untold=1, estimated=True)
    assert (Usage(text_out=2) - Usage(text_out=1)).seconds is None
    assert Usage(untold=1, seconds=0.0).is_nothing
    assert not Usage(seconds=0.1).is_nothing
    assert not Usage(cached_text_in=1).is_nothing


NAMES = st.sampled_from(
    [
        *(f"{side}{token}" for side in ("input", "output", "prompt", "completion", "total", "text", "audio", "image")
          for token in ("_tokens", "_token_details", "_tokens_details")),
        "cached_tokens", "cached_tokens_details", "reasoning_tokens", "type", "seconds", "output_audio_seconds",
        "billable_audio_seconds",
    ]
)  # fmt: skip
NUMBERS = st.integers(-5, 200) | st.integers() | st.floats() | st.sampled_from(["12", "-1", "1e9", "٣", "3.5", "NaN"])
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=3) | st.sampled_from(["tokens", "duration"])
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=6))


@given(JSON, st.booleans())
def test_no_json_breaks_it_and_nothing_is_below_zero(raw: object, written: bool) -> None:
    usage = Usage.from_wire(raw, written=written)
    assert all(type(getattr(usage, name)) is int and getattr(usage, name) >= 0 for name in COUNTS)
    assert usage.seconds is None or 0 <= usage.seconds < 10**10
    assert usage.reasoning_out <= usage.text_out
    assert usage.untold == 0 or usage == UNTOLD


@given(st.lists(JSON, max_size=6))
def test_no_total_ever_falls(raws: list[object]) -> None:
    total = Usage()
    for raw in raws:
        grown = total + Usage.from_wire(raw)
        assert all(getattr(grown, name) >= getattr(total, name) for name in COUNTS)
        assert (grown.seconds or 0.0) >= (total.seconds or 0.0)
        assert grown.estimated >= total.estimated
        total = grown


COUNT = st.integers(0, 10_000)


@given(st.tuples(COUNT, COUNT, COUNT, COUNT, COUNT, COUNT))
def test_what_is_told_in_sums_never_counts_less_than_it_is(counts: tuple[int, int, int, int, int, int]) -> None:
    text, audio, image, cached, text_out, audio_out = counts
    sums = {"input_tokens": text + audio + image, "output_tokens": text_out + audio_out}
    usage = Usage.from_wire({**sums, "input_token_details": {"cached_tokens": min(cached, text + audio + image)}})
    assert sum(getattr(usage, name) for name in TOKENS) == sum(sums.values())
    whole = {**sums, "total_tokens": sum(sums.values()),
             "input_token_details": {"text_tokens": text, "audio_tokens": audio, "image_tokens": image},
             "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out}}  # fmt: skip
    exact = Usage(text_in=text, audio_in=audio, image_in=image, text_out=text_out, audio_out=audio_out)
    assert Usage.from_wire(whole) == exact
