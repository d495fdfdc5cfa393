"""A microphone is heard block by block; where there is none, the message says what to do without.

ALSA's ``file`` plugin plays a file as a microphone, so nothing here needs a sound card. ALSA reads its settings once in
a process, hence the processes.
"""

from __future__ import annotations

import ctypes.util
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import anyio
import numpy as np
import pytest
from trio.testing import MockClock

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.devices.sound_cards import Microphone
from tests.support.forked import python

PORTAUDIO = sys.platform == "linux" and ctypes.util.find_library("portaudio") is not None
needs_portaudio = pytest.mark.skipif(not PORTAUDIO, reason="needs Linux with PortAudio: apt-get install libportaudio2")

FILE_AS_MICROPHONE = """
pcm.NAME { type file  slave.pcm { type null }  file "/dev/null"  infile "SOUND"  format raw }
"""

LISTEN = """
import sys, warnings, anyio
warnings.simplefilter("error")
from tau_stage.errors import UsageError
from tau_stage.devices.sound_cards import has_microphone, open_microphone

async def main():
    async with open_microphone(sys.argv[1] or None, block_s=0.02) as microphone:
        heard = [await anext(microphone) for _ in range(50)]
    sys.stdout.write(b"".join(block.data for block in heard).hex())

try:
    BEFORE
    anyio.run(main, backend=sys.argv[2])
except UsageError as error:
    sys.stdout.write(f"{has_microphone()} {error}")
"""


def listen(device: str = "", alsa: Path | None = None, backend: str = "asyncio", before: str = "") -> str:
    """What a process hears, in hexadecimal, or what it complains of."""
    environment = {**os.environ, "JACK_NO_START_SERVER": "1", **({"ALSA_CONFIG_PATH": str(alsa)} if alsa else {})}
    done = python("-c", LISTEN.replace("BEFORE", before or "pass"), device, backend, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def alsa(tmp_path: Path) -> Path:
    """Settings with two microphones; both play one second of a rising slope over and over."""
    (tmp_path / "slope.raw").write_bytes(slope().data)
    settings = FILE_AS_MICROPHONE.replace("SOUND", str(tmp_path / "slope.raw"))
    path = tmp_path / "asound.conf"
    path.write_text(settings.replace("NAME", "!default") + settings.replace("NAME", "Spare"))
    return path


def slope() -> Pcm:
    return Pcm.from_array(np.arange(-RATE // 2, RATE // 2).astype(np.int16))


@needs_portaudio
@pytest.mark.slow
@pytest.mark.parametrize(("device", "backend"), [("", "asyncio"), ("", "trio"), ("Spare", "trio"), ("0", "asyncio")])
def test_what_the_microphone_hears_arrives_sample_for_sample(alsa: Path, device: str, backend: str) -> None:
    """Slow: a process of its own."""
    assert bytes.fromhex(listen(device, alsa, backend)) == slope().data


@needs_portaudio
@pytest.mark.slow
@pytest.mark.parametrize("device", ["Golden", "77", "9" * 40])
def test_an_unknown_microphone_is_told_with_those_that_there_are(alsa: Path, device: str) -> None:
    """Slow: a process of its own."""
    told = listen(device, alsa)
    assert told.startswith(f"True no microphone is called {device!r}\n  hint: use one of: 0 (")
    assert all(part in told for part in ("(default)", "(Spare)", "; or ", "`stand_in:`"))


@needs_portaudio
@pytest.mark.slow
def test_a_microphone_that_does_not_open_is_told_by_name(alsa: Path) -> None:
    """Slow: a process of its own."""
    lost = f"import os, sounddevice; os.unlink({str(alsa.with_name('slope.raw'))!r})"
    told = listen("Spare", alsa, before=lost)
    assert told.startswith("True cannot open the microphone 'Spare': ")
    assert "`stand_in:`" in told


@needs_portaudio
@pytest.mark.slow
@pytest.mark.parametrize("device", ["", "Golden"])
def test_a_machine_without_a_microphone_says_what_to_do_without(tmp_path: Path, device: str) -> None:
    """Slow: a process of its own."""
    (tmp_path / "none.conf").write_text("pcm.none { type hw  card 99 }")
    assert listen(device, tmp_path / "none.conf") == (
        "False this machine has no microphone\n"
        "  hint: connect a microphone; or give the player recordings with `stand_in:`, "
        "or use `human: file.wav` or `human: tty`"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "problem", "remedy"),
    [
        (
            "sys.modules['sounddevice'] = None",
            "using a microphone requires sounddevice, which is not installed",
            "pip install 'tau-stage[mic]'; or give",
        ),
        (
            "import ctypes.util; ctypes.util.find_library = lambda name: None",
            "using a microphone requires the PortAudio library, which was not found",
            "install PortAudio (on Debian and Ubuntu: apt-get install libportaudio2); or give",
        ),
    ],
)
def test_what_is_not_installed_is_told_with_its_remedy(before: str, problem: str, remedy: str) -> None:
    """Slow: a process of its own."""
    if "find_library" in before and sys.platform != "linux":
        pytest.skip("PortAudio comes with sounddevice except on Linux")
    assert listen(before=before).startswith(f"False {problem}\n  hint: {remedy}")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Sound comes from real threads, on the real clock."""
    return str(request.param)


async def test_blocks_of_another_thread_are_heard_while_they_come() -> None:
    microphone = Microphone()
    turns = threading.Semaphore(0)

    def device() -> None:
        for number in range(5):
            turns.acquire(timeout=50)
            microphone.take(bytes([number, 0]) * 960, 960)
        microphone.end()

    thread = threading.Thread(target=device)
    thread.start()
    turns.release()
    numbers = []
    async for block in microphone:
        numbers.append(block.array[0])
        turns.release()
    thread.join()
    microphone.close()
    assert numbers == [0, 1, 2, 3, 4]
    assert microphone.lost_samples == 0


async def test_another_rate_is_resampled_without_seams() -> None:
    microphone = Microphone(48_000)
    samples = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    for start in range(0, 48_000, 1920):
        microphone.take(Pcm.from_array(samples[start : start + 1920]).data, 1920)
    microphone.end()
    heard = Pcm.join([block async for block in microphone])
    microphone.close()
    assert RATE - 500 < len(heard) <= RATE
    inner = slice(2000, len(heard) - 500)
    wanted = 0.3 * 32_767 * np.sin(2 * np.pi * 440 * np.arange(len(heard)) / RATE)
    assert np.max(np.abs(heard.array[inner] - wanted[inner])) < 10


@pytest.mark.parametrize("rate", [24_000, 48_000])
async def test_what_a_late_reader_loses_is_counted_and_the_rest_is_whole(rate: int) -> None:
    microphone = Microphone(rate)
    block = rate // 25
    for _ in range(25 * 7):
        microphone.take(bytes(2 * block), block)
    microphone.end()
    kept = sum([len(audio) async for audio in microphone])
    microphone.close()
    assert microphone.lost_samples == 2 * RATE
    assert 5 * RATE - 500 < kept <= 5 * RATE


async def test_what_the_device_lost_counts_as_a_block() -> None:
    microphone = Microphone()
    microphone.take(bytes(1920), 960, None, SimpleNamespace(input_overflow=True))
    microphone.close()
    assert microphone.lost_samples == 960


async def test_closing_wakes_who_listens() -> None:
    microphone = Microphone()
    heard = []

    async def listens() -> None:
        heard.extend([block async for block in microphone])
        heard.append(Pcm())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listens)
        await anyio.wait_all_tasks_blocked()
        microphone.close()
    assert heard == [Pcm()]
    assert [block async for block in microphone] == []


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["virtual"])
async def test_a_device_that_falls_silent_without_a_word_is_the_end() -> None:
    microphone = Microphone()
    microphone.take(b"\1\0", 1)
    start = anyio.current_time()
    assert [block async for block in microphone] == [Pcm(b"\1\0")]
    assert anyio.current_time() - start == pytest.approx(5)
    microphone.close()


async def test_listening_can_be_cancelled_and_taken_up_again() -> None:
    microphone = Microphone()
    with anyio.move_on_after(0.01):
        await anext(microphone)
    microphone.take(b"\1\0", 1)
    assert await anext(microphone) == Pcm(b"\1\0")
    microphone.close()
