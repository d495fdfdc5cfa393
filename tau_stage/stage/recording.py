"""A line on its way to the disk: its file while it sounds, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

from tau_stage.audio.level import rms_dbfs
from tau_stage.audio.pcm import Pcm
from tau_stage.audio.wav import WavWriter
from tau_stage.scene.plan import LinePlan
from tau_stage.stage.notes import PromptBook, Sounding
from tau_stage.take.atomic import FULL_DISK, guarded, sync_folder
from tau_stage.take.folder import TakeFolder


class Recording:
    """Takes a line's sound as it arrives. The file has its final name only when the line is whole.

    Args:
        folder: The take's.
        line: From the plan.
        book: Shows levels to the onlooker.
        take: Which take of the line it is.
        aside: Where it lies, if that take had ended before the performance was stopped.
    """

    def __init__(
        self, folder: TakeFolder, line: LinePlan, book: PromptBook, take: int = 1, aside: Path | None = None
    ) -> None:
        self._folder = folder
        self._line = line
        self._book = book
        self._writer: WavWriter | None = None
        self._aside = aside
        self._attempt = 1
        self._take = take

    @property
    def path(self) -> Path:
        """The file's final name."""
        return final_name(self._folder, self._line)

    def sounded(self, audio: Pcm) -> None:
        """Write a piece of sound.

        Raises:
            TakeError: The disk is full or gone.
        """
        with guarded(self.path, FULL_DISK):
            if self._writer is None:
                self._writer = WavWriter(self.path.with_suffix(f".take-{self._take}.part.wav"))
            self._writer.append(audio)
        seconds = self._writer.samples / self._writer.rate
        self._book.show(Sounding(self._line.player, self._line.id, rms_dbfs(audio), seconds))

    def again(self) -> str | None:
        """Keep what a failed attempt gave under a name of its own, and say which."""
        while (failed := self._failed()).exists():
            self._attempt += 1
        self._attempt += 1
        return self._keep(failed)

    def _failed(self) -> Path:
        return self._folder.line(self._line.number, self._line.player, self._line.id, self._attempt)

    def aside(self) -> str | None:
        """Keep a take under a name of its own, and say which: others may follow."""
        kept = self._keep(self._folder.other(self.path, self._take))
        self._aside = None if kept is None else self._folder.path / kept
        return kept

    def finish(self) -> str | None:
        """Bring a whole line to the disk under its final name, and say which; None if nothing sounded."""
        return self._keep(self.path)

    def _keep(self, final: Path) -> str | None:
        there = self._aside if self._writer is None else self._writer.path
        if there is None:
            return None
        with guarded(final, FULL_DISK):
            if self._writer:
                self._writer.close()
            there.replace(final)
            sync_folder(final.parent)
        self._writer = self._aside = None
        return final.relative_to(self._folder.path).as_posix()


def final_name(folder: TakeFolder, line: LinePlan) -> Path:
    """Return the name of a line's file when it is whole."""
    return folder.line(line.number, line.player, line.id)
