"""What server events carry: errors, responses, limits (OpenAI API reference, "Realtime server events", GA)."""

from typing import Any, Literal

from tau_stage.protocol.items import Item, Lenient
from tau_stage.protocol.usage import WireUsage


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


class StatusDetails(Lenient):
    """Why a response ended as it did."""

    type: str | None = None
    reason: str | None = None
    error: ServerError | None = None


class WireResponse(Lenient):
    """A response as the server tells it; audio bytes are never in it."""

    object: Literal["realtime.response"] = "realtime.response"
    id: str
    status: str
    status_details: StatusDetails | None = None
    output: tuple[Item, ...] = ()
    conversation_id: str | None = None
    output_modalities: tuple[str, ...] = ()
    max_output_tokens: int | str | None = None
    audio: dict[str, Any] | None = None
    usage: WireUsage | None = None
    metadata: dict[str, str] | None = None


class RateLimit(Lenient):
    """What is left of one limit."""

    name: str
    limit: int = 0
    remaining: int = 0
    reset_seconds: float = 0.0
