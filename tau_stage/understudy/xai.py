"""xAI's spelling from the server's side, as its live sessions were recorded: GA in, xAI's events out."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pybase64

from tau_stage.audio.pcm import RATE
from tau_stage.protocol.config import SessionConfig
from tau_stage.protocol.dialects import Event
from tau_stage.understudy.billing import text_tokens
from tau_stage.understudy.profiles import Profile

OWN_ID = re.compile(r"(?:event|item|resp|sess|call)_\d{12,}")
"""An id that the understudy has made; a client's own id stays."""

ID_FIELDS = ("item_id", "response_id", "call_id", "previous_item_id", "id")
UNTOLD = frozenset({"conversation.item.done", "rate_limits.updated"})
TOKENS_PER_S = 50
"""Tokens of a second of sound, heard or spoken."""

TRANSCRIPTION = "conversation.item.input_audio_transcription."
UNKNOWN = "unimplemented"


@dataclass(slots=True)
class XaiDialect:
    """One client's connection: what must be remembered between its events.

    Attributes:
        profile: The model it gets.
        clock: Unix time.
        session: What the client has asked for.
    """

    profile: Profile
    clock: Callable[[], float]
    session: Event = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)
    _model: str = ""
    _heard: set[str] = field(default_factory=set)
    _started_ms: int = 0
    _awaited: str = ""
    _held: list[Event] = field(default_factory=list)
    _words: dict[str, list[str]] = field(default_factory=dict)
    _text_in: int = 0
    _audio_in_s: float = 0.0
    _audio_out_s: float = 0.0
    _rid: str = ""

    def heard(self, event: Event) -> Event:
        """A client's event as GA: voice and turn detection stand at the session's top.

        >>> dialect = XaiDialect(Profile("grok"), lambda: 0.0)
        >>> dialect.heard({"type": "session.update", "session": {"voice": "eve"}})["session"]["audio"]
        {'output': {'voice': 'eve'}}
        """
        event = self._named(event, {theirs: ours for ours, theirs in self._ids.items()})
        asked = event.get("session")
        if not isinstance(asked, dict):
            return event
        self.session = self.session | asked
        known = SessionConfig.model_fields.keys() - {"reasoning"}
        session = {"type": "realtime"} | {key: value for key, value in asked.items() if key in known}
        audio = {side: dict(value) for side, value in (asked.get("audio") or {}).items() if isinstance(value, dict)}
        for side, key in (("output", "voice"), ("output", "speed"), ("input", "turn_detection")):
            if key in asked:
                audio.setdefault(side, {})[key] = _turns(asked[key]) if key == "turn_detection" else asked[key]
        return event | {"session": session | ({"audio": audio} if audio else {})}

    def told(self, event: Event) -> list[Event]:
        """A GA event as xAI's client gets it: none, one, or several."""
        kind = event["type"]
        if kind in UNTOLD:
            return []
        if kind == "session.created":
            return self._created(event)
        found = self._told(kind, event)
        return [self._named({"previous_item_id": None} | one, self._ids) for one in found]

    def _told(self, kind: str, event: Event) -> list[Event]:
        match kind.removeprefix("response."):
            case "session.updated":
                return [event | {"session": self._echo()}]
            case "input_audio_buffer.speech_started" | "input_audio_buffer.speech_stopped":
                return self._turn(event)
            case "input_audio_buffer.committed":
                self._awaited = event["item_id"] if self._transcribes else ""
                return [event | {"previous_item_id": None}]
            case "conversation.item.added":
                return self._added(event)
            case "created":
                created = event | {"response": _response(event["response"])}
                if self._awaited:
                    self._held.append(created)
                return [] if self._awaited else [created]
            case "output_item.added" | "output_item.done":
                item = {key: value for key, value in _item(event["item"], "user").items() if key != "content"}
                return [event | {"item": item, "output_index": 0}]
            case "done":
                return [self._done(event)]
            case _ if kind.startswith(TRANSCRIPTION):
                return self._transcribed(kind, event)
            case _ if "function_call_arguments" in kind:
                return self._arguments(kind, event)
            case _:
                return self._part(kind, event)

    @property
    def _transcribes(self) -> bool:
        return bool(((self.session.get("audio") or {}).get("input") or {}).get("transcription"))

    # ---- the session

    def _created(self, event: Event) -> list[Event]:
        session = event["session"]
        self._model = session["model"]
        told = {
            "id": uuid.uuid5(uuid.NAMESPACE_OID, session["id"]).hex,
            "object": "realtime.session",
            "instructions": "",
            "voice": self.profile.voice,
            "modalities": ["audio"],
            "turn_detection": {"type": None},
            "tools": [],
            "model": self._model,
        }
        conversation = {"id": _uuid(f"conversation of {session['id']}"), "object": "realtime.conversation"}
        first = {"type": "session.created", "event_id": _uuid(event["event_id"]), "session": told}
        second = {
            "type": "conversation.created",
            "event_id": _uuid(event["event_id"] + "/conversation"),
            "conversation": conversation,
            "previous_item_id": None,
        }
        ping = {
            "type": "ping",
            "event_id": _uuid(event["event_id"] + "/ping"),
            "timestamp": self._now_ms,
            "previous_item_id": None,
        }
        return [first, second, ping]

    @property
    def _now_ms(self) -> int:
        return int(self.clock() * 1000)

    def _echo(self) -> Event:
        """What the client has asked for, and what xAI says of itself."""
        asked = {key: value for key, value in self.session.items() if key not in {"audio", "tools", "type"}}
        if self.session.get("tools"):
            asked["tools"] = [
                {"type": tool["type"], "function": {key: value for key, value in tool.items() if key != "type"}}
                for tool in self.session["tools"]
                if isinstance(tool, dict) and "type" in tool
            ]
        audio = {
            side: {"transport": "json"} | (value if isinstance(value, dict) else {})
            for side, value in (self.session.get("audio") or {}).items()
        }
        written = {"input_audio_transcription": audio["input"]["transcription"]} if self._transcribes else {}
        return {
            "instructions": "",
            "turn_detection": {"type": None},
            "enable_noise_suppression": True,
            "model": self._model,
            "keep_context": False,
            "enable_phonetic_spelling": False,
            "modalities": ["audio"],
            "input_audio_format": "not specified",
            "output_audio_format": "not specified",
            "tool_choice": "auto",
            "temperature": -1.0,
            "max_response_output_tokens": "inf",
            **written,
            **asked,
            "audio": audio,
        }

    # ---- what is heard

    def _turn(self, event: Event) -> list[Event]:
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

    def _added(self, event: Event) -> list[Event]:
        item = event["item"]
        if item["id"] in self._heard:
            return []
        if item["type"] != "message":
            return [event | {"item": _item(item, "tool"), "previous_item_id": None}]
        if item["role"] == "user":
            self._text_in += sum(text_tokens(part.get("text") or "") for part in item["content"])
        return [event | {"item": _item(item, "user")}]

    def _transcribed(self, kind: str, event: Event) -> list[Event]:
        """The words come whole each time, and as completed several times."""
        words = self._words.setdefault(event["item_id"], [])
        if kind.endswith("delta"):
            words.append(event["delta"])
            return []
        del self._words[event["item_id"]]
        held, self._held, self._awaited = self._held, [], ""
        if not kind.endswith("completed"):
            return [event, *held]
        base = {"item_id": event["item_id"], "content_index": 0}
        found: list[Event] = []
        for number in range(2 if words else 0):
            partial = base | {"transcript": "".join(words[: (number + 1) * len(words) // 2 or 1])}
            place = f"{event['event_id']}/{number}"
            found.append(partial | {"type": f"{TRANSCRIPTION}updated", "event_id": f"{place}u"})
            found.append(partial | {"type": kind, "event_id": f"{place}c", "status": "in_progress"})
        whole = base | {"type": kind, "event_id": event["event_id"], "transcript": event["transcript"]}
        return [*found, whole | {"status": "completed"}, *held]

    # ---- what is said

    def _part(self, kind: str, event: Event) -> list[Event]:
        """Parts of a message: words are told after the sound that they begin with."""
        match kind.removeprefix("response."):
            case "content_part.added":
                return [event | {"previous_item_id": "0"}]
            case "output_audio_transcript.delta":
                self._held.append(event | {"start_time": round(self._audio_out_s, 2)})
                return []
            case "output_audio.delta":
                return self._sounded(event)
            case "output_audio.done":
                held, self._held = self._held, [event]
                return held
            case "content_part.done":
                held, self._held = self._held, []
                return [{key: value for key, value in event.items() if key != "part"}, *held]
            case _:
                return [event]

    def _sounded(self, event: Event) -> list[Event]:
        seconds = len(pybase64.b64decode(event["delta"])) / 2 / RATE
        first = {} if self._audio_out_s else {"latency": "0.50"}
        held, self._held = self._held, []
        self._rid = held[0]["event_id"] if held else self._rid
        self._audio_out_s += seconds
        told = event | {"rid": self._rid, "audio_duration_ms": round(seconds * 1000), "ts": self._now_ms} | first
        return [told, *(words | {"rid": words["event_id"]} for words in held)]

    def _arguments(self, kind: str, event: Event) -> list[Event]:
        """Arguments are told at once."""
        if kind.endswith("delta"):
            return []
        event = event | {"output_index": 0}
        delta = {key: event[key] for key in ("item_id", "response_id", "call_id")}
        delta |= {"type": kind.removesuffix("done") + "delta", "event_id": f"{event['event_id']}/delta"}
        return [delta | {"delta": event["arguments"]}, event]

    def _done(self, event: Event) -> Event:
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
        return event | {"response": _response(response), "response_id": response["id"], "usage": usage}

    # ---- ids

    def _named(self, value: Any, names: dict[str, str]) -> Any:
        """A value with its ids under other names; ids of ours get one when they are told first."""
        if isinstance(value, list):
            return [self._named(inner, names) for inner in value]
        if not isinstance(value, dict):
            return value
        return {
            key: self._name(inner, names)
            if isinstance(inner, str) and (key in ID_FIELDS or key in {"event_id", "rid"})
            else self._named(inner, names)
            for key, inner in value.items()
        }

    def _name(self, told: str, names: dict[str, str]) -> str:
        if names is self._ids and told not in names and OWN_ID.match(told):
            names[told] = f"call-{_uuid(told)}-0" if told.startswith("call_") else _uuid(told)
        return names.get(told, told)


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _turns(detection: Any) -> Any:
    """Turn detection as GA has it: null turns it off, and a type of null does."""
    return None if isinstance(detection, dict) and detection.get("type", "") is None else detection


def _response(response: Event) -> Event:
    """A response as xAI tells it: its usage stands elsewhere."""
    return {
        "id": response["id"],
        "object": "realtime.response",
        "output": [_item(item, "user") for item in response["output"]],
        "status": response["status"],
        "status_details": UNKNOWN,
        "usage": {},
    }


def _item(item: Event, role: str) -> Event:
    """An item as xAI tells it: what is no message has a role, too, and what is said is audio."""
    parts = item.get("content")
    content = [part | {"type": "audio"} if part["type"] == "output_audio" else part for part in parts or ()]
    told = {"id": item["id"], "object": "realtime.item", "type": item["type"], "status": "completed"}
    told |= {key: value for key, value in item.items() if key not in {"phase", "content"}}
    return {"role": role} | told | ({} if parts is None else {"content": content})
