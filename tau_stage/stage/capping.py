"""Answers at an open microphone cost no more than what is left of the budget."""

from __future__ import annotations

from tau_stage.scene.plan import LinePlan, PlayerPlan
from tau_stage.session import Session
from tau_stage.stage.exchange import Crew


class Cap:
    """The most tokens that a player's next answer may have, as its session is told.

    Args:
        player: Who answers.
        session: The player's.
        crew: Knows what is left.
    """

    def __init__(self, player: PlayerPlan, session: Session, crew: Crew) -> None:
        self._own = player.max_output_tokens
        self._session = session
        self._crew = crew
        self._is_on = False

    async def put_on(self, line: LinePlan) -> None:
        """Put the cap on before the next answer.

        Args:
            line: It.

        Raises:
            BudgetExceeded: There is not enough left for one.
        """
        most = self._crew.afford(line)
        if most is not None:
            self._is_on = True
            await self._session.update(max_output_tokens=min(most, self._own or most))

    @property
    def off(self) -> dict[str, int | str]:
        """What takes it off, as settings of the session; nothing, where none was put on."""
        return {"max_output_tokens": self._own or "inf"} if self._is_on else {}
