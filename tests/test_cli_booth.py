"""``tau-stage booth``, ``run --booth`` and ``talk`` as processes: where the page is, what it shows, how they end.

Slow, where processes are started: each loads a server.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tau_stage.publisher import BoothAddress, booth_file, last_booth
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.forked import ForkedPython, python
from tests.support.report_pages import tavern
from tests.support.tone_voice import Tones
from tests.test_cli_validate import run

SCENE = "scene: Two\nplayers: {ann: {voice: ash}, ben: {voice: sage}}\nlines: [ann: Hello there., ben: Hello.]\n"
FREE = {"OPENAI_API_KEY", "DISPLAY", "WAYLAND_DISPLAY", "TAU_DEBUG", "TAU_DEBUG_SERVER_URL", "TAU_STAGE_ENDPOINT"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A user's environment, without a key and a window; a booth that is left running there is ended."""
    variables = {name: value for name, value in os.environ.items() if name not in FREE}
    variables["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    yield variables
    booth = last_booth(variables)
    if booth and booth.pid:
        with suppress(ProcessLookupError):
            os.kill(booth.pid, signal.SIGKILL)


@contextmanager
def process(home: Mapping[str, str], *words: str) -> Iterator[tuple[ForkedPython, str]]:
    """A verb whose standard input is closed, and the address that it prints."""
    command = ("-m", "tau_stage", *words)
    with Path(os.devnull).open() as none, ForkedPython(*command, env=home, stdin=none.fileno()) as started:
        try:
            found = re.search(r"http://127\.0\.0\.1:\d+/[\w-]+/", started.stdout.readline())
            assert found, started.stderr.read()
            yield started, found[0]
        finally:
            started.kill()


def end(started: ForkedPython, number: signal.Signals = signal.SIGINT) -> tuple[int | None, str]:
    """The exit code of a process that is sent a signal, and what it has said."""
    started.send_signal(number)
    _, said = started.communicate()
    return started.returncode, said


class Page:
    """A page's socket.

    Args:
        socket: To the booth.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._messages = self._all()

    def _all(self) -> Iterator[dict[str, Any]]:
        while True:
            text = self.socket.recv(timeout=20)
            yield from json.loads(text) if isinstance(text, str) else ()

    def until(self, kind: str, **facts: Any) -> dict[str, Any]:
        """The next message of a kind with these facts."""
        return next(told for told in self._messages if told["type"] == kind and facts.items() <= told.items())

    def event(self, kind: str) -> dict[str, Any]:
        """The next event, or record, of a kind."""
        events = (told for told in self._messages if told["type"] == "event")
        return next(told for told in events if (told.get("event") or told["record"])["type"] == kind)


@contextmanager
def page_of(url: str) -> Iterator[Page]:
    """A page of a booth."""
    origin = url.rsplit("/", 2)[0]
    with connect(f"ws{url[4:]}watch", origin=Origin(origin), proxy=None) as socket:
        yield Page(socket)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_booth_says_where_it_is_until_a_signal_ends_it(home: dict[str, str], number: signal.Signals) -> None:
    with process(home, "booth") as (booth, url):
        assert last_booth(home) == BoothAddress(url, booth.pid)
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own
            assert b"<title>The booth</title>" in answer.read()
        code, said = end(booth, number)
    assert code == 130
    assert said.startswith(f"open this page in a browser: {url}\n")
    assert "Traceback" not in said
    assert last_booth(home) == BoothAddress(url, 0)
    with process(home, "booth", "--no-browser") as (booth, again):
        assert again == url  # a page that is open finds the next one
        assert end(booth)[1] == "interrupted\n"


@pytest.mark.slow
def test_a_take_is_attached_and_a_booth_that_is_left_alone_ends(home: dict[str, str], tmp_path: Path) -> None:
    folder = tavern(tmp_path)[0]
    with process(home, "booth", "--attach", str(folder.path), "--idle", "1", "--no-browser") as (booth, url):
        with page_of(url) as page:
            (take,) = page.until("welcome")["sources"]
            assert (take["kind"], take["connected"], take["folder"]) == ("take", False, str(folder.path))
            assert page.event("take_ended")["source"] == take["id"]
        assert booth.wait() == 0


def test_what_a_booth_cannot_be_is_told(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", home["XDG_CACHE_HOME"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words, told in (
            (["--port", port], f"cannot listen on 127.0.0.1:{port}: Address already in use\n  hint: remove --port"),
            (["--host", "0.0.0.0"], "0.0.0.0 is not a loopback address\n  hint: add --allow-remote"),  # noqa: S104
            (["--host", "192.0.2.1", "--allow-remote"], "cannot listen on 192.0.2.1:0: "),
            (["--attach", str(tmp_path)], f"{tmp_path}: is not a take"),
        ):
            assert run("booth", "--no-browser", *words) in (2, 3)
            said = capsys.readouterr().err
            assert told in said
            assert "Traceback" not in said


def test_a_replay_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "scenes/umbrella.yaml", "--booth", "--replay", "scenes/cassettes") == 2
    assert "the booth cannot show --replay, because a replay does not run in real time" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_opens_the_booth_and_is_shown_there(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(SCENE)
    understudy = open_understudy(Understudy(Tones()))
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(understudy) as place:
        command = ("-m", "tau_stage", "run", "two.yaml", "--booth", "--quiet", "--endpoint", place)
        done = python(*command, cwd=tmp_path, env=home)
    assert done.returncode == 0, done.stderr
    booth = last_booth(home)
    assert booth
    assert done.stderr == f"open this page in a browser: {booth.url}\n"
    with page_of(booth.url) as page:
        sources = page.until("welcome")["sources"]
        assert sorted((source["kind"], source["name"]) for source in sources) == [
            ("session", "two/ann"),
            ("session", "two/ben"),
            ("stage", "two"),
        ]
        assert page.event("line_spoken")["record"]["player"] == "ann"
        assert page.event("take_ended")["record"]["ended"] == "complete"


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--push", "--voice", "cedar", "--instructions", "Be brief."]])
def test_a_conversation_is_had_in_the_page_until_it_is_interrupted(home: dict[str, str], words: list[str]) -> None:
    with process(home, "talk", *words) as (talk, url), page_of(url) as page:
        (source,) = page.until("welcome")["sources"] or [page.until("source")["source"]]  # it may come after the page
        assert (source["kind"], source["name"], source["connected"]) == ("session", "talk", True)
        session = page.event("session.updated")["event"]["session"]
        if words:
            assert (session["instructions"], session["audio"]["output"]["voice"]) == ("Be brief.", "cedar")
        assert (session["audio"]["input"]["turn_detection"] is None) == bool(words)
        page.socket.send(json.dumps({"id": 1, "to": source["id"], "do": "say", "text": "Hello."}))
        assert page.event("response.done")["event"]["response"]["status"] == "completed"
        code, said = end(talk)
        assert page.until("source")["source"]["gone"] == "ended"
    assert code == 130
    assert said.splitlines() == [
        "OPENAI_API_KEY is not set: the understudy answers, at no cost.",
        f"open this page in a browser: {url}#talk={talk.pid}",
        "interrupted",
    ]


def test_who_cannot_be_talked_to_is_told(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", home["XDG_CACHE_HOME"])
    with socket.create_server(("127.0.0.1", 0)) as there:
        monkeypatch.setenv("TAU_DEBUG_SERVER_URL", f"http://127.0.0.1:{there.getsockname()[1]}/token/")
        for words, code, told in (
            (["--endpoint", "opensesame"], 2, "unknown endpoint or dialect 'opensesame'"),
            (["--endpoint", "ws://127.0.0.1:9"], 3, "127.0.0.1:9"),
        ):
            assert run("talk", "--no-browser", *words) == code
            said = capsys.readouterr().err
            assert told in said
            assert "Traceback" not in said
    assert run("talk", "--no-browser") == 2
    assert "the booth at TAU_DEBUG_SERVER_URL does not respond" in capsys.readouterr().err


@pytest.mark.slow
def test_a_booth_that_was_killed_is_none_though_its_number_lives_on(
    home: dict[str, str],
) -> None:
    file = booth_file(home)
    assert file
    file.parent.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as another:
        try:
            file.write_text(json.dumps({"url": "http://127.0.0.1:9/token/", "pid": another.pid}))
            url = python("-c", "from tau_stage.cli.booth_command import ensure_booth as e; print(e())", env=home).stdout
            with page_of(url.strip()) as page:
                assert page.until("welcome")["sources"] == []
        finally:
            another.kill()
