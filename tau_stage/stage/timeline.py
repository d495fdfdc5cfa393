"""Lay each sound in the stems, counted in samples, never by a clock; bring a line's file to the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

from tau_stage.audio import RATE, Pcm, Stereo, WavWriter, rms_dbfs
from tau_stage.scene import LinePlan, Plan, slug
from tau_stage.stage.events import AudioProgress, EventLog
from tau_stage.take import FULL_DISK, Stems, TakeFolder, disk_failure, guarded, sync_later

HEADER_LAG = RATE
"""Samples of a line under way that the header of its file need not tell yet: it is heard when it is whole."""


class Timeline:
    """Lays what is heard one after another, or over each other, and writes the stems as it goes.

    Where a take goes on ``again``, its stems are kept until those made anew are as long.

    Attributes:
        end: Samples until now; nothing reaches further but effects.
        now: The sample that is heard now, where time cannot be hurried.
    """

    def __init__(self, plan: Plan, folder: TakeFolder, *, again: bool = False) -> None:
        self.end = 0
        self.now: Callable[[], int] = lambda: 0
        self._gap = 0
        self._has_paused = False
        self._began: dict[str | None, tuple[int, int]] = {}
        players = [slug(player.name) for player in plan.players]
        self._place = folder.stems
        place = folder.drafts("stems") if again else folder.stems
        self._stems = Stems(place, players, (sound.stem for sound in plan.sounds), plan.deliver.channels)

    def settle(self) -> None:
        """Let the stems made anew take the place of those before them: they have come as far."""
        self._stems.move(self._place)

    @property
    def next(self) -> int:
        """The sample at which the next step begins."""
        return max(self.end + self._gap, self.now())

    def pause(self, seconds: float) -> None:
        """Silence before the next step, added to what there is."""
        self._gap += round(seconds * RATE)
        self._has_paused = True

    def rest(self) -> int:
        """Let the stems end with the silence of a last pause, in samples; 0 where something is heard after it."""
        silence = self._gap if self._has_paused else 0
        self._stems.reach(self.end + silence)
        return silence

    def start_of(self, line: LinePlan, at: int | None = None) -> int:
        """Tell where a line begins: there, where that is known; after what was, or over the line that it cuts into."""
        if at is not None:
            return at
        start, heard = self._began.get(line.cuts, (self.next, 0))
        return start + heard

    def lay(self, name: str, audio: Pcm | Stereo, at: int, pause_s: float) -> None:
        """Lay a sound on a stem, from a sample on, and go on after it and a pause."""
        self._stems.put(name, audio, at)
        self._go_on(at + len(audio), pause_s)

    def lay_line(self, line: LinePlan, audio: Pcm, at: int) -> None:
        """Lay a line on its player's stem; whoever cuts into it is told where."""
        self.lay(slug(line.player), audio, at, line.pause_s)
        self._began.pop(line.cuts, None)
        if line.cut:
            self._began[line.id] = at, min(round(line.cut.after_s * RATE), len(audio))

    def go_on(self, pause_s: float) -> None:
        """Let another silence follow what was laid than its own."""
        self._gap = round(pause_s * RATE)

    def _go_on(self, end: int, pause_s: float) -> None:
        if end >= self.end:
            self.end, self._gap, self._has_paused = end, round(pause_s * RATE), False
        self._stems.reach(self.end)

    def begin_bed(self, name: str, audio: Pcm | Stereo) -> int:
        """Lay a bed from the next step on; the sample it begins at."""
        self._stems.begin_bed(name, audio, self.next)
        return self.next

    def end_bed(self, name: str) -> int:
        """Let a bed end with what was heard last; the sample it ends at."""
        self._stems.reach(self.end)
        self._stems.end_bed(name)
        return self.end

    def close(self) -> None:
        """Bring all stems to the disk."""
        self._stems.close()


class LineFile:
    """Takes a line's sound as it arrives. The file has its final name only when the line is whole.

    ``aside`` is where it lies, if that take of the line had ended before the performance was stopped.

    Attributes:
        path: The file's final name.
    """

    def __init__(
        self, folder: TakeFolder, line: LinePlan, log: EventLog, take: int = 1, aside: Path | None = None
    ) -> None:
        self.path = folder.line(line.number, line.player, line.id)
        self._folder = folder
        self._line = line
        self._log = log
        self._writer: WavWriter | None = None
        self._aside = aside
        self._take = take

    def sounded(self, audio: Pcm) -> None:
        """Write a piece of sound; a ``TakeError`` says that the disk is full or gone."""
        try:
            if self._writer is None:
                self._writer = WavWriter(self.path.with_suffix(f".take-{self._take}.part.wav"), header_lag=HEADER_LAG)
            self._writer.append(audio)
        except OSError as error:
            raise disk_failure(error, self.path, FULL_DISK) from error
        if self._log.watch is not None:
            seconds = self._writer.samples / self._writer.rate
            self._log.publish(AudioProgress(self._line.player, self._line.id, rms_dbfs(audio), seconds))

    def again(self) -> str | None:
        """Keep what a failed attempt gave under a name of its own, and say which."""
        line = self._line
        return self._keep(free_attempt(self._folder, line.number, line.player, line.id))

    def aside(self) -> str | None:
        """Keep a take under a name of its own, and say which: others may follow."""
        kept = self._keep(self._folder.other(self.path, self._take))
        self._aside = None if kept is None else self._folder.path / kept
        return kept

    def finish(self) -> str | None:
        """Give a whole line its final name, and say which; None if nothing sounded.

        It is on the disk before any record that is appended later.
        """
        return self._keep(self.path)

    def _keep(self, final: Path) -> str | None:
        there = self._aside if self._writer is None else self._writer.path
        if there is None:
            return None
        if self._writer is None and os.name == "nt":
            self._log.disk.wait()  # what is on its way to the disk is open, and cannot be renamed there
        with guarded(final, FULL_DISK):
            if self._writer:
                self._writer.leave()
            there.replace(final)
        self._log.disk.add(sync_later(final, FULL_DISK))
        self._writer = self._aside = None
        return final.relative_to(self._folder.path).as_posix()


def free_attempt(folder: TakeFolder, number: int, player: str, line: str) -> Path:
    """Return where the sound of a failed attempt at a line can be kept."""
    paths = (folder.line(number, player, line, attempt) for attempt in count(1))
    return next(path for path in paths if not path.exists())
