"""The voices are real, different, level and the same every time. The engine is loaded once: 0.5 s."""

from __future__ import annotations

import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tau_stage.audio.loudness import peak_dbfs, rms_dbfs
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.errors import UsageError
from tau_stage.understudy.actor import SpeechRequest, UnsupportedScript
from tau_stage.understudy.delivery import SpeechPlan, plan_speech
from tau_stage.understudy.sound_store import BlobStore, SoundCache, load_pcm
from tau_stage.understudy.voices import (
    LONGEST_PIECE,
    MEMORY_BYTES,
    TIMBRES,
    Ensemble,
    Voices,
    load_engine,
    pin_transform,
    split_phonemes,
)
from tests.support.forked import python

WORDS = "The last one today. There may be another by spring."

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def voices() -> Voices:
    """Slow: the engine takes half a second to load, once for all tests."""
    return Voices()


def line(words: str = WORDS, direction: str = "plainly", *, speed: float = 1.0) -> SpeechPlan:
    return plan_speech(SpeechRequest("", (), f'Perform this line, {direction}: "{words}"', (), "ash", speed))


def pitch_hz(audio: Pcm) -> float:
    """Median f0 of the voiced frames, by autocorrelation; 0 where nothing is voiced."""
    found = []
    sound = audio.array / 32768
    for start in range(0, len(sound) - 1200, 600):
        frame = sound[start : start + 1200]
        if np.sqrt(np.mean(frame**2)) > 0.02:
            same = np.correlate(frame, frame, "full")[1199:]
            lag = int(np.argmax(same[60:400])) + 60
            if same[lag] > 0.5 * same[0]:
                found.append(RATE / lag)
    return float(np.median(found)) if found else 0.0


def voiced_share(audio: Pcm) -> float:
    """How much of what is loud repeats itself, as a voice does."""
    sound = audio.array / 32768
    loud = voiced = 0
    for start in range(0, len(sound) - 1200, 600):
        frame = sound[start : start + 1200]
        if np.sqrt(np.mean(frame**2)) > 0.02:
            loud += 1
            same = np.correlate(frame, frame, "full")[1199:]
            voiced += bool(np.max(same[60:400]) > 0.5 * same[0])
    return voiced / max(loud, 1)


def centroid_hz(audio: Pcm) -> float:
    """Centre of gravity of the spectrum."""
    power = np.abs(np.fft.rfft(audio.array.astype(float))) ** 2
    return float((np.fft.rfftfreq(len(audio), 1 / RATE) * power).sum() / power.sum())


def test_ten_voices_differ_in_pitch_and_colour(voices: Voices) -> None:
    said = {name: voices.speak(line(), name) for name in TIMBRES}
    assert len({audio.sha256 for audio in said.values()}) == 10
    pitches = {name: pitch_hz(audio) for name, audio in said.items()}
    assert pitches["cedar"] < pitches["verse"] < pitches["coral"] < pitches["shimmer"]
    assert pitches["ash"] < 0.7 * pitches["coral"]
    assert len({round(centroid_hz(audio)) for audio in said.values()}) == 10


@pytest.mark.parametrize("voice", ["ash", "shimmer", "voice_of_mine"])
@pytest.mark.parametrize("direction", ["plainly", "whispering", "shouting", "sadly"])
def test_every_line_is_level_and_never_near_full_scale(voices: Voices, voice: str, direction: str) -> None:
    audio = voices.speak(line(direction=direction), voice)
    assert abs(rms_dbfs(audio) + 23) < 4.5
    assert peak_dbfs(audio) < -1
    if direction == "plainly":
        assert abs(rms_dbfs(audio) + 23) < 0.5


def test_a_whisper_is_whispered(voices: Voices) -> None:
    spoken = voiced_share(voices.speak(line(), "ballad"))
    whispered = voiced_share(voices.speak(line(direction="whispering"), "ballad"))
    assert whispered < 0.4 * spoken


def test_direction_and_speed_change_the_length(voices: Voices) -> None:
    usual = len(voices.speak(line(), "sage"))
    assert len(voices.speak(line(direction="slowly"), "sage")) > 1.1 * usual
    assert len(voices.speak(line(speed=1.5), "sage")) < 0.8 * usual


def test_the_same_line_voice_and_seed_give_the_same_bytes_in_any_process(voices: Voices) -> None:
    here = voices.speak(line(), "ash").sha256
    assert voices.speak(line(), "ash").sha256 == here
    assert Voices(seed=1).speak(line(), "ash").sha256 != here
    program = (
        "from tau_stage.understudy.voices import Voices\n"
        "from tau_stage.understudy.delivery import plan_speech\n"
        "from tau_stage.understudy.actor import SpeechRequest\n"
        f"""cue = SpeechRequest("", (), 'Perform this line, plainly: "{WORDS}"', (), "ash")\n"""
        "print(Voices().speak(plan_speech(cue), 'ash').sha256)"
    )
    done = python("-c", program)
    assert done.stdout.strip() == here


@pytest.mark.parametrize(
    "words", ["!?", "...", "[coughs] [laughs] [sighs] [pause]", "Ünïcödé, 幽霊!", "x" * 300, "a\u0301"]
)
def test_odd_words_are_something_and_nothing_breaks(voices: Voices, words: str) -> None:
    assert voices.speak(line(words), "ash")


def test_moments_are_heard(voices: Voices) -> None:
    plain = voices.speak(line("Hello there."), "ash")
    coughed = voices.speak(line("[coughs] Hello there."), "ash")
    assert len(coughed) > len(plain) + 0.3 * RATE


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_ensemble_speaks_off_the_loop_or_writes() -> None:
    cue = SpeechRequest("", (), 'Perform this line: "Hello."', (), "ash")
    spoken = await Ensemble().speak(cue)
    assert spoken.words == "Hello."
    assert spoken.audio
    written = await Ensemble().speak(SpeechRequest("", (), 'Perform this line: "Hello."', (), "ash", wants_audio=False))
    assert (written.words, written.audio) == ("Hello.", None)


def test_all_voices_of_a_process_share_one_engine(voices: Voices, monkeypatch: pytest.MonkeyPatch) -> None:
    said, opened = voices.speak(line(), "ash"), list[str]()
    open_network = sys.modules["onnxruntime"].InferenceSession

    def opening(model: str, *options: Any, **more: Any) -> Any:
        opened.append(model)
        return open_network(model, *options, **more)

    monkeypatch.setattr("onnxruntime.InferenceSession", opening)
    assert Voices().speak(line(), "ash") == said
    assert opened == []


def test_the_network_is_opened_once() -> None:
    """Slow: a process of its own loads the voice."""
    code = """
import onnxruntime
opened, whole = [], onnxruntime.InferenceSession
def opening(model, *options, **more):
    opened.append(model)
    return whole(model, *options, **more)
onnxruntime.InferenceSession = opening
from tau_stage.understudy.voices import load_engine
print(load_engine().phonemize("Hello."), len(opened))
"""
    done = python("-c", code)
    assert done.stdout.endswith("] 1\n")


def test_without_the_engine_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(UsageError, match=r"pip install 'tau-stage\[understudy\]'"):
        Voices().speak(line(), "ash")


# ---- long lines


class Counting:
    """The network, and how much it was given at once."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.given: list[int] = []

    def run(self, names: Any, given: Any) -> Any:
        self.given.append(given["ids"].shape[1])
        return self.inner.run(names, given)


@pytest.mark.parametrize("words", ["word " * 60, "one, " * 60, "Yes. " * 20])
def test_the_voice_is_never_given_more_than_a_piece(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    voices = Voices()
    usual = voices.speak(line("Hello."), "ash")
    counting = Counting(load_engine().sess)
    monkeypatch.setattr(load_engine(), "sess", counting)
    assert len(voices.speak(line(words), "ash")) > 5 * len(usual)
    assert max(counting.given) <= LONGEST_PIECE + 2
    assert sum(counting.given) >= len(words) // 2


def test_a_line_that_is_made_on_disk_is_level_too(voices: Voices) -> None:
    audio = voices.speak(line("It rained all day, and nobody came. " * 6), "ash")
    assert 4 * len(audio) > 2 * MEMORY_BYTES
    assert abs(rms_dbfs(audio) + 23) < 0.5
    assert peak_dbfs(audio) < -1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_short_line_does_not_wait_for_long_ones() -> None:
    """Slow: six lines are spoken by the real voices."""
    ensemble, over = Ensemble(), list[str]()

    async def say(name: str, words: str) -> None:
        await ensemble.speak(SpeechRequest("", (), f'Perform this line: "{words}"', (), "ash"))
        over.append(name)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(say, f"long {number}", "Nobody came, and it rained all day long. " * 4)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(say, "short", "Yes.")
    assert over[0] == "short"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the network was given."""
    network, runs = load_engine().sess, list[object]()

    class Counted:
        def run(self, *given: object) -> object:
            runs.append(given)
            return network.run(*given)

    monkeypatch.setattr(load_engine(), "sess", Counted())
    return runs


async def say(ensemble: Ensemble, words: str, voice: str = "ash", take: int = 1) -> Pcm:
    spoken = await ensemble.speak(SpeechRequest("", (), f'Perform this line: "{words}"', (), voice, take=take))
    assert spoken.audio
    return load_pcm(spoken.audio)


async def test_a_line_is_made_once_for_a_voice_and_a_manner(runs: list[object]) -> None:
    """Slow: the real voices speak."""
    ensemble = Ensemble()
    first = await say(ensemble, "Good evening.")
    assert len(runs) == 1
    assert [await say(ensemble, "Good evening."), len(runs)] == [first, 1]
    others = [
        await say(ensemble, "Good evening.", "sage"),
        await say(ensemble, "Good evening.", take=2),
        await say(ensemble, "Good morning."),
    ]
    assert (first not in others, len(runs)) == (True, 4)
    assert [await say(Ensemble(), "Good evening."), len(runs)] == [first, 5]


async def test_a_cached_line_is_the_line_that_would_be_made(tmp_path: Path, runs: list[object]) -> None:
    """Slow: the real voices speak."""

    def fresh(seed: int = 0) -> Ensemble:
        return Ensemble(Voices(seed, SoundCache(tmp_path)))

    first = await say(fresh(), "Good evening.")
    assert [await say(fresh(), "Good evening."), len(runs)] == [first, 1]
    assert [await say(Ensemble(), "Good evening."), len(runs)] == [first, 2]
    others = [await say(fresh(), "Good evening.", "sage"), await say(fresh(), "Good evening.", take=2)]
    assert (first not in others, len(runs)) == (True, 4)
    assert (await say(fresh(seed=7), "Good evening.") != first, len(runs)) == (True, 5)
    with pytest.raises(UnsupportedScript):
        await say(fresh(), "สวัสดี")


def test_a_sound_is_kept_for_the_versions_that_made_it(voices: Voices) -> None:
    recipe = voices.recipe(line(), "ash")
    assert all(version(name).encode() in recipe for name in ("hibari-tts", "numpy", "onnxruntime"))


@pytest.mark.parametrize(("words", "steps"), [("Yes.", 0), ("Yes. No. *Well*, perhaps.", 3), ("Yes. " * 20, 22)])
def test_a_line_takes_as_many_turns_as_it_has_pieces(voices: Voices, words: str, steps: int) -> None:
    assert len([*voices.pieces(line(words), "ash", BlobStore())]) == steps + 1


@pytest.mark.parametrize(
    ("words", "script"),
    [
        ("สวัสดีครับ", "Thai"),
        ("[sighs] ສະບາຍດີ", "Lao"),
        ("សួស្តី!?", "Khmer"),
        ("ᏣᎳᎩ", "Cherokee"),
        ("🎭 😂", "no letters"),
    ],
)
def test_a_script_without_a_voice_is_told_and_not_silence(voices: Voices, words: str, script: str) -> None:
    with pytest.raises(UnsupportedScript, match=rf"no voice for this text: .* \({script}\)"):
        voices.speak(line(words), "ash")


@pytest.mark.parametrize("words", ["東京2020", "Ünïcödé, 幽霊!", "😀 yes", "[laughs] 😂", "１２３", "+", "C'est ça."])
def test_a_mixed_line_speaks_what_it_can(voices: Voices, words: str) -> None:
    assert rms_dbfs(voices.speak(line(words), "ash")) > -30


@given(st.text("abc ,;:—", max_size=700))
def test_pieces_are_short_and_lose_nothing(phonemes: str) -> None:
    pieces = split_phonemes(phonemes)
    assert max(map(len, pieces)) <= LONGEST_PIECE
    assert "".join(pieces).replace(" ", "") == phonemes.replace(" ", "")


def test_the_takes_of_a_line_differ_audibly_and_are_the_same_every_time(voices: Voices) -> None:
    asked = f'Perform this line, plainly: "{WORDS}"'
    takes = [
        voices.speak(plan_speech(SpeechRequest("", (), asked, (), "ash", take=take)), "ash") for take in range(1, 10)
    ]
    assert takes[0] == voices.speak(line(), "ash")
    assert takes[1] == Voices().speak(plan_speech(SpeechRequest("", (), asked, (), "ash", take=2)), "ash")
    heard = sorted((audio.duration_s, pitch_hz(audio)) for audio in takes)
    for one, other in pairwise(heard):
        assert other[0] / one[0] > 1.02 or abs(other[1] / one[1] - 1) > 0.03


def test_takes_of_a_moment_differ_too(voices: Voices) -> None:
    sighs = [
        voices.speak(plan_speech(SpeechRequest("", (), 'Perform this: "[sighs]"', (), "ash", take=take)), "ash")
        for take in (1, 2)
    ]
    assert sighs[0] != sighs[1]


def test_the_transform_is_numpys_whether_scipy_is_installed_or_not() -> None:
    dsp = pytest.importorskip("hibari.dsp")
    pin_transform()
    frames = np.random.default_rng(1).standard_normal((3, 1200)).astype(np.float32)
    spectra = np.fft.rfft(frames.astype(np.float64), axis=1)
    assert np.array_equal(dsp.rfft(frames.copy(), axis=1), spectra.astype(np.complex64))
    again = dsp.irfft(spectra.astype(np.complex64), 1200, 1)
    assert again.dtype == np.float32
    assert np.allclose(again, frames, atol=1e-5)
