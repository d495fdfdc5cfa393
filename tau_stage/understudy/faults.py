"""Faults on order: what a provider does on a bad day, so that a client can be tried against it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BusyDoor:
    """The next openings are refused at the upgrade with HTTP 429.

    Attributes:
        times: How many.
        retry_after_s: What ``Retry-After`` says; None leaves it out.
    """

    times: int = 1
    retry_after_s: float | None = 1.0


@dataclass(frozen=True, slots=True)
class RefuseInBand:
    """Openings are taken, told an error, and closed.

    Attributes:
        code: ``insufficient_quota``, ``session_expired``, ...
        close_code: That follows.
        type: The error's type.
        message: The error's sentence.
    """

    code: str
    close_code: int
    type: str = "invalid_request_error"
    message: str = ""


@dataclass(frozen=True, slots=True)
class FailResponses:
    """The next responses end ``failed``, without a word.

    Attributes:
        times: How many, over all connections.
        code: Why.
        message: The error's sentence.
    """

    times: int = 1
    code: str = "rate_limit_exceeded"
    message: str = "Rate limit reached. Please try again in 0.2s."


@dataclass(frozen=True, slots=True)
class StopReading:
    """A connection is not read any more once it has created this many items.

    Attributes:
        visit: Which connection, from 1, in the order of opening.
        after_items: How many it may create.
    """

    visit: int
    after_items: int = 0


@dataclass(frozen=True, slots=True)
class DropInResponse:
    """A connection is cut in the middle of a response.

    Attributes:
        visit: Which connection, from 1.
        after_deltas: Audio deltas sent before the cut.
    """

    visit: int
    after_deltas: int = 1


@dataclass(frozen=True, slots=True)
class OddDeltas:
    """Audio deltas end in the middle of samples."""


@dataclass(frozen=True, slots=True)
class Obfuscation:
    """Events carry fields and types that no client knows."""


Fault = BusyDoor | RefuseInBand | FailResponses | StopReading | DropInResponse | OddDeltas | Obfuscation
