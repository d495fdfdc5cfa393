"""Hold the words that the aligner finds against the voice engine's own durations: ``python -m tests.word_timings``.

Every scripted line of ``scenes/*.yaml`` is spoken by the understudy's voice. The network of that voice gives each
phoneme a length; its model file has no output for it, so one is added. Prints, by scene, how far the beginnings of
words are apart, in milliseconds.

A phoneme's length says when the network begins to shape it, and the sound comes before: by how much is measured where
words begin after silence, without the aligner (``lead``), and taken off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tau_stage import load_scene, make_plan
from tau_stage.audio import RATE, Pcm
from tau_stage.scene import LinePlan, Plan
from tau_stage.timing import Aligner, WordSpan, split_transcript, time_words
from tau_stage.understudy import voices
from tau_stage.understudy.actor import SpeechRequest
from tau_stage.understudy.delivery import Moment, SpeechPlan, plan_speech

SCENES = sorted(Path(__file__).parent.parent.joinpath("scenes").glob("*.yaml"))
LENGTHS = b"/Clip_output_0"  # what the network calls the lengths of its phonemes, in steps of two frames
STEP = 600  # samples
BETWEEN = frozenset(' ;:,.!?—…"()“”')
STRESS = frozenset("ˈˌ")


@dataclass(frozen=True)
class EngineLine:
    """A line as the engine spoke it: its sound, and where it has set each word."""

    said: str
    sound: Pcm
    starts_s: list[float]
    leads_s: list[float]  # at each word that follows silence: how far its sound is before it


@dataclass(frozen=True)
class LineErrors:
    """How far the beginnings of a line's words are from the engine's, in milliseconds."""

    scene: str
    line: str
    errors_ms: list[float]
    problem: str = ""


def scripted(plan: Plan) -> Iterator[LinePlan]:
    people = {player.name for player in plan.people}
    yield from (line for line in plan.all_lines if not line.improvised and line.words and line.player not in people)


def speech_of(plan: Plan, line: LinePlan) -> tuple[SpeechPlan, str]:
    player = plan.player(line.player)
    told = SpeechRequest(
        instructions=player.instructions, system=(), user=line.prompt, heard=(), voice=player.voice or "alloy"
    )
    return plan_speech(told), told.voice


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


@cache
def lengths_session() -> Any:
    """Open the network with one more output: a message of Protocol Buffers that follows another is merged with it."""
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]
    from hibari import tts

    voices.load_engine()  # which silences its telemetry
    floats = field(2, field(1, varint(1 << 3) + varint(1)))  # ValueInfoProto.type: a tensor of floats
    output = field(7, field(12, field(1, LENGTHS) + floats))  # ModelProto.graph.output
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = Path(tts.voice_path(tts.DEFAULT)).read_bytes() + output
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def speak(performance: SpeechPlan, voice: str) -> EngineLine:
    """Speak a line as ``Voices.pieces`` does, and note where the engine has set its words."""
    speaker, engine = voices.Voices(), voices.load_engine()
    sound = speaker.speak(performance, voice)
    dice = np.random.default_rng(speaker._seed + performance.style.take - 1)
    at, starts, leads = 0, [], []
    for part in performance.parts:
        if isinstance(part, Moment):
            at += len(voices.trim_edges(voices.make_moment(part.kind, dice)))
            continue
        pieces = speaker._phonemes(part)
        for number, piece in enumerate(pieces, 1):
            made = speaker._piece(piece, part, performance.style, voices.timbre(voice), dice)
            cut = voices._cut_silence(made, first=number == 1, last=number == len(pieces))
            head = (cut.__array_interface__["data"][0] - made.__array_interface__["data"][0]) // made.itemsize
            speed = min(max(performance.style.rate * part.rate, 0.5), 2.0)
            words = word_starts(piece, engine, speed, len(made))
            starts += [(at + start - head) / RATE for start in words]
            if number == 1 and head:
                leads.append((words[0] - head) / RATE - voices.EDGE_S)
            at += len(cut)
    assert at == len(sound)
    return EngineLine(performance.transcript, sound, starts, leads)


def word_starts(phonemes: str, engine: Any, speed: float, samples: int) -> list[int]:
    """Return the sample at which the engine begins each word of a piece."""
    given = {"ids": np.asarray([engine.ids(phonemes)], np.int64), "speed": np.asarray([speed], np.float32)}
    lengths = lengths_session().run([LENGTHS.decode()], given)[0].reshape(-1)
    assert round(float(lengths.sum())) * STEP == samples
    ends = np.cumsum(lengths) * STEP
    signs = [sign for sign in phonemes if sign in engine.vocab]
    heads = [at for at, sign in enumerate(signs) if sign not in BETWEEN and (at == 0 or signs[at - 1] in BETWEEN)]
    return [int(ends[at + (signs[at] in STRESS)]) for at in heads]


def measure(aligner: Aligner, scene: str, line: str, spoken: EngineLine, lead_s: float) -> LineErrors:
    """Compare where the aligner and the engine have the beginnings of words."""
    words = split_transcript(spoken.said)
    if len(words) != len(spoken.starts_s):
        return LineErrors(scene, line, [], f"{len(words)} words, of which the engine made {len(spoken.starts_s)}")
    found = aligner.align(words, spoken.sound)
    spans: tuple[WordSpan | None, ...] = found.spans if found else ()
    timed = time_words(spoken.said, spoken.sound, spans, "aligned" if found else "estimated")
    errors = [1000 * (word.start_s - start + lead_s) for word, start in zip(timed, spoken.starts_s, strict=True)]
    return LineErrors(scene, line, errors, "" if found else "not aligned")


def measure_all(lines: Sequence[tuple[str, str, EngineLine]]) -> tuple[float, list[LineErrors]]:
    """Return how far the engine's sound is before its lengths, in seconds, and the errors of each line."""
    lead_s = float(np.median([lead for _, _, spoken in lines for lead in spoken.leads_s]))
    aligner = Aligner()
    return lead_s, [measure(aligner, scene, line, spoken, lead_s) for scene, line, spoken in lines]


def spoken_lines(scenes: Sequence[Path]) -> Iterator[tuple[str, str, EngineLine]]:
    for path in scenes:
        plan = make_plan(load_scene(path))
        for line in scripted(plan):
            yield path.stem, line.id, speak(*speech_of(plan, line))


def summary(name: str, errors: Sequence[float]) -> str:
    sizes = np.abs(errors)
    figures = (sizes.mean(), np.median(sizes), np.percentile(sizes, 95))
    return f"{name:<18}{len(errors):6}" + "".join(f"{figure:10.1f}" for figure in figures)


def main() -> None:
    lead_s, measured = measure_all([*spoken_lines(SCENES)])
    print(f"{'scene':<18}{'words':>6}{'mean ms':>10}{'median':>10}{'95 %':>10}")  # noqa: T201
    for scene in dict.fromkeys(each.scene for each in measured):
        if errors := [error for each in measured if each.scene == scene for error in each.errors_ms]:
            print(summary(scene, errors))  # noqa: T201
    print(summary("all", [error for each in measured for error in each.errors_ms]))  # noqa: T201
    print(f"the sound is {1000 * lead_s:.0f} ms before the engine's lengths")  # noqa: T201
    for each in measured:
        if each.problem:
            print(f"{each.scene}, {each.line}: {each.problem}")  # noqa: T201


if __name__ == "__main__":
    main()
