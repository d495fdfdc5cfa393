"""What each model does on the wire, as its live sessions were recorded: one row per model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tau_stage.errors import UsageError


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
        raise UsageError(f"unknown understudy profile {name!r}", f"the profiles are: {', '.join(PROFILES)}")
    return PROFILES[name]


def profile_of(model: str) -> Profile | None:
    """Find the profile of a model, dated or not; None where nobody knows it."""
    return next((profile for profile in MODELS.values() if profile.is_meant_by(model)), None)
