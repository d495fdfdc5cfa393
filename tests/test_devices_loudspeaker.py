"""What is played reaches the device sample for sample; where there is none, the message says what to do without.

ALSA's ``file`` plugin writes what a loudspeaker would play into a file, so nothing here needs a sound card. ALSA reads
its settings once in a process, hence the processes.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import count
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType

import numpy as np
import pytest
import soundfile

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.devices import sound_cards
from tau_stage.devices.sound_cards import SoundCard
from tau_stage.errors import UsageError
from tests.support.forked import python
from tests.test_devices_microphone import needs_portaudio

FILE_AS_LOUDSPEAKER = """
pcm.NAME { type file  slave.pcm { type null }  file "HEARD"  format raw }
"""
"""A loudspeaker in a hurry: it plays as fast as it is fed."""

PLAY = """
import sys, warnings, anyio
warnings.simplefilter("error")
import numpy as np
from tau_stage.audio.pcm import Pcm
from tau_stage.errors import UsageError
from tau_stage.devices.sound_cards import has_loudspeaker, open_loudspeaker

async def main():
    slope = Pcm.from_array(np.arange(1, 12001).astype(np.int16))
    async with open_loudspeaker(sys.argv[1] or None) as loudspeaker:
        THEN
    sys.stdout.write(str(loudspeaker.lost_samples))

try:
    BEFORE
    anyio.run(main, backend=sys.argv[2])
except UsageError as error:
    sys.stdout.write(f"{has_loudspeaker()} {error}")
"""
TO_ITS_END = """
        for start in range(0, 12000, 500):
            loudspeaker.play(slope[start : start + 500])
        while loudspeaker.waiting_s:
            await anyio.sleep(0.01)
"""
FLUSHED = """
        loudspeaker.play(Pcm.silence(240000))
        loudspeaker.flush()
        assert loudspeaker.waiting_s == 0
        loudspeaker.play(slope)
        while loudspeaker.waiting_s:
            await anyio.sleep(0.01)
"""
GONE = """
        with anyio.fail_after(50):
            while not loudspeaker.is_gone:
                await anyio.sleep(0.01)
        loudspeaker.play(slope)
        assert loudspeaker.waiting_s == 0
"""


def play(
    device: str = "", alsa: Path | None = None, backend: str = "asyncio", before: str = "", then: str = TO_ITS_END
) -> str:
    """What a process says that plays a slope of half a second."""
    environment = {**os.environ, "JACK_NO_START_SERVER": "1", **({"ALSA_CONFIG_PATH": str(alsa)} if alsa else {})}
    script = PLAY.replace("THEN", then.strip()).replace("BEFORE", before or "pass")
    done = python("-c", script, device, backend, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def alsa(tmp_path: Path) -> Path:
    """Settings with two loudspeakers; both write what they play into a file."""
    (tmp_path / "ears").mkdir()
    settings = FILE_AS_LOUDSPEAKER.replace("HEARD", str(tmp_path / "ears/heard.raw"))
    path = tmp_path / "asound.conf"
    path.write_text(settings.replace("NAME", "!default") + settings.replace("NAME", "Spare"))
    return path


def heard(alsa: Path) -> list[int]:
    """What the device was given, without the silence around it; both ears hear the same."""
    ears = np.frombuffer(alsa.with_name("ears").joinpath("heard.raw").read_bytes(), "<i2").reshape(-1, 2)
    assert np.array_equal(ears[:, 0], ears[:, 1])
    (sounds,) = np.nonzero(ears[:, 0])
    samples: list[int] = ears[sounds[0] : sounds[-1] + 1, 0].tolist()
    return samples


@needs_portaudio
@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "backend", "then"),
    [("", "asyncio", TO_ITS_END), ("", "trio", FLUSHED), ("Spare", "trio", TO_ITS_END), ("0", "asyncio", FLUSHED)],
)
def test_what_is_played_reaches_the_device_sample_for_sample(alsa: Path, device: str, backend: str, then: str) -> None:
    """Slow: a process of its own, and half a second of sound."""
    assert play(device, alsa, backend, then=then) == "0"
    assert heard(alsa) == list(range(1, 12_001))


@needs_portaudio
@pytest.mark.slow
def test_what_waits_when_it_is_closed_is_not_heard(alsa: Path) -> None:
    """Slow: a process of its own."""
    minutes = "loudspeaker.play(Pcm.from_array(np.full(14_000_000, 9, np.int16)))"
    assert int(play("", alsa, then=f"{minutes}; await anyio.sleep(0.1)")) == 0
    assert 0 < len(heard(alsa)) < 10_000_000


@needs_portaudio
@pytest.mark.slow
@pytest.mark.parametrize("device", ["Golden", "77", "9" * 40])
def test_an_unknown_loudspeaker_is_told_with_those_that_there_are(alsa: Path, device: str) -> None:
    """Slow: a process of its own."""
    told = play(device, alsa)
    assert told.startswith(f"True no loudspeaker is called {device!r}\n  hint: use one of: 0 (")
    assert all(part in told for part in ("(default)", "(Spare)", "; or run without --aloud"))


@needs_portaudio
@pytest.mark.slow
def test_a_loudspeaker_that_dies_at_once_holds_nobody_up(alsa: Path) -> None:
    """Slow: a process of its own."""
    lost = f"import shutil, sounddevice; shutil.rmtree({str(alsa.with_name('ears'))!r})"
    assert play("Spare", alsa, before=lost, then=GONE) == "12000"


@needs_portaudio
@pytest.mark.slow
@pytest.mark.parametrize("device", ["", "Golden"])
def test_a_machine_without_a_loudspeaker_says_what_to_do_without(tmp_path: Path, device: str) -> None:
    """Slow: a process of its own."""
    (tmp_path / "none.conf").write_text("pcm.none { type hw  card 99 }")
    assert play(device, tmp_path / "none.conf") == (
        "False this machine has no loudspeaker\n"
        "  hint: connect a loudspeaker; or run without --aloud and listen to the take's audio files"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "problem", "remedy"),
    [
        (
            "sys.modules['sounddevice'] = None",
            "using a loudspeaker requires sounddevice, which is not installed",
            "pip install 'tau-stage[mic]'; or run",
        ),
        (
            "import ctypes.util; ctypes.util.find_library = lambda name: None",
            "using a loudspeaker requires the PortAudio library, which was not found",
            "install PortAudio (on Debian and Ubuntu: apt-get install libportaudio2); or run",
        ),
    ],
)
def test_what_is_not_installed_is_told_with_its_remedy(before: str, problem: str, remedy: str) -> None:
    """Slow: a process of its own."""
    if "find_library" in before and sys.platform != "linux":
        pytest.skip("PortAudio comes with sounddevice except on Linux")
    assert play(before=before).startswith(f"False {problem}\n  hint: {remedy}")


SCENE = "players: {ann: {voice: ash}}\nlines: [ann: Good morning.]\n"


WITH_GUEST = """
players: {ann: {voice: ash}, guest: {human: mic}}
lines: [ann: Good morning., {listen: {player: ann, from: guest, for: 500ms}}]
"""


def run(folder: Path, alsa: Path, *options: str, scene: str = SCENE) -> CompletedProcess[str]:
    """``tau-stage run`` in a process, on the understudy."""
    (folder / "scene.yaml").write_text(scene)
    environment = {**os.environ, "JACK_NO_START_SERVER": "1", "ALSA_CONFIG_PATH": str(alsa)}
    environment.pop("OPENAI_API_KEY", None)
    scene_and_out = [str(folder / "scene.yaml"), "--out", str(folder / "out")]
    return python("-m", "tau_stage", "run", *scene_and_out, "--json", *options, env=environment)


@needs_portaudio
@pytest.mark.slow
def test_a_scene_is_heard_on_the_loudspeaker(alsa: Path, tmp_path: Path) -> None:
    """Slow: a process of its own performs a scene in real time."""
    done = run(tmp_path, alsa, "--aloud")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    line = told["take"]["lines"][0]
    stem, _ = soundfile.read(Path(told["path"], line["file"]), dtype="int16")
    assert [sample for sample in heard(alsa) if sample] == stem[stem != 0].tolist()


@needs_portaudio
@pytest.mark.slow
def test_aloud_without_a_loudspeaker_says_what_to_do_and_nobody_is_paid(tmp_path: Path) -> None:
    """Slow: a process of its own."""
    (tmp_path / "none.conf").write_text("pcm.none { type hw  card 99 }")
    done = run(tmp_path, tmp_path / "none.conf", "--aloud")
    assert done.returncode == 2
    assert "this machine has no loudspeaker\n  hint: connect a loudspeaker; or run without --aloud" in done.stderr
    assert not (tmp_path / "out").exists()


@needs_portaudio
@pytest.mark.slow
@pytest.mark.parametrize(("options", "is_heard"), [((), True), (("--no-aloud",), False), (("--stand-in",), False)])
def test_who_speaks_into_a_microphone_hears_the_others(
    alsa: Path, tmp_path: Path, options: tuple[str, ...], *, is_heard: bool
) -> None:
    """Slow: a process of its own performs a scene in real time."""
    (tmp_path / "silence.raw").write_bytes(bytes(2 * RATE))
    with_ear = f'infile "{tmp_path / "silence.raw"}"  format raw'
    alsa.write_text(alsa.read_text().replace("format raw", with_ear))
    done = run(tmp_path, alsa, *options, scene=WITH_GUEST)
    assert done.returncode == 0, done.stderr
    assert ("wear headphones" in done.stderr) is is_heard


class Complaint(Exception):
    """PortAudio's, with its sentence and its number."""


PORTAUDIO = ModuleType("sounddevice")
PORTAUDIO.__dict__["PortAudioError"] = Complaint


@pytest.mark.parametrize(
    ("sentence", "number", "told"),
    [
        ("Error opening RawOutputStream: Device unavailable", -9985, "the loudspeaker 'Horn' is busy\n  hint: close"),
        (
            "Error opening RawOutputStream: Illegal I/O",
            -9999,
            "cannot open the loudspeaker 'Horn': Illegal I/O\n  hint: run",
        ),
    ],
)
def test_a_loudspeaker_that_does_not_open_is_told_by_name(sentence: str, number: int, told: str) -> None:
    with (
        pytest.raises(UsageError) as refused,
        sound_cards.translated_errors(PORTAUDIO, "Horn", sound_cards.LOUDSPEAKER),
    ):
        raise Complaint(sentence, number)
    assert told in str(refused.value)


# ---- the buffer, without a device


def taken(card: SoundCard, samples: int, channels: int = 1) -> list[int]:
    """What a device takes."""
    out = bytearray(2 * samples * channels)
    card.feed(memoryview(out), samples)
    values: list[int] = np.frombuffer(bytes(out), "<i2").tolist()
    return values


def ramp(samples: int) -> Pcm:
    return Pcm.from_array(np.arange(1, samples + 1).astype(np.int16))


def test_what_waits_is_counted_and_silence_follows() -> None:
    card = SoundCard()
    card.play(ramp(480))
    assert card.waiting_s == 0.02
    assert taken(card, 240) == list(range(1, 241))
    assert card.waiting_s == 0.01
    assert taken(card, 480) == [*range(241, 481), *([0] * 240)]
    assert (card.waiting_s, card.lost_samples) == (0, 0)


def test_what_is_flushed_is_told_and_the_rest_was_heard() -> None:
    card = SoundCard()
    card.play(ramp(2400))
    first = taken(card, 500)
    thrown = card.flush()
    assert first + [value for value in taken(card, 500) if value] == list(range(1, 2400 - thrown + 1))
    assert (card.flush(), card.waiting_s) == (0, 0)


def test_both_ears_hear_the_same() -> None:
    card = SoundCard(channels=2)
    card.play(ramp(240))
    assert taken(card, 3, 2) == [1, 1, 2, 2, 3, 3]


def test_another_rate_is_resampled_without_seams() -> None:
    card = SoundCard(48_000)
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    for start in range(0, RATE, 1000):
        card.play(Pcm.from_array(wave[start : start + 1000]))
    got = np.array([value for _ in range(60) for value in taken(card, 1000)])
    (sounds,) = np.nonzero(got)
    wanted = 0.3 * 32_767 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    inner = slice(2000, 46_000)
    delays = range(max(0, sounds[0] - 100), sounds[0] + 100)
    assert min(np.abs(got[at : at + 48_000][inner] - wanted[inner]).max() for at in delays) < 10
    assert sounds[-1] - sounds[0] > 47_900  # to its end


def test_ten_minutes_are_kept_and_the_rest_is_counted() -> None:
    card = SoundCard()
    minute = Pcm.silence(60 * RATE)
    for _ in range(11):
        card.play(minute)
    assert card.waiting_s == 600
    assert card.lost_samples == 60 * RATE


@pytest.mark.parametrize("says_so", [True, False])
def test_nobody_waits_for_a_device_that_is_gone(*, says_so: bool) -> None:
    ticks = count(step=3)
    card = SoundCard(clock=lambda: float(next(ticks)) if not says_so else 0.0)
    card.play(ramp(RATE))
    if says_so:
        card.end()
    else:
        next(ticks)
    assert card.waiting_s == 0
    card.play(ramp(RATE))
    assert card.waiting_s == 0
    assert card.lost_samples == 2 * RATE
