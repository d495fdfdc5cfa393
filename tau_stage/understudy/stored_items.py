"""What a session holds: its items in order, with their sound, and what reading them costs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pybase64

from tau_stage.audio import PCM16, Format, Pcm
from tau_stage.cost import text_tokens
from tau_stage.protocol import ClientItem, Item, items
from tau_stage.understudy.billing import Read, assistant_tokens, user_tokens
from tau_stage.understudy.sound_store import BlobRef, BlobStore


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item of a conversation as it is kept: small, as a session holds thousands."""

    told: bytes  # the item as JSON, without its sound
    kind: str  # the role of a message; the type of anything else
    words: str  # its words: text, transcript, arguments or output
    audio: Pcm | BlobRef | None  # its sound
    cost: Read  # what reading it costs; the words beside a sound are not read

    @classmethod
    def of(cls, item: Item, audio: Pcm | BlobRef | None = None, version: int = 0) -> StoredItem:
        """Keep an item; ``version`` counts its changes: a truncated one is read anew."""
        parts = item.content or ()
        words = " ".join(filter(None, [*(part.text or part.transcript for part in parts), item.arguments, item.output]))
        cost = Read(item.id, text_tokens(words), version=version) if audio is None else _cost_of(item, audio, version)
        told = item.model_dump_json(exclude_unset=True).encode()
        return cls(told, sys.intern(item.role or item.type), words, audio, cost)

    @property
    def id(self) -> str:
        """Its id."""
        return self.cost.key

    @property
    def item(self) -> Item:
        """The item, as the wire tells it."""
        return Item.model_validate_json(self.told)

    @property
    def sound(self) -> Pcm | None:
        """Its sound, from wherever it is kept."""
        return self.audio.pcm if isinstance(self.audio, BlobRef) else self.audio

    def with_sound(self, form: Format = PCM16) -> Item:
        """Write the item as ``retrieved`` tells it: with its audio, in the format it travels in."""
        item = self.item
        if (kept := self.sound) is None:
            return item
        sound = pybase64.b64encode(form.encode(kept)).decode("ascii")
        parts = tuple(
            part.model_copy(update={"audio": sound}) if part.type in {"input_audio", "output_audio"} else part
            for part in item.content or ()
        )
        return item.model_copy(update={"content": parts})

    def truncated(self, samples: int) -> StoredItem:
        """Truncate the item: less sound, and no transcript."""
        item = self.item
        parts = tuple(part.model_copy(update={"transcript": None}) for part in item.content or ())
        audio = self.audio[:samples] if self.audio else None
        return StoredItem.of(item.model_copy(update={"content": parts}), audio, self.cost.version + 1)


RECENT = 64  # items that others may share which are kept at the same time


class ItemStore:
    """Keeps the items of all sessions of a server: sounds on disk, and what several sessions hear at a time only once.

    >>> store, heard = ItemStore(), Item(id="i", role="user")
    >>> store.keep(StoredItem.of(heard, Pcm.silence(9))) is store.keep(StoredItem.of(heard, Pcm.silence(9)))
    True
    """

    def __init__(self) -> None:
        self._blobs = BlobStore()
        self._recent: dict[StoredItem, StoredItem] = {}

    def keep(self, kept: StoredItem) -> StoredItem:
        """Return an item as it is kept: its sound goes to the disk."""
        if isinstance(kept.audio, Pcm):
            kept = replace(kept, audio=self._blobs.put(kept.audio))
        shared = self._recent.setdefault(kept, kept)
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        return shared


class InvalidAudio(ValueError):
    """A client's audio is no base64 of whole samples; the message is the field's path."""


def _sounds_in(
    told: items.UserMessage | items.SystemMessage | items.AssistantMessage, form: Format, place: str
) -> Iterator[Pcm]:
    for number, part in enumerate(told.content):
        if isinstance(part, items.InputAudio):
            yield decode_sound(part.audio, f"{place}.content[{number}].audio", form)


def read_item(item_id: str, told: ClientItem, form: Format = PCM16, place: str = "item") -> tuple[Item, Pcm | None]:
    """Read a client's item and its sound, which travels in a format; ``place`` is where it stands in the event."""
    facts = {"id": item_id, "type": told.type, "status": "completed"}
    match told:
        case items.FunctionCall():
            call = {"name": told.name, "arguments": told.arguments, "call_id": told.call_id or f"call_{item_id}"[:32]}
            return Item.model_validate(facts | call), None
        case items.FunctionCallOutput():
            del facts["status"]
            return Item.model_validate(facts | {"call_id": told.call_id, "output": told.output}), None
        case items.UserMessage() | items.SystemMessage() | items.AssistantMessage():
            sounds = [*_sounds_in(told, form, place)]
            content = [part.model_dump(exclude={"audio", "detail"}) for part in told.content]
            item = Item.model_validate(facts | {"role": told.role, "content": content})
            return item, Pcm.join(sounds) if sounds else None


def decode_sound(base64: str, param: str, form: Format = PCM16) -> Pcm:
    """Decode a client's base64 to sound; raise an ``InvalidAudio`` where it is not base64 of whole samples."""
    data = decode_base64(base64, param)
    if form.kind == "audio/pcm" and len(data) % 2:
        raise InvalidAudio(param)
    return form.decode(data)


def decode_base64(base64: str, param: str) -> bytes:
    """Decode a client's base64 to bytes; raise an ``InvalidAudio`` where it is none."""
    try:
        return pybase64.b64decode(base64, validate=True)
    except ValueError:
        raise InvalidAudio(param) from None


def _cost_of(item: Item, audio: Pcm | BlobRef, version: int) -> Read:
    """Count the tokens of an item that sounds."""
    tokens = assistant_tokens if item.role == "assistant" else user_tokens
    written = sum(text_tokens(part.text or "") for part in item.content or ())
    return Read(item.id, written, tokens(len(audio), audio.rate), version)
