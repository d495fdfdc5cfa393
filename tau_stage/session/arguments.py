"""What a session is given by its caller, in the shapes the protocol wants, and how the server's answer differs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pybase64

from tau_stage.audio.pcm import Pcm
from tau_stage.protocol.items import InputText
from tau_stage.text import well_formed

Sound = Pcm | bytes | str | Path
"""Sound from a user: ``Pcm``, raw 24 kHz 16-bit bytes, base64 of them, or a WAV file."""


def words_of(text: str) -> InputText:
    """Make words a message's content.

    Raises:
        ValueError: There are none.
    """
    if not text.strip():
        raise ValueError("there are no words to say")
    return InputText(text=well_formed(text))


def sound_of(audio: Sound) -> Pcm:
    """Make sound ``Pcm``.

    Raises:
        ValueError: It is no 16-bit audio.
    """
    if isinstance(audio, Pcm):
        return audio
    if isinstance(audio, Path):
        from tau_stage.audio.wav import read_wav

        return read_wav(audio)
    if not isinstance(audio, str):
        return Pcm(audio)
    try:
        return Pcm(pybase64.b64decode(audio, validate=True))
    except ValueError:
        raise ValueError(f"{audio[:60]!r} is no base64 of 16-bit sound; a file is given as a Path") from None


def differences(asked: Mapping[str, Any], made: Mapping[str, Any], place: str = "session") -> list[str]:
    """Tell where a session is not as it was asked for; what the server does not tell is taken as granted."""
    found = []
    for key, wanted in asked.items():
        got = made.get(key)
        if isinstance(wanted, dict) and isinstance(got, dict):
            found += differences(wanted, got, f"{place}.{key}")
        elif key in made and got != wanted and key != "tools":
            found.append(f"the server made {place}.{key} {got!r}, asked was {wanted!r}")
    return found


def value_at(tree: object, *path: str) -> Any:
    """Return a value deep in JSON; None where the way to it ends.

    >>> value_at({"audio": {"input": None}}, "audio", "input", "transcription")
    """
    for step in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(step)
    return tree
