"""A browser without a screen, driven over the DevTools protocol: just enough of it to use a page."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import pybase64
from websockets.sync.client import connect
from websockets.sync.connection import Connection

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--no-proxy-server",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
    "--window-size=1400,1000",
)
CODES = {
    " ": 32,
    "Enter": 13,
    "Tab": 9,
    "Escape": 27,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "/": 191,
}
PATIENCE_S, PAUSE_S = 20.0, 0.02

_STILL = """async selector => {
    const frame = () => new Promise(done => { requestAnimationFrame(() => setTimeout(done)); setTimeout(done, 100) });
    const middle = () => {
        const e = document.querySelector(selector);
        e.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
        const b = e.getBoundingClientRect();
        return [b.x + b.width / 2, b.y + b.height / 2];
    };
    let before, now = middle();
    for (let frames = 0; frames < 100 && `${now}` !== `${before}`; frames += 1) {
        before = now;
        await frame();
        now = middle();
    }
    return now;
}"""
"""Where the middle of an element is, once it is there for a frame; a hidden tab has no frames."""


class Browser:
    """One tab, in a window of its own.

    Args:
        socket: To the browser's DevTools.

    Attributes:
        complaints: What went to the console as a warning or an error, and what was thrown.
        requests: The URLs that were asked for.
        trace: What the browser has told of its tasks, once that was asked for.
    """

    def __init__(self, socket: Connection) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.trace: list[dict[str, Any]] = []
        self._socket = socket
        self._number = 0
        self._session = ""
        self._loaded = self._traced = False
        target = self.send("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Performance"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; what happens meanwhile is noted."""
        self._number += 1
        number = self._number
        command = {"id": number, "method": method, "params": params}
        self._socket.send(json.dumps(command | ({"sessionId": self._session} if self._session else {})))
        while (told := self._next()).get("id") != number:
            pass
        assert "error" not in told, f"{method}: {told['error']}"
        result: dict[str, Any] = told["result"]
        return result

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file; it is loaded and painted."""
        self.visit(path.resolve().as_uri() + fragment)

    def visit(self, url: str) -> None:
        """Open a page; it is loaded and painted."""
        self._loaded = False
        self.send("Page.navigate", url=url)
        while not self._loaded:
            self._next()
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        told = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def layouts(self) -> int:
        """How often a page was laid out so far."""
        told = self.send("Performance.getMetrics")["metrics"]
        return next(int(metric["value"]) for metric in told if metric["name"] == "LayoutCount")

    def start_tracing(self) -> None:
        """Let the browser note the tasks of all its tabs."""
        self._traced, self.trace = False, []
        chosen = {"includedCategories": ["toplevel"], "excludedCategories": ["*"]}
        self.send("Tracing.start", transferMode="ReportEvents", traceConfig=chosen)

    def stop_tracing(self) -> None:
        """Let it tell them."""
        self.send("Tracing.end")
        while not self._traced:
            self._next()

    def until(self, script: str) -> Self:
        """Wait until an expression holds."""
        for _ in range(round(PATIENCE_S / PAUSE_S)):
            if self.run(script):
                return self
            time.sleep(PAUSE_S)
        raise AssertionError(f"never: {script}")

    def click(self, selector: str) -> None:
        """Click the middle of the part of an element that can be seen, as soon as it keeps its place for a frame."""
        x, y = self.run(f"({_STILL})({json.dumps(selector)})")
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press and release a key, as ``KeyboardEvent.key`` names it."""
        self.hold(key)
        self.let_go(key)

    def hold(self, key: str) -> None:
        """Press a key, and keep it down."""
        text = {" ": " ", "Enter": "\r"}.get(key, key if len(key) == 1 else "")
        self.send("Input.dispatchKeyEvent", type="keyDown", **_key(key), **({"text": text} if text else {}))

    def let_go(self, key: str) -> None:
        """Release a key."""
        self.send("Input.dispatchKeyEvent", type="keyUp", **_key(key))

    def write(self, text: str) -> None:
        """Write a text into what has the focus."""
        self.send("Input.insertText", text=text)

    def emulate(self, **features: str) -> None:
        """Pretend a medium and its features, like ``prefers_color_scheme="dark"``."""
        media = features.pop("media", "")
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", media=media, features=told)

    def resize(self, width: int, height: int) -> None:
        """Make the window so large."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(pybase64.b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._socket.recv(timeout=PATIENCE_S))
        facts = told.get("params", {})
        match told.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.exceptionThrown":
                self.complaints.append(str(facts["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if facts["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(facts["args"]))
            case "Log.entryAdded" if facts["entry"]["level"] in ("error", "warning"):
                self.complaints.append(str(facts["entry"]))
            case "Network.requestWillBeSent":
                self.requests.append(facts["request"]["url"])
            case "Tracing.dataCollected":
                self.trace += facts["value"]
            case "Tracing.tracingComplete":
                self._traced = True
        return told


def _key(key: str) -> dict[str, Any]:
    """Describe a key for the DevTools."""
    code = CODES[key] if key in CODES else ord(key.upper())
    return {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}


@contextmanager
def open_browser(*flags: str) -> Iterator[Browser]:
    """A browser with a profile of its own, gone afterwards; flags are added to the usual ones."""
    with open_tabs(1, *flags) as (tab,):
        yield tab


@contextmanager
def open_tabs(count: int, *flags: str) -> Iterator[list[Browser]]:
    """So many tabs of one browser."""
    assert CHROMIUM
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
        environment = os.environ | {"HOME": profile}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            try:
                assert process.stderr
                told = ""
                while not (found := re.search(r"DevTools listening on (ws://\S+)", told)):
                    line = process.stderr.readline()
                    assert line, f"the browser did not start: {told}"
                    told += line
                with ExitStack() as opened:
                    dial = partial(connect, max_size=None, proxy=None, compression=None, ping_interval=None)
                    yield [Browser(opened.enter_context(dial(found[1]))) for _ in range(count)]
            finally:
                process.kill()
