"""What server events carry: errors, responses, limits (OpenAI API reference, "Realtime server events", GA)."""

from typing import Any, Literal

from pydantic import model_validator

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
        words = _words_in(said)
        return facts | {"message": words} if words else facts


WORDS = ("detail", "details", "description", "error", "reason", "text", "msg")
"""Where servers put the words of an error that has no message."""


def _words_in(value: object) -> str:
    """What is said by a text, or by the texts in a list or an object.

    >>> _words_in([{"msg": "too long", "loc": ["body"]}, "too loud"])
    'too long; body; too loud'
    """
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return "; ".join(words for each in inner if (words := _words_in(each)))
    return value if isinstance(value, str) else ""


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
        error: Why it failed, where a server tells that here and not in the details.
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

    @model_validator(mode="before")
    @classmethod
    def _words_of_failure(cls, response: Any) -> Any:
        """Take a text in the place of a failure's details as the server's words on it."""
        if not isinstance(response, dict) or response.get("status") != "failed":
            return response
        details = response.get("status_details")
        return response | {"status_details": {"error": details}} if isinstance(details, str) else response


class RateLimit(Lenient):
    """What is left of one limit."""

    name: str = ""
    limit: int = 0
    remaining: int = 0
    reset_seconds: float = 0.0
