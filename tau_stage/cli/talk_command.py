"""``tau-stage talk``: a conversation with one player, with the booth's page as microphone and loudspeaker."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from tau_stage.cli.booth_command import Browser, ensure_booth, show_page
from tau_stage.cli.printing import say, warn
from tau_stage.protocol import JsonObject


def talk(
    instructions: Annotated[str, typer.Option(help="Instructions for the model: who it is and how it speaks.")] = "",
    voice: Annotated[str | None, typer.Option(help="The model's voice. List the voices with tau-stage voices.")] = None,
    model: Annotated[str | None, typer.Option(help="The model.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Endpoint to use: a name or a URL.")] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Answer when you release the talk key instead of when you pause.")
    ] = False,
    browser: Browser = True,
) -> None:
    """Talk to a model in the booth.

    The booth page uses your microphone and speakers. Without a key, the understudy answers.
    """
    from tau_stage.processes import run_until_signal

    url = ensure_booth()
    wishes = {"instructions": instructions or None, "voice": voice, "model": model}
    run_until_signal(
        _talk, url, endpoint, {name: value for name, value in wishes.items() if value}, push, browser, clock={}
    )


async def _talk(url: str, endpoint: str | None, wishes: JsonObject, push: bool, browser: bool) -> None:
    from contextlib import AsyncExitStack

    from tau_stage.environment import environment
    from tau_stage.session import create_session

    place = endpoint or environment().get("TAU_STAGE_ENDPOINT")
    async with AsyncExitStack() as opened:
        if place is None and not environment().get("OPENAI_API_KEY"):
            place = "understudy"
            warn("OPENAI_API_KEY is not set: the understudy answers, at no cost.")
        if place == "understudy":
            from tau_stage.understudy import Ensemble, Understudy, Voices, open_understudy, require_voice

            require_voice("" if endpoint else ", or set a provider's key, such as OPENAI_API_KEY")
            understudy = Understudy(Ensemble(Voices.of_user()))
            place = await opened.enter_async_context(open_understudy(understudy))
        detection = None if push else {"type": "server_vad"}
        asked = create_session(endpoint=place or "openai", name="talk", debug=True, turn_detection=detection, **wishes)
        session = await opened.enter_async_context(asked)
        page = f"{url}#talk={os.getpid()}"
        say(f"Talk at {page} (press Ctrl-C to stop)")
        if browser:
            show_page(page)
        async with session.events() as events:
            async for _ in events:
                pass
        warn("the session has ended")
