"""The conversation as a client sees it: a plain object fed with server events. The only place its state moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pybase64

from tau_stage.audio.pcm import RATE, Pcm
from tau_stage.errors import ProtocolError
from tau_stage.protocol import bodies
from tau_stage.protocol import server_events as told
from tau_stage.protocol.items import Item
from tau_stage.protocol.usage import Usage

Status = Literal["completed", "cancelled", "incomplete", "failed"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants run; ``arguments`` is its JSON, as the model wrote it."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Response:
    """One finished response.

    Attributes:
        id: The server's id.
        status: How it ended.
        reason: Why, where it did not complete: a reason (``max_output_tokens``, ``client_cancelled``) or an error code.
        message: The server's own words on a failure.
        transcript: The words spoken.
        text: The words written.
        audio: The sound, whole.
        calls: Tools the model wants run.
        item_ids: The items it added to the conversation.
        usage: Tokens; all zero where the server told none.
        metadata: As given with the request.
        first_audio_s: Seconds from the request to the first sound; None where there was none or nobody asked.
    """

    id: str
    status: Status
    reason: str | None = None
    message: str = ""
    transcript: str = ""
    text: str = ""
    audio: Pcm = field(default_factory=Pcm)
    calls: tuple[ToolCall, ...] = ()
    item_ids: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    metadata: Mapping[str, str] = field(default_factory=dict)
    first_audio_s: float | None = None


@dataclass(frozen=True, slots=True)
class Began:
    """A response began."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Sounded:
    """A response grew by some sound: whole samples only."""

    response_id: str
    item_id: str
    audio: Pcm


@dataclass(frozen=True, slots=True)
class Worded:
    """A response grew by some words: of what is spoken, or of written text."""

    response_id: str
    item_id: str
    words: str
    spoken: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A response ended."""

    response_id: str
    response: Response


Change = Began | Sounded | Worded | Ended


@dataclass(slots=True)
class Growing:
    """A response that is still coming in. Sound is a bytearray, so that it grows in linear time."""

    sound: bytearray = field(default_factory=bytearray)
    given: int = 0
    spoken: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def grow(self, delta: str) -> bytes:
        """Add one delta, decoded on its own, and give back the whole samples not given before.

        Raises:
            ProtocolError: The delta is not base64.
        """
        try:
            self.sound += pybase64.b64decode(delta, validate=True)
        except ValueError as error:
            raise ProtocolError("theirs", f"an audio delta of {len(delta)} characters is not base64") from error
        start, self.given = self.given, len(self.sound) // 2 * 2
        return bytes(memoryview(self.sound)[start : self.given])


class Conversation:
    """Items, responses and usage of one session, as the server told them.

    Attributes:
        items: By id, in the order of the conversation.
        usage: Sum over all responses, each counted once.
        unknown: How often each event type came that this version does not know.
    """

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.usage = Usage()
        self.unknown: Counter[str] = Counter()
        self._growing: dict[str, Growing] = {}
        self._finished: set[str] = set()

    @property
    def active(self) -> tuple[str, ...]:
        """Ids of the responses that are still coming in."""
        return tuple(self._growing)

    def apply(self, event: told.ServerEvent) -> Change | None:
        """Take in one event and say what changed for a listener, if anything.

        Raises:
            ProtocolError: The event cannot be what a server means.
        """
        if getattr(event, "response_id", None) in self._finished:
            return None
        match event:
            case told.AudioDelta():
                samples = self._response(event.response_id).grow(event.delta)
                return Sounded(event.response_id, event.item_id, Pcm(samples, RATE)) if samples else None
            case told.TranscriptDelta():
                self._response(event.response_id).spoken.append(event.delta)
                return Worded(event.response_id, event.item_id, event.delta, spoken=True)
            case told.TextDelta():
                self._response(event.response_id).written.append(event.delta)
                return Worded(event.response_id, event.item_id, event.delta, spoken=False)
            case told.ResponseCreated():
                self._response(event.response.id)
                return Began(event.response.id)
            case told.ResponseDone():
                return self._end(event.response)
            case told.UnknownEvent():
                self.unknown[event.type] += 1
            case told.ConversationItemAdded() | told.ConversationItemDone() | told.ConversationItemCreated():
                self._place(event.item, event.previous_item_id)
            case told.ConversationItemTruncated():
                self._truncate(event.item_id)
            case told.ConversationItemDeleted():
                self.items.pop(event.item_id, None)
            case _:
                pass
        return None

    def _response(self, response_id: str) -> Growing:
        return self._growing.setdefault(response_id, Growing())

    def _place(self, item: Item, previous_item_id: str | None) -> None:
        if item.id in self.items or previous_item_id not in self.items:
            self.items[item.id] = item
            return
        before = list(self.items.items())
        at = next(number for number, (key, _) in enumerate(before, 1) if key == previous_item_id)
        self.items = dict([*before[:at], (item.id, item), *before[at:]])

    def _truncate(self, item_id: str) -> None:
        if item := self.items.get(item_id):
            parts = tuple(part.model_copy(update={"transcript": None}) for part in item.content or ())
            self.items[item_id] = item.model_copy(update={"content": parts})

    def _end(self, response: bodies.WireResponse) -> Ended | None:
        if response.id in self._finished:
            return None
        self._finished.add(response.id)
        growing = self._growing.pop(response.id, None) or Growing()
        usage = Usage.from_wire(response.usage) if response.usage else Usage()
        self.usage += usage
        details = response.status_details
        error = details.error if details else None
        return Ended(
            response.id,
            Response(
                id=response.id,
                status=_status(response.status),
                reason=(error.code or error.type) if error else details.reason if details else None,
                message=error.message if error else "",
                transcript="".join(growing.spoken) or _said(response.output),
                text="".join(growing.written) or _written(response.output),
                audio=Pcm(bytes(memoryview(growing.sound)[: growing.given]), RATE),
                calls=tuple(
                    ToolCall(item.call_id or "", item.name or "", item.arguments or "")
                    for item in response.output
                    if item.type == "function_call"
                ),
                item_ids=tuple(item.id for item in response.output),
                usage=usage,
                metadata=response.metadata or {},
            ),
        )


def _status(told_status: str) -> Status:
    for known in ("completed", "cancelled", "incomplete", "failed"):
        if told_status == known:
            return known
    raise ProtocolError("theirs", f"a response ended with the unknown status {told_status!r}")


def _said(output: tuple[Item, ...]) -> str:
    return "".join(part.transcript or "" for item in output for part in item.content or ())


def _written(output: tuple[Item, ...]) -> str:
    return "".join(part.text or "" for item in output for part in item.content or ())
