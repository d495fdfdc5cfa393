"""A take's own sound files, opened with care: what is missing, cut short or no sound is one clear error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tau_stage.audio.files import quiet_decoder
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.errors import TakeError

BROKEN = "the take is damaged: perform the scene again"


def quiet(path: Path) -> AbstractContextManager[None]:
    """Keep from standard error what the decoder says of an MP3 while it is read."""
    return quiet_decoder() if path.suffix.lower() == ".mp3" else nullcontext()


@contextmanager
def sound_errors(path: Path, hint: str = BROKEN) -> Iterator[None]:
    """Turn a failing disk, or a file that is no sound, into a ``TakeError``.

    Args:
        path: What the error calls the file.
        hint: What to do.
    """
    try:
        yield
    except (OSError, RuntimeError, AssertionError) as error:  # libsndfile has its own, and asserts that all was written
        reason = getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
        problem = str(reason).strip().rstrip(".").lower()
        if problem in ("", "system error"):
            problem = "the disk is full, or cannot be used"
        raise TakeError(str(path), problem, hint) from error


@contextmanager
def open_sound(path: Path, samples: int = 0, name: Path | None = None, channels: int = 1) -> Iterator[Any]:
    """Open a mono sound file for reading; its rate must be the take's, if a length is asked for.

    Args:
        path: The file.
        samples: How many it has at least.
        name: What an error calls it.
        channels: How many it has.

    Raises:
        TakeError: It is missing, no such sound, or too short.
    """
    shown = name or path
    with quiet(shown), _opened(path, samples, shown, channels) as file:
        yield file


@contextmanager
def _opened(path: Path, samples: int, shown: Path, channels: int) -> Iterator[Any]:
    import soundfile

    with sound_errors(shown):
        if not path.is_file():
            raise TakeError(str(shown), "is not there", BROKEN)
        file = soundfile.SoundFile(path)
    with file:
        if file.channels != channels or (samples and file.samplerate != RATE):
            told = f"{file.channels} channels at {file.samplerate} Hz, not {channels} at {RATE} Hz"
            raise TakeError(str(shown), f"has {told}", BROKEN)
        if file.frames < samples:
            raise TakeError(str(shown), f"has {file.frames} samples, and the take {samples}", BROKEN)
        yield file


def read_sound(path: Path, samples: int) -> Pcm:
    """Read the first samples of a file of the take.

    Raises:
        TakeError: It is missing, no such sound, or too short.
    """
    with open_sound(path, samples) as file, sound_errors(path):
        return Pcm.from_array(file.read(samples, dtype="int16"))
