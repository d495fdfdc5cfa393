"""Stems: one WAV per player, all of the same length, silence where others speak."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.scene.names import slug
from tau_stage.take.folder import guarded
from tau_stage.take.journal import FULL_DISK

ONE_SECOND = Pcm.silence(RATE)


class Stems:
    """Writes all stems side by side; after every line they are equally long, and valid files at every moment.

    Args:
        folder: Where they go; must exist.
        players: Their names.

    Raises:
        TakeError: They cannot be written.
    """

    def __init__(self, folder: Path, players: Iterable[str]) -> None:
        self._folder = folder
        with guarded(folder, FULL_DISK):
            self._writers = {name: WavWriter(folder / f"{slug(name)}.wav") for name in players}

    def line(self, player: str, audio: Pcm, *, gap: int) -> None:
        """Put a line on its player's stem, after ``gap`` samples of silence on all of them.

        Raises:
            TakeError: The disk is full or gone.
        """
        with guarded(self._folder, FULL_DISK):
            for name, writer in self._writers.items():
                _silence(writer, gap)
                if name == player:
                    writer.append(audio)
                else:
                    _silence(writer, len(audio))

    def close(self) -> None:
        """Bring all stems to the disk."""
        with guarded(self._folder, FULL_DISK):
            for writer in self._writers.values():
                writer.close()


def _silence(writer: WavWriter, samples: int) -> None:
    while samples > 0:
        writer.append(ONE_SECOND[:samples])
        samples -= len(ONE_SECOND)
