"""Figures, not verdicts: `pytest tests/benchmarks --benchmark-enable --benchmark-only` prints them.

Otherwise each runs once, so that it cannot rot.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.protocol.conversation import Conversation
from tau_stage.protocol.decoding import decode
from tau_stage.protocol.responses import ResponseEnded
from tau_stage.protocol.server_events import AudioDelta, AudioDone
from tau_stage.scene.load import parse_scene
from tau_stage.scene.planner import make_plan
from tau_stage.stage.fan_out import ClipForm, HeardClip

Benchmark = Callable[..., Any]
DELTA = Pcm.silence(2400).base64.decode()


def frames(seconds: int) -> list[bytes]:
    place = {"response_id": "r", "item_id": "i"}
    delta = AudioDelta.model_validate(place | {"delta": DELTA}).encode()
    done = decode(json.dumps({"type": "response.done", "response": {"id": "r", "status": "completed"}}))
    sound = AudioDone.model_validate(place).encode()
    return [delta] * (10 * seconds) + [sound, done.encode()]


@pytest.mark.parametrize("seconds", [6, 60])
def test_receiving_a_spoken_line(benchmark: Benchmark, seconds: int) -> None:
    """Deltas of 100 ms; a minute must cost no more per second than six seconds."""
    arriving = frames(seconds)

    def receive() -> Any:
        conversation = Conversation()
        return [conversation.apply(decode(frame)) for frame in arriving][-1]

    end = benchmark(receive)
    assert isinstance(end, ResponseEnded)
    assert end.response.audio.duration_s == seconds


@pytest.mark.parametrize("hearers", [7, 31])
def test_building_what_hearers_are_sent(benchmark: Benchmark, hearers: int) -> None:
    """A line of ten seconds, built once for all hearers."""
    audio = Pcm.silence(240_000)

    def build() -> list[bytes]:
        clip = HeardClip("ann-1", "1", "ann", audio, "words")
        return [frame for _ in range(hearers) for frame, _ in clip.frames(ClipForm())]

    assert len(benchmark(build)) == hearers


def test_reading_a_scene_of_a_thousand_lines(benchmark: Benchmark) -> None:
    players = "".join(f"  p{n}: {{voice: ash}}\n" for n in range(12))
    lines = "".join(f"  - p{n % 12}: (softly) Line number {n}.\n" for n in range(1000))
    text = f"players:\n{players}lines:\n{lines}"
    assert len(benchmark(lambda: make_plan(parse_scene(text))).lines) == 1000
