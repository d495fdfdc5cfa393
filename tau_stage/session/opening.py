"""Opening a session: over a transport that is there, or by an endpoint's name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from pydantic import SecretStr

from tau_stage.audio.formats import PCM16, Format
from tau_stage.errors import lone
from tau_stage.protocol import config, endpoints
from tau_stage.protocol.dialects import GA, Dialect
from tau_stage.session.session import Session
from tau_stage.session.tools import Tool
from tau_stage.session.waiting import Deadlines
from tau_stage.transport import Transport, dial

DEFAULT_MODEL = "gpt-realtime-2.1-mini"


@asynccontextmanager
async def open_session(
    transport: Transport,
    wanted: config.SessionConfig,
    *,
    name: str = "session",
    deadlines: Deadlines | None = None,
    dialect: Dialect = GA,
    prices: str = "openai",
    tools: Sequence[Tool] = (),
    keeps_audio: bool = True,
) -> AsyncIterator[Session]:
    """A session over a transport that is already open, for as long as the block runs.

    Args:
        transport: Not closed here but for the session's own closing.
        wanted: The session to ask for.
        name: For messages.
        deadlines: How long to wait for what.
        dialect: How the server spells events.
        prices: Whose price list counts.
        tools: What the model may call.
        keeps_audio: Whether the conversation keeps its sound.

    Raises:
        ConnectFailed: The server refused in-band.
        SessionError: The server did not answer as it must.
    """
    forms = [format_of(wanted, side) for side in ("input", "output")]
    session = Session(
        transport,
        name=name,
        deadlines=deadlines,
        dialect=dialect,
        heard_as=forms[0],
        spoken_as=forms[1],
        tools=tools,
        prices=prices,
        keeps_audio=keeps_audio,
    )
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(session.listen)
            try:
                await session.begin(wanted)
                yield session
            finally:
                await session.close()
                group.cancel_scope.cancel()
    except BaseExceptionGroup as failures:
        raise lone(failures) from None


@asynccontextmanager
async def create_session(
    *,
    endpoint: str = "openai",
    model: str = DEFAULT_MODEL,
    voice: str = "marin",
    instructions: str = "",
    api_key: str | SecretStr | None = None,
    name: str = "session",
    deadlines: Deadlines | None = None,
    **options: Any,
) -> AsyncIterator[Session]:
    """Open a conversation with a realtime model, and close it in the end.

    Args:
        endpoint: Name of an endpoint, or a ``ws://`` or ``wss://`` URL.
        model: The model's name.
        voice: The model's voice.
        instructions: What the model is told to be.
        api_key: The key; else the endpoint's environment variable is read.
        name: For messages.
        deadlines: How long to wait for what.
        **options: Further fields of ``SessionConfig``.

    Raises:
        ConnectFailed: The server cannot be reached, or refused.
        SessionError: The server did not answer as it must.
    """
    place = endpoints.endpoint(endpoint)
    key = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
    headers = place.headers(key or key_for(place))
    wanted = config.conducted(voice=voice, instructions=instructions, **options)
    url = place.address(model, os.environ.get(place.resource_env, ""))
    seconds = (deadlines or Deadlines()).opening_s
    async with (
        dial(url, headers, open_timeout_s=seconds) as transport,
        open_session(transport, wanted, name=name, deadlines=deadlines) as session,
    ):
        yield session


def format_of(wanted: config.SessionConfig, side: str) -> Format:
    """How sound is to travel, as a session is asked for; 24 kHz PCM where it is not said."""
    form = getattr(getattr(wanted.audio, side, None), "format", None)
    return PCM16 if form is None else Format(form.type, getattr(form, "rate", 8_000))


def key_for(place: endpoints.Endpoint) -> str | None:
    """The endpoint's key in the environment, if there is one."""
    return next((os.environ[name] for name in place.key_env if os.environ.get(name)), None)
