"""A take read back from its folder, as a user names it: whole, or as far as a stopped run came."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

import soundfile
from pydantic import BaseModel, ValidationError

from tau_stage.audio import HEADER_BYTES, RATE, Pcm, quiet_decoder, read_wav
from tau_stage.errors import StageError, TakeError, os_reason
from tau_stage.take.folder import MANIFEST, TakeFolder, followed
from tau_stage.take.folding import fold
from tau_stage.take.journal import JOURNAL, read_journal
from tau_stage.take.take_model import Alternative, Performed, Take
from tau_stage.text import counted

VERSION: int = Take.model_fields["version"].default  # the version of takes that is read here

ModelT = TypeVar("ModelT", bound=BaseModel)

AGAIN = "run the scene again, or choose another take"


def _no_folder(folder: Path, path: Path) -> TakeError:
    there, hint = folder.exists(), "specify the folder that tau-stage run printed"
    if there and path.suffix in (".yaml", ".yml"):
        hint += f"; to resume the newest take of a scene: tau-stage run --resume {quote(str(path))}"
    return TakeError(str(folder), "not a directory" if there else "no such folder", hint)


def read_take(path: Path) -> tuple[TakeFolder, Take]:
    """Read a take and its folder; without ``take.json``, reconstruct the take from its journal.

    Args:
        path: The take's folder, a link to it such as ``latest``, or its ``take.json`` or ``journal.jsonl``.

    Raises:
        TakeError: The take is missing or damaged, or was written by a newer version of tau-stage.

    >>> read_take(Path("takes/none"))
    Traceback (most recent call last):
    tau_stage.TakeError: takes/none: no such folder
      hint: specify the folder that tau-stage run printed
    """
    path = followed(path)
    folder = TakeFolder(path.parent if path.name in (MANIFEST, JOURNAL) and not path.is_dir() else path)
    if not folder.path.is_dir():
        raise _no_folder(folder.path, path)
    if folder.manifest.exists():
        return folder, _from_manifest(folder.manifest)
    if folder.journal.exists():
        return folder, _from_journal(folder.journal)
    raise TakeError(
        str(folder.path), f"is not a take: it contains neither {MANIFEST} nor {JOURNAL}", _inside(folder.path)
    )


def _inside(path: Path) -> str:
    """Guess what may have been meant: takes stand one folder deeper than their scene, and two deeper than all."""
    for pattern in ("latest", "*", "*/latest", "*/*"):
        for found in sorted(path.glob(pattern), reverse=True):
            there = followed(found)
            if (there / MANIFEST).exists() or (there / JOURNAL).exists():
                return f"specify one of its takes, such as {found}"
    return "specify the folder that tau-stage run printed"


def _from_manifest(path: Path) -> Take:
    has_journal = (path.parent / JOURNAL).exists()
    hint = f"delete it to read the take from {JOURNAL}" if has_journal else AGAIN
    try:
        text = path.read_bytes()
    except OSError as error:
        raise TakeError(str(path), f"cannot be read: {os_reason(error)}", "check its permissions") from None
    return parse_document(Take, text, path, "take", hint)


def _from_journal(path: Path) -> Take:
    refuse_newer(TakeFolder(path.parent))
    try:
        return fold(read_journal(path))
    except TakeError as error:
        raise TakeError(str(path), error.problem, error.hint or AGAIN) from None
    except KeyError as error:
        raise TakeError(str(path), f"refers to an unknown player {error}", AGAIN) from None


def parse_document(
    model: type[ModelT],
    text: str | bytes,
    path: str | Path,
    what: str,
    hint: str,
    refuse: Callable[[str, str, str], StageError] = TakeError,
) -> ModelT:
    """Read a file of JSON that tau-stage wrote; the default of the model's first field is the version that is known.

    Raises:
        StageError: It is broken, something else, or a newer tau-stage's; ``refuse`` makes it.
    """
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refuse(str(path), f"is not valid JSON ({error})", hint) from None
    name, field = next(iter(model.model_fields.items()))
    _check_version(path, facts, name, field.default, refuse)
    try:
        return model.model_validate(facts)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise refuse(str(path), f"is not a valid {what}: {where}: {first['msg']}", hint) from None


def _check_version(
    path: str | Path,
    facts: object,
    name: str = "version",
    known: int = VERSION,
    refuse: Callable[[str, str, str], StageError] = TakeError,
) -> None:
    version = facts.get(name, known) if isinstance(facts, dict) else known
    if isinstance(version, int) and version > known:
        problem = f"has version {version}, but this tau-stage supports version {known}"
        raise refuse(str(path), problem, "install a newer tau-stage")


def refuse_newer(folder: TakeFolder) -> None:
    """Refuse, with a ``TakeError``, to overwrite what a newer tau-stage wrote with what this one understands of it."""
    for path, size in ((folder.journal, 1), (folder.manifest, None)):
        with suppress(OSError, ValueError, RecursionError), path.open("rb") as file:  # whoever reads it on says why
            _check_version(path, json.loads(b"".join(islice(file, size))))


def audio_of(folder: TakeFolder, line: Performed | Alternative) -> Pcm:
    """Return the sound of a line, or of another take of it, sample for sample what the take tells of.

    Raises:
        TakeError: It has none, or its file is missing, cut short, broken or another.
    """
    path = folder.sound(line)
    what = f"line {line.id}" if isinstance(line, Performed) else f"take {line.take}"
    try:
        held = (path.stat().st_size - HEADER_BYTES) // 2
        if 0 <= held < line.samples:
            raise TakeError(str(path), f"is incomplete: it has {held} of the {line.samples} samples of {what}", AGAIN)
        audio = read_wav(path)
    except FileNotFoundError:
        raise TakeError(str(path), f"the audio of {what} is missing", AGAIN) from None
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ")
        raise TakeError(str(path), f"cannot read the audio of {what}: {problem}", AGAIN) from None
    if audio.sha256 != line.sha256:
        raise TakeError(str(path), f"is not the audio of {what}: its sha256 differs from the one in the take", AGAIN)
    return audio


BROKEN = "the take is damaged: perform the scene again"


def quiet(path: Path) -> AbstractContextManager[None]:
    """Keep from standard error what the decoder says of an MP3 while it is read."""
    return quiet_decoder() if path.suffix.lower() == ".mp3" else nullcontext()


@contextmanager
def sound_errors(path: Path, hint: str = BROKEN) -> Iterator[None]:
    """Turn a failing disk, or a file that is no sound, into a ``TakeError``."""
    try:
        yield
    except (OSError, RuntimeError, AssertionError) as error:  # libsndfile has its own, and asserts that all was written
        reason = getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
        problem = str(reason).strip().rstrip(".").lower()
        if problem in ("", "system error"):
            problem = "the disk is full or unusable"
        raise TakeError(str(path), problem, hint) from error


@contextmanager
def open_sound(path: Path, samples: int = 0, name: Path | None = None, channels: int = 1) -> Iterator[Any]:
    """Open a sound file of so many samples at least; its rate must be the take's, if a length is asked for.

    Raises:
        TakeError: It is missing, no such sound, or too short; the error may call it by another ``name``.
    """
    shown = name or path
    with ExitStack() as opened, quiet(shown):
        with sound_errors(shown):
            if not path.is_file():
                raise TakeError(str(shown), "file not found", BROKEN)
            file = opened.enter_context(soundfile.SoundFile(path))
        if file.channels != channels or (samples and file.samplerate != RATE):
            told = f"{counted(file.channels, 'channel')} at {file.samplerate} Hz, expected {channels} at {RATE} Hz"
            raise TakeError(str(shown), f"has {told}", BROKEN)
        if file.frames < samples:
            raise TakeError(str(shown), f"has {file.frames} samples, expected {samples}", BROKEN)
        yield file


def read_sound(path: Path, samples: int) -> Pcm:
    """Read the first samples of a file of the take.

    Raises:
        TakeError: It is missing, no such sound, or too short.
    """
    with open_sound(path, samples) as file, sound_errors(path):
        return Pcm.from_array(file.read(samples, dtype="int16"))
