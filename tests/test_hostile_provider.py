"""A provider that sends back keys and escapes wherever a provider can: none is in what tau-stage leaves or prints."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from anyio.from_thread import start_blocking_portal

from tau_stage.environment import KEYS
from tau_stage.transport import Handshake, Refusal, Transport, serve
from tau_stage.understudy.server import Understudy
from tests.support.tone_voice import Tones
from tests.test_cli_validate import run

Event = dict[str, Any]
Listen = Callable[[Transport, Handshake], Any]

HUSH = "HUSHHUSH"
PASSWORD, QUERY = f"{HUSH}-in-a-password", f"{HUSH}-in-a-query"
MARKERS = {name: f"sk-{HUSH}-{name}" for name in sorted(KEYS)}
ESCAPES = "\x1b]52;c;aGk=\x07 \x1b[2J \x9b31m \u202e\u2066 \u200b \x00 \x7f \ud800 ::set-output name=a::b"
ESCAPES += "\n::add-mask::c\r\n##[error]d %0A::error::e \u2028::stop-commands::f\x85::warning::g"

SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda key: "".join(f"\\u{ord(sign):04x}" for sign in key),
    lambda key: "".join(f"%{ord(sign):02X}" for sign in key),
    lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
)
SECRETS = (*MARKERS.values(), PASSWORD, QUERY, base64.b64encode(f"me:{PASSWORD}".encode()).decode())
SAID = " ".join(SPELLINGS[number % 4](key) for number, key in enumerate(SECRETS)) + f" {ESCAPES}"

PIECE = 17
"""Characters of a delta: fewer than the shortest key has, so that each comes in pieces."""

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
COMMANDS = re.compile(r"^\s*::|##\[|##vso\[", re.MULTILINE)
ESCAPED = re.compile(r"\\+u00([0-9a-fA-F]{2})|%([0-9a-fA-F]{2})")
BINARY = {".wav", ".mp3", ".flac", ".ogg", ".lock"}
OF_THE_USER = {".yaml", ".py", ".pyc"}

SCENE = """
scene: A hostile house
players: {ann: {voice: ash}, bob: {voice: sage, tools: none}}
tools:
  lights_on: {description: The listener wants the lights on., run: "lamps:light"}
  play_music: {description: The listener wants music., command: [sh, -c, "cat keys.yaml; cat keys.yaml >&2; exit 3"]}
limits: {start_rate: 100/s}
deliver: {mix: {file: mix.mp3, artist: The house}, stems: packed, lines: {trim: true}}
expect: {says_not: [nothing of it]}
lines:
  - ann: Good evening, my friend.
    takes: 2
    expect: {says: [something else]}
  - bob: Good evening to you.
  - user: {ann: "Please turn the lights on, and play music."}
  - ann:
    improvise:
"""


class Hostile:
    """A connection to an understudy that says more than it was asked for."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner

    async def send(self, frame: bytes) -> None:
        event = json.loads(frame)
        for each in self._before(event):
            await self.inner.send(_encoded(each))
        if event["type"] != "response.function_call_arguments.delta":
            await self.inner.send(_encoded(_spoilt(event)))

    def _before(self, event: Event) -> Iterator[Event]:
        """What comes before an event: keys cut into pieces, and errors that nobody asked for."""
        kind = event["type"]
        if kind in ("response.output_audio_transcript.done", "response.function_call_arguments.done"):
            told = f" {SAID}" if "transcript" in kind else _arguments()
            pieces = [told[at : at + PIECE] for at in range(0, len(told), PIECE)]
            names = ("response_id", "item_id", "output_index", "content_index", "call_id")
            place = {name: event[name] for name in names if name in event}
            for number, piece in enumerate(pieces):
                of_type = {"type": kind.replace(".done", ".delta"), "event_id": f"piece_{number}"}
                yield {**of_type, **place, "delta": piece}
        if kind == "response.done":
            error = {"type": SAID, "code": SAID, "message": SAID, "param": SAID, "event_id": "nobody's"}
            yield {"type": "error", "event_id": "e", "error": error}
            yield {"type": f"new.{SAID}", "event_id": "e2", SAID: SAID}

    async def receive(self) -> bytes:
        return await self.inner.receive()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self.inner.aclose(code, reason)

    def drop(self) -> None:
        self.inner.drop()


def _encoded(event: Event) -> bytes:
    return json.dumps(event).encode()


def _arguments() -> str:
    return json.dumps({"on": True, "told": SAID})


def _spoilt(value: Any, key: str = "") -> Any:
    """An event with more in it wherever words stand."""
    match value:
        case dict():
            return {name: _spoilt(inner, name) for name, inner in value.items()}
        case list():
            return [_spoilt(inner, key) for inner in value]
        case str() if key == "transcript" and value:
            return f"{value} {SAID}"
        case str() if key == "arguments" and value:
            return _arguments()
        case str() if key in ("instructions", "object"):
            return SAID
        case str() if key == "model":
            return f"gpt-realtime {SAID}"
        case _:
            return value


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a scene, every key that there may be, and a proxy with a password."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@127.0.0.1:1")
    for name, key in MARKERS.items():
        monkeypatch.setenv(name, key)
    (tmp_path / "house.yaml").write_text(SCENE)
    (tmp_path / "keys.yaml").write_text(" ".join(SECRETS) + ESCAPES.replace("\ud800", ""))
    (tmp_path / "lamps.py").write_text(
        "from pathlib import Path\n"
        "def light(on: bool = True, told: str = '') -> str:\n"
        "    return told + Path(__file__).with_name('keys.yaml').read_text() + '\\ud800'\n"
    )
    return tmp_path


@pytest.fixture
def provide() -> Iterator[Callable[..., str]]:
    """Serves a hostile provider, from a loop in another thread; its address holds a key."""
    with ExitStack() as ends, start_blocking_portal("asyncio") as portal:

        def start(admit: Any = None, listen: Any = None) -> str:
            house = Understudy(Tones())

            async def spoil(transport: Transport, handshake: Handshake) -> None:
                await house.listen(Hostile(transport), handshake)

            opened = serve(listen or spoil, admit or house.admit)
            url = ends.enter_context(portal.wrap_async_context_manager(opened))
            return f"{url.replace('ws://', f'ws://me:{quote(PASSWORD)}@')}/v1/realtime?key={QUERY}"

        with ends:
            yield start


def refuse(text: str, of: str, *, printed: bool = True) -> None:
    """Hold what was left or printed against what nothing may hold."""
    plain = ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    assert HUSH not in text, (of, text[max(0, text.find(HUSH) - 300) :][:600])
    assert HUSH not in plain, (of, plain[max(0, plain.find(HUSH) - 300) :][:600])
    for lead in range(3):
        core = base64.b64encode(bytes(lead) + HUSH.encode()).decode()[-(-lead * 8 // 6) : (lead + len(HUSH)) * 8 // 6]
        assert core not in text, (of, text[max(0, text.find(core) - 300) :][:600])
    assert not UNSEEN.search(text), (of, UNSEEN.findall(text), text[:2000])
    if printed:
        assert not COMMANDS.search(text), (of, COMMANDS.findall(text))


def refuse_files(place: Path) -> set[str]:
    """Every file but the user's own: nothing of it is in there. Returns the kinds that were looked at."""
    kinds = set()
    for path in place.rglob("*"):
        if path.is_file() and path.suffix not in OF_THE_USER:
            data = path.read_bytes()
            kinds.add(path.suffix)
            assert HUSH.encode() not in data, path
            assert b"\x1b]52" not in data, path
            if path.suffix not in BINARY:
                text = data.decode().replace("\r\n", "\n")
                refuse(text, str(path), printed=path.suffix not in (".html", ".json", ".jsonl", ".otio", ".xml"))
    return kinds


OURS = re.compile(r"\x1b\[[0-9;?]*[AKhlmr]|\r")
"""Colours and moves of the cursor that rich sends to a terminal; what a provider sends clears the screen."""


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [False, True], ids=["plain", "terminal"])
def test_no_file_and_no_output_holds_what_a_provider_sends_back(
    place: Path,
    provide: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
) -> None:
    """Slow: every verb that leaves something, on a server that says keys and escapes in all that it says."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    url = provide()
    tools = ("--allow-tools",)

    def verb(*arguments: str, codes: tuple[int, ...] = (0, 1)) -> str:
        capsys.readouterr()
        code = run(*arguments)
        printed = capsys.readouterr()
        assert code in codes, (arguments, code, printed.err[-2000:])
        is_json = any("json" in argument for argument in arguments)
        for stream in printed:
            refuse(OURS.sub("", stream), " ".join(arguments), printed=not is_json and "github" not in arguments)
        return printed.out + printed.err

    scene = str(place / "house.yaml")
    verb("run", scene, "--endpoint", url, *tools, "--record", "scenes/cassettes")
    verb("run", scene, "--endpoint", url, *tools, "--stream", "stream.jsonl", "--json")
    verb("run", scene, "--endpoint", url, *tools, "--stream", "-")
    monkeypatch.setenv("TAU_STAGE_ENDPOINT", url)
    verb("run", scene, *tools, "--live", "--quiet")
    takes = sorted(str(path.parent) for path in place.glob("takes/*/*-*/journal.jsonl"))
    assert len(takes) == 4
    assert "[key]" in Path(takes[0], "journal.jsonl").read_text()
    assert "\\u001b]52" in Path(takes[0], "journal.jsonl").read_text()
    verb("report", takes[0], "--embed")
    verb("compare", takes[0], takes[1], "--html", "beside.html")
    verb("compare", takes[0], takes[1], "--json")
    verb("pick", takes[0], "ann-1", "2")
    verb("retake", takes[0], "bob-1", *tools)
    verb("accept", takes[0])
    for one in (
        ("show", scene),
        ("plan", scene),
        ("doctor",),
        ("doctor", "--json"),
        ("cassette", "show", "scenes/cassettes/house"),
    ):
        verb(*one)
    live = ("--live", "--endpoint", url, *tools, "--jobs", "1")
    verb("test", scene, *live, "--junit", "junit.xml", "--summary", "summary.md")
    verb("test", scene, *live, "--format", "github", "--json")
    annotations = verb("test", scene, *live, "--format", "github")
    for line in annotations.splitlines():
        assert not COMMANDS.search(line.removeprefix("::")), line
    kinds = refuse_files(place)
    assert kinds >= {
        ".wav",
        ".mp3",
        ".json",
        ".jsonl",
        ".html",
        ".csv",
        ".srt",
        ".vtt",
        ".txt",
        ".rpp",
        ".otio",
        ".xml",
        ".md",
    }


@pytest.mark.slow
@pytest.mark.parametrize("where", ["upgrade", "in-band", "close"])
def test_no_refusal_tells_it(
    where: str, place: Path, provide: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Slow: openings are tried again."""
    short = f"{MARKERS['OPENAI_API_KEY']} {MARKERS['XAI_API_KEY']} \x1b]52;c;\x07"

    async def admit(_handshake: Handshake) -> Refusal | None:
        return Refusal(401, SAID.replace("\ud800", "")) if where == "upgrade" else None

    async def listen(transport: Transport, _handshake: Handshake) -> None:
        if where == "in-band":
            await transport.send(_encoded({"type": "error", "event_id": "e", "error": {"message": SAID, "code": SAID}}))
        await transport.aclose(3000, short)

    url = provide(admit, listen)
    assert run("run", str(place / "house.yaml"), "--endpoint", url, "--allow-tools") == 3
    printed = capsys.readouterr()
    refuse(printed.out, where)
    refuse(printed.err, where)
    assert "[key]" in printed.err
    refuse_files(place)
