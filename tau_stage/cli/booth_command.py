"""``tau-stage booth``: the page that shows every session on this machine, and how other verbs open it."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
import webbrowser
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated
from urllib.parse import urlsplit

import typer

from tau_stage.cli.printing import say, warn
from tau_stage.environment import environment
from tau_stage.errors import UsageError
from tau_stage.publisher import find_booth

IDLE_S = 60.0
"""Seconds that a booth which a run has opened stays when nobody publishes or looks on any more."""

INSTALL = "pip install 'tau-stage[booth]'"

OPENING_S, ANSWERING_S = 15.0, 2.0
TICK_S = 0.05

Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")]


def booth(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on. 0 selects a free port.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on: a loopback address, unless --allow-remote is set.")
    ] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow other machines to connect. Also set --host.")
    ] = False,
    attach: Annotated[
        list[Path] | None,
        typer.Option(metavar="TAKE", help="Replay the take in this folder. You can repeat this option."),
    ] = None,
    idle: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop after this time without a publisher or a viewer.")
    ] = None,
    browser: Browser = True,
) -> None:
    """Open a page that shows every session on this machine.

    The page shows a session if you create it with debug=True, set TAU_DEBUG=true in its environment, or start it with
    run --booth.
    """
    require_server()
    from tau_stage.processes import run_until_signal

    run_until_signal(_serve, host, port, allow_remote, tuple(attach or ()), idle, browser, clock={})


class _Printer(logging.Handler):
    """Prints what a booth refuses."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it as a warning."""
        warn(record.getMessage())


async def _serve(
    host: str, port: int, allow_remote: bool, takes: tuple[Path, ...], idle_s: float | None, browser: bool
) -> None:
    import anyio

    from tau_stage.booth import Hub, announced, attach, former_address, open_booth

    logging.getLogger("tau_stage.booth").addHandler(_Printer(logging.WARNING))
    hub = Hub()
    for take in takes:
        attach(hub, take)
    former_port, token = former_address(environment())
    async with (
        open_booth(hub, host=host, port=port, prefer=former_port, token=token, allow_remote=allow_remote) as url,
        announced(url, environment()),
    ):
        say(f"The booth is running at {url} (press Ctrl-C to stop)")
        if browser:
            show_page(url)
        if idle_s is None:
            await anyio.sleep_forever()
        else:
            await hub.idle(idle_s)


def show_page(url: str) -> None:
    """Open a page in a browser, where there is one that has windows."""
    has_windows = sys.platform in ("darwin", "win32") or any(map(environment().get, ("DISPLAY", "WAYLAND_DISPLAY")))
    if not (has_windows and webbrowser.open(url)):
        warn(f"open this page in a browser: {url}")


def require_server() -> None:
    """Look whether the server of the booth's page is installed; a ``UsageError`` says that it is not."""
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        verb = "are" if len(missing) > 1 else "is"
        raise UsageError(f"the booth requires {' and '.join(missing)}, which {verb} not installed", INSTALL)


def ensure_booth() -> str:
    """Return the address of this user's booth; one is started, if there is none, and ends some time after all others.

    Raises:
        UsageError: It does not start.
    """
    if there := _answering_booth():
        return there
    require_server()
    command = [sys.executable, "-m", "tau_stage", "booth", "--no-browser", "--idle", f"{IDLE_S:g}"]
    quiet = subprocess.DEVNULL
    with TemporaryFile() as told:  # a pipe that nobody reads would hold it up
        child = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=told, start_new_session=True)  # noqa: S603
        began = time.monotonic()
        while time.monotonic() < began + OPENING_S:
            if there := _answering_booth():
                return there
            if child.poll() is not None:
                told.seek(0)
                said = told.read().decode(errors="replace").strip()
                raise UsageError(f"the booth could not be started: {said}", "start it first: tau-stage booth")
            time.sleep(TICK_S)
    child.kill()
    raise UsageError(f"the booth did not start within {OPENING_S:g} s", "start it first: tau-stage booth")


def _answering_booth() -> str | None:
    """Return the address of this user's booth, if it answers: a killed one's number may be another process's by now.

    Raises:
        UsageError: The environment names one that does not.
    """
    there = find_booth()
    if there is None:
        return None
    parts = urlsplit(there.url)
    with suppress(OSError), socket.create_connection((parts.hostname, parts.port or 80), ANSWERING_S):
        return there.url
    if not there.pid:
        hint = "start it, or unset TAU_DEBUG_SERVER_URL"
        raise UsageError("the booth at TAU_DEBUG_SERVER_URL does not respond", hint)
    return None
