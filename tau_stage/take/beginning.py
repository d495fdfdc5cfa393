"""What a take is a take of: how it began, what has changed each time it was resumed, and whether it was delivered."""

from __future__ import annotations

from collections.abc import Sequence

from tau_stage.errors import TakeError
from tau_stage.take.records import Record, TakeBegan, TakeDelivered, TakeEnded, TakePicked, TakeResumed


def beginning(journal: Sequence[Record]) -> TakeBegan:
    """Return the beginning of a take, with what holds since it was resumed last.

    Raises:
        TakeError: The journal has no beginning.
    """
    began = next((fact for fact in journal if isinstance(fact, TakeBegan)), None)
    if began is None:
        raise TakeError("journal", "the journal has no beginning", "the take was stopped before it began")
    for fact in journal:
        if isinstance(fact, TakeResumed):
            now = {name: getattr(fact, name) for name in ("sha256", "deliver", "budget", "roles")}
            spent, plan = began.spent or fact.spent, fact.resolved or began.resolved
            began = began.model_copy(update={**now, "spent": spent, "resolved": plan})
    return began


def delivery(journal: Sequence[Record]) -> TakeDelivered | None:
    """Tell how a take was delivered, as it ended or was picked last; None where that is still to be done."""
    last = (
        fact for fact in reversed(journal) if isinstance(fact, TakeDelivered | TakeEnded | TakeResumed | TakePicked)
    )
    return fact if isinstance(fact := next(last, None), TakeDelivered) else None
