"""Whether and how a person's words are written down: what an author may write, and what is asked for by default."""

import re
from collections.abc import Callable
from typing import Any

from pydantic_core import PydanticCustomError

from tau_stage.scene.units import wrong
from tau_stage.scene.voices import kind_of
from tau_stage.scene.words import did_you_mean, listed

Transcription = tuple[tuple[str, str], ...]
"""The API's fields and their values; empty where nothing is written down."""

OFF: Transcription = ()

DEFAULT_TRANSCRIPTION = "gpt-transcribe"
"""The model that writes down a person's words, where the endpoint is OpenAI's or unknown.

It takes whole turns, which is all that is needed here, at $0.0045 a minute (genai-prices 0.2.3); gpt-live-transcribe
writes while somebody speaks, at $0.017. Those before it (whisper-1, gpt-4o-transcribe and its mini) end 2027-02-26.
"""

ELSEWHERE: dict[str, str | None] = {
    "azure-voice-live": "azure-speech",
    "xai": "grok-transcribe",
    "qwen": None,
    "stepfun": None,
    "inworld": None,
    "vllm": None,
    "speaches": None,
    "localai": None,
}
"""Who writes down words at other endpoints; None leaves it to the server, whose models are not known here.

Sources: learn.microsoft.com, AudioInputTranscriptionOptions; docs.x.ai, voice.
"""

HINT = "write a model's name, off, or {model: gpt-transcribe, language: en, prompt: Names and places}"

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
_SWITCHES = {"true", "yes", "on", "false", "no", "none", "null", "off", "~"}


def default_transcription(endpoint: str | None) -> str | None:
    """Return the model that writes down words at an endpoint; None where the server is left to choose.

    >>> default_transcription(None), default_transcription("xai"), default_transcription("speaches")
    ('gpt-transcribe', 'grok-transcribe', None)
    """
    return ELSEWHERE.get(kind_of(endpoint or ""), DEFAULT_TRANSCRIPTION)


def transcription(value: object) -> object:
    """Read ``off``, a model's name, or a mapping with ``model``, ``language`` and ``prompt``.

    Raises:
        PydanticCustomError: It is something else.
    """
    if isinstance(value, str):
        return OFF if value.casefold() == "off" else (("model", _model(value)),)
    if not isinstance(value, dict):
        raise wrong("transcription is a model's name, off, or a mapping", HINT)
    found: dict[str, str] = {}
    for key, text in value.items():
        if key.startswith("x-"):
            continue
        if key not in _FIELDS:
            hint = did_you_mean(key, _FIELDS, f"it has: {listed(_FIELDS)}")
            raise wrong(f"transcription has no '{key}'", hint, inside=key, key=True)
        found[key] = _inside(key, text)
    if not found:
        raise wrong("this transcription says nothing", HINT)
    return tuple(found.items())


def _inside(key: str, value: object) -> str:
    """Return what stands under a key; an error points there."""
    if not isinstance(value, str):
        raise wrong(f"'{key}' is one value, not a list or a mapping", "write the value alone", inside=key)
    try:
        return _FIELDS[key](value)
    except PydanticCustomError as error:
        told = error.context or {}
        raise wrong(told["problem"], told["hint"], inside=key) from None


def _model(value: str) -> str:
    if value.casefold() in _SWITCHES or not re.fullmatch(r"\S{1,200}", value):
        raise wrong(f"'{value}' is no name of a model that transcribes", HINT)
    return value


def _language(value: str) -> str:
    if not _LANGUAGE.fullmatch(value):
        raise wrong(f"'{value}' is no code of a language", "write it like en, de or pt-BR (ISO 639-1)")
    return value


def _prompt(value: str) -> str:
    if not value.strip():
        raise wrong("this prompt is empty", "write names and words that will be said, or remove it")
    return value.strip()


_FIELDS: dict[str, Callable[[str], str]] = {"model": _model, "language": _language, "prompt": _prompt}

TRANSCRIPTION_SCHEMA: dict[str, Any] = {
    "model": {
        "type": "string",
        "description": f"Who writes it down; on Azure, your deployment's name. Default: {DEFAULT_TRANSCRIPTION}.",
    },
    "language": {
        "type": "string",
        "pattern": f"^{_LANGUAGE.pattern}$",
        "description": "What is spoken, like en or de. Default: found out by the model.",
    },
    "prompt": {"type": "string", "description": "Names and words that are likely to be said."},
}
"""What an editor is told of each key."""
