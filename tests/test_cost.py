"""Usage times price, by hand."""

import subprocess
import sys
from decimal import Decimal
from importlib import import_module

import pytest
from genai_prices import calc_price, extract_usage

from tau_stage.cost import Cost, price, prices
from tau_stage.cost.pricing import LoadedWhenUsed, price_library
from tau_stage.protocol.endpoints import ENDPOINTS
from tau_stage.protocol.usage import Usage

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
    assert price(Usage.from_wire(usage), "gpt-realtime-2.1").total == whole


def test_an_unknown_price_is_never_zero() -> None:
    cost = price(Usage(audio_out=5), "my-own-model") + price(Usage(audio_out=5), "gpt-realtime-2.1")
    assert cost.total is None
    assert cost.spoken is None
    assert cost.listened == 0
    assert cost.tokens.audio_out == 10


def test_a_model_that_is_billed_by_time() -> None:
    listed = prices("grok-voice-latest", "x-ai")
    assert (listed.per_million, listed.per_minute, listed.per_message) == ({}, Decimal("0.08"), Decimal("0.004"))
    used = Usage(text_in=10, audio_in=146, text_out=15, audio_out=170, seconds=45.0, text_messages=2)
    cost = price(used, "grok-voice-latest", "x-ai")
    assert (cost.spoken, cost.listened, cost.cached) == (Decimal("0.06"), Decimal("0.008"), Decimal(0))
    assert cost.total == cost.known == Decimal("0.068")
    assert cost.by_kind["audio_out"] == 0  # its tokens cost nothing of their own


@pytest.mark.parametrize(("model", "dollars"), [("gpt-transcribe", "0.0045"), ("whisper-1", "0.006")])
def test_a_minute_that_is_written_down_has_its_price(model: str, dollars: str) -> None:
    assert price(Usage(seconds=0.5) + Usage(seconds=59.5), model).total == Decimal(dollars)
    assert price(Usage(seconds=60.0), "gpt-4o-mini-transcribe").total is None


def test_without_the_time_nobody_knows_what_such_a_model_costs() -> None:
    assert price(Usage(audio_out=170), "grok-voice-latest", "x-ai").total is None
    assert price(Usage(seconds=0.0, text_out=4), "grok-voice-latest", "x-ai").total == 0
    assert price(Usage(), "grok-voice-latest", "x-ai").total == 0


def test_transcripts_by_time() -> None:
    assert price(Usage(seconds=3.0), "whisper-1").total == Decimal("0.0003")
    assert price(Usage(seconds=0.0), "whisper-1").total == 0
    assert price(Usage(seconds=3.0), "gpt-4o-mini-transcribe").total is None  # its price is by token
    assert price(Usage(seconds=3.0, audio_in=30), "gpt-4o-mini-transcribe").total == Decimal("0.00009")


@pytest.mark.parametrize("model", ["gpt-realtime-2.1", "grok-voice-latest", "my-own-model"])
def test_usage_that_was_not_told_is_no_price_of_nothing(model: str) -> None:
    provider = "x-ai" if model.startswith("grok") else "openai"
    cost = price(Usage(untold=1), model, provider)
    assert (cost.total, cost.spoken, cost.listened, cost.cached) == (None, None, None, None)
    assert (cost + price(Usage(text_out=1), "gpt-realtime-2.1")).known == Decimal("0.000024")


def test_estimates_are_marked_through_every_sum() -> None:
    guessed = price(Usage(audio_out=5, estimated=True), "gpt-realtime-2.1")
    assert guessed.estimated
    assert (guessed + price(Usage(text_out=1), "gpt-realtime-2.1")).estimated
    assert not price(Usage(text_out=1), "gpt-realtime-2.1").estimated


def test_voice_live_has_prices_of_its_own_which_nobody_lists() -> None:
    assert price(Usage(audio_out=5), "gpt-realtime", ENDPOINTS["azure-voice-live"].price_provider).total is None
    assert price(Usage(audio_out=5), "gpt-realtime", ENDPOINTS["azure"].price_provider).total


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


def test_a_module_that_is_loaded_when_used_gives_way_to_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = LoadedWhenUsed("colorsys")
    monkeypatch.setitem(sys.modules, "colorsys", waiting)
    assert waiting.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
    assert sys.modules["colorsys"] is not waiting
    assert waiting.hsv_to_rgb is import_module("colorsys").hsv_to_rgb


def test_nothing_stays_in_a_modules_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "httpx2", raising=False)
    price_library.__wrapped__()
    assert "httpx2" not in sys.modules


def test_the_price_library_leaves_what_it_did_not_load_as_it_was() -> None:
    code = """
import sys
from tau_stage.cost import prices
prices("gpt-realtime-2.1")
print({"asyncio", "httpx2"} & set(sys.modules))
import asyncio
print(asyncio.run(asyncio.sleep(0, "slept")))
from genai_prices import UpdatePrices
print(UpdatePrices().request_timeout.connect)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["set()", "slept", "5"]
