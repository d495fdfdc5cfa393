"""What is tried again, how often, after how long, and at what cost: one table, in ``retrying.toml``.

Pure: it neither waits nor asks.
A line's further attempts must fit into what is left of its budget, whatever stands here.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from tau_stage.audio import is_audible
from tau_stage.errors import ConnectFailed, SessionClosed, SessionError, Timeout
from tau_stage.protocol import Response

OpeningTrouble = Literal["busy", "unwell", "cut short", "unanswered"]
ErrorTrouble = Literal["rate limit", "server error", "still speaking", "damaged", "no voice", "refused"]
AnswerTrouble = Literal["content filter", "incomplete", "truncated", "empty", "in writing", "inaudible"]
LossTrouble = Literal["dropped", "silent", "lost"]
Trouble = OpeningTrouble | ErrorTrouble | AnswerTrouble | LossTrouble
"""What goes wrong: with an opening, by an error's code, with an answer, in a line or with a whole player (``lost``)."""

Cost = Literal["nothing", "as reported", "as forecast"]
"""What a failed attempt costs: nothing, the usage that it reports or, if none is reported, the forecast."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done about one trouble.

    Attributes:
        attempts: How often it is tried in all, the first time included.
        first_wait_s: Wait before the second attempt; it doubles.
        longest_wait_s: Longest wait between two attempts; a provider that asks for more is not waited for.
        costs: What an attempt that failed so has cost.
        stands: Whether what there is of the response is the line when no attempt is left, and the scene goes on; a line
            that has no sound then has failed. Else the line cannot be had.
    """

    attempts: int
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0
    costs: Cost = "nothing"
    stands: bool = False


_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
RULES = TypeAdapter(dict[Trouble, Rule]).validate_python(_TABLES["rules"])
CODES: dict[str, Trouble] = {code: trouble for trouble, codes in _TABLES["codes"].items() for code in codes.split()}
"""Error codes that may pass, in snake case; ``code_name`` brings other spellings to it."""

INCOMPLETE: Mapping[str, Trouble] = {"content_filter": "content filter", "max_output_tokens": "truncated"}
PASSING_STATUS: Mapping[int, Trouble] = {429: "busy", 500: "unwell", 502: "unwell", 503: "unwell", 504: "unwell"}
QUOTA_SPENT = 1013
PASSING_CLOSE = frozenset({1001, 1006, 1011, 1012})
"""Close codes at an opening that may pass: going away, lost, internal error, restart. A spent quota (1013), a bad key
and an unknown model never do."""

SPENT_QUOTA = re.compile(
    r"insufficient[ _-]?quota|exceeded your current quota|check your plan and billing", re.IGNORECASE
)
"""What providers say of a quota that is spent; some say it with the code of a rate limit."""

_PART = r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])"
TRY_AGAIN = re.compile(rf"(?:try again|retry|wait)(?: in| after| for)?:? ((?:{_PART}[\s,]*(?:and )?)+)", re.IGNORECASE)
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Tally:
    """Counts what went wrong with one thing: an opening, a line, or a player.

    Attributes:
        attempts: How often it was tried, the one under way included; whoever tries again counts.

    >>> tally = Tally()
    >>> [tally.wait_s("server error") for _ in range(3)]
    [0.5, 1.0, None]
    """

    def __init__(self, rules: Mapping[Trouble, Rule] = RULES) -> None:
        self._rules = rules
        self._seen: Counter[Trouble | None] = Counter()
        self.attempts = 1

    def wait_s(self, trouble: Trouble | None, wished_s: float | None = None) -> float | None:
        """Return seconds until it is tried once more, at least those that a provider wishes; None where it is not."""
        rule = self._rules[trouble or "refused"]
        self._seen[trouble] += 1
        if self._seen[trouble] >= rule.attempts or (wished_s or 0.0) > rule.longest_wait_s:
            return None
        doubled = rule.first_wait_s * 2 ** (self._seen[trouble] - 1)
        return min(doubled, rule.longest_wait_s) if wished_s is None else wished_s


def opening_trouble(error: SessionError) -> Trouble | None:
    """Say what is wrong with a session that would not open; None where it never will.

    >>> opening_trouble(ConnectFailed(reason="slow down", status=429))
    'busy'
    >>> opening_trouble(ConnectFailed(reason="wrong key", code="invalid_api_key", close_code=3000))
    """
    match error:
        case Timeout():
            return "unanswered"
        case ConnectFailed(reason=reason) if SPENT_QUOTA.search(reason):
            return None
        case ConnectFailed(status=int(status)):
            return PASSING_STATUS.get(status)
        case ConnectFailed(code=None, close_code=int(code)) if code in PASSING_CLOSE:
            return "cut short"
        case ConnectFailed(code=str(code), close_code=closed) if closed != QUOTA_SPENT:
            at_opening: Mapping[Trouble, Trouble] = {"rate limit": "busy", "server error": "cut short"}
            return at_opening.get(CODES.get(code_name(code), "refused"))
        case _:
            return None


def trouble_with(response: Response, *, may_be_empty: bool = False, sounds: bool = False) -> Trouble | None:
    """Say what is wrong with a response; None if nothing is.

    Args:
        response: Finished.
        may_be_empty: Whether nothing is an answer, as in an improvisation.
        sounds: Whether it must have a sound.

    >>> trouble_with(Response("r", "incomplete", "content_filter"))
    'content filter'
    >>> trouble_with(Response("r", "completed", text="Hello."), sounds=True)
    'in writing'
    """
    reason = response.reason or ""
    if response.status == "failed":
        return "refused" if SPENT_QUOTA.search(response.message) else CODES.get(code_name(reason), "refused")
    if response.status == "incomplete":
        return INCOMPLETE.get(reason, "incomplete")
    if may_be_empty or response.calls:
        return None
    if sounds:
        return silence_of(response)
    return "empty" if response.status == "completed" and not (response.audio or response.text) else None


def silence_of(response: Response) -> Trouble | None:
    """Tell why nothing of a response can be heard; None if something can.

    >>> silence_of(Response("r", "completed", transcript="Hello."))
    'inaudible'
    """
    if is_audible(response.audio):
        return None
    if response.text:
        return "in writing"
    return "inaudible" if response.audio or response.transcript else "empty"


def loss_trouble(error: SessionClosed | Timeout) -> Trouble:
    """Tell how a player was lost: its connection was cut, or it fell silent."""
    return "dropped" if isinstance(error, SessionClosed) else "silent"


def code_name(code: str | int) -> str:
    """Return an error code in the one spelling of ``CODES``.

    >>> [code_name(code) for code in ("RateLimitReached", "TOO_MANY_REQUESTS", "Throttling.RateQuota", "429", 429)]
    ['rate_limit_reached', 'too_many_requests', 'throttling_rate_quota', '429', '429']
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(code).strip())
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def wished_wait_s(message: str) -> float | None:
    """Return the wait a provider asks for in its sentence; on a socket there is no header for it.

    >>> wished_wait_s("Please try again in 200ms."), wished_wait_s("Please try again in 1m2.5s."), wished_wait_s("No.")
    (0.2, 62.5, None)
    >>> wished_wait_s("... of your current S0 pricing tier. Please retry after 9 seconds. Please go here: ...")
    9.0
    """
    found = TRY_AGAIN.search(message)
    if found is None:
        return None
    units = ((float(number), unit) for number, unit in re.findall(_PART, found[1].lower()))
    return sum(n * (0.001 if unit.startswith(("ms", "milli")) else UNITS[unit[0]]) for n, unit in units)
