"""How each kind of client is spoken to: GA inside, and OpenAI's own events, Azure's, the beta's or xAI's outside.

xAI's are as its live sessions were recorded.
"""

from __future__ import annotations

import math
import re
import string
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import pybase64
from pydantic_core import from_json, to_json

from tau_stage.audio import RATE
from tau_stage.cost import text_tokens
from tau_stage.protocol import (
    NEW_PARTS,
    OLD_NAMES,
    OLD_PARTS,
    VERBATIM,
    JsonObject,
    ServerError,
    SessionConfig,
    flat_session,
    nested_session,
    parse_object,
    parts_renamed,
    server_events,
    with_part,
    without,
)
from tau_stage.transport import Handshake
from tau_stage.understudy.settings import DEFAULTS, Profile

BETA_OMITS = {"conversation.item.done", "conversation.item.input_audio_transcription.delta"}
"""The beta tells an item once, when it is created, and a transcript when it is whole."""

COLDEST, HOTTEST = 0.6, 1.2  # temperatures that the beta takes; GA has none


def wants_beta(handshake: Handshake) -> bool:
    """Tell whether a client wants the beta: by header, by subprotocol, or by an API version."""
    return (
        handshake.headers.get("openai-beta", "").startswith("realtime")
        or any(name.startswith("openai-beta.realtime") for name in handshake.subprotocols)
        or "api-version" in handshake.query
    )


@dataclass(slots=True)
class BetaCodec:
    """OpenAI's spelling before GA: what the beta has and GA has not is kept here, for one client's connection."""

    temperature: float = 0.8
    is_voice_live: bool = False  # whether fields that only Voice Live has are taken, and left out
    _asked: float | None = None
    _responses: dict[str, float] = field(default_factory=dict)

    def decode(self, frame: bytes) -> bytes | ServerError:
        """Turn flat sessions into nested ones."""
        event = parse_object(frame)
        if event is None:
            return frame
        return self.temperature_error(event) or to_json(self.to_ga(event))

    def encode(self, event: server_events.ServerEvent) -> Iterator[bytes]:
        """Use the old names; leave some out."""
        return map(to_json, self.from_ga(from_json(event.encode())))

    def temperature_error(self, event: JsonObject) -> ServerError | None:
        """Say what is wrong with a temperature, if one is told and something is."""
        for part in ("session", "response"):
            told = event.get(part)
            heat = told.get("temperature") if isinstance(told, dict) else None
            if heat is not None and (problem := _problem(f"{part}.temperature", heat)):
                event_id = event.get("event_id")
                return problem.model_copy(update={"event_id": event_id if isinstance(event_id, str) else None})
        return None

    def to_ga(self, event: JsonObject) -> JsonObject:
        """Turn a client's event into GA."""
        self._asked = None
        for part in ("session", "response"):
            if isinstance(told := event.get(part), dict):
                self._asked = told.get("temperature")
                nested = nested_session(told)
                if part == "response":
                    del nested["type"]
                    nested = with_part(nested, VERBATIM, lambda told: parts_renamed({"item": told}, NEW_PARTS)["item"])
                elif self.is_voice_live:
                    nested = {key: value for key, value in nested.items() if key in SessionConfig.model_fields}
                event = event | {part: nested}
        return parts_renamed(event, NEW_PARTS)

    def from_ga(self, event: JsonObject) -> list[JsonObject]:
        """Turn a GA event into those that an old client knows; some are left out."""
        kind = event["type"]
        if kind in BETA_OMITS:
            return []
        if kind == "conversation.item.added":
            event = event | {"type": "conversation.item.created"}
        if kind == "session.updated" and self._asked is not None:
            self.temperature, self._asked = self._asked, None
        event = event | {"type": OLD_NAMES.get(kind, event["type"])}
        event = with_part(with_part(event, "item", _named), "session", self._session)
        return [parts_renamed(with_part(event, "response", partial(self._response, kind)), OLD_PARTS)]

    def _session(self, session: JsonObject) -> JsonObject:
        kept = {key: session[key] for key in ("id", "object", "model", "expires_at")}
        return kept | flat_session(session) | {"temperature": self.temperature}

    def _response(self, kind: str, response: JsonObject) -> JsonObject:
        if kind == "response.created":
            self._responses[response["id"]] = self.temperature if self._asked is None else self._asked
            self._asked = None
        heat = self._responses.get(response["id"], self.temperature)
        if kind == "response.done":
            self._responses.pop(response["id"], None)
        response = response | {"output": [*map(_named, response["output"])]}
        flat = without(response, "output_modalities", "audio")
        beside = flat_session(response)
        named = {key: beside[key] for key in ("voice", "output_audio_format") if key in beside}
        return flat | named | {"modalities": beside.get("modalities", []), "temperature": heat}


def _named(item: JsonObject) -> JsonObject:
    """Write an item as the beta does: as an object with a name, and with no phase."""
    return {"id": item["id"], "object": "realtime.item"} | without(item, "phase")


def _problem(param: str, heat: Any) -> ServerError | None:
    if isinstance(heat, bool) or not isinstance(heat, int | float):
        message = f"Invalid type for '{param}': expected a decimal, but got {type(heat).__name__} instead."
        return ServerError(code="invalid_type", message=message, param=param)
    if COLDEST <= heat <= HOTTEST:
        return None
    code, where, limit = ("below_min", "below minimum", f">= {COLDEST}") if heat < COLDEST else (
        "above_max", "above maximum", f"<= {HOTTEST}"
    )  # fmt: skip
    message = f"Invalid '{param}': decimal {where} value. Expected a value {limit}, but got {heat} instead."
    return ServerError(code=f"decimal_{code}_value", message=message, param=param)


OWN_ID = re.compile(r"(?:event|item|resp|sess|call)_\d{12,}")  # made by the understudy; a client's own stays
ID_FIELDS = frozenset({"item_id", "response_id", "call_id", "previous_item_id", "id", "event_id", "rid"})
XAI_OMITS = frozenset({"conversation.item.done", "rate_limits.updated", "response.function_call_arguments.delta"})
TOKENS_PER_S = 50  # tokens of a second of sound, heard or spoken
FORCED = "force_message"  # an item that is spoken as it stands, and is a turn by itself
TRANSCRIPTION = "conversation.item.input_audio_transcription."
UNKNOWN = "unimplemented"


@dataclass(slots=True)
class XaiCodec:
    """xAI's spelling: what must be remembered between the events of one client's connection."""

    profile: Profile
    clock: Callable[[], float]
    session: JsonObject = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)
    _model: str = ""
    _heard: set[str] = field(default_factory=set)
    _started_ms: int = 0
    _awaited: str = ""
    _held: list[JsonObject] = field(default_factory=list)
    _words: dict[str, list[str]] = field(default_factory=dict)
    _text_in: int = 0
    _audio_in_s: float = 0.0
    _audio_out_s: float = 0.0
    _rid: str = ""

    def decode(self, frame: bytes) -> bytes:
        """Turn flat sessions into nested ones, and xAI's ids into ours."""
        event = parse_object(frame)
        return frame if event is None else to_json(self.to_ga(event))

    def encode(self, event: server_events.ServerEvent) -> Iterator[bytes]:
        """Use its shapes; leave some out."""
        return map(to_json, self.from_ga(from_json(event.encode())))

    def to_ga(self, event: JsonObject) -> JsonObject:
        """Turn a client's event into GA: voice and turn detection stand at the session's top."""
        event = self._named(event, {theirs: ours for ours, theirs in self._ids.items()})
        item = event.get("item")
        if event.get("type") == "conversation.item.create" and isinstance(item, dict) and item.get("type") == FORCED:
            return _forced(event, item)
        asked = event.get("session")
        if not isinstance(asked, dict):
            return event
        self.session = self.session | asked
        known = SessionConfig.model_fields.keys() - {"reasoning"}
        return event | {"session": {key: value for key, value in nested_session(asked).items() if key in known}}

    def from_ga(self, event: JsonObject) -> list[JsonObject]:
        """Turn a GA event into those that xAI's client gets: none, one, or several."""
        kind = event["type"]
        if kind in XAI_OMITS:
            return []
        if kind == "session.created":
            return self._created(event)
        translate = XAI_SHAPES.get(kind)
        found = translate(self, event) if translate else [event]
        return [self._named({"previous_item_id": None} | one, self._ids) for one in found]

    @property
    def _transcribes(self) -> bool:
        return bool(((self.session.get("audio") or {}).get("input") or {}).get("transcription"))

    # ---- the session

    def _created(self, event: JsonObject) -> list[JsonObject]:
        session, event_id = event["session"], event["event_id"]
        self._model = session["model"]
        own = {"id": uuid.uuid5(uuid.NAMESPACE_OID, session["id"]).hex, "voice": self.profile.voice}
        told = DEFAULTS["xai_created"] | own | {"model": self._model}
        conversation = {"id": _uuid(f"conversation of {session['id']}"), "object": "realtime.conversation"}
        first = {"type": "session.created", "event_id": _uuid(event_id), "session": told}
        second = {"type": "conversation.created", "event_id": _uuid(f"{event_id}/c"), "conversation": conversation}
        ping = {"type": "ping", "event_id": _uuid(f"{event_id}/ping"), "timestamp": self._now_ms}
        return [first, *(each | {"previous_item_id": None} for each in (second, ping))]

    @property
    def _now_ms(self) -> int:
        return int(self.clock() * 1000)

    def _echo(self) -> JsonObject:
        """Write what the client has asked for, and what xAI says of itself."""
        asked = without(self.session, "audio", "tools", "type")
        if self.session.get("tools"):
            asked["tools"] = [
                {"type": tool["type"], "function": without(tool, "type")}
                for tool in self.session["tools"]
                if isinstance(tool, dict) and "type" in tool
            ]
        audio = {
            side: {"transport": "json"} | (value if isinstance(value, dict) else {})
            for side, value in (self.session.get("audio") or {}).items()
        }
        written = {"input_audio_transcription": audio["input"]["transcription"]} if self._transcribes else {}
        return DEFAULTS["xai_updated"] | {"model": self._model} | written | asked | {"audio": audio}

    # ---- what is heard

    def _turn(self, event: JsonObject) -> list[JsonObject]:
        if event["type"].endswith("stopped"):
            self._audio_in_s += max(0, event["audio_end_ms"] - self._started_ms) / 1000
            return [event]
        self._started_ms = event["audio_start_ms"]
        self._heard.add(event["item_id"])
        item = {"id": event["item_id"], "type": "message", "status": "in_progress", "role": "user"}
        content = [{"type": "input_audio", "transcript": ""}]
        added = {
            "type": "conversation.item.added",
            "event_id": event["event_id"] + "/item",
            "item": _item(item | {"content": content}, "user"),
        }
        return [event, added]

    def _committed(self, event: JsonObject) -> list[JsonObject]:
        self._awaited = event["item_id"] if self._transcribes else ""
        return [event | {"previous_item_id": None}]

    def _added(self, event: JsonObject) -> list[JsonObject]:
        item = event["item"]
        if item["id"] in self._heard:
            return []
        if item["type"] != "message":
            return [event | {"item": _item(item, "tool"), "previous_item_id": None}]
        if item["role"] == "user":
            self._text_in += sum(text_tokens(part.get("text") or "") for part in item["content"])
        return [event | {"item": _item(item, "user")}]

    def _transcribed(self, event: JsonObject) -> list[JsonObject]:
        """Send the words whole each time, and as completed several times."""
        kind, words = event["type"], self._words.setdefault(event["item_id"], [])
        if kind.endswith("delta"):
            words.append(event["delta"])
            return []
        del self._words[event["item_id"]]
        held, self._held, self._awaited = self._held, [], ""
        if not kind.endswith("completed"):
            return [event, *held]
        base = {"item_id": event["item_id"], "content_index": 0}
        found: list[JsonObject] = []
        for number in range(2 if words else 0):
            partial = base | {"transcript": "".join(words[: (number + 1) * len(words) // 2 or 1])}
            place = f"{event['event_id']}/{number}"
            found.append(partial | {"type": f"{TRANSCRIPTION}updated", "event_id": f"{place}u"})
            found.append(partial | {"type": kind, "event_id": f"{place}c", "status": "in_progress"})
        whole = base | {"type": kind, "event_id": event["event_id"], "transcript": event["transcript"]}
        return [*found, whole | {"status": "completed"}, *held]

    # ---- what is said

    def _response_created(self, event: JsonObject) -> list[JsonObject]:
        """Tell that the model begins; where what it heard is written down, after those words."""
        created = event | {"response": _response(event["response"])}
        if not self._awaited:
            return [created]
        self._held.append(created)
        return []

    def _output_item(self, event: JsonObject) -> list[JsonObject]:
        item = _item(event["item"], "user")
        item.pop("content", None)
        return [event | {"item": item, "output_index": 0}]

    def _spoken(self, event: JsonObject) -> list[JsonObject]:
        """Keep words for the sound that they begin with: they come after it."""
        self._held.append(event | {"start_time": round(self._audio_out_s, 2)})
        return []

    def _sound_done(self, event: JsonObject) -> list[JsonObject]:
        held, self._held = self._held, [event]
        return held

    def _part_done(self, event: JsonObject) -> list[JsonObject]:
        held, self._held = self._held, []
        return [without(event, "part"), *held]

    def _audio_delta(self, event: JsonObject) -> list[JsonObject]:
        seconds = len(pybase64.b64decode(event["delta"])) / 2 / RATE
        first = {} if self._audio_out_s else {"latency": "0.50"}
        held, self._held = self._held, []
        self._rid = held[0]["event_id"] if held else self._rid
        self._audio_out_s += seconds
        told = event | {"rid": self._rid, "audio_duration_ms": round(seconds * 1000), "ts": self._now_ms} | first
        return [told, *(words | {"rid": words["event_id"]} for words in held)]

    def _arguments(self, event: JsonObject) -> list[JsonObject]:
        """Send arguments at once."""
        event = event | {"output_index": 0}
        delta = {key: event[key] for key in ("item_id", "response_id", "call_id")}
        delta |= {"type": "response.function_call_arguments.delta", "event_id": f"{event['event_id']}/delta"}
        return [delta | {"delta": event["arguments"]}, event]

    def _done(self, event: JsonObject) -> list[JsonObject]:
        response = event["response"]
        words = response["usage"]["output_token_details"]["text_tokens"]
        heard, spoken = round(self._audio_in_s * TOKENS_PER_S), round(self._audio_out_s * TOKENS_PER_S)
        usage = {
            "input_tokens": self._text_in + heard,
            "input_token_details": {"text_tokens": self._text_in, "audio_tokens": heard, "grok_tokens": 0},
            "output_tokens": words + spoken,
            "output_token_details": {"text_tokens": words, "audio_tokens": spoken, "grok_tokens": 0},
            "total_tokens": self._text_in + heard + words + spoken,
            "output_audio_seconds": self._audio_out_s,
            "billable_audio_seconds": math.ceil(self._audio_in_s + self._audio_out_s),
        }
        self._text_in, self._audio_in_s, self._audio_out_s, self._rid = 0, 0.0, 0.0, ""
        return [event | {"response": _response(response), "response_id": response["id"], "usage": usage}]

    # ---- ids

    def _named(self, value: Any, names: dict[str, str]) -> Any:
        """Rename the ids within a value; ids of ours get another name when they are sent first."""
        if isinstance(value, list):
            return [self._named(inner, names) for inner in value]
        if isinstance(value, dict):
            return {
                key: self._name(inner, names) if key in ID_FIELDS else self._named(inner, names)
                for key, inner in value.items()
            }
        return value

    def _name(self, told: Any, names: dict[str, str]) -> Any:
        if not isinstance(told, str):
            return told
        if names is self._ids and told not in names and OWN_ID.match(told):
            names[told] = f"call-{_uuid(told)}-0" if told.startswith("call_") else _uuid(told)
        return names.get(told, told)


XAI_SHAPES: dict[str, Callable[[XaiCodec, JsonObject], list[JsonObject]]] = {
    "session.updated": lambda codec, event: [event | {"session": codec._echo()}],
    "input_audio_buffer.speech_started": XaiCodec._turn,
    "input_audio_buffer.speech_stopped": XaiCodec._turn,
    "input_audio_buffer.committed": XaiCodec._committed,
    "conversation.item.added": XaiCodec._added,
    **dict.fromkeys((f"{TRANSCRIPTION}{end}" for end in ("delta", "completed", "failed")), XaiCodec._transcribed),
    "response.created": XaiCodec._response_created,
    "response.output_item.added": XaiCodec._output_item,
    "response.output_item.done": XaiCodec._output_item,
    "response.content_part.added": lambda _, event: [event | {"previous_item_id": "0"}],
    "response.output_audio_transcript.delta": XaiCodec._spoken,
    "response.output_audio.delta": XaiCodec._audio_delta,
    "response.output_audio.done": XaiCodec._sound_done,
    "response.content_part.done": XaiCodec._part_done,
    "response.function_call_arguments.done": XaiCodec._arguments,
    "response.done": XaiCodec._done,
}
"""What xAI's client gets for an event, where it is not the event itself."""


def _forced(event: JsonObject, item: JsonObject) -> JsonObject:
    """Turn an item that is spoken as it stands into the response that it is."""
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": " ".join(texts)}]}
    voice = {"audio": {"output": {"voice": item["voice"]}}} if isinstance(item.get("voice"), str) else {}
    return without(event, "item", "previous_item_id") | {
        "type": "response.create",
        "response": {VERBATIM: said} | voice,
    }


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _response(response: JsonObject) -> JsonObject:
    """Write a response as xAI does: its usage stands elsewhere."""
    return {
        "id": response["id"],
        "object": "realtime.response",
        "output": [_item(item, "user") for item in response["output"]],
        "status": response["status"],
        "status_details": UNKNOWN,
        "usage": {},
    }


def _item(item: JsonObject, role: str) -> JsonObject:
    """Write an item as xAI does: what is no message has a role, too, and what is said is audio."""
    parts = item.get("content")
    content = [part | {"type": "audio"} if part["type"] == "output_audio" else part for part in parts or ()]
    told = {"id": item["id"], "object": "realtime.item", "type": item["type"], "status": "completed"}
    told |= without(item, "phase", "content")
    return {"role": role} | told | ({} if parts is None else {"content": content})


AZURE_PATH = "/openai/v1/realtime"
PADDED = (
    server_events.TranscriptDelta,
    server_events.TextDelta,
    server_events.FunctionArgumentsDelta,
    server_events.TranscriptionDelta,
)
"""Deltas of words: OpenAI pads them, so that their length tells nothing."""

BLOCK = 16
LETTERS = string.ascii_letters + string.digits


class ClientCodec(Protocol):
    """One kind of client."""

    def decode(self, frame: bytes) -> bytes | ServerError:
        """Turn a client's frame into GA, or say what is wrong. The parser refuses what is no JSON object."""

    def encode(self, event: server_events.ServerEvent) -> Iterable[bytes]:
        """Turn an event into the frames that the client gets."""


class GaCodec:
    """OpenAI's own spelling; at Azure, a copy of each part is told, too."""

    def __init__(self, *, is_azure: bool = False) -> None:
        self._is_azure = is_azure

    def decode(self, frame: bytes) -> bytes:
        """Leave it as it is."""
        return frame

    def encode(self, event: server_events.ServerEvent) -> Iterator[bytes]:
        """Pad deltas of words."""
        if self._is_azure and isinstance(event, server_events.RateLimitsUpdated):
            return
        frame = event.encode()
        if isinstance(event, PADDED):
            yield frame[:-1] + b',"obfuscation":"' + _padding(event.event_id, event.delta) + b'"}'
        elif self._is_azure and isinstance(event, server_events.ContentPartAdded | server_events.ContentPartDone):
            yield frame[:-1] + b',"content":' + event.part.model_dump_json(exclude_unset=True).encode() + b"}"
        else:
            yield frame


def codec_for(handshake: Handshake, profile: Profile, clock: Callable[[], float]) -> ClientCodec:
    """Choose the codec of a client, by what it asked for and the model it gets; ``clock`` is Unix time."""
    if profile.provider == "xai":
        return XaiCodec(profile, clock)
    is_voice_live = profile.provider == "azure-voice-live"
    if is_voice_live or wants_beta(handshake):
        return BetaCodec(is_voice_live=is_voice_live)
    return GaCodec(is_azure=handshake.path == AZURE_PATH)


def _padding(event_id: str, delta: str) -> bytes:
    """Make letters that fill a delta up to a whole block, the same for the same event.

    >>> len(_padding("event_1", "Hello")), len(_padding("event_1", "")), len(_padding("event_1", "x" * 16))
    (11, 16, 16)
    """
    length = BLOCK - len(delta) % BLOCK
    number = zlib.crc32(event_id.encode())
    return "".join(LETTERS[(number >> shift) * (shift + 7) % len(LETTERS)] for shift in range(length)).encode()
