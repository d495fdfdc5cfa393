"""No key is in anything that tau-stage leaves or prints, whatever a provider sends back."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tau_stage.environment import KEYS, keys_withheld
from tau_stage.errors import ConnectFailed, SessionClosed
from tau_stage.session import create_session
from tau_stage.transport import Handshake, Refusal, Transport, dial
from tau_stage.transport import serve as serve_
from tau_stage.understudy import faults as fault
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.tone_voice import Tones
from tests.test_cli_run import Serve, no_key, serve, trio  # noqa: F401 - fixtures
from tests.test_cli_validate import run

HEADER, QUERY, PASSWORD = "sk-HUSHHUSH-in-a-header", "HUSHHUSH-in-a-query", "HUSHHUSH-in-a-password"
ALL = f"You sent {HEADER}, {QUERY} and {PASSWORD}."
pytestmark = pytest.mark.usefixtures("no_key")


def with_keys(url: str) -> str:
    return url.replace("ws://", f"ws://me:{PASSWORD}@") + f"/v1/realtime?api_key={QUERY}"


def refuse_markers(folder: Path, *texts: str) -> None:
    left = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".yaml"}
    assert left
    assert [str(path) for path, data in left.items() if b"HUSHHUSH" in data] == []
    assert [text for text in texts if "HUSHHUSH" in text] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ((), 0),
        ((fault.FailResponses(times=9, code="no", message=ALL),), 3),
        ((fault.RefuseInBand("invalid_api_key", 3000, message=ALL),), 3),
        ((fault.Strike("drop", "in_response", visit=1),), 0),
    ],
    ids=["complete", "failed", "refused", "dropped"],
)
def test_no_command_leaves_a_key_anywhere(
    faults: tuple[fault.Fault, ...],
    code: int,
    serve: Serve,  # noqa: F811
    trio: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Slow: every command that leaves something, one after another."""
    monkeypatch.setenv("TAU_STAGE_API_KEY", HEADER)
    url = serve(Understudy(Tones(), faults=faults))
    monkeypatch.setenv("TAU_STAGE_ENDPOINT", with_keys(url))
    assert run("run", trio, "--stream", "stream.jsonl") == code
    assert run("run", trio, "--json", "--endpoint", with_keys(url)) in (code, 0)
    takes = sorted(str(path.parent) for path in Path("takes").glob("*/*-*/journal.jsonl"))
    assert run("report", takes[0], "--embed") == 0
    assert run("compare", takes[0], takes[1], "--html", "beside.html") == 0
    if code == 0:
        assert run("retake", takes[0], "ann-1") == 0
    for verb in (["show", trio], ["plan", trio], ["doctor"], ["doctor", "--json"]):
        assert run(*verb) == 0
    said = capsys.readouterr()
    assert "/v1/realtime?api_key=[key]" in said.out
    refuse_markers(tmp_path, said.out, said.err)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("where", ["upgrade", "close", "event"])
async def test_an_error_in_a_program_holds_no_key(where: str) -> None:
    async def admit(_handshake: Handshake) -> Refusal | None:
        return Refusal(401, ALL) if where == "upgrade" else None

    async def close(transport: Transport, _handshake: Handshake) -> None:
        if where == "event":
            await transport.send(f'{{"type":"error","event_id":"e","error":{{"message":"{ALL}"}}}}'.encode())
        await transport.aclose(3000, ALL)

    async with serve_(close, admit) as url:
        with pytest.raises((ConnectFailed, SessionClosed)) as raised:
            async with create_session(endpoint=with_keys(url), api_key=lambda: HEADER):
                pass
    assert "You sent [key], [key] and [key]." in str(raised.value)
    assert "HUSHHUSH" not in str(raised.value) + repr(raised.value)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_key_in_pieces_or_escaped_never_comes_out_of_a_socket() -> None:
    hidden = "".join(f"\\u{ord(sign):04x}" for sign in HEADER)
    deltas = [
        f'{{"type":"response.output_text.delta","response_id":"r","item_id":"i","delta":"{piece}"}}'
        for piece in ("You sent ", HEADER[:3], HEADER[3:9], f"{HEADER[9:]}. And {hidden}", ".")
    ]

    async def tell(transport: Transport, _handshake: Handshake) -> None:
        for delta in deltas:
            await transport.send(delta.encode())
        await transport.send(b'{"type":"response.done","response":{"id":"r"}}')
        await transport.aclose(1000, "")

    async def anybody(_handshake: Handshake) -> None:
        return None

    heard = []
    async with serve_(tell, anybody) as url, dial(url, {"Authorization": f"Bearer {HEADER}"}) as socket:
        while "response.done" not in (frame := (await socket.receive()).decode()):
            heard.append(json.loads(frame)["delta"])
    assert "".join(heard) == "You sent [key]. And [key]."


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_address_that_nobody_serves_is_told_without_its_key() -> None:
    async with open_understudy(Understudy(Tones())) as url:
        pass
    with pytest.raises(ConnectFailed) as raised:
        async with dial(with_keys(url), {"Authorization": f"Bearer {HEADER}"}):
            pass
    assert url.removeprefix("ws://") in str(raised.value)
    assert "HUSHHUSH" not in str(raised.value)


def test_the_log_of_a_bug_holds_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tau_stage.cli.main import told

    keys = {name: f"sk-HUSHHUSH-{name}" for name in KEYS}
    for name, key in keys.items():
        monkeypatch.setenv(name, key)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@proxy.example:3128")
    monkeypatch.setenv("TAU_STAGE_ENDPOINT", f"ws://host?key={QUERY}")
    monkeypatch.setattr("sys.argv", ["tau-stage", "run", "--endpoint", "ws://you:HUSHHUSH-on-the-line@host"])
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    basic = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    facts = [*keys.values(), PASSWORD, basic, QUERY, "HUSHHUSH-on-the-line"]
    with keys_withheld():
        assert told(RuntimeError(f"the headers were {facts}")) == 70
    (log,) = tmp_path.glob("*.log")
    assert f"the headers were {['[key]'] * len(facts)}" in log.read_text()
    refuse_markers(tmp_path, *capsys.readouterr())
