"""Which answer belongs to which request: by event id, item id, metadata, or the order the protocol promises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from tau_stage.protocol.client_events import ClientEvent, ConversationItemCreate
from tau_stage.protocol.items import ClientItem, FunctionCall, FunctionCallOutput, Item
from tau_stage.protocol.server_events import (
    EVENT_TYPES,
    ConversationItemAdded,
    ConversationItemRetrieved,
    ErrorEvent,
    PlacedItemEvent,
    ResponseCreated,
    ServerError,
    ServerEvent,
    UnusableEvent,
)

EVENT_KEY = "tau_event"  # metadata key that ties a response to the `response.create` that asked for it


OURS = "tau_"  # how the ids begin that a session makes: an error that names one of them is about nothing else
NOBODY = ""  # what an error is about that answers no request: a cancellation that came too late is no harm
TOPICS = (
    ("conversation.item.truncated", r"truncat|audio_end_ms|audio content of"),
    ("conversation.item.deleted", r"item_delete|delet"),
    ("conversation.item.retrieved", r"item_retrieve|retriev"),
    ("input_audio_buffer.committed", r"commit|buffer[ _](is )?(too small|empty)"),
    ("input_audio_buffer.cleared", r"buffer[ _.]clear"),
    (NOBODY, r"cancel"),
    ("session.updated", r"session|cannot_update_voice"),
    ("conversation.item.added", r"\bitem(?!_id)|item_not_found|previous_item|\bcontent\b"),
    ("response.created", r"response|rate.?limit|quota|too.?many.?requests"),
)
"""What an error is about, by words in its param, its code or its message (OpenAI API reference, "error" events)."""


@dataclass(frozen=True, slots=True)
class Request:
    """Something asked that will be answered.

    Attributes:
        event_id: Ours; an error names it.
        answer: Type of the event that answers it.
        shape: Type and role of the item that is created, if one is.
        assumed: The answer that stands for the one of a server which gives none; None where nothing can.
    """

    event_id: str
    answer: str
    item_id: str | None = None
    shape: tuple[str, str] | None = None
    assumed: ServerEvent | None = field(default=None, compare=False, repr=False)


ANSWERS = {
    "session.update": "session.updated",
    "conversation.item.create": "conversation.item.added",
    "conversation.item.retrieve": "conversation.item.retrieved",
    "conversation.item.truncate": "conversation.item.truncated",
    "conversation.item.delete": "conversation.item.deleted",
    "input_audio_buffer.commit": "input_audio_buffer.committed",
    "input_audio_buffer.clear": "input_audio_buffer.cleared",
    "response.create": "response.created",
}
"""What answers a request; appended sound and a cancellation are not answered."""

NEVER_ASSUMED = ("conversation.item.retrieved", "response.created")  # answers that hold what only the server knows


def request_of(event: ClientEvent) -> Request | None:
    """Return the request in a client event; None where the protocol answers nothing. One without an id is a bug."""
    if event.event_id is None:
        raise ValueError(f"{event.type} was made without an event_id")
    answer = ANSWERS.get(event.type)
    if answer is None:
        return None
    if isinstance(event, ConversationItemCreate):
        made = ConversationItemAdded(item=_as_told(event.item), previous_item_id=event.previous_item_id)
        return Request(event.event_id, answer, event.item.id, shape_of(event.item), made)
    facts = event.model_dump(include={"item_id", "audio_end_ms"})
    assumed = None if answer in NEVER_ASSUMED else EVENT_TYPES[answer].model_validate({"type": answer, **facts})
    return Request(event.event_id, answer, facts.get("item_id"), assumed=assumed)


def _as_told(item: ClientItem) -> Item:
    """Return an item as a server would tell it: without its sound."""
    made = item.model_dump(exclude_none=True)
    for part in made.get("content", ()):
        part.pop("audio", None)
    return Item.model_validate(made | {"status": "completed"})


class Requests:
    """The requests of one session that are still unanswered, oldest first.

    A request whose answer is not waited for any more may be *taken as done*; an answer that comes late is still its.
    """

    def __init__(self) -> None:
        self._open: dict[str, Request] = {}
        self._taken_as_done: dict[str, Request] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, request: Request) -> None:
        """Wait for a request's answer."""
        self._open[request.event_id] = request

    def forget(self, request: Request) -> None:
        """Stop waiting: its deadline has passed."""
        self._open.pop(request.event_id, None)
        self._taken_as_done.pop(request.event_id, None)

    def take_as_done(self, request: Request) -> None:
        """Stop waiting, though the server has not answered."""
        self._taken_as_done[request.event_id] = self._open.pop(request.event_id)

    def that_can_be_assumed(self) -> tuple[Request, ...]:
        """Return the open requests whose answers can be assumed."""
        return tuple(asked for asked in self._open.values() if asked.assumed)

    def answered_by(self, event: ServerEvent, *, is_new_item: bool = False) -> Request | None:
        """Return the request that an event answers, if any; it is then no longer open.

        An item that was not known before (``is_new_item``) may be one that we made, under an id of the server's own.
        """
        request = self._match(event, is_new_item=is_new_item) if self._open or self._taken_as_done else None
        if request:
            self.forget(request)
        return request

    def asks_for_response(self, metadata: Mapping[str, str] | None) -> Request | None:
        """Return the open request that a response with such metadata answers, if any; it stays open."""
        key = (metadata or {}).get(EVENT_KEY)
        return self.oldest("response.created") if key is None else self._open.get(key)

    def _match(self, event: ServerEvent, *, is_new_item: bool) -> Request | None:
        match event:
            case ErrorEvent():
                return _first(asked for asked in self._every() if asked.event_id == event.error.event_id)
            case PlacedItemEvent():
                named = self.oldest("conversation.item.added", event.item.id)
                return named or (self._of_shape(event.item) if is_new_item else None)
            case ResponseCreated():
                return self.asks_for_response(event.response.metadata)
            case UnusableEvent():
                return None
            case _:
                item_id = (
                    event.item.id if isinstance(event, ConversationItemRetrieved) else getattr(event, "item_id", "")
                )
                return self.oldest(event.type, item_id) or self.oldest(event.type)

    def oldest(self, answer: str, item_id: str | None = None) -> Request | None:
        """Return the oldest request of a kind; an answer that names no item answers it too. Open ones come first."""
        return _first(a for a in self._every() if a.answer == answer and (not item_id or a.item_id == item_id))

    def _every(self) -> Iterable[Request]:
        return chain(self._open.values(), self._taken_as_done.values())

    def _of_shape(self, item: Item) -> Request | None:
        """Return the oldest request for an item of that shape: a server that is late answers in order.

        One that is to commit its input buffer makes such an item, perhaps before it confirms that: then, None.
        """
        late_first = chain(self._taken_as_done.values(), self._open.values())
        is_spoken = shape_of(item) == ("message", "user")
        oldest = _first(
            asked for asked in late_first if asked.shape == shape_of(item) or (is_spoken and self._is_commit(asked))
        )
        return oldest if oldest and oldest.shape else None

    def _is_commit(self, asked: Request) -> bool:
        return asked.answer == "input_audio_buffer.committed" and asked.event_id in self._open

    def get(self, event_id: str) -> Request | None:
        """Return the open request of an event; None where it is not open any more."""
        return self._open.get(event_id)

    def refused_by(self, error: ServerError) -> Request | None:
        """Return the oldest request that an error can be about which names none; it stays as it is."""
        if error.event_id and error.event_id.startswith(OURS):
            return None
        topics = topics_of(error)
        if NOBODY in topics:
            return None
        if not topics:
            return _first(self._open.values())
        about = [asked for topic in topics if (asked := self.oldest(topic))]
        return _first(asked for asked in about if asked.event_id in self._open) or _first(about)


def _first(requests: Iterable[Request]) -> Request | None:
    return next(iter(requests), None)


def shape_of(item: ClientItem | Item) -> tuple[str, str]:
    """Return what an item is, where its id does not say: its type, and the role of a message."""
    role = None if isinstance(item, FunctionCall | FunctionCallOutput) else item.role
    return item.type, (role or "") if item.type == "message" else ""


def topics_of(error: ServerError) -> list[str]:
    """Return the types of answers that an error can stand for, the likeliest first; none where it may be any.

    >>> topics_of(ServerError(code="invalid_value", message="Audio content of 2450ms is already shorter than 2535ms"))
    ['conversation.item.truncated']
    >>> topics_of(ServerError(code="unknown_parameter", param="session.temperature"))
    ['session.updated']
    >>> topics_of(ServerError(code="inference_failed", message="backend error"))
    []
    """
    found = (
        next((topic for topic, words in TOPICS if re.search(words, said, re.IGNORECASE)), None)
        for said in (error.code, error.param, error.message)
        if said
    )
    return list(dict.fromkeys(topic for topic in found if topic is not None))


def may_break_response(error: ServerError) -> bool:
    """Tell whether an error that answers no request may be the end of a response under way."""
    return topics_of(error)[:1] in ([], ["response.created"])
