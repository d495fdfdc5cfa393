"""Which voices each endpoint has, as far as anybody has written it down."""

OPENAI_VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
"""Voices of the GA Realtime API. Source: openai-python 3.52.0; marin and cedar are the recommended ones."""

CUSTOM_PREFIX = "voice_"
"""The id of a custom voice starts so."""

VOICES: dict[str, tuple[str, ...] | None] = {
    "openai": OPENAI_VOICES,
    "azure": OPENAI_VOICES,
    "azure-preview": OPENAI_VOICES,
    "azure-voice-live": None,
    "xai": None,
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


def is_url(endpoint: str) -> bool:
    """Whether an endpoint is an address of the user's own instead of a name."""
    return endpoint.startswith(("ws://", "wss://"))


def voices_of(endpoint: str | None) -> tuple[str, ...] | None:
    """The voices of an endpoint; None where they are not known. No endpoint is OpenAI or the understudy.

    >>> "marin" in voices_of(None), voices_of("ws://127.0.0.1:8000")
    (True, None)
    """
    return VOICES.get(endpoint or "openai")
