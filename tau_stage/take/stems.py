"""Stems: one WAV per player and per sound, all of the same length, silence where nothing of theirs is heard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from tau_stage.audio import RATE, Pcm, Playable, SoundT, Stereo, WavWriter, faded, read_playable
from tau_stage.errors import TakeError
from tau_stage.scene import SOUND_STEMS, resolve_path, slug
from tau_stage.take.atomic import FULL_DISK, clear_drafts, copy_whole, guarded, sync_folder
from tau_stage.take.folder import TakeFolder
from tau_stage.take.folding import beginning, fold, kept, picks
from tau_stage.take.journal import read_journal
from tau_stage.take.reading import audio_of
from tau_stage.take.records import BedEnded, LineSpoken, Record, SoundPlayed, of_type

FADE = RATE // 10  # samples over which a bed comes and goes


@dataclass(slots=True)
class Bed(Generic[SoundT]):
    """A sound that is repeated until it ends; ``played`` counts samples."""

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
    """Writes all stems side by side, valid files at every moment. A ``TakeError`` says that the disk is full or gone.

    Args:
        folder: Where they go; must exist.
        players: Names of the files of players, without ending: they are mono.
        sounds: Names of the files of effects and beds.
        channels: Of the files of effects and beds.

    Attributes:
        length: Samples that all stems have reached.
    """

    def __init__(self, folder: Path, players: Iterable[str], sounds: Iterable[str] = (), channels: int = 1) -> None:
        self.length = 0
        self._folder = folder
        self._beds: dict[str, Bed[Any]] = {}
        names = dict.fromkeys(players, 1) | dict.fromkeys(sounds, channels)
        with guarded(folder, FULL_DISK):
            self._writers = {name: WavWriter(folder / f"{name}.wav", RATE, width) for name, width in names.items()}

    def put(self, name: str, audio: Pcm | Stereo, at: int) -> None:
        """Put a sound on a stem from a sample on; what is there already is kept under it."""
        with guarded(self._folder, FULL_DISK):
            self._fill(name, at)
            self._writers[name].overlay(at, audio)

    def reach(self, samples: int) -> None:
        """Make all stems so long, at least: beds go on, the others are silent."""
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
        """Go on in another folder, where these stems take the place of those that are there."""
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


def read_played(journal: Sequence[Record]) -> dict[str, Playable]:
    """Return the sound of each effect and bed of a take, by its id.

    Raises:
        TakeError: A file is not the one that was played.
        UsageError: A file cannot be read.
    """
    began = beginning(journal)
    found: dict[str, Playable] = {}
    for fact in of_type(kept(journal), SoundPlayed):
        audio = read_playable(resolve_path(began.path, fact.source), fact.gain_db, stereo=began.deliver.stereo)
        both = fact.stereo_sha256 if isinstance(audio.laid, Stereo) else ""
        if audio.heard.sha256 != fact.sha256 or (both and audio.laid.sha256 != both):
            problem = f"has changed since it was played as {fact.sound}"
            raise TakeError(fact.source, problem, "restore the original file, which is needed to write the stems again")
        found[fact.sound] = audio
    return found


def keep_take(folder: TakeFolder, file: str, take: int) -> None:
    """Keep a line's file as that of one of its takes, before another one becomes the line.

    Raises:
        TakeError: It cannot be written.
    """
    line = folder.inside(file)
    clear_drafts(line.parent)
    copy_whole(line, folder.other(line, take), FULL_DISK)


def settle_files(folder: TakeFolder, journal: Sequence[Record]) -> None:
    """Give the takes that were picked the names of their lines; it may be done again.

    Raises:
        TakeError: One cannot be renamed.
    """
    chosen = picks(journal)
    for fact in kept(journal):
        if isinstance(fact, LineSpoken) and fact.file and fact.line in chosen:
            line = folder.inside(fact.file)
            take = folder.other(line, chosen[fact.line])
            if take.is_file():
                with guarded(line, FULL_DISK):
                    take.replace(line)
                    sync_folder(line.parent)


def follow_picks(folder: TakeFolder) -> None:
    """Let files and stems follow the picks of a take's journal; it may be done again.

    Raises:
        TakeError: A sound is missing or another, or something cannot be written.
        UsageError: The file of an effect or a bed cannot be read.
    """
    journal = read_journal(folder.journal)
    if not picks(journal):
        return
    sounds = read_played(journal)
    settle_files(folder, journal)
    _lay_stems(folder, journal, sounds)


def _drafts(folder: TakeFolder, channels: int) -> Stems:
    """Begin drafts of all stems that there are."""
    with guarded(folder.stems, FULL_DISK):
        names = [path.stem for path in sorted(folder.stems.glob("*.wav"))]
    laid = [name for name in names if name.startswith(SOUND_STEMS)]
    return Stems(folder.drafts(folder.stems.name), (name for name in names if name not in laid), laid, channels)


def _lay_stems(folder: TakeFolder, journal: Sequence[Record], sounds: Mapping[str, Playable]) -> None:
    """Lay all stems anew, as the performance does, and put them in the place of those that are there."""
    stems = _drafts(folder, beginning(journal).deliver.channels)
    take = fold(journal)
    lines = {line.id: line for line in take.lines}
    is_kept = set(map(id, kept(journal)))
    beds = {fact.sound: fact.stem for fact in of_type(journal, SoundPlayed)}
    for fact in (fact for fact in journal if isinstance(fact, BedEnded) or id(fact) in is_kept):
        match fact:
            case BedEnded():
                stems.reach(stems.length)
                stems.end_bed(beds[fact.sound])
            case LineSpoken():
                audio = audio_of(folder, lines[fact.line]) if fact.file else Pcm()
                stems.put(slug(fact.player), audio, fact.offset_samples)
                stems.reach(fact.offset_samples + len(audio))
            case SoundPlayed(kind="bed"):
                stems.begin_bed(fact.stem, sounds[fact.sound].laid, fact.offset_samples)
            case SoundPlayed():
                stems.put(fact.stem, sounds[fact.sound].laid, fact.offset_samples)
                stems.reach(fact.offset_samples + fact.samples)
    stems.reach(take.samples)
    stems.move(folder.stems)
    stems.close()
