"""Where one line cuts into another, as the plan has it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cut:
    """Where another line cuts into this one.

    Attributes:
        by: That line's id.
        after_s: How much of this one is heard when it begins.
        overlap_s: How long both are heard.
    """

    by: str
    after_s: float
    overlap_s: float

    @property
    def heard_s(self) -> float:
        """How much is heard in all."""
        return self.after_s + self.overlap_s
