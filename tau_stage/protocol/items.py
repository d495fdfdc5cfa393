"""Conversation items, as the Realtime API has them (OpenAI API reference, "Realtime", GA 2025-08-28)."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

JsonObject = dict[str, Any]  # JSON as it came: what it holds is known when it is validated

ItemStatus = Literal["completed", "incomplete", "in_progress"]

MAX_ID = 32  # longest item id that a client may choose, in characters. A server's own ids may be longer


def parse_object(frame: bytes) -> JsonObject | None:
    """Parse a frame as an object of JSON; None for what is none."""
    try:
        told = from_json(frame)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def without(told: JsonObject, *names: str) -> JsonObject:
    """Leave fields of an object out."""
    return {name: value for name, value in told.items() if name not in names}


def with_part(told: JsonObject, name: str, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """Change an object within another, where there is one of that name."""
    part = told.get(name)
    return told | {name: change(part)} if isinstance(part, dict) else told


class Strict(BaseModel):
    """What a client sends: unknown fields are refused, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def model_post_init(self, _context: object, /) -> None:
        """Count the discriminators as set, so that ``exclude_unset`` still sends them."""
        self.__pydantic_fields_set__.update({"type", "role"} & type(self).model_fields.keys())


class Lenient(BaseModel):
    """What a server sends: unknown fields are ignored, numbers pass for text, values never change.

    A field without a default must be whole. Any other is taken as absent where it is not what it should be
    (``decoding.decode``).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


class InputText(Strict):
    """Words in a user's or system's message."""

    type: Literal["input_text"] = "input_text"
    text: str


class InputAudio(Strict):
    """Sound in a user's message: base64 of the session's input format. The model does not read ``transcript``."""

    type: Literal["input_audio"] = "input_audio"
    audio: str
    transcript: str | None = None


class InputImage(Strict):
    """A picture in a user's message: a data URI of a PNG or JPEG."""

    type: Literal["input_image"] = "input_image"
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(Strict):
    """Words in an assistant's message; a client cannot create assistant audio."""

    type: Literal["output_text"] = "output_text"
    text: str


class StrictItem(Strict):
    """What the items of a client share."""

    id: str | None = None
    object: Literal["realtime.item"] | None = None
    status: ItemStatus | None = None


class UserMessage(StrictItem):
    """What a player is told or hears."""

    type: Literal["message"] = "message"
    role: Literal["user"] = "user"
    content: tuple[Annotated[InputText | InputAudio | InputImage, Field(discriminator="type")], ...]


class SystemMessage(StrictItem):
    """What the prompter whispers."""

    type: Literal["message"] = "message"
    role: Literal["system"] = "system"
    content: tuple[InputText, ...]


class AssistantMessage(StrictItem):
    """What a player is made to believe it said."""

    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    content: tuple[OutputText, ...]


class FunctionCall(StrictItem):
    """A tool call, replayed into a conversation."""

    type: Literal["function_call"] = "function_call"
    name: str
    arguments: str
    call_id: str | None = None


class FunctionCallOutput(StrictItem):
    """A tool's result; send ``response.create`` after it."""

    type: Literal["function_call_output"] = "function_call_output"
    call_id: str
    output: str


Message = Annotated[UserMessage | SystemMessage | AssistantMessage, Field(discriminator="role")]
ClientItem = Annotated[Message | FunctionCall | FunctionCallOutput, Field(discriminator="type")]


class ContentPart(Lenient):
    """One part of an item as a server tells it: every kind in one shape."""

    type: str = ""
    text: str | None = None
    transcript: str | None = None
    audio: str | None = None
    image_url: str | None = None
    detail: str | None = None


class Item(Lenient):
    """One item as a server tells it: messages, tool calls and their outputs in one shape.

    Its ``phase`` is ``commentary`` where the model speaks about its work, ``final_answer`` where it answers
    (gpt-realtime-2.1 and later).
    """

    id: str = ""
    object: str | None = "realtime.item"
    type: str = "message"
    status: str | None = None
    role: str | None = None
    phase: str | None = None
    content: tuple[ContentPart, ...] | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    output: str | None = None
