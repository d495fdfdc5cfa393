"""Lines and stems delivered otherwise than aligned: a trimmed file per line, and each player's lines end to end."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tau_stage.audio import FULL_SCALE, RATE, Pcm, Stereo, WavWriter, as_samples, at_rate, faded, resampled
from tau_stage.errors import TakeError
from tau_stage.scene import LineFiles, filled, is_device
from tau_stage.take.atomic import guarded, whole_file
from tau_stage.take.folder import TakeFolder
from tau_stage.take.mastering import BLOCK, MIX_AGAIN, Master, Mastered, write_master
from tau_stage.take.mixing import stems_of
from tau_stage.take.reading import audio_of, open_sound
from tau_stage.take.take_model import STEMS, Performed, Take
from tau_stage.text import counted

PACKED = "stems-packed"
EXPORT = "export"

QUIET_DBFS = -60.0
KEPT_S = 0.02
FADE_S = 0.005
LONGEST_NAME = 120


def pack(folder: TakeFolder, take: Take, rate: int = RATE) -> tuple[str, ...]:
    """Write each player's lines to ``stems-packed/``, in the order they are heard, without the silence between them.

    Return the files, relative to the folder.

    Raises:
        TakeError: A line's sound is missing or another, or a file cannot be written.
    """
    written = []
    for player in take.players:
        own = [line for line in heard(take) if line.player == player.name]
        if not player.stem or not own:
            continue
        name = f"{PACKED}/{folder.inside(player.stem).name}"
        _write(folder, name, (resampled(audio_of(folder, line), rate) for line in own), rate)
        written.append(name)
    return tuple(written)


def at_rate_name(name: str, rate: int) -> str:
    """Return a file of a take as it is called at a rate, relative to its folder.

    >>> at_rate_name("stems/ann.wav", 48_000), at_rate_name("stems/ann.wav", 24_000)
    ('stems-48kHz/ann.wav', 'stems/ann.wav')
    """
    folder, _, rest = name.partition("/")
    return name if rate == RATE else f"{folder}-{rate // 1000}kHz/{rest}"


def _resampled(blocks: Iterator[NDArray[np.floating]], rate: int, channels: int) -> Iterator[Pcm | Stereo]:
    kind = Pcm if channels == 1 else Stereo
    for block in at_rate(blocks, RATE, rate, channels):
        yield kind(as_samples(block).astype("<i2").tobytes(), rate)


def realign(folder: TakeFolder, take: Take, rate: int, spare: Iterable[str] = ()) -> tuple[str, ...]:
    """Write the aligned stems and the lines at another rate; the take's own stay as they were performed.

    They go to ``stems-48kHz/`` and ``lines-48kHz/``, as the rate is called. ``spare`` are further files of lines: sound
    of attempts that failed. Return the files, relative to the folder.

    Raises:
        TakeError: A file is missing, too short or no sound, or one cannot be written.
    """
    lines = heard(take)
    sounds = [other for line in lines for other in line.files if other.samples]
    files = [(f"{STEMS}/{stem.path.name}", stem.channels, take.samples) for stem in stems_of(folder, take)]
    files += [(str(sound.file), 1, sound.samples) for sound in sounds] + [(name, 1, 0) for name in spare]
    written = []
    for name, channels, samples in files:
        with open_sound(folder.inside(name), samples, channels=channels) as file:
            blocks = (file.read(BLOCK, dtype="float32") * FULL_SCALE for _ in range(0, file.frames, BLOCK))
            _write(folder, at_rate_name(name, rate), _resampled(blocks, rate, channels), rate, channels)
        written.append(at_rate_name(name, rate))
    return tuple(written)


@dataclass(frozen=True, slots=True)
class Exported:
    """Files of lines: by line, relative to the take's folder; and what was measured in them, where it was."""

    files: Mapping[str, str]
    wanted: LineFiles
    rate: int
    measured: Mapping[str, Mastered]

    def __str__(self) -> str:
        """Write their line in a summary."""
        form = f"{self.wanted.kind} {self.rate / 1000:g} kHz"
        told = [f"{EXPORT}/ {counted(len(self.files), 'line')}", form]
        levels = [level for made in self.measured.values() if (level := made.level(self.wanted)) is not None]
        if self.wanted.level and levels:
            told.append(f"{min(levels):.1f} to {max(levels):.1f} {self.wanted.level.unit}")
        if self.measured:
            told.append(f"at most {max(made.peak_dbtp for made in self.measured.values()):.1f} dBTP")
        return ", ".join(told)

    @property
    def missed(self) -> tuple[str, ...]:
        """What must be otherwise, a line for each file."""
        found = ((self.files[line], made.missed(self.wanted)) for line, made in self.measured.items())
        return tuple(f"{file} {' and '.join(problems)}" for file, problems in found if problems)


def export(folder: TakeFolder, take: Take, wanted: LineFiles, rate: int = RATE) -> Exported:
    """Write a file to ``export/`` for each line that is heard.

    A line that is shorter than 400 ms is measured with silence after it, as one block of ITU-R BS.1770; one that is
    silent stays as it is.

    Raises:
        TakeError: A line's sound is missing or another, or a file cannot be written.
    """
    rate = wanted.rate or rate
    files = exported_files(take, wanted)
    measured: dict[str, Mastered] = {}
    for line in heard(take):
        final = folder.path / files[line.id]
        sound = audio_of(folder, line)
        sound = resampled(trimmed(sound) if wanted.trim else sound, rate)
        master = Master(final, wanted, wanted.kind, wanted.bits or "16", rate)
        with guarded(final, MIX_AGAIN):
            _make_folders(folder, files[line.id])
            with whole_file(final) as draft:
                made = _written(draft, sound, master)
        if wanted.ceiling is not None:
            measured[line.id] = made
    return Exported(files, wanted, rate, measured)


def _written(draft: Path, sound: Pcm, master: Master) -> Mastered:
    """Write a line; one that has no loudness stays as it is."""

    def source() -> Iterator[NDArray[np.floating]]:
        for start in range(0, len(sound), BLOCK):
            yield sound.array[start : start + BLOCK] / np.float64(FULL_SCALE)

    made = write_master(draft, source, master)
    if made is None:
        as_it_is = master.wanted.model_copy(update={"loudness": None, "rms": None, "peak": None})
        made = write_master(draft, source, replace(master, wanted=as_it_is))
    assert made is not None  # noqa: S101 - what need not be loud is written
    return made


def _make_folders(folder: TakeFolder, name: str) -> None:
    """Make the folders of a file; none of them may be a link that leads elsewhere."""
    place = folder.path
    for part in PurePosixPath(name).parts[:-1]:
        place /= part
        place.mkdir(exist_ok=True)
        if place.is_symlink():
            raise TakeError(str(place), "is a link", "delete it, or choose different names for the lines")


def heard(take: Take) -> list[Performed]:
    """Return the lines of a take that have sound, in the order they are heard."""
    lines = (line for line in take.lines if line.file and line.samples)
    return sorted(lines, key=lambda line: line.offset_samples)


def exported_files(take: Take, wanted: LineFiles) -> dict[str, str]:
    """Return the file of each line that is heard, as ``export`` writes it, by the line's id."""
    lines = heard(take)
    made = names(wanted.names, take.scene.slug, lines, take.scene.language)
    return {line.id: f"{EXPORT}/{name}.{wanted.kind}" for line, name in zip(lines, made, strict=True)}


def names(template: str, scene: str, lines: Iterable[Performed], language: str = "") -> Iterator[str]:
    """Yield a file's name for each line, without ending: none leaves its folder, and no two are the same.

    Names that differ in case only would be one file on many disks, so they are told apart too. The template has
    ``{scene}``, ``{player}``, ``{number}``, ``{line}`` and ``{language}``, and folders.
    """
    taken: set[str] = set()
    for line in lines:
        places = {"scene": scene, "player": line.player, "line": line.id, "language": language}
        values: dict[str, str | int] = {name: safe(text) if text else "" for name, text in places.items()}
        path = filled(template, values | {"line": safe(line.id), "number": line.number})
        plain = "/".join(map(safe, path.split("/")))
        free = chain([plain], (f"{plain}-{again}" for again in count(2)))
        name = next(name for name in free if name.lower() not in taken)
        taken.add(name.lower())
        yield name


def safe(text: str) -> str:
    """Make a text a part of a file's name: ASCII letters, digits, ``-``, ``_`` and ``.``, none of them alone.

    A text that has none of its own gets a name made from its hash.

    >>> safe("Zoë"), safe("../../etc/passwd"), safe("a b"), safe("CON")
    ('Zoe', 'etc-passwd', 'a-b', 'CON-')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._-]+|\.{2,}", "-", plain)[:LONGEST_NAME].strip(".-")
    if not plain:
        return f"x-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"
    stem, dot, rest = plain.partition(".")
    return f"{stem}-{dot}{rest}" if is_device(plain) else plain


def trimmed(audio: Pcm) -> Pcm:
    """Cut the silence off the head and the tail of a sound.

    Silence is what is below -60 dBFS. 20 ms of it are kept at either end, as far as they are there, and the outermost
    5 ms of them are faded, so that no sound is lost. What is silent throughout stays as it is.

    >>> import numpy as np
    >>> sound = Pcm.from_array(np.full(2400, 9000, np.int16))
    >>> len(trimmed(Pcm.join([Pcm.silence(24_000), sound, Pcm.silence(24_000)])))
    3360
    """
    loud = np.flatnonzero(np.abs(audio.array.astype(np.int32)) >= FULL_SCALE * 10 ** (QUIET_DBFS / 20))
    if not len(loud):
        return audio
    kept, fade = round(KEPT_S * audio.rate), round(FADE_S * audio.rate)
    first, after = int(loud[0]), int(loud[-1]) + 1
    start, end = max(0, first - kept), min(len(audio), after + kept)
    head, tail = min(first - start, fade), min(end - after, fade)
    parts = (
        faded(audio[start : start + head], 0.0, 1.0),
        audio[start + head : end - tail],
        faded(audio[end - tail : end], 1.0, 0.0),
    )
    return Pcm.join(parts, audio.rate)


def _write(folder: TakeFolder, name: str, parts: Iterable[Pcm | Stereo], rate: int, channels: int = 1) -> None:
    """Write a whole WAV file: under another name first, then renamed."""
    final = folder.path / name
    with guarded(final, MIX_AGAIN):
        final.parent.mkdir(exist_ok=True)
        with whole_file(final) as draft, WavWriter(draft, rate, channels) as file:
            for part in parts:
                file.append(part)
