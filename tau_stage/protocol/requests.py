"""Which answer belongs to which request: by event id, item id, metadata, or the order the protocol promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from tau_stage.protocol import client_events as ask
from tau_stage.protocol import server_events as told

EVENT_KEY = "tau_event"
"""Metadata key that ties a response to the ``response.create`` that asked for it."""


@dataclass(frozen=True, slots=True)
class Request:
    """Something asked that will be answered.

    Attributes:
        event_id: Ours; an error names it.
        answer: Type of the event that answers it.
        item_id: Item the answer must name, if it is about one.
    """

    event_id: str
    answer: str
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request: an event of the asked type, or the server's error."""

    request: Request
    event: told.ServerEvent


def request_of(event: ask.ClientEvent) -> Request | None:
    """The request in a client event; None where the protocol answers nothing.

    Raises:
        ValueError: The event has no id, so no error could ever name it.
    """
    if event.event_id is None:
        raise ValueError(f"{event.type} was made without an event_id")
    match event:
        case ask.SessionUpdate():
            return Request(event.event_id, "session.updated")
        case ask.ConversationItemCreate():
            return Request(event.event_id, "conversation.item.added", event.item.id)
        case ask.ConversationItemRetrieve():
            return Request(event.event_id, "conversation.item.retrieved", event.item_id)
        case ask.ConversationItemTruncate():
            return Request(event.event_id, "conversation.item.truncated", event.item_id)
        case ask.ConversationItemDelete():
            return Request(event.event_id, "conversation.item.deleted", event.item_id)
        case ask.InputAudioBufferCommit():
            return Request(event.event_id, "input_audio_buffer.committed")
        case ask.InputAudioBufferClear():
            return Request(event.event_id, "input_audio_buffer.cleared")
        case ask.ResponseCreate():
            return Request(event.event_id, "response.created")
        case ask.ResponseCancel() | ask.InputAudioBufferAppend():
            return None
        case _:
            assert_never(event)


class Requests:
    """The requests of one session that are still unanswered, oldest first.

    >>> asked = Requests()
    >>> asked.add(Request("evt_1", "conversation.item.deleted", "item_1"))
    >>> answer = asked.answered_by(told.ConversationItemDeleted(item_id="item_1"))
    >>> answer.request.event_id, len(asked)
    ('evt_1', 0)
    """

    def __init__(self) -> None:
        self._open: dict[str, Request] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, request: Request) -> None:
        """Wait for a request's answer."""
        self._open[request.event_id] = request

    def forget(self, request: Request) -> None:
        """Stop waiting: its deadline has passed."""
        self._open.pop(request.event_id, None)

    def answered_by(self, event: told.ServerEvent) -> Answer | None:
        """The request that an event answers, if any; it is then no longer open."""
        request = self._match(event)
        return None if request is None else Answer(self._open.pop(request.event_id), event)

    def _match(self, event: told.ServerEvent) -> Request | None:
        match event:
            case told.ErrorEvent():
                return self._open.get(event.error.event_id or "")
            case told.ConversationItemAdded() | told.ConversationItemDone() | told.ConversationItemCreated():
                return self._oldest("conversation.item.added", event.item.id)
            case told.ConversationItemRetrieved():
                return self._oldest(event.type, event.item.id)
            case told.ConversationItemTruncated() | told.ConversationItemDeleted():
                return self._oldest(event.type, event.item_id)
            case told.ResponseCreated():
                return self._creator(event)
            case told.SessionUpdated() | told.InputAudioBufferCommitted() | told.InputAudioBufferCleared():
                return self._oldest(event.type)
            case _:
                return None

    def _oldest(self, answer: str, item_id: str | None = None) -> Request | None:
        return next(
            (asked for asked in self._open.values() if asked.answer == answer and asked.item_id == item_id), None
        )

    def _creator(self, event: told.ResponseCreated) -> Request | None:
        """By metadata; a server that echoes none answers in order. Foreign metadata is nobody's."""
        metadata = event.response.metadata
        if metadata:
            return self._open.get(metadata.get(EVENT_KEY, ""))
        return self._oldest("response.created")
