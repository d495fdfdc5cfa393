"""The same conversation with the understudy and with a server that shares nothing with it but the API."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tau_stage.errors import ModelRefused
from tau_stage.protocol.responses import AudioChunk, ResponseEnded
from tau_stage.session import create_session
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.second_server import second_server
from tests.support.tone_voice import Tones, tone

Serve = Callable[[], AbstractAsyncContextManager[str]]


@pytest.fixture
def anyio_backend() -> str:
    """The real loop: both are real servers."""
    return "asyncio"


@pytest.mark.parametrize("serve", [lambda: open_understudy(Understudy(Tones())), second_server], ids=["ours", "second"])
async def test_one_conversation_with_either(serve: Serve) -> None:
    async with serve() as url, create_session(endpoint=url, voice="ash", instructions="Be brief.") as session:
        await session.system("Softly.")
        item = await session.user("Is anybody there?")
        await session.create_audio(tone("ash", "Hello."))
        await session.user("And now?")
        response = await session.response(metadata={"line": "7"})
        assert (response.status, response.metadata["line"]) == ("completed", "7")
        assert response.audio
        assert response.transcript
        assert response.usage.audio_out > 0
        written = await session.response(output_modalities=("text",))
        assert written.text
        assert not written.audio
        changes = [change async for change in session.stream_response()]
        assert isinstance(changes[-1], ResponseEnded)
        assert any(isinstance(change, AudioChunk) for change in changes)
        await session.delete_conversation_item(item.id)
        with pytest.raises(ModelRefused):
            await session.delete_conversation_item(item.id)
        assert session.usage.dollars
        assert session.usage.tokens.audio_out > response.usage.audio_out
        assert (await session.update(instructions="Be long."))["instructions"] == "Be long."
