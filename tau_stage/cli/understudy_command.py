"""``tau-stage understudy``: the embedded Realtime server on its own, for any client."""

from __future__ import annotations

from typing import Annotated

import typer

from tau_stage import understudy as understudies
from tau_stage.cli.printing import say


def understudy(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8765,
    host: Annotated[str, typer.Option(help="A loopback address.")] = "127.0.0.1",
    key: Annotated[
        str | None, typer.Option(help="The key clients must bring.", envvar="TAU_STAGE_UNDERSTUDY_KEY")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="What goes wrong, like busy or drop@in_response#2; may be given several times."),
    ] = None,
    expires: Annotated[float, typer.Option(min=1, help="Seconds a session lasts.")] = 3600,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="A web page of another machine that may talk to it.")
    ] = None,
    pace: Annotated[
        float | None,
        typer.Option(min=0.01, help="Sound is sent at so many times real time; else as fast as it can be."),
    ] = None,
    refuse_beta: Annotated[bool, typer.Option("--refuse-beta", help="Refuse old clients, as OpenAI does.")] = False,
    as_: Annotated[
        str | None, typer.Option("--as", help="The model it behaves as, like gpt-realtime-2.1 or xai.", metavar="MODEL")
    ] = None,
) -> None:
    """Serve a Realtime API without a key.

    The understudy speaks with real voices, answers as strictly as a provider, and costs nothing.
    """
    from tau_stage.termination import run_until_signal

    orders = [*map(understudies.parse_fault, fault or ())]
    origins = {understudies.parse_origin(origin) for origin in allow_origin or ()}
    server = understudies.Understudy(
        understudies.Ensemble(understudies.Voices(cache=understudies.SoundCache.of_user())),
        profile=understudies.profile_named(as_) if as_ else None,
        key=key,
        faults=orders,
        expires_s=expires,
        refuses_beta=refuse_beta,
        origins=origins,
        pace=pace,
    )
    run_until_signal(_serve, server, host, port, clock={})  # a handler alone does not wake a loop that waits


async def _serve(server: understudies.Understudy, host: str, port: int) -> None:
    import anyio

    async with understudies.open_understudy(server, host=host, port=port) as url:
        model = server.profile.model if server.profile else "gpt-realtime-2.1-mini"
        say(f"The understudy listens at {url}/v1/realtime?model={model}  (Ctrl-C ends it)")
        await anyio.sleep_forever()
