"""The same work by the ``openai`` package, as its users write it: every sound is sent to all at once."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

INSTRUCTIONS = "You act. " * 20


Open = Callable[[], Awaitable[AsyncRealtimeConnection]]


@asynccontextmanager
async def opening(url: str) -> AsyncIterator[Open]:
    """Give a function that opens a session, and says what it is to be; close all of them in the end."""
    client = AsyncOpenAI(api_key="sk-none", websocket_base_url=url.removesuffix("/realtime"))
    options: Any = {"max_size": None}
    async with client, AsyncExitStack() as opened:

        async def open_one() -> AsyncRealtimeConnection:
            manager = client.realtime.connect(model="sink", websocket_connection_options=options)
            connection = await opened.enter_async_context(manager)
            await connection.recv()
            await connection.session.update(session={"type": "realtime", "instructions": INSTRUCTIONS})
            await connection.recv()
            return connection

        yield open_one


async def _put(connection: AsyncRealtimeConnection, item: str, content: Any) -> None:
    await connection.conversation.item.create(
        item={"id": item, "type": "message", "role": "user", "content": [content]}
    )
    async for event in connection:
        if event.type == "conversation.item.added" and event.item.id == item:
            return


async def _say(connection: AsyncRealtimeConnection) -> tuple[bytes, list[float]]:
    """Let it speak; return the sound, and when it was asked for and each piece came."""
    when = [time.monotonic()]
    await connection.response.create()
    sound = []
    async for event in connection:
        if event.type == "response.output_audio.delta":
            when.append(time.monotonic())
            sound.append(base64.b64decode(event.delta))
        elif event.type == "response.done":
            break
    return b"".join(sound), when


async def perform(url: str, players: int, lines: int) -> list[tuple[float, float, float]]:
    """Let each player in turn say a line, and all others hear it.

    Returns:
        When each line was asked for, and when its first and its last sound came.
    """
    times = []
    async with opening(url) as open_one:
        connections = [await open_one() for _ in range(players)]
        for number in range(lines):
            speaker = connections[number % players]
            await _put(speaker, f"say_{number}", {"type": "input_text", "text": f"Say line {number}."})
            sound, when = await _say(speaker)
            times.append((when[0], when[1], when[-1]))
            heard = {"type": "input_audio", "audio": base64.b64encode(sound).decode()}
            others = (one for one in connections if one is not speaker)
            await asyncio.gather(*(_put(one, f"heard_{number}", heard) for one in others))
    return times


async def receive(url: str, lines: int, seconds: float) -> float:
    """Receive deltas of 100 ms into memory; return the CPU of one, in microseconds."""
    async with opening(url) as open_one:
        connection = await open_one()
        await _say(connection)
        began = time.process_time()
        for _ in range(lines):
            await _say(connection)
        return (time.process_time() - began) / (lines * seconds * 10) * 1e6
