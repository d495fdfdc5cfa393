"""What was expected of a take, as ``checks.json`` tells it, for the page."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from tau_stage.errors import TakeError
from tau_stage.take.folder import CHECKS


class Check(BaseModel):
    """What one expectation came to."""

    model_config = ConfigDict(frozen=True)

    path: str
    line: int
    column: int
    of: str
    what: str
    expected: str
    measured: str
    outcome: str


class _Checks(BaseModel):
    verdicts: tuple[Check, ...]


def read_checks(text: str | bytes, path: str = CHECKS) -> Sequence[Check]:
    """Return the expectations of a take.

    Raises:
        TakeError: The text is none of ours.
    """
    try:
        return _Checks.model_validate_json(text).verdicts
    except ValidationError as error:
        remedy = "remove it; it is written with every run"
        raise TakeError(path, f"is broken: {error.errors()[0]['msg']}", remedy) from None
