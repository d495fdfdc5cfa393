"""How a server spells what it says, at the edge of a connection: inside there is only GA."""

from __future__ import annotations

import string
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from pydantic_core import from_json, to_json

from tau_stage.protocol import server_events as told
from tau_stage.protocol.bodies import ServerError
from tau_stage.protocol.dialects import Event
from tau_stage.transport import Handshake
from tau_stage.understudy.beta import BetaDialect, is_asked_for
from tau_stage.understudy.profiles import Profile
from tau_stage.understudy.xai import XaiDialect

AZURE_PATH = "/openai/v1/realtime"
PADDED = (told.TranscriptDelta, told.TextDelta, told.FunctionArgumentsDelta, told.TranscriptionDelta)
"""Deltas of words: OpenAI pads them, so that their length tells nothing."""

BLOCK = 16
LETTERS = string.ascii_letters + string.digits


class Wire(Protocol):
    """One server's spelling."""

    def heard(self, frame: bytes) -> bytes | ServerError:
        """A client's frame as GA, or what is wrong with it; what is no JSON object is left for the parser to refuse."""

    def told(self, event: told.ServerMessage) -> Iterable[bytes]:
        """An event as the frames that the client gets."""


class Ga:
    """OpenAI's own spelling.

    Args:
        is_azure: Whether Azure's copy of each part is told, too.
    """

    def __init__(self, *, is_azure: bool = False) -> None:
        self._is_azure = is_azure

    def heard(self, frame: bytes) -> bytes:
        """As it is."""
        return frame

    def told(self, event: told.ServerMessage) -> Iterator[bytes]:
        """Deltas of words are padded."""
        if self._is_azure and isinstance(event, told.RateLimitsUpdated):
            return
        frame = event.encode()
        if isinstance(event, PADDED):
            yield frame[:-1] + b',"obfuscation":"' + _padding(event.event_id, event.delta) + b'"}'
        elif self._is_azure and isinstance(event, told.ContentPartAdded | told.ContentPartDone):
            yield frame[:-1] + b',"content":' + event.part.model_dump_json(exclude_unset=True).encode() + b"}"
        else:
            yield frame


class Beta:
    """OpenAI's spelling before GA."""

    def __init__(self) -> None:
        self._dialect = BetaDialect()

    def heard(self, frame: bytes) -> bytes | ServerError:
        """Flat sessions become nested ones."""
        event = _table(frame)
        if event is None:
            return frame
        return self._dialect.objection(event) or to_json(self._dialect.heard(event))

    def told(self, event: told.ServerMessage) -> Iterator[bytes]:
        """Under the old names; some are not told at all."""
        yield from map(to_json, self._dialect.told(from_json(event.encode())))


class Xai:
    """xAI's spelling.

    Args:
        profile: The model that the client gets.
        clock: Unix time.
    """

    def __init__(self, profile: Profile, clock: Callable[[], float]) -> None:
        self._dialect = XaiDialect(profile, clock)

    def heard(self, frame: bytes) -> bytes:
        """Flat sessions become nested ones, and xAI's ids ours."""
        event = _table(frame)
        return frame if event is None else to_json(self._dialect.heard(event))

    def told(self, event: told.ServerMessage) -> Iterator[bytes]:
        """In its shapes; some are not told at all."""
        yield from map(to_json, self._dialect.told(from_json(event.encode())))


def wire_for(handshake: Handshake, profile: Profile, clock: Callable[[], float]) -> Wire:
    """How a client is answered.

    Args:
        handshake: What it asked for.
        profile: The model it gets.
        clock: Unix time.
    """
    if profile.provider == "xai":
        return Xai(profile, clock)
    if is_asked_for(handshake):
        return Beta()
    return Ga(is_azure=handshake.path == AZURE_PATH)


def _table(frame: bytes) -> Event | None:
    """A frame as an event; None for what is none."""
    try:
        event = from_json(frame)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _padding(event_id: str, delta: str) -> bytes:
    """Letters that fill a delta up to a whole block, the same for the same event.

    >>> len(_padding("event_1", "Hello")), len(_padding("event_1", "")), len(_padding("event_1", "x" * 16))
    (11, 16, 16)
    """
    length = BLOCK - len(delta) % BLOCK
    number = zlib.crc32(event_id.encode())
    return "".join(LETTERS[(number >> shift) * (shift + 7) % len(LETTERS)] for shift in range(length)).encode()
