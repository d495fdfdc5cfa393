"""The booth without its page: who publishes, what is kept, who is let in, and what a page may ask for."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pybase64
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tau_stage import Response, RunOptions, create_session, perform_scene
from tau_stage.audio import RATE, Pcm
from tau_stage.booth.booth_server import HEADERS, announced, former_address, open_booth
from tau_stage.booth.hub import KEPT_EVENTS, KEPT_GONE, KEPT_ITEMS, MOST_QUEUED, SOUND_HEADER, Hub, PageQueue
from tau_stage.booth.past_takes import attach
from tau_stage.errors import SessionError, TakeError, UsageError
from tau_stage.protocol import JsonObject
from tau_stage.publisher import MOST_WAITING, BoothAddress, Publisher, booth_file, find_booth, without_sound
from tau_stage.runs.stage_publisher import published
from tau_stage.stage import PerformanceOptions, Stage
from tau_stage.take import Journal, TakeFolder, records
from tau_stage.transport import dial
from tau_stage.understudy.server import Understudy, open_understudy
from tests.support.in_memory_stage import plan_of
from tests.support.report_pages import tavern
from tests.support.tone_voice import Tones, tone

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])

SCENE = """
scene: Two
players:
  ann: {voice: marin}
  ben: {voice: cedar}
lines:
  - ann: Good evening.
  - ben: Good evening to you.
"""


NOBODY = Stage(lambda _player: dial("ws://localhost", {}))


@pytest.fixture
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A user's environment with a place for the booth's address."""
    own = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return own


def delta(sound: Pcm, item: str = "item_1") -> str:
    event = {
        "type": "response.output_audio.delta",
        "item_id": item,
        "delta": pybase64.b64encode(sound.data).decode(),
    }
    return json.dumps({"at": 1.0, "from": "server", "event": event})


def noise(samples: int) -> Pcm:
    return Pcm.from_array(np.random.default_rng(1).integers(-9000, 9000, samples).astype(np.int16))


async def messages(page: PageQueue) -> list[Any]:
    """What waits for a page, texts decoded."""
    told: list[Any] = []
    with anyio.move_on_after(0.05):
        while True:
            for message in await page.next():
                told += json.loads(message) if isinstance(message, str) else [message]
    return told


def unpacked(pieces: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The pieces of sound in a message: source, item, first sample, samples."""
    while pieces:
        source, item, first, count = SOUND_HEADER.unpack_from(pieces)
        end = SOUND_HEADER.size + 2 * count
        yield source, item, first, pieces[SOUND_HEADER.size : end]
        pieces = pieces[end:]


# ---- the hub


async def test_sources_of_one_name_are_told_apart() -> None:
    hub = Hub()
    first = hub.join({"kind": "session", "name": "ann"}, lambda _wish: None)
    second = hub.join({"kind": "session", "name": "ann"}, lambda _wish: None)
    assert (first.name, second.name) == ("ann", "ann 2")


async def test_a_page_that_comes_late_is_told_what_lasts() -> None:
    """Ten thousand other events push out no item and no cost of a session."""
    hub = Hub()
    ann, ben = (hub.join({"kind": "session", "name": name}, None) for name in ("ann", "ben"))
    hub.take_in(ann, json.dumps({"at": 1, "event": {"type": "conversation.item.done", "item": {"id": "a"}}}))
    hub.take_in(ann, json.dumps({"at": 1, "event": {"type": "response.output_text.delta", "delta": "a"}}))
    hub.take_in(ann, json.dumps({"at": 1, "record": {"type": "cost", "dollars": "0.1"}}))
    limits = json.dumps({"at": 2, "event": {"type": "rate_limits.updated"}})
    hub.take_in(ben, "\n".join([limits] * KEPT_EVENTS))
    welcome, *events = await messages(hub.open_page())
    assert welcome["lost"] == 1
    assert [event["n"] for event in events] == [1, 3, *range(4, KEPT_EVENTS + 4)]
    again, *events = await messages(hub.open_page(hub.epoch, seen=2))
    assert (again["lost"], events[0]["n"]) == (0, 3)


@pytest.mark.parametrize(
    "odd", [{"before": 3}, {"before": [3]}, {"before": [{"record": 3}]}, {"missed": "many"}, {"missed": None}]
)
async def test_a_hello_that_is_odd_joins_nobody(odd: JsonObject) -> None:
    hub = Hub()
    with pytest.raises((ValueError, TypeError)):
        hub.join({"kind": "session", "name": "ann", **odd}, None)
    assert hub.sources == {}


async def test_a_source_that_comes_back_is_the_one_that_it_was() -> None:
    hub = Hub()
    source = hub.join({"kind": "session", "name": "ann", "key": "k"}, lambda _wish: None)
    hub.leave(source, "its connection was lost")
    assert hub.join({"kind": "session", "name": "ann", "key": "k"}, lambda _wish: None) is source
    assert source.described["gone"] == ""


@pytest.mark.parametrize("hello", [{}, {"kind": "spy", "name": "x"}, {"kind": "session", "name": 3}])
async def test_a_hello_without_kind_or_name_is_refused(hello: JsonObject) -> None:
    with pytest.raises(ValueError, match="a hello requires"):
        Hub().join(hello, None)


async def test_sound_comes_in_binary_and_its_event_without_it() -> None:
    hub, sound = Hub(), noise(4800)
    source = hub.join({"kind": "session", "name": "ann"}, None)
    page = hub.open_page()
    hub.take_in(source, delta(sound[:2400]) + "\n" + delta(sound[2400:]))
    _, pieces, event, _ = await messages(page)
    assert list(unpacked(pieces)) == [
        (source.id, event["item"], 0, sound[:2400].data),
        (source.id, event["item"], 2400, sound[2400:].data),
    ]
    assert event["event"]["delta"] == "<6400>"
    assert 0 < event["level"] <= 1
    kept = hub.sound_of(source.id, "item_1")
    assert kept is not None
    assert kept.data == sound.data


async def test_sound_in_another_format_is_decoded() -> None:
    hub = Hub()
    hello = {"kind": "session", "name": "phone", "output_format": {"type": "audio/pcmu", "rate": 8000}}
    source = hub.join(hello, None)
    event = {"type": "response.audio.delta", "item_id": "i", "delta": pybase64.b64encode(bytes(800)).decode()}
    hub.take_in(source, json.dumps({"event": event}))
    kept = hub.sound_of(source.id, "i")
    assert kept is not None
    assert len(kept) > 1000


async def test_a_page_that_listens_to_one_gets_no_other_sound() -> None:
    hub = Hub()
    ann, ben = (hub.join({"kind": "session", "name": name}, None) for name in ("ann", "ben"))
    page = hub.open_page()
    page.listens = frozenset({ben.id})
    hub.take_in(ann, delta(noise(100)))
    hub.take_in(ben, delta(noise(100)))
    sounds = [each for each in await messages(page) if isinstance(each, bytes)]
    assert [source for each in sounds for source, *_ in unpacked(each)] == [ben.id]


async def test_a_page_that_comes_back_gets_what_it_has_not_seen() -> None:
    hub = Hub()
    source = hub.join({"kind": "session", "name": "ann"}, None)
    for number in range(5):
        hub.keep_record(source, number, {"type": "x", "number": number})
    first = await messages(hub.open_page())
    assert [each["record"]["number"] for each in first[1:]] == [0, 1, 2, 3, 4]
    again = await messages(hub.open_page(hub.epoch, first[3]["n"]))
    assert [each["record"]["number"] for each in again[1:]] == [3, 4]
    assert again[0]["lost"] == 0
    other = await messages(hub.open_page("of another booth", first[3]["n"]))
    assert len(other) == 6


async def test_the_newest_events_are_kept_and_the_others_counted() -> None:
    hub = Hub()
    source = hub.join({"kind": "session", "name": "ann"}, None)
    for number in range(KEPT_EVENTS + 7):
        hub.keep_record(source, number, {"type": "x"})
    welcome, *events = await messages(hub.open_page())
    assert (welcome["lost"], len(events)) == (7, KEPT_EVENTS)


async def test_a_page_that_does_not_read_is_told_what_it_missed() -> None:
    hub = Hub()
    source = hub.join({"kind": "session", "name": "ann"}, None)
    page = hub.open_page()
    big = {"type": "x", "text": "x" * 20_000}
    most = MOST_QUEUED // 20_000 + 50
    for _ in range(most):
        hub.keep_record(source, 0.0, big)
    told = await messages(page)
    (missed,) = [each for each in told if each["type"] == "missed"]
    assert missed["events"] == most - sum(each["type"] == "event" for each in told)
    assert missed["events"] > 0


async def test_long_texts_are_cut_and_what_is_left_out_is_counted() -> None:
    hub = Hub()
    source = hub.join({"kind": "session", "name": "ann"}, None)
    page = hub.open_page()
    hub.take_in(source, json.dumps({"event": {"type": "session.updated", "session": {"instructions": "x" * 30_000}}}))
    *_, event = await messages(page)
    assert event["event"]["session"]["instructions"].endswith(" ... and 10000 more characters")


async def test_those_that_have_gone_long_ago_are_forgotten() -> None:
    hub = Hub()
    attached = hub.join({"kind": "take", "name": "t"}, None)
    live = hub.join({"kind": "session", "name": "live"}, lambda _wish: None)
    page = hub.open_page()
    for number in range(KEPT_GONE["session"] + 2):
        hub.leave(hub.join({"kind": "session", "name": f"s{number}"}, lambda _wish: None), "it is over")
    assert list(hub.sources)[:2] == [attached.id, live.id]
    assert len(hub.sources) == 2 + KEPT_GONE["session"] + 1
    assert [each["source"] for each in await messages(page) if each["type"] == "forgotten"] == [live.id + 1]


async def test_the_items_of_a_long_session_are_forgotten() -> None:
    hub = Hub()
    source = hub.join({"kind": "session", "name": "ann"}, None)
    sound = noise(10)
    for number in range(KEPT_ITEMS + 5):
        hub.take_in(source, delta(sound, f"item_{number}"))
    assert len(source.items) == KEPT_ITEMS
    assert next(iter(source.items)) == "item_5"


async def test_a_wish_reaches_the_source_that_it_names_and_no_other() -> None:
    hub, told = Hub(), {"ann": list[JsonObject](), "ben": list[JsonObject]()}
    ann = hub.join({"kind": "session", "name": "ann"}, told["ann"].append)
    hub.join({"kind": "session", "name": "ben"}, told["ben"].append)
    page = hub.open_page()
    hub.ask(page, {"id": 7, "to": ann.id, "do": "say", "text": "hello"})
    hub.hear(ann.id, noise(10).data)
    assert [each["do"] for each in told["ann"]] == ["say", "hear"]
    assert told["ben"] == []
    hub.take_in(ann, json.dumps({"answer": told["ann"][0]["id"], "problem": "too late"}))
    assert (await messages(page))[-1] == {"type": "answer", "id": 7, "problem": "too late"}


async def test_a_wish_for_whoever_is_gone_is_refused() -> None:
    hub = Hub()
    gone = hub.join({"kind": "session", "name": "ann"}, None)
    page = hub.open_page()
    for to, problem in (
        (gone.id, "disconnected"),
        (99, "no recipient"),
        ("ann", "no recipient"),
        (None, "no recipient"),
    ):
        with pytest.raises(ValueError, match=problem):
            hub.ask(page, {"to": to, "do": "say"})
    with pytest.raises(ValueError, match="no recipient"):
        hub.hear(gone.id, bytes(2))


# ---- the server


@asynccontextmanager
async def page_of(url: str, origin: str | None = "", **options: Any) -> AsyncIterator[ClientConnection]:
    origin = url.rsplit("/", 2)[0] if origin == "" else origin
    async with connect(f"ws{url[4:]}watch", origin=origin, max_size=None, **options) as socket:  # type: ignore[arg-type]
        yield socket


async def told(socket: ClientConnection, kind: str, record: str = "") -> Any:
    """The next message of a kind, or with a record."""
    with anyio.fail_after(5):
        while True:
            message = await socket.recv()
            for each in json.loads(message) if isinstance(message, str) else ():
                if each["type"] == kind and (not record or each.get("record", {}).get("type") == record):
                    return each


async def fetched(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """What a request is answered."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    def get() -> tuple[int, bytes, dict[str, str]]:
        try:
            with urlopen(Request(url, headers=headers)) as answer:  # noqa: S310
                return answer.status, answer.read(), dict(answer.headers)
        except HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)

    return await anyio.to_thread.run_sync(get)


async def test_a_request_needs_the_token_the_name_and_no_other_origin() -> None:
    async with open_booth() as url:
        base = url.rsplit("/", 2)[0]
        for address, headers, problem in (
            (f"{base}/", {}, b"wrong token"),
            (f"{base}/not-the-token/", {}, b"wrong token"),
            (url, {"Host": "evil.example:80"}, b"wrong host name"),
            (url, {"Origin": "http://evil.example"}, b"different origin"),
            (url, {"Origin": "null"}, b"different origin"),
        ):
            status, body, answered = await fetched(address, **headers)
            assert (status, problem in body) == (403, True)
            assert HEADERS.items() <= {key.title(): value for key, value in answered.items()}.items() or answered


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null"])
async def test_a_socket_names_this_server_as_its_origin(origin: str | None) -> None:
    async with open_booth() as url:
        with pytest.raises(InvalidStatus, match="403"):
            async with page_of(url, origin):
                pass


async def test_other_machines_are_let_in_only_when_told_twice() -> None:
    with pytest.raises(UsageError, match="is not a loopback address"):
        async with open_booth(host="0.0.0.0"):  # noqa: S104
            pass
    async with open_booth(host="0.0.0.0", allow_remote=True) as url:  # noqa: S104
        assert url.startswith("http://0.0.0.0:")


async def test_a_port_that_is_taken_is_said() -> None:
    async with open_booth() as url:
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}: Address already in use"):
            async with open_booth(port=port):
                pass


async def test_a_page_that_sends_nonsense_is_told_and_stays() -> None:
    async with open_booth() as url, page_of(url) as page:
        await told(page, "welcome")
        for nonsense in (
            "no json",
            "[]",
            "3",
            "[" * 100_000,
            json.dumps({"id": 1, "do": "say", "to": 4}),
            b"\1\0\0\0ab",
            b"",
        ):
            await page.send(nonsense)
            assert (await told(page, "answer"))["problem"]


async def test_a_message_that_is_too_large_ends_its_page_only() -> None:
    async with open_booth() as url, page_of(url) as other:
        async with page_of(url) as page:
            with suppress(ConnectionClosed):
                await page.send("x" * (33 * 1024 * 1024))
            with pytest.raises(ConnectionClosed, match="1009"):
                await told(page, "nothing")
        await other.send("no json")
        assert (await told(other, "answer"))["problem"]


async def test_a_source_that_sends_nonsense_is_closed() -> None:
    async with open_booth() as url:
        async with connect(f"ws{url[4:]}publish", origin=url.rsplit("/", 2)[0]) as source:  # type: ignore[arg-type]
            await source.send("no json")
            with pytest.raises(ConnectionClosed, match="1003"):
                await source.recv()
        async with page_of(url) as page:
            assert (await told(page, "welcome"))["sources"] == []


async def test_files_of_a_take_are_served_and_none_beside_them(tmp_path: Path) -> None:
    take = tmp_path / "take"
    take.mkdir()
    (take / "mix.wav").write_bytes(b"RIFF")
    (tmp_path / "secret").write_text("no")
    (take / "link").symlink_to(tmp_path / "secret")
    hub = Hub()
    source = hub.join({"kind": "take", "name": "t", "folder": str(take)}, None)
    async with open_booth(hub) as url:
        assert (await fetched(f"{url}take/{source.id}/mix.wav"))[:2] == (200, b"RIFF")
        for path in ("..%2Fsecret", "link", "nothing", "%2Fetc%2Fpasswd"):
            assert (await fetched(f"{url}take/{source.id}/{path}"))[0] == 404
        assert (await fetched(f"{url}take/99/mix.wav"))[0] == 404


# ---- where it is


async def test_the_address_is_in_a_file_of_the_users_own(variables: dict[str, str]) -> None:
    async with announced("http://127.0.0.1:5/token/", variables):
        file = booth_file(variables)
        assert file is not None
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert find_booth(variables) == BoothAddress("http://127.0.0.1:5/token/", find_pid(file))
        assert former_address(variables) == (0, "")
    assert find_booth(variables) is None
    assert former_address(variables) == (5, "token")


async def test_a_booth_that_is_still_there_is_the_users_again(variables: dict[str, str]) -> None:
    file = booth_file(variables)
    assert file is not None
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"url": "http://127.0.0.1:4/token/", "pid": os.getppid()}))
    async with announced("http://127.0.0.1:5/token/", variables):
        assert find_booth(variables) == BoothAddress("http://127.0.0.1:5/token/", os.getpid())
    assert find_booth(variables) == BoothAddress("http://127.0.0.1:4/token/", os.getppid())


def find_pid(file: Path) -> int:
    return int(json.loads(file.read_text())["pid"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"url": "http://127.0.0.1:1/t/", "pid": "x"}',
        *(f'{{"url": {url}, "pid": OURS}}' for url in ("3", '"x"', '"http://[::1/t/"', '"http://a:99999/t/"')),
    ],
)
async def test_a_broken_address_is_none(variables: dict[str, str], text: str) -> None:
    file = booth_file(variables)
    assert file is not None
    file.parent.mkdir(parents=True)
    file.write_text(text.replace("OURS", str(os.getpid())))
    assert find_booth(variables) is None


async def test_the_environment_may_name_a_booth() -> None:
    assert find_booth({"TAU_DEBUG_SERVER_URL": "http://127.0.0.1:9/t"}) == BoothAddress("http://127.0.0.1:9/t/")
    for wrong in ("localhost:9", "http://127.0.0.1:9", "http://127.0.0.1:99999/t", "http://[::1/t", "http://:9/t"):
        with pytest.raises(UsageError, match="not the address of a booth"):
            find_booth({"TAU_DEBUG_SERVER_URL": wrong})


# ---- publishing


async def test_sound_that_is_sent_is_left_out() -> None:
    frame = b'{"a":1,"audio":"AAAA","b":[{"audio":"BBBBBB"}]}'
    assert without_sound(frame) == b'{"a":1,"audio":"<4>","b":[{"audio":"<6>"}]}'
    assert without_sound(b'{"audio":"cut off') == b'{"audio":"cut off'


@pytest.fixture
def real_voice() -> Understudy:
    return Understudy(Tones(), keeps_visits=True)


@asynccontextmanager
async def a_booth(variables: dict[str, str], hub: Hub | None = None) -> AsyncIterator[str]:
    async with open_booth(hub) as url, announced(url, variables):
        yield url


async def until(is_so: Any) -> None:
    with anyio.fail_after(5):
        while not is_so():  # noqa: ASYNC110 - the world has no event for it
            await anyio.sleep(0.005)


def types_of(hub: Hub, source: int) -> list[str]:
    events = (json.loads(text) for _, text in hub._events)
    return [each["event"]["type"] for each in events if each["source"] == source and "event" in each]


async def test_a_session_is_shown_from_its_first_event(variables: dict[str, str], real_voice: Understudy) -> None:
    hub = Hub()
    async with a_booth(variables, hub), open_understudy(real_voice) as server:
        async with create_session(endpoint=server, debug=True, name="ann") as session:
            await session.user("Good evening.")
            await session.response()
        await until(lambda: hub.sources and not hub.sources[1].described["connected"])
        types = types_of(hub, 1)
        assert hub.sources[1].name == "ann"
        assert types[:3] == ["session.created", "session.update", "session.updated"]
        assert types.count("conversation.item.create") == 1
        assert "response.done" in types
        assert hub.sources[1].gone == "ended"


async def test_a_session_is_not_shown_unless_that_is_wished(variables: dict[str, str], real_voice: Understudy) -> None:
    hub = Hub()
    async with a_booth(variables, hub), open_understudy(real_voice) as server, create_session(endpoint=server):
        assert hub.sources == {}


async def test_a_page_types_and_speaks_to_one_session(variables: dict[str, str], real_voice: Understudy) -> None:
    async with (
        a_booth(variables) as url,
        open_understudy(real_voice) as server,
        create_session(endpoint=server, debug=True, name="ann") as ann,
        create_session(endpoint=server, debug=True, name="ben") as ben,
        page_of(url) as page,
    ):
        numbers = {each["name"]: each["id"] for each in (await told(page, "welcome"))["sources"]}
        async with ann.responses() as ended:
            await page.send(json.dumps({"id": 1, "to": numbers["ann"], "do": "say", "text": "Good evening."}))
            assert (await told(page, "answer")) == {"type": "answer", "id": 1, "problem": ""}
            response = await anext(ended)
            assert isinstance(response, Response)
            assert response.status == "completed"
        await page.send(numbers["ben"].to_bytes(4, "little") + noise(4800).data)
        await page.send(json.dumps({"id": 2, "to": numbers["ben"], "do": "commit"}))
        assert (await told(page, "answer"))["problem"] == ""
        heard = [entry for entry in ben.conversation.items.values() if entry.role == "user"]
        assert len(heard) == 1
        assert [entry.role for entry in ann.conversation.items.values()] == ["user", "assistant"]
        await page.send(json.dumps({"id": 3, "to": numbers["ben"], "do": "dance"}))
        assert "unknown action 'dance'" in (await told(page, "answer"))["problem"]


async def test_a_session_that_takes_no_sound_refuses_it(variables: dict[str, str], real_voice: Understudy) -> None:
    async with (
        a_booth(variables) as url,
        open_understudy(real_voice) as server,
        create_session(endpoint=server, debug=True, debug_voice_in=False),
        page_of(url) as page,
    ):
        await told(page, "welcome")
        await page.send(json.dumps({"id": 1, "to": 1, "do": "commit"}))
        assert "does not accept audio" in (await told(page, "answer"))["problem"]


@pytest.mark.slow
async def test_a_booth_that_comes_back_is_found_again(variables: dict[str, str], real_voice: Understudy) -> None:
    """Slow: it is looked for once a second."""
    async with (
        open_understudy(real_voice) as server,
        create_session(endpoint=server, debug=True, name="ann") as session,
    ):
        await session.user("Nobody sees this.")
        for _ in range(2):
            hub = Hub()
            async with a_booth(variables, hub):
                await until(lambda hub=hub: hub.sources)
                await session.user("Somebody sees this.")
                await until(lambda hub=hub: "conversation.item.done" in types_of(hub, 1))
            await session.user("Nobody sees this.")


@pytest.mark.slow
async def test_a_booth_that_comes_late_is_told_what_a_session_has_done(
    variables: dict[str, str], real_voice: Understudy
) -> None:
    """Slow: it is looked for once a second."""
    hub = Hub()
    async with (
        open_understudy(real_voice) as server,
        create_session(endpoint=server, debug=True, name="ann") as session,
    ):
        await session.user("Nobody sees this.")
        response = await session.response()
        async with a_booth(variables, hub):
            await until(lambda: hub.sources)
            so_far, cost = (json.loads(text)["record"] for _, text in hub.sources[1].lasting)
            await session.user("Somebody sees this.")
            await until(lambda: "conversation.item.done" in types_of(hub, 1))
    said = [item["content"][0].get("text") or item["content"][0]["transcript"] for item in so_far["items"]]
    assert said == ["Nobody sees this.", response.transcript]
    assert so_far["status"] in ("idle", "speaking")
    assert (cost["dollars"], cost["usage"]["audio_out"]) == (str(session.usage.total), session.usage.tokens.audio_out)
    assert hub.sources[1].described["missed"] > 10


async def test_a_booth_that_does_not_read_loses_messages_and_holds_nobody_up() -> None:
    async def nothing(_wish: JsonObject) -> None:
        pass

    publisher = Publisher(dict, nothing)
    publisher.is_connected = True
    for _ in range(3 * MOST_WAITING // 1_000_000):
        publisher.publish({"text": "x" * 1_000_000})
    assert publisher._size <= MOST_WAITING
    assert publisher._lost > 0


# ---- performances and takes


@pytest.mark.slow
async def test_a_booth_that_comes_late_is_told_what_was_performed(variables: dict[str, str], tmp_path: Path) -> None:
    """Slow: it is looked for once a second."""
    hub = Hub()
    plan = plan_of(SCENE)
    first, second = (
        records.LineBegan(at_s=at_s, line=line, player="ann") for at_s, line in ((1, "ann-1"), (2, "ann-2"))
    )
    async with published(plan, NOBODY, TakeFolder(tmp_path), PerformanceOptions(), is_shown=True) as performance:
        performance.publish(first)
        for _ in range(2):  # the second booth is the same one, which was away
            async with a_booth(variables, hub):
                await until(lambda: any(source.send for source in hub.sources.values()))
            performance.publish(second)
    (source,) = hub.sources.values()
    told_of = [json.loads(text)["record"]["line"] for _, text in source.lasting]
    assert told_of[:2] == ["ann-1", "ann-2"]
    assert source.missed == 2


async def test_a_page_stops_one_performance_and_no_other(variables: dict[str, str], tmp_path: Path) -> None:
    plan, of_all = plan_of(SCENE), anyio.Event()
    shown = partial(published, plan, NOBODY, TakeFolder(tmp_path), PerformanceOptions(stop=of_all))
    async with (
        a_booth(variables) as url,
        page_of(url) as page,
        shown(is_shown=True) as one,
        shown(is_shown=True) as two,
    ):
        assert one.stop
        assert two.stop
        source = (await told(page, "source"))["source"]
        await page.send(json.dumps({"id": 1, "to": source["id"], "do": "stop"}))
        assert (await told(page, "answer"))["problem"] == ""
        assert one.stop.is_set() + two.stop.is_set() == 1
        of_all.set()
        await one.stop.wait()
        await two.stop.wait()


async def test_a_performance_is_shown_with_its_players(variables: dict[str, str], tmp_path: Path) -> None:
    scene = tmp_path / "two.yaml"
    scene.write_text(SCENE)
    hub = Hub()
    async with a_booth(variables, hub), open_understudy(Understudy(Tones())) as server:
        options = RunOptions(endpoint=server, debug=True)
        take = await perform_scene(scene, out=tmp_path / "takes", options=options)
        await until(lambda: not any(source.send for source in hub.sources.values()))
        stage, *players = hub.sources.values()
        assert (stage.kind, stage.name, stage.hello["title"]) == ("stage", "two", "Two")
        assert [line["words"] for line in stage.hello["lines"]] == ["Good evening.", "Good evening to you."]
        assert sorted(player.name for player in players) == ["two/ann", "two/ben"]
        assert {player.hello["run"] for player in players} == {stage.hello["run"]}
        records = [json.loads(text) for _, text in hub._events]
        types = [each["record"]["type"] for each in records if each["source"] == stage.id]
        assert (types[0], types[-1], types.count("line_spoken")) == ("take_began", "take_ended", 2)
        again = attach(hub, take.folder.path)
        assert again.name == "two 2"


async def test_a_page_stops_a_performance_after_the_line(variables: dict[str, str], tmp_path: Path) -> None:
    scene = tmp_path / "two.yaml"
    scene.write_text(SCENE)
    async with a_booth(variables) as url, open_understudy(Understudy(Tones())) as server, page_of(url) as page:

        async def stop() -> None:
            event = await told(page, "event", "line_began")
            await page.send(json.dumps({"id": 1, "to": event["source"], "do": "stop"}))

        async with anyio.create_task_group() as group:
            group.start_soon(stop)
            options = RunOptions(endpoint=server, debug=True)
            take = await perform_scene(scene, out=tmp_path / "takes", options=options)
        assert take.ended in ("interrupted", "complete")


async def test_what_is_no_take_cannot_be_attached(tmp_path: Path) -> None:
    with pytest.raises(TakeError, match="is not a take"):
        attach(Hub(), tmp_path)


@pytest.mark.slow
async def test_a_person_speaks_and_types_over_the_socket(variables: dict[str, str], tmp_path: Path) -> None:
    """Slow: a person is counted down in real time, and is silent for a while after a line."""
    scene, understudy = tmp_path / "parts.yaml", Understudy(Tones(), keeps_visits=True)
    scene.write_text("players: {ann: , guest: {human: booth}}\nlines: [guest: Good evening., ann: Yes?, guest: A bed.]")
    voice = Pcm.join([tone("guest", "Good evening."), Pcm.silence(RATE)])

    async def play(page: ClientConnection) -> None:
        while (prompt := await told(page, "event", "person_prompted"))["record"]["in_s"]:
            pass
        await anyio.sleep(0.1)
        for at in range(0, len(voice), 480):
            await page.send(prompt["source"].to_bytes(4, "little") + voice[at : at + 480].data)
        assert (await told(page, "event", "line_spoken"))["record"]["said"] == "Good evening."
        await told(page, "event", "person_prompted")
        await page.send(json.dumps({"id": 7, "to": prompt["source"], "do": "say", "text": " A bath. "}))
        assert (await told(page, "answer"))["problem"] == ""

    async with a_booth(variables) as url, open_understudy(understudy) as server, page_of(url) as page:
        async with anyio.create_task_group() as group:
            group.start_soon(play, page)
            options = RunOptions(endpoint=server, debug=True)
            take = await perform_scene(scene, out=tmp_path / "takes", options=options)
        await page.send(json.dumps({"id": 8, "to": 1, "do": "finish"}))
        assert (await told(page, "answer"))["problem"]
    assert take.ended == "complete"
    assert [line.said for line in take.lines if line.human] == ["Good evening.", "A bath."]
    (heard,) = understudy.visits[0].heard.values()
    assert tone("guest", "Good evening.").data in heard.data


@pytest.mark.slow
async def test_what_others_write_into_a_take_is_shown(tmp_path: Path) -> None:
    """Slow: it is looked for once a second."""
    hub, folder = Hub(), tavern(tmp_path)[0]
    source = attach(hub, folder.path)
    number = len(source.lasting)
    async with open_booth(hub) as url, page_of(url) as page:
        for count in (1, 2):  # the second pick is like the first
            with closing(Journal(folder.journal, goes_on=True)) as journal:
                picked = records.TakePicked(at_s=journal.records[-1].at_s, line="guest-1", take=2)
                journal.append(picked)
            await until(lambda count=count: len(source.lasting) == number + count)
        assert (await told(page, "event", "take_picked"))["record"] == picked.model_dump(mode="json")


async def test_an_order_for_a_take_waits_until_it_is_over(tmp_path: Path) -> None:
    hub = Hub()
    live = hub.join({"kind": "stage", "name": "s", "folder": str(tmp_path), "lines": [{"id": "a-1"}]}, lambda _w: None)
    over = hub.join({"kind": "take", "name": "t", "folder": str(tmp_path), "lines": [{"id": "a-1"}]}, None)
    async with open_booth(hub) as url, page_of(url) as page:
        for wish, problem in (
            ({"do": "retake", "to": over.id, "line": "b-1"}, "unknown line"),
            ({"do": "pick", "to": over.id, "line": "a-1"}, "must have a number"),
            ({"do": "pick", "to": 77, "line": "a-1", "take": 1}, "not a take"),
        ):
            await page.send(json.dumps({"id": 1, **wish}))
            assert problem in (await told(page, "answer"))["problem"]
        await page.send(json.dumps({"id": 2, "do": "pick", "to": live.id, "line": "a-1", "take": 2}))
        await page.send(json.dumps({"id": 3, "do": "listen", "to": 77}))
        await page.send(json.dumps({"id": 4, "do": "say", "to": 77}))
        assert (await told(page, "answer"))["id"] == 4  # the order waits
        hub.leave(live, "it is over")
        answer = await told(page, "answer")
        assert (answer["id"], "journal" in answer["problem"]) == (2, True)


async def test_errors_of_sessions_are_answers(variables: dict[str, str], real_voice: Understudy) -> None:
    async with (
        a_booth(variables) as url,
        open_understudy(real_voice) as server,
        create_session(endpoint=server, debug=True) as session,
        page_of(url) as page,
    ):
        await told(page, "welcome")
        await page.send(json.dumps({"id": 1, "to": 1, "do": "commit"}))
        problem = (await told(page, "answer"))["problem"]
        assert problem
        assert session.is_open
        assert isinstance(SessionError(player="x"), Exception)
