"""A response under way: what was asked, and how the wire tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio

from tau_stage.audio import Format
from tau_stage.protocol import Item, JsonObject, ResponseConfig, StatusDetails, WireResponse, WireUsage
from tau_stage.understudy.settings import Settings, format_of
from tau_stage.understudy.stored_items import StoredItem


@dataclass(slots=True)
class ResponseRun:
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
        over: Set when it has ended.
        halted: Set when it must end early.
    """

    id: str
    item_id: str
    wanted: ResponseConfig
    session: Settings
    voice: str
    conversational: bool
    read: tuple[StoredItem, ...]
    stopped: str | None = None
    over: anyio.Event = field(default_factory=anyio.Event)
    halted: anyio.Event = field(default_factory=anyio.Event)

    def stop(self, why: str) -> None:
        """End it early."""
        self.stopped = why
        self.halted.set()

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

    @property
    def form(self) -> Format:
        """How its sound travels: the response's own format, else the session's."""
        own = self.wanted.audio and self.wanted.audio.output and self.wanted.audio.output.format
        return Format(own.type, getattr(own, "rate", 8_000)) if own else format_of(self.session, "output")

    @property
    def tools(self) -> list[JsonObject]:
        """The response's own, else the session's."""
        own = self.wanted.tools
        return self.session["tools"] if own is None else [tool.model_dump(exclude_unset=True) for tool in own]

    @property
    def tool_choice(self) -> Any:
        """The response's own, else the session's."""
        own = self.wanted.tool_choice
        return self.session["tool_choice"] if own is None else own if isinstance(own, str) else own.model_dump()

    def as_event(
        self,
        status: str,
        *,
        details: StatusDetails | None = None,
        output: tuple[Item, ...] = (),
        spent: WireUsage | None = None,
    ) -> WireResponse:
        """Write the response as the wire has it."""
        return WireResponse(
            object="realtime.response",
            id=self.id,
            status=status,
            status_details=details,
            output=output,
            conversation_id="conv_1" if self.conversational else None,
            output_modalities=self.modalities,
            max_output_tokens=self.max_tokens,
            audio={"output": {"format": self.form.told, "voice": self.voice}},
            usage=spent,
            metadata=self.wanted.metadata,
        )
