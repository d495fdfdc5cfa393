"""Lines of a performance, as the server sees them: fan-out, the time of a line, round trips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from tests.benchmarks import openai_peer, raw_tcp, scenes
from tests.benchmarks.bench import LIMIT, NODE, OPENAI, OURS, Bench, Measured
from tests.benchmarks.network import open_network
from tests.benchmarks.processes import LoggedEvent
from tests.benchmarks.sink import open_sink
from tests.benchmarks.table import Figure, Row

CLIP = 12_000
"""Bytes of an event from which on it holds a sound and not words."""

WARM_UP = 2
"""Lines that are left out: in them, contenders load what they need."""


@dataclass
class LineTimes:
    """When a line was asked for, spoken, and heard by each of its hearers: the first byte and the last."""

    asked: float
    first_delta: float = 0.0
    done: float = 0.0
    heard: tuple[tuple[float, float], ...] = ()


def read_lines(log: list[LoggedEvent]) -> list[LineTimes]:
    """Read a server's log.

    A player hears the lines of all others, in order; so its clips tell whose they are by their number.
    """
    asked = [event for event in log if event.kind == "response.create"]
    speakers = [event.connection for event in asked]
    lines = [LineTimes(event.at) for event in asked]
    heard: list[list[tuple[float, float]]] = [[] for _ in lines]
    for connection in {event.connection for event in log}:
        mine = [event for event in log if event.connection == connection]
        spoken = [line for line, speaker in zip(lines, speakers, strict=True) if speaker == connection]
        for line, until in zip(spoken, [*spoken[1:], LineTimes(float("inf"))], strict=False):
            own = [event for event in mine if event.way == "out" and line.asked <= event.at < until.asked]
            line.first_delta = next(event.at for event in own if event.kind == "response.output_audio.delta")
            line.done = next(event.at for event in own if event.kind == "response.done")
        clips = [event for event in mine if event.kind == "conversation.item.create" and event.size > CLIP]
        others = (number for number, speaker in enumerate(speakers) if speaker != connection)
        for number, clip in zip(others, clips, strict=False):
            heard[number].append((clip.began, clip.at))
    for line, clips_of_it in zip(lines, heard, strict=True):
        line.heard = tuple(clips_of_it)
    return lines


@dataclass(frozen=True)
class Scene:
    """What is performed."""

    players: int
    seconds: float
    delta_ms: float = 100.0
    rtt_ms: float = 0.0


Reading = Callable[[list[LineTimes]], dict[str, list[float]]]


def perform_in_turn(bench: Bench, given: Scene, lines: int, read: Reading, *, raw: bool = True) -> Measured:
    """Let all contenders perform, each at a server of its own."""

    def at_sink(work: Callable[[str], object]) -> dict[str, list[float]]:
        with bench.serving(open_sink, given.seconds, given.delta_ms, 0.0) as server:
            if not given.rtt_ms:
                work(server.url)
                return read(read_lines(server.log())[WARM_UP:])
            with bench.serving(open_network, server.port, 0, given.rtt_ms / 1000, False) as network:
                work(network.url)
            return read(read_lines(server.log())[WARM_UP:])

    def limit() -> dict[str, list[float]]:
        with bench.serving(raw_tcp.open_answering) as server:
            bench.call(raw_tcp.perform, server.port, given.players, count, given.seconds, given.delta_ms)
            return read(read_lines(server.log())[WARM_UP:])

    count = WARM_UP + lines
    folder = str(bench.folder)
    contenders = {
        OPENAI: lambda: at_sink(lambda url: bench.call(openai_peer.perform, url, given.players, count)),
        NODE: lambda: at_sink(lambda url: bench.node("perform", url, given.players, count)),
        OURS: lambda: at_sink(lambda url: bench.call(scenes.perform_lines, url, given.players, count, folder)),
    }
    return bench.in_turn(({LIMIT: limit} if raw else {}) | contenders)


def _fan_out(lines: list[LineTimes]) -> dict[str, list[float]]:
    whole = [line for line in lines if line.heard]
    return {
        "first byte to last": [
            1e3 * (max(at for _, at in line.heard) - min(began for began, _ in line.heard)) for line in whole
        ],
        "response.done to last": [1e3 * (max(at for _, at in line.heard) - line.done) for line in whole],
    }


def _periods(lines: list[LineTimes]) -> list[float]:
    return [1e3 * (after.asked - line.asked) for line, after in pairwise(lines)]


def _all_heard(lines: list[LineTimes]) -> dict[str, list[float]]:
    return {
        "all have heard": [1e3 * (max(at for _, at in line.heard) - line.first_delta) for line in lines if line.heard]
    }


def _line(lines: list[LineTimes]) -> dict[str, list[float]]:
    return dict.fromkeys(("p50", "p99"), _periods(lines))


def _round_trips(lines: list[LineTimes], rtt_ms: float) -> dict[str, list[float]]:
    return {"a line": [period / rtt_ms for period in _periods(lines)]}


def fan_out(bench: Bench, players: int) -> Measured:
    """Measure how long it takes until all others have a clip of ten seconds."""
    given = Scene(bench.size(players, 3), bench.size(10, 1))
    return perform_in_turn(bench, given, bench.size(12, 1), _fan_out)


def line(bench: Bench) -> Measured:
    """Measure from one line's request to that of the next."""
    return perform_in_turn(bench, Scene(bench.size(10, 3), bench.size(4, 1), 50), bench.size(30, 2), _line)


def long_line(bench: Bench) -> Measured:
    """Measure from the first delta of a minute until all have heard it."""
    return perform_in_turn(bench, Scene(3, bench.size(60, 1)), bench.size(4, 1), _all_heard)


def round_trips(bench: Bench) -> Measured:
    """Measure from one line's request to that of the next, in round trips."""
    rtt_ms = bench.size(100, 5)
    read = partial(_round_trips, rtt_ms=rtt_ms)
    given = Scene(bench.size(10, 3), 1, rtt_ms=rtt_ms)
    return perform_in_turn(bench, given, bench.size(12, 2), read, raw=False)


FAN_OUT = {
    "fan-out-8": Row(
        partial(fan_out, players=8),
        {"first byte to last": Figure("ms", at_most=2.5), "response.done to last": Figure("ms")},
    ),
    "fan-out-32": Row(
        partial(fan_out, players=32),
        {"first byte to last": Figure("ms", at_most=10), "response.done to last": Figure("ms")},
    ),
}
LINES = {
    "line": Row(line, {"p50": Figure("ms", at_most=5), "p99": Figure("ms", at_most=12, share=0.99)}),
    "long-line": Row(long_line, {"all have heard": Figure("ms", at_most=40)}),
}
ROUND_TRIPS = {
    "round-trips": Row(round_trips, {"a line": Figure("round trips", at_most=1.15, limit=1)}),
}
