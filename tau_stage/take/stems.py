"""Stems: one WAV per player and per sound, all of the same length, silence where nothing of theirs is heard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from tau_stage.audio.level import faded
from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.stereo import SoundT, Stereo
from tau_stage.audio.wav import WavWriter
from tau_stage.take.folder import guarded
from tau_stage.take.journal import FULL_DISK

FADE = RATE // 10
"""Samples over which a bed comes and goes."""


@dataclass(slots=True)
class Bed(Generic[SoundT]):
    """A sound that is repeated until it ends.

    Attributes:
        audio: Once.
        played: Samples so far.
    """

    audio: SoundT
    played: int = 0

    def next(self, samples: int) -> SoundT:
        """Return the next samples; it comes in softly."""
        at = self.played % len(self.audio)
        piece = self.audio[at : at + samples]
        if self.played < FADE:
            piece = faded(piece, self.played / FADE, (self.played + len(piece)) / FADE)
        self.played += len(piece)
        return piece


class Stems:
    """Writes all stems side by side, valid files at every moment.

    Args:
        folder: Where they go; must exist.
        players: Names of the files of players, without ending: they are mono.
        sounds: Names of the files of effects and beds.
        channels: Of the files of effects and beds.

    Attributes:
        length: Samples that all stems have reached.

    Raises:
        TakeError: They cannot be written.
    """

    def __init__(self, folder: Path, players: Iterable[str], sounds: Iterable[str] = (), channels: int = 1) -> None:
        self.length = 0
        self._folder = folder
        self._beds: dict[str, Bed[Any]] = {}
        names = dict.fromkeys(players, 1) | dict.fromkeys(sounds, channels)
        with guarded(folder, FULL_DISK):
            self._writers = {name: WavWriter(folder / f"{name}.wav", RATE, width) for name, width in names.items()}

    def put(self, name: str, audio: Pcm | Stereo, at: int) -> None:
        """Put a sound on a stem from a sample on; what is there already is kept under it.

        Raises:
            TakeError: The disk is full or gone.
        """
        with guarded(self._folder, FULL_DISK):
            self._fill(name, at)
            self._writers[name].overlay(at, audio)

    def reach(self, samples: int) -> None:
        """Make all stems so long, at least: beds go on, the others are silent.

        Raises:
            TakeError: The disk is full or gone.
        """
        self.length = max(self.length, samples)
        with guarded(self._folder, FULL_DISK):
            for name in self._writers:
                self._fill(name, self.length)

    def begin_bed(self, name: str, audio: Pcm | Stereo, at: int) -> None:
        """Lay a bed from a sample on."""
        with guarded(self._folder, FULL_DISK):
            self._fill(name, at)
        self._beds[name] = Bed[Any](audio)

    def end_bed(self, name: str) -> None:
        """Let a bed end, softly, where its stem has come to."""
        bed = self._beds.pop(name, None)
        if bed:
            with guarded(self._folder, FULL_DISK):
                self._writers[name].fade_out(min(FADE, bed.played))

    def close(self) -> None:
        """Make all equally long, and bring them to the disk."""
        self.reach(max((writer.samples for writer in self._writers.values()), default=0))
        for name in list(self._beds):
            self.end_bed(name)
        with guarded(self._folder, FULL_DISK):
            for writer in self._writers.values():
                writer.close()

    def move(self, folder: Path) -> None:
        """Go on in another folder, where these stems take the place of those that are there.

        Raises:
            TakeError: They cannot be moved.
        """
        with guarded(folder, FULL_DISK):
            for writer in self._writers.values():
                writer.path = writer.path.replace(folder / writer.path.name)
            self._folder.rmdir()
        self._folder = folder

    def _fill(self, name: str, to: int) -> None:
        writer, bed = self._writers[name], self._beds.get(name)
        while bed and (missing := to - writer.samples) > 0:
            writer.append(bed.next(missing))
        if (missing := to - writer.samples) > 0:
            writer.silence(missing)
