"""``tau-stage understudy``: the embedded Realtime server on its own, for any client."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from math import inf
from pathlib import Path
from typing import Annotated, TextIO

import typer

from tau_stage import understudy as understudies
from tau_stage.cli.printing import say
from tau_stage.errors import UsageError
from tau_stage.protocol import JsonObject
from tau_stage.take import guarded, write_whole

SLOWEST = 0.01
ELSEWHERE = "choose another file with --ready-file"

Limits = Annotated[
    str | None,
    typer.Option(
        metavar="RATE,N",
        help="Maximum rate of new sessions and maximum number of open sessions, for example 30/min,40. "
        "Above these limits, clients get HTTP 429.",
    ),
]


def understudy(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on. 0 selects a free port.")] = 8765,
    host: Annotated[str, typer.Option(help="Address to listen on. It must be a loopback address.")] = "127.0.0.1",
    key: Annotated[
        str | None, typer.Option(help="The key that clients must send.", envvar="TAU_STAGE_UNDERSTUDY_KEY")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Simulate a fault, for example busy or drop@in_response#2. You can repeat this option."),
    ] = None,
    expires: Annotated[float, typer.Option(min=1, help="Maximum length of a session, in seconds.")] = 3600,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Allow web pages from this origin to connect. You can repeat this option."),
    ] = None,
    pace: Annotated[
        str | None,
        typer.Option(help="How fast to send audio: realtime, or a factor, for example 2. Default: unlimited."),
    ] = None,
    limits: Limits = None,
    log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Log connections, requests and their results to this file, as JSON lines."),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the address to this file when the server is ready. The file is removed when the server stops.",
        ),
    ] = None,
    refuse_beta: Annotated[
        bool, typer.Option("--refuse-beta", help="Reject clients of the beta API, as OpenAI does.")
    ] = False,
    as_: Annotated[
        str | None, typer.Option("--as", help="Model to simulate, for example gpt-realtime-2.1.", metavar="MODEL")
    ] = None,
) -> None:
    """Serve a local Realtime API that needs no key.

    The understudy speaks with real voices, validates requests as strictly as a provider, and costs nothing.
    """
    server = understudies.Understudy(
        understudies.Ensemble(understudies.Voices.of_user()),
        profile=understudies.profile_named(as_) if as_ else None,
        key=key,
        faults=fault or (),
        expires_s=expires,
        refuses_beta=refuse_beta,
        origins={understudies.parse_origin(origin) for origin in allow_origin or ()},
        pace=None if pace is None else read_pace(pace),
        limits=understudies.ProviderLimits() if limits is None else understudies.ProviderLimits.parse(limits),
    )
    _serve_until_signal(server, host, port, log, ready_file)


def _serve_until_signal(
    server: understudies.Understudy, host: str, port: int, log: Path | None, ready_file: Path | None
) -> None:
    from tau_stage.processes import run_until_signal

    _remove(ready_file)
    with nullcontext() if log is None else _opened(log) as file:
        server.log = server.log if file is None else partial(_write, file)
        run_until_signal(_serve, server, host, port, ready_file, clock={})  # a handler alone wakes no loop that waits


def read_pace(text: str) -> float:
    """Read how fast sound is sent.

    Raises:
        UsageError: It is no pace.

    >>> read_pace("realtime"), read_pace("2.5")
    (1.0, 2.5)
    """
    if text == "realtime":
        return 1.0
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) and SLOWEST <= float(text) < inf:
        return float(text)
    raise UsageError(f"--pace: invalid value '{text}'", "use realtime, or a number, for example 2 for twice as fast")


@contextmanager
def _opened(log: Path) -> Iterator[TextIO]:
    with guarded(log, "choose another file with --log"):
        file = log.open("a", buffering=1, encoding="utf-8")
    with file:
        yield file


def _write(file: TextIO, fact: JsonObject) -> None:
    file.write(json.dumps(fact, ensure_ascii=False) + "\n")


async def _serve(server: understudies.Understudy, host: str, port: int, ready_file: Path | None) -> None:
    import anyio

    async with understudies.open_understudy(server, host=host, port=port) as url:
        with nullcontext() if ready_file is None else _written(ready_file, url):
            model = server.profile.model if server.profile else "gpt-realtime-2.1-mini"
            say(f"The understudy is listening at {url}/v1/realtime?model={model} (press Ctrl-C to stop)")
            await anyio.sleep_forever()


def _remove(ready_file: Path | None) -> None:
    """Remove what an understudy has left that was killed: nobody shall take its address for this one's."""
    if ready_file is not None:
        with guarded(ready_file, ELSEWHERE):
            ready_file.unlink(missing_ok=True)


@contextmanager
def _written(ready_file: Path, url: str) -> Iterator[None]:
    write_whole({ready_file: f"{url}\n"}, ELSEWHERE)
    try:
        yield
    finally:
        ready_file.unlink(missing_ok=True)
