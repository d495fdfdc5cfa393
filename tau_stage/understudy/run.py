"""A response under way: what was asked, and how the wire tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from tau_stage.audio import Format
from tau_stage.protocol import Item, JsonObject, ResponseConfig, StatusDetails, WireResponse
from tau_stage.understudy.settings import Settings, format_of, voice_name
from tau_stage.understudy.stored_items import StoredItem


@dataclass(slots=True)
class ResponseRun:
    """A response under way.

    Attributes:
        item_id: Id of the message it makes.
        settings: The session's when it was asked, with the response's own.
        conversational: Whether it is part of the conversation.
        stopped: Why it must end early, once it must.
        over: Set when it has ended.
        halted: Set when it must end early.
    """

    id: str
    item_id: str
    wanted: ResponseConfig
    settings: Settings
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
    def max_tokens(self) -> int | str:
        """Its cap, or ``inf``."""
        cap: int | str = self.settings["max_output_tokens"]
        return cap

    @property
    def form(self) -> Format:
        """How its sound travels."""
        return format_of(self.settings, "output")

    @property
    def voice(self) -> str:
        """Who speaks."""
        return voice_name(self.settings["audio"]["output"]["voice"])

    def as_event(
        self,
        status: str,
        *,
        details: StatusDetails | None = None,
        output: tuple[Item, ...] = (),
        spent: JsonObject | None = None,
    ) -> WireResponse:
        """Write the response as the wire has it."""
        return WireResponse(
            object="realtime.response",
            id=self.id,
            status=status,
            status_details=details,
            output=output,
            conversation_id="conv_1" if self.conversational else None,
            output_modalities=tuple(self.settings["output_modalities"]),
            max_output_tokens=self.max_tokens,
            audio={"output": {"format": self.form.told, "voice": self.voice}},
            usage=spent,
            metadata=self.wanted.metadata,
        )
