"""What a session and a response are asked to be, in the caller's words: what cannot be asked for gets a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tau_stage.errors import UsageError
from tau_stage.protocol import config

OTHERWISE: Mapping[str, tuple[str, str]] = {
    "temperature": ("the Realtime API has no temperature since GA", "leave it out"),
    "modalities": ("modalities has another name since GA", "write output_modalities=('audio',) or ('text',)"),
    "max_response_output_tokens": ("max_response_output_tokens has another name since GA", "write max_output_tokens"),
    "input_audio_transcription": ("input_audio_transcription has another name since GA", "write transcription"),
    "input_audio_noise_reduction": ("input_audio_noise_reduction has another name since GA", "write noise_reduction"),
    "input_audio_format": ("input_audio_format has another name since GA", "write input_format={'type': 'audio/pcmu'}"),
    "output_audio_format": (
        "output_audio_format has another name since GA",
        "write output_format={'type': 'audio/pcmu'}",
    ),
    "url": ("create_session has no option url", "write endpoint"),
    "max_time_to_respond": (
        "a response has no option max_time_to_respond",
        "write deadlines=Deadlines(response_s=...)",
    ),
}
"""Options of earlier clients and of the beta, by name: what is wrong with them, and what to write."""


def asked_session(**wishes: Any) -> config.SessionConfig:
    """Make a session as it is wished for.

    Raises:
        UsageError: A wish cannot be asked for.
    """
    detection = wishes.get("turn_detection")
    kind = detection.get("type") if isinstance(detection, Mapping) else detection
    if kind == "none":
        raise UsageError("turn detection has no type 'none' since GA", "write turn_detection=None")
    _check_names(wishes)
    try:
        return config.session_config(**wishes)
    except ValidationError as error:
        raise _refused("create_session", error) from None


def asked_response(**options: Any) -> config.ResponseConfig:
    """Make a response as it is wished for.

    Raises:
        UsageError: A wish cannot be asked for.
    """
    _check_names(options)
    if "voice" in options:
        raise UsageError("a response has no option voice since GA", "write audio={'output': {'voice': ...}}")
    try:
        return config.ResponseConfig(**options)
    except ValidationError as error:
        raise _refused("response", error) from None


def _check_names(wishes: Mapping[str, Any]) -> None:
    for name in wishes:
        if name in OTHERWISE:
            raise UsageError(*OTHERWISE[name])


def _refused(verb: str, error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    if first["type"] == "extra_forbidden":
        return UsageError(f"{verb} has no option {place}", "docs/session.md lists what there is")
    return UsageError(f"{place} cannot be {first['input']!r:.80}: {first['msg'][0].lower()}{first['msg'][1:]}")
