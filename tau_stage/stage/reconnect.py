"""Reopen the session of a lost player and tell it what was said; or go on without it, or stop."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup, TaskStatus

from tau_stage.errors import SessionClosed, SessionError, Timeout
from tau_stage.scene import LinePlan
from tau_stage.session import Session, Tally, Trouble, loss_trouble
from tau_stage.stage.production import Production
from tau_stage.stage.sessions import Participants
from tau_stage.take import records as record


class Reconnector:
    """Knows who is there, and brings back who is not at its next line; what is opened again lives in ``group``."""

    def __init__(self, participants: Participants, production: Production, group: TaskGroup) -> None:
        self._plan = production.plan
        self._participants = participants
        self._production = production
        self._group = group
        self._tallies: dict[str, Tally] = {}

    async def session(self, player: str, line: str) -> Session:
        """Return a player's session, open; open one again that was lost, if the scene has it so.

        A ``SessionError`` says that the player is lost, a ``TakeError`` that what was said is not on the disk any more.
        """
        session = self._participants.sessions[player]
        why = self._production.presence.lost.get(player) or session.wire.closed
        if why is None:
            return session
        self._production.presence.mark_lost(player, why)
        tally, may_reopen = self._tallies.setdefault(player, Tally()), self._plan.on_lost_player == "reopen"
        while may_reopen and (wait_s := tally.wait_s("lost")) is not None:
            await self._participants.sessions[player].close()
            await anyio.sleep(wait_s)
            try:
                return await self._one_more(player)
            except (SessionClosed, Timeout) as error:
                why = error
        raise replace(why, player=player, line=line)

    def retry_after(self, line: LinePlan, why: SessionClosed | Timeout, tally: Tally) -> tuple[Trouble, float]:
        """Tell after how many seconds a line is asked for once more whose player was lost in it, and the trouble.

        Raises:
            SessionError: It is not; a line that has called tools is not begun anew, as they would be called twice.
        """
        trouble = loss_trouble(why)
        self._production.presence.mark_lost(line.player, why)
        may_reopen = self._plan.on_lost_player == "reopen" and line.id not in self._production.calling
        wait_s = tally.wait_s(trouble) if may_reopen else None
        if wait_s is None:
            raise why
        return trouble, wait_s

    async def _one_more(self, player: str) -> Session:
        """Open a session, and tell it everything so far, what is said meanwhile too; then it takes its place."""
        production, participants = self._production, self._participants
        session: Session = await self._group.start(self._keep, player)
        try:
            heard = await participants.restore(session, production.history)
        except SessionError:
            await session.close()
            raise
        participants.sessions[player] = session
        production.presence.fan_out.listeners[player].open_again(session)
        text = f"player {player} was reconnected; its conversation was restored, including the lines that it missed"
        production.log.append(record.Warned(player=player, text=text))
        production.presence.mark_reconnected(player, heard)
        return session

    async def _keep(self, player: str, *, task_status: TaskStatus[Session]) -> None:
        """Keep one session that was opened again, until it ends or the performance does."""
        async with AsyncExitStack() as opened:
            session = await self._participants.open(player, opened)
            task_status.started(session)
            await session.wire.over.wait()
