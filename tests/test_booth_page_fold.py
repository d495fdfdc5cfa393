"""What the booth's page makes of messages, in a browser, for it is JavaScript. Slow: a browser is a large program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tau_stage.audio import RATE
from tests.support.booth_pages import visit
from tests.support.browser import CHROMIUM, Browser, open_browser
from tests.support.open_booths import open_booths

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium"),
]

FOLD = """(async (messages) => {
  const { apply, createState } = await import('./page/state.js');
  const { deadAir } = await import('./page/stage.js');
  const state = createState();
  for (const message of messages) apply(state, message, 100);
  const [source] = state.sources.values(), air = source.stage ? [...deadAir(source.stage)] : [];
  return { air, rows: state.log.rows.map(row => [row.type, row.latency]), notices: state.notices,
    lines: [...(source.stage?.lines.values() ?? [])], items: [...(source.session?.items.values() ?? [])],
    usage: source.session?.usage, dollars: source.session?.dollars, prompt: source.stage?.prompt,
    offset: source.offset, spent: source.stage?.spent,
    missed: state.log.missed, lost: state.log.lost, thinks: Boolean(source.session?.response) };
})"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with open_booths() as booth, open_browser() as browser:
        visit(browser, booth)
        yield browser


def fold(tab: Browser, kind: str, told: list[dict[str, Any]], **facts: Any) -> dict[str, Any]:
    """What the page makes of messages of one source."""
    source = {"id": 1, "kind": kind, "name": "it", "connected": True, **facts}
    messages: list[dict[str, Any]] = [{"type": "welcome", "epoch": "a", "now_s": 40.0, "sources": [source], "lost": 0}]
    messages += [{"type": "event", "n": n, "source": 1, **each} for n, each in enumerate(told, 1)]
    found: dict[str, Any] = tab.run(f"{FOLD}({json.dumps(messages)})")
    return found


def test_an_answer_has_the_time_since_its_request(tab: Browser) -> None:
    def event(at: float, sender: str, kind: str, **fields: Any) -> dict[str, Any]:
        return {"at": at, "from": sender, "event": {"type": kind, **fields}}

    told = fold(
        tab,
        "session",
        [
            event(1.0, "client", "conversation.item.create", item={"id": "a"}, event_id="e1"),
            event(1.1, "client", "conversation.item.create", item={"id": "b"}, event_id="e2"),
            event(1.5, "server", "conversation.item.added", item={"id": "b"}),
            event(1.6, "server", "error", error={"event_id": "e1"}),
            event(2.0, "client", "response.create"),
            event(2.25, "server", "response.created", response={"id": "r"}),
            {**event(2.5, "server", "response.output_audio.delta", item_id="c"), "item": 7, "samples": 240},
        ],
    )
    latencies = {kind: latency for kind, latency in told["rows"] if latency is not None}
    assert latencies == {
        "conversation.item.added": pytest.approx(0.4),
        "error": pytest.approx(0.6),
        "response.created": pytest.approx(0.25),
        "response.output_audio.delta": pytest.approx(0.5),
    }


def test_lines_know_their_dead_air_their_hearers_and_their_takes(tab: Browser) -> None:
    def spoken(line: str, offset: int, samples: int) -> dict[str, Any]:
        facts = {"said": line, "file": f"lines/{line}.wav", "rate": RATE, "status": "completed", "take": 1}
        return {
            "type": "line_spoken",
            "line": line,
            "player": "ann",
            "offset_samples": offset,
            "samples": samples,
            **facts,
        }

    records = [
        {"type": "take_kept", "line": "ann-1", "player": "ann", "take": 1, "said": "one", "samples": RATE},
        {"type": "take_kept", "line": "ann-1", "player": "ann", "take": 2, "said": "two", "samples": 2 * RATE},
        spoken("ann-1", 0, RATE),
        spoken("ann-2", RATE + 12000, RATE),
        spoken("ann-3", 2 * RATE, RATE),
        {"type": "line_heard", "line": "ann-1", "hearer": "ben", "took_s": 0.25},
        {"type": "take_picked", "line": "ann-1", "take": 2},
    ]
    told = fold(tab, "stage", [{"at": 1.0, "record": record} for record in records])
    first = told["lines"][0]
    assert (first["said"], first["take"], first["samples"]) == ("two", 2, 2 * RATE)
    assert [(one["hearer"], one["took"]) for one in first["hearings"]] == [("ben", 0.25)]
    assert told["air"] == [["ann-2", -0.5], ["ann-3", -0.5]]


def test_a_page_that_opens_late_knows_when_something_happened(tab: Browser) -> None:
    event = {"at": 3.0, "from": "server", "event": {"type": "session.created"}}
    told = fold(tab, "session", [event], offset_s=20.0)
    assert told["offset"] == 80.0  # it happened at 23 s of the booth's clock, which is 60 s behind the page's


def test_a_take_that_is_over_costs_what_it_says_also_at_an_open_microphone(tab: Browser) -> None:
    step = {"record": {"type": "step_ended", "step": "ann-1", "dollars": "0.25"}}
    lines = [{"id": "ann-1", "player": "ann", "dollars": "0.25"}, {"id": "listen-1-2", "player": "ann", "dollars": "1"}]
    told = fold(tab, "take", [step], lines=lines, dollars="1.25")
    assert (told["spent"], [line["dollars"] for line in told["lines"]]) == (1.25, [0.25, 1])
    told = fold(tab, "stage", [step, step], lines=[{"id": "ann-1", "player": "ann"}])
    assert (told["spent"], [line["dollars"] for line in told["lines"]]) == (0.5, [0.5])


def test_a_session_that_began_before_its_booth_is_shown_as_it_says(tab: Browser) -> None:
    items = [
        {
            "id": "a",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "text", "text": "Hello."}],
        },
        {
            "id": "b",
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [{"type": "audio", "transcript": "Good"}],
        },
        {"id": "c", "type": "function_call", "name": "light"},
    ]
    usage = {"audio_out": 10, "text_out": 3, "audio_in": 5, "text_in": 2, "cached_audio_in": 7}
    told = fold(
        tab,
        "session",
        [
            {"at": 1.0, "record": {"type": "so_far", "status": "thinking", "items": items}},
            {"at": 1.0, "record": {"type": "cost", "dollars": "0.25", "usage": usage}},
        ],
        missed=214,
    )
    assert [(item["role"], item["words"], item["done"]) for item in told["items"]] == [
        ("user", "Hello.", True),
        ("assistant", "Good", False),
    ]
    assert (told["thinks"], told["dollars"], told["missed"]) == (True, 0.25, 214)
    assert told["usage"] == {"spoken": 10, "listened": 7, "cached": 7, "text": 3, "reasoned": 0, "responses": 1}
    assert told["notices"] == []


def test_a_page_forgets_whom_the_booth_has_forgotten(tab: Browser) -> None:
    script = """(async () => {
      const { apply, createState } = await import('./page/state.js');
      const state = createState(), source = (id) => ({ id, kind: 'session', name: `s${id}`, connected: false });
      apply(state, { type: 'welcome', epoch: 'a', sources: [source(1), source(2), source(3)] }, 1);
      apply(state, { type: 'forgotten', source: 1 }, 1);
      const left = [...state.sources.keys()];
      apply(state, { type: 'welcome', epoch: 'a', sources: [source(3)] }, 1);
      return [left, [...state.sources.keys()]];
    })()"""
    assert tab.run(script) == [[2, 3], [3]]


def test_what_a_source_could_not_tell_in_time_is_counted(tab: Browser) -> None:
    told = fold(tab, "session", [], dropped=3)
    assert (told["lost"], told["notices"]) == (3, [])  # of before this page
    more = tab.run(
        """(async () => {
          const { apply, createState } = await import('./page/state.js'), state = createState();
          const source = { id: 1, kind: 'session', name: 'ann', connected: true };
          apply(state, { type: 'welcome', epoch: 'a', sources: [source], lost: 0 }, 1);
          for (const dropped of [2, 3]) apply(state, { type: 'source', source: { ...source, dropped } }, 1);
          return [state.log.lost, state.notices];
        })()"""
    )
    assert more == [
        3,
        [
            "ann: 2 events were lost because the booth did not keep up.",
            "ann: 1 event was lost because the booth did not keep up.",
        ],
    ]
