"""How long a line takes until the next one begins, counted in round trips and on an uplink that all players share."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.far_servers import Passed, Uplink
from tests.support.in_memory_stage import Playhouse

VOICES = ("ash", "sage", "coral", "verse", "marin", "cedar", "echo", "alloy", "ballad", "shimmer")
LONG = "word " * 99 + "said."
"""Ten seconds of the tone that stands for a voice."""


def ensemble(players: int, lines: int, words: str, head: str = "") -> str:
    names = [f"p{number}" for number in range(players)]
    cast = ", ".join(f"{name}: {{voice: {voice}}}" for name, voice in zip(names, VOICES, strict=False))
    spoken = "".join(f"  - {names[number % players]}: {words}\n" for number in range(lines))
    return f"players: {{{cast}}}\n{head}limits: {{start_rate: 100/s}}\nlines:\n{spoken}"


def requests(passed: list[Passed]) -> list[float]:
    return [each.at for each in passed if (each.way, each.kind) == ("out", "response.create")]


def silences(passed: list[Passed]) -> list[tuple[float, float]]:
    """Seconds from the end of each line, as it came in, to the request for the next, and to its first sound."""
    found, ended, asked = [], 0.0, 0.0
    for each in passed:
        if each.kind == "response.create":
            asked = each.at
        elif each.kind == "response.done":
            ended = each.at
        elif each.kind == "response.output_audio.delta" and ended:
            found.append((asked - ended, each.at - ended))
            ended = 0.0
    return found


async def test_a_line_takes_one_round_trip(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, uplink=Uplink(rtt_s=0.1), judges=False)
    await house.perform(ensemble(10, 6, "Yes."))
    asked = requests(house.passed)
    round_trips = [(later - earlier) / 0.1 for earlier, later in pairwise(asked)]
    assert len(round_trips) == 5
    assert max(round_trips) < 1.15


async def test_the_next_speaker_has_the_uplink_to_itself(tmp_path: Path) -> None:
    house = Playhouse(tmp_path, uplink=Uplink(rtt_s=0.04, bytes_per_s=20e6 / 8), judges=False)
    house.understudy.pace = 1.0
    take = await house.perform(ensemble(8, 1, LONG) + "  - p1: Yes.\n")
    assert [len(line.hearers) for line in take.lines] == [7, 7]
    assert take.lines[0].duration_s == pytest.approx(10.0)
    ((asked_s, sounds_s),) = silences(house.passed)
    assert asked_s <= 0.4
    assert sounds_s <= 0.46
