"""A response under way: what was asked, and how the wire tells of it."""

from __future__ import annotations

from dataclasses import dataclass

from tau_stage.protocol import bodies
from tau_stage.protocol.config import ResponseConfig
from tau_stage.protocol.items import Item
from tau_stage.protocol.usage import WireUsage
from tau_stage.understudy.memory import Remembered
from tau_stage.understudy.settings import PCM, Settings


@dataclass(slots=True)
class Run:
    """A response under way.

    Attributes:
        id: Its id.
        item_id: Id of the message it makes.
        wanted: What was asked.
        session: The session when it was asked.
        voice: Who speaks.
        conversational: Whether it is part of the conversation.
        read: What it reads.
        stopped: Why it must end early, once it must.
    """

    id: str
    item_id: str
    wanted: ResponseConfig
    session: Settings
    voice: str
    conversational: bool
    read: tuple[Remembered, ...]
    stopped: str | None = None

    @property
    def instructions(self) -> str:
        """The response's own, else the session's."""
        own = self.wanted.instructions
        return str(self.session["instructions"]) if own is None else own

    @property
    def modalities(self) -> tuple[str, ...]:
        """The response's own, else the session's."""
        return self.wanted.output_modalities or tuple(self.session["output_modalities"])

    @property
    def max_tokens(self) -> int | str:
        """The response's own cap, else the session's."""
        return self.wanted.max_output_tokens or self.session["max_output_tokens"]

    def told(
        self,
        status: str,
        *,
        details: bodies.StatusDetails | None = None,
        output: tuple[Item, ...] = (),
        spent: WireUsage | None = None,
    ) -> bodies.WireResponse:
        """The response as the wire tells it."""
        return bodies.WireResponse(
            object="realtime.response",
            id=self.id,
            status=status,
            status_details=details,
            output=output,
            conversation_id="conv_1" if self.conversational else None,
            output_modalities=self.modalities,
            max_output_tokens=self.max_tokens,
            audio={"output": {"format": PCM, "voice": self.voice}},
            usage=spent,
            metadata=self.wanted.metadata,
        )
