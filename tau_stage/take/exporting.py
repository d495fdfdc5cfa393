"""Lines and stems delivered otherwise than aligned: a trimmed file per line, and each player's lines end to end."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain, count

import numpy as np

from tau_stage.audio import FULL_SCALE, RATE, Pcm, Stereo, WavWriter, as_samples, at_rate, faded, resampled
from tau_stage.scene import LineFiles, filled, is_device
from tau_stage.take.atomic import guarded, whole_file
from tau_stage.take.folder import TakeFolder
from tau_stage.take.mixing import BLOCK, MIX_AGAIN, stems_of
from tau_stage.take.reading import audio_of, open_sound
from tau_stage.take.take_model import STEMS, Performed, Take

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
            kind = Pcm if channels == 1 else Stereo
            resounded = at_rate(blocks, RATE, rate, channels)
            parts = (kind(as_samples(block).astype("<i2").tobytes(), rate) for block in resounded)
            _write(folder, at_rate_name(name, rate), parts, rate, channels)
        written.append(at_rate_name(name, rate))
    return tuple(written)


def export(folder: TakeFolder, take: Take, wanted: LineFiles, rate: int = RATE) -> tuple[str, ...]:
    """Write a file to ``export/`` for each line that is heard, and return them, relative to the folder.

    Raises:
        TakeError: A line's sound is missing or another, or a file cannot be written.
    """
    files = exported_files(take, wanted)
    for line in heard(take):
        audio = audio_of(folder, line)
        _write(folder, files[line.id], [resampled(trimmed(audio) if wanted.trim else audio, rate)], rate)
    return tuple(files.values())


def exported_files(take: Take, wanted: LineFiles) -> dict[str, str]:
    """Return the file of each line that is heard, as ``export`` writes it, by the line's id."""
    lines = heard(take)
    named = names(wanted.names, take.scene.slug, lines)
    return {line.id: f"{EXPORT}/{name}.wav" for line, name in zip(lines, named, strict=True)}


def heard(take: Take) -> list[Performed]:
    """Return the lines of a take that have sound, in the order they are heard."""
    lines = (line for line in take.lines if line.file and line.samples)
    return sorted(lines, key=lambda line: line.offset_samples)


def names(template: str, scene: str, lines: Iterable[Performed]) -> Iterator[str]:
    """Yield a file's name for each line, without ending: none leaves its folder, and no two are the same.

    Names that differ in case only would be one file on many disks, so they are told apart too. The template has
    ``{scene}``, ``{player}``, ``{number}`` and ``{line}``.
    """
    taken: set[str] = set()
    for line in lines:
        values: dict[str, str | int] = {"scene": scene, "player": line.player, "number": line.number, "line": line.id}
        plain = safe(filled(template, {key: safe(str(value)) for key, value in values.items()}))
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
