"""Speech of the understudy: warm, cold, and the same line again."""

from __future__ import annotations

import time

from tau_stage.understudy import Ensemble, SpeechRequest
from tau_stage.understudy.voices import load_engine
from tests.benchmarks.bench import LIMIT, OURS, Bench, Measured
from tests.benchmarks.scenes import perform_at, scene
from tests.benchmarks.table import Figure, Row

LINES = (
    "I have one rule: never sell the last umbrella.",
    "Gone? It is not nine yet.",
    "Your clock is slow, my lady, and so is your driver.",
    "Well, not just you. All of you, and your mothers, and whoever wrote this play; there is rain on every page of it.",
    "No.",
)


VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
RATE = 24_000


async def speak_warm(voices: int) -> tuple[float, float]:
    """Let the understudy say lines, then the same lines again; return how many times real time it speaks."""
    actor = Ensemble()

    async def say(voice: str, text: str) -> float:
        asked = f'Perform this line: "{text}"'
        said = await actor.speak(SpeechRequest(instructions="", system=(), user=asked, heard=(), voice=voice))
        assert said.audio is not None
        return len(said.audio) / RATE

    await say("marin", "Is anybody there?")
    found = []
    for _ in range(2):
        began, spoken = time.process_time(), 0.0
        for voice in VOICES[:voices]:
            for text in LINES:
                spoken += await say(voice, text)
        found.append(spoken / (time.process_time() - began))
    return found[0], found[1]


def run_the_engine(voices: int) -> float:
    """Let the engine alone say the same lines, of which it knows the phonemes; as above."""
    engine = load_engine()
    phonemes = [piece for text in LINES for piece in engine.phonemize(text)]
    began, spoken = time.process_time(), 0.0
    for _ in range(voices):
        for piece in phonemes:
            spoken += len(engine.from_phonemes(piece)) / RATE
    return spoken / (time.process_time() - began)


async def speak_cold(folder: str) -> float:
    """Perform a scene with the understudy in this process; return the seconds from the first request to its sound."""
    times: dict[str, float] = {}

    def note(_way: str, kind: str) -> None:
        times.setdefault(kind, time.monotonic())

    await perform_at("", scene(2, 2), folder, note)
    return times["response.output_audio.delta"] - times["response.create"]


def speech(bench: Bench) -> Measured:
    """Measure each in a fresh process."""
    voices = bench.size(len(VOICES), 1)

    def work() -> dict[str, list[float]]:
        warm, again = bench.call(speak_warm, voices)
        cold_s = bench.call(speak_cold, str(bench.folder), core=None)
        return {"warm": [warm], "the same line again": [again], "first line, cold": [cold_s]}

    return bench.in_turn({LIMIT: lambda: {"warm": [bench.call(run_the_engine, voices)]}, OURS: work})


ROWS = {
    "speech": Row(
        speech,
        {
            "warm": Figure("× real time, CPU", at_least=130),
            "the same line again": Figure("× real time, CPU"),
            "first line, cold": Figure("s", at_most=0.4),
        },
    )
}
