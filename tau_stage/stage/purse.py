"""The purse: what a performance may still cost. It is opened before each line and never within one."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tau_stage.cost import price
from tau_stage.errors import BudgetExceeded
from tau_stage.protocol.usage import Usage


class Purse:
    """Counts what was spent and holds a line back that would probably cost too much.

    The next line is taken to cost as much as the dearest so far. On the understudy the same sums are rehearsed.

    Args:
        budget: Dollars; None is no limit.
        tariffs: Model and price list, by player.

    Attributes:
        spent: Dollars so far.
    """

    def __init__(self, budget: Decimal | None, tariffs: Mapping[str, tuple[str, str]]) -> None:
        self._budget = budget
        self._tariffs = tariffs
        self.spent = Decimal(0)
        self._dearest = Decimal(0)

    def pay(self, player: str, usage: Usage, model: str | None = None) -> Decimal:
        """Count a response; one whose price is not known counts as nothing, which the take's cost says.

        Returns:
            Dollars.
        """
        own, prices = self._tariffs[player]
        total = price(usage, model or own, prices).total or Decimal(0)
        self.spent += total
        self._dearest = max(self._dearest, total)
        return total

    def open_for(self, line: str) -> None:
        """Let a line begin.

        Raises:
            BudgetExceeded: It would probably cost more than is left.
        """
        if self._budget is not None and self.spent + self._dearest > self._budget:
            raise BudgetExceeded(self._budget, self.spent, line)
