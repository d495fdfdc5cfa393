"""What is done when a scene is over: mix, marks, subtitles, page."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import soundfile

from tau_stage import deliver
from tau_stage.audio.bs1770 import IntegratedLoudness
from tests.benchmarks.bench import LIMIT, OURS, Bench, Measured
from tests.benchmarks.scenes import perform_at, plan_of, scene
from tests.benchmarks.sink import open_sink
from tests.benchmarks.table import Figure, Row

PLAYERS, LINE_S, HOUR_S = 6, 5.0, 3600
BLOCK = 480_000
WORDS = "This is line number {} of a very long evening, and nobody is tired of it."


async def perform_and_deliver(url: str, lines: int, folder: str) -> tuple[float, float, float]:
    """Perform a scene, and deliver it; then do the least that delivering needs.

    Returns:
        Seconds of delivering, of the least, and of the scene.
    """
    for count in (2, lines):  # with the first, everything is loaded
        text = scene(PLAYERS, count, words=WORDS)
        plan = plan_of(text, folder)
        take, where = await perform_at(url, text, folder)
        began = time.perf_counter()
        deliver(plan, where, take)
        took = time.perf_counter() - began
    began = time.perf_counter()
    frames = mix_plainly(sorted((where.path / "stems").glob("*.wav")), Path(folder) / "plain.wav")
    return took, time.perf_counter() - began, frames / 24_000


def mix_plainly(stems: list[Path], mixed: Path) -> int:
    """Read all stems once, add them up, measure the sum, and write it; return its samples."""
    with ExitStack() as opened:
        files = [opened.enter_context(soundfile.SoundFile(stem)) for stem in stems]
        out = opened.enter_context(soundfile.SoundFile(mixed, "w", files[0].samplerate, 1))
        meter = IntegratedLoudness(files[0].samplerate, 1)
        samples = int(max(file.frames for file in files))
        for at in range(0, samples, BLOCK):
            size = min(BLOCK, samples - at)
            block = np.sum([file.read(size, dtype="float32", fill_value=0) for file in files], axis=0)
            meter.feed(block[:, None])
            out.write(block)
    return samples


def after(bench: Bench) -> Measured:
    """Measure a tenth of an hour, scaled to an hour; with ``--long``, an hour."""
    share = 1 if bench.is_long else 10
    lines = bench.size(round(HOUR_S / share / (LINE_S + 0.35)), 2)
    least_s: list[float] = []

    def measure() -> dict[str, list[float]]:
        with bench.serving(open_sink, bench.size(round(LINE_S), 1), 100, 0) as server:
            took, least, seconds = bench.call(perform_and_deliver, server.url, lines, str(bench.folder), core=None)
        least_s[:] = [least * HOUR_S / seconds]
        return {"an hour": [took * HOUR_S / seconds]}

    return bench.in_turn({OURS: measure, LIMIT: lambda: {"an hour": least_s[:]}}, rounds=2)


ROWS = {"after": Row(after, {"an hour": Figure("s", at_most=8)})}
