"""Every endpoint that deviates plays a scene to its end, on a server that behaves as reported. On a virtual clock."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tau_stage.stage.opening import Stage
from tau_stage.stage.perform import perform
from tau_stage.take.folder import TakeFolder
from tau_stage.take.model import Take
from tests.playhouse import plan_of
from tests.scripted_providers import NAMES, ScriptedProvider
from tests.tones import tone

TELLS_USAGE = {"xai", "stepfun", "azure-voice-live", "inworld"}


def look() -> str:
    """Somebody asks how the weather is."""
    return "foggy"


def scene_for(provider: ScriptedProvider) -> str:
    first, second, third = provider.script["voices"]
    return f"""
model: "{provider.script["model"]}"
endpoint: {provider.script["endpoint"]}
persona: You speak softly.
players: {{ann: {{voice: "{first}"}}, bob: {{voice: "{second}", tools: none}}, cy: {{voice: "{third}", tools: none}}}}
tools: {{look: {{description: Somebody asks how the weather is., returns: foggy}}}}
lines:
  - ann: Hello there, my friend.
  - bob: Good day to both of you.
  - cy: And how is the weather?
  - ann:
    improvise:
  - cy: So I thought.
"""


async def performed(provider: ScriptedProvider, tmp_path: Path) -> tuple[Take, TakeFolder]:
    folder = TakeFolder.create(tmp_path, "scene", datetime(2026, 11, 21, tzinfo=UTC), "1")
    stage = Stage(lambda _player: provider.connected(), lambda _player: provider.place)
    return await perform(plan_of(scene_for(provider)), stage, folder), folder


@pytest.mark.parametrize("name", NAMES)
async def test_a_scene_of_three_runs_to_its_end(name: str, tmp_path: Path) -> None:
    provider = ScriptedProvider(name)
    take, folder = await performed(provider, tmp_path)
    assert (take.ended, take.problem) == ("complete", "")
    assert [line.said for line in take.lines] == [
        "Hello there, my friend.", "Good day to both of you.", "And how is the weather?",
        "It is foggy, they say.", "So I thought.",
    ]  # fmt: skip
    voices = str(provider.script["voices"])
    assert [line.samples for line in take.lines] == [len(tone(voices, line.said)) for line in take.lines]
    assert [line.attempts for line in take.lines] == [1] * 5
    assert [(call.tool, call.output) for call in take.lines[3].calls] == [("look", "foggy")]
    assert [len(line.hearers) for line in take.lines] == [2] * 5
    assert [(folder.stems / f"{player}.wav").exists() for player in ("ann", "bob", "cy")] == [True] * 3
    assert (take.usage.audio_out > 0) is (name in TELLS_USAGE)
    assert [warning for warning in take.warnings if "asked was" in warning] == []


@pytest.mark.parametrize("name", NAMES)
async def test_a_server_is_asked_for_its_session_in_its_own_form_and_told_what_is_heard(
    name: str, tmp_path: Path
) -> None:
    provider = ScriptedProvider(name)
    await performed(provider, tmp_path)
    for number, voice in enumerate(provider.script["voices"]):
        (update,) = provider.sent("session.update", number)
        asked = dict(update["session"])
        tools = asked.pop("tools", None)
        assert bool(tools) is (number == 0)
        assert asked.pop("instructions")
        assert asked.pop("tool_choice", None) is None
        spoken_as = asked.pop("voice", None) or asked["audio"]["output"].pop("voice")
        assert spoken_as in (voice, {"type": "azure-standard", "name": voice})
        assert asked == provider.script["asks"]
        heard = [
            part
            for event in provider.sent("conversation.item.create", number)
            for part in event["item"].get("content", ())
            if part["type"] == "input_audio"
        ]
        assert len(heard) == 3 if number != 1 else 4
        assert all(part["transcript"] for part in heard)
