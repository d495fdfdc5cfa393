"""How servers spell the protocol: names and shapes are mapped at the edge, inside there is only GA.

A dialect is a pair of pure functions per side, on one event. Sources: openai-python 3.52.0 (``types/beta/realtime`` and
``types/realtime``) for the beta; docs.x.ai for xAI.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

Event = dict[str, Any]
Turn = Callable[[Event], list[Event]]
"""One event into none, one or several."""

NEW_NAMES = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
}
OLD_NAMES = {new: old for old, new in NEW_NAMES.items()}
FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
OLD_FORMATS = {new: old for old, new in FORMATS.items()}
OLD_PARTS = {"output_text": "text", "output_audio": "audio"}
NEW_PARTS = {old: new for new, old in OLD_PARTS.items()}

FLAT = (
    ("voice", ("audio", "output", "voice")),
    ("speed", ("audio", "output", "speed")),
    ("input_audio_transcription", ("audio", "input", "transcription")),
    ("input_audio_noise_reduction", ("audio", "input", "noise_reduction")),
    ("turn_detection", ("audio", "input", "turn_detection")),
    ("max_response_output_tokens", ("max_output_tokens",)),
)
"""Where the beta's flat fields stand in GA."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of server spells events.

    Attributes:
        name: As an endpoint names it.
        outward: A client's GA event, as the server wants it.
        inward: A server's event, as GA has it.
    """

    name: str
    outward: Turn | None = None
    inward: Turn | None = None

    def to_server(self, frame: bytes) -> bytes:
        """A client's GA frame in this dialect."""
        if self.outward is None:
            return frame
        (event,) = self.outward(from_json(frame))
        return to_json(event)

    def from_server(self, frame: bytes) -> bytes:
        """A server's frame as GA; what is no JSON object is left for the decoder to refuse."""
        if self.inward is None:
            return frame
        try:
            event = from_json(frame)
        except ValueError:
            return frame
        if not isinstance(event, dict):
            return frame
        (turned,) = self.inward(event)
        return to_json(turned)


def flat_session(session: Event) -> Event:
    """A GA session as the beta's flat one; what the beta lacks is left out.

    >>> flat_session({"type": "realtime", "output_modalities": ["audio"], "audio": {"output": {"voice": "ash"}}})
    {'modalities': ['audio', 'text'], 'voice': 'ash'}
    """
    dropped = {"type", "audio", "output_modalities", "max_output_tokens", "truncation", "prompt", "include"}
    dropped |= {"reasoning", "parallel_tool_calls"}
    flat = {key: value for key, value in session.items() if key not in dropped}
    if modalities := session.get("output_modalities"):
        flat["modalities"] = ["audio", "text"] if "audio" in modalities else ["text"]
    for old, path in FLAT:
        found, value = _dig(session, path)
        if found:
            flat[old] = value
    for side in ("input", "output"):
        found, form = _dig(session, ("audio", side, "format"))
        if found and form:
            flat[f"{side}_audio_format"] = OLD_FORMATS.get(form.get("type"), form.get("type"))
    return flat


def nested_session(flat: Event) -> Event:
    """The beta's flat session as a GA one.

    >>> nested_session({"voice": "ash", "turn_detection": None, "temperature": 0.8})["audio"]
    {'output': {'voice': 'ash'}, 'input': {'turn_detection': None}}
    """
    moved = {old for old, _ in FLAT} | {"modalities", "temperature", "input_audio_format", "output_audio_format"}
    session: Event = {"type": "realtime"} | {key: value for key, value in flat.items() if key not in moved}
    if "modalities" in flat:
        session["output_modalities"] = ["audio"] if "audio" in flat["modalities"] else ["text"]
    for old, path in FLAT:
        if old in flat:
            _bury(session, path, flat[old])
    for side in ("input", "output"):
        form = flat.get(f"{side}_audio_format")
        if form:
            kind = FORMATS.get(form, form)
            _bury(session, ("audio", side, "format"), {"type": kind} | ({"rate": 24000} if kind == "audio/pcm" else {}))
    return session


def _dig(tree: Event, path: tuple[str, ...]) -> tuple[bool, Any]:
    at: Any = tree
    for step in path:
        if not isinstance(at, dict) or step not in at:
            return False, None
        at = at[step]
    return True, at


def _bury(tree: Event, path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = value


def parts_renamed(event: Event, names: dict[str, str]) -> Event:
    """An event whose assistant content has its types under other names."""

    def item(told: Any) -> Any:
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
                response = response | {key: [item(told) for told in response[key]]}
        event = event | {"response": response}
    return event


def _beta_outward(event: Event) -> list[Event]:
    if isinstance(event.get("session"), dict):
        event = event | {"session": flat_session(event["session"])}
    response = event.get("response")
    if isinstance(response, dict):
        keep = {key: response[key] for key in ("metadata", "conversation", "input", "instructions") if key in response}
        event = event | {"response": _old_response(response) | keep}
    return [parts_renamed(event, OLD_PARTS)]


def _old_response(response: Event) -> Event:
    """What a beta ``response.create`` calls its fields."""
    flat = flat_session(response)
    if "max_response_output_tokens" in flat:
        flat["max_output_tokens"] = flat.pop("max_response_output_tokens")
    return flat


def _beta_inward(event: Event) -> list[Event]:
    event = event | {"type": NEW_NAMES.get(event.get("type", ""), event.get("type"))}
    if isinstance(event.get("session"), dict) and event["session"].get("type") != "realtime":
        event = event | {"session": nested_session(event["session"])}
    return [parts_renamed(event, NEW_PARTS)]


def _xai_outward(event: Event) -> list[Event]:
    """Voice, turn detection and the like at the session's top, formats nested."""
    session = event.get("session")
    if not isinstance(session, dict):
        return [event]
    found: Event = {key: value for key, value in session.items() if key not in {"type", "output_modalities"}}
    audio = {side: dict(value) for side, value in (session.get("audio") or {}).items()}
    for side, key in (("output", "voice"), ("input", "turn_detection"), ("output", "speed")):
        if side in audio and key in audio[side]:
            found[key] = audio[side].pop(key)
    return [event | {"session": found | ({"audio": audio} if audio else {})}]


def _xai_inward(event: Event) -> list[Event]:
    """The input transcript comes whole each time, not in pieces."""
    if event.get("type") == "conversation.item.input_audio_transcription.updated":
        event = event | {"type": "conversation.item.input_audio_transcription.delta", "delta": ""}
    session = event.get("session")
    if isinstance(session, dict):
        nested = {"type": "realtime"} | session
        for side, key in (("output", "voice"), ("input", "turn_detection"), ("output", "speed")):
            if key in session:
                del nested[key]
                _bury(nested, ("audio", side, key), session[key])
        event = event | {"session": nested}
    return [event]


GA = Dialect("ga")
BETA = Dialect("beta", _beta_outward, _beta_inward)
XAI = Dialect("xai", _xai_outward, _xai_inward)

DIALECTS = {dialect.name: dialect for dialect in (GA, BETA, XAI)}
"""Every dialect an endpoint can have."""
