"""A whole answer: what the model says, the tools that it calls, and what it says to their outputs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import anyio

from tau_stage.errors import UsageError
from tau_stage.protocol.conversation import Ended, Response, Sounded, Worded
from tau_stage.session.retrying import RULES, Tally, trouble_with, wished_wait_s
from tau_stage.session.tools import MOST_ROUNDS, Tool, choice_after, serve

if TYPE_CHECKING:
    from tau_stage.session.session import Session

Comments = Literal["drop", "keep"]
"""Whether what a model says about its work is part of its answer."""


def commentary_of(value: object) -> Comments:
    """Read a wish about commentary.

    Raises:
        UsageError: There is no such wish.
    """
    for known in get_args(Comments):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"commentary cannot be {value!r}", "write 'drop' or 'keep'")


async def stream(
    session: Session, tools: dict[str, Tool], commentary: Comments, max_tries: int, options: dict[str, Any]
) -> AsyncGenerator[Sounded | Worded | Ended, None]:
    """Yield what the model says, while it comes; one ``Ended`` for each response, the last is the answer's.

    Args:
        session: Whose model speaks.
        tools: What is run when it is called, by name.
        commentary: Whether commentary is part of the answer.
        max_tries: How often each response is asked for where it fails for what may pass.
        options: Of the first response.
    """
    turns = 0
    tally, before_s = Tally(), 0.0
    while True:
        speaking = await session.speak(**options)
        async for change in speaking:
            if isinstance(change, Sounded | Worded) and (commentary == "keep" or not change.commentary):
                yield change
        response = await speaking.finished()
        response = response.with_commentary() if commentary == "keep" else response
        response = replace(response, attempts=tally.attempts, compute_s=before_s + (response.compute_s or 0.0))
        wait_s = _wait_s(response, tally) if tally.attempts < max_tries else None
        yield Ended(response.id, response)
        if wait_s is not None:
            await anyio.sleep(wait_s)
            tally.attempts, before_s = tally.attempts + 1, response.compute_s or 0.0
        elif turns < MOST_ROUNDS and await serve(session, tools, response):
            turns += 1
            options, tally, before_s = {"tool_choice": choice_after(turns)}, Tally(), 0.0
        else:
            return


def _wait_s(response: Response, tally: Tally) -> float | None:
    """Return seconds until a response that has failed is asked for again; None where it stands."""
    trouble = trouble_with(response, may_be_empty=True) if response.status == "failed" else None
    if trouble is None or RULES[trouble].stands:
        return None
    return tally.wait_s(trouble, wished_wait_s(response.message))
