"""What server events carry: errors, responses, limits (OpenAI API reference, "Realtime server events", GA)."""

from typing import Any, Literal

from pydantic import model_validator

from tau_stage.protocol.frames import WORDS, words_in
from tau_stage.protocol.items import Item, Lenient


class ServerError(Lenient):
    """The body of an error.

    Attributes:
        event_id: Id of the client event that was refused, if the server knows it.
    """

    type: str = "invalid_request_error"
    code: str | None = None
    message: str = ""
    param: str | None = None
    event_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, error: object) -> object:
        """Find the words of an error that has no message, in whatever it is made of."""
        if not isinstance(error, str | list | dict) or not error:
            return error
        facts = error if isinstance(error, dict) else {"message": error}
        inner = facts.get("error")
        if isinstance(inner, dict) and not facts.get("message"):
            facts = facts | inner
        if isinstance(facts.get("message"), str | int):
            return facts
        said = next((facts[key] for key in ("message", *WORDS) if facts.get(key)), "")
        words = words_in(said)
        return facts | {"message": words} if words else facts


class StatusDetails(Lenient):
    """Why a response ended as it did."""

    type: str | None = None
    reason: str | None = None
    error: ServerError | None = None


class WireResponse(Lenient):
    """A response as the server tells it; audio bytes are never in it.

    Attributes:
        id: Empty where the server tells none: the response is then known by the order of events.
        status: Empty where the server tells none: how the response ended is then known by what it holds.
        usage: As the server tells it, in whatever shape: ``Usage.from_wire`` reads it.
        model: Which model answers, where a server names one.
        error: Why it failed, from wherever the server tells it.
    """

    object: Literal["realtime.response"] = "realtime.response"
    id: str = ""
    status: str = ""
    status_details: StatusDetails | None = None
    output: tuple[Item, ...] = ()
    conversation_id: str | None = None
    output_modalities: tuple[str, ...] = ()
    max_output_tokens: int | str | None = None
    audio: dict[str, Any] | None = None
    usage: Any = None
    model: str = ""
    error: ServerError | None = None
    metadata: dict[str, str] | None = None


class RateLimit(Lenient):
    """What is left of one limit."""

    name: str = ""
    limit: int = 0
    remaining: int = 0
    reset_seconds: float = 0.0
