"""What each model does, and the effective session: what a new one is, and how an update changes it.

A row for each model, as its live sessions were recorded. The defaults of a session stand in ``settings.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
from pydantic_core import from_json

from tau_stage.audio import Format
from tau_stage.errors import UsageError
from tau_stage.protocol import Item, JsonObject, ResponseConfig, SessionConfig, StatusDetails, WireResponse
from tau_stage.understudy.stored_items import StoredItem


@dataclass(frozen=True, slots=True)
class Profile:
    """How one model differs from the others. What it shares with them stands in no row."""

    model: str
    provider: str = "openai"  # whose spelling it answers in: ``openai``, ``azure-voice-live`` or ``xai``
    voice: str = "marin"  # of a session that asks for none
    detects_turns: bool = True  # whether it listens for turns, where the client does not say
    silence_ms: int = 500  # silence that ends a turn, where the client sets none
    phases: bool = False  # whether a message says which phase of an answer it is
    comments: bool = False  # whether a message comes before calls of tools: what it is about to do
    interleaves: bool = False  # whether a call is begun before the message before it is whole
    verbatim: bool = False  # whether a text can be spoken as it stands
    reasons: bool = False  # whether thinking is billed, as text that nobody sees
    limits_every: int = 0  # after every how many responses the limits are told; 0 is never

    def is_meant_by(self, model: str) -> bool:
        """Tell whether a name means this model: its own, with any date; at xAI any of Grok's, at Voice Live any."""
        if self.provider == "azure-voice-live":
            return True
        if self.provider == "xai":
            return model.startswith("grok-")
        return model == self.model or model.startswith(f"{self.model}-20")

    @property
    def quiet(self) -> Profile:
        """The same model on a day when it calls tools without a word before."""
        return replace(self, comments=False)


CURRENT = Profile("gpt-realtime-2.1", phases=True, comments=True, interleaves=True, reasons=True, limits_every=2)
PREVIOUS = Profile("gpt-realtime", voice="alloy", silence_ms=200)
XAI = Profile("grok-voice-latest", provider="xai", voice="ara", detects_turns=False, comments=True, verbatim=True)
VOICE_LIVE = replace(PREVIOUS, provider="azure-voice-live", verbatim=True)

MODELS = {
    "gpt-realtime": PREVIOUS,
    "gpt-realtime-mini": replace(PREVIOUS, model="gpt-realtime-mini"),
    "gpt-realtime-1.5": replace(PREVIOUS, model="gpt-realtime-1.5"),
    "gpt-realtime-2": replace(CURRENT, model="gpt-realtime-2"),
    "gpt-realtime-2.1": CURRENT,
    "gpt-realtime-2.1-mini": replace(CURRENT, model="gpt-realtime-2.1-mini"),
    "gpt-4o-realtime-preview": replace(PREVIOUS, model="gpt-4o-realtime-preview"),
    "gpt-4o-mini-realtime-preview": replace(PREVIOUS, model="gpt-4o-mini-realtime-preview"),
}
"""Models of OpenAI's that the understudy stands in for, with any date behind them."""

PROFILES = MODELS | {"xai": XAI, "azure-voice-live": VOICE_LIVE}  # what `--as` takes


def profile_named(name: str) -> Profile:
    """Look up the profile of a name that a command line tells; a ``UsageError`` where there is none.

    >>> profile_named("gpt-realtime").voice
    'alloy'
    """
    if name not in PROFILES:
        raise UsageError(f"unknown understudy profile {name!r}", f"known profiles: {', '.join(PROFILES)}")
    return PROFILES[name]


def profile_of(model: str) -> Profile | None:
    """Find the profile of a model, dated or not; None where nobody knows it."""
    return next((profile for profile in MODELS.values() if profile.is_meant_by(model)), None)


Settings = JsonObject

WITHIN = ("audio", "input", "output")  # parts of a session that are merged, not replaced
DEFAULTS: Mapping[str, Settings] = from_json(Path(__file__).with_suffix(".json").read_bytes())
"""What a session is where nothing is asked for, and what stands beside a setting that is asked for in part."""


def new_session(session_id: str, model: str, expires_at: int, profile: Profile = CURRENT) -> Settings:
    """Make a session as OpenAI does: turn detection is on, the voice is the model's. ``expires_at`` is Unix time."""
    audio = {
        "input": {"turn_detection": _server_vad(profile) if profile.detects_turns else None},
        "output": {"voice": profile.voice},
    }
    own = {"id": session_id, "model": model, "expires_at": expires_at, "audio": audio}
    return merge_settings(DEFAULTS["new_session"], own)


def _server_vad(profile: Profile) -> Settings:
    return DEFAULTS["server_vad"] | {"silence_duration_ms": profile.silence_ms}


def update_session(session: Settings, wanted: SessionConfig, profile: Profile = CURRENT) -> Settings:
    """Update a session: only what is present changes, null clears, ``audio`` is merged."""
    told = wanted.model_dump(mode="json", exclude_unset=True)
    heard = told.get("audio", {}).get("input", {})
    if turns := heard.get("turn_detection"):
        usual = _server_vad(profile) if turns["type"] == "server_vad" else DEFAULTS["semantic_vad"]
        heard["turn_detection"] = usual | turns
    if transcription := heard.get("transcription"):
        heard["transcription"] = DEFAULTS["transcription"] | transcription
    return merge_settings(session, told)


def format_of(session: Settings, side: str) -> Format:
    """Tell how sound travels: ``input`` from the client, ``output`` to it."""
    form = session["audio"][side]["format"]
    return Format(form["type"], form.get("rate") or 8_000)


def voice_name(voice: str | dict[str, str]) -> str:
    """Write a voice in one word; a custom voice is told as an object."""
    return voice if isinstance(voice, str) else voice["id"]


CLEARED_BY_NULL = frozenset({"turn_detection", "noise_reduction", "transcription", "tracing", "include"})


def forbidden_null(told: Settings, place: str = "session") -> str | None:
    """Find the path of the first null in an update where null means nothing; turned off are only a few fields."""
    for key, value in told.items():
        if value is None and key not in CLEARED_BY_NULL:
            return f"{place}.{key}"
        if isinstance(value, dict) and key in WITHIN and (found := forbidden_null(value, f"{place}.{key}")):
            return found
    return None


def merge_settings(old: Settings, new: Settings) -> Settings:
    """Return old settings with what is new; ``audio`` and its sides are merged."""
    merged = {
        key: merge_settings(old[key], new[key]) for key in WITHIN if key in old and isinstance(new.get(key), dict)
    }
    return old | new | merged


@dataclass(slots=True)
class ResponseRun:
    """A response under way."""

    id: str
    item_id: str  # id of the message it makes
    wanted: ResponseConfig
    settings: Settings  # the session's when it was asked, with the response's own
    conversational: bool  # whether it is part of the conversation
    read: tuple[StoredItem, ...]
    stopped: str | None = None  # why it must end early, once it must
    over: anyio.Event = field(default_factory=anyio.Event)  # set when it has ended
    halted: anyio.Event = field(default_factory=anyio.Event)  # set when it must end early

    @property
    def last(self) -> StoredItem:
        """What it reads last; an empty item where it reads nothing."""
        return self.read[-1] if self.read else StoredItem.of(Item())

    def stop(self, why: str) -> None:
        """End it early."""
        self.stopped = why
        self.halted.set()

    @property
    def max_tokens(self) -> int | str:
        """Its cap, or ``inf``."""
        cap: int | str = self.settings["max_output_tokens"]
        return cap

    @property
    def verbatim(self) -> str:
        """What it speaks as it stands, where it is given a text; else empty."""
        message = self.wanted.pre_generated_assistant_message
        return " ".join(part.text for part in message.content) if message else ""

    @property
    def form(self) -> Format:
        """How its sound travels."""
        return format_of(self.settings, "output")

    @property
    def voice(self) -> str:
        """Who speaks."""
        return voice_name(self.settings["audio"]["output"]["voice"])

    def as_event(
        self,
        status: str,
        *,
        details: StatusDetails | None = None,
        output: Sequence[Item] = (),
        spent: JsonObject | None = None,
    ) -> WireResponse:
        """Write the response as the wire has it."""
        return WireResponse(
            object="realtime.response",
            id=self.id,
            status=status,
            status_details=details,
            output=tuple(output),
            conversation_id="conv_1" if self.conversational else None,
            output_modalities=tuple(self.settings["output_modalities"]),
            max_output_tokens=self.max_tokens,
            audio={"output": {"format": self.form.told, "voice": self.voice}},
            usage=spent,
            metadata=self.wanted.metadata,
        )
