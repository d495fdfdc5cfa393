"""``tau-stage booth``: the page that shows every session of this machine, and how other verbs open it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from tau_stage.cli.printing import say, warn
from tau_stage.environment import environment
from tau_stage.errors import UsageError
from tau_stage.publisher import find_booth

IDLE_S = 60.0
"""Seconds that a booth which a run has opened stays when nobody publishes or looks on any more."""

OPENING_S = 15.0
TICK_S = 0.05

Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page, where there is a browser.")]


def booth(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option(help="A loopback address.")] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines in, by a --host that they can reach.")
    ] = False,
    attach: Annotated[
        list[Path] | None,
        typer.Option(metavar="TAKE", help="A take to replay, by its folder; may be given several times."),
    ] = None,
    idle: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="End when nobody has published or looked on for so long.")
    ] = None,
    browser: Browser = True,
) -> None:
    """Open a page that shows every session of this machine.

    A session is shown that was made with debug=True, or with TAU_DEBUG=true in its environment, or by run --booth.
    """
    from tau_stage.termination import run_until_signal

    run_until_signal(_serve, host, port, allow_remote, tuple(attach or ()), idle, browser, clock={})


async def _serve(
    host: str, port: int, allow_remote: bool, takes: tuple[Path, ...], idle_s: float | None, browser: bool
) -> None:
    import anyio

    from tau_stage.booth import Hub, announced, attach, former_address, open_booth

    hub = Hub()
    for take in takes:
        attach(hub, take)
    former_port, token = former_address(environment())
    async with (
        open_booth(hub, host=host, port=port, prefer=former_port, token=token, allow_remote=allow_remote) as url,
        announced(url, environment()),
    ):
        say(f"The booth is open at {url}  (Ctrl-C ends it)")
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
        warn(f"open this page: {url}")


def ensure_booth() -> str:
    """Return the address of this user's booth; one is started, if there is none, and ends some time after all others.

    Raises:
        UsageError: It does not start.
    """
    if there := find_booth():
        return there.url
    command = [sys.executable, "-m", "tau_stage", "booth", "--no-browser", "--idle", f"{IDLE_S:g}"]
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE, start_new_session=True)  # noqa: S603
    began = time.monotonic()
    while time.monotonic() < began + OPENING_S:
        if there := find_booth():
            return there.url
        if child.poll() is not None:
            said = child.stderr.read().decode(errors="replace").strip() if child.stderr else ""
            raise UsageError(f"the booth does not start: {said}", "pip install 'tau-stage[booth]'")
        time.sleep(TICK_S)
    child.kill()
    raise UsageError(f"the booth did not start within {OPENING_S:g} s", "start it first: tau-stage booth")


def open_for_run() -> None:
    """Open the booth's page for what is performed in this process, and let it publish.

    Raises:
        UsageError: There is no booth, and none can be started.
    """
    url = ensure_booth()
    os.environ["TAU_DEBUG"] = "true"
    show_page(url)
