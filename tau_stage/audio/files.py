"""Sound from files that people bring: any format, rate and number of channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tau_stage.audio.formats import joined
from tau_stage.audio.pcm import Pcm
from tau_stage.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_S = 3600
"""An hour at 24 kHz is 173 MB in memory."""

SLOWEST_HZ = 1000
READABLE = "sound files may be WAV, FLAC, OGG or MP3, of any sample rate, width and number of channels"
BLOCK_SAMPLES = 1 << 20


def read_audio(path: Path) -> Pcm:
    """The sound of a file as mono 16-bit audio at 24 kHz: channels averaged, resampled where it must be.

    A file that is that already comes back sample for sample.

    Raises:
        UsageError: The file is missing, is no sound, or lasts longer than an hour.
    """
    import soundfile

    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path}: is not a file", READABLE)
        with path.open("rb") as raw, soundfile.SoundFile(raw) as file:
            _check(path, file.frames, file.samplerate)
            return joined(_mono(file), file.samplerate)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", READABLE) from None
    except (RuntimeError, TypeError, ValueError) as error:  # libsndfile's own, a headerless file, a null in the name
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise UsageError(f"{path}: cannot be read as sound ({reason})", READABLE) from None


def _check(path: Path, frames: int, rate: int) -> None:
    if rate < SLOWEST_HZ:
        raise UsageError(f"{path}: {rate} samples per second are too few for a voice", READABLE)
    if frames > LONGEST_S * rate:
        raise UsageError(f"{path}: lasts longer than an hour", "cut it into shorter files")


def _mono(file: Any) -> Iterator[NDArray[np.float32]]:
    """Blocks of the file, channels averaged; floats that are no numbers are silence."""
    import numpy as np

    for block in file.blocks(max(1, BLOCK_SAMPLES // file.channels), dtype="float32", always_2d=True):
        yield np.nan_to_num(block).clip(-1, 1).mean(axis=1) * np.float32(32_768)
