"""What a session is given by its caller, in the shapes the protocol wants: words, sound, and wishes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pybase64
from pydantic import ValidationError

from tau_stage.audio import PCM16, RATE, Format, Pcm
from tau_stage.errors import UsageError
from tau_stage.protocol import InputText, ResponseConfig, SessionConfig, session_config
from tau_stage.text import well_formed

Sound = Pcm | bytes | str | Path
"""Sound from a user: ``Pcm``, raw 24 kHz 16-bit bytes, base64 of them, or a WAV file."""

LONGEST_APPEND = 15 * 1024 * 1024
"""Most base64 the API takes in one event, in bytes (OpenAI API reference, ``input_audio_buffer.append``)."""

WIDEST = 4  # most bytes on the way for one sample of ours

RENAMED: Mapping[str, Mapping[str, str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
"""Options of earlier clients and of the beta, by name: what is wrong with them, and what to write."""


def text_content(text: str) -> InputText:
    """Make words a message's content; a ``ValueError`` says that there are none."""
    if not text.strip():
        raise ValueError("the text is empty")
    return InputText(text=well_formed(text))


def to_pcm(audio: Sound) -> Pcm:
    """Make sound ``Pcm``; a ``ValueError`` says that it is no 16-bit audio."""
    if isinstance(audio, Pcm):
        return audio
    if isinstance(audio, Path):
        from tau_stage.audio import read_wav

        return read_wav(audio)
    if not isinstance(audio, str):
        return Pcm(audio)
    try:
        return Pcm(pybase64.b64decode(audio, validate=True))
    except ValueError:
        raise ValueError(f"{audio[:60]!r} is not base64-encoded 16-bit audio; pass a file as a Path") from None


def split_audio(audio: Pcm, form: Format = PCM16, longest: int = LONGEST_APPEND) -> Iterator[Pcm]:
    """Yield a sound in the fewest parts of which each fits into one event, ``longest`` bytes of base64.

    >>> [len(part) for part in split_audio(Pcm.silence(10), longest=12)]
    [4, 4, 2]
    """
    if len(audio) * WIDEST <= longest // 4 * 3:
        yield from [audio] if audio else []
        return
    width = len(form.encode(Pcm.silence(RATE))) / RATE  # bytes on the way for each sample
    most = max(1, int(longest // 4 * 3 / width))
    for start in range(0, len(audio), most):
        yield audio[start : start + most]


def asked_session(**wishes: object) -> SessionConfig:
    """Make a session as it is wished for; a ``UsageError`` says that a wish cannot be asked for."""
    detection = wishes.get("turn_detection")
    kind = detection.get("type") if isinstance(detection, Mapping) else detection
    if kind == "none":
        raise UsageError("turn detection has no type 'none' in the GA API", "write turn_detection=None")
    _check_names(wishes)
    try:
        return session_config(**wishes)
    except ValidationError as error:
        raise _refused("create_session", error) from None


def asked_response(**options: object) -> ResponseConfig:
    """Make a response as it is wished for; a ``UsageError`` says that a wish cannot be asked for."""
    _check_names(options)
    if "voice" in options:
        raise UsageError("a response has no option 'voice' in the GA API", "write audio={'output': {'voice': ...}}")
    try:
        return ResponseConfig.model_validate(options)
    except ValidationError as error:
        raise _refused("response", error) from None


def _check_names(wishes: Mapping[str, object]) -> None:
    for name in wishes.keys() & RENAMED.keys():
        raise UsageError(**RENAMED[name])


def _refused(verb: str, error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return UsageError(f"{verb} has no option '{place}'", "docs/session.md lists the options")
    return UsageError(f"{place} cannot be {first['input']!r:.80}: {first['msg'][0].lower()}{first['msg'][1:]}")


def differences(asked: Mapping[str, object], made: Mapping[str, object], place: str = "session") -> list[str]:
    """Tell where a session is not as it was asked for; what the server does not tell is taken as granted."""
    found = []
    for key, wanted in asked.items():
        got = made.get(key)
        if isinstance(wanted, dict) and isinstance(got, dict):
            found += differences(wanted, got, f"{place}.{key}")
        elif key in made and got != wanted and key != "tools":
            found.append(f"the server set {place}.{key} to {got!r} instead of {wanted!r}")
    return found


def value_at(tree: object, *path: str) -> object:
    """Return a value deep in JSON; None where the way to it ends.

    >>> value_at({"audio": {"input": None}}, "audio", "input", "transcription")
    """
    for step in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(step)
    return tree
