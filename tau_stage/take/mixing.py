"""The mix: all stems of a take in one file, at one loudness, never louder than its ceiling.

What is told of a mix is measured in its file. WAV and FLAC are 24 bit, unless something else is asked for: a take's
sounds have 16, and a sum of them at another gain would need dither to keep that; at 24 bit it needs none, silence stays
silence, and two mixes of one take are the same file.

In stereo a player's stem is panned, with the same power wherever it stands, and a sound's stem keeps its two channels,
3 dB down as what stands in the middle is. So left and right by √½, added, are the mono mix where nobody is panned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tau_stage import audio
from tau_stage.audio import RATE
from tau_stage.errors import TakeError
from tau_stage.scene import Level, Mix
from tau_stage.take.atomic import guarded, whole_file
from tau_stage.take.folder import TakeFolder
from tau_stage.take.mastering import BLOCK, MIX_AGAIN, Master, Mastered, Samples, write_master
from tau_stage.take.reading import open_sound, sound_errors
from tau_stage.take.tagging import write_tags
from tau_stage.take.take_model import Take


class SilentTake(TakeError):
    """There is nothing to mix."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """A mix that was made, as it is in its file, louder by ``gain_db`` than the sum of the stems.

    Its integrated loudness is None where all of it is below the gate; it is ``limited`` where peaks were kept down.
    What must be otherwise, is ``missed``.
    """

    file: str
    lufs: float | None
    level: float | None  # as it was asked for: the loudness, or the root mean square
    peak_dbtp: float
    gain_db: float
    limited: bool
    target: Level
    seconds: float
    channels: int = 1
    missed: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write its line in a summary."""
        level = "too quiet to measure" if self.level is None else f"{self.level:.1f} {self.target.unit}"
        is_off = self.level is None or abs(self.level - self.target.decibels) > 0.5
        note = f" (limited by its peaks; the target is {self.target})" if is_off else ""
        stereo = "stereo, " if self.channels == 2 else ""
        return f"{self.file} {stereo}{level}, {self.peak_dbtp:.1f} dBTP{note}"


@dataclass(frozen=True, slots=True)
class StemFile:
    """A stem of a take; ``gains`` are of its own channels, or of its only one, on each channel of the mix."""

    path: Path
    channels: int
    gains: tuple[float, ...]


def mix(folder: TakeFolder, take: Take, wanted: Mix, rate: int = RATE) -> Mixed:
    """Sum all stems of a take into one file, of as many channels as the take is delivered in.

    The stems are read block by block, as often as it takes to come to the loudness that is wanted. A file of that name
    is replaced when the new one is whole.

    Raises:
        SilentTake: Its stems hold nothing but silence, or it has none.
        TakeError: A stem is missing, shorter than the take, or no sound; or the file cannot be written.
    """
    stems = stems_of(folder, take)
    if not stems:
        raise SilentTake(str(folder.path), "the take has no stems", "no player took part: perform the scene again")
    rate, final = wanted.rate or rate, folder.path / wanted.file
    master = Master(final, wanted, wanted.kind, wanted.bits or "24", rate, take.channels)

    def summed() -> Iterator[Samples]:
        return audio.at_rate(_sums(stems, take.samples, take.channels), RATE, rate, take.channels)

    with guarded(final, MIX_AGAIN), whole_file(final) as draft:
        made = write_master(draft, summed, master)
        if made is None:
            raise SilentTake(str(folder.path), "the take's stems are silent", "nothing to mix")
        write_tags(draft, take, wanted)
    return _told(made, wanted, master)


def _told(made: Mastered, wanted: Mix, master: Master) -> Mixed:
    return Mixed(
        file=wanted.file,
        lufs=made.found.lufs,
        level=made.level(wanted),
        peak_dbtp=made.peak_dbtp,
        gain_db=made.gain_db,
        limited=made.limited,
        target=wanted.level,
        seconds=made.found.samples / master.rate,
        channels=master.channels,
        missed=tuple(f"{wanted.file} {problem}" for problem in made.missed(wanted)),
    )


def stems_of(folder: TakeFolder, take: Take) -> tuple[StemFile, ...]:
    """Return the files of a take's stems, of players and of sounds, each once."""
    named: dict[str, tuple[int, float]] = {player.stem: (1, player.pan) for player in take.players if player.stem}
    named |= {sound.stem: (take.channels, 0.0) for sound in take.sounds}
    return tuple(
        StemFile(folder.inside(name), channels, audio.pan_gains(pan) if take.channels == 2 else (1.0,))
        for name, (channels, pan) in named.items()
    )


def _sums(stems: tuple[StemFile, ...], samples: int, channels: int) -> Iterator[NDArray[np.float32]]:
    """Yield the sum of the stems, full scale at 1, as long as the longest: in stereo, samples by channels."""
    with ExitStack() as opened:
        files = [opened.enter_context(open_sound(stem.path, samples, channels=stem.channels)) for stem in stems]
        gains = [np.array(stem.gains, np.float32) / np.float32(audio.FULL_SCALE) for stem in stems]
        for start in range(0, max(file.frames for file in files), BLOCK):
            total = np.zeros((BLOCK, channels), np.float32)
            longest = 0
            for stem, file, gain in zip(stems, files, gains, strict=True):
                with sound_errors(stem.path):
                    block = file.read(min(BLOCK, max(0, file.frames - start)), dtype="int16", always_2d=True)
                if block.any():
                    total[: len(block)] += block * gain
                longest = max(longest, len(block))
            yield total[:longest] if channels > 1 else total[:longest, 0]
