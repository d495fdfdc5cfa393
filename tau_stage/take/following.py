"""What follows a pick: the line's file and the stems become those of the take that was picked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tau_stage.audio.files import Playable, read_playable
from tau_stage.audio.pcm import Pcm
from tau_stage.audio.stereo import Stereo
from tau_stage.errors import TakeError
from tau_stage.scene.files import beside
from tau_stage.scene.names import SOUND_STEMS, slug
from tau_stage.take.beginning import beginning
from tau_stage.take.drafts import clear_drafts
from tau_stage.take.fold import fold, kept
from tau_stage.take.folder import TakeFolder, copy_whole, guarded
from tau_stage.take.journal import FULL_DISK, read_journal, sync_folder
from tau_stage.take.model import Alternative
from tau_stage.take.picks import picks
from tau_stage.take.reading import audio_of
from tau_stage.take.records import BedEnded, LineSpoken, Record, SoundPlayed
from tau_stage.take.sound_files import read_sound
from tau_stage.take.stems import Stems


def read_played(journal: Sequence[Record]) -> dict[str, Playable]:
    """Return the sound of each effect and bed of a take, by its id.

    Raises:
        TakeError: A file is not the one that was played.
        UsageError: A file cannot be read.
    """
    began = beginning(journal)
    found: dict[str, Playable] = {}
    for fact in kept(journal):
        if isinstance(fact, SoundPlayed):
            audio = read_playable(beside(began.path, fact.source), fact.gain_db, stereo=began.deliver.stereo)
            both = fact.stereo_sha256 if isinstance(audio.laid, Stereo) else ""
            if audio.heard.sha256 != fact.sha256 or (both and audio.laid.sha256 != both):
                problem = f"has changed since it was played as {fact.sound}"
                raise TakeError(fact.source, problem, "bring back the file as it was; the stems are laid anew from it")
            found[fact.sound] = audio
    return found


def check_take(folder: TakeFolder, line: str, take: Alternative) -> None:
    """Look whether a take of a line is there as it was performed.

    Raises:
        TakeError: Its file is missing, or another.
    """
    path = folder.sound(take)
    audio = read_sound(path, take.samples)
    if audio.sha256 != take.sha256:
        problem = f"is not take {take.take} of line {line}: its sha256 is another"
        raise TakeError(str(path), problem, "pick another take, or retake the line")


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


def _lay_stems(folder: TakeFolder, journal: Sequence[Record], sounds: Mapping[str, Playable]) -> None:
    """Lay all stems anew, as the performance does, and put them in the place of those that are there."""
    lines = {line.id: line for line in fold(journal).lines}
    is_kept = {id(fact) for fact in kept(journal)}
    beds = {fact.sound: fact.stem for fact in journal if isinstance(fact, SoundPlayed)}
    with guarded(folder.stems, FULL_DISK):
        names = [path.stem for path in sorted(folder.stems.glob("*.wav"))]
    laid = [name for name in names if name.startswith(SOUND_STEMS)]
    channels = beginning(journal).deliver.channels
    stems = Stems(folder.drafts(folder.stems.name), (name for name in names if name not in laid), laid, channels)
    end = 0
    for fact in journal:
        match fact:
            case LineSpoken() if id(fact) in is_kept:
                audio = audio_of(folder, lines[fact.line]) if fact.file else Pcm()
                stems.put(slug(fact.player), audio, fact.offset_samples)
                end = max(end, fact.offset_samples + len(audio))
                stems.reach(end)
            case SoundPlayed(kind="bed") if id(fact) in is_kept:
                stems.begin_bed(fact.stem, sounds[fact.sound].laid, fact.offset_samples)
            case SoundPlayed() if id(fact) in is_kept:
                stems.put(fact.stem, sounds[fact.sound].laid, fact.offset_samples)
                end = max(end, fact.offset_samples + fact.samples)
                stems.reach(end)
            case BedEnded():
                stems.reach(end)
                stems.end_bed(beds[fact.sound])
            case _:
                pass
    stems.move(folder.stems)
    stems.close()
