"""The silence between two lines where the uplink is narrow and the server far away, as the client hears it."""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise

from tests.benchmarks import openai_peer
from tests.benchmarks.bench import OPENAI, OURS, Bench, Measured
from tests.benchmarks.network import open_network
from tests.benchmarks.scenes import perform_at, scene
from tests.benchmarks.sink import open_sink
from tests.benchmarks.table import Figure, Row

PLAYERS, SECONDS = 8, 10
SPEED = 3
"""How many times real time the model speaks; what it says to seven hearers is half of what the uplink carries."""

UP_MBIT, RTT_MS = 20, 40
WARM_UP = 1


async def perform(url: str, players: int, lines: int, keys: str, folder: str) -> list[tuple[float, float, float]]:
    """Perform a scene; return when each line was asked for, and when its first and its last sound came."""
    times: list[list[float]] = []

    def note(way: str, kind: str) -> None:
        if (way, kind) == ("out", "response.create"):
            times.append([time.monotonic()])
        elif (way, kind) == ("in", "response.output_audio.delta"):
            times[-1].append(time.monotonic())

    await perform_at(url, scene(players, lines, keys=keys), folder, note)
    return [(line[0], line[1], line[-1]) for line in times]


def _gaps(times: list[tuple[float, float, float]], figures: tuple[str, str]) -> dict[str, list[float]]:
    pairs = list(pairwise(times))[WARM_UP:]
    request, audio = figures
    return {
        request: [1e3 * (after[0] - line[2]) for line, after in pairs],
        audio: [1e3 * (after[1] - line[2]) for line, after in pairs],
    }


PLAIN = "to the request", "to the first sound"
DEEP = "to the request, deep buffers", "to the first sound, deep buffers"


def _measure(bench: Bench, who: str, keys: str, figures: tuple[str, str]) -> dict[str, list[float]]:
    players, lines = bench.size(PLAYERS, 3), WARM_UP + bench.size(4, 2)
    seconds, speed, rtt_s = bench.size(SECONDS, 1), bench.size(SPEED, 0), bench.size(RTT_MS, 2) / 1000
    with (
        bench.serving(open_sink, seconds, 100, speed) as server,
        bench.serving(open_network, server.port, UP_MBIT, rtt_s, figures != DEEP) as network,
    ):
        if who == OPENAI:
            return _gaps(bench.call(openai_peer.perform, network.url, players, lines), figures)
        return _gaps(bench.call(perform, network.url, players, lines, keys, str(bench.folder)), figures)


def create_audio(bench: Bench) -> Measured:
    """Measure it where lines are heard after they are spoken."""
    return bench.in_turn(
        {
            OPENAI: partial(_measure, bench, OPENAI, "", PLAIN),
            OURS: lambda: _measure(bench, OURS, "", PLAIN) | _measure(bench, OURS, "", DEEP),
        },
        rounds=1,
    )


def stream(bench: Bench) -> Measured:
    """Measure it where lines are heard while they are spoken."""
    return bench.in_turn({OURS: partial(_measure, bench, OURS, "hearing: stream\n", PLAIN)}, rounds=1)


def _figures(names: tuple[str, ...], request: float, sound: float) -> dict[str, Figure]:
    return {
        name: Figure("ms", at_most=goal, limit=limit)
        for name, goal, limit in zip(names, (request, sound) * 2, (0, RTT_MS) * 2, strict=False)
    }


ROWS = {
    "dead-air": Row(create_audio, _figures(PLAIN + DEEP, 400, 460)),
    "dead-air-streamed": Row(stream, _figures(PLAIN, 10, 70)),
}
