"""How servers spell the protocol: names and shapes are mapped at the edge, inside there is only GA.

What comes in is read alike from every server: the beta's names are unambiguous, so a server may mix them with GA's.
What goes out is spelt as the endpoint wants it. Sources: openai-python 3.52.0 (``types/beta/realtime`` and
``types/realtime``) for the beta; those of the others stand with their endpoints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic_core import from_json, to_json

from tau_stage.protocol.items import JsonObject, with_part, without

NEW_NAMES = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
}
OLD_NAMES = {new: old for old, new in NEW_NAMES.items()}
FORMATS: dict[object, JsonObject] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
OLD_FORMATS = {new["type"]: old for old, new in FORMATS.items()}
OLD_PARTS = {"output_text": "text", "output_audio": "audio"}
NEW_PARTS = {old: new for new, old in OLD_PARTS.items()}

SPEAKS_BETA = (
    "the server uses the event names of the beta API"  # where it is asked in GA and answers in the beta's names
)
CUMULATIVE = "conversation.item.input_audio_transcription.updated"  # xAI's: whole each time
AZURE_VOICE = re.compile(r"[a-z]{2,3}-[\w:-]+")  # `en-US-AvaNeural`, `en-US-Ava:DragonHDLatestNeural`


AZURE_TIMES: JsonObject = {"output_audio_timestamp_types": ["word"], "animation": {"outputs": ["viseme_id"]}}
"""What lets Azure's own voices tell when words are heard, and the shapes of a mouth (azure-ai-voicelive 1.3.1)."""

VERBATIM = "pre_generated_assistant_message"  # Voice Live's name for what is spoken as it stands

NOTHING = object()  # what a field has to say that is left out


def ignore(_fact: object) -> None:
    """Note nothing."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of server spells events.

    It takes a client's GA event ``outward``; where that is None, it wants GA.
    """

    name: str
    outward: Callable[[JsonObject], JsonObject] | None = None

    def to_server(self, frame: bytes) -> bytes:
        """Translate a client's GA frame into this dialect; one that goes to many servers, once."""
        return frame if self.outward is None else _translated(self.outward, frame)

    def read(self, event: JsonObject, note: Callable[[str], None] = ignore) -> JsonObject:
        """Translate a server's event into GA, and note it where it answers in another dialect than it is asked in.

        >>> GA.read({"type": "response.audio.delta", "delta": "AAAA"}, print)["type"]
        the server uses the event names of the beta API
        'response.output_audio.delta'
        """
        kind = event.get("type")
        if new := NEW_NAMES.get(kind) if isinstance(kind, str) else None:
            if self.outward is None:
                note(SPEAKS_BETA)
            event = event | {"type": new}
        elif kind == CUMULATIVE:
            event = event | {
                "type": "conversation.item.input_audio_transcription.completed",
                "status": "in_progress",
            }
        session = event.get("session")
        if isinstance(session, dict) and not ONLY_FLAT.isdisjoint(session):
            event = event | {"session": nested_session(session)}
        return parts_renamed(event, NEW_PARTS) if "item" in event or "response" in event else event


@lru_cache(maxsize=4)
def _translated(outward: Callable[[JsonObject], JsonObject], frame: bytes) -> bytes:
    return to_json(outward(from_json(frame)))


# ---- a session, flat as the beta has it and nested as GA has it


def _same(value: object) -> object:
    return value


def _flat_modalities(told: Sequence[str] | None) -> object:
    return (["text", "audio"] if "audio" in told else ["text"]) if told else NOTHING


def _nested_modalities(told: object) -> object:
    return (["audio"] if "audio" in told else ["text"]) if isinstance(told, list | tuple) else NOTHING


def _flat_format(form: object) -> object:
    return OLD_FORMATS.get(form["type"], form["type"]) if isinstance(form, dict) and "type" in form else NOTHING


def _nested_format(name: object) -> object:
    return dict(FORMATS[name]) if isinstance(name, str) and name in FORMATS else NOTHING


def _voice_name(told: object) -> object:
    """Return a voice, also where Azure tells its own as an object."""
    return told["name"] if isinstance(told, dict) and isinstance(told.get("name"), str) else told


def _turns(told: object) -> object:
    """Return how turns are detected; some servers have a type for not at all."""
    return None if isinstance(told, dict) and told.get("type") in (None, "none") else told


@dataclass(frozen=True, slots=True)
class FlatField:
    """A field of a flat session, where GA has it, and how each value is made of the other; ``NOTHING`` is left out."""

    name: str
    path: tuple[str, ...]
    flatten: Callable[[Any], object] = _same
    nest: Callable[[object], object] = _same


FLAT_FIELDS = (
    FlatField("modalities", ("output_modalities",), _flat_modalities, _nested_modalities),
    FlatField("voice", ("audio", "output", "voice"), nest=_voice_name),
    FlatField("speed", ("audio", "output", "speed")),
    FlatField("input_audio_transcription", ("audio", "input", "transcription")),
    FlatField("input_audio_noise_reduction", ("audio", "input", "noise_reduction")),
    FlatField("turn_detection", ("audio", "input", "turn_detection"), nest=_turns),
    FlatField("max_response_output_tokens", ("max_output_tokens",)),
    FlatField("input_audio_format", ("audio", "input", "format"), _flat_format, _nested_format),
    FlatField("output_audio_format", ("audio", "output", "format"), _flat_format, _nested_format),
)
ONLY_FLAT = {field.name for field in FLAT_FIELDS} | {"temperature"}  # fields that only a flat session has
ONLY_NESTED = {field.path[0] for field in FLAT_FIELDS} | {
    "type", "truncation", "prompt", "include", "reasoning", "parallel_tool_calls",
}  # fmt: skip
"""Fields that a flat session has under another name, or not at all."""


def flat_session(session: JsonObject) -> JsonObject:
    """Turn a GA session into the beta's flat one; what the beta lacks is left out.

    >>> flat_session({"type": "realtime", "output_modalities": ["audio"], "audio": {"output": {"voice": "ash"}}})
    {'modalities': ['text', 'audio'], 'voice': 'ash'}
    """
    flat = without(session, *ONLY_NESTED)
    found = {field.name: field.flatten(told) for field in FLAT_FIELDS for told in _dig(session, field.path)}
    return flat | {name: value for name, value in found.items() if value is not NOTHING}


def nested_session(flat: JsonObject) -> JsonObject:
    """Turn a flat session, or one that is flat in part, into GA; what it tells twice counts as nested.

    >>> nested_session({"voice": "ash", "turn_detection": None, "temperature": 0.8})["audio"]
    {'output': {'voice': 'ash'}, 'input': {'turn_detection': None}}
    """
    session: JsonObject = {"type": "realtime"} | without(flat, *ONLY_FLAT)
    if isinstance(audio := flat.get("audio"), dict):
        session["audio"] = {side: dict(told) if isinstance(told, dict) else told for side, told in audio.items()}
    for field in FLAT_FIELDS:
        if (value := field.nest(flat.get(field.name, NOTHING))) is not NOTHING:
            _bury(session, field.path, value)
    if isinstance(tools := flat.get("tools"), list):
        session["tools"] = [*map(_unwrapped, tools)]
    if "tool_choice" in flat:
        session["tool_choice"] = _unwrapped(flat["tool_choice"])
    return session


def _unwrapped(told: object) -> object:
    """Turn a tool, or the choice of one, into GA: the chat API tells it under ``function``, the beta a name there."""
    inner = told.get("function") if isinstance(told, dict) else None
    inner = {"name": inner} if isinstance(inner, str) else inner
    return {"type": "function"} | inner if isinstance(inner, dict) else told


def _dig(tree: JsonObject, path: tuple[str, ...]) -> Iterator[object]:
    """Yield what stands deep in a session; nothing where the way to it ends."""
    at: object = tree
    for step in path:
        if not isinstance(at, dict) or step not in at:
            return
        at = at[step]
    yield at


def _bury(tree: JsonObject, path: tuple[str, ...], value: object) -> None:
    """Put a value deep into a session, where there is none yet."""
    for step in path[:-1]:
        if not isinstance(tree.get(step), dict):
            tree[step] = {}
        tree = tree[step]
    tree.setdefault(path[-1], value)


def parts_renamed(event: JsonObject, names: dict[str, str]) -> JsonObject:
    """Rename the types of an event's assistant content."""

    def item(told: object) -> object:
        if not isinstance(told, dict) or told.get("role") != "assistant" or not isinstance(told.get("content"), list):
            return told
        content = [
            part | {"type": names.get(str(part.get("type")), part.get("type"))} if isinstance(part, dict) else part
            for part in told["content"]
        ]
        return told | {"content": content}

    if "item" in event:
        event = event | {"item": item(event["item"])}
    response = event.get("response")
    if isinstance(response, dict):
        for key in ("output", "input"):
            if isinstance(response.get(key), list):
                response = response | {key: [*map(item, response[key])]}
        event = event | {"response": response}
    return event


# ---- the beta, and what some of its servers want otherwise


@dataclass(frozen=True, slots=True)
class Flat:
    """How a server wants its flat session."""

    lacks: frozenset[str] = frozenset()  # fields it refuses or does not know
    lacks_null: frozenset[str] = frozenset()  # fields it does not take as null: they are off where they are not told
    has_chat_tools: bool = False  # whether tools are told as in the chat API: under ``function``
    has_chat_choice: bool = False  # whether the choice of one tool is
    has_azure_voices: bool = False  # whether Azure's own voices are told as objects
    wants_transcript: bool = False  # whether a sound must have the words beside it, if only as null

    def outward(self, event: JsonObject) -> JsonObject:
        """Translate a client's GA event into what the server wants."""
        event = with_part(event, "session", self._session)
        event = with_part(event, "response", self._response)
        if self.wants_transcript and isinstance(item := event.get("item"), dict) and "content" in item:
            parts = ({"transcript": None} | part if part["type"] == "input_audio" else part for part in item["content"])
            event = event | {"item": item | {"content": list(parts)}}
        return parts_renamed(event, OLD_PARTS)

    def _session(self, session: JsonObject) -> JsonObject:
        flat = {
            key: value
            for key, value in flat_session(session).items()
            if key not in self.lacks and (value is not None or key not in self.lacks_null)
        }
        if self.has_chat_tools and "tools" in flat:
            flat["tools"] = [*map(_chat_tool, flat["tools"])]
        if self.has_chat_choice and isinstance(choice := flat.get("tool_choice"), dict) and "name" in choice:
            flat["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
        if self.has_azure_voices and isinstance(voice := flat.get("voice"), str) and AZURE_VOICE.fullmatch(voice):
            flat |= {"voice": {"type": "azure-standard", "name": voice}, **AZURE_TIMES}
        return flat

    def _response(self, response: JsonObject) -> JsonObject:
        kept = ("metadata", "conversation", "input", "instructions", VERBATIM)
        keep = {key: response[key] for key in kept if key in response}
        if VERBATIM in keep:
            keep[VERBATIM] = parts_renamed({"item": keep[VERBATIM]}, OLD_PARTS)["item"]
        flat = self._session(response)
        if "max_response_output_tokens" in flat:
            flat["max_output_tokens"] = flat.pop("max_response_output_tokens")
        return flat | keep


def _chat_tool(told: JsonObject) -> JsonObject:
    if told.get("type") != "function":
        return told
    return {"type": "function", "function": without(told, "type")}


# ---- xAI


def _xai_outward(event: JsonObject) -> JsonObject:
    """Move voice and turn detection to the session's top, nest formats and speed; write a beta ``response``.

    What is to be spoken as it stands is an item of a type of its own, which is a turn by itself (docs.x.ai, voice).
    """
    if spoken := (event.get("response") or {}).get(VERBATIM):
        forced = {"type": "force_message", "role": "assistant", "content": spoken["content"]}
        return without(event, "response") | {"type": "conversation.item.create", "item": forced}
    return with_part(with_part(event, "session", _xai_session), "response", _xai_response)


def _xai_response(response: JsonObject) -> JsonObject:
    if "output_modalities" not in response:
        return response
    return without(response, "output_modalities") | {"modalities": _flat_modalities(response["output_modalities"])}


def _xai_session(session: JsonObject) -> JsonObject:
    told = session | {"audio": {side: dict(facts) for side, facts in (session.get("audio") or {}).items() if facts}}
    told.pop("type", None)
    audio, heard = told["audio"], told["audio"].get("input", {})
    if told.pop("output_modalities", None) == ["text"]:
        told["modalities"] = ["text"]
    for name, place, key in (
        ("voice", audio.get("output", {}), "voice"),
        ("turn_detection", heard, "turn_detection"),
        ("max_response_output_tokens", told, "max_output_tokens"),
    ):
        if key in place:
            told[name] = place.pop(key)
    if hints := heard.get("transcription"):
        names = {"language": "language_hint", "keywords": "keyterms"}
        heard["transcription"] = {names.get(key, key): value for key, value in hints.items()}
    told["audio"] = {side: facts for side, facts in audio.items() if facts}
    return {key: value for key, value in told.items() if key != "audio" or value}


GA = Dialect("ga")
BETA = Dialect("beta", Flat().outward)
XAI = Dialect("xai", _xai_outward)
VOICE_LIVE = Dialect("azure-voice-live", Flat(has_azure_voices=True).outward)
STEPFUN = Dialect("stepfun", Flat(has_chat_tools=True, lacks_null=frozenset({"turn_detection"})).outward)
QWEN = Dialect("qwen", Flat(has_chat_tools=True).outward)
_SPEACHES_LACKS = frozenset({"input_audio_format", "output_audio_format", "speed", "input_audio_noise_reduction"})
SPEACHES = Dialect("speaches", Flat(lacks=_SPEACHES_LACKS, has_chat_choice=True, wants_transcript=True).outward)

DIALECTS = {dialect.name: dialect for dialect in (GA, BETA, XAI, VOICE_LIVE, STEPFUN, QWEN, SPEACHES)}
"""Every dialect an endpoint can have."""
