"""Marks in a take's WAV files: where each line is, who speaks, and what is synthetic, for sound editors to read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from tau_stage import audio
from tau_stage.audio import RATE
from tau_stage.errors import TakeError
from tau_stage.take.atomic import guarded
from tau_stage.take.exporting import at_rate_name
from tau_stage.take.folder import TakeFolder
from tau_stage.take.take_model import Alternative, Performed, PlayedSound, Playing, Take
from tau_stage.text import one_line, printable

SYNTHETIC = "synthetic speech"

_AGAIN = "free some disk space, then run tau-stage report; the audio is complete"

TAKES_OWN = audio.Shape()  # how lines and players' stems hold their sound

Chunks = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class FileDescription:
    """What is told of one file."""

    description: str
    made: str  # how what is heard came to be; begins with ``SYNTHETIC`` where a model spoke
    track: str  # name of its only channel, or of both
    sample: int = 0  # where it begins in the stems
    marks: tuple[audio.Mark, ...] = ()
    own: Mapping[str, str] = field(default_factory=dict)  # what only we know
    shape: audio.Shape = TAKES_OWN

    @property
    def tracks(self) -> tuple[str, ...]:
        """A name for each channel."""
        name = one_line(self.track)
        return (name,) if self.shape.channels == 1 else (f"{name} L", f"{name} R")

    def at(self, rate: int) -> FileDescription:
        """Return the same of a file at another rate."""
        own = self.shape.rate
        marks = tuple(audio.Mark(m.sample * rate // own, m.samples * rate // own, m.label) for m in self.marks)
        return replace(self, sample=self.sample * rate // own, marks=marks, shape=replace(self.shape, rate=rate))


def write_marks(folder: TakeFolder, take: Take, again: Sequence[str] = (), rate: int = RATE) -> list[str]:
    """Put marks, origin and slate behind the sound of a take's lines, stems and mix; the sound is not touched.

    It may be done again: files that have their marks are not written.

    Args:
        folder: The take's.
        take: What it holds.
        again: Files of it that are there at another rate too, as they are called there.
        rate: Which one.

    Returns:
        What could not be marked, a sentence each.

    Raises:
        TakeError: The disk is full or cannot be written, or the take tells no time at which it began.
    """
    missed = []
    mix, head = folder.mix, folder.mix_head_s
    for name, chunks in marks_of(take, folder.path.resolve().name, mix, _shape(mix), again, rate, head):
        try:
            path = folder.inside(name)
        except TakeError:
            missed.append(f"{name}: is outside the take's folder, so it was not marked")
            continue
        if path.is_file():
            missed += _marked(path, name, chunks)
        else:
            missed.append(f"{name}: file not found, so it was not marked")
    return missed


def _shape(mix: Path | None) -> audio.Shape:
    """Tell how the mix holds its sound; one that does not say so has no marks."""
    with suppress(ValueError, OSError):
        return audio.read_shape(mix) if mix else TAKES_OWN
    return TAKES_OWN


def marks_of(
    take: Take,
    name: str,
    mix: Path | None = None,
    mixed: audio.Shape = TAKES_OWN,
    again: Sequence[str] = (),
    rate: int = RATE,
    head_s: float = 0.0,
) -> Iterator[tuple[str, Chunks]]:
    """Yield the chunks of each WAV file that a take may have, by the file's name in its folder.

    Lines begin where they lie in the stems. Stems and mix begin at 0 and have a mark for each line or sound in them,
    the mix for each chapter too. Before the stems begin in it, the mix is silent for ``head_s``.

    Raises:
        TakeError: The take tells no time at which it began.
    """
    try:
        began = datetime.fromisoformat(take.started)
    except ValueError:
        hint = "write 'started' like this: 2026-11-21T09:00:00+00:00"
        raise TakeError("take.json", f"invalid start time of the take: {take.started!r}", hint) from None
    for file, told in _told(take, mix, mixed, head_s):
        yield file, _chunks(take, name, began, file, told)
        if (high := at_rate_name(file, rate)) in again:
            yield high, _chunks(take, name, began, high, told.at(rate))


def _told(take: Take, mix: Path | None, mixed: audio.Shape, head_s: float) -> Iterator[tuple[str, FileDescription]]:
    players = {player.name: player for player in take.players}
    for line in (line for line in take.lines if not line.former):  # that is the former take's file, byte for byte
        yield from ((str(other.file), _line(line, players, other)) for other in line.files)
    yield from ((player.stem, _player(take, player)) for player in take.players if player.stem)
    for stem in dict.fromkeys(sound.stem for sound in take.sounds):
        yield stem, _sounds(stem, [sound for sound in take.sounds if sound.stem == stem], take.channels)
    if mix and mix.suffix.lower() == ".wav":
        shape, marks = replace(mixed, rate=take.rate), (*_mix_marks(take, round(head_s * take.rate)),)
        told = FileDescription(
            f"Mix of {take.scene.title}", _made(take.lines, players), "mix", marks=marks, shape=shape
        )
        yield mix.name, told.at(mixed.rate)


def _mix_marks(take: Take, head: int) -> Iterator[audio.Mark]:
    """Yield the marks of a mix that begins with some samples of silence."""
    for chapter in take.chapters:
        at = chapter.offset_samples and chapter.offset_samples + head
        yield audio.Mark(at, 0, one_line(f"chapter: {chapter.title}"))
    for mark in _line_marks(take.lines):
        yield replace(mark, sample=mark.sample + head)


def _player(take: Take, player: Playing) -> FileDescription:
    lines = [line for line in take.lines if line.player == player.name]
    made, own = _made(lines, {player.name: player}), {"PLAYER": player.name, **_voice(player)}
    return FileDescription(f"Stem of {player.name}", made, player.name, marks=_line_marks(lines), own=own)


def _line(line: Performed, players: Mapping[str, Playing], other: Performed | Alternative) -> FileDescription:
    """Return what is told of a line's file, or of that of another take of it."""
    which = f", take {other.take}, not picked" if isinstance(other, Alternative) else ""
    own = {"PLAYER": line.player, "LINE": line.id, "WORDS": other.said, "DIRECTION": line.direction}
    return FileDescription(
        f"{line.number:03d} {line.id} ({line.player}{which}): {other.said}",
        _made([line], players),
        line.player,
        line.offset_samples,
        own=own | _voice(players.get(line.player)),
    )


def _sounds(stem: str, sounds: Sequence[PlayedSound], channels: int) -> FileDescription:
    name = Path(stem).stem
    sources = ", ".join(dict.fromkeys(sound.source for sound in sounds))
    marks = tuple(audio.Mark(sound.offset_samples, sound.samples, one_line(sound.id)) for sound in sounds)
    return FileDescription(
        f"Stem of {name}", f"sounds from {sources}", name, marks=marks, shape=audio.Shape(channels=channels)
    )


def _made(lines: Iterable[Performed], players: Mapping[str, Playing]) -> str:
    """Tell how speech came to be. Where nobody spoke, it is told of who might have."""
    spoken = dict.fromkeys((line.player, line.human) for line in lines)
    spoken = spoken or dict.fromkeys((player.name, bool(player.human)) for player in players.values())
    models = ", ".join(_who(name, players.get(name)) for name, human in spoken if not human)
    people = ", ".join(name for name, human in spoken if human)
    return "; ".join(f"{who}: {names}" for who, names in ((SYNTHETIC, models), ("people", people)) if names)


def _who(name: str, player: Playing | None) -> str:
    voice = _voice(player)
    model = " at ".join(filter(None, (voice.get("MODEL"), voice.get("ENDPOINT"))))
    facts = ", ".join(filter(None, (model, voice.get("VOICE") and f"voice {voice['VOICE']}")))
    return f"{name} ({facts})" if facts else name


def _voice(player: Playing | None) -> dict[str, str]:
    if player is None or player.human:
        return {}
    return {"MODEL": player.model, "ENDPOINT": player.endpoint, "VOICE": player.voice}


def _line_marks(lines: Iterable[Performed]) -> tuple[audio.Mark, ...]:
    return tuple(audio.Mark(line.offset_samples, line.samples, one_line(line.id)) for line in lines)


def _chunks(take: Take, name: str, began: datetime, file: str, told: FileDescription) -> Chunks:
    reference = hashlib.sha256(f"{name}/{take.started}/{take.scene.sha256}/{file}".encode(errors="replace"))
    shape = told.shape
    history = audio.coding_history(shape.rate, one_line(told.made), shape.channels, shape.bits)
    origin = audio.Origin(one_line(told.description), reference.hexdigest()[:32], began, told.sample, history)
    own = {name: printable(text) for name, text in told.own.items()}
    slate = audio.Slate(
        project=one_line(take.scene.title),
        scene=one_line(f"{take.scene.slug} ({take.scene.variant})" if take.scene.variant else take.scene.slug),
        take=name,
        tape=f"{began:%Y%m%d}",
        note=one_line(told.made),
        rate=shape.rate,
        bits=shape.bits,
        tracks=told.tracks,
        own={"SYNTHETIC": "yes" if told.made.startswith(SYNTHETIC) else "no", **own},
    )
    return {
        **audio.cue_chunks(told.marks),
        audio.BEXT: audio.bext_chunk(origin),
        audio.IXML: audio.ixml_chunk(slate, origin),
    }


def _marked(path: Path, name: str, chunks: Chunks) -> list[str]:
    try:
        with guarded(path, _AGAIN):
            audio.append_chunks(path, chunks)
    except ValueError as error:
        return [f"{name}: could not be marked: {str(error).removeprefix(f'{path}: ')}"]
    return []
