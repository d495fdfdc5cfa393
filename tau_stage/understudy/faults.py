"""Faults on order: what a provider does on a bad day, so that a client can be tried against it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, cast, get_args

from tau_stage.errors import UsageError
from tau_stage.protocol import ServerError
from tau_stage.scene import did_you_mean


@dataclass(frozen=True, slots=True)
class BusyDoor:
    """The next openings are refused at the upgrade with HTTP 429; ``retry_after_s`` of None leaves the header out."""

    times: int = 1
    retry_after_s: float | None = 1.0


@dataclass(frozen=True, slots=True)
class RefuseInBand:
    """Openings are taken, told an error (``insufficient_quota``, ``session_expired``...), and closed."""

    code: str
    close_code: int
    type: str = "invalid_request_error"
    message: str = "The session is refused."
    param: str | None = None

    @property
    def error(self) -> ServerError:
        """What is told before the close."""
        return ServerError(type=self.type, code=self.code, message=self.message, param=self.param)

    @property
    def reason(self) -> str:
        """The close frame's reason."""
        return f"{self.type}.{self.code}"


@dataclass(frozen=True, slots=True)
class FailResponses:
    """The next responses, over all connections, end ``failed``, without a word."""

    times: int = 1
    code: str = "rate_limit_exceeded"
    message: str = "Rate limit reached. Please try again in 0.2s."


@dataclass(frozen=True, slots=True)
class BreakOff:
    """The next responses, over all connections, end ``incomplete`` when half of their sound was sent."""

    times: int = 1
    reason: str = "content_filter"


@dataclass(frozen=True, slots=True)
class EmptyResponses:
    """The next responses, over all connections, are completed, and hold nothing."""

    times: int = 1


@dataclass(frozen=True, slots=True)
class RewordLines:
    """The next lines that are asked for, over all connections, are said with other words."""

    times: int = 1


What = Literal["drop", "close", "stall", "malformed", "stray", "refuse", "silence"]
Where = Literal["opening", "update", "item", "hearing", "append", "response", "in_response", "after_response"]


@dataclass(frozen=True, slots=True)
class Strike:
    """Something goes wrong at one place of a connection.

    Attributes:
        what: The connection is cut (``drop``), closed after an error (``close``), neither read nor answered any more
            (``stall``); a frame that is no JSON comes (``malformed``), or an error that belongs to no request
            (``stray``); the event is refused (``refuse``) or never answered (``silence``).
        where: Before ``session.created``; at ``session.update``; at an item of words or of sound; at a piece of
            sound for the input buffer; before, within (after the first sound) or after a response.
        visit: Which connection, from 1, in the order of opening; None is any.
    """

    what: What
    where: Where
    visit: int | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class SlowHandshake:
    """The websocket upgrade is answered late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SlowOpening:
    """``session.created`` comes late."""

    seconds: float


class Oddity(Enum):
    """How a server is odd throughout."""

    DELTAS = "audio deltas end in the middle of samples"
    FIELDS = "events contain fields and types that are unknown to clients"
    REPEATS = "every event is sent twice, with the same id"
    NO_IDS = "events have no ids, and responses do not echo metadata, as on minimal servers"


Passing = FailResponses | BreakOff | EmptyResponses | RewordLines
Fault = BusyDoor | RefuseInBand | Passing | Strike | SlowHandshake | SlowOpening | Oddity

PLAIN: dict[str, Fault] = {
    "busy": BusyDoor(),
    "quota": RefuseInBand("insufficient_quota", 1013, type="insufficient_quota", message="You exceeded your quota."),
    "fail": FailResponses(),
    "filter": BreakOff(),
    "empty": EmptyResponses(),
    "reworded": RewordLines(),
    "slow": SlowOpening(5.0),
    "slow-handshake": SlowHandshake(5.0),
    "odd": Oddity.DELTAS,
    "obfuscate": Oddity.FIELDS,
    "repeat": Oddity.REPEATS,
    "no-ids": Oddity.NO_IDS,
}
"""Faults that a word orders."""


def parse_fault(order: str) -> Fault:
    """Parse a fault from a command line: a word of ``PLAIN``, or what strikes where, perhaps on one connection only.

    >>> parse_fault("busy"), parse_fault("drop@in_response#2")
    (BusyDoor(times=1, retry_after_s=1.0), Strike(what='drop', where='in_response', visit=2, times=1))
    """
    if order in PLAIN:
        return PLAIN[order]
    what, _, place = order.partition("@")
    where, _, visit = place.partition("#")
    if what not in get_args(What) or where not in get_args(Where):
        parts = f"WHAT is one of {', '.join(get_args(What))}, and WHERE is one of {', '.join(get_args(Where))}"
        known = f"{', '.join(PLAIN)}, or WHAT@WHERE, where {parts}"
        strikes = (f"{each}@{place}" for each in get_args(What) for place in get_args(Where))
        hint = did_you_mean(order, [*PLAIN, *strikes], f"use {known}, for example drop@in_response or stall@hearing#2")
        raise UsageError(f"unknown fault {order!r}", hint)
    if visit and not (visit.isdecimal() and visit.isascii() and int(visit)):
        raise UsageError(
            f"--fault {order}: {visit!r} is not a valid connection number",
            f"connections are numbered from 1: {what}@{where}#1",
        )
    return Strike(cast("What", what), cast("Where", where), int(visit) if visit else None)
