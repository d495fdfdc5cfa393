"""What a booth forgets, and what it never shows as text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tau_stage.booth.hub import KEPT_ITEMS, Hub
from tests.test_booth import delta, noise

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def test_one_source_does_not_grow_for_ever() -> None:
    """Items come by the thousand; one that never ends has no more sound than is kept of all."""
    hub = Hub(kept_sound=1000)
    source = hub.join({"kind": "session", "name": "ann"}, None)
    for number in range(KEPT_ITEMS + 10):
        hub.take_in(source, delta(noise(1), f"item_{number}"))
    assert len(source.items) == KEPT_ITEMS
    for _ in range(20):
        hub.take_in(source, delta(noise(100), "item_long"))
    assert hub._kept == sum(map(len, hub._sounds.values())) <= 1000


@pytest.mark.parametrize("part", [{"type": "audio"}, {"type": "input_audio", "transcript": "Hello."}])
async def test_sound_is_a_size_wherever_an_event_has_it(part: dict[str, Any]) -> None:
    hub = Hub()
    source = hub.join({"kind": "session", "name": "ann"}, None)
    item = {"id": "a", "content": [{**part, "audio": "QUFB" * 100}]}
    session = {"audio": {"input": {"format": {"type": "audio/pcm"}}}}
    told = {"type": "conversation.item.retrieved", "item": item, "session": session, "audio": "<7>"}
    hub.take_in(source, json.dumps({"at": 1, "from": "server", "event": told}))
    event = json.loads(hub._events[-1][1])["event"]
    assert event["item"]["content"] == [{**part, "audio": "<400>"}]
    assert (event["session"], event["audio"]) == (session, "<7>")


async def test_a_page_that_comes_late_is_told_how_the_clocks_differ() -> None:
    now = [100.0]
    hub = Hub(clock=lambda: now[0])
    stage = hub.join({"kind": "stage", "name": "s", "at": 30.0}, None)
    hub.join({"kind": "take", "name": "t", "at": 30.0}, None)
    for now[0], at in ((160.5, 90.0), (170.0, 100.25), (171.0, 10**400), (172.0, None)):
        hub.take_in(stage, json.dumps({"at": at, "record": {"type": "warned", "text": "Hm."}}))
    welcome, *_ = [json.loads(text) for text in hub.open_page()._waiting]
    assert welcome["now_s"] == 172.0
    assert [source["offset_s"] for source in welcome["sources"]] == [69.75, None]
    hub.leave(stage, "it is over")
    assert hub.join({"kind": "session", "name": "new"}, None).offset_s is None
