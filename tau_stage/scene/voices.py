"""Which voices each endpoint has, as far as anybody has written it down, and which is asked for by default."""

import re
from difflib import get_close_matches

OPENAI_VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
"""Voices of the GA Realtime API. Source: openai-python 3.52.0; marin and cedar are the recommended ones."""

XAI_VOICES = (
    *("altair", "ara", "atlas", "aurora", "carina", "castor", "celeste", "cosmo", "eve", "helios", "helix", "iris"),
    *("kepler", "leo", "liora", "lumen", "luna", "lux", "naksh", "orion", "perseus", "rex", "rigel", "sal"),
    *("sirius", "ursa", "zagan", "zenith"),
)
"""Voices of Grok. Source: fal.ai, xai/grok-voice/realtime, read 2026-11-27. There may be others."""

CUSTOM_PREFIX = "voice_"
"""The id of a custom voice starts so."""

DEFAULT_VOICE = "marin"
"""Of OpenAI's voices, one of the two that OpenAI recommends."""

DEFAULTS = {
    "xai": "ara",
    "qwen": "",
    "stepfun": "",
    "inworld": "",
    "vllm": "",
    "speaches": "",
    "localai": "",
}
"""Voices that are asked for elsewhere; empty leaves it to a server that has none of OpenAI's."""

MISSPELT = 0.8
"""How alike a voice and a known one must be to be taken for it misspelt, where other voices are possible."""

VOICES: dict[str, tuple[str, ...] | None] = {
    "openai": OPENAI_VOICES,
    "azure": OPENAI_VOICES,
    "azure-preview": OPENAI_VOICES,
    "azure-voice-live": None,
    "xai": XAI_VOICES,
    "qwen": None,
    "stepfun": None,
    "inworld": None,
    "vllm": None,
    "speaches": None,
    "localai": None,
    "litellm": None,
    "understudy": OPENAI_VOICES,
}
"""Voices by endpoint; None where the list is not known, so that any name passes."""


KINDS = (*VOICES, "ga", "beta")
"""What the server of an address may be said to be like."""

_URL = re.compile(r"(?:(?P<kind>[^:/+]*)\+)?wss?://", re.IGNORECASE)


def is_url(endpoint: str) -> bool:
    """Tell whether an endpoint is an address of the user's own instead of a name."""
    return _URL.match(endpoint) is not None


def kind_of(endpoint: str) -> str:
    """Return what the server of an address is like, where the address says so; a name stands for itself.

    >>> kind_of("xai+wss://host/v1"), kind_of("xai"), kind_of("wss://host/v1")
    ('xai', 'xai', '')
    """
    url = _URL.match(endpoint)
    return url["kind"] or "" if url else endpoint


def voices_of(endpoint: str | None) -> tuple[str, ...] | None:
    """Return the voices of an endpoint; None where they are not known. No endpoint is OpenAI or the understudy.

    >>> "marin" in voices_of(None), voices_of("ws://127.0.0.1:8000")
    (True, None)
    """
    return VOICES.get(endpoint or "openai")


def default_voice(endpoint: str | None) -> str:
    """Return the voice that is asked for where none is named; empty where the server is left to choose.

    >>> default_voice(None), default_voice("xai"), default_voice("speaches")
    ('marin', 'ara', '')
    """
    return DEFAULTS.get(kind_of(endpoint or "openai"), DEFAULT_VOICE)


def is_known(voice: str, endpoint: str | None) -> bool:
    """Tell whether a voice is known at an endpoint, is a custom one, or nobody knows which there are."""
    known = voices_of(endpoint)
    if known is None or voice.startswith(CUSTOM_PREFIX):
        return True
    return (voice if known == OPENAI_VOICES else voice.casefold()) in known


def misspelt(voice: str, endpoint: str | None) -> str:
    """Return the known voice that an unknown one is nearly called; empty where there is none.

    >>> misspelt("marinn", "openai"), misspelt("robot", "openai"), misspelt("marin", "openai")
    ('marin', '', '')
    """
    if is_known(voice, endpoint):
        return ""
    near = get_close_matches(voice.casefold(), voices_of(endpoint) or (), n=1, cutoff=MISSPELT)
    return near[0] if near else ""


def voice_warning(voice: str, endpoint: str | None) -> str:
    """Return what is worth saying of a voice that is not known at an endpoint; empty where nothing is.

    >>> voice_warning("robot", "openai")
    "openai is not known to have a voice 'robot'; known: alloy, ash, ballad, cedar, coral, echo, marin, sage, \
shimmer, verse"
    """
    if is_known(voice, endpoint):
        return ""
    return (
        f"{endpoint or 'openai'} is not known to have a voice '{voice}'; known: {', '.join(voices_of(endpoint) or ())}"
    )
