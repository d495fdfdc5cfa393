"""A booth that runs beside a test, with sessions in it: a browser's test is no coroutine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pybase64
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tau_stage import DeliveredTake, RunOptions, Session, create_session, perform_scene
from tau_stage.audio import RATE, Pcm
from tau_stage.booth.booth_server import open_booth
from tau_stage.booth.hub import Hub
from tau_stage.protocol import JsonObject
from tau_stage.publisher import Publisher
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.tone_voice import Tones

PATIENCE_S, PAUSE_S = 10.0, 0.01


class ScriptedSource:
    """A source whose events a test makes up; it notes what a page asks of it.

    Args:
        portal: To the thread of the booth.
        publisher: Is connected.
        wishes: What a page has asked for.
    """

    def __init__(self, portal: BlockingPortal, publisher: Publisher, wishes: list[JsonObject]) -> None:
        self._portal = portal
        self._publisher = publisher
        self.wishes = wishes

    @property
    def is_connected(self) -> bool:
        """Whether what is published reaches a booth."""
        return self._publisher.is_connected

    def send(self, kind: str, sender: str = "server", **fields: Any) -> None:
        """Publish an event as it would travel."""
        self._pass_on(json.dumps({"type": kind, **fields}).encode(), sender)

    def _pass_on(self, frame: bytes, sender: str = "server") -> None:
        self._portal.call(lambda: self._publisher.pass_on(sender, anyio.current_time(), frame))

    def record(self, kind: str, **fields: Any) -> None:
        """Publish a record of a performance, or of what a session has cost."""
        self._portal.call(
            lambda: self._publisher.publish({"at": anyio.current_time(), "record": {"type": kind, **fields}})
        )

    def say(self, words: str, sound: Pcm, item: str, response: str, *, pieces: int = 4, ends: bool = True) -> None:
        """Publish a whole response: its words, its sound in pieces, its end."""
        self.send("response.create", "client")
        self.send("response.created", response={"id": response})
        message = {"id": item, "type": "message", "role": "assistant", "content": []}
        self.send("response.output_item.added", response_id=response, item=message)
        bounds = np.linspace(0, len(sound), pieces + 1).astype(int)
        for start, end, part in zip(bounds, bounds[1:], np.array_split(words.split(), pieces), strict=False):
            self.send("response.output_audio_transcript.delta", item_id=item, delta=" ".join([*part, ""]))
            self._pass_on(_delta(sound[start:end], item, response))
        if ends:
            self.end(words, item, response)

    def stream(self, sound: Pcm, item: str, response: str, late_s: Sequence[float]) -> None:
        """Publish a sound as fast as it sounds, in as many pieces as there are delays, each so late."""
        bounds = np.linspace(0, len(sound), len(late_s) + 1).astype(int)
        frames = [_delta(sound[start:end], item, response) for start, end in pairwise(bounds)]

        async def publish() -> None:
            began = anyio.current_time()
            for start, late, frame in zip(bounds, late_s, frames, strict=False):
                await anyio.sleep_until(began + start / RATE + late)
                self._publisher.pass_on("server", anyio.current_time(), frame)

        self._portal.call(publish)

    def many(self, count: int, kind: str, **fields: Any) -> None:
        """Publish an event many times."""
        frame = json.dumps({"type": kind, **fields}).encode()

        async def publish() -> None:
            for _ in range(count):
                self._publisher.pass_on("server", anyio.current_time(), frame)

        self._portal.call(publish)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, as a page has asked for something."""
        for _ in range(round(PATIENCE_S / PAUSE_S)):
            if holds():
                return
            time.sleep(PAUSE_S)
        raise AssertionError("never")

    def end(self, words: str, item: str, response: str) -> None:
        """Publish the end of a response."""
        content = [{"type": "output_audio", "transcript": words}]
        output = [{"id": item, "type": "message", "role": "assistant", "content": content}]
        used = {
            "total_tokens": 300,
            "input_tokens": 200,
            "output_tokens": 100,
            "input_token_details": {"cached_tokens": 50},
            "output_token_details": {"audio_tokens": 80, "text_tokens": 20},
        }
        self.send("response.output_audio.done", item_id=item, response_id=response)
        told = {"id": response, "status": "completed", "output": output, "usage": used}
        self.send("response.done", response=told)


def _delta(sound: Pcm, item: str, response: str) -> bytes:
    encoded = pybase64.b64encode(sound.data).decode()
    event = {"type": "response.output_audio.delta", "item_id": item, "response_id": response, "delta": encoded}
    return json.dumps(event).encode()


class OpenBooth:
    """A booth, and whoever publishes to it.

    Args:
        portal: To its thread.
        opened: Closes what was opened.
        hub: What it knows.
        url: Of its page.

    Attributes:
        understudies: Those that sessions were opened with, in order.
    """

    def __init__(self, portal: BlockingPortal, opened: ExitStack, hub: Hub, url: str) -> None:
        self.portal = portal
        self.hub = hub
        self.url = url
        self._opened = opened
        self.understudies: list[Understudy] = []

    def call(self, do: Callable[..., Any], *given: Any) -> Any:
        """Do something in the thread of the booth; return what comes of it."""
        return self.portal.call(do, *given)

    def session(self, name: str, **wishes: Any) -> Session:
        """Open a session with an understudy that speaks in tones; it is published."""
        understudy = Understudy(Tones(), keeps_visits=True)
        self.understudies.append(understudy)
        url = self._opened.enter_context(self.portal.wrap_async_context_manager(open_understudy(understudy)))
        context = create_session(endpoint=url, name=name, debug=True, **{"voice": "ash", **wishes})
        return self._opened.enter_context(self.portal.wrap_async_context_manager(context))

    def perform(self, scene: Path, out: Path, understudy: Understudy | None = None) -> DeliveredTake:
        """Perform a scene with an understudy, which speaks in tones if none is given; it is published."""
        return self.begin(scene, out, understudy or Understudy(Tones())).result()

    def begin(self, scene: Path, out: Path, understudy: Understudy) -> Future[DeliveredTake]:
        """Begin to perform a scene, and go on beside it."""

        async def perform() -> DeliveredTake:
            async with open_understudy(understudy) as url:
                return await perform_scene(scene, out=out, options=RunOptions(endpoint=url, debug=True))

        performed = self.portal.start_task_soon(perform)
        self._opened.callback(performed.cancel)  # else a test that fails would wait for it
        return performed

    def source(self, name: str, kind: str = "session", problem: str = "", **hello: Any) -> ScriptedSource:
        """Connect a source whose events the test makes up."""
        return self._opened.enter_context(_source(self.portal, {"kind": kind, "name": name, **hello}, problem))


@contextmanager
def _source(portal: BlockingPortal, hello: JsonObject, problem: str = "") -> Iterator[ScriptedSource]:
    wishes: list[JsonObject] = []

    async def command(wish: JsonObject) -> None:
        wishes.append(wish)
        if problem:
            raise ValueError(problem)

    publisher = Publisher(lambda: hello, command)
    with portal.wrap_async_context_manager(publisher.running()):
        yield ScriptedSource(portal, publisher, wishes)


@contextmanager
def lasting_source(name: str) -> Iterator[ScriptedSource]:
    """A session that publishes to whatever booth there is, one after another."""
    with start_blocking_portal("asyncio") as portal, _source(portal, {"kind": "session", "name": name}) as source:
        yield source


@contextmanager
def open_booths(hub: Hub | None = None, *, port: int = 0, token: str = "") -> Iterator[OpenBooth]:
    """A booth that runs in a thread while the block runs; whoever publishes in this process finds it."""
    before, hub = os.environ.get("TAU_DEBUG_SERVER_URL"), hub or Hub()
    with start_blocking_portal("asyncio") as portal, ExitStack() as opened:
        url = opened.enter_context(portal.wrap_async_context_manager(open_booth(hub, port=port, token=token)))
        os.environ["TAU_DEBUG_SERVER_URL"] = url
        try:
            yield OpenBooth(portal, opened, hub, url)
        finally:
            if before is None:
                del os.environ["TAU_DEBUG_SERVER_URL"]
            else:
                os.environ["TAU_DEBUG_SERVER_URL"] = before


@contextmanager
def booth_process(**options: Any) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A booth in a process of its own, as a user starts it; it is killed afterwards."""
    command = [sys.executable, "-m", "tau_stage", "booth", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            yield said.partition("http")[1] + said.partition("http")[2].split()[0], process
        finally:
            process.kill()


def chirp(seconds: float, low: float = 200, high: float = 900) -> Pcm:
    """A sound that is like itself at one place only."""
    at = np.arange(round(RATE * seconds)) / RATE
    return Pcm.from_array(0.4 * np.sin(2 * np.pi * (low * at + (high - low) * at**2 / (2 * seconds))))
