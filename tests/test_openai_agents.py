"""The `openai-agents` package holds a spoken conversation of two turns, with a tool, against the understudy."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tau_stage.audio.pcm import Pcm
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.tone_voice import Tones, tone

agents = pytest.importorskip("agents", reason="it is in the extra `test-agents`, as it wants websockets below 17")
realtime = pytest.importorskip("agents.realtime", reason="it is in the extra `test-agents`")


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: the package is asyncio."""
    return "asyncio"


def lights_on() -> str:
    """The listener wants the lights on."""
    return '{"light": "bright"}'


async def ended(session: Any) -> list[Any]:
    """Every event until the agent has spoken to its end."""
    events: list[Any] = []
    with anyio.fail_after(50):
        async for event in session:
            assert event.type != "error", event
            events.append(event)
            if event.type == "audio_end":
                return events
    raise AssertionError("the session ended")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_two_spoken_turns_and_a_tool() -> None:
    settings: Any = {
        "model_name": "gpt-realtime-2.1",
        "voice": "cedar",
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 200},
        "tracing": None,
    }
    agent: Any = realtime.RealtimeAgent(
        name="keeper", instructions="Be brief.", tools=[agents.function_tool(lights_on)]
    )
    async with open_understudy(Understudy(Tones())) as url:
        place: Any = {
            "api_key": "k",
            "url": f"{url}/v1/realtime?model=gpt-realtime-2.1",
            "initial_model_settings": settings,
        }
        runner: Any = realtime.RealtimeRunner(agent, config={"model_settings": settings})
        async with await runner.run(model_config=place) as session:
            speech = Pcm.join([Pcm.silence(12_000), tone("ash", "Is anybody there?"), Pcm.silence(24_000)])
            for at in range(0, len(speech), 2400):
                await session.send_audio(speech[at : at + 2400].data)
            first = await ended(session)
            await session.send_message("Lights on, please.")
            second = await ended(session)
    spoken = b"".join(event.audio.data for event in first if event.type == "audio")
    assert len(spoken) > 4800
    assert "tool_end" in {event.type for event in second}
    assert Pcm(b"".join(event.audio.data for event in second if event.type == "audio")) == tone(
        "cedar", "Light: bright."
    )
