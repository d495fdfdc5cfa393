"""What a session holds: its items in order, with their sound, and what reading them costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import pybase64

from tau_stage.audio import PCM16, Format, Pcm
from tau_stage.cost import text_tokens
from tau_stage.protocol import ClientItem, Item, items
from tau_stage.understudy.billing import Read, assistant_tokens, user_tokens
from tau_stage.understudy.sound_store import BlobRef


@dataclass(frozen=True)
class StoredItem:
    """One item of a conversation, and its sound; ``version`` counts its changes: a truncated item is read anew."""

    item: Item
    audio: Pcm | BlobRef | None = None
    version: int = 0

    @property
    def sound(self) -> Pcm | None:
        """Its sound, from wherever it is kept."""
        return self.audio.pcm if isinstance(self.audio, BlobRef) else self.audio

    @property
    def words(self) -> str:
        """Its words: text, transcript, arguments or output."""
        parts = self.item.content or ()
        written = [part.text or part.transcript or "" for part in parts]
        return " ".join(filter(None, [*written, self.item.arguments, self.item.output]))

    @property
    def written(self) -> str:
        """Its words that are no transcript of a sound."""
        return " ".join(part.text for part in self.item.content or () if part.text)

    @cached_property
    def cost(self) -> Read:
        """What reading it costs; the words beside a sound are not read."""
        key = f"{self.item.id}/{self.version}"
        if self.audio is None:
            return Read(key, text=text_tokens(self.words))
        tokens = assistant_tokens if self.item.role == "assistant" else user_tokens
        written = sum(text_tokens(part.text or "") for part in self.item.content or ())
        return Read(key, text=written, audio=tokens(len(self.audio), self.audio.rate))

    def with_sound(self, form: Format = PCM16) -> Item:
        """Write the item as ``retrieved`` tells it: with its audio, in the format it travels in."""
        if (kept := self.sound) is None:
            return self.item
        sound = pybase64.b64encode(form.encode(kept)).decode("ascii")
        parts = tuple(
            part.model_copy(update={"audio": sound}) if part.type in {"input_audio", "output_audio"} else part
            for part in self.item.content or ()
        )
        return self.item.model_copy(update={"content": parts})

    def truncated(self, samples: int) -> StoredItem:
        """Truncate the item: less sound, and no transcript."""
        parts = tuple(part.model_copy(update={"transcript": None}) for part in self.item.content or ())
        item = self.item.model_copy(update={"content": parts})
        return replace(self, item=item, audio=self.audio[:samples] if self.audio else None, version=self.version + 1)


class InvalidAudio(ValueError):
    """A client's audio is no base64 of whole samples; the message is the field's path."""


def store_item(item_id: str, told: ClientItem, form: Format = PCM16, place: str = "item") -> StoredItem:
    """Store a client's item, whose sound travels in a format; ``place`` is where it stands in the event.

    Raises:
        InvalidAudio: Its sound cannot be read.
    """
    facts = {"id": item_id, "type": told.type, "status": "completed"}
    match told:
        case items.FunctionCall():
            call = {"name": told.name, "arguments": told.arguments, "call_id": told.call_id or f"call_{item_id}"[:32]}
            return StoredItem(Item.model_validate(facts | call))
        case items.FunctionCallOutput():
            del facts["status"]
            return StoredItem(Item.model_validate(facts | {"call_id": told.call_id, "output": told.output}))
        case items.UserMessage() | items.SystemMessage() | items.AssistantMessage():
            sounds = [
                decode_sound(part.audio, f"{place}.content[{number}].audio", form)
                for number, part in enumerate(told.content)
                if isinstance(part, items.InputAudio)
            ]
            content = [part.model_dump(exclude={"audio", "detail"}) for part in told.content]
            item = Item.model_validate(facts | {"role": told.role, "content": content})
            return StoredItem(item, Pcm.join(sounds) if sounds else None)


def decode_sound(base64: str, param: str, form: Format = PCM16) -> Pcm:
    """Decode a client's base64 to sound.

    Raises:
        InvalidAudio: It is not base64 of whole samples.
    """
    data = decode_base64(base64, param)
    if form.kind == "audio/pcm" and len(data) % 2:
        raise InvalidAudio(param)
    return form.decode(data)


def decode_base64(base64: str, param: str) -> bytes:
    """Decode a client's base64 to bytes.

    Raises:
        InvalidAudio: It is not base64.
    """
    try:
        return pybase64.b64decode(base64, validate=True)
    except ValueError:
        raise InvalidAudio(param) from None
