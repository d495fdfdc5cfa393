"""``tau-stage understudy``: the embedded Realtime server on its own, for any client."""

from __future__ import annotations

from typing import Annotated

import typer


def understudy(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8765,
    host: Annotated[str, typer.Option(help="A loopback address.")] = "127.0.0.1",
    key: Annotated[
        str | None, typer.Option(help="The key clients must bring.", envvar="TAU_STAGE_UNDERSTUDY_KEY")
    ] = None,
) -> None:
    """Serve a Realtime API without a key.

    The understudy speaks with real voices, answers as strictly as a provider, and costs nothing.
    """
    import anyio

    anyio.run(_serve, host, port, key)


async def _serve(host: str, port: int, key: str | None) -> None:
    import anyio

    from tau_stage.understudy.ensemble import Ensemble
    from tau_stage.understudy.server import Understudy, open_understudy

    async with open_understudy(Understudy(Ensemble(), key=key), host=host, port=port) as url:
        print(f"The understudy listens at {url}/v1/realtime?model=gpt-realtime-2.1-mini  (Ctrl-C ends it)", flush=True)
        await anyio.sleep_forever()
