"""Usage times price, by hand."""

from decimal import Decimal

import pytest
from genai_prices import calc_price, extract_usage

from tau_stage.cost import Cost, price, prices
from tau_stage.protocol.usage import Usage, WireUsage

MIXED = Usage(
    text_in=55,
    audio_in=13,
    image_in=10,
    cached_text_in=64,
    cached_audio_in=40,
    cached_image_in=5,
    text_out=30,
    audio_out=91,
)
# dollars per million tokens, OpenAI, 2026-11-21: text, audio, image, cached each, text and audio out
BY_HAND = {
    "gpt-realtime-2.1": ("4", "32", "5", "0.4", "0.4", "0.5", "24", "64"),
    "gpt-realtime-2.1-mini": ("0.6", "10", "0.8", "0.06", "0.3", "0.08", "2.4", "20"),
    "gpt-realtime-1.5": ("4", "32", "5", "0.4", "0.4", "0.5", "16", "64"),
    "gpt-realtime-mini": ("0.6", "10", "0.8", "0.06", "0.3", "0.08", "2.4", "20"),
}


@pytest.mark.parametrize("model", BY_HAND)
def test_four_models_by_hand(model: str) -> None:
    text, audio, image, cached_text, cached_audio, cached_image, text_out, audio_out = map(Decimal, BY_HAND[model])
    cost = price(MIXED, model)
    assert cost.listened == (55 * text + 13 * audio + 10 * image) / 1_000_000
    assert cost.cached == (64 * cached_text + 40 * cached_audio + 5 * cached_image) / 1_000_000
    assert cost.spoken == (30 * text_out + 91 * audio_out) / 1_000_000
    assert cost.total == cost.listened + cost.cached + cost.spoken


def test_the_price_list_itself_gives_the_same_total() -> None:
    usage = {
        "total_tokens": 253,
        "input_tokens": 132,
        "output_tokens": 121,
        "input_token_details": {
            "text_tokens": 119,
            "audio_tokens": 13,
            "image_tokens": 0,
            "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    }
    event = {"type": "response.done", "response": {"usage": usage}}
    theirs = extract_usage(event, provider_id="openai", api_flavor="realtime").usage
    whole = calc_price(theirs, "gpt-realtime-2.1", provider_id="openai").total_price
    assert price(Usage.from_wire(WireUsage.model_validate(usage)), "gpt-realtime-2.1").total == whole


def test_an_unknown_price_is_never_zero() -> None:
    cost = price(Usage(audio_out=5), "my-own-model") + price(Usage(audio_out=5), "gpt-realtime-2.1")
    assert cost.total is None
    assert cost.spoken is None
    assert cost.listened == 0
    assert cost.tokens.audio_out == 10


def test_a_model_priced_by_the_minute_has_no_price_per_token() -> None:
    assert prices("grok-voice-latest", "x-ai").per_million == {}


def test_nothing_used_costs_nothing_whatever_the_model() -> None:
    assert price(Usage(), "my-own-model").total == 0
    assert Cost().total == Cost().dollars == 0


@pytest.mark.parametrize(
    ("model", "text", "audio", "out"),
    [("gpt-4o-mini-transcribe", "1.25", "3", "5"), ("gpt-4o-transcribe", "2.5", "6", "10")],
)
def test_transcripts_of_the_input_by_hand(model: str, text: str, audio: str, out: str) -> None:
    cost = price(Usage(text_in=2, audio_in=17, text_out=9), model)
    assert cost.total == (2 * Decimal(text) + 17 * Decimal(audio) + 9 * Decimal(out)) / 1_000_000
