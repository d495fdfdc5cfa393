"""When models end, and what succeeds them, as their providers have announced it. The date of today is given."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tau_stage import protocol
from tau_stage.scene import ListenPlan, Plan, PlayerPlan

NOTICE = timedelta(days=90)
"""A model without a successor is told of so long before its end: until then there is nothing to be done."""

_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4})$")


@dataclass(frozen=True, slots=True)
class Retirement:
    """The end of a model."""

    model: str  # its name; dated forms without an end of their own share it
    ends: date  # the day it is shut down
    successor: str  # what to use instead; empty where nothing is named

    def is_worth_telling(self, today: date) -> bool:
        """Tell whether somebody who uses the model can do something about it."""
        return bool(self.successor) or today + NOTICE >= self.ends

    def describe(self, today: date) -> str:
        """Write the end and the successor as the second half of a sentence about the model.

        >>> RETIREMENTS["openai"]["gpt-realtime"].describe(date(2026, 12, 1))
        'will be shut down on 2027-01-20; its successor is gpt-realtime-2.1'
        >>> RETIREMENTS["openai"]["gpt-realtime"].describe(date(2027, 1, 20))
        'was shut down on 2027-01-20; its successor is gpt-realtime-2.1'
        """
        verb = "was shut down" if today >= self.ends else "will be shut down"
        then = f"its successor is {self.successor}" if self.successor else "no successor has been announced"
        return f"{verb} on {self.ends}; {then}"


def read_models(file: str) -> dict[str, dict[str, list[Any]]]:
    """Read what a file beside this one tells of models, by provider and by model; models may share a row."""
    providers = tomllib.loads(Path(__file__).with_name(file).read_text("utf-8"))
    return {
        provider: {model: row for models, row in rows.items() for model in models.split()}
        for provider, rows in providers.items()
    }


RETIREMENTS = {
    provider: {model: Retirement(model, *end) for model, end in rows.items()}
    for provider, rows in read_models("retirements.toml").items()
}
"""Models by provider (as price lists name it), and by name; ``retirements.toml`` says who announced what."""


def retirement_of(model: str, provider: str = "openai") -> Retirement | None:
    """Find the announced end of a model; None where none is known.

    Args:
        model: Its name, dated or not; on Azure, of a deployment that is called as its model.
        provider: Whose model it is, as an endpoint's ``price_provider`` says.

    >>> retirement_of("tts-1-1106").ends, retirement_of("gpt-realtime-2.1"), retirement_of("grok-voice-3.0", "x-ai")
    (datetime.date(2027, 1, 6), None, None)
    """
    known = RETIREMENTS.get(provider, {})
    return known.get(model) or known.get(undated(model))


def undated(model: str) -> str:
    """Strip the date from the name of a model.

    >>> undated("gpt-4o-realtime-preview-2025-06-03"), undated("tts-1-1106"), undated("gpt-realtime-2.1")
    ('gpt-4o-realtime-preview', 'tts-1', 'gpt-realtime-2.1')
    """
    return _DATED.sub("", model)


def retirement_warnings(
    plan: Plan, today: date, provider_of: Callable[[PlayerPlan], protocol.Endpoint] | None = None
) -> tuple[str, ...]:
    r"""Warn a plan's author of the models it names, in one sentence for each model.

    Args:
        plan: From a scene.
        today: The date.
        provider_of: Who plays a player; without it, whom the scene names, else OpenAI.

    >>> from tau_stage.scene.load import parse_scene
    >>> from tau_stage.scene.planner import make_plan
    >>> plan = make_plan(parse_scene("model: gpt-realtime\nplayers: {ann: , ben: }\nlines: [ann: Hello.]"))
    >>> retirement_warnings(plan, date(2026, 11, 27))
    ('players ann and ben: gpt-realtime will be shut down on 2027-01-20; its successor is gpt-realtime-2.1',)
    """
    using: dict[str, dict[str, None]] = {}
    for player, model in _used(plan):
        ends = filter(None, (retirement_of(model, provider) for provider in RETIREMENTS))
        if not any(end.is_worth_telling(today) for end in ends):
            continue  # as of most models, so that no endpoint is looked for
        place = provider_of(player) if provider_of else protocol.endpoint(player.endpoint or "openai")
        found = retirement_of(model, _provider(place))
        if found and found.is_worth_telling(today):
            using.setdefault(f"{model} {found.describe(today)}", {})[player.name] = None
    return tuple(f"{_players([*names])}: {told}" for told, names in using.items())


def _used(plan: Plan) -> list[tuple[PlayerPlan, str]]:
    """List each model that is played or listened with, and whose it is."""
    steps = (step for steps in plan.step_lists for step in steps if isinstance(step, ListenPlan))
    models = [(player, {"model": player.model}) for player in plan.models]
    models += [(player, dict(player.transcription or ())) for player in plan.models]
    models += [(plan.player(step.player), dict(step.transcription or ())) for step in steps]
    return [(player, options["model"]) for player, options in models if "model" in options]


def _provider(place: protocol.Endpoint) -> str:
    """Tell whose models an endpoint has; at an address of your own, a name of OpenAI's is taken for OpenAI's model."""
    if place.name == protocol.UNDERSTUDY:
        return protocol.UNDERSTUDY
    host = urlsplit(place.url).hostname or ""
    return "azure" if place.name.startswith("azure") or host.endswith(".azure.com") else place.price_provider


def coming_retirements(today: date, provider: str = "openai") -> tuple[tuple[str, str], ...]:
    """List the models that end after today: their names, without dated ones, and what there is to say of them.

    >>> coming_retirements(date(2027, 2, 1))[0]
    ('whisper-1, gpt-4o-transcribe, gpt-4o-transcribe-diarize, gpt-4o-mini-transcribe', \
'will be shut down on 2027-02-26; its successor is gpt-transcribe')
    """
    together: dict[tuple[date, str], list[str]] = {}
    for row in sorted(RETIREMENTS[provider].values(), key=lambda row: row.ends):
        if row.ends > today and undated(row.model) == row.model:
            together.setdefault((row.ends, row.describe(today)), []).append(row.model)
    return tuple((", ".join(models), told) for (_, told), models in together.items())


def _players(names: list[str]) -> str:
    if len(names) == 1:
        return f"player {names[0]}"
    return f"players {', '.join(names[:-1])} and {names[-1]}"
