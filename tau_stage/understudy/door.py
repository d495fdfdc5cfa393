"""The stage door: who is let in, who is refused at the upgrade, and who is told no once inside."""

from __future__ import annotations

from dataclasses import dataclass

from tau_stage.protocol.bodies import ServerError
from tau_stage.transport import Handshake
from tau_stage.understudy.beta import is_asked_for

AZURE_PATHS = frozenset({"/openai/v1/realtime", "/openai/realtime", "/voice-live/realtime"})
PATHS = AZURE_PATHS | {"/v1/realtime"}
MODELS = (
    "gpt-realtime",
    "gpt-realtime-mini",
    "gpt-realtime-1.5",
    "gpt-realtime-2",
    "gpt-realtime-2.1",
    "gpt-realtime-2.1-mini",
    "gpt-4o-realtime-preview",
    "gpt-4o-mini-realtime-preview",
)
"""Models the understudy stands in for, with any date behind them."""

KEY_PROTOCOL = "openai-insecure-api-key."


@dataclass(frozen=True, slots=True)
class No:
    """A refusal inside an open connection: an error, then a close whose reason is ``<type>.<code>``."""

    error: ServerError
    close_code: int

    @property
    def reason(self) -> str:
        """The close frame's reason."""
        return f"{self.error.type}.{self.error.code}"


def objection(handshake: Handshake, key: str | None, *, refuses_beta: bool = False) -> No | None:
    """Why a client that got through the upgrade cannot stay, if it cannot.

    Args:
        handshake: What it asked for.
        key: The key it must bring; None takes any, or none.
        refuses_beta: Whether clients of the beta must go.
    """
    if key is not None and _brought(handshake) != key:
        return _no("invalid_api_key", 3000, "Incorrect API key provided.")
    if refuses_beta and is_asked_for(handshake):
        message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
        return _no("beta_api_shape_disabled", 4000, message)
    model = handshake.query.get("model") or handshake.query.get("deployment")
    if not model:
        return _no("missing_model", 4000, "You must provide a model parameter.", "model")
    if handshake.path in AZURE_PATHS:
        return None  # a deployment has any name
    if not any(model == known or model.startswith(f"{known}-20") for known in MODELS):
        return _no("invalid_model", 4000, f"Model '{model}' is not supported in realtime mode.", "model")
    return None


def _no(code: str, close_code: int, message: str, param: str | None = None) -> No:
    return No(ServerError(type="invalid_request_error", code=code, message=message, param=param), close_code)


def _brought(handshake: Handshake) -> str | None:
    offered = next((name for name in handshake.subprotocols if name.startswith(KEY_PROTOCOL)), "")
    bearer = handshake.headers.get("authorization", "")
    return (
        bearer.removeprefix("Bearer ") or handshake.headers.get("api-key") or offered.removeprefix(KEY_PROTOCOL) or None
    )
