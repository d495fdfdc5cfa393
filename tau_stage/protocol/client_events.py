"""Events a client sends: one class per wire event (OpenAI API reference, "Realtime client events", GA)."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from tau_stage.protocol.config import ItemReference, ResponseConfig, SessionConfig
from tau_stage.protocol.items import ClientItem, Strict


class ClientMessage(Strict):
    """What all client events share: an id of ours, so that an error can name what it refuses."""

    event_id: str | None = None

    def encode(self) -> bytes:
        """Write the event as one text frame; fields nobody set are left out.

        >>> InputAudioBufferClear(event_id="evt_1").encode()
        b'{"event_id":"evt_1","type":"input_audio_buffer.clear"}'
        """
        return self.__pydantic_serializer__.to_json(self, exclude_unset=True)


class SessionUpdate(ClientMessage):
    """Changes the session; answered by ``session.updated`` or an error."""

    type: Literal["session.update"] = "session.update"
    session: SessionConfig


class InputAudioBufferAppend(ClientMessage):
    """Adds sound to the input buffer; not answered."""

    type: Literal["input_audio_buffer.append"] = "input_audio_buffer.append"
    audio: str


class InputAudioBufferCommit(ClientMessage):
    """Makes a user item of the input buffer."""

    type: Literal["input_audio_buffer.commit"] = "input_audio_buffer.commit"


class InputAudioBufferClear(ClientMessage):
    """Empties the input buffer."""

    type: Literal["input_audio_buffer.clear"] = "input_audio_buffer.clear"


class ConversationItemCreate(ClientMessage):
    """Puts an item into the conversation; answered by ``added`` and ``done``."""

    type: Literal["conversation.item.create"] = "conversation.item.create"
    previous_item_id: str | None = None
    item: ClientItem


class ConversationItemRetrieve(ClientMessage):
    """Asks for an item with its audio."""

    type: Literal["conversation.item.retrieve"] = "conversation.item.retrieve"
    item_id: str


class ConversationItemTruncate(ClientMessage):
    """Cuts a player's sound where the listener stopped listening."""

    type: Literal["conversation.item.truncate"] = "conversation.item.truncate"
    item_id: str
    content_index: Annotated[int, Field(ge=0)]
    audio_end_ms: Annotated[int, Field(ge=0)]


class ConversationItemDelete(ClientMessage):
    """Takes an item out of the conversation."""

    type: Literal["conversation.item.delete"] = "conversation.item.delete"
    item_id: str


class ResponseCreate(ClientMessage):
    """Asks the model to speak."""

    type: Literal["response.create"] = "response.create"
    response: ResponseConfig | None = None


class ResponseCancel(ClientMessage):
    """Stops the model speaking."""

    type: Literal["response.cancel"] = "response.cancel"
    response_id: str | None = None


ClientEvent = Annotated[
    SessionUpdate
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | ConversationItemCreate
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | ConversationItemDelete
    | ResponseCreate
    | ResponseCancel,
    Field(discriminator="type"),
]

CLIENT_EVENTS: TypeAdapter[ClientEvent] = TypeAdapter(ClientEvent)
"""Validates a parsed client event, strictly."""


def with_ids(event: ClientEvent, id_of: Callable[[str], str]) -> ClientEvent:
    """Name items as the server does, where it has given them ids of its own.

    Args:
        event: As we would send it.
        id_of: Gives the server's id for one of ours.
    """
    match event:
        case ConversationItemRetrieve() | ConversationItemTruncate() | ConversationItemDelete():
            return event.model_copy(update={"item_id": id_of(event.item_id)})
        case ConversationItemCreate(previous_item_id=str(before)):
            return event.model_copy(update={"previous_item_id": id_of(before)})
        case ResponseCreate(response=ResponseConfig(input=tuple(items)) as response):
            named = tuple(
                item.model_copy(update={"id": id_of(item.id)}) if isinstance(item, ItemReference) else item
                for item in items
            )
            return event.model_copy(update={"response": response.model_copy(update={"input": named})})
        case _:
            return event
